//! Changes while the session goes on: of keys, of times, and of the flows that may be carried.

use super::Pump;
use crate::pipe::Peer;
use crate::report::{Cut, FlowEnd};
use crate::tls::ClientTls;
use std::time::Duration;
use striper_core::{FlowId, Input, Reason};

impl Pump {
    /// Ends the session at once, because the key of the other side is no longer accepted.
    pub(crate) fn end_revoked(&mut self) {
        self.life.revoked = true;
        self.abort();
    }

    /// Client: what stripes need from the next session on. That begins when the present one carries
    /// nothing, and at once if not all of its stripes lead to somebody who `is_accepted`.
    pub(crate) fn set_tls(&mut self, tls: ClientTls, is_accepted: impl Fn(&Peer) -> bool) {
        if let Some(client) = &mut self.client {
            client.set_tls(tls);
        }
        if !self.stripes.all_lead_to(is_accepted) {
            self.end_revoked();
        }
        self.base.agenda.wake();
    }

    /// Client: how long a flow that is opened from now on waits for a session.
    pub(crate) fn set_connect_timeout(&mut self, limit: Duration) {
        self.client.iter_mut().for_each(|client| client.set_connect_timeout(limit));
    }

    /// Ends one flow, because this side no longer carries it.
    pub(crate) fn cut_flow(&mut self, flow: FlowId, cut: Cut) {
        if let Some(token) = self.flows.token(flow) {
            let reason = Reason::NotAllowed;
            self.base.engine.input(Input::FlowReset { flow, reason });
            self.conclude(token, FlowEnd::Cut(cut));
            self.base.agenda.wake();
        }
    }
}
