//! The peer's bytes: frames, turned into calls of the parts. Nothing here may panic, whatever the
//! bytes.

use super::admission::{Grounds, Span};
use super::local::LINGER;
use super::{Life, Session};
use crate::config::INITIAL_WINDOW;
use crate::error::{EndReason, Reason, Verdict, Violation};
use crate::flow::table::IdState;
use crate::flow::{Flow, Phase};
use crate::id::{FlowId, StripeId};
use crate::io::Output;
use crate::timers::Timer;
use crate::wire::deframer::Item;
use crate::wire::frame::Frame;
use alloc::vec::Vec;
use bytes::Bytes;

impl Session {
    pub(super) fn ingest(
        &mut self,
        id: StripeId,
        mut data: Bytes,
        out: &mut Vec<Output>,
    ) -> Verdict {
        let Some(stripe) = self.stripes.get_mut(id) else { return Ok(()) };
        let mut deframer = stripe.inbound_mut().begin(self.now);
        let grounds = self.grounds();
        self.admission.refill(grounds, self.now);
        let mut before = Span::of(&deframer);
        let result = loop {
            match deframer.next(&mut data) {
                Ok(None) => break self.pay_for(id, Span::since(&deframer, &mut before), 0),
                Err(violation) => break Err(violation),
                Ok(Some(item)) => {
                    let read = Span::since(&deframer, &mut before);
                    let eliciting = is_eliciting(&item);
                    if let Some(stripe) = self.stripes.get_mut(id) {
                        stripe.inbound_mut().acker_mut().processed(
                            deframer.processed(),
                            eliciting,
                            self.now,
                        );
                    }
                    if let Err(violation) = self.take_item(id, item, read, out) {
                        break Err(violation);
                    }
                    if !self.stripes.is_live(id) {
                        return Ok(());
                    }
                }
            }
        };
        if let Some(stripe) = self.stripes.get_mut(id) {
            stripe.inbound_mut().end(deframer, self.now);
            if let Some(at) = stripe.inbound().acker().deadline() {
                self.timers.arm(Timer::Acknowledge, at);
            }
        }
        result
    }

    /// Takes an item and the bytes of the stripe that brought it, if the peer may still send them.
    fn take_item(
        &mut self,
        id: StripeId,
        item: Item,
        read: Span,
        out: &mut Vec<Output>,
    ) -> Verdict {
        match item {
            Item::Frame(frame) => {
                self.pay(id, read.bytes(), 0)?;
                self.take_frame(id, frame, out)
            }
            Item::Data { flow, offset, data, fin } => {
                let payload = data.len() as u64;
                self.pay_for(id, read, payload)?;
                self.admission.receive(payload);
                let extent = |flows: &super::flows::Flows| {
                    flows.get(flow).map(|entry| entry.recv().extent())
                };
                let before = extent(&self.flows);
                self.on_data(flow, offset, data, fin, out)?;
                if extent(&self.flows) != before
                    && let Some(stripe) = self.stripes.get_mut(id)
                {
                    stripe.inbound_mut().replace_idle_head(0);
                }
                Ok(())
            }
        }
    }

    fn grounds(&self) -> Grounds {
        let (sent, resent) = self.stripes.payload();
        Grounds { payload_out: sent + resent, flows: self.flows.ids().begun() }
    }

    /// Pays for bytes of which so many are payload.
    fn pay_for(&mut self, id: StripeId, read: Span, payload: u64) -> Verdict {
        match read.control(payload) {
            Some((skipped, head)) => self.pay(id, skipped, head),
            None => Ok(()),
        }
    }

    /// Pays for `control`, and for the head of a DATA frame that stood before it and was of no use.
    /// The head of the DATA frame that begins now, `head`, will be paid for if nothing new comes of
    /// it.
    fn pay(&mut self, id: StripeId, control: u64, head: u64) -> Verdict {
        let Some(stripe) = self.stripes.get_mut(id) else { return Ok(()) };
        let control = control + stripe.inbound_mut().replace_idle_head(head);
        let grounds = self.grounds();
        self.admission.pay(control, || grounds, self.now)
    }

    fn take_frame(&mut self, stripe: StripeId, frame: Frame, out: &mut Vec<Output>) -> Verdict {
        match frame {
            Frame::Open { flow, early, credit, opaque } => {
                return self.on_open(flow, early, credit, opaque, out);
            }
            Frame::Accept { flow } => return self.on_accept(flow, out),
            Frame::Refuse { flow, reason } => {
                return self.on_refuse(flow, Reason::from_code(reason), out);
            }
            Frame::Reset { flow, reason, final_offset } => {
                return self.on_reset(flow, Reason::from_code(reason), final_offset, out);
            }
            Frame::Credit { flow, limit } => return self.on_credit(flow, limit, out),
            Frame::Blocked { flow, limit } => return self.on_blocked(flow, limit),
            Frame::Ack { counts } => {
                let mut custody = self.custody();
                return counts
                    .into_iter()
                    .try_for_each(|(id, count)| custody.acknowledge(id, count, out));
            }
            Frame::StripeGone { stripe, received } => {
                return self.custody().given_up_by_peer(stripe, received, out);
            }
            Frame::Pong { nonce } => return self.custody().pong(stripe, nonce, out),
            Frame::Grant { flows, early } => {
                self.flows.ids_mut().raise(flows, early);
                self.flows.open_requested(self.control.intents_mut(), out);
            }
            Frame::Ping { nonce } => {
                if let Some(stripe) = self.stripes.get_mut(stripe) {
                    stripe.probes_mut().owe_pong(nonce);
                }
            }
            Frame::Drain => {
                if self.life == Life::Running {
                    out.push(Output::Draining);
                }
                self.drain(out);
            }
            Frame::Close { code: 2 } => self.end(EndReason::PeerComplained, out),
            Frame::Close { .. } => self.end(EndReason::PeerClosed, out),
            Frame::Data { .. } => unreachable!("the deframer makes these into items of their own"),
        }
        Ok(())
    }

    /// Whether a frame's flow exists, after making an early one if its OPEN has been overtaken. If
    /// not, it has ended.
    fn find_flow(&mut self, flow: FlowId) -> Result<bool, Violation> {
        Ok(match self.flows.id_state(flow)? {
            IdState::Exists => true,
            IdState::Ended => false,
            IdState::Free => {
                self.flows.insert(flow, Flow::new(Phase::Early, 0, INITIAL_WINDOW));
                true
            }
        })
    }

    /// Whether a flow of ours exists, which the peer answers.
    fn find_own(&self, flow: FlowId) -> Result<bool, Violation> {
        if flow.opened_by(self.role()) {
            Ok(self.flows.id_state(flow)? == IdState::Exists)
        } else {
            Err(Violation::UnknownFlow)
        }
    }

    fn remove_flow(&mut self, flow: FlowId) {
        self.flows.remove(flow, self.control.intents_mut(), &mut self.timers);
    }

    fn on_open(
        &mut self,
        flow: FlowId,
        early: u64,
        credit: u64,
        opaque: Bytes,
        out: &mut Vec<Output>,
    ) -> Verdict {
        if flow.opened_by(self.role()) {
            return Err(Violation::UnknownFlow);
        }
        if self.flows.ids().has_seen(flow) {
            return self.flows.ids_mut().see_again(flow, early);
        }
        self.find_flow(flow)?;
        let implied = self.flows.get(flow).map_or(0, Flow::early);
        let ids = self.flows.ids_mut();
        ids.forget_implied_early(flow);
        ids.see(flow, early)?;
        if implied > early {
            return Err(Violation::CreditExceeded);
        }
        self.flows.change(flow, |entry| entry.offer(early, credit));
        if self.life != Life::Running {
            self.local().refuse(flow, Reason::Unavailable);
            return Ok(());
        }
        out.push(Output::FlowIncoming { flow, opaque });
        self.flows.note_room(flow);
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
    ) -> Verdict {
        if !self.find_flow(flow)? {
            return Ok(());
        }
        if self.flows.get(flow).is_some_and(Flow::is_early) {
            self.flows.ids_mut().imply_early(flow, offset + data.len() as u64)?;
        }
        self.flows.receive(flow, offset, data, fin)?;
        self.deliver(flow, out);
        Ok(())
    }

    /// Passes on what is in order, and the end if it is reached.
    fn deliver(&mut self, flow: FlowId, out: &mut Vec<Output>) {
        if !self.flows.with_local(flow).is_some_and(|entry| entry.recv().is_open()) {
            return;
        }
        self.flows.pass_on(flow, out);
        let Some(recv) = self.flows.get(flow).map(Flow::recv).filter(|recv| recv.is_complete())
        else {
            return;
        };
        if let Some(reason) = recv.reset() {
            out.push(Output::FlowReset { flow, reason });
            self.remove_flow(flow);
            return;
        }
        out.push(Output::FlowFinished { flow });
        self.flows.change(flow, |entry| entry.recv_mut().finish());
    }

    fn on_accept(&mut self, flow: FlowId, out: &mut Vec<Output>) -> Verdict {
        if self.find_own(flow)? && self.flows.note(flow, Flow::accepted) == Some(true) {
            out.push(Output::FlowAccepted { flow });
        }
        Ok(())
    }

    fn on_refuse(&mut self, flow: FlowId, reason: Reason, out: &mut Vec<Output>) -> Verdict {
        if !self.find_own(flow)? {
            return Ok(());
        }
        if let Some(entry) = self.flows.with_local(flow) {
            // A peer that changes its mind after it has accepted resets the flow, whatever it calls
            // it.
            out.push(if entry.phase() == Phase::Carried {
                Output::FlowReset { flow, reason }
            } else {
                Output::FlowRefused { flow, reason }
            });
        }
        self.remove_flow(flow);
        Ok(())
    }

    fn on_reset(
        &mut self,
        flow: FlowId,
        reason: Reason,
        final_offset: u64,
        out: &mut Vec<Output>,
    ) -> Verdict {
        match self.flows.id_state(flow)? {
            IdState::Ended => return Ok(()),
            IdState::Free => {
                self.flows.ids_mut().end_unopened(flow);
                return Ok(());
            }
            IdState::Exists => {}
        }
        if self.flows.get(flow).is_some_and(Flow::is_early) {
            self.flows.ids_mut().forget_implied_early(flow);
            self.remove_flow(flow);
            self.flows.ids_mut().end_unopened(flow);
            return Ok(());
        }
        self.flows.change(flow, |entry| entry.reset_by_peer(final_offset)).unwrap_or(Ok(()))?;
        let Some(entry) = self.flows.get(flow) else { return Ok(()) };
        let recv = entry.recv();
        if entry.closing().is_some() {
            self.remove_flow(flow);
        } else if recv.is_open() {
            self.flows.note(flow, |entry| entry.recv_mut().reset_when_delivered(reason));
            self.timers.arm(Timer::Linger(flow), self.now + LINGER);
            self.deliver(flow, out);
        } else {
            out.push(Output::FlowReset { flow, reason });
            self.remove_flow(flow);
        }
        Ok(())
    }

    fn on_credit(&mut self, flow: FlowId, limit: u64, out: &mut Vec<Output>) -> Verdict {
        if self.find_flow(flow)? {
            self.flows.change(flow, |entry| entry.send_mut().raise_limit(limit));
            self.flows.notify_writable(flow, out);
        }
        Ok(())
    }

    fn on_blocked(&mut self, flow: FlowId, limit: u64) -> Verdict {
        if self.flows.id_state(flow)? == IdState::Exists && self.flows.with_local(flow).is_some() {
            let blocked = |entry: &mut Flow| entry.recv_mut().credit_mut().blocked_at(limit);
            self.flows.change(flow, blocked);
            let at = (self.now, self.stripes.longest_rtt());
            self.flows.advance_credit(flow, at, self.control.intents_mut());
        }
        Ok(())
    }
}

fn is_eliciting(item: &Item) -> bool {
    match item {
        Item::Data { .. } => true,
        // A PING has its own answer.
        Item::Frame(frame) => !matches!(
            frame,
            Frame::Ack { .. }
                | Frame::Credit { .. }
                | Frame::Blocked { .. }
                | Frame::Ping { .. }
                | Frame::Pong { .. }
        ),
    }
}
