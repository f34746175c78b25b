//! What the world does about flows: it plays the programs at both ends, by their plans.

use super::{Event, Job, World};
use crate::app::{Answer, EndState, Side, Write};
use bytes::Bytes;
use striper_core::{FlowId, Input, Output, Reason};

impl World {
    /// The time of a flow's opening has come.
    pub(super) fn open_now(&mut self, flow: usize) {
        let plan = &self.flows[flow].plan;
        if let Some((side, at)) = plan.reset {
            self.agenda.add(at.max(self.now), Event::ResetFlow { flow, side });
        }
        let opaque = Bytes::from((flow as u64).to_be_bytes().to_vec());
        self.jobs.push_back(Job::Input(plan.opener, Input::FlowOpen { request: flow as u64, opaque }));
    }

    /// The program that a flow was opened to accepts or refuses.
    pub(super) fn answer(&mut self, flow: usize) {
        let entry = &mut self.flows[flow];
        let side = entry.plan.opener.other();
        let id = entry.id.expect("a flow that was heard of");
        match entry.plan.answer {
            Answer::Accept(_) => {
                entry.ends[side.index()].accepted_at = Some(self.now);
                self.jobs.push_back(Job::Input(side, Input::FlowAccept { flow: id }));
                self.jobs.push_back(Job::Produce(flow, side));
            }
            Answer::Refuse(_, reason) => {
                if entry.leave(side, EndState::Refused(reason), self.now) {
                    self.jobs.push_back(Job::Input(side, Input::FlowRefuse { flow: id, reason }));
                    self.note_end(flow);
                }
            }
        }
    }

    /// A program breaks its flow off.
    pub(super) fn reset_flow(&mut self, flow: usize, side: Side) {
        let entry = &mut self.flows[flow];
        if entry.leave(side, EndState::ResetHere, self.now) {
            let id = entry.id.expect("an open flow");
            self.jobs.push_back(Job::Input(side, Input::FlowReset { flow: id, reason: Reason::Aborted }));
            self.note_end(flow);
        }
    }

    /// A program sends what it has and may. One piece at a time, so that flows take turns.
    pub(super) fn produce(&mut self, flow: usize, side: Side) {
        let Some(id) = self.flows[flow].id else { return };
        if self.flows[flow].end(side).state != EndState::Open {
            return;
        }
        let room = self.sessions[side.index()].send_room(id);
        match self.flows[flow].next_write(side, room, self.now) {
            Write::Data(data) => {
                self.handle(side, Input::FlowData { flow: id, data });
                self.jobs.push_back(Job::Produce(flow, side));
            }
            Write::Finish => self.handle(side, Input::FlowFinish { flow: id }),
            Write::Reset => self.reset_flow(flow, side),
            Write::Wait(at) => self.agenda.add(at, Event::Produce { flow, side }),
            Write::Nothing => {}
        }
    }

    /// A program reads what it will.
    pub(super) fn consume(&mut self, flow: usize, side: Side) {
        let Some(id) = self.flows[flow].id else { return };
        if !matches!(
            self.flows[flow].end(side).state,
            EndState::Open | EndState::Ended | EndState::PeerReset(_)
        ) {
            return;
        }
        let consumed = self.flows[flow].consume(side, self.now);
        if let Some(total) = consumed.total {
            self.handle(side, Input::FlowConsumed { flow: id, total });
        }
        if let Some(at) = consumed.again {
            self.agenda.add(at, Event::Consume { flow, side });
        }
    }

    pub(super) fn perform_flow(&mut self, side: Side, output: Output) {
        let now = self.now;
        match output {
            Output::FlowOpened { request, flow } => {
                let index = request as usize;
                self.flows[index].opened(side, flow, now);
                assert_eq!(self.by_id.insert(flow, index), None, "{flow:?} is used twice");
                self.jobs.push_back(Job::Produce(index, side));
            }
            Output::FlowOpenFailed { request } => {
                self.flows[request as usize].ends[side.index()].state = EndState::Lost;
                self.note_end(request as usize);
            }
            Output::FlowIncoming { flow, opaque } => {
                let index =
                    u64::from_be_bytes(opaque[..].try_into().expect("the opener's eight bytes")) as usize;
                assert_eq!(self.by_id.get(&flow), Some(&index), "a flow with the words of another");
                self.flows[index].opened(side, flow, now);
                let (Answer::Accept(after) | Answer::Refuse(after, _)) = self.flows[index].plan.answer;
                self.agenda.add(now + after, Event::Answer { flow: index });
            }
            Output::FlowAccepted { flow } => self.flow_of(flow).accepted(side, now),
            Output::FlowRefused { flow, reason } => {
                self.flow_of(flow).refused(side, reason, now);
                self.note_end(self.by_id[&flow]);
            }
            Output::FlowWritable { flow } => self.jobs.push_back(Job::Produce(self.by_id[&flow], side)),
            Output::FlowData { flow, data } => {
                self.flow_of(flow).deliver(side, &data, now);
                let index = self.by_id[&flow];
                // A slow reader asks on its own, as long as something is left.
                let entry = &self.flows[index];
                let idle = entry.end(side).consumed + data.len() as u64 == entry.end(side).delivered;
                if idle || entry.eager || entry.plan.reads[side.index()].rate.is_none() {
                    self.jobs.push_back(Job::Consume(index, side));
                }
            }
            Output::FlowFinished { flow } => {
                self.flow_of(flow).finish(side, now);
                self.jobs.push_back(Job::Produce(self.by_id[&flow], side));
            }
            Output::FlowReset { flow, reason } => {
                self.flow_of(flow).reset(side, reason, now);
                self.note_end(self.by_id[&flow]);
            }
            Output::FlowEnded { flow } => {
                self.flow_of(flow).ended(side, now);
                self.note_end(self.by_id[&flow]);
            }
            other => unreachable!("{other:?} is about no flow"),
        }
    }

    fn flow_of(&mut self, id: FlowId) -> &mut crate::app::Flow {
        let index = *self.by_id.get(&id).unwrap_or_else(|| panic!("{id:?} was never opened"));
        &mut self.flows[index]
    }

    fn note_end(&mut self, flow: usize) {
        if self.flows[flow].is_over() {
            self.open.remove(&flow);
        }
    }
}
