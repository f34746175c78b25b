//! The peer's bytes: frames, and what they change. Nothing here may panic, whatever the bytes.

use super::flood::Read;
use super::{Life, Session, check_pieces};
use crate::config::{FLOW_FLOOR, INITIAL_WINDOW};
use crate::error::{EndReason, Reason, Violation};
use crate::flow::credit::Credit;
use crate::flow::recv::RecvState;
use crate::flow::table::IdState;
use crate::flow::{ClosingFrame, Delivery, Flow, Phase};
use crate::id::{FlowId, StripeId};
use crate::intents::Intent;
use crate::io::Output;
use crate::timers::Timer;
use crate::wire::deframer::Item;
use crate::wire::frame::Frame;
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;

/// How long a reset waits for a consumer that takes nothing.
pub(super) const LINGER: Duration = Duration::from_secs(1);

/// A consumer is not blamed for a wait that ended so late: it has had less than this of it for
/// itself.
const SLEPT: Duration = Duration::from_millis(250);

impl Session {
    pub(super) fn ingest(
        &mut self,
        id: StripeId,
        mut data: Bytes,
        out: &mut Vec<Output>,
    ) -> Result<(), Violation> {
        let Some(stripe) = self.stripes.live.get_mut(&id) else { return Ok(()) };
        stripe.heard = self.now;
        // Taken out while its bytes change everything else, itself included.
        let mut deframer = core::mem::take(&mut stripe.deframer);
        self.allow_control();
        let mut before = Read::of(&deframer);
        let result = loop {
            match deframer.next(&mut data) {
                Ok(None) => break self.account(id, Read::since(&deframer, &mut before), 0),
                Err(violation) => break Err(violation),
                Ok(Some(piece)) => {
                    let read = Read::since(&deframer, &mut before);
                    let eliciting = is_eliciting(&piece);
                    if let Some(stripe) = self.stripes.live.get_mut(&id) {
                        stripe.acker.processed(deframer.processed(), eliciting, self.now);
                    }
                    if let Err(violation) = self.take_accounted(id, piece, read, out) {
                        break Err(violation);
                    }
                    if !self.stripes.live.contains_key(&id) {
                        return Ok(());
                    }
                }
            }
        };
        if let Some(stripe) = self.stripes.live.get_mut(&id) {
            stripe.acker.processed(deframer.processed(), false, self.now);
            if let Some(at) = stripe.acker.deadline() {
                self.timers.arm(Timer::Acknowledge, at);
            }
            stripe.deframer = deframer;
        }
        result
    }

    pub(super) fn take_item(
        &mut self,
        stripe: StripeId,
        piece: Item,
        out: &mut Vec<Output>,
    ) -> Result<(), Violation> {
        match piece {
            Item::Data { flow, offset, data, fin } => self.on_data(flow, offset, data, fin, out),
            Item::Frame(frame) => match frame {
                Frame::Open { flow, early, credit, opaque } => {
                    self.on_open(flow, early, credit, opaque, out)
                }
                Frame::Accept { flow } => self.on_accept(flow, out),
                Frame::Refuse { flow, reason } => {
                    self.on_refuse(flow, Reason::from_code(reason), out)
                }
                Frame::Reset { flow, reason, final_offset } => {
                    self.on_reset(flow, Reason::from_code(reason), final_offset, out)
                }
                Frame::Credit { flow, limit } => self.on_credit(flow, limit, out),
                Frame::Blocked { flow, limit } => self.on_blocked(flow, limit),
                Frame::Grant { flows, early } => {
                    self.flows.raise(flows, early);
                    if !self.flows.requests.is_empty() && planted!(GrantWakesNobody) {
                        return Ok(());
                    }
                    self.open_waiting(out);
                    Ok(())
                }
                Frame::Ack { counts } => counts
                    .into_iter()
                    .try_for_each(|(stripe, count)| self.on_ack(stripe, count, out)),
                Frame::StripeGone { stripe, received } => {
                    self.on_stripe_gone(stripe, received, out)
                }
                Frame::Ping { nonce } => {
                    if let Some(stripe) = self.stripes.live.get_mut(&stripe) {
                        stripe.pong_owed = Some(nonce);
                    }
                    Ok(())
                }
                Frame::Pong { nonce } => self.on_pong(stripe, nonce, out),
                Frame::Drain => {
                    if self.life == Life::Running {
                        out.push(Output::Draining);
                    }
                    self.drain(out);
                    Ok(())
                }
                Frame::Close { code: 2 } => {
                    self.end(EndReason::PeerComplained, out);
                    Ok(())
                }
                Frame::Close { .. } => {
                    self.end(EndReason::PeerClosed, out);
                    Ok(())
                }
                Frame::Data { .. } => {
                    unreachable!("the deframer makes these into pieces of their own")
                }
            },
        }
    }

    /// Finds the flow that a frame names, making an early one if its OPEN has been overtaken.
    /// `None` if it has ended.
    fn flow_for(&mut self, flow: FlowId) -> Result<Option<FlowId>, Violation> {
        Ok(match self.flows.id_state(flow)? {
            IdState::Exists => Some(flow),
            IdState::Ended => None,
            IdState::Free => {
                let window =
                    if planted!(EarlyWindowTooSmall) { FLOW_FLOOR } else { INITIAL_WINDOW };
                self.insert(flow, Flow::new(Phase::Early, 0, window));
                Some(flow)
            }
        })
    }

    fn on_open(
        &mut self,
        flow: FlowId,
        early: u64,
        credit: u64,
        opaque: Bytes,
        out: &mut Vec<Output>,
    ) -> Result<(), Violation> {
        if flow.opened_by(self.role) {
            return Err(Violation::UnknownFlow);
        }
        if self.flows.has_seen(flow) {
            return self.flows.see_again(flow, early);
        }
        self.flow_for(flow)?;
        let implied = self.flows.flows[&flow].early;
        self.flows.forget_implied_early(flow);
        self.flows.see(flow, early)?;
        if implied > early {
            return Err(Violation::CreditExceeded);
        }
        let refused = self.life != Life::Running;
        self.change(flow, |entry| {
            entry.phase = Phase::Offered;
            entry.early = early;
            entry.send.limit = entry.send.limit.max(credit);
            entry.recv.credit = Credit::new(FLOW_FLOOR + early);
        });
        if refused {
            self.flow_refuse(flow, Reason::Unavailable);
            return Ok(());
        }
        out.push(Output::FlowIncoming { flow, opaque });
        self.note_room(flow);
        if planted!(OvertakenOpenDeliversNothing) {
            return Ok(());
        }
        self.deliver(flow, out);
        Ok(())
    }

    fn on_data(
        &mut self,
        flow: FlowId,
        offset: u64,
        data: Bytes,
        fin: bool,
        out: &mut Vec<Output>,
    ) -> Result<(), Violation> {
        if self.flow_for(flow)?.is_none() {
            return Ok(());
        }
        let end = offset + data.len() as u64;
        if self.flows.flows[&flow].phase == Phase::Early {
            self.flows.imply_early(flow, end)?;
        }
        self.change(flow, |entry| entry.recv.insert(offset, data, fin)).unwrap_or(Ok(()))?;
        check_pieces(self.pieces, self.config.memory_limit)?;
        self.deliver(flow, out);
        Ok(())
    }

    /// Passes on what is in order, and the end if it is reached.
    fn deliver(&mut self, flow: FlowId, out: &mut Vec<Output>) {
        if !self
            .flows
            .flows
            .get(&flow)
            .is_some_and(|entry| entry.has_local() && entry.recv.state == RecvState::Open)
        {
            return;
        }
        let delivered = self.change(flow, |entry| {
            let before = entry.recv.assembler.next();
            while let Some(data) = entry.recv.assembler.pop() {
                out.push(Output::FlowData { flow, data });
            }
            entry.recv.assembler.next() - before
        });
        self.totals.payload_delivered += delivered.unwrap_or(0);
        let Some(entry) = self.flows.flows.get(&flow).filter(|entry| entry.recv.is_complete())
        else {
            return;
        };
        if let Some(reason) = entry.recv.reset.filter(|_| !planted!(ResetBecomesFin)) {
            out.push(Output::FlowReset { flow, reason });
            self.remove(flow);
            return;
        }
        out.push(Output::FlowFinished { flow });
        self.change(flow, |entry| entry.recv.state = RecvState::Finished);
    }

    fn on_accept(&mut self, flow: FlowId, out: &mut Vec<Output>) -> Result<(), Violation> {
        if !flow.opened_by(self.role) {
            return Err(Violation::UnknownFlow);
        }
        if self.flows.id_state(flow)? == IdState::Exists {
            let entry = self.flows.flows.get_mut(&flow).expect("it exists");
            if entry.phase == Phase::Opening || planted!(AcceptedTwice) {
                entry.phase = Phase::Carried;
                if entry.has_local() {
                    out.push(Output::FlowAccepted { flow });
                }
            }
        }
        Ok(())
    }

    fn on_refuse(
        &mut self,
        flow: FlowId,
        reason: Reason,
        out: &mut Vec<Output>,
    ) -> Result<(), Violation> {
        if !flow.opened_by(self.role) {
            return Err(Violation::UnknownFlow);
        }
        if self.flows.id_state(flow)? == IdState::Exists {
            let entry = &self.flows.flows[&flow];
            if entry.has_local() {
                // A peer that changes its mind after it has accepted resets the flow, whatever it
                // calls it.
                let accepted = entry.phase == Phase::Carried;
                out.push(if accepted {
                    Output::FlowReset { flow, reason }
                } else {
                    Output::FlowRefused { flow, reason }
                });
            }
            if planted!(RefusedFlowStays) {
                return Ok(());
            }
            self.remove(flow);
        }
        Ok(())
    }

    fn on_reset(
        &mut self,
        flow: FlowId,
        reason: Reason,
        final_offset: u64,
        out: &mut Vec<Output>,
    ) -> Result<(), Violation> {
        match self.flows.id_state(flow)? {
            IdState::Ended => return Ok(()),
            IdState::Free => {
                self.flows.end_unopened(flow);
                return Ok(());
            }
            IdState::Exists => {}
        }
        if self.flows.flows[&flow].phase == Phase::Early {
            self.flows.forget_implied_early(flow);
            self.remove(flow);
            self.flows.end_unopened(flow);
            return Ok(());
        }
        self.change(flow, |entry| {
            entry.send.stop();
            if entry.recv.state == RecvState::Open {
                entry.recv.set_end(final_offset)
            } else {
                Ok(())
            }
        })
        .unwrap_or(Ok(()))?;
        let Some(entry) = self.flows.flows.get_mut(&flow) else { return Ok(()) };
        if entry.closing.is_some() {
            self.remove(flow);
        } else if entry.recv.state == RecvState::Open
            && (entry.recv.is_complete() || !planted!(ResetDropsData))
        {
            entry.recv.reset = Some(reason);
            entry.recv.has_stopped();
            self.timers.arm(Timer::Linger(flow), self.now + LINGER);
            self.deliver(flow, out);
        } else {
            out.push(Output::FlowReset { flow, reason });
            self.remove(flow);
        }
        Ok(())
    }

    /// A flow that the peer has reset waits for earlier data: gives up if that is because the local
    /// consumer has stopped. One that had no time to take anything, because we have slept
    /// meanwhile, has not.
    pub(super) fn linger(&mut self, flow: FlowId, late: Duration, out: &mut Vec<Output>) {
        let Some(entry) = self.flows.flows.get_mut(&flow) else { return };
        let Some(reason) = entry.recv.reset.filter(|_| entry.has_local()) else { return };
        if entry.recv.has_stopped() && late < SLEPT {
            out.push(Output::FlowReset { flow, reason });
            self.say_reset(flow, Reason::Aborted);
        } else {
            self.timers.set(Timer::Linger(flow), self.now + LINGER);
        }
    }

    fn on_credit(
        &mut self,
        flow: FlowId,
        limit: u64,
        out: &mut Vec<Output>,
    ) -> Result<(), Violation> {
        if self.flow_for(flow)?.is_some() {
            let limit = limit + u64::from(planted!(CreditOffByOne));
            self.change(flow, |entry| entry.send.limit = entry.send.limit.max(limit));
            self.notify_writable(flow, out);
        }
        Ok(())
    }

    fn on_blocked(&mut self, flow: FlowId, limit: u64) -> Result<(), Violation> {
        if self.flows.id_state(flow)? == IdState::Exists && self.flows.flows[&flow].has_local() {
            self.change(flow, |entry| entry.recv.credit.blocked_at(limit));
            self.advance_credit(flow);
        }
        Ok(())
    }

    /// A frame that must arrive has arrived.
    pub(super) fn confirm(&mut self, intent: Intent) {
        match intent {
            Intent::Open(flow) if planted!(OpenAckDropsReset) => {
                self.intents.remove(Intent::Reset(flow));
                self.confirm_flow(flow, |entry| entry.open = Delivery::Done);
            }
            Intent::Open(flow) => self.confirm_flow(flow, |entry| entry.open = Delivery::Done),
            Intent::Accept(flow) => self.confirm_flow(flow, |entry| entry.accept = Delivery::Done),
            Intent::Refuse(flow) | Intent::Reset(flow) => self.confirm_flow(flow, |entry| {
                if let Some((_, delivery)) = &mut entry.closing {
                    *delivery = Delivery::Done;
                }
            }),
            Intent::Gone(stripe) => {
                if let Some(gone) = self.stripes.gone.get_mut(&stripe) {
                    gone.confirmed = true;
                    self.stripes.retire(stripe);
                }
            }
            Intent::Acknowledge(_)
            | Intent::Grant
            | Intent::Credit(_)
            | Intent::Blocked(_)
            | Intent::Drain => return,
        }
        self.intents.remove(intent);
    }

    fn confirm_flow(&mut self, flow: FlowId, confirm: impl FnOnce(&mut Flow)) {
        self.change(flow, confirm);
    }

    /// A frame that must arrive has been lost, unless a copy of it has arrived meanwhile.
    pub(super) fn owe_again(&mut self, intent: Intent) {
        let pending = |delivery: Delivery| delivery == Delivery::Pending;
        let flow = |flow: FlowId| self.flows.flows.get(&flow);
        let owed = match intent {
            Intent::Open(id) => flow(id).is_some_and(|entry| pending(entry.open)),
            Intent::Accept(id) => flow(id).is_some_and(|entry| pending(entry.accept)),
            Intent::Refuse(id) => {
                closing(flow(id), |closing| matches!(closing, ClosingFrame::Refuse(_)))
            }
            Intent::Reset(id) => {
                closing(flow(id), |closing| matches!(closing, ClosingFrame::Reset(..)))
            }
            Intent::Credit(_) if planted!(CreditNotOwedAgain) => false,
            Intent::Credit(id) => flow(id).is_some_and(|entry| entry.recv.wants_credit()),
            Intent::Gone(id) => self.stripes.gone.get(&id).is_some_and(|gone| !gone.confirmed),
            Intent::Acknowledge(id) => self.stripes.live.contains_key(&id),
            Intent::Grant => true,
            Intent::Blocked(_) => false,
            Intent::Drain => self.life == Life::Draining,
        };
        if owed {
            self.intents.add(intent);
        }
    }
}

fn closing(flow: Option<&Flow>, matches: impl Fn(ClosingFrame) -> bool) -> bool {
    if flow.is_some() && planted!(FarewellNotOwedAgain) {
        return false;
    }
    flow.and_then(|entry| entry.closing)
        .is_some_and(|(kind, delivery)| matches(kind) && delivery == Delivery::Pending)
}

/// Whether what came in asks for an acknowledgement.
fn is_eliciting(piece: &Item) -> bool {
    match piece {
        Item::Data { .. } => true,
        Item::Frame(frame) => {
            // A PING has its own answer.
            !matches!(
                frame,
                Frame::Ack { .. }
                    | Frame::Credit { .. }
                    | Frame::Blocked { .. }
                    | Frame::Ping { .. }
                    | Frame::Pong { .. }
            )
        }
    }
}
