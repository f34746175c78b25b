//! The moves between an honest session and a hostile peer, and their draw.
//!
//! Invariant: a move is plain data of three numbers that mean something in every state. So any part
//! of a list of moves is a list of moves too.

use crate::base::{log_range, named, pick};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

named! {
/// The next event. `a`, `b` and `c` are a [`Move`]'s numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
Act {
    /// Peer: a stripe comes up.
    Up = "up",
    Down = "down",
    Written = "written",
    /// OPEN of index `a`, early credit `b`, credit `c`, with some payload.
    Open = "open",
    Accept = "accept",
    Refuse = "refuse",
    /// DATA of `a`, at `b` thousandths of the credit, length `c`.
    Data = "data",
    Fin = "fin",
    /// DATA of `a` at any offset `b`, length `c`.
    RudeData = "rude-data",
    /// RESET of `a` with final offset `b`.
    Reset = "reset",
    /// CREDIT for `a` up to `b`.
    Credit = "credit",
    /// BLOCKED of `a` at `b`.
    Blocked = "blocked",
    /// GRANT of `a` flows and `b` early credit.
    Grant = "grant",
    /// ACK of stripe `a` for `b` thousandths of what was sent.
    Ack = "ack",
    AckAll = "ack-all",
    /// STRIPE_GONE of `a`, received `b` thousandths.
    Gone = "gone",
    /// PING, `a` times.
    Ping = "ping",
    Pong = "pong",
    Drain = "drain",
    Close = "close",
    /// A frame of unknown type that may be skipped, length `a`.
    Skip = "skip",
    /// Half a frame. Only the bytes of the next frame follow it.
    Torn = "torn",
    /// Honest side: opens a flow.
    LocalOpen = "local-open",
    /// Sends `b` bytes on flow `a`.
    LocalData = "local-data",
    /// Takes all that flow `a` has delivered.
    LocalConsume = "local-consume",
    LocalFinish = "local-finish",
    LocalReset = "local-reset",
    LocalAccept = "local-accept",
    /// Time passes: `a` microseconds.
    Wait = "wait",
}
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Move {
    pub act: Act,
    pub a: u64,
    pub b: u64,
    pub c: u64,
}

pub fn draw(rng: &mut ChaCha8Rng) -> Vec<Move> {
    let likely = *pick(rng, &[0.2, 0.5, 0.9]);
    let mut acts: Vec<Act> = Act::ALL.iter().copied().filter(|_| rng.random_bool(likely)).collect();
    acts.extend([Act::Up, Act::Written, Act::AckAll, Act::Wait, Act::Open, Act::Data]);
    // Rude data, and closing, end most worlds at once.
    let rude = rng.random_range(0..8) == 0;
    acts.retain(|act| rude || !matches!(act, Act::RudeData | Act::Close | Act::Torn | Act::Drain));
    let flows = log_range(rng, 1, 64);
    let count = log_range(rng, 100, 800);
    let mut moves = vec![Move { act: Act::Up, a: 0, b: 0, c: 0 }];
    for _ in 0..count {
        let act = *pick(rng, &acts);
        let flow = rng.random_range(0..flows);
        let thousandths =
            if rude { rng.random_range(0..1_010) } else { rng.random_range(0..=1_000) };
        let (a, b, c) = match act {
            Act::Open => (flow, log_range(rng, 1, 1 << 18) - 1, log_range(rng, 1, 1 << 24) - 1),
            Act::Data | Act::Fin => (flow, thousandths, log_range(rng, 1, 1 << 14) - 1),
            Act::RudeData => (flow, log_range(rng, 1, 1 << 61), log_range(rng, 1, 1 << 16) - 1),
            Act::Reset | Act::Credit | Act::Blocked => {
                (flow, log_range(rng, 1, 1 << 40) - 1, rng.random_range(0..9))
            }
            Act::Grant => (log_range(rng, 1, 1 << 40), log_range(rng, 1, 1 << 40), 0),
            Act::Ack | Act::Gone => (rng.random_range(0..6), thousandths, 0),
            Act::Wait => (log_range(rng, 1, 10_000_000), 0, 0),
            Act::LocalData => (flow, log_range(rng, 1, 1 << 18), 0),
            Act::Up | Act::Down => (rng.random_range(0..6), 0, 0),
            Act::Ping => (log_range(rng, 1, 200), 0, 0),
            Act::Close => (rng.random_range(0..4), 0, 0),
            Act::Skip => (log_range(rng, 1, 1 << 16), 0, 0),
            _ => (flow, rng.random_range(0..9), 0),
        };
        moves.push(Move { act, a, b, c });
    }
    moves
}
