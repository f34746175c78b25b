//! Processes and the sessions in them: they crash, restart, stop and go on, and their clocks jump.
//!
//! A client has one session at a time. A server has one for each id that a client has come with;
//! older ones wait there for their end. A process that restarts remembers nothing, as the real
//! programs do.

use super::World;
use super::steps::{Event, Job};
use crate::base::{Kind, Side, micros};
use crate::net::{EndState, LinkEvent, ProcessFault};
use rand::Rng;
use std::collections::BTreeMap;
use std::time::Duration;
use striper_core::testing::{Endpoint, Keep};
use striper_core::{
    Config, EndReason, FlowId, Input, Instant, Role, Session, SessionId, Violation,
};

/// The sides' clocks start at different times, so that a mix-up of the two clocks shows.
const ORIGIN: [u64; 2] = [1_000, 7_200_000_000];

pub(super) struct Life {
    pub side: Side,
    pub id: SessionId,
    pub end: Endpoint,
    pub deadline: Option<Instant>,
    pub ended: Option<EndReason>,
    pub dead: bool,
    pub told_to_end: bool,
    pub draining: bool,
    pub stripeless_since: Option<Instant>,
    pub flows: BTreeMap<FlowId, usize>,
}

impl Life {
    pub fn new(side: Side, role: Role, id: SessionId, config: Config, now: Instant) -> Self {
        Life {
            side,
            id,
            end: Endpoint::new(Session::new(role, id, config, now), Keep::Nothing),
            deadline: None,
            ended: None,
            dead: false,
            told_to_end: false,
            draining: false,
            stripeless_since: Some(now),
            flows: BTreeMap::new(),
        }
    }

    pub fn is_alive(&self) -> bool {
        !self.dead && self.ended.is_none()
    }
}

#[derive(Default)]
pub(super) struct Process {
    /// Its clock's reading at the world's time zero, jumps included.
    origin: u64,
    pub stopped: bool,
    pub away: bool,
    pub waiting: Vec<Event>,
    /// Counts pauses, so that the end of an earlier pause does not end this one.
    pauses: u64,
    crashes: u64,
}

impl Process {
    pub fn new(side: Side) -> Self {
        Process { origin: ORIGIN[side.index()], ..Process::default() }
    }

    pub fn clock(&self, now: u64) -> Instant {
        Instant::from_micros(self.origin + now)
    }

    /// The world's time at which its clock shows `at`; zero if that was before the world.
    pub fn time_of(&self, at: Instant) -> u64 {
        at.as_micros().saturating_sub(self.origin)
    }
}

impl World {
    /// The side that would have to run for an event to happen and does not.
    pub(super) fn stopped_side(&self, event: &Event) -> Option<Side> {
        let side = match event {
            Event::Link { way, event: LinkEvent::Read, .. } => Side::BOTH[*way].other(),
            Event::Link { .. } | Event::Fault { .. } | Event::ProcessFault { .. } => return None,
            Event::Restart { .. } | Event::Resume { .. } | Event::Foreign { .. } => return None,
            Event::Connected { .. } | Event::DialLimit { .. } | Event::Redial => Side::Client,
            Event::Lose { side, .. }
            | Event::Produce { side, .. }
            | Event::Consume { side, .. }
            | Event::ResetFlow { side, .. }
            | Event::Command { side, .. } => *side,
            Event::Open { flow } => self.flows[*flow].plan.opener,
            Event::Answer { flow } => self.flows[*flow].plan.opener.other(),
        };
        self.processes[side.index()].stopped.then_some(side)
    }

    /// A server's state of this session was lost: another one may stand in its place.
    pub(super) fn was_replaced(&self, id: SessionId) -> bool {
        let given_up = Some(EndReason::NoStripe);
        let mut servers =
            self.lives.iter().filter(|life| life.side == Side::Server && life.id == id);
        servers.any(|life| life.dead || life.ended == given_up)
    }

    pub(super) fn apply_process_fault(&mut self, side: Side, process_fault: ProcessFault) {
        let process = &mut self.processes[side.index()];
        match process_fault {
            ProcessFault::Crash { down, told } if !process.away => self.crash(side, down, told),
            ProcessFault::Pause(time) if !process.away && !process.stopped => {
                process.stopped = true;
                process.pauses += 1;
                let pause = process.pauses;
                self.freeze(side, true);
                self.hits += 1;
                self.agenda.add(self.after(time), Event::Resume { side, pause });
            }
            ProcessFault::Jump(time) => {
                process.origin += micros(time);
                self.flows.iter_mut().for_each(|flow| flow.jumped[side.index()] = true);
                self.felt.add(Kind::Jump);
                self.hits += 1;
            }
            ProcessFault::Crash { .. } | ProcessFault::Pause(_) => {}
        }
    }

    fn freeze(&mut self, side: Side, frozen: bool) {
        for conn in self.present.clone() {
            self.conns[conn].links[side.index()].freeze(frozen);
            if !frozen {
                self.write_later(conn, side.index());
            }
        }
    }

    /// It reads the bytes that have come first, and its timers come last.
    pub(super) fn resume(&mut self, side: Side, pause: u64) {
        let process = &mut self.processes[side.index()];
        if !process.stopped || process.pauses != pause {
            return;
        }
        process.stopped = false;
        let waiting = std::mem::take(&mut process.waiting);
        let is_read = |event: &Event| matches!(event, Event::Link { .. });
        let (reads, others): (Vec<_>, Vec<_>) = waiting.into_iter().partition(is_read);
        for event in reads.into_iter().chain(others) {
            self.happen(event);
        }
        self.freeze(side, false);
    }

    fn crash(&mut self, side: Side, down: Duration, told: bool) {
        self.felt.add(if side == Side::Client { Kind::ClientCrash } else { Kind::ServerCrash });
        self.hits += 1;
        let process = &mut self.processes[side.index()];
        process.away = true;
        process.crashes += 1;
        let crash = process.crashes;
        let was_stopped = std::mem::take(&mut process.stopped);
        // Programs that were about to connect find nobody.
        let waiting = std::mem::take(&mut process.waiting);
        // Its own dials are forgotten with it.
        self.redial_set &=
            side != Side::Client || !waiting.iter().any(|event| matches!(event, Event::Redial));
        for event in waiting {
            if let Event::Open { flow } = event {
                self.flows[flow].ends[side.index()].state = EndState::Lost;
                self.note_end(flow);
            }
        }
        if was_stopped {
            self.freeze(side, false);
        }
        for life in 0..self.lives.len() {
            if self.lives[life].side == side && self.lives[life].is_alive() {
                self.lives[life].dead = true;
                self.lives[life].deadline = None;
                self.abandon_flows(life);
            }
        }
        self.break_all(side, told);
        if side == Side::Client {
            self.wanted = 0;
        }
        self.agenda.add(self.after(down), Event::Restart { side, crash });
    }

    /// A process that crashed is back. A server makes its sessions when clients come.
    pub(super) fn restart(&mut self, side: Side, crash: u64) {
        let process = &mut self.processes[side.index()];
        if process.away && process.crashes == crash {
            process.away = false;
            if side == Side::Client {
                self.new_client_session();
            }
        }
    }

    pub(super) fn revive(&mut self, side: Side) {
        let Process { pauses, crashes, .. } = self.processes[side.index()];
        self.resume(side, pauses);
        self.restart(side, crashes);
    }

    fn new_client_session(&mut self) {
        let mut id = [0; 16];
        self.rng.fill_bytes(&mut id);
        self.begin_session(Side::Client, Role::Client, SessionId(id));
        self.wanted = 0;
        self.jobs.push_back(Job::Input(self.current[0], Input::Tick));
    }

    /// The server's session of this id. `create` says whether it may be made anew.
    pub(super) fn server_session(&mut self, id: SessionId, create: bool) -> Option<usize> {
        let known = |life: &Life| life.side == Side::Server && life.id == id && life.is_alive();
        if let Some(index) = self.lives.iter().position(known) {
            return Some(index);
        }
        if !create {
            return None;
        }
        let role = Role::Server { instance: self.rng.next_u64() };
        self.begin_session(Side::Server, role, id);
        Some(self.current[1])
    }

    fn begin_session(&mut self, side: Side, role: Role, id: SessionId) {
        let (index, now) = (side.index(), self.processes[side.index()].clock(self.now));
        self.lives.push(Life::new(side, role, id, self.setup.config[index], now));
        self.current[index] = self.lives.len() - 1;
    }

    /// A session says that it is over. Each reason has its cause.
    pub(super) fn session_ended(&mut self, index: usize, reason: EndReason) {
        let life = &self.lives[index];
        let (side, now) = (life.side, self.processes[life.side.index()].clock(self.now));
        let peers = || self.lives.iter().filter(|other| other.side != side && other.id == life.id);
        let lost_state = Some(EndReason::Violation(Violation::InstanceChanged));
        let honest = match reason {
            EndReason::Aborted => life.told_to_end,
            // One side's DRAIN drains the other too.
            EndReason::Shutdown => life.told_to_end || peers().any(|peer| peer.told_to_end),
            EndReason::PeerClosed => peers().any(|peer| peer.ended.is_some()),
            EndReason::PeerComplained => {
                peers().any(|peer| peer.ended == lost_state) || self.was_replaced(life.id)
            }
            EndReason::NoStripe => life.stripeless_since.is_some_and(|since| {
                now.since(since) >= self.setup.config[side.index()].resume_limit
            }),
            EndReason::Violation(Violation::InstanceChanged) => {
                side == Side::Client && self.was_replaced(life.id)
            }
            // The client doesn't know yet, and its HELLO repeats the acknowledgements of stripes of
            // the session before.
            EndReason::Violation(Violation::BadAcknowledgement) => {
                side == Side::Server && self.was_replaced(life.id)
            }
            _ => false,
        };
        assert!(honest, "the {side:?}'s session ends without a cause: {reason}");
        self.lives[index].ended = Some(reason);
        self.lives[index].deadline = None;
        for (flow, number) in &self.lives[index].flows {
            let end = self.flows[*number].end(side);
            assert_ne!(end.state, EndState::Open, "{flow:?} outlives the session");
        }
        if side == Side::Client {
            self.drop_dials(index);
            if self.setup.restarts_session && index == self.current[0] {
                self.new_client_session();
            }
        }
    }
}
