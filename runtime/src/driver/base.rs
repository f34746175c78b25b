//! The session and the agenda, which all parts of a pump use.

use super::agenda::Agenda;
use super::engine::Engine;
use crate::ports::clock::Clock;
use crate::record::Traces;
use std::rc::Rc;
use std::sync::Arc;
use striper_core::{Config, Role, SessionId};

pub(crate) struct Base {
    pub engine: Engine,
    pub agenda: Agenda,
}

impl Base {
    pub(crate) fn new(
        clock: Rc<dyn Clock>,
        config: Config,
        id: SessionId,
        role: Role,
        traces: Option<Arc<Traces>>,
    ) -> Self {
        Base {
            agenda: Agenda::new(clock.timer()),
            engine: Engine::new(clock, config, id, role, traces),
        }
    }
}
