//! The way of one byte of a flow at its sender: when the program gave it, and the stripes that it
//! was put on.
//!
//! Invariant: the blame is on the stripe that had the byte first. A copy is only the answer to
//! that.

use super::account::{Account, Flow, Sent, exceeds};
use super::wait::Cause;
use striper_core::StripeId;
use striper_core::wire::frame::MAX_FRAME;

pub struct History {
    pub written: Option<u64>,
    pub sends: Vec<Sent>,
    /// When the byte and all before it were known to have arrived.
    passed: Option<u64>,
}

impl History {
    /// The history of the byte at an offset, or of the FIN that is there.
    pub fn of(flow: &Flow, offset: u64) -> History {
        let sending = &flow.sending;
        let written = exceeds(&sending.written, offset).or(sending.finish);
        let first = sending.pieces.partition_point(|piece| piece.offset + MAX_FRAME <= offset);
        let near = sending.pieces[first..].iter().take_while(|piece| piece.offset <= offset);
        let covers = |piece: &&Sent| {
            offset < piece.offset + piece.len || (piece.len == 0 && piece.offset == offset)
        };
        let mut sends: Vec<Sent> = near.filter(covers).copied().collect();
        sends.sort_by_key(|piece| piece.at);
        History { written, sends, passed: exceeds(&sending.settled, offset) }
    }

    /// When the sender knew that one of the copies had arrived.
    pub fn settled(&self) -> Option<u64> {
        self.sends.iter().filter_map(|piece| piece.acknowledged).chain(self.passed).min()
    }
}

/// The cause that held up a byte that was sent, and the stripe on which it was sent first.
pub fn on_stripes(sender: &Account, history: &History) -> Option<(Cause, StripeId)> {
    let first = history.sends.first()?;
    let settled = history.settled().unwrap_or(sender.last).max(first.at);
    let span = first.at..settled;
    let lane = sender.lane(first.stripe)?;
    let doubted = lane.doubts.iter().any(|(from, to)| *from < span.end && *to > span.start);
    // A stripe that brought nothing more until it was lost was silent, though the copy may have
    // left before anybody could know.
    let lost = sender.lost(first.stripe).is_some_and(|(at, _)| {
        span.contains(&at) || lane.moved_before(at).is_none_or(|moved| moved <= span.end)
    });
    let usual = sender.usual.get(&first.stripe);
    let cause = if doubted || lost {
        Cause::Broken(Some(first.stripe))
    } else if usual.is_some_and(|usual| settled - first.at <= 2 * usual) {
        Cause::UnderWay
    } else {
        Cause::Slow(first.stripe)
    };
    Some((cause, first.stripe))
}
