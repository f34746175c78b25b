//! The pump's flows: opened or answered, carried, and ended in one of many ways.

use super::budget::Share;
use super::flow::{Flow, Given, Inward, Outward, Stage, Taken};
use super::{BUDGET, Pump, SWEEP, Slot};
use crate::dial::DialError;
use crate::local::{Sender, oneshot};
use crate::pipe::Pipe;
use crate::report::{FlowEnd, FlowReport, OpenError};
use crate::target::Target;
use bytes::Bytes;
use striper_core::{FlowId, Input, Instant, Reason};

impl Pump {
    /// Client: carries `local` over a new flow to `target`. `opened` hears when the session knows
    /// it, `report` when it has ended.
    pub fn open(
        &mut self,
        target: &Target,
        local: Box<dyn Pipe>,
        opened: Option<Sender<Result<(), OpenError>>>,
        report: Sender<FlowReport>,
    ) {
        let now = self.clock.now();
        let key = self.insert_flow(Stage::Waiting(now), now);
        let refusal = self.client.as_ref().and_then(|client| client.dialler.refusal(now).cloned());
        let Slot::Flow(flow) = &mut self.slots[key] else { return };
        (flow.pipe, flow.opened, flow.report) = (Some(local), opened, Some(report));
        if let Err(error) = target.check() {
            return self.conclude(key, FlowEnd::NoSession(OpenError::BadTarget(error)));
        }
        flow.opaque = target.encode();
        if self.stop_at.is_some() {
            self.conclude(key, FlowEnd::NoSession(OpenError::ShuttingDown));
        } else if !self.stripes.is_empty() {
            self.ask_for(key);
        } else if let Some(refusal) = refusal {
            self.conclude(key, FlowEnd::NoSession(OpenError::Unreachable(refusal)));
        } else {
            self.let_wait(key, now);
        }
        self.ready.wake();
    }

    /// Server: accepts a flow that the client opened, and carries `local` over it.
    pub fn attach(&mut self, id: FlowId, local: Box<dyn Pipe>, report: Sender<FlowReport>) {
        let key = self.flows.get(&id).copied();
        let Some(Slot::Flow(flow)) = key.and_then(|key| self.slots.get_mut(key)) else {
            // It has ended meanwhile.
            let now = self.clock.now();
            let mut flow =
                Flow::new(Stage::Waiting(now), self.ready.waker(usize::MAX), Box::default(), now);
            (flow.pipe, flow.report) = (Some(local), Some(report));
            return flow.conclude(FlowEnd::Reset(Reason::Aborted), now, None);
        };
        (flow.pipe, flow.report) = (Some(local), Some(report));
        self.input(Input::FlowAccept { flow: id });
        self.again.extend(key);
        self.ready.wake();
    }

    /// Whether this is one of the session's flows.
    pub fn carries(&self, id: FlowId) -> bool {
        self.flows.contains_key(&id)
    }

    /// Server: refuses a flow that the client opened.
    pub fn refuse(&mut self, id: FlowId, reason: Reason) {
        if let Some(key) = self.flows.get(&id).copied() {
            self.input(Input::FlowRefuse { flow: id, reason });
            self.conclude(key, FlowEnd::Refused(reason));
            self.ready.wake();
        }
    }

    /// Hears when a stripe is up.
    pub fn notify_ready(&mut self, waiter: Sender<Result<(), OpenError>>) {
        match self.stripes.is_empty() {
            _ if self.ended.is_some() => waiter.send(Err(OpenError::ShuttingDown)),
            false => waiter.send(Ok(())),
            true => self.ready_waiters.push(waiter),
        }
    }

    /// Why the last dial failed, if it did.
    pub fn dial_error(&self) -> Option<DialError> {
        self.client.as_ref()?.dialler.error().cloned()
    }

    fn insert_flow(&mut self, stage: Stage, now: Instant) -> usize {
        let carried = self.carried().collect();
        let entry = self.slots.vacant_entry();
        let key = entry.key();
        entry.insert(Slot::Flow(Box::new(Flow::new(stage, self.ready.waker(key), carried, now))));
        key
    }

    /// There is no session for it now.
    fn let_wait(&mut self, key: usize, now: Instant) {
        let (Some(client), Slot::Flow(flow)) = (&mut self.client, &mut self.slots[key]) else {
            return;
        };
        let until = now + client.connect_timeout;
        flow.stage = Stage::Waiting(until);
        client.waiting.insert(key);
        client.dialler.hurry(now);
        self.unwatched = true;
        self.agenda.insert((until, key));
    }

    /// Asks the session for a flow.
    fn ask_for(&mut self, key: usize) {
        let Slot::Flow(flow) = &mut self.slots[key] else { return };
        let (request, opaque) = (self.next_request, flow.opaque.clone());
        flow.stage = Stage::Opening(request);
        self.next_request += 1;
        self.unwatched = true;
        self.opening.insert(request, key);
        self.input(Input::FlowOpen { request, opaque });
    }

    /// There is a session now.
    pub(super) fn ask_for_waiting(&mut self) {
        let waiting = self.client.as_mut().map(|client| std::mem::take(&mut client.waiting));
        for key in waiting.into_iter().flatten() {
            self.ask_for(key);
        }
    }

    /// There will be no session for those who wait.
    pub(super) fn fail_waiting(&mut self, error: &OpenError) {
        let waiting = self.client.as_mut().map(|client| std::mem::take(&mut client.waiting));
        for key in waiting.into_iter().flatten() {
            self.conclude(key, FlowEnd::NoSession(error.clone()));
        }
    }

    pub(super) fn step_flow(&mut self, key: usize) {
        let part = self.part() as u64;
        for _ in 0..BUDGET {
            let Slot::Flow(flow) = &mut self.slots[key] else { return };
            match flow.stage {
                Stage::Open(id) => match flow.recv(self.session.send_room(id).min(part)) {
                    Given::Chunk(data) => self.input(Input::FlowData { flow: id, data }),
                    Given::Empty => {}
                    Given::Fin => {
                        self.unwatched = true;
                        self.input(Input::FlowFinish { flow: id });
                    }
                    Given::Nothing => {
                        self.unwatched |= flow.is_unwatched();
                        return self.write_flow(key);
                    }
                    Given::Broken => return self.local_broken(key),
                },
                Stage::Waiting(until) if self.clock.now() >= until => {
                    return self.conclude(key, FlowEnd::NoSession(OpenError::TimedOut));
                }
                Stage::Waiting(_) | Stage::Opening(_) => return,
                Stage::Closing | Stage::Parting(..) => return self.write_flow(key),
            }
        }
        self.write_flow(key);
        self.again.push(key);
    }

    pub(super) fn write_flow(&mut self, key: usize) {
        let now = self.clock.now();
        let Slot::Flow(flow) = &mut self.slots[key] else { return };
        flow.listed = false;
        match flow.stage {
            Stage::Waiting(_) | Stage::Opening(_) => {}
            Stage::Parting(..) => match flow.poll_part(now) {
                Ok(next) => {
                    self.agenda.insert((next, key));
                }
                Err(end) => self.conclude(key, end),
            },
            Stage::Open(id) => match flow.send(now) {
                Taken::Total(total) => self.input(Input::FlowConsumed { flow: id, total }),
                Taken::Nothing => {}
                Taken::Broken => self.local_broken(key),
            },
            Stage::Closing => match flow.send(now) {
                Taken::Broken => self.local_broken(key),
                Taken::Total(_) | Taken::Nothing if flow.is_local_over() => {
                    self.conclude(key, FlowEnd::Finished);
                }
                Taken::Total(_) | Taken::Nothing => {}
            },
        }
    }

    /// The local pipe is of no more use.
    fn local_broken(&mut self, key: usize) {
        let Slot::Flow(flow) = &self.slots[key] else { return };
        if let Some(flow) = flow.id() {
            self.input(Input::FlowReset { flow, reason: Reason::Aborted });
        }
        self.conclude(key, FlowEnd::Reset(Reason::Aborted));
    }

    /// A flow is over for us.
    pub(super) fn conclude(&mut self, key: usize, end: FlowEnd) {
        let Slot::Flow(flow) = self.slots.remove(key) else { return };
        self.parting -= flow.parting;
        if let Some(id) = flow.id() {
            self.flows.remove(&id);
        }
        if let (Stage::Waiting(_), Some(client)) = (&flow.stage, &mut self.client) {
            client.waiting.remove(&key);
        }
        let now = self.clock.now();
        flow.conclude(end, now, self.carried());
    }

    /// The session has no more use for any flow.
    pub(super) fn cut_all_flows(&mut self) {
        let mut ids: Vec<FlowId> = self.flows.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            self.flow_cut(id, FlowEnd::Cut(self.cut));
        }
    }

    /// Local pipes that nobody receives from are to be asked whether they have broken.
    pub(super) fn watch_unread(&mut self, now: Instant) {
        if self.sweep_at.is_none() && self.unwatched {
            self.sweep_at = Some(now + SWEEP);
        }
    }

    pub(super) fn sweep(&mut self) {
        let unwatched: Vec<usize> = self
            .slots
            .iter()
            .filter(|(_, slot)| matches!(slot, Slot::Flow(flow) if flow.is_unwatched()))
            .map(|(key, _)| key)
            .collect();
        self.unwatched = !unwatched.is_empty();
        self.sweep_at = None;
        for key in unwatched {
            let Slot::Flow(flow) = &mut self.slots[key] else { continue };
            if flow.check().is_err() {
                self.local_broken(key);
            }
        }
    }

    fn flow_mut(&mut self, id: FlowId) -> Option<(usize, &mut Flow)> {
        let key = *self.flows.get(&id)?;
        match self.slots.get_mut(key) {
            Some(Slot::Flow(flow)) => Some((key, flow)),
            _ => None,
        }
    }

    /// A flow's local pipe has something new to be written.
    fn list_unwritten(&mut self, id: FlowId) {
        let Some((key, flow)) = self.flow_mut(id) else { return };
        if !std::mem::replace(&mut flow.listed, true) {
            self.unwritten.push_back(key);
        }
    }

    pub(super) fn flow_opened(&mut self, request: u64, id: FlowId) {
        let key = self.opening.remove(&request);
        match key.and_then(|key| self.slots.get_mut(key)) {
            Some(Slot::Flow(flow)) if flow.is_opening(request) => {
                flow.stage = Stage::Open(id);
                flow.opaque = Bytes::new();
                if let Some(opened) = flow.opened.take() {
                    opened.send(Ok(()));
                }
                self.flows.extend(key.map(|key| (id, key)));
                self.again.extend(key);
            }
            // Its local pipe has broken meanwhile.
            _ => self.inputs.push_back(Input::FlowReset { flow: id, reason: Reason::Aborted }),
        }
    }

    pub(super) fn flow_open_failed(&mut self, request: u64) {
        let Some(key) = self.opening.remove(&request) else { return };
        if !matches!(self.slots.get(key), Some(Slot::Flow(flow)) if flow.is_opening(request)) {
        } else if self.stop_at.is_some() {
            self.conclude(key, FlowEnd::NoSession(OpenError::ShuttingDown));
        } else {
            // The other side is going away. Whoever comes in its place may take it.
            self.let_wait(key, self.clock.now());
        }
    }

    /// The session has ended and answers no request any more.
    pub(super) fn take_back_requests(&mut self) {
        let mut requests: Vec<u64> = self.opening.keys().copied().collect();
        requests.sort_unstable();
        for request in requests {
            self.flow_open_failed(request);
        }
    }

    pub(super) fn flow_incoming(&mut self, id: FlowId, opaque: &[u8]) {
        let crowded = self.flows.len() as u64 >= self.config.max_flows.saturating_mul(2)
            || self.share.as_ref().is_some_and(Share::is_tight);
        let answer = match Target::decode(opaque) {
            _ if self.client.is_some() => Err(Reason::NotAllowed),
            _ if crowded => Err(Reason::Unavailable),
            Ok(target) => Ok(target),
            Err(_) => Err(Reason::NotAllowed),
        };
        match answer {
            Ok(target) => {
                let key = self.insert_flow(Stage::Open(id), self.clock.now());
                let (wanted, unwanted) = oneshot();
                if let Slot::Flow(flow) = &mut self.slots[key] {
                    flow.wanted = Some(wanted);
                }
                self.flows.insert(id, key);
                self.incoming.push((id, target, unwanted));
            }
            Err(reason) => self.inputs.push_back(Input::FlowRefuse { flow: id, reason }),
        }
    }

    pub(super) fn flow_writable(&mut self, id: FlowId) {
        if let Some((key, flow)) = self.flow_mut(id)
            && flow.inward == Inward::Paused
        {
            flow.inward = Inward::Flowing;
            self.again.push(key);
        }
    }

    pub(super) fn flow_data(&mut self, id: FlowId, data: Bytes) {
        if let Some((_, flow)) = self.flow_mut(id) {
            flow.deliver(data);
            self.list_unwritten(id);
        }
    }

    pub(super) fn flow_finished(&mut self, id: FlowId) {
        if let Some((_, flow)) = self.flow_mut(id) {
            flow.outward = Outward::Finishing;
            self.list_unwritten(id);
        }
    }

    /// The session has ended a flow before its time.
    pub(super) fn flow_cut(&mut self, id: FlowId, end: FlowEnd) {
        let now = self.clock.now();
        let Some((key, flow)) = self.flow_mut(id) else { return };
        let waiting = flow.part(now, end);
        self.parting += waiting;
        self.flows.remove(&id);
        self.unwritten.push_back(key);
    }

    pub(super) fn flow_ended(&mut self, id: FlowId) {
        if let Some((key, flow)) = self.flow_mut(id) {
            flow.stage = Stage::Closing;
            self.flows.remove(&id);
            self.unwritten.push_back(key);
        }
    }
}
