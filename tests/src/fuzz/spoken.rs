//! The words of a peer: frames of every type, with any fields.

use super::source::Source;
use bytes::Bytes;
use striper_core::wire::frame::Frame;
use striper_core::{FlowId, StripeId};

/// A frame about this flow, if it is about one, and how many bytes of payload are to follow its
/// head.
pub(super) fn any_frame(flow: FlowId, source: &mut Source) -> (Frame, usize) {
    let mut payload = 0;
    let frame = match source.choice(14) {
        0 => {
            payload = source.length();
            let opaque = Bytes::from(vec![0; source.length() % 600]);
            Frame::Open { flow, early: source.number(), credit: source.number(), opaque }
        }
        1 => Frame::Accept { flow },
        2 => Frame::Refuse { flow, reason: source.number() },
        3 => {
            payload = source.length();
            let last = source.byte();
            Frame::Data { flow, offset: source.number(), fin: last & 1 == 1 }
        }
        4 => Frame::Reset { flow, reason: source.number(), final_offset: source.number() },
        5 => Frame::Credit { flow, limit: source.number() },
        6 => Frame::Blocked { flow, limit: source.number() },
        7 => Frame::Grant { flows: source.number(), early: source.number() },
        8 => {
            let count = source.choice(4) + 1;
            Frame::Ack {
                counts: (0..count).map(|_| (any_stripe(source), source.number())).collect(),
            }
        }
        9 => Frame::StripeGone { stripe: any_stripe(source), received: source.number() },
        10 => Frame::Ping { nonce: source.number() },
        11 => Frame::Pong { nonce: source.number() },
        12 => Frame::Drain,
        _ => Frame::Close { code: source.number() },
    };
    (frame, payload)
}

pub(super) fn any_stripe(source: &mut Source) -> StripeId {
    StripeId(match source.byte() {
        small @ 0..250 => u64::from(small % 8),
        _ => source.number(),
    })
}
