//! The steps of a world: one event or tick, then all work of that moment.
//!
//! An event is scheduled for a time; a job is done at once. Jobs come from events and from the
//! outputs of sessions, and are done in order.
//!
//! Invariant: ticks come after all events of the same microsecond. Bytes go to the operating system
//! after all jobs of their moment, as a driver does it with one vectored write a stripe.

use super::World;
use crate::base::{Kind, Side};
use crate::net::{Fault, LinkEvent, ProcessFault};
use crate::run::observe;
use std::time::Duration;
use striper_core::{Input, Output};

/// More inputs than this at one moment mean that it never ends.
const MAX_JOBS: u64 = 4_000_000;

#[derive(Clone, Debug)]
pub(super) enum Event {
    Link { conn: usize, way: usize, event: LinkEvent },
    Foreign { nth: usize, event: LinkEvent },
    Connected { conn: usize },
    DialLimit { conn: usize },
    Redial,
    Lose { conn: usize, side: Side },
    Open { flow: usize },
    Answer { flow: usize },
    Produce { flow: usize, side: Side },
    Consume { flow: usize, side: Side },
    ResetFlow { flow: usize, side: Side },
    Fault { route: usize, fault: Fault },
    ProcessFault { side: Side, process_fault: ProcessFault },
    Restart { side: Side, crash: u64 },
    Resume { side: Side, pause: u64 },
    Command { side: Side, input: Input },
}

#[derive(Clone, Debug)]
pub(super) enum Job {
    Input(usize, Input),
    Produce(usize, Side),
    Consume(usize, Side),
}

impl World {
    pub(super) fn step(&mut self, end: u64) -> bool {
        let lives = self.lives.iter().enumerate();
        let tick = lives.filter_map(|(index, life)| {
            let process = &self.processes[life.side.index()];
            let at = life.deadline.filter(|_| !process.stopped)?;
            Some((process.time_of(at).max(self.now), index))
        });
        let tick = tick.min();
        let event = self.agenda.next_time();
        if let Some(at) = event.filter(|at| *at <= end && tick.is_none_or(|(tick, _)| *at <= tick))
        {
            self.now = at;
            let (_, event) = self.agenda.pop().expect("an event whose time was just read");
            self.happen(event);
        } else if let Some((at, life)) = tick.filter(|(at, _)| *at <= end) {
            self.now = at;
            self.jobs.push_back(Job::Input(life, Input::Tick));
            self.drain();
        } else {
            return false;
        }
        true
    }

    /// An event happens, or waits for the process that would have to run for it.
    pub(super) fn happen(&mut self, event: Event) {
        if let Some(side) = self.stopped_side(&event) {
            self.felt.add(Kind::Pause);
            self.processes[side.index()].waiting.push(event);
            return;
        }
        match event {
            Event::Link { conn, way, event } => self.link_event(conn, way, event),
            Event::Foreign { nth, event } => self.foreign_event(nth, event),
            Event::Connected { conn } => self.connected(conn),
            Event::DialLimit { conn } => self.dial_limit(conn),
            Event::Redial => {
                self.redial_set = false;
                self.dial();
            }
            Event::Lose { conn, side } => self.lose(conn, side),
            Event::Open { flow } => self.open_now(flow),
            Event::Answer { flow } => self.answer(flow),
            Event::Produce { flow, side } => self.jobs.push_back(Job::Produce(flow, side)),
            Event::Consume { flow, side } => self.jobs.push_back(Job::Consume(flow, side)),
            Event::ResetFlow { flow, side } => self.reset_flow(flow, side),
            Event::Fault { route, fault } => self.apply(route, fault),
            Event::ProcessFault { side, process_fault } => {
                self.apply_process_fault(side, process_fault)
            }
            Event::Restart { side, crash } => self.restart(side, crash),
            Event::Resume { side, pause } => self.resume(side, pause),
            Event::Command { side, input } => {
                self.jobs.push_back(Job::Input(self.current[side.index()], input));
            }
        }
        self.drain();
    }

    pub(super) fn drain(&mut self) {
        let mut count = 0;
        loop {
            while let Some(job) = self.jobs.pop_front() {
                match job {
                    Job::Input(life, input) => self.handle(life, input),
                    Job::Produce(flow, side) => self.produce(flow, side),
                    Job::Consume(flow, side) => self.consume(flow, side),
                }
                count += 1;
                assert!(count < MAX_JOBS, "this moment never ends");
            }
            let mut to_write = std::mem::take(&mut self.to_write);
            for (conn, way) in to_write.drain(..) {
                self.write(conn, way);
            }
            if self.to_write.is_empty() {
                self.to_write = to_write;
            }
            if self.jobs.is_empty() && self.to_write.is_empty() {
                break;
            }
        }
    }

    /// Has a link written to the operating system at the end of this moment.
    pub(super) fn write_later(&mut self, conn: usize, way: usize) {
        if !self.to_write.contains(&(conn, way)) {
            self.to_write.push((conn, way));
        }
    }

    pub(super) fn handle(&mut self, index: usize, input: Input) {
        let life = &mut self.lives[index];
        if !life.is_alive() {
            return;
        }
        let side = life.side;
        let now = self.processes[side.index()].clock(self.now);
        let mut outputs = std::mem::take(&mut self.outputs);
        self.inputs += 1;
        match input {
            Input::StripeBytes { .. } => self.pieces += 1,
            Input::Shutdown => (life.told_to_end, life.draining) = (true, true),
            Input::Abort => life.told_to_end = true,
            _ => {}
        }
        let outstanding = life.end.session.view_outstanding();
        let id = (index, side);
        observe::give(&mut self.observer, id, &mut life.end, now, input, &mut outputs);
        let deadline = life.end.session.deadline();
        assert!(deadline.is_none_or(|(at, _)| at > now), "{deadline:?} has come at {now:?}");
        life.deadline = deadline.map(|(at, _)| at);
        if life.end.session.view_stripes().next().is_some() {
            life.stripeless_since = None;
        } else {
            life.stripeless_since.get_or_insert(now);
        }
        self.check_work(outstanding, &outputs);
        if self.setup.checks.due(self.inputs) {
            self.check(index, now);
        }
        for output in outputs.drain(..) {
            self.fold(side, &output);
            self.perform(index, output);
        }
        self.outputs = outputs;
    }

    fn perform(&mut self, life: usize, output: Output) {
        match output {
            Output::Transmit { .. }
            | Output::StripePace { .. }
            | Output::CloseStripe { .. }
            | Output::StripesWanted { .. } => self.perform_stripe(life, output),
            Output::Draining => self.lives[life].draining = true,
            Output::Ended { reason } => self.session_ended(life, reason),
            _ => self.perform_flow(life, output),
        }
    }

    fn fold(&mut self, side: Side, output: &Output) {
        self.digest.word(self.now * 2 + side.index() as u64);
        match output {
            Output::Transmit { stripe, header, payload } => {
                self.digest.word(stripe.0);
                self.digest.words(header);
                // The first bytes name the piece, since the pattern hardly repeats.
                self.digest.word(payload.len() as u64);
                self.digest.words(&payload[..payload.len().min(8)]);
            }
            Output::FlowData { flow, data } => {
                self.digest.word(flow.0);
                self.digest.word(data.len() as u64);
                self.digest.words(&data[..data.len().min(8)]);
            }
            Output::FlowWritable { flow } => self.digest.word(flow.0),
            Output::StripePace { stripe, unsent } => self.digest.word(stripe.0 ^ unsent << 16),
            other => self.digest.bytes(format!("{other:?}").as_bytes()),
        }
    }

    pub(super) fn after(&self, time: Duration) -> u64 {
        self.now + time.as_micros() as u64
    }
}
