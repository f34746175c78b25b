//! Memory that the sessions of one server share.
//!
//! Sessions take turns on one thread. Before its turn each is told how much the others leave of the
//! limit. Its own use is known after the turn. So together they never use more. None may use all:
//! the others must not starve for one that hoards.
//!
//! One client may not use all of it either. Where several keys are accepted, the sessions of one
//! may use as much as is left free beside them (dynamic thresholds, Choudhury and Hahne, 1998). So
//! something is left for the next client: half of all beside one that hoards, a third beside two.

use crate::pipe::PublicKey;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

/// A session is told of more memory when it is at least this much more; of less, at once.
const WORTH_TELLING: u64 = 256 << 10;

/// The memory that sessions may keep beyond the limit: their floors, and the state of flows.
const BESIDE: u64 = 32 << 20;

/// Whose sessions they are: a key, or anybody if callers need none.
pub(crate) type Holder = Option<PublicKey>;

#[derive(Clone, Copy, Default, Debug)]
struct Sum {
    /// Bytes used for receiving and for sending.
    used: (u64, u64),
    /// Bytes that they really keep, floors and waste included.
    kept: u64,
    sessions: u64,
}

impl Sum {
    fn change(&mut self, before: Sum, now: Sum) {
        self.used =
            (self.used.0 - before.used.0 + now.used.0, self.used.1 - before.used.1 + now.used.1);
        self.kept = self.kept - before.kept + now.kept;
        self.sessions = self.sessions - before.sessions + now.sessions;
    }
}

#[derive(Debug)]
pub(crate) struct Budget {
    /// Bytes for receiving and for sending, each.
    limit: Cell<u64>,
    /// The same, of one session.
    limit_of_one: Cell<u64>,
    keys: Cell<usize>,
    all: Cell<Sum>,
    holders: RefCell<BTreeMap<Holder, Sum>>,
}

impl Budget {
    /// Receiving and sending have half each. One session may use `limit_of_one` of it, or half.
    pub(crate) fn new(memory_limit: u64, limit_of_one: Option<u64>) -> Rc<Self> {
        let budget = Budget {
            limit: Cell::default(),
            limit_of_one: Cell::default(),
            keys: Cell::new(1),
            all: Cell::default(),
            holders: RefCell::default(),
        };
        budget.set_limits(memory_limit, limit_of_one);
        Rc::new(budget)
    }

    /// Sessions hear of it before their next turns. A session that began with less gets no more.
    pub(crate) fn set_limits(&self, memory_limit: u64, limit_of_one: Option<u64>) {
        let limit_of_one = limit_of_one.unwrap_or(memory_limit / 2).min(memory_limit) / 2;
        self.limit.set(memory_limit / 2);
        self.limit_of_one.set(limit_of_one);
    }

    /// How many keys are accepted. Callers without a key are not told apart and count as one.
    pub(crate) fn keys(&self) -> usize {
        self.keys.get()
    }

    pub(crate) fn set_keys(&self, keys: usize) {
        self.keys.set(keys);
    }

    fn most(&self) -> u64 {
        2 * self.limit.get() + BESIDE
    }

    /// More is kept than may be; by how much it has to become less.
    pub(crate) fn excess(&self) -> Option<u64> {
        let kept = self.all.get().kept;
        (kept > self.most()).then(|| kept - self.most() / 8 * 7)
    }

    /// Whose sessions keep the most, and how much.
    pub(crate) fn heaviest(&self) -> Option<(Holder, u64)> {
        let holders = self.holders.borrow();
        holders.iter().map(|(holder, sum)| (*holder, sum.kept)).max_by_key(|(_, kept)| *kept)
    }

    /// The part of a new session. With nothing left it lives on its floors.
    pub(crate) fn share(self: &Rc<Self>, holder: Holder) -> Share {
        let most = self.limit.get();
        let (told, own) = ((most, most), Sum::default());
        let mut share = Share { budget: self.clone(), holder, own, most, told };
        share.set(Sum { sessions: 1, ..Sum::default() });
        share
    }

    fn of(&self, holder: Holder) -> Sum {
        self.holders.borrow().get(&holder).copied().unwrap_or_default()
    }
}

/// One session's part. Its memory is free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Rc<Budget>,
    holder: Holder,
    own: Sum,
    /// The limit when the session began: its settings say so, and it takes no more.
    most: u64,
    told: (u64, u64),
}

impl Share {
    /// The memory that the others leave, for receiving and sending, if the session is to be told.
    pub(crate) fn changed(&mut self) -> Option<(u64, u64)> {
        let budget = &self.budget;
        let (all, holder, own) =
            (budget.all.get().used, budget.of(self.holder).used, self.own.used);
        let (limit, limit_of_one) = (budget.limit.get(), budget.limit_of_one.get().min(self.most));
        let left = |all: u64, holder: u64, own: u64| {
            let free_of_others = limit.saturating_sub(all - holder);
            let of_holder = if budget.keys.get() > 1 { free_of_others / 2 } else { free_of_others };
            of_holder.saturating_sub(holder - own).min(limit_of_one)
        };
        let left = (left(all.0, holder.0, own.0), left(all.1, holder.1, own.1));
        let news = |left: u64, told: u64| {
            left < told || left >= told + WORTH_TELLING || (left > told && left == limit_of_one)
        };
        if !news(left.0, self.told.0) && !news(left.1, self.told.1) {
            return None;
        }
        self.told = left;
        Some(left)
    }

    /// Whether no flow should come: memory is short, and holder and session keep more than most.
    pub(crate) fn is_tight(&self) -> bool {
        let (budget, all) = (&self.budget, self.budget.all.get().kept);
        let (holders, holder) = (budget.holders.borrow().len() as u64, budget.of(self.holder));
        all > budget.most() / 8 * 7
            && holder.kept >= all / holders.max(1)
            && self.own.kept >= holder.kept / holder.sessions.max(1)
    }

    pub(crate) fn use_up(&mut self, used: (u64, u64), kept: u64) {
        self.set(Sum { used, kept, ..self.own });
    }

    fn set(&mut self, now: Sum) {
        let before = std::mem::replace(&mut self.own, now);
        let mut all = self.budget.all.get();
        all.change(before, now);
        self.budget.all.set(all);
        let mut holders = self.budget.holders.borrow_mut();
        let holder = holders.entry(self.holder).or_default();
        holder.change(before, now);
        if holder.sessions == 0 {
            holders.remove(&self.holder);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(Sum::default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_told_what_the_others_leave() {
        let budget = Budget::new(64 << 20, Some(64 << 20));
        let (mut a, mut b) = (budget.share(None), budget.share(None));
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
        let (mut a, mut b) = (budget.share(None), budget.share(None));
        assert_eq!(a.changed(), Some((16 << 20, 16 << 20)));
        a.use_up((16 << 20, 16 << 20), 0);
        assert_eq!((a.changed(), b.changed()), (None, Some((16 << 20, 16 << 20))));
        b.use_up((10 << 20, 0), 0);
        assert_eq!(a.changed(), None, "what is left for it is as much as it may have");
        let mut c = budget.share(None);
        assert_eq!(c.changed(), Some((6 << 20, 16 << 20)));
        drop(a);
        assert_eq!(c.changed(), Some((16 << 20, 16 << 20)));
    }

    #[test]
    fn the_memory_that_sessions_really_keep_is_bounded() {
        let budget = Budget::new(64 << 20, None);
        let (mut a, mut b) = (budget.share(None), budget.share(None));
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

    #[test]
    fn a_session_hears_of_another_limit_but_never_of_more_than_it_has_begun_with() {
        let budget = Budget::new(64 << 20, Some(64 << 20));
        let mut old = budget.share(None);
        budget.set_limits(16 << 20, Some(16 << 20));
        assert_eq!(old.changed(), Some((8 << 20, 8 << 20)));
        let mut new = budget.share(None);
        budget.set_limits(128 << 20, Some(128 << 20));
        assert_eq!(old.changed(), Some((32 << 20, 32 << 20)));
        assert_eq!(new.changed(), None, "its settings say 16 MiB");
        assert_eq!(budget.share(None).changed(), None, "it begins with all");
    }

    fn key(number: u8) -> Holder {
        Some(PublicKey([number; 32]))
    }

    #[test]
    fn the_sessions_of_one_key_use_as_much_as_they_leave_free() {
        const MIB: u64 = 1 << 20;
        let budget = Budget::new(96 * MIB, Some(96 * MIB));
        let mut hoarders: Vec<Share> = (0..8).map(|_| budget.share(key(1))).collect();
        budget.set_keys(3);
        let hoard = |hoarders: &mut [Share]| {
            hoarders.iter_mut().for_each(|share| {
                let (receive, send) = share.changed().unwrap_or(share.told);
                share.use_up((receive.min(5 * MIB), send.min(5 * MIB)), 0);
            });
            budget.all.get().used.0 / MIB
        };
        assert_eq!(hoard(&mut hoarders), 24, "half");
        let mut other: Vec<Share> = (0..8).map(|_| budget.share(key(2))).collect();
        assert_eq!(hoard(&mut other), 36, "half of the rest");
        for _ in 0..9 {
            hoard(&mut hoarders);
            hoard(&mut other);
        }
        // Sessions are not told of less than a quarter of a MiB more.
        let used = budget.all.get().used.0 / MIB;
        assert!((31..=32).contains(&used), "in the end a third each, and one is free: {used}");
        let mut honest = budget.share(key(3));
        assert_eq!(honest.changed().map(|(receive, _)| receive / MIB), Some(8));
        budget.set_keys(1);
        let receive = honest.changed().map(|(receive, _)| receive / MIB);
        assert_eq!(receive, Some(16), "nobody else may come");
    }

    #[test]
    fn the_holder_that_keeps_the_most_is_a_key_with_all_its_sessions() {
        let budget = Budget::new(64 << 20, None);
        let mut light: Vec<Share> = (0..80).map(|_| budget.share(key(1))).collect();
        let mut honest = budget.share(key(2));
        light.iter_mut().for_each(|share| share.use_up((0, 0), 1 << 20));
        honest.use_up((0, 0), 15 << 20);
        assert_eq!(budget.heaviest(), Some((key(1), 80 << 20)));
        assert!(light[0].is_tight() && !honest.is_tight());
        drop(light);
        assert_eq!(budget.heaviest(), Some((key(2), 15 << 20)));
        drop(honest);
        assert_eq!(budget.heaviest(), None);
    }
}
