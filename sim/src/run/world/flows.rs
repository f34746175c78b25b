//! The world's work for flows: it plays the programs at both ends, by their plans.

use super::World;
use super::steps::{Event, Job};
use crate::base::{Kind, Side};
use crate::net::{Answer, EndState, Write};
use bytes::Bytes;
use striper_core::limits::{FLOW_FLOOR, INITIAL_FLOWS};
use striper_core::{FlowId, Input, Output, Reason};

impl World {
    pub(super) fn open_now(&mut self, flow: usize) {
        let plan = &self.flows[flow].plan;
        if let Some((side, at)) = plan.reset {
            self.agenda.add(at.max(self.now), Event::ResetFlow { flow, side });
        }
        let (opener, home) = (plan.opener.index(), self.current[plan.opener.index()]);
        if self.setup.restarts_session && !self.lives[home].is_alive() {
            self.flows[flow].ends[opener].state = EndState::Lost;
            self.note_end(flow);
            return;
        }
        let opaque = Bytes::from((flow as u64).to_be_bytes().to_vec());
        self.flows[flow].homes[opener] = Some(home);
        self.jobs.push_back(Job::Input(home, Input::FlowOpen { request: flow as u64, opaque }));
    }

    pub(super) fn answer(&mut self, flow: usize) {
        let side = self.flows[flow].plan.opener.other();
        let (id, home) = self.place_of(flow, side).expect("a flow that was heard of");
        let entry = &mut self.flows[flow];
        if entry.end(side).state != EndState::Open {
            return;
        }
        match entry.plan.answer {
            Answer::Accept(_) => {
                entry.ends[side.index()].accepted_at = Some(self.now);
                self.jobs.push_back(Job::Input(home, Input::FlowAccept { flow: id }));
                self.jobs.push_back(Job::Produce(flow, side));
            }
            Answer::Refuse(_, reason) => {
                if entry.leave(side, EndState::Refused(reason), self.now) {
                    self.felt.add(Kind::FlowRefused);
                    self.jobs.push_back(Job::Input(home, Input::FlowRefuse { flow: id, reason }));
                    self.note_end(flow);
                }
            }
        }
    }

    pub(super) fn reset_flow(&mut self, flow: usize, side: Side) {
        let entry = &mut self.flows[flow];
        if entry.leave(side, EndState::ResetHere, self.now) {
            let (id, home) = self.place_of(flow, side).expect("an open flow");
            self.felt.add(Kind::FlowReset);
            let input = Input::FlowReset { flow: id, reason: Reason::Aborted };
            self.jobs.push_back(Job::Input(home, input));
            self.note_end(flow);
        }
    }

    /// A program sends one piece, so that flows take turns.
    pub(super) fn produce(&mut self, flow: usize, side: Side) {
        let Some((id, home)) = self.place_of(flow, side) else { return };
        if self.flows[flow].end(side).state != EndState::Open
            || self.put_off_job(side, Event::Produce { flow, side })
        {
            return;
        }
        let room = self.lives[home].end.session.send_room(id);
        match self.flows[flow].next_write(side, room, self.now) {
            Write::Data(data) => {
                if self.flows[flow].plan.sends[side.index()].piece == 1 {
                    self.felt.add(Kind::TinyWrites);
                }
                self.handle(home, Input::FlowData { flow: id, data });
                self.jobs.push_back(Job::Produce(flow, side));
            }
            Write::Finish => self.handle(home, Input::FlowFinish { flow: id }),
            Write::Reset => self.reset_flow(flow, side),
            Write::Wait(at) => self.agenda.add(at, Event::Produce { flow, side }),
            Write::Nothing => {}
        }
    }

    pub(super) fn consume(&mut self, flow: usize, side: Side) {
        let Some((id, home)) = self.place_of(flow, side) else { return };
        let state = self.flows[flow].end(side).state;
        if self.put_off_job(side, Event::Consume { flow, side })
            || !matches!(state, EndState::Open | EndState::Ended | EndState::PeerReset(_))
        {
            return;
        }
        let consumed = self.flows[flow].consume(side, self.now);
        if let Some(total) = consumed.total {
            self.handle(home, Input::FlowConsumed { flow: id, total });
        }
        if let Some(kind) = consumed.held_back {
            self.felt.add(kind);
        }
        if let Some(at) = consumed.again {
            self.agenda.add(at, Event::Consume { flow, side });
        }
    }

    fn place_of(&self, flow: usize, side: Side) -> Option<(FlowId, usize)> {
        Some((self.flows[flow].id?, self.flows[flow].homes[side.index()]?))
    }

    fn put_off_job(&mut self, side: Side, event: Event) -> bool {
        let process = &mut self.processes[side.index()];
        if process.stopped {
            process.waiting.push(event);
        }
        process.stopped
    }

    pub(super) fn abandon_flows(&mut self, life: usize) {
        let side = self.lives[life].side;
        for flow in 0..self.flows.len() {
            let entry = &mut self.flows[flow];
            let end = &mut entry.ends[side.index()];
            let asked_for = end.state == EndState::NotYet && entry.plan.opener == side;
            if entry.homes[side.index()] == Some(life) && (end.state == EndState::Open || asked_for)
            {
                end.state = EndState::Lost;
                end.ended_at = Some(self.now);
                self.note_end(flow);
            }
        }
    }

    pub(super) fn perform_flow(&mut self, life: usize, output: Output) {
        let (now, side) = (self.now, self.lives[life].side);
        match output {
            Output::FlowOpened { request, flow } => {
                let drains = self.lives[life].draining;
                assert!(!drains, "flow {flow} is opened by a session that drains");
                self.enter(life, request as usize, flow);
                self.jobs.push_back(Job::Produce(request as usize, side));
            }
            Output::FlowOpenFailed { request } => {
                self.flows[request as usize].ends[side.index()].state = EndState::Lost;
                self.note_end(request as usize);
            }
            Output::FlowIncoming { flow, opaque } => self.incoming(life, flow, &opaque),
            Output::FlowAccepted { flow } => self.flow_of(life, flow).accepted(side, now),
            Output::FlowRefused { flow, reason } => {
                // The other side drains as soon as it hears of the end.
                let draining = self.lives.iter().any(|life| life.told_to_end);
                self.flow_of(life, flow).refused(side, reason, draining, now);
                self.note_end(self.lives[life].flows[&flow]);
            }
            Output::FlowWritable { flow } => {
                self.jobs.push_back(Job::Produce(self.lives[life].flows[&flow], side))
            }
            Output::FlowData { flow, data } => self.deliver(life, flow, &data),
            Output::FlowFinished { flow } => {
                self.flow_of(life, flow).finish(side, now);
                self.jobs.push_back(Job::Consume(self.lives[life].flows[&flow], side));
                self.jobs.push_back(Job::Produce(self.lives[life].flows[&flow], side));
            }
            Output::FlowReset { flow, reason } => {
                self.flow_of(life, flow).reset(side, reason, now);
                self.note_end(self.lives[life].flows[&flow]);
            }
            Output::FlowEnded { flow } => {
                self.flow_of(life, flow).ended(side, now);
                self.note_end(self.lives[life].flows[&flow]);
            }
            other => unreachable!("{other:?} is about no flow"),
        }
    }

    fn enter(&mut self, life: usize, index: usize, flow: FlowId) {
        self.flows[index].opened(self.lives[life].side, life, flow, self.now);
        assert_eq!(self.lives[life].flows.insert(flow, index), None, "{flow:?} is used twice");
    }

    fn incoming(&mut self, life: usize, flow: FlowId, opaque: &[u8]) {
        let number = opaque.try_into().expect("the opener's eight bytes");
        let index = u64::from_be_bytes(number) as usize;
        self.enter(life, index, flow);
        let config = &self.setup.config[self.lives[life].side.index()];
        if config.max_flows <= INITIAL_FLOWS || config.memory_limit <= 2 << 20 {
            self.felt.add(Kind::LowLimit);
        }
        if !self.flows[index].is_over() {
            // Its opener may be gone before it is heard of.
            self.open.insert(index);
        }
        let (Answer::Accept(after) | Answer::Refuse(after, _)) = self.flows[index].plan.answer;
        self.agenda.add(self.after(after), Event::Answer { flow: index });
    }

    fn deliver(&mut self, life: usize, flow: FlowId, data: &[u8]) {
        let (now, side) = (self.now, self.lives[life].side);
        self.flow_of(life, flow).deliver(side, data, now);
        let index = self.lives[life].flows[&flow];
        if self.setup.config[side.index()].window_limit == FLOW_FLOOR {
            self.felt.add(Kind::SmallWindow);
        }
        // A slow reader asks on its own, as long as something is left.
        let entry = &self.flows[index];
        let reader = entry.plan.reads[side.index()];
        let idle = reader.burst.is_some()
            || entry.end(side).consumed + data.len() as u64 == entry.end(side).delivered;
        if idle || entry.eager || reader.rate.is_none() {
            self.jobs.push_back(Job::Consume(index, side));
        }
    }

    fn flow_of(&mut self, life: usize, id: FlowId) -> &mut crate::net::Flow {
        let index =
            self.lives[life].flows.get(&id).unwrap_or_else(|| panic!("{id:?} was never opened"));
        &mut self.flows[*index]
    }

    pub(super) fn note_end(&mut self, flow: usize) {
        if self.flows[flow].is_over() {
            self.open.remove(&flow);
        }
    }
}
