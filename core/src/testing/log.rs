//! The flows of a session as its local side knows them.

use crate::error::Reason;
use crate::id::FlowId;
use crate::io::{Input, Output};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// How much a [`Log`] remembers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Keep {
    /// Nothing, for worlds whose programs keep a log of their own.
    Nothing,
    /// Flows and the counts of their bytes.
    Flows,
    /// The delivered bytes too.
    Data,
}

/// How a flow ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Over {
    /// In both directions.
    Ended,
    /// The local side has reset it.
    Reset,
    /// The local side has refused it.
    Refused,
    /// The session says that the peer has reset it.
    ResetByPeer(Reason),
    /// The session says that the peer has refused it.
    RefusedByPeer(Reason),
}

/// A flow.
#[derive(Clone, Debug, Default)]
pub struct FlowLog {
    /// The local side has opened it.
    pub ours: bool,
    /// The side that did not open it has accepted it.
    pub accepted: bool,
    /// Bytes that the local side has handed over.
    pub given: u64,
    /// The local side has finished it.
    pub finished: bool,
    /// Bytes that the local side was given.
    pub delivered: u64,
    /// These bytes, with [`Keep::Data`].
    pub data: Vec<u8>,
    /// Bytes that the local side has consumed.
    pub consumed: u64,
    /// The peer has finished it.
    pub fin: bool,
    /// How it ended, if it has.
    pub over: Option<Over>,
}

/// All flows of a session.
#[derive(Clone, Debug)]
pub struct Log {
    keep: Keep,
    flows: BTreeMap<FlowId, FlowLog>,
    requests: usize,
}

impl Log {
    pub(super) fn new(keep: Keep) -> Self {
        Log { keep, flows: BTreeMap::new(), requests: 0 }
    }

    /// Every flow, also those that are over.
    pub fn flows(&self) -> &BTreeMap<FlowId, FlowLog> {
        &self.flows
    }

    /// A flow that was begun.
    pub fn get(&self, flow: FlowId) -> Option<&FlowLog> {
        self.flows.get(&flow)
    }

    /// Flows that are not over.
    pub fn live(&self) -> impl Iterator<Item = FlowId> {
        self.flows.iter().filter(|(_, log)| log.over.is_none()).map(|(flow, _)| *flow)
    }

    /// How many flows the local side waits for.
    pub fn requests(&self) -> usize {
        self.requests
    }

    /// Forgets flows that are over and the bytes of the others, to save memory.
    pub fn forget(&mut self) {
        self.flows.retain(|_, log| log.over.is_none());
        self.flows.values_mut().for_each(|log| log.data = Vec::new());
    }

    fn live_mut(&mut self, flow: FlowId) -> Option<&mut FlowLog> {
        self.flows.get_mut(&flow).filter(|log| log.over.is_none())
    }

    fn known(&mut self, flow: FlowId) -> &mut FlowLog {
        self.live_mut(flow).unwrap_or_else(|| panic!("flow {flow} is over or was never begun"))
    }

    fn begin(&mut self, flow: FlowId, ours: bool) {
        let begun = self.flows.insert(flow, FlowLog { ours, ..FlowLog::default() });
        assert!(begun.is_none(), "flow {flow} begins twice");
    }

    pub(super) fn note_input(&mut self, input: &Input) {
        let flow = match input {
            _ if self.keep == Keep::Nothing => return,
            Input::FlowOpen { .. } => {
                self.requests += 1;
                return;
            }
            Input::FlowAccept { flow }
            | Input::FlowRefuse { flow, .. }
            | Input::FlowData { flow, .. }
            | Input::FlowConsumed { flow, .. }
            | Input::FlowFinish { flow }
            | Input::FlowReset { flow, .. } => *flow,
            _ => return,
        };
        // Inputs for flows that are over are ordinary races.
        let Some(log) = self.live_mut(flow) else { return };
        match input {
            Input::FlowAccept { .. } => log.accepted |= !log.ours,
            Input::FlowRefuse { .. } if !log.ours && !log.accepted => {
                log.over = Some(Over::Refused);
            }
            Input::FlowData { data, .. } => log.given += data.len() as u64,
            Input::FlowConsumed { total, .. } => log.consumed = log.consumed.max(*total),
            Input::FlowFinish { .. } => log.finished = true,
            Input::FlowReset { .. } => log.over = Some(Over::Reset),
            _ => {}
        }
    }

    pub(super) fn note_output(&mut self, output: &Output) {
        match output {
            _ if self.keep == Keep::Nothing => {}
            Output::FlowOpened { flow, .. } => {
                self.requests -= 1;
                self.begin(*flow, true);
            }
            Output::FlowOpenFailed { .. } => self.requests -= 1,
            Output::FlowIncoming { flow, .. } => self.begin(*flow, false),
            Output::FlowAccepted { flow } => {
                let log = self.known(*flow);
                assert!(log.ours && !log.accepted, "flow {flow} is accepted twice");
                log.accepted = true;
            }
            Output::FlowWritable { flow } => drop(self.known(*flow)),
            Output::FlowData { flow, data } => {
                let keeps_data = self.keep == Keep::Data;
                let log = self.known(*flow);
                assert!(!log.fin && !data.is_empty(), "data after the end of flow {flow}");
                log.delivered += data.len() as u64;
                if keeps_data {
                    log.data.extend_from_slice(data);
                }
            }
            Output::FlowFinished { flow } => {
                let log = self.known(*flow);
                assert!(!log.fin, "flow {flow} finishes twice");
                log.fin = true;
            }
            Output::FlowRefused { flow, reason } => {
                self.known(*flow).over = Some(Over::RefusedByPeer(*reason));
            }
            Output::FlowReset { flow, reason } => {
                self.known(*flow).over = Some(Over::ResetByPeer(*reason));
            }
            Output::FlowEnded { flow } => {
                let log = self.known(*flow);
                assert!(log.fin && log.finished, "flow {flow} ends before both its directions");
                log.over = Some(Over::Ended);
            }
            other => unreachable!("{other:?} is about no flow"),
        }
    }
}
