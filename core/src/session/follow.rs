//! Sends what a trace says instead of choosing: which frame on which stripe, and when.
//!
//! Everything else stays the session's own: what is owed, what frames say, what is delivered, when
//! flows end. So a trace fits as long as the protocol's state runs as it did, however stripes are
//! chosen meanwhile. Allowances don't hold here: whether a stripe took more was part of the choice.
//! A piece that was sent before may be sent again at any time, as a scheduler may.
//!
//! The amount of credit is a choice too. It depends on the memory that was free at the moment, and
//! so on how bytes came in parts. The peer has acted on what was given then.

use super::carriers::Carriers;
use super::control::{Control, frame_of, transmit_open};
use super::dispatch::{count_data, put_data};
use super::{Life, Session};
use crate::config::MAX_CHUNK;
use crate::flow::send::Chunk;
use crate::flow::{Flow, Phase};
use crate::id::{FlowId, Role, StripeId};
use crate::intents::Intent;
use crate::io::{Input, Output};
use crate::stripe::Token;
use crate::time::Instant;
use crate::wire::frame::{Frame, MAX_ACKS};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use core::ops::Range;

/// A frame that is to be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Choice {
    pub stripe: StripeId,
    /// Of an OPEN's opaque field only the length counts.
    pub frame: Frame,
    /// Bytes of payload behind it.
    pub payload: u64,
}

/// No trace gives more than this of anything, so that no sum of it overflows.
const MAX_GIVEN: u64 = 1 << 44;

/// A choice that can't be followed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Unfit {
    pub index: usize,
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
        let choices = &choices[..self.before_last_words(choices)];
        let (role, draining) = (self.role(), self.life == Life::Draining);
        let (control, _, on) = self.sending(out);
        // The trace says when what was said is repeated.
        control.forget_repeats();
        let mut trace = Following { control, on, role, draining };
        for (index, choice) in choices.iter().enumerate() {
            trace.send(choice).map_err(|why| Unfit { index, why })?;
        }
        self.after_sending(out);
        self.conclude(out);
        Ok(())
    }

    /// How many choices come before the acknowledgements and the CLOSE that an ending session says
    /// by itself.
    fn before_last_words(&self, choices: &[Choice]) -> usize {
        let close = choices.iter().position(|choice| matches!(choice.frame, Frame::Close { .. }));
        let counts =
            self.stripes.iter().filter(|stripe| stripe.inbound().acker().count() > 0).count();
        close.map_or(choices.len(), |close| close.saturating_sub(counts.div_ceil(MAX_ACKS)))
    }
}

/// Sends what a trace says, by the same means as a session that chooses by itself.
struct Following<'a> {
    control: &'a mut Control,
    on: Carriers<'a>,
    role: Role,
    draining: bool,
}

impl Following<'_> {
    fn send(&mut self, choice: &Choice) -> Result<(), String> {
        let Choice { stripe, frame, payload } = choice;
        self.on.choice.follow(*stripe);
        let chosen = self.on.control_stripe(None, true);
        let Some((id, stripe)) = chosen.and_then(|id| Some((id, self.on.stripes.get_mut(id)?)))
        else {
            return Err(format!("stripe {stripe} is not up"));
        };
        match frame {
            Frame::Data { flow, offset, fin } => {
                self.data(id, *flow, *offset..offset.saturating_add(*payload), *fin)
            }
            Frame::Open { .. } => self.open(id, frame, *payload),
            Frame::Ack { counts } => self.acknowledgements(id, counts),
            Frame::Ping { nonce } => {
                self.control.ping(stripe, *nonce, self.on.now, self.on.out);
                Ok(())
            }
            Frame::Pong { nonce } => {
                let owed = stripe.probes_mut().take_pong();
                if owed != Some(*nonce) {
                    return Err(owed
                        .map_or("no PONG is owed".into(), |owed| format!("PONG {owed} is owed")));
                }
                self.on.say(id, frame, Token::Local, false);
                Ok(())
            }
            Frame::Close { .. } => Err("the session is not over".into()),
            _ => self.control(id, frame),
        }
    }

    /// Control that says what the state says now. It need not be owed: it may be said again at any
    /// time.
    fn control(&mut self, id: StripeId, frame: &Frame) -> Result<(), String> {
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
                let phase = self.on.flows.get(flow).map(Flow::phase);
                !flow.opened_by(self.role) && phase == Some(Phase::Carried)
            }
            Intent::Drain => self.draining,
            _ => true,
        };
        self.give_as_much(frame)?;
        match frame_of(intent, self.on.flows, self.on.stripes).filter(|_| stands) {
            Some(says) if covers(&says, frame) => {
                self.control.withdraw(intent);
                self.on.say(id, frame, Token::Control(intent), intent.eliciting());
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
            Frame::Grant { flows, early } => self.on.flows.ids_mut().grant_as_much(flows, early),
            Frame::Credit { limit, .. } if limit > MAX_GIVEN => return too_much(),
            Frame::Credit { flow, limit } => {
                let grant = |entry: &mut Flow| entry.recv_mut().credit_mut().grant(limit);
                self.on.flows.change(flow, grant);
            }
            _ => {}
        }
        Ok(())
    }

    fn acknowledgements(&mut self, id: StripeId, counts: &[(StripeId, u64)]) -> Result<(), String> {
        for (stripe, count) in counts {
            let Some(acknowledged) = self.on.stripes.get_mut(*stripe) else {
                return Err(format!("there is no stripe {stripe} to acknowledge"));
            };
            let acker = acknowledged.inbound_mut().acker_mut();
            let brought = acker.count();
            if brought != *count {
                return Err(format!("stripe {stripe} has brought {brought} bytes, not {count}"));
            }
            acker.told();
            self.control.withdraw(Intent::Acknowledge(*stripe));
        }
        let frame = Frame::Ack { counts: counts.to_vec() };
        self.on.say(id, &frame, Token::Acknowledgements, false);
        Ok(())
    }

    fn open(&mut self, id: StripeId, frame: &Frame, payload: u64) -> Result<(), String> {
        let Frame::Open { flow, opaque: field, .. } = frame else { return Ok(()) };
        let flow = *flow;
        let entry = self.on.flows.get(flow).filter(|_| flow.opened_by(self.role));
        let Some(entry) = entry else { return Err(format!("there is no flow {flow} to open")) };
        let credit = entry.recv().credit().granted();
        let (opaque, early) = (entry.opaque().clone(), entry.early());
        let says = Frame::Open { flow, early, credit, opaque: field.clone() };
        if says != *frame || field.len() != opaque.len() {
            return Err(format!(
                "it would have early {early}, credit {credit}, a target of {} bytes",
                opaque.len()
            ));
        }
        self.control.withdraw(Intent::Open(flow));
        let frame = Frame::Open { flow, early, credit, opaque };
        let data = if payload > 0 { self.take(flow, 0..payload, false)? } else { Bytes::new() };
        transmit_open(flow, id, &frame, data, &mut self.on);
        Ok(())
    }

    fn data(
        &mut self,
        id: StripeId,
        flow: FlowId,
        range: Range<u64>,
        fin: bool,
    ) -> Result<(), String> {
        let offset = range.start;
        let data = self.take(flow, range, fin)?;
        put_data(flow, id, Chunk { offset, data, fin }, &mut self.on);
        Ok(())
    }

    /// Takes a range of a flow to be sent, with its FIN or without.
    fn take(&mut self, flow: FlowId, range: Range<u64>, fin: bool) -> Result<Bytes, String> {
        let entry = self.on.flows.get(flow).ok_or_else(|| format!("there is no flow {flow}"))?;
        let len = range.end - range.start;
        if len > MAX_CHUNK as u64 || (len == 0 && !fin) {
            return Err(format!("no frame has {len} bytes"));
        }
        let again = range.end <= entry.send().buffer().next();
        let data = self.on.flows.change(flow, |entry| entry.send_mut().take_range(range, fin));
        let data = data.unwrap_or_else(|| Ok(Bytes::new()))?;
        count_data(flow, len, again, self.control, &mut self.on);
        Ok(data)
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
