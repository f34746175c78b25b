//! What all parts of a pump work with.

use super::agenda::Agenda;
use super::engine::Engine;
use crate::ports::clock::Clock;
use crate::record::Traces;
use std::rc::Rc;
use std::sync::Arc;
use striper_core::{Config, Role, SessionId};

/// What all parts of a pump work with.
pub struct Base {
    /// The session, its time and its events.
    pub engine: Engine,
    /// What the pump does next.
    pub agenda: Agenda,
}

impl Base {
    /// A new session and an empty agenda.
    pub fn new(
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
