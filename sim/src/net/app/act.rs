//! The next step of a program, by its plan.
//!
//! Invariant: it gives no more than there is room for, and takes no more than was delivered.

use super::{EndState, Ending, Flow, ReadPlan, Start, pattern};
use crate::base::{Kind, Rate, Side};
use bytes::Bytes;

/// A slow reader takes its bytes once in so many microseconds.
const READ_EVERY: u64 = 10_000;

#[derive(Debug)]
pub enum Write {
    Data(Bytes),
    Finish,
    Reset,
    Wait(u64),
    /// It waits for room or for the other side, or is done.
    Nothing,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Consumed {
    /// The new cumulative count, if it has changed.
    pub total: Option<u64>,
    pub again: Option<u64>,
    /// The way of reading that made it take less than there was.
    pub held_back: Option<Kind>,
}

impl Flow {
    pub fn next_write(&mut self, side: Side, room: u64, now: u64) -> Write {
        let (pattern, eager, is_opener) =
            (pattern(self.index, side.index()), self.eager, self.plan.opener == side);
        let half = &self.plan.sends[side.index()];
        let end = &mut self.ends[side.index()];
        let may_start = (is_opener || end.accepted_at.is_some())
            && (half.start == Start::AtOnce || end.got_fin || eager && half.end == Ending::Never);
        if end.state != EndState::Open || end.finished || !may_start {
            return Write::Nothing;
        }
        if end.given == half.bytes {
            return match half.end {
                Ending::Reset => Write::Reset,
                Ending::Never if !eager => Write::Nothing,
                _ => {
                    end.finished = true;
                    Write::Finish
                }
            };
        }
        let mut len = room.min(half.piece).min(half.bytes - end.given);
        if let Some(rate) = half.rate.filter(|_| !eager).map(Rate::as_bytes) {
            let due = ((now - end.opened_at) as u128 * rate as u128 / 1_000_000) as u64;
            // The bytes of about ten milliseconds at a time.
            let grain = (rate / 100).clamp(1, len.max(1));
            if due < end.given + grain {
                let micros =
                    (u128::from(end.given + grain) * 1_000_000).div_ceil(u128::from(rate)) as u64;
                return Write::Wait((end.opened_at + micros).max(now + 1));
            }
            len = len.min(due - end.given);
        }
        if len == 0 {
            return Write::Nothing;
        }
        let data = pattern.bytes(end.given, len as usize);
        end.given += len;
        Write::Data(data)
    }

    pub fn consume(&mut self, side: Side, now: u64) -> Consumed {
        let reader = if self.eager { ReadPlan::default() } else { self.plan.reads[side.index()] };
        let end = &mut self.ends[side.index()];
        let mut most = reader.stop_after.unwrap_or(u64::MAX).min(end.delivered).max(end.consumed);
        let mut again = None;
        let mut held_back = (most < end.delivered).then_some(Kind::StuckReader);
        if reader.burst.is_some_and(|burst| most - end.consumed < burst) && !end.got_fin {
            held_back = Some(Kind::BurstReader);
            most = end.consumed;
        }
        if let Some(rate) = reader.rate.map(Rate::as_bytes) {
            let step = (rate / (1_000_000 / READ_EVERY)).max(1);
            if most > end.consumed + step {
                again = Some(now + READ_EVERY);
                held_back = Some(Kind::SlowReader);
            }
            most = most.min(end.consumed + step);
        }
        let total = (most > end.consumed).then_some(most);
        end.consumed = most;
        Consumed { total, again, held_back }
    }
}
