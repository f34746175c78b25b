//! The programs at both ends of a flow: what they send, how they read, and whether what they read is right.
//!
//! Every byte follows from (flow, direction, offset), so that each delivered piece can be checked on the spot. Oracles,
//! at each output: bytes come in order and equal the pattern, FIN once and after the last byte, nothing after a reset or
//! the end, no reset without a cause, and what was given before a peer's reset is delivered before it.

use crate::faults::Kind;
use crate::seed::Digest;
use bytes::{Bytes, BytesMut};
use striper_core::{FlowId, Reason, Role};

/// One of the two proxies.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Side {
    /// The one that dials the stripes.
    Client,
    /// The one that accepts them.
    Server,
}

impl Side {
    /// Both, the client first.
    pub const BOTH: [Side; 2] = [Side::Client, Side::Server];

    /// The other one.
    pub fn other(self) -> Side {
        match self {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        }
    }

    /// Its place in an array of two; also the number of the way *from* it.
    pub fn index(self) -> usize {
        self as usize
    }
}

impl From<Role> for Side {
    fn from(role: Role) -> Self {
        match role {
            Role::Client => Side::Client,
            Role::Server { .. } => Side::Server,
        }
    }
}

/// How the program that a flow was opened to answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Accepts after so many microseconds.
    Accept(u64),
    /// Refuses after so many microseconds.
    Refuse(u64, Reason),
}

/// When a program begins to send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    /// As soon as there is a flow.
    AtOnce,
    /// When it has seen the other's FIN, as one who answers a request.
    AfterFin,
}

/// What a program does after its last byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// Sends a FIN.
    Finish,
    /// Resets the flow.
    Reset,
    /// Leaves it open.
    Never,
}

/// What one program sends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Half {
    /// How many bytes.
    pub bytes: u64,
    /// When it begins.
    pub start: Start,
    /// How fast, in bytes per second.
    pub rate: Option<u64>,
    /// How many bytes at once at most.
    pub piece: u64,
    /// What comes then.
    pub end: Ending,
}

impl Half {
    /// Sends so many bytes as fast as it can, then a FIN.
    pub fn sends(bytes: u64) -> Self {
        Half { bytes, start: Start::AtOnce, rate: None, piece: 64 << 10, end: Ending::Finish }
    }
}

/// How one program reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Reader {
    /// How fast, in bytes per second; all at once if not given.
    pub rate: Option<u64>,
    /// Stops for good after so many bytes (0 never reads).
    pub stop_after: Option<u64>,
    /// Reads nothing until so many bytes wait or the end is there.
    pub burst: Option<u64>,
}

/// A flow and what both programs do with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FlowPlan {
    /// Whose program opens it.
    pub opener: Side,
    /// When, in microseconds.
    pub at: u64,
    /// How the other answers.
    pub answer: Answer,
    /// What the client's program and the server's program send.
    pub sends: [Half; 2],
    /// How they read.
    pub reads: [Reader; 2],
    /// Who breaks it off, and when, in microseconds.
    pub reset: Option<(Side, u64)>,
}

impl FlowPlan {
    /// The client's program sends so much, the server's nothing; both finish.
    pub fn upload(at: u64, bytes: u64) -> Self {
        FlowPlan {
            opener: Side::Client,
            at,
            answer: Answer::Accept(0),
            sends: [Half::sends(bytes), Half::sends(0)],
            reads: [Reader::default(); 2],
            reset: None,
        }
    }

    /// As [`FlowPlan::upload`], and as much comes the other way.
    pub fn both_ways(at: u64, bytes: u64) -> Self {
        let mut plan = Self::upload(at, bytes);
        plan.sends[Side::Server.index()].bytes = bytes;
        plan
    }
}

/// How things stand at one end of a flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EndState {
    /// Not opened or not heard of yet.
    NotYet,
    /// In use.
    Open,
    /// Both directions are done.
    Ended,
    /// The peer's program broke it off.
    PeerReset(Reason),
    /// This side's program broke it off.
    ResetHere,
    /// The peer's program refused it, or this side's did.
    Refused(Reason),
    /// The session ended first.
    Lost,
}

/// One end of a flow.
#[derive(Clone, Debug)]
pub struct End {
    /// How things stand.
    pub state: EndState,
    /// Bytes given to the session.
    pub given: u64,
    /// The FIN was given.
    pub finished: bool,
    /// Bytes that came from the session.
    pub delivered: u64,
    /// Those that the program has taken.
    pub consumed: u64,
    /// The FIN came.
    pub got_fin: bool,
    /// When the flow was opened or heard of.
    pub opened_at: u64,
    /// When it was accepted.
    pub accepted_at: Option<u64>,
    /// When the last byte came.
    pub last_byte_at: u64,
    /// When the FIN came.
    pub fin_at: Option<u64>,
    /// When this end came to its end.
    pub ended_at: Option<u64>,
    /// The session said the flow has ended, which after a local reset comes later than the end.
    ended_said: bool,
}

/// What a program does next when it may send.
#[derive(Debug)]
pub enum Write {
    /// Gives these bytes.
    Data(Bytes),
    /// Gives its FIN.
    Finish,
    /// Breaks off.
    Reset,
    /// Has nothing until then.
    Wait(u64),
    /// Waits for room or for the other side, or is done.
    Nothing,
}

/// What a program has read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Consumed {
    /// The new cumulative count, if it has changed.
    pub total: Option<u64>,
    /// When to ask again.
    pub again: Option<u64>,
    /// The way of reading that made it take less than there was.
    pub held_back: Option<Kind>,
}

/// A flow in a world.
#[derive(Clone, Debug)]
pub struct Flow {
    /// Its number in the world; what its OPEN says.
    pub index: usize,
    /// What is to happen.
    pub plan: FlowPlan,
    /// Its name, once it has one.
    pub id: Option<FlowId>,
    /// Both ends, the client's first.
    pub ends: [End; 2],
    /// Which of a side's sessions carries each end.
    pub homes: [Option<usize>; 2],
    /// Since the flow was there, a side's clock has jumped: its program may look as if it had stopped to read.
    pub jumped: [bool; 2],
    /// From now on both programs read all at once and send without a limit.
    pub eager: bool,
}

/// Bytes that a slow reader takes at once are those of this time, in microseconds.
const READ_EVERY: u64 = 10_000;

impl Flow {
    /// One that has not been opened yet.
    pub fn new(index: usize, plan: FlowPlan) -> Self {
        let end = End {
            state: EndState::NotYet,
            given: 0,
            finished: false,
            delivered: 0,
            consumed: 0,
            got_fin: false,
            opened_at: 0,
            accepted_at: None,
            last_byte_at: 0,
            fin_at: None,
            ended_at: None,
            ended_said: false,
        };
        Flow {
            index,
            plan,
            id: None,
            ends: [end.clone(), end],
            homes: [None; 2],
            jumped: [false; 2],
            eager: false,
        }
    }

    /// The end at a side.
    pub fn end(&self, side: Side) -> &End {
        &self.ends[side.index()]
    }

    fn end_mut(&mut self, side: Side) -> &mut End {
        &mut self.ends[side.index()]
    }

    /// Whether nothing more can happen at a side. The acceptor's end of a flow that it never heard of is over when the
    /// opener's is.
    pub fn is_over(&self) -> bool {
        let over = |side: Side| !matches!(self.end(side).state, EndState::NotYet | EndState::Open);
        let opener = self.plan.opener;
        over(opener) && (over(opener.other()) || self.end(opener.other()).state == EndState::NotYet)
    }

    /// Whether all of both directions came through, each with its FIN.
    pub fn is_complete(&self) -> bool {
        Side::BOTH.iter().all(|side| {
            let end = self.end(*side);
            end.state == EndState::Ended
                && end.got_fin
                && end.delivered == self.plan.sends[side.other().index()].bytes
        })
    }

    /// The flow exists at a side, in one of its sessions.
    pub fn opened(&mut self, side: Side, home: usize, id: FlowId, now: u64) {
        assert!(self.id.is_none_or(|known| known == id), "{self:?} is opened as {id:?}");
        self.id = Some(id);
        self.homes[side.index()] = Some(home);
        let end = self.end_mut(side);
        assert_eq!(end.state, EndState::NotYet, "a flow is opened once");
        end.state = EndState::Open;
        end.opened_at = now;
    }

    /// The other side has accepted.
    pub fn accepted(&mut self, side: Side, now: u64) {
        self.assert_open(side, "ACCEPT");
        assert_eq!(side, self.plan.opener, "only an opener hears of acceptance");
        let end = self.end_mut(side);
        assert_eq!(end.accepted_at.replace(now), None, "accepted once");
    }

    /// Checks a piece that came.
    pub fn deliver(&mut self, side: Side, data: &[u8], now: u64) {
        self.assert_open(side, "data");
        let key = self.key(side.other());
        let sent = self.end(side.other()).given;
        let end = self.end_mut(side);
        assert!(!data.is_empty(), "an empty piece of data");
        assert!(!end.got_fin, "data after FIN");
        assert!(end.delivered + data.len() as u64 <= sent, "more bytes came than were sent");
        assert!(
            matches(key, end.delivered, data),
            "bytes from {} on differ from what was sent",
            end.delivered
        );
        end.delivered += data.len() as u64;
        end.last_byte_at = now;
    }

    /// Checks a FIN that came.
    pub fn finish(&mut self, side: Side, now: u64) {
        self.assert_open(side, "FIN");
        let (finished, given) = (self.end(side.other()).finished, self.end(side.other()).given);
        let end = self.end_mut(side);
        assert!(!end.got_fin, "a second FIN");
        assert!(finished, "a FIN that nobody sent");
        assert_eq!(end.delivered, given, "a FIN before the last byte");
        end.got_fin = true;
        end.fin_at = Some(now);
    }

    /// Checks a reset that came.
    pub fn reset(&mut self, side: Side, reason: Reason, now: u64) {
        if self.end(side).state == EndState::ResetHere {
            // Both broke it off, or the session ended: no harm.
            return;
        }
        self.assert_open(side, "a reset");
        let peer = self.end(side.other()).clone();
        let reader = self.plan.reads[side.index()];
        let jumped = self.jumped[side.index()];
        let stops = (reader.stop_after.is_some() || reader.burst.is_some()) && !self.eager || jumped;
        let end = self.end_mut(side);
        end.ended_at = Some(now);
        if reason == Reason::SessionLost {
            end.state = EndState::Lost;
            return;
        }
        assert_eq!(peer.state, EndState::ResetHere, "a reset ({reason:?}) that nobody sent");
        if !stops {
            assert_eq!(end.delivered, peer.given, "a reset before the bytes that were given before it");
        }
        end.state = EndState::PeerReset(reason);
    }

    /// Checks a refusal that came. `draining` if the other side's session opens no more flows: then it refuses what it
    /// has not shown to its program.
    pub fn refused(&mut self, side: Side, reason: Reason, draining: bool, now: u64) {
        if self.end(side).state == EndState::ResetHere {
            return;
        }
        self.assert_open(side, "a refusal");
        let peer = self.end(side.other()).state;
        let unseen = draining && peer == EndState::NotYet && reason == Reason::Unavailable;
        assert!(
            unseen || peer == EndState::Refused(reason),
            "a refusal ({reason:?}) that nobody sent: {peer:?}"
        );
        let end = self.end_mut(side);
        end.state = EndState::Refused(reason);
        end.ended_at = Some(now);
    }

    /// The session says that the flow is done.
    pub fn ended(&mut self, side: Side, now: u64) {
        let finished = self.end(side).finished;
        let end = self.end_mut(side);
        assert!(!end.ended_said, "a flow ends twice");
        end.ended_said = true;
        match end.state {
            EndState::ResetHere | EndState::Refused(_) => {}
            EndState::Open => {
                assert!(end.got_fin && finished, "a flow ends before both FINs");
                end.state = EndState::Ended;
                end.ended_at = Some(now);
            }
            other => panic!("a flow that is {other:?} ends"),
        }
    }

    /// This side's program breaks off, or refuses. Whether there was anything to break.
    pub fn leave(&mut self, side: Side, state: EndState, now: u64) -> bool {
        let end = self.end_mut(side);
        if end.state != EndState::Open {
            return false;
        }
        end.state = state;
        end.ended_at = Some(now);
        true
    }

    fn assert_open(&self, side: Side, what: &str) {
        let state = self.end(side).state;
        assert_eq!(
            state,
            EndState::Open,
            "{what} for flow {} at the {side:?}, which is {state:?}",
            self.index
        );
    }

    /// What the program does now, given how many bytes the session takes.
    pub fn next_write(&mut self, side: Side, room: u64, now: u64) -> Write {
        let (key, eager, is_opener) = (self.key(side), self.eager, self.plan.opener == side);
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
        if let Some(rate) = half.rate.filter(|_| !eager) {
            let due = ((now - end.opened_at) as u128 * rate as u128 / 1_000_000) as u64;
            // About ten milliseconds' worth at a time.
            let grain = (rate / 100).clamp(1, len.max(1));
            if due < end.given + grain {
                let micros = (u128::from(end.given + grain) * 1_000_000).div_ceil(u128::from(rate)) as u64;
                return Write::Wait((end.opened_at + micros).max(now + 1));
            }
            len = len.min(due - end.given);
        }
        if len == 0 {
            return Write::Nothing;
        }
        let data = pattern(key, end.given, len as usize);
        end.given += len;
        Write::Data(data)
    }

    /// What the program takes now of what was delivered.
    pub fn consume(&mut self, side: Side, now: u64) -> Consumed {
        let reader = if self.eager { Reader::default() } else { self.plan.reads[side.index()] };
        let end = &mut self.ends[side.index()];
        let mut most = reader.stop_after.unwrap_or(u64::MAX).min(end.delivered).max(end.consumed);
        let mut again = None;
        let mut held_back = (most < end.delivered).then_some(Kind::StuckReader);
        if reader.burst.is_some_and(|burst| most - end.consumed < burst) && !end.got_fin {
            held_back = Some(Kind::BurstReader);
            most = end.consumed;
        }
        if let Some(rate) = reader.rate {
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

    fn key(&self, from: Side) -> u64 {
        let mut digest = Digest::new();
        digest.number(self.index as u64);
        digest.number(from.index() as u64);
        digest.value()
    }
}

/// The eight bytes from an offset on that is a multiple of eight (SplitMix64's finish).
fn word(key: u64, offset: u64) -> [u8; 8] {
    let mut z = key.wrapping_add((offset / 8).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)).to_le_bytes()
}

/// The bytes of a direction from `offset` on.
pub(crate) fn pattern(key: u64, offset: u64, len: usize) -> Bytes {
    let skip = (offset % 8) as usize;
    let mut data = BytesMut::with_capacity(skip + len + 8);
    let mut at = offset - skip as u64;
    while data.len() < skip + len {
        data.extend_from_slice(&word(key, at));
        at += 8;
    }
    data.freeze().slice(skip..skip + len)
}

/// Whether these are the bytes of a direction from `offset` on.
pub(crate) fn matches(key: u64, offset: u64, data: &[u8]) -> bool {
    let skip = (offset % 8) as usize;
    let head = data.len().min((8 - skip) % 8);
    let (head, rest) = data.split_at(head);
    let first = word(key, offset - skip as u64);
    head == &first[skip % 8..][..head.len()]
        && rest
            .chunks(8)
            .zip((offset + head.len() as u64..).step_by(8))
            .all(|(chunk, at)| chunk == &word(key, at)[..chunk.len()])
}

#[cfg(test)]
mod tests;
