//! What a caller may not do, told before [`Session::handle`] panics over it: for inputs that come
//! from a file.

use super::Session;
use crate::config::MAX_OPAQUE;
use crate::flow::Phase;
use crate::flow::send::SendState;
use crate::flow::table::IdState;
use crate::id::FlowId;
use crate::io::Input;
use alloc::format;
use alloc::string::String;

impl Session {
    /// Why this input would be a mistake of the caller, if it would.
    pub(crate) fn misuse(&self, input: &Input) -> Option<String> {
        if self.life == super::Life::Ended {
            return None;
        }
        match input {
            Input::StripeUp { stripe, .. } if self.stripes.live.contains_key(stripe) => {
                Some(format!("stripe {stripe} is up already"))
            }
            Input::StripeWritten { stripe, total } => {
                let sent = self.stripes.live.get(stripe)?.sent;
                (*total > sent).then(|| {
                    format!("{total} bytes written on stripe {stripe}, {sent} transmitted")
                })
            }
            Input::FlowOpen { opaque, .. } => (opaque.len() > MAX_OPAQUE)
                .then(|| format!("a target of {} bytes, at most {MAX_OPAQUE}", opaque.len())),
            Input::FlowData { flow, data } => {
                self.never_issued(*flow).or_else(|| self.too_much(*flow, data.len() as u64))
            }
            Input::FlowConsumed { flow, total } => self.never_issued(*flow).or_else(|| {
                let entry = self.flows.flows.get(flow).filter(|entry| entry.has_local())?;
                let delivered = entry.recv.assembler.next();
                (*total > delivered).then(|| {
                    format!("{total} bytes consumed of flow {flow}, {delivered} delivered")
                })
            }),
            Input::FlowAccept { flow }
            | Input::FlowRefuse { flow, .. }
            | Input::FlowFinish { flow }
            | Input::FlowReset { flow, .. } => self.never_issued(*flow),
            Input::MemoryLimit { receive, send } => {
                let most = self.config.memory_limit / 2;
                (*receive.max(send) > most).then(|| {
                    format!("a share of {} bytes in a memory limit of {most}", receive.max(send))
                })
            }
            _ => None,
        }
    }

    fn never_issued(&self, flow: FlowId) -> Option<String> {
        let issued = match self.flows.id_state(flow) {
            Ok(IdState::Exists) => self.flows.flows[&flow].phase != Phase::Early,
            Ok(IdState::Ended) => true,
            Ok(IdState::Free) | Err(_) => false,
        };
        (!issued).then(|| format!("flow {flow} was never issued"))
    }

    fn too_much(&self, flow: FlowId, len: u64) -> Option<String> {
        let entry = self.flows.flows.get(&flow).filter(|entry| entry.has_local())?;
        let room = self.send_room(flow);
        match entry.send.state {
            SendState::Stopped => None,
            SendState::Open => {
                (len > room).then(|| format!("{len} bytes for flow {flow}, which takes {room}"))
            }
            _ => Some(format!("data for flow {flow} after its end")),
        }
    }
}
