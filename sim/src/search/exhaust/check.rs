//! The oracles between the two ends of a world, in every state and in those where nothing is left
//! to happen.

use super::ends::Ends;
use super::program::{Ending, Over, Program};
use super::state::State;
use super::world::{Successor, World};
use crate::base::Side;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use striper_core::Reason;

pub fn guard<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        text.or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "a panic".to_owned())
    })
}

/// Successors, and whether the state needs further trouble to go on.
type Visit<Id> = (Vec<Successor<Id>>, bool);

impl World {
    /// The successors of a state, or what is wrong with it.
    pub fn visit<E: Ends>(
        &self,
        ends: &mut E,
        state: &State<E::Id>,
    ) -> Result<Visit<E::Id>, String> {
        guard(|| {
            self.check(ends, state);
            let next = self.successors(ends, state);
            let is_terminal = !next.iter().any(|next| next.event.is_fair() && next.state != *state);
            if is_terminal {
                self.check_complete(ends, state);
            }
            (next, is_terminal)
        })
    }

    /// Panics unless the two ends agree with each other.
    fn check<E: Ends>(&self, ends: &E, state: &State<E::Id>) {
        let both = [0, 1].map(|side| ends.end(&state.ends[side]));
        for side in Side::BOTH {
            let (here, there) = (both[side.index()], both[side.other().index()]);
            for (program, other) in here.programs.iter().zip(&there.programs) {
                assert!(program.delivered <= other.given, "more delivered than given");
                let has_sent = !program.got_fin || other.finished;
                assert!(has_sent, "a FIN before the other end has finished");
                if let Some(Over::Reset(reason)) = program.over
                    && reason != Reason::SessionLost
                    && here.ended().is_none()
                {
                    let cause = Some(Over::OwnReset);
                    assert_eq!(other.over, cause, "a reset before the other end has reset");
                }
            }
            if here.ended().is_some() || there.ended().is_some() {
                continue;
            }
            let (sent, received) = (here.endpoint.session.stats(), there.endpoint.session.stats());
            for stripe in &sent.stripes {
                let mut peers = received.stripes.iter();
                if let Some(peer) = peers.find(|peer| peer.stripe == stripe.stripe) {
                    let processed = stripe.acknowledged <= peer.received;
                    assert!(processed, "acknowledged before it was processed");
                    assert!(peer.received <= stripe.sent, "received more than was sent");
                }
            }
        }
    }

    /// Panics unless all is complete, or has a cause why it isn't, with nothing left to happen.
    fn check_complete<E: Ends>(&self, ends: &E, state: &State<E::Id>) {
        let mut queues = state.stripes.iter().flat_map(|stripe| &stripe.queues);
        assert!(queues.all(VecDeque::is_empty), "messages in flight and nothing to happen");
        for side in Side::BOTH {
            let end = ends.end(&state.ends[side.index()]);
            if end.ended().is_some() {
                let open = |program: &Program| program.id.is_some() && program.over.is_none();
                assert!(!end.programs.iter().any(open), "a flow outlives its session");
                assert!(self.budget.resumes > 0, "the session has ended without a cause");
                continue;
            }
            for program in &end.programs {
                self.check_program(program);
            }
            let stats = end.endpoint.session.stats();
            let open = end.programs.iter().filter(|program| program.over.is_none()).count();
            assert_eq!(stats.flows, open, "flows that are over are still kept at the {side:?}");
            assert!((stats.held, stats.reordering) == (0, 0), "memory is held for nothing");
            let missed = self.plan.config.stripes - stats.stripes.len();
            let may_miss = missed == 0 || state.budget.dials == 0;
            assert!(may_miss, "{missed} stripes missed at the {side:?}");
        }
    }

    /// Panics unless a program whose session lives has come to its end.
    fn check_program(&self, program: &Program) {
        let Program { flow, side, over, .. } = *program;
        let plan = &self.plan.flows[flow];
        let (here, there) = (&plan.ends[side.index()], &plan.ends[side.other().index()]);
        let has = |ending| here.ending == ending || there.ending == ending;
        if !plan.answer.1 {
            assert!(matches!(over, Some(Over::Refused | Over::OwnRefusal)), "{program:?}");
        } else if has(Ending::Reset) {
            let reset = matches!(over, Some(Over::Reset(_) | Over::OwnReset));
            assert!(reset, "flow {flow} was not reset at the {side:?}");
        } else {
            assert_eq!(program.delivered, there.total(), "not all has come to the {side:?}");
            assert_eq!(program.given, here.total(), "the {side:?} could not give all");
            assert_eq!(program.got_fin, there.ending == Ending::Fin, "a FIN is missing");
            let due = if has(Ending::Never) { None } else { Some(Over::Ended) };
            assert_eq!(over, due, "flow {flow} at the {side:?}");
        }
    }
}
