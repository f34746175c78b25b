//! What must hold between the two ends of a world in every state, and in those where nothing is
//! left to happen.

use super::answers::Ends;
use super::program::{Ending, Over, Program};
use super::state::State;
use super::world::World;
use crate::base::Side;
use std::collections::VecDeque;

impl World {
    /// What must hold between the two ends, whatever has happened. Panics otherwise.
    pub fn check<E: Ends>(&self, ends: &E, state: &State<E::Id>) {
        let both = [0, 1].map(|side| ends.end(&state.ends[side]));
        for side in Side::BOTH {
            let (here, there) = (both[side.index()], both[side.other().index()]);
            for (program, other) in here.programs().iter().zip(there.programs()) {
                assert!(program.delivered <= other.given, "more delivered than given");
                assert!(
                    !program.got_fin || other.finished,
                    "a FIN before the other end has finished"
                );
                if let Some(Over::Reset(reason)) = program.over
                    && reason != striper_core::Reason::SessionLost
                    && here.ended().is_none()
                {
                    assert_eq!(
                        other.over,
                        Some(Over::OwnReset),
                        "a reset before the other end has reset"
                    );
                }
            }
            if here.ended().is_some() || there.ended().is_some() {
                continue;
            }
            let (sent, received) = (here.session().stats(), there.session().stats());
            for stripe in &sent.stripes {
                if let Some(peer) =
                    received.stripes.iter().find(|peer| peer.stripe == stripe.stripe)
                {
                    assert!(
                        stripe.acknowledged <= peer.received,
                        "acknowledged before it was processed"
                    );
                    assert!(peer.received <= stripe.sent, "received more than was sent");
                }
            }
        }
    }

    /// What must hold when nothing is left to happen: all is complete, or there is a cause why it
    /// isn't. Panics otherwise.
    pub fn check_complete<E: Ends>(&self, ends: &E, state: &State<E::Id>) {
        let mut queues = state.stripes.iter().flat_map(|stripe| &stripe.queues);
        assert!(queues.all(VecDeque::is_empty), "messages in flight and nothing to happen");
        for side in Side::BOTH {
            let end = ends.end(&state.ends[side.index()]);
            if end.ended().is_some() {
                let open = |program: &Program| program.id.is_some() && program.over.is_none();
                assert!(!end.programs().iter().any(open), "a flow outlives its session");
                assert!(self.budget.resumes > 0, "the session has ended without a cause");
                continue;
            }
            for program in end.programs() {
                self.check_program(program);
            }
            let stats = end.session().stats();
            let open = end.programs().iter().filter(|program| program.over.is_none()).count();
            assert_eq!(stats.flows, open, "flows that are over are still kept at the {side:?}");
            assert!((stats.held, stats.reordering) == (0, 0), "memory is held for nothing");
            let missed = self.plan.config.stripes - stats.stripes.len();
            assert!(
                missed == 0 || state.budget.dials == 0,
                "{missed} stripes missed at the {side:?}"
            );
        }
    }

    /// What a program must have come to when nothing is left to happen and its session lives.
    fn check_program(&self, program: &Program) {
        let plan = &self.plan.flows[program.flow];
        let (here, there) =
            (&plan.ends[program.side.index()], &plan.ends[program.side.other().index()]);
        let has = |ending| here.ending == ending || there.ending == ending;
        if !plan.answer.1 {
            assert!(matches!(program.over, Some(Over::Refused | Over::OwnRefusal)), "{program:?}");
        } else if has(Ending::Reset) {
            let reset = matches!(program.over, Some(Over::Reset(_) | Over::OwnReset));
            assert!(reset, "flow {} was not reset at the {:?}", program.flow, program.side);
        } else {
            assert_eq!(
                program.delivered,
                there.total(),
                "not all has come to the {:?}",
                program.side
            );
            assert_eq!(program.given, here.total(), "the {:?} could not give all", program.side);
            assert_eq!(program.got_fin, there.ending == Ending::Fin, "a FIN is missing");
            let over = if has(Ending::Never) { None } else { Some(Over::Ended) };
            assert_eq!(program.over, over, "flow {} at the {:?}", program.flow, program.side);
        }
    }
}
