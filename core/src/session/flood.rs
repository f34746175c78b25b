//! How much control a peer may send beside its data.
//!
//! What comes in is payload or control: heads, frames without payload, frames that are skipped.
//! Control is paid for out of an allowance, which begins as [`crate::Config::control_burst`] and is
//! filled up again by time, by payload in either direction, and by flows. The head of a DATA that
//! brings something new costs nothing; one that brings nothing is control. So no honest program
//! comes near the limit however it writes, and a peer that makes us work for nothing ends its
//! session.
//!
//! Invariant: what is counted does not depend on how a stripe's bytes were cut.

use super::Session;
use crate::config::CONTROL_PER_FLOW;
use crate::error::Violation;
use crate::id::{FlowId, StripeId};
use crate::io::Output;
use crate::wire::deframer::{Deframer, Item};
use alloc::vec::Vec;

/// What control has been allowed for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Credited {
    payload: u64,
    flows: u64,
}

/// Bytes of a stripe, from its first on or from some point in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read {
    bytes: u64,
    /// Of frames that nobody knows.
    skipped: u64,
}

impl Read {
    /// All that was read so far.
    pub fn of(deframer: &Deframer) -> Read {
        Read { bytes: deframer.processed(), skipped: deframer.skipped() }
    }

    /// What was read since `before`, which moves on.
    pub fn since(deframer: &Deframer, before: &mut Read) -> Read {
        let all = Read::of(deframer);
        let Read { bytes, skipped } = core::mem::replace(before, all);
        Read { bytes: all.bytes - bytes, skipped: all.skipped - skipped }
    }
}

impl Session {
    /// Adds to the allowance what time, payload and flows have come to.
    pub(super) fn allow_control(&mut self) {
        let totals = &self.totals;
        let payload = totals.payload_sent + totals.payload_resent + totals.payload_received;
        let flows = self.flows.begun();
        self.control.refill(self.now);
        self.control.earn(payload - self.allowed_for.payload, self.config.payload_per_control);
        self.control.earn((flows - self.allowed_for.flows).saturating_mul(CONTROL_PER_FLOW), 1);
        self.allowed_for = Credited { payload, flows };
    }

    /// Takes a piece and the bytes of the stripe that brought it, if the peer may still send them.
    pub(super) fn take_accounted(
        &mut self,
        id: StripeId,
        piece: Item,
        read: Read,
        out: &mut Vec<Output>,
    ) -> Result<(), Violation> {
        let Item::Data { flow, ref data, .. } = piece else {
            self.pay(id, read.bytes, 0)?;
            return self.take_item(id, piece, out);
        };
        let payload = data.len() as u64;
        self.account(id, read, payload)?;
        self.totals.payload_received += payload;
        let before = self.extent(flow);
        self.take_item(id, piece, out)?;
        if self.extent(flow) != before
            && let Some(stripe) = self.stripes.live.get_mut(&id)
        {
            stripe.idle_head = 0;
        }
        Ok(())
    }

    /// Pays for bytes of which so many are payload. What was not skipped either is the head of a
    /// DATA.
    pub(super) fn account(
        &mut self,
        id: StripeId,
        read: Read,
        payload: u64,
    ) -> Result<(), Violation> {
        let head = read.bytes - payload - read.skipped;
        if read.bytes > payload { self.pay(id, read.skipped, head) } else { Ok(()) }
    }

    /// Pays for `control`, and for the head of a DATA that stood before it and was of no use. That
    /// of the DATA which begins now, `head`, will be paid for if nothing new comes of it.
    fn pay(&mut self, id: StripeId, control: u64, head: u64) -> Result<(), Violation> {
        let Some(stripe) = self.stripes.live.get_mut(&id) else { return Ok(()) };
        let control = control + core::mem::replace(&mut stripe.idle_head, head);
        if !self.control.take(control) {
            // What has come with this input counts as well.
            self.allow_control();
            if !self.control.take(control) {
                return Err(Violation::Flood);
            }
        }
        self.totals.control_peak = self.totals.control_peak.max(self.control.missing());
        Ok(())
    }

    /// Changes with everything new that is heard of a direction.
    fn extent(&self, flow: FlowId) -> Option<(u64, u64, bool)> {
        let recv = &self.flows.flows.get(&flow)?.recv;
        Some((recv.assembler.next(), recv.assembler.held(), recv.end.is_some()))
    }
}
