//! The words of the hostile peer: a move as frames, and the bytes of frames on stripes.
//!
//! Invariant: but for rude moves, torn frames and the few bytes too many, every frame is valid.

use super::{Act, Move, Play};
use bytes::Bytes;
use rand::RngExt;
use striper_core::wire::{frame::Frame, varint};
use striper_core::{FlowId, Input, Role, StripeId};

impl Play {
    /// Flow `index` of the peer, or with `ours` of the honest side.
    pub(super) fn flow(&self, index: u64, ours: bool) -> FlowId {
        let client = (self.role == Role::Client) == ours;
        FlowId(index * 2 + u64::from(client))
    }

    pub(super) fn speak(&mut self, number: usize, flow: FlowId, next: Move) {
        for (frame, payload) in self.frames(flow, next) {
            let mut bytes = frame.encode(payload).to_vec();
            if next.act == Act::Torn {
                bytes.truncate(bytes.len() / 2);
            }
            bytes.resize(bytes.len() + payload, number as u8);
            self.bytes(bytes.into());
        }
        if next.act == Act::Skip {
            // Of an even type that no version knows.
            let mut bytes = Vec::new();
            varint::put(&mut bytes, next.a + 1);
            varint::put(&mut bytes, 0x7e);
            bytes.resize(bytes.len() + next.a as usize, 0x55);
            self.bytes(bytes.into());
        }
    }

    fn stripe(&self, number: u64) -> StripeId {
        self.up()
            .get(number as usize)
            .copied()
            .unwrap_or(StripeId(number % self.next_stripe.max(1)))
    }

    fn frames(&self, flow: FlowId, Move { act, a, b, c }: Move) -> Vec<(Frame, usize)> {
        let frame = match act {
            Act::Open => return vec![self.open(a, b, c)],
            Act::Data | Act::Fin => return self.data(act == Act::Fin, flow, b, c),
            Act::RudeData => {
                let frame = Frame::Data { flow, offset: b, fin: c.is_multiple_of(5) };
                return vec![(frame, c as usize + 1)];
            }
            Act::Ping => return (0..a).map(|nonce| (Frame::Ping { nonce }, 0)).collect(),
            Act::Accept | Act::Refuse if self.opened == 0 => return Vec::new(),
            Act::Accept => Frame::Accept { flow: self.flow(a % self.opened, true) },
            Act::Refuse => Frame::Refuse { flow: self.flow(a % self.opened, true), reason: b },
            Act::Reset => {
                let reach =
                    self.end.session.view_flow(flow).map_or(b, |view| view.received + b % 3 * b);
                Frame::Reset { flow, reason: c, final_offset: reach.min((1 << 62) - 1) }
            }
            Act::Credit => Frame::Credit { flow, limit: b },
            Act::Blocked => Frame::Blocked { flow, limit: b },
            Act::Grant => Frame::Grant { flows: a, early: b },
            Act::Ack => {
                let stripe = self.stripe(a);
                Frame::Ack { counts: vec![(stripe, self.part_sent(stripe, b))] }
            }
            Act::AckAll if self.end.stripes().is_empty() => return Vec::new(),
            Act::AckAll => {
                let count = |stripe: &StripeId| (*stripe, self.part_sent(*stripe, 1_000));
                Frame::Ack { counts: self.up().iter().map(count).collect() }
            }
            Act::Gone => {
                let stripe = self.stripe(a);
                Frame::StripeGone { stripe, received: self.part_sent(stripe, b) }
            }
            Act::Pong => Frame::Pong { nonce: a },
            Act::Drain => Frame::Drain,
            Act::Close => Frame::Close { code: a },
            Act::Torn => Frame::Ping { nonce: 1 << 40 },
            _ => return Vec::new(),
        };
        vec![(frame, 0)]
    }

    fn part_sent(&self, stripe: StripeId, thousandths: u64) -> u64 {
        self.sent.get(&stripe).copied().unwrap_or(0) * thousandths / 1_000
    }

    /// OPEN, mostly with early credit that may have been granted.
    fn open(&self, a: u64, b: u64, c: u64) -> (Frame, usize) {
        let frame = Frame::Open {
            flow: self.flow(a, false),
            early: b.min(if a.is_multiple_of(7) { u64::MAX >> 2 } else { 240 << 10 }),
            credit: c,
            opaque: Bytes::from(vec![b'x'; (b % 600).min(512) as usize]),
        };
        (frame, (c % 3_000) as usize)
    }

    /// DATA within the credit, but now and then a few bytes too many.
    fn data(&self, fin: bool, flow: FlowId, b: u64, c: u64) -> Vec<(Frame, usize)> {
        let granted = self.end.session.view_flow(flow).map_or(16 << 10, |view| view.granted);
        let over = c % 211 == 1;
        let offset = if over { granted.saturating_sub(100) } else { granted * b / 1_000 };
        let room = if b > 1_000 { c } else { granted.saturating_sub(offset) };
        let len = if over { room + c % 8 } else { c.min(room) };
        if len == 0 && !fin {
            Vec::new()
        } else {
            vec![(Frame::Data { flow, offset, fin }, len as usize)]
        }
    }

    /// Puts bytes on one of the stripes that are up, if there is one, cut at random.
    fn bytes(&mut self, mut bytes: Bytes) {
        let up = self.up();
        if up.is_empty() {
            return;
        }
        let stripe = up[self.rng.random_range(0..up.len())];
        while !bytes.is_empty() && self.end.ended().is_none() {
            let n = match self.rng.random_range(0..4) {
                0 => 1,
                1 => self.rng.random_range(1..=bytes.len()),
                _ => bytes.len(),
            };
            self.input(Input::StripeBytes { stripe, data: bytes.split_to(n) });
        }
    }
}
