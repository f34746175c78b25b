//! The memory of a session, and its part of the limit that the sessions of a server share.

use super::base::Base;
use super::engine::Engine;
use super::flows::Flows;
use super::stripes::Stripes;
use crate::admission::budget::Share;
use crate::report::{Event, FlowEnd};
use striper_core::{Input, Reason};

/// A session's part of the memory that several share. A client's session shares none.
#[derive(Default)]
pub(super) struct Memory(Option<Share>);

impl Memory {
    pub(super) fn sharing(mut share: Share, engine: &Engine) -> Self {
        share.use_up(engine.session().memory_used(), 0);
        Memory(Some(share))
    }

    pub(super) fn hear_limit(&mut self, engine: &mut Engine) {
        if let Some((receive, send)) = self.0.as_mut().and_then(Share::changed) {
            engine.input(Input::MemoryLimit { receive, send });
        }
    }

    pub(super) fn account(&mut self, engine: &Engine, flows: &Flows, stripes: &Stripes) {
        if let Some(share) = &mut self.0 {
            share.use_up(engine.session().memory_used(), kept(engine, flows, stripes));
        }
    }

    /// Whether there are as many flows as may be, or memory is tight.
    pub(super) fn is_crowded(&self, engine: &Engine, flows: &Flows) -> bool {
        flows.kept() as u64 >= engine.config().max_flows.saturating_mul(2)
            || self.0.as_ref().is_some_and(Share::is_tight)
    }
}

/// The memory that is kept for a session, in bytes.
pub(super) fn kept(engine: &Engine, flows: &Flows, stripes: &Stripes) -> u64 {
    engine.session().memory_kept() + flows.lingering() + stripes.memory()
}

/// Lets go until `excess` bytes less are kept: first of flows that the session has done with, then
/// of the heaviest. If that is not enough the session ends, since it alone could free the rest.
pub(super) fn shed(excess: u64, flows: &mut Flows, stripes: &Stripes, base: &mut Base) {
    let goal = kept(&base.engine, flows, stripes).saturating_sub(excess);
    flows.drop_lingering(stripes, base);
    let mut reset = 0;
    for (flow, _) in base.engine.session().heaviest_flows() {
        if kept(&base.engine, flows, stripes) <= goal {
            break;
        }
        reset += 1;
        let reason = Reason::Unavailable;
        base.engine.input(Input::FlowReset { flow, reason });
        if let Some(token) = flows.token(flow) {
            flows.conclude(token, FlowEnd::Reset(reason), stripes, base);
        }
    }
    let ended = kept(&base.engine, flows, stripes) > goal;
    if ended {
        base.engine.input(Input::Abort);
    }
    if reset > 0 || ended {
        let session = base.engine.tag();
        base.engine.tell(Event::MemoryShort { session, flows: reset, ended });
    }
    base.agenda.wake();
}
