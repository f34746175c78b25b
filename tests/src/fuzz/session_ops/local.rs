//! The local side of a session: programs that write a pattern, check what they read, and know how
//! each of their flows may end.

use crate::Pattern;
use std::collections::BTreeMap;
use striper_core::{FlowId, Output};

/// How a flow ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Over {
    /// In both directions.
    Ended,
    /// This side has reset it.
    Reset,
    /// The session says that the peer has.
    ResetByPeer,
    /// This side has refused it.
    Refused,
    RefusedByPeer,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Flow {
    /// The peer has opened it, and it was not answered yet.
    pub offered: bool,
    /// Bytes to be sent in all, and a FIN after them.
    pub wants: u64,
    pub finishing: bool,
    pub sent: u64,
    pub finished: bool,
    /// The session took nothing, and is to say when it does.
    pub blocked: bool,
    pub delivered: u64,
    pub consumed: u64,
    /// The peer's FIN has come.
    pub fin: bool,
    pub over: Option<Over>,
}

/// All flows of a side, those that are over included.
pub(super) struct Local {
    side: usize,
    pub flows: BTreeMap<FlowId, Flow>,
    /// Flows asked for and not answered.
    pub requests: usize,
}

impl Local {
    pub fn new(side: usize) -> Self {
        Local { side, flows: BTreeMap::new(), requests: 0 }
    }

    pub fn live(&self) -> impl Iterator<Item = FlowId> {
        self.flows.iter().filter(|(_, flow)| flow.over.is_none()).map(|(id, _)| *id)
    }

    pub fn is_idle(&self) -> bool {
        self.requests == 0 && self.live().next().is_none()
    }

    /// A flow that is not over.
    pub fn get(&mut self, id: FlowId) -> Option<&mut Flow> {
        self.flows.get_mut(&id).filter(|flow| flow.over.is_none())
    }

    pub fn end(&mut self, id: FlowId, over: Over) {
        self.known(id).over = Some(over);
    }

    fn known(&mut self, id: FlowId) -> &mut Flow {
        self.get(id).unwrap_or_else(|| panic!("flow {id} is over or was never begun"))
    }

    fn begin(&mut self, id: FlowId, offered: bool) {
        let begun = self.flows.insert(id, Flow { offered, ..Flow::default() });
        assert!(begun.is_none(), "flow {id} begins twice");
    }

    /// What the session says about flows.
    pub fn hear(&mut self, output: Output) {
        match output {
            Output::FlowOpened { flow, .. } => {
                self.requests -= 1;
                self.begin(flow, false);
            }
            Output::FlowOpenFailed { .. } => self.requests -= 1,
            Output::FlowIncoming { flow, .. } => self.begin(flow, true),
            Output::FlowAccepted { flow } => drop(self.known(flow)),
            Output::FlowWritable { flow } => self.known(flow).blocked = false,
            Output::FlowData { flow, data } => {
                let pattern = pattern(flow, 1 - self.side);
                let entry = self.known(flow);
                assert!(!entry.fin && !data.is_empty(), "data after the end of flow {flow}");
                pattern.check(entry.delivered, &data);
                entry.delivered += data.len() as u64;
            }
            Output::FlowFinished { flow } => {
                let entry = self.known(flow);
                assert!(!entry.fin, "flow {flow} finishes twice");
                entry.fin = true;
            }
            Output::FlowRefused { flow, .. } => self.end(flow, Over::RefusedByPeer),
            Output::FlowReset { flow, .. } => self.end(flow, Over::ResetByPeer),
            Output::FlowEnded { flow } => {
                let entry = self.known(flow);
                assert!(
                    entry.fin && entry.finished,
                    "flow {flow} ends before both its directions have"
                );
                self.end(flow, Over::Ended);
            }
            other => unreachable!("{other:?} is about no flow"),
        }
    }
}

/// What a side writes to a flow.
pub(super) fn pattern(flow: FlowId, side: usize) -> Pattern {
    Pattern(flow.0 * 2 + side as u64)
}

/// Checks what two sides have made of their flows. `whole` says that both sessions live on, so that
/// a flow ends as its sides have ended it.
pub(super) fn compare(sides: [&Local; 2], whole: bool) {
    for (from, to) in [(0, 1), (1, 0)] {
        for (id, reader) in &sides[to].flows {
            let Some(writer) = sides[from].flows.get(id) else {
                // Its OPEN has not come, and never will or is of no effect.
                let gone = reader.over == Some(Over::Reset) || !whole;
                assert!(
                    gone && reader.delivered == 0 && !reader.fin,
                    "flow {id} is known to side {to} alone: {reader:?}"
                );
                continue;
            };
            assert!(reader.delivered <= writer.sent, "flow {id}: {writer:?} to {reader:?}");
            assert!(
                !reader.fin || (writer.finished && reader.delivered == writer.sent),
                "a FIN that is none of flow {id}: {writer:?} to {reader:?}"
            );
            if !whole {
                continue;
            }
            match reader.over {
                Some(Over::ResetByPeer) => {
                    assert_eq!(
                        writer.over,
                        Some(Over::Reset),
                        "flow {id} was reset by nobody: {writer:?} to {reader:?}"
                    );
                    // Only a consumer that has stopped misses what came before a reset.
                    assert!(
                        reader.consumed < reader.delivered || reader.delivered == writer.sent,
                        "bytes before the reset of flow {id} are missing: {writer:?} to {reader:?}"
                    );
                }
                Some(Over::RefusedByPeer) => {
                    assert_eq!(writer.over, Some(Over::Refused), "flow {id}")
                }
                Some(Over::Ended) => assert!(reader.fin, "flow {id} ended without a FIN"),
                Some(Over::Reset | Over::Refused) => {}
                None => panic!("flow {id} never ends: {reader:?}"),
            }
        }
    }
}
