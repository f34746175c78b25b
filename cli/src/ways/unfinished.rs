//! The handshakes of programs that are not finished. Each has 10 s. If there are too many, the
//! oldest one goes, so that slow programs keep nobody out.

use crate::clock;
use crate::service::within;
use smol::channel::{Receiver, Sender, bounded};
use smol::future::or;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// The most handshakes at a time. Each has a file descriptor and at most 16 KiB.
const MOST: usize = 512;
/// The time for a handshake.
const LIMIT: Duration = Duration::from_secs(10);

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
    deadline: Instant,
    displaced: Receiver<()>,
}

/// Why a handshake has no end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Lost {
    Late,
    /// A newer handshake has taken its place.
    Displaced,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lost::Late => write!(f, "its handshake took longer than {} s", LIMIT.as_secs()),
            Lost::Displaced => f.write_str("too many others were in their handshakes"),
        }
    }
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
        Place { all: self.clone(), number, deadline: clock::now() + LIMIT, displaced }
    }
}

impl Place {
    /// The end of its handshake, if that comes in time.
    pub(super) async fn keep<T>(&self, handshake: impl Future<Output = T>) -> Result<T, Lost> {
        let displaced = async {
            let _ = self.displaced.recv().await;
            Err(Lost::Displaced)
        };
        let done = async { Ok(handshake.await) };
        let left = self.deadline.saturating_duration_since(clock::now());
        within(left, or(done, displaced)).await.unwrap_or(Err(Lost::Late))
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
    use smol::future::{pending, ready};

    #[test]
    fn the_oldest_handshake_goes_when_there_are_too_many() {
        let all = Unfinished::default();
        let mut places: Vec<Place> = (0..MOST).map(|_| all.begin()).collect();
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
    fn a_handshake_ends_in_its_time_or_not_at_all() {
        let mut place = Unfinished::default().begin();
        assert_eq!(smol::block_on(place.keep(ready(7))), Ok(7));
        place.deadline = clock::now();
        assert_eq!(smol::block_on(place.keep(pending::<()>())), Err(Lost::Late));
        assert_eq!(Lost::Late.to_string(), "its handshake took longer than 10 s");
    }
}
