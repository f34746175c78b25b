//! The end of flows, by the session or for good.

use super::Flows;
use crate::driver::base::Base;
use crate::driver::local_end::Stage;
use crate::driver::ready::Token;
use crate::driver::stripes::Stripes;
use crate::report::{Cut, FlowEnd};
use std::collections::BTreeSet;
use striper_core::{FlowId, Reason};

impl Flows {
    /// It is over: it leaves all tables, and those who wait hear how it ended.
    pub(crate) fn conclude(
        &mut self,
        token: Token,
        how: FlowEnd,
        stripes: &Stripes,
        base: &mut Base,
    ) {
        let Some(end) = self.ends.remove(&token) else { return };
        base.agenda.release(token);
        self.listeners.remove(&token);
        self.lingering -= end.lingering;
        match end.stage {
            Stage::Open(id) => {
                self.open.remove(&id);
            }
            Stage::Waiting(_) => {
                self.waiting.remove(&token);
            }
            _ => {}
        }
        end.conclude(how, base.engine.now(), stripes.carried());
    }

    /// Lets go of those that the session has ended with a reset, with all that waits for them.
    pub(crate) fn drop_lingering(&mut self, stripes: &Stripes, base: &mut Base) {
        let ends = self.ends.iter();
        let lingering: Vec<(Token, FlowEnd)> =
            ends.filter_map(|(token, end)| Some((*token, end.lingering_end()?))).collect();
        for (token, how) in lingering {
            self.conclude(token, how, stripes, base);
        }
    }

    /// The session has ended it before its time.
    pub(crate) fn cut(&mut self, id: FlowId, how: FlowEnd, base: &mut Base) {
        let Some((token, end)) = self.open_mut(id) else { return };
        self.lingering += end.linger(base.engine.now(), how);
        self.open.remove(&id);
        base.agenda.unwritten(token);
    }

    /// The session has reset it; `cut` is why it ends, if it does.
    pub(crate) fn reset(&mut self, id: FlowId, reason: Reason, cut: Option<Cut>, base: &mut Base) {
        // The peer may have reset others just before.
        let lost = cut.filter(|_| reason == Reason::SessionLost);
        let is_connection = |token| !self.listeners.contains(token);
        if lost.is_some() && self.open.get(&id).is_some_and(is_connection) {
            self.lost += 1;
        }
        self.cut(id, lost.map_or(FlowEnd::Reset(reason), FlowEnd::Cut), base);
    }

    /// How many connections the end of the session has reset since the last call.
    pub(crate) fn take_lost(&mut self) -> usize {
        std::mem::take(&mut self.lost)
    }

    /// The session has ended and has no more use for any.
    pub(crate) fn cut_all(&mut self, why: Cut, base: &mut Base) {
        for id in self.open.keys().copied().collect::<BTreeSet<_>>() {
            self.cut(id, FlowEnd::Cut(why), base);
        }
    }

    /// Local pipes of flows that the session has done with get a last chance to take their bytes.
    pub(crate) fn stop_closing(&mut self, how: FlowEnd, base: &mut Base) {
        for (token, end) in &mut self.ends {
            if matches!(end.stage, Stage::Closing) {
                self.lingering += end.linger(base.engine.now(), how.clone());
                base.agenda.unwritten(*token);
            }
        }
    }

    /// The session has done with it.
    pub(crate) fn close(&mut self, id: FlowId, base: &mut Base) {
        if let Some((token, end)) = self.open_mut(id) {
            end.stage = Stage::Closing;
            self.open.remove(&id);
            base.agenda.unwritten(token);
        }
    }
}
