//! The way of a flow from this side until the session knows it: it waits for a session, and then
//! for the session's answer.

use super::Flows;
use crate::driver::base::Base;
use crate::driver::engine::Engine;
use crate::driver::local_end::Stage;
use crate::driver::ready::Token;
use crate::driver::stripes::Stripes;
use crate::report::{FlowEnd, OpenError};
use striper_core::{FlowId, Input, Instant, Reason};

impl Flows {
    /// Client: there is no session for it now. It waits for one until then.
    pub(crate) fn wait(&mut self, token: Token, until: Instant, base: &mut Base) {
        let Some(end) = self.ends.get_mut(&token) else { return };
        end.stage = Stage::Waiting(until);
        self.waiting.insert(token);
        self.sweep.need();
        base.agenda.at(until, token);
    }

    /// Client: there will be no session for those that wait for one.
    pub(crate) fn fail_waiting(&mut self, error: &OpenError, stripes: &Stripes, base: &mut Base) {
        for token in std::mem::take(&mut self.waiting) {
            self.conclude(token, FlowEnd::NoSession(error.clone()), stripes, base);
        }
    }

    /// Asks the session for it.
    pub(crate) fn ask_for(&mut self, token: Token, engine: &mut Engine) {
        let Some(end) = self.ends.get_mut(&token) else { return };
        let request = self.next_request;
        let opaque = end.ask(request);
        self.next_request += 1;
        self.sweep.need();
        self.opening.insert(request, token);
        engine.input(Input::FlowOpen { request, opaque });
    }

    pub(crate) fn ask_for_waiting(&mut self, engine: &mut Engine) {
        for token in std::mem::take(&mut self.waiting) {
            self.ask_for(token, engine);
        }
    }

    /// Requests that have no answer yet, in their order.
    pub(crate) fn requests(&self) -> Vec<u64> {
        let mut requests: Vec<u64> = self.opening.keys().copied().collect();
        requests.sort_unstable();
        requests
    }

    /// The session has said no to a request. Gives the request's flow, if it still exists.
    pub(crate) fn take_request(&mut self, request: u64) -> Option<Token> {
        let token = self.opening.remove(&request)?;
        let end = self.ends.get(&token)?;
        matches!(end.stage, Stage::Opening(asked) if asked == request).then_some(token)
    }

    /// The session knows it now.
    pub(crate) fn opened(&mut self, request: u64, id: FlowId, base: &mut Base) {
        let token = self.take_request(request);
        let Some((token, end)) = token.and_then(|token| Some((token, self.ends.get_mut(&token)?)))
        else {
            // Its local pipe has broken meanwhile.
            return base.engine.defer(Input::FlowReset { flow: id, reason: Reason::Aborted });
        };
        end.open(id);
        self.open.insert(id, token);
        base.agenda.again(token);
    }
}
