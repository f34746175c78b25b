//! Memory that the sessions of one server share.
//!
//! Sessions take turns on one thread. Before its turn each is told what the others leave of the limit, and what it uses is known after
//! it, so together they never use more, however many there are. None may use all: the others must not starve for one that hoards.

use std::cell::Cell;
use std::rc::Rc;

/// A session is told of more memory when it is at least this much more; of less, at once.
const WORTH_TELLING: u64 = 256 << 10;

/// What all sessions use, and may use.
#[derive(Debug)]
pub struct Budget {
    /// Bytes for receiving and for sending, each.
    limit: u64,
    /// The same, of one session.
    limit_of_one: u64,
    used: Cell<(u64, u64)>,
    /// Bytes that sessions really keep, floors and waste included.
    kept: Cell<u64>,
    sessions: Cell<u64>,
}

/// What sessions may really keep beyond the memory limit: their floors, and what it costs to know of flows.
const BESIDE: u64 = 32 << 20;

impl Budget {
    /// Half of `memory_limit` is for receiving, half for sending. One session may use `limit_of_one` of it, half unless that is said.
    pub fn new(memory_limit: u64, limit_of_one: Option<u64>) -> Rc<Self> {
        let limit_of_one = limit_of_one.unwrap_or(memory_limit / 2).min(memory_limit) / 2;
        Rc::new(Budget {
            limit: memory_limit / 2,
            limit_of_one,
            used: Cell::default(),
            kept: Cell::default(),
            sessions: Cell::default(),
        })
    }

    /// The most that sessions may keep.
    fn most(&self) -> u64 {
        2 * self.limit + BESIDE
    }

    /// More is kept than may be; by how much it has to become less.
    pub fn excess(&self) -> Option<u64> {
        let kept = self.kept.get();
        (kept > self.most()).then(|| kept - self.most() / 8 * 7)
    }

    /// A new session's part. With nothing left it lives on its floors.
    pub fn share(self: &Rc<Self>) -> Share {
        self.sessions.set(self.sessions.get() + 1);
        Share { budget: self.clone(), used: (0, 0), kept: 0, told: (self.limit, self.limit) }
    }
}

/// One session's part. What it uses is free again when it is dropped.
#[derive(Debug)]
pub struct Share {
    budget: Rc<Budget>,
    used: (u64, u64),
    kept: u64,
    told: (u64, u64),
}

impl Share {
    /// What the others leave, for receiving and for sending, if the session is to be told.
    pub fn changed(&mut self) -> Option<(u64, u64)> {
        let (all, own, limit) = (self.budget.used.get(), self.used, self.budget.limit);
        let left = |others: u64| limit.saturating_sub(others).min(self.budget.limit_of_one);
        let left = (left(all.0 - own.0), left(all.1 - own.1));
        let news = |left: u64, told: u64| {
            left < told || left >= told + WORTH_TELLING || (left > told && left == self.budget.limit_of_one)
        };
        if !news(left.0, self.told.0) && !news(left.1, self.told.1) {
            return None;
        }
        self.told = left;
        Some(left)
    }

    /// Whether so much is kept that no new flow should come to this session, since it keeps more than most.
    pub fn is_tight(&self) -> bool {
        let (budget, all) = (&self.budget, self.budget.kept.get());
        all > budget.most() / 8 * 7 && self.kept >= all / budget.sessions.get().max(1)
    }

    /// The session uses this much now, and really keeps so much.
    pub fn use_up(&mut self, used: (u64, u64), kept: u64) {
        self.budget.kept.set(self.budget.kept.get() - self.kept + kept);
        self.kept = kept;
        let all = self.budget.used.get();
        self.budget.used.set((all.0 - self.used.0 + used.0, all.1 - self.used.1 + used.1));
        self.used = used;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.use_up((0, 0), 0);
        self.budget.sessions.set(self.budget.sessions.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_told_what_the_others_leave() {
        let budget = Budget::new(64 << 20, Some(64 << 20));
        let (mut a, mut b) = (budget.share(), budget.share());
        assert_eq!((a.changed(), b.changed()), (None, None));
        a.use_up((10 << 20, 1 << 20), 0);
        assert_eq!((a.changed(), b.changed()), (None, Some((22 << 20, 31 << 20))));
        a.use_up((10 << 20, 1000), 0);
        assert_eq!(b.changed(), Some((22 << 20, (32 << 20) - 1000)));
        drop(a);
        assert_eq!(b.changed(), Some((32 << 20, 32 << 20)));
    }

    #[test]
    fn no_session_is_ever_told_of_all_the_memory() {
        let budget = Budget::new(64 << 20, None);
        let (mut a, mut b) = (budget.share(), budget.share());
        assert_eq!(a.changed(), Some((16 << 20, 16 << 20)));
        a.use_up((16 << 20, 16 << 20), 0);
        assert_eq!((a.changed(), b.changed()), (None, Some((16 << 20, 16 << 20))));
        b.use_up((10 << 20, 0), 0);
        assert_eq!(a.changed(), None, "what is left for it is as much as it may have");
        let mut c = budget.share();
        assert_eq!(c.changed(), Some((6 << 20, 16 << 20)));
        drop(a);
        assert_eq!(c.changed(), Some((16 << 20, 16 << 20)));
    }

    #[test]
    fn what_sessions_really_keep_is_bounded_whatever_they_were_told() {
        let budget = Budget::new(64 << 20, None);
        let (mut a, mut b) = (budget.share(), budget.share());
        a.use_up((0, 0), 84 << 20);
        assert!(!a.is_tight());
        b.use_up((0, 0), 12 << 20);
        assert!(a.is_tight(), "no more flows for who keeps the most");
        assert!(!b.is_tight(), "nor must that keep out others");
        assert_eq!(budget.excess(), None);
        b.use_up((0, 0), 13 << 20);
        assert_eq!(budget.excess(), Some(13 << 20), "down to seven eighths");
        drop(a);
        assert!(!b.is_tight());
    }
}
