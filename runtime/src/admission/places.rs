//! Places that the clients of a server share.
//!
//! Where several keys are accepted, one key may take as many as it leaves free (dynamic thresholds,
//! Choudhury and Hahne, 1998). That is half of all beside nobody, so the next client always finds
//! some.

use super::budget::Holder;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

#[derive(Debug)]
pub(crate) struct Places {
    limit: Cell<usize>,
    taken: RefCell<BTreeMap<Holder, usize>>,
}

impl Places {
    pub(crate) fn new(limit: usize) -> Rc<Self> {
        Rc::new(Places { limit: Cell::new(limit), taken: RefCell::default() })
    }

    /// Places that are taken beyond a lower limit stay taken.
    pub(crate) fn set_limit(&self, limit: usize) {
        self.limit.set(limit);
    }

    pub(crate) fn taken(&self) -> usize {
        self.taken.borrow().values().sum()
    }

    /// Takes one for a client of a key, `keys` of which are accepted. Dropped, it is free again.
    pub(crate) fn take(self: &Rc<Self>, holder: Holder, keys: usize) -> Option<Place> {
        let free = self.limit.get().saturating_sub(self.taken());
        let mut taken = self.taken.borrow_mut();
        let own = taken.get(&holder).copied().unwrap_or(0);
        if free == 0 || (keys > 1 && own >= free) {
            return None;
        }
        taken.insert(holder, own + 1);
        Some(Place { places: self.clone(), holder })
    }
}

#[derive(Debug)]
pub(crate) struct Place {
    places: Rc<Places>,
    holder: Holder,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.borrow_mut();
        if let Some(count) = taken.get_mut(&self.holder) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.holder);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipe::PublicKey;

    fn take(places: &Rc<Places>, key: u8, keys: usize) -> Vec<Place> {
        std::iter::from_fn(|| places.take(Some(PublicKey([key; 32])), keys)).collect()
    }

    #[test]
    fn where_one_key_is_accepted_it_has_all_places() {
        let places = Places::new(12);
        assert_eq!(take(&places, 1, 1).len(), 12);
        assert_eq!(places.taken(), 0, "they are free again");
    }

    #[test]
    fn a_lower_limit_takes_no_place_away_and_gives_no_other_one() {
        let places = Places::new(3);
        let taken = take(&places, 1, 1);
        places.set_limit(2);
        assert_eq!((places.taken(), take(&places, 1, 1).len()), (3, 0));
        places.set_limit(4);
        assert_eq!(take(&places, 1, 1).len(), 1);
        drop(taken);
        assert_eq!(take(&places, 1, 1).len(), 4);
    }

    #[test]
    fn of_several_keys_each_leaves_as_many_free_as_it_has() {
        let places = Places::new(12);
        let hoard = take(&places, 1, 3);
        assert_eq!(hoard.len(), 6);
        assert_eq!(take(&places, 2, 3).len(), 3);
        drop(hoard);
        assert_eq!(take(&places, 1, 3).len(), 6);
    }
}
