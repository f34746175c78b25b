//! The requests of a user about single flows and traces.

use super::Pump;
use crate::driver::ready::Token;
use crate::handover::Sender;
use crate::pipe::Pipe;
use crate::record::Traces;
use crate::report::{FlowEnd, FlowReport};
use std::sync::Arc;
use striper_core::{FlowId, Input, Reason};

impl Pump {
    /// Client: as [`Flows::join`](crate::driver::flows::Flows::join).
    pub(crate) fn join_flow(&mut self, token: Token, local: Box<dyn Pipe>) {
        self.flows.join(token, local, &mut self.base);
    }

    /// Client: as [`Flows::abandon`](crate::driver::flows::Flows::abandon).
    pub(crate) fn abandon_flow(&mut self, token: Token) {
        self.flows.abandon(token, &self.stripes, &mut self.base);
    }

    /// Server: accepts a flow that the client opened, and carries `local` over it.
    pub(crate) fn attach(&mut self, id: FlowId, local: Box<dyn Pipe>, report: Sender<FlowReport>) {
        self.flows.attach(id, local, report, &mut self.base);
    }

    pub(crate) fn refuse(&mut self, id: FlowId, reason: Reason) {
        if let Some(token) = self.flows.token(id) {
            self.base.engine.input(Input::FlowRefuse { flow: id, reason });
            self.conclude(token, FlowEnd::Refused(reason));
            self.base.agenda.wake();
        }
    }

    /// The user's name for a flow that the peer has opened.
    pub(crate) fn label_flow(&mut self, id: FlowId, label: u64) {
        self.flows.label(id, label);
    }

    /// Resets the connection with this label, and says whether there is one.
    pub(crate) fn close_flow(&mut self, label: u64) -> bool {
        let mut ends = self.flows.ends();
        let Some((token, _)) = ends.find(|(_, end)| end.label == Some(label)) else { return false };
        drop(ends);
        self.flows.close_now(token, &self.stripes, &mut self.base);
        true
    }

    /// Sessions that begin from now on are recorded there; without, nothing is recorded any more.
    /// A client begins another session for that as soon as the present one carries nothing.
    pub(crate) fn set_traces(&mut self, traces: Option<Arc<Traces>>) {
        self.base.engine.set_traces(traces);
        self.base.agenda.wake();
    }
}
