//! The ways in which a pump is asked to end.

use super::Pump;
use crate::driver::memory::Memory;
use crate::handover::Sender;
use crate::report::OpenError;
use std::time::Duration;
use striper_core::Input;

impl Pump {
    /// Takes no more flows, lets them end within `drain`, resets the rest and drops `waiter`.
    pub(crate) fn shutdown(&mut self, drain: Duration, waiter: Sender<()>) {
        if self.life.over {
            return;
        }
        self.life.shut_down(self.base.engine.now() + drain, waiter);
        self.fail_waiting(&OpenError::ShuttingDown);
        self.flows.end_listeners(&self.stripes, &mut self.base);
        self.base.engine.input(Input::Shutdown);
        self.base.agenda.wake();
    }

    /// Ends the session once it carries nothing, and drops `waiter` then.
    pub(crate) fn retire(&mut self, waiter: Sender<()>) {
        self.life.retire(waiter);
        self.base.agenda.wake();
    }

    pub(super) fn abort(&mut self) {
        self.base.engine.defer(Input::Abort);
        self.base.agenda.wake();
    }

    /// Ends the session if it has neither stripes nor flows, and says whether it did.
    pub(crate) fn abandon(&mut self) -> bool {
        let abandoned = self.stripes.is_empty() && self.flows.carry_nothing();
        if abandoned {
            self.memory = Memory::default();
            self.abort();
        }
        abandoned
    }

    /// A retiring session ends once it carries nothing.
    pub(super) fn end_if_retiring(&mut self) {
        if self.life.is_retiring() && self.flows.carry_nothing() {
            self.flows.end_listeners(&self.stripes, &mut self.base);
            self.base.engine.defer(Input::Shutdown);
            self.settle();
        }
    }
}
