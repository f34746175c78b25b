//! The requests of a user about flows that have not been concluded.

use super::{Flows, broken};
use crate::driver::base::Base;
use crate::driver::ready::Token;
use crate::driver::stripes::Stripes;
use crate::pipe::Pipe;
use crate::report::{Cut, FlowEnd};
use striper_core::FlowId;

impl Flows {
    /// Client: the local pipe of a flow that began without. The flow has not been concluded.
    pub(crate) fn join(&mut self, token: Token, local: Box<dyn Pipe>, base: &mut Base) {
        if let Some(end) = self.ends.get_mut(&token) {
            end.join(local);
            self.sweep.need();
            base.agenda.unwritten(token);
            base.agenda.again(token);
            base.agenda.wake();
        }
    }

    /// The local program of a flow that has not been concluded is gone.
    pub(crate) fn abandon(&mut self, token: Token, stripes: &Stripes, base: &mut Base) {
        if let Some(end) = self.ends.get(&token) {
            let how = broken(end, &mut base.engine);
            self.conclude(token, how, stripes, base);
            base.agenda.wake();
        }
    }

    /// The user wants a flow that has not been concluded to end now.
    pub(crate) fn close_now(&mut self, token: Token, stripes: &Stripes, base: &mut Base) {
        if let Some(end) = self.ends.get(&token) {
            broken(end, &mut base.engine);
            self.conclude(token, FlowEnd::Cut(Cut::Closed), stripes, base);
            base.agenda.wake();
        }
    }

    /// The user's name for a flow of the peer.
    pub(crate) fn label(&mut self, id: FlowId, label: u64) {
        if let Some((_, end)) = self.open_mut(id) {
            end.label = Some(label);
        }
    }

    /// The session takes no more connections, so its listeners are of no use.
    pub(crate) fn end_listeners(&mut self, stripes: &Stripes, base: &mut Base) {
        for token in self.listeners.clone() {
            self.abandon(token, stripes, base);
        }
    }
}
