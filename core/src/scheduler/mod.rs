//! Chooses the stripe for the next piece of data.

mod earliest;
pub(crate) mod reinject;
mod round_robin;
#[cfg(any(test, feature = "testing"))]
pub(crate) mod script;
pub(crate) mod trace;
mod until_congested;

use crate::config::SchedulerKind;
use crate::id::StripeId;
use crate::rate::Rate;
use earliest::Earliest;
use round_robin::RoundRobin;
#[cfg(any(test, feature = "testing"))]
use script::Script;
use trace::Trace;
use until_congested::UntilCongested;

/// A live stripe that is not in doubt, as a scheduler sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Candidate {
    pub stripe: StripeId,
    pub writable: bool,
    /// Shortest acknowledgement time in microseconds, if known.
    pub min_rtt: Option<u64>,
    pub rate: Option<Rate>,
    /// Bytes handed over and not acknowledged.
    pub in_flight: u64,
    /// Bytes of those that are not on the wire yet.
    pub unwritten: u64,
    /// The largest piece that it gets at once, in bytes.
    pub chunk: u64,
}

/// A way to choose. Everything that decides which stripe carries what is sent next implements this:
/// the schedulers, a script that tries all choices, and a trace that is followed.
pub(crate) trait Choose {
    /// Chooses a stripe for `len` bytes out of `candidates`, sorted by number. `backlog` bytes wait
    /// in all, these included, and have the credit to go. `None`: better to wait.
    fn pick(&mut self, candidates: &[Candidate], len: u64, backlog: u64) -> Option<StripeId>;

    /// Chooses a stripe for a small control frame: where it should arrive soonest.
    fn pick_for_control(&mut self, candidates: &[Candidate]) -> Option<StripeId> {
        fastest(candidates)
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Scheduler {
    Earliest(Earliest),
    UntilCongested(UntilCongested),
    RoundRobin(RoundRobin),
    #[cfg(any(test, feature = "testing"))]
    Script(Script),
    Trace(Trace),
}

impl Scheduler {
    pub(crate) fn new(kind: SchedulerKind) -> Self {
        match kind {
            SchedulerKind::Earliest => Scheduler::Earliest(Earliest),
            SchedulerKind::UntilCongested => Scheduler::UntilCongested(UntilCongested::default()),
            SchedulerKind::RoundRobin => Scheduler::RoundRobin(RoundRobin::default()),
        }
    }
}

impl Choose for Scheduler {
    fn pick(&mut self, candidates: &[Candidate], len: u64, backlog: u64) -> Option<StripeId> {
        match self {
            Scheduler::Earliest(earliest) => earliest.pick(candidates, len, backlog),
            Scheduler::UntilCongested(sticky) => sticky.pick(candidates, len, backlog),
            Scheduler::RoundRobin(circle) => circle.pick(candidates, len, backlog),
            #[cfg(any(test, feature = "testing"))]
            Scheduler::Script(script) => script.pick(candidates, len, backlog),
            Scheduler::Trace(trace) => trace.pick(candidates, len, backlog),
        }
    }

    fn pick_for_control(&mut self, candidates: &[Candidate]) -> Option<StripeId> {
        match self {
            #[cfg(any(test, feature = "testing"))]
            Scheduler::Script(script) => script.pick_for_control(candidates),
            Scheduler::Trace(trace) => trace.pick_for_control(candidates),
            _ => fastest(candidates),
        }
    }
}

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
    fn the_last_choice_is_remembered_for_data_and_not_for_control() {
        let stripes = [candidate(1), candidate(4)];
        let mut scheduler = Scheduler::new(SchedulerKind::RoundRobin);
        for id in [1, 4, 1] {
            assert_eq!(scheduler.pick(&stripes, 1, 1), Some(StripeId(id)));
            assert_eq!(scheduler.pick_for_control(&stripes), Some(StripeId(1)));
        }
        assert_eq!(scheduler.pick(&[], 1, 1), None);
        let next = scheduler.pick(&stripes, 1, 1);
        assert_eq!(next, Some(StripeId(4)), "having to wait changes nothing");
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
