//! Which stripe carries the next piece of data.

mod earliest;
pub(crate) mod reinject;
mod round_robin;
pub(crate) mod script;
mod until_congested;

use crate::config::SchedulerKind;
use crate::id::StripeId;
use script::Script;

/// A live stripe that is not in doubt, as a scheduler sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Candidate {
    pub stripe: StripeId,
    /// Takes the piece now.
    pub writable: bool,
    /// Shortest acknowledgement time in microseconds, if known.
    pub min_rtt: Option<u64>,
    /// Bytes per second, if known.
    pub rate: Option<u64>,
    /// Bytes handed over and not acknowledged.
    pub in_flight: u64,
    /// Bytes of those that are not on the wire yet.
    pub unwritten: u64,
    /// The largest piece that it gets at once, in bytes.
    pub chunk: u64,
}

/// A way to choose, with what it remembers.
#[derive(Clone, Debug)]
pub(crate) struct Scheduler {
    kind: SchedulerKind,
    /// The stripe chosen last, for the kinds that go on from there.
    last: Option<StripeId>,
    /// Chooses instead, while worlds are enumerated.
    pub script: Option<Script>,
}

impl Scheduler {
    pub fn new(kind: SchedulerKind) -> Self {
        Scheduler { kind, last: None, script: None }
    }

    /// Chooses a stripe for `len` bytes out of `candidates`, sorted by number. `backlog` bytes wait
    /// in all, these included, and have the credit to go. `None`: better to wait.
    pub fn pick(&mut self, candidates: &[Candidate], len: u64, backlog: u64) -> Option<StripeId> {
        if let Some(script) = &mut self.script {
            return script.pick(candidates);
        }
        let choice = match self.kind {
            SchedulerKind::Earliest => earliest::pick(candidates, len, backlog),
            SchedulerKind::UntilCongested => until_congested::pick(candidates, self.last),
            SchedulerKind::RoundRobin => round_robin::pick(candidates, self.last),
        };
        if choice.is_some() {
            self.last = choice;
        }
        choice
    }

    /// The stripe on which a small control frame should arrive soonest, whatever the kind.
    pub fn pick_for_control(&mut self, candidates: &[Candidate]) -> Option<StripeId> {
        match &mut self.script {
            Some(script) => script.pick_for_control(candidates),
            None => fastest(candidates),
        }
    }

    /// The stripe chosen last.
    pub fn last(&self) -> Option<StripeId> {
        self.last
    }
}

/// See [`Scheduler::pick_for_control`].
fn fastest(candidates: &[Candidate]) -> Option<StripeId> {
    candidates
        .iter()
        .filter(|candidate| candidate.writable)
        .min_by_key(|candidate| {
            (earliest::arrival(candidate, 0, earliest::assumed_rate(candidates)), candidate.stripe)
        })
        .map(|candidate| candidate.stripe)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stripe that takes data and of which nothing is known.
    pub(super) fn candidate(id: u64) -> Candidate {
        Candidate {
            stripe: StripeId(id),
            writable: true,
            min_rtt: None,
            rate: None,
            in_flight: 0,
            unwritten: 0,
            chunk: 64 << 10,
        }
    }

    pub(super) fn ids<const N: usize>(ids: [u64; N]) -> [Option<StripeId>; N] {
        ids.map(|id| Some(StripeId(id)))
    }

    #[test]
    fn control_goes_to_the_writable_stripe_where_it_arrives_first() {
        let far = Candidate { min_rtt: Some(80_000), ..candidate(0) };
        let near = Candidate { min_rtt: Some(20_000), ..candidate(1) };
        let nearest = Candidate { min_rtt: Some(10_000), writable: false, ..candidate(2) };
        assert_eq!(fastest(&[far, near, nearest]), Some(StripeId(1)));
        assert_eq!(fastest(&[nearest]), None);
        let mut queued = near;
        (queued.in_flight, queued.unwritten) = (1 << 20, 1 << 20);
        assert_eq!(fastest(&[far, queued]), Some(StripeId(0)));
    }

    #[test]
    fn what_was_chosen_last_is_remembered_for_data_and_not_for_control() {
        let stripes = [candidate(1), candidate(4)];
        let mut scheduler = Scheduler::new(SchedulerKind::RoundRobin);
        assert_eq!(scheduler.last(), None);
        for id in [1, 4, 1] {
            assert_eq!(scheduler.pick(&stripes, 1, 1), Some(StripeId(id)));
            assert_eq!(scheduler.pick_for_control(&stripes), Some(StripeId(1)));
            assert_eq!(scheduler.last(), Some(StripeId(id)));
        }
        assert_eq!(scheduler.pick(&[], 1, 1), None);
        assert_eq!(scheduler.last(), Some(StripeId(1)), "having to wait changes nothing");
    }

    #[test]
    fn a_script_chooses_instead_of_any_kind() {
        let stripes = [candidate(1), candidate(4)];
        let mut scheduler = Scheduler::new(SchedulerKind::Earliest);
        scheduler.script = Some(Script::new([1, 1].into(), true));
        assert_eq!(scheduler.pick(&stripes, 1, 1), Some(StripeId(4)));
        assert_eq!(scheduler.pick_for_control(&stripes), Some(StripeId(4)));
    }

    #[test]
    fn each_kind_chooses_nothing_when_nothing_is_writable() {
        let full = Candidate { writable: false, ..candidate(0) };
        for kind in
            [SchedulerKind::Earliest, SchedulerKind::UntilCongested, SchedulerKind::RoundRobin]
        {
            assert_eq!(Scheduler::new(kind).pick(&[full], 1, 1), None);
            assert_eq!(Scheduler::new(kind).pick(&[], 1, 1), None);
        }
    }
}
