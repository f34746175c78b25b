//! Exchanges with programs that are not finished, such as handshakes. Each has a time. If there
//! are too many, the oldest one goes, so that slow programs keep nobody out.

use crate::clock;
use crate::service::within;
use smol::channel::{Receiver, Sender, bounded};
use smol::future::or;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Clones are the same.
#[derive(Clone)]
pub(crate) struct Unfinished {
    /// The most exchanges at a time.
    most: usize,
    /// The time for an exchange.
    limit: Duration,
    state: Rc<RefCell<State>>,
}

#[derive(Default)]
struct State {
    next: u64,
    /// Their numbers, in their order. An exchange goes when its sender is dropped.
    open: BTreeMap<u64, Sender<()>>,
}

/// One exchange, until this is dropped.
pub(crate) struct Place {
    all: Unfinished,
    number: u64,
    deadline: Instant,
    displaced: Receiver<()>,
}

/// Why an exchange has no end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lost {
    Late,
    /// A newer exchange has taken its place.
    Displaced,
}

impl Unfinished {
    pub(crate) fn new(most: usize, limit: Duration) -> Self {
        Unfinished { most, limit, state: Rc::default() }
    }

    pub(crate) fn begin(&self) -> Place {
        let mut state = self.state.borrow_mut();
        if state.open.len() >= self.most {
            state.open.pop_first();
        }
        let (number, (keep, displaced)) = (state.next, bounded(1));
        state.next += 1;
        state.open.insert(number, keep);
        Place { all: self.clone(), number, deadline: clock::now() + self.limit, displaced }
    }
}

impl Place {
    /// The end of its exchange, if that comes in time.
    pub(crate) async fn keep<T>(&self, exchange: impl Future<Output = T>) -> Result<T, Lost> {
        let displaced = async {
            let _ = self.displaced.recv().await;
            Err(Lost::Displaced)
        };
        let done = async { Ok(exchange.await) };
        let left = self.deadline.saturating_duration_since(clock::now());
        within(left, or(done, displaced)).await.unwrap_or(Err(Lost::Late))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.all.state.borrow_mut().open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smol::future::{pending, ready};

    const LIMIT: Duration = Duration::from_secs(10);

    #[test]
    fn the_oldest_exchange_goes_when_there_are_too_many() {
        let all = Unfinished::new(5, LIMIT);
        let mut places: Vec<Place> = (0..5).map(|_| all.begin()).collect();
        let is_displaced = |place: &Place| {
            let kept = or(place.keep(pending::<()>()), ready(Ok(())));
            smol::block_on(kept) == Err(Lost::Displaced)
        };
        assert!(!places.iter().any(is_displaced));
        drop(places.remove(1));
        let one_more = all.begin();
        assert!(!is_displaced(&places[0]), "there was room");
        let another = all.begin();
        assert!(is_displaced(&places[0]) && !places[1..].iter().any(is_displaced));
        assert!(![one_more, another].iter().any(is_displaced));
    }

    #[test]
    fn an_exchange_ends_in_its_time_or_not_at_all() {
        let mut place = Unfinished::new(1, LIMIT).begin();
        assert_eq!(smol::block_on(place.keep(ready(7))), Ok(7));
        place.deadline = clock::now();
        assert_eq!(smol::block_on(place.keep(pending::<()>())), Err(Lost::Late));
    }
}
