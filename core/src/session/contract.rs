//! The inputs that are mistakes of the caller. [`Session::handle`] asserts it; inputs that come
//! from a file or from a generator are asked about before.

use super::{Life, Session};
use crate::config::MAX_OPAQUE;
use crate::flow::send::SendState;
use crate::flow::table::IdState;
use crate::id::FlowId;
use crate::io::Input;
use alloc::format;
use alloc::string::String;

impl Session {
    /// Why this input would be a mistake of the caller, if it would. An ended session takes
    /// everything.
    pub(crate) fn mistake(&self, input: &Input) -> Option<String> {
        if self.life == Life::Ended {
            return None;
        }
        match input {
            Input::StripeUp { stripe, .. } => {
                self.stripes.is_live(*stripe).then(|| format!("stripe {stripe} is up already"))
            }
            Input::StripeWritten { stripe, total } => {
                let sent = self.stripes.get(*stripe)?.sent();
                let why = || format!("{total} bytes written on {stripe}, {sent} transmitted");
                (*total > sent).then(why)
            }
            Input::FlowOpen { opaque, .. } => {
                let len = opaque.len();
                let why = || format!("opaque field of {len} bytes, at most {MAX_OPAQUE}");
                (len > MAX_OPAQUE).then(why)
            }
            Input::FlowData { flow, data } => {
                self.not_issued(*flow).or_else(|| self.too_much(*flow, data.len() as u64))
            }
            Input::FlowConsumed { flow, total } => self.not_issued(*flow).or_else(|| {
                let delivered = self.flows.with_local(*flow)?.recv().delivered();
                let why =
                    || format!("{total} bytes consumed of flow {flow}, {delivered} delivered");
                (*total > delivered).then(why)
            }),
            Input::FlowAccept { flow }
            | Input::FlowRefuse { flow, .. }
            | Input::FlowFinish { flow }
            | Input::FlowReset { flow, .. } => self.not_issued(*flow),
            Input::MemoryLimit { receive, send } => {
                let (share, most) = (receive.max(send), self.config.memory_limit / 2);
                let why = || format!("a share of {share} bytes, half the memory limit is {most}");
                (*share > most).then(why)
            }
            Input::StripeBytes { .. }
            | Input::StripeArrived { .. }
            | Input::StripeControl { .. }
            | Input::StripeDown { .. }
            | Input::Shutdown
            | Input::Abort
            | Input::Tick => None,
        }
    }

    /// A caller may only name flows that it was told of. Flows that have ended since are ordinary
    /// races.
    fn not_issued(&self, flow: FlowId) -> Option<String> {
        let issued = match self.flows.id_state(flow) {
            Ok(IdState::Exists) => self.flows.get(flow).is_some_and(|entry| !entry.is_early()),
            Ok(IdState::Ended) => true,
            Ok(IdState::Free) | Err(_) => false,
        };
        (!issued).then(|| format!("flow {flow} was never issued"))
    }

    fn too_much(&self, flow: FlowId, len: u64) -> Option<String> {
        match self.flows.with_local(flow)?.send().state() {
            SendState::Stopped => None,
            SendState::Open => {
                let room = self.flows.send_room(flow);
                let why = || format!("{len} bytes for flow {flow}, which takes {room}");
                (len > room).then(why)
            }
            _ => Some(format!("data for flow {flow} after its end")),
        }
    }
}
