//! Sends what a trace says instead of choosing: which frame on which stripe, and when.
//!
//! Everything else stays the session's own: what is owed, what frames say, what is delivered, when
//! flows end. So a trace fits as long as the protocol's state runs as it did, however stripes are
//! chosen meanwhile. Allowances don't hold here: whether a stripe took more was part of the choice.
//! A piece that was sent before may be sent again at any time, as a scheduler may.
//!
//! How much credit to give is a choice too: it depends on what memory was free at the moment, and
//! so on how the bytes came in parts. The peer has acted on what was given then.

use super::settle::transmit;
use super::{MAX_ACKS, Session};
use crate::config::MAX_CHUNK;
use crate::flow::Phase;
use crate::flow::send::SendState;
use crate::id::{FlowId, StripeId};
use crate::intents::Intent;
use crate::io::{Input, Output};
use crate::stripe::Token;
use crate::time::Instant;
use crate::wire::frame::Frame;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use bytes::Bytes;
use core::ops::Range;

/// A frame that is to be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Choice {
    /// Where.
    pub stripe: StripeId,
    /// What. Of an OPEN's opaque field only the length counts.
    pub frame: Frame,
    /// Bytes of payload behind it.
    pub payload: u64,
}

/// No trace gives more than this of anything, so that no sum of it overflows.
const MAX_GIVEN: u64 = 1 << 44;

/// A choice that can't be followed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Unfit {
    /// Which of them.
    pub index: usize,
    /// Why.
    pub why: String,
}

impl Session {
    /// As [`Session::handle`], but sends exactly these frames in this order, but for what an ending
    /// session says by itself. The session is of no use after an error.
    pub(crate) fn handle_following(
        &mut self,
        now: Instant,
        input: Input,
        choices: &[Choice],
        out: &mut Vec<Output>,
    ) -> Result<(), Unfit> {
        if !self.take_in(now, input, out) {
            return Ok(());
        }
        self.prepare(out);
        // The trace says when what was said is repeated.
        self.repeat.clear();
        self.repeat_now = false;
        for (index, choice) in choices[..self.before_last_words(choices)].iter().enumerate() {
            self.make(choice, out).map_err(|why| Unfit { index, why })?;
        }
        self.after_sending(out);
        self.conclude(out);
        Ok(())
    }

    /// How many choices come before the acknowledgements and the CLOSE that an ending session says
    /// by itself.
    fn before_last_words(&self, choices: &[Choice]) -> usize {
        let close = choices.iter().position(|choice| matches!(choice.frame, Frame::Close { .. }));
        let counts = self.stripes.live.values().filter(|stripe| stripe.acker.count() > 0).count();
        close.map_or(choices.len(), |close| close.saturating_sub(counts.div_ceil(MAX_ACKS)))
    }

    fn make(&mut self, choice: &Choice, out: &mut Vec<Output>) -> Result<(), String> {
        let Choice { stripe: id, frame, payload } = choice;
        if !self.stripes.live.contains_key(id) {
            return Err(format!("stripe {id} is not up"));
        }
        match frame {
            Frame::Data { flow, offset, fin } => {
                self.follow_data(*id, *flow, *offset..offset.saturating_add(*payload), *fin, out)
            }
            Frame::Open { .. } => self.follow_open(*id, frame, *payload, out),
            Frame::Ack { counts } => self.follow_acknowledgements(*id, counts, out),
            Frame::Ping { nonce } => {
                self.nonce = *nonce;
                self.put(*id, frame, (Token::Local, true), out);
                if let Some(stripe) = self.stripes.live.get_mut(id) {
                    stripe.ping_owed = false;
                    stripe.ping = Some((*nonce, stripe.sent));
                }
                Ok(())
            }
            Frame::Pong { nonce } => {
                let owed = self.stripes.live.get_mut(id).and_then(|stripe| stripe.pong_owed.take());
                if owed != Some(*nonce) {
                    return Err(owed
                        .map_or("no PONG is owed".into(), |owed| format!("PONG {owed} is owed")));
                }
                self.put(*id, frame, (Token::Local, false), out);
                Ok(())
            }
            Frame::Close { .. } => Err("the session is not over".into()),
            _ => self.follow_control(*id, frame, out),
        }
    }

    /// Control that says what the state says now. It need not be owed: it may be said again at any
    /// time.
    fn follow_control(
        &mut self,
        id: StripeId,
        frame: &Frame,
        out: &mut Vec<Output>,
    ) -> Result<(), String> {
        let intent = match *frame {
            Frame::Accept { flow } => Intent::Accept(flow),
            Frame::Refuse { flow, .. } => Intent::Refuse(flow),
            Frame::Reset { flow, .. } => Intent::Reset(flow),
            Frame::Credit { flow, .. } => Intent::Credit(flow),
            Frame::Blocked { flow, .. } => Intent::Blocked(flow),
            Frame::Grant { .. } => Intent::Grant,
            Frame::StripeGone { stripe, .. } => Intent::Gone(stripe),
            _ => Intent::Drain,
        };
        let stands = match intent {
            Intent::Accept(flow) => {
                !flow.opened_by(self.role)
                    && self
                        .flows
                        .flows
                        .get(&flow)
                        .is_some_and(|entry| entry.phase == Phase::Carried)
            }
            Intent::Drain => self.life == super::Life::Draining,
            _ => true,
        };
        self.give_as_much(frame)?;
        match self.control_frame(intent).filter(|_| stands) {
            Some(says) if covers(&says, frame) => {
                self.intents.remove(intent);
                self.put(id, frame, (Token::Control(intent), intent.eliciting()), out);
                Ok(())
            }
            Some(says) => Err(format!("it would be {says:?}")),
            None => Err("there is no reason to say this".into()),
        }
    }

    /// Gives the peer what the trace gives, unless it has more already.
    fn give_as_much(&mut self, frame: &Frame) -> Result<(), String> {
        let too_much = || Err("no session gives so much".into());
        match *frame {
            Frame::Grant { flows, early } if flows > MAX_GIVEN || early > MAX_GIVEN => {
                return too_much();
            }
            Frame::Grant { flows, early } => self.flows.grant_as_much(flows, early),
            Frame::Credit { limit, .. } if limit > MAX_GIVEN => return too_much(),
            Frame::Credit { flow, limit } => {
                self.change(flow, |entry| entry.recv.credit.grant(limit));
            }
            _ => {}
        }
        Ok(())
    }

    fn follow_acknowledgements(
        &mut self,
        id: StripeId,
        counts: &[(StripeId, u64)],
        out: &mut Vec<Output>,
    ) -> Result<(), String> {
        for (stripe, count) in counts {
            let acker = &mut self
                .stripes
                .live
                .get_mut(stripe)
                .ok_or_else(|| format!("there is no stripe {stripe} to acknowledge"))?
                .acker;
            if acker.count() != *count {
                return Err(format!(
                    "stripe {stripe} has brought {} bytes, not {count}",
                    acker.count()
                ));
            }
            acker.told();
            self.intents.remove(Intent::Acknowledge(*stripe));
        }
        let frame = Frame::Ack { counts: counts.to_vec() };
        self.put(id, &frame, (Token::Acknowledgements, false), out);
        Ok(())
    }

    fn follow_open(
        &mut self,
        id: StripeId,
        frame: &Frame,
        payload: u64,
        out: &mut Vec<Output>,
    ) -> Result<(), String> {
        let Frame::Open { flow, opaque: field, .. } = frame else { return Ok(()) };
        let entry = self.flows.flows.get(flow).filter(|_| flow.opened_by(self.role));
        let Some(entry) = entry else { return Err(format!("there is no flow {flow} to open")) };
        let credit = entry.recv.credit.granted();
        let (flow, opaque, early) = (*flow, entry.opaque.clone(), entry.early);
        let says = Frame::Open { flow, early, credit, opaque: field.clone() };
        if says != *frame || field.len() != opaque.len() {
            return Err(format!(
                "it would have early {early}, credit {credit}, a target of {} bytes",
                opaque.len()
            ));
        }
        let frame = Frame::Open { flow, early, credit, opaque };
        let open = Intent::Open(flow);
        self.intents.remove(open);
        if payload == 0 {
            self.put(id, &frame, (Token::Control(open), true), out);
            return Ok(());
        }
        let data = self.take_range(flow, 0..payload, false)?;
        let token = Token::Data { flow, offset: 0, len: payload, fin: false, requeued: false };
        if let Some(stripe) = self.stripes.live.get_mut(&id) {
            transmit(
                stripe,
                &frame,
                data,
                &[(Token::Control(open), true), (token, true)],
                self.now,
                out,
            );
        }
        Ok(())
    }

    fn follow_data(
        &mut self,
        id: StripeId,
        flow: FlowId,
        range: Range<u64>,
        fin: bool,
        out: &mut Vec<Output>,
    ) -> Result<(), String> {
        let (offset, len) = (range.start, range.end - range.start);
        let data = self.take_range(flow, range, fin)?;
        let token = Token::Data { flow, offset, len, fin, requeued: false };
        if let Some(stripe) = self.stripes.live.get_mut(&id) {
            transmit(
                stripe,
                &Frame::Data { flow, offset, fin },
                data,
                &[(token, true)],
                self.now,
                out,
            );
        }
        self.notify_writable(flow, out);
        Ok(())
    }

    /// Takes a piece of a flow to be sent, with its FIN or without.
    fn take_range(&mut self, flow: FlowId, range: Range<u64>, fin: bool) -> Result<Bytes, String> {
        let entry =
            self.flows.flows.get(&flow).ok_or_else(|| format!("there is no flow {flow}"))?;
        let (send, len) = (&entry.send, range.end - range.start);
        if len > MAX_CHUNK as u64 || (len == 0 && !fin) {
            return Err(format!("no frame has {len} bytes"));
        }
        if range.end > send.limit {
            return Err(format!("the credit ends at {}", send.limit));
        }
        let ends = matches!(send.state, SendState::Finishing | SendState::FinSent);
        if fin && !(ends && range.end == send.buffer.written()) {
            return Err("the direction does not end there".to_string());
        }
        let again = range.end <= send.buffer.next();
        let why = format!(
            "bytes {} to {} are there, {} were sent",
            send.buffer.released(),
            send.buffer.written(),
            send.buffer.next()
        );
        let data = if len == 0 {
            Bytes::new()
        } else {
            self.change(flow, |entry| entry.send.buffer.take_range(range)).flatten().ok_or(why)?
        };
        if fin {
            self.change(flow, |entry| entry.send.state = SendState::FinSent);
        }
        self.account_for(flow, len, again);
        Ok(data)
    }

    fn put(&mut self, id: StripeId, frame: &Frame, token: (Token, bool), out: &mut Vec<Output>) {
        if let Some(stripe) = self.stripes.live.get_mut(&id) {
            transmit(stripe, frame, Bytes::new(), &[token], self.now, out);
        }
    }
}

/// Whether what is said now is what the trace says, or more of it.
fn covers(now: &Frame, said: &Frame) -> bool {
    match (now, said) {
        (Frame::Grant { flows, early }, Frame::Grant { flows: less, early: less_early }) => {
            flows >= less && early >= less_early
        }
        (Frame::Credit { limit, .. }, Frame::Credit { limit: less, .. }) => limit >= less,
        _ => now == said,
    }
}
