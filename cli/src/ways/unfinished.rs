//! The handshakes of programs that are not finished. If there are too many, the oldest one goes, so
//! that slow programs keep nobody out.

use smol::channel::{Receiver, Sender, bounded};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// The most handshakes at a time. Each has a file descriptor and at most 16 KiB.
const MOST: usize = 512;

/// Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Unfinished(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    next: u64,
    /// Their numbers, in their order. A handshake goes when its sender is dropped.
    open: BTreeMap<u64, Sender<()>>,
}

/// One handshake, until this is dropped.
pub(super) struct Place {
    all: Unfinished,
    number: u64,
    displaced: Receiver<()>,
}

impl Unfinished {
    pub(super) fn begin(&self) -> Place {
        let mut state = self.0.borrow_mut();
        if state.open.len() >= MOST {
            state.open.pop_first();
        }
        let (number, (keep, displaced)) = (state.next, bounded(1));
        state.next += 1;
        state.open.insert(number, keep);
        Place { all: self.clone(), number, displaced }
    }
}

impl Place {
    /// Waits until a newer handshake has taken its place.
    pub(super) async fn displaced(&self) {
        let _ = self.displaced.recv().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.all.0.borrow_mut().open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smol::future::{or, ready};

    #[test]
    fn the_oldest_handshake_goes_when_there_are_too_many() {
        let all = Unfinished::default();
        let mut places: Vec<Place> = (0..MOST).map(|_| all.begin()).collect();
        let is_displaced = |place: &Place| {
            let displaced = async {
                place.displaced().await;
                true
            };
            smol::block_on(or(displaced, ready(false)))
        };
        assert!(!places.iter().any(is_displaced));
        drop(places.remove(1));
        let one_more = all.begin();
        assert!(!is_displaced(&places[0]), "there was room");
        let another = all.begin();
        assert!(is_displaced(&places[0]) && !places[1..].iter().any(is_displaced));
        assert!(![one_more, another].iter().any(is_displaced));
    }
}
