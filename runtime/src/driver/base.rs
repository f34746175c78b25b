//! The session and the agenda, which all parts of a pump use.

use super::agenda::Agenda;
use super::engine::Engine;

pub(crate) struct Base {
    pub engine: Engine,
    pub agenda: Agenda,
}

impl Base {
    pub(crate) fn new(engine: Engine) -> Self {
        Base { agenda: Agenda::new(engine.timer()), engine }
    }
}
