//! The words of a peer: frames of every type, with any fields.

use super::source::Source;
use bytes::Bytes;
use std::time::Duration;
use striper_core::limits::FLOW_FLOOR;
use striper_core::wire::frame::Frame;
use striper_core::{Config, FlowId, SchedulerKind, StripeId};

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

/// Small limits, so that a few operations reach them. Patience is `short` or four seconds.
pub(super) fn small_limits(shape: u8, short: Duration) -> Config {
    let scheduler = match shape & 3 {
        0 | 1 => SchedulerKind::Earliest,
        2 => SchedulerKind::UntilCongested,
        _ => SchedulerKind::RoundRobin,
    };
    let patience = if shape >> 2 & 1 == 0 { Duration::from_secs(4) } else { short };
    Config {
        stripes: usize::from(shape >> 3 & 3) + 1,
        scheduler,
        memory_limit: 2 << 20,
        window_limit: if shape >> 5 & 1 == 0 { FLOW_FLOOR } else { 1 << 20 },
        max_flows: 64,
        heartbeat: patience * 2,
        stall_limit: patience,
        ..Config::default()
    }
}

pub(super) fn any_stripe(source: &mut Source) -> StripeId {
    StripeId(match source.byte() {
        small @ 0..250 => u64::from(small % 8),
        _ => source.number(),
    })
}
