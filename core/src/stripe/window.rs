//! How much may be in flight on a stripe: what keeps it busy, and little more, so that the queue
//! before its bottleneck stays short.
//!
//! The model is BBR's (Cardwell et al., 2016). Let r be the highest delivery rate of the latest
//! rounds and m the shortest round trip. Then a stripe is busy with `r · m` in flight. On top comes
//! slack for acknowledgements that come in batches, or late because of a loss. It also allows a
//! standing queue of a few milliseconds, which shows that the stripe is busy. The shortest wait in
//! a round is that queue, and the slack is adjusted to it.
//!
//! ```text
//!   Growing ──a queue, or no growth──▶ Steady ──time to look, or slower──▶ Draining
//!      ▲                               │  ▲ ▲                              │ │  ▲
//!      ├──────no queue although full───┤  │ └───────the queue went─────────┘ │  │
//!      │                               ▼  │                        it stayed ▼  │ time is over
//!      └────────it carried more─── Probing┘ it did not                      Open
//! ```
//!
//! The model can be wrong: a system batches what it sends or acknowledges in ways of its own. Then
//! a stripe is idle at times, its rate falls, and the bound with it. So every few rounds a little
//! more may be in flight. If the stripe then carries more, it was the bound that held it back.
//!
//! A queue that stays although we drain is not ours: somebody else fills it. A stripe that keeps to
//! a short queue gets nothing then. So the bound is lifted for a while, and the operating system's
//! congestion control competes as it would without us. The stripes of a session may share a
//! bottleneck. So they drain together, or each would take the queue of the others for a stranger's.

use crate::rate::Rate;
use crate::stripe::acker::DELAY;
use crate::time::{Instant, micros};
use core::time::Duration;

/// The highest rate is taken over so many rounds that say something.
const ROUNDS: usize = 6;

/// The standing queue as a share of the shortest round trip, and its bounds in microseconds.
const QUEUE_SHARE: u64 = 16;
const QUEUE: core::ops::RangeInclusive<u64> = 4_000..=20_000;

/// The least that may be in flight, in bytes: two of the smallest pieces.
const FLOOR: u64 = 8 << 10;

/// The least while a stripe grows: TCP's initial window of ten packets (RFC 6928) after two
/// doublings, or on long routes what keeps a stripe of this rate busy.
const GROWING_FLOOR: u64 = 64 << 10;
const GROWING_RATE: Rate = Rate::bytes(1_000_000);

/// The slack is at most this and a round trip, in microseconds.
const MAX_SLACK: u64 = 100_000;

/// Rounds without a queue although full that show that the stripe has become faster.
const FASTER: u8 = 3;

/// The window of a stripe that grows, in eighths of what keeps it busy (doubling, as in TCP).
const GROWTH: u64 = 20;

/// The same when it begins to grow again.
const REGROWTH: u64 = 10;

/// The same after a pause.
const RESUMED: u64 = 12;

/// Rounds without a quarter more that end growth; as in BBR.
const PLATEAU: u8 = 3;

/// A full stripe is probed after so many rounds, as in BBR.
const PROBE_EVERY: u8 = 8;
/// By this share of the window's time, and its bounds in microseconds. Bytes of an interactive flow
/// that come meanwhile wait so much longer.
const PROBE_SHARE: u64 = 16;
const PROBE: core::ops::RangeInclusive<u64> = 3_000..=10_000;
/// Further rounds of a probe. More bytes go out in its first round, they are acknowledged in the
/// second, and the third shows the rate of a whole round with them.
const PROBE_ROUNDS: u8 = 2;

/// How often the queue is drained to see the shortest round trip, as in BBR; but not for 200 ms,
/// only for so many further rounds.
const LOOK_EVERY: Duration = Duration::from_secs(10);
const DRAINING_ROUNDS: u8 = 2;

/// Not more often than this even if the rate falls.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// For how long the bound is lifted at first, and at most; it doubles each time.
const OPEN: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(32)];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// The window is this many eighths of what keeps the stripe busy.
    Growing {
        eighths: u64,
    },
    Steady,
    /// More may be in flight for so many more rounds. The question is whether the stripe then
    /// carries more than `from`.
    Probing {
        rounds: u8,
        from: Rate,
    },
    /// Lets the queue drain for so many more rounds.
    Draining {
        rounds: u8,
    },
    /// No bound.
    Open {
        until: Instant,
    },
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Ack {
    /// Stripe bytes acknowledged in all.
    pub delivered: u64,
    /// Stripe bytes acknowledged when what is acknowledged now was handed over.
    pub before: u64,
    /// Stripe bytes handed over in all.
    pub sent: u64,
    /// The rate, unless the stripe had too little to send and may be faster.
    pub rate: Option<Rate>,
    /// How long it took, in microseconds.
    pub took: u64,
    /// The shortest that it has taken, in microseconds.
    pub shortest: u64,
    /// The largest piece of data that the stripe gets at once, in bytes.
    pub chunk: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Window {
    state: State,
    /// The highest rate in each of the latest rounds, the present one last.
    rates: [Rate; ROUNDS],
    /// How much longer than the shortest round trip what is in flight may take, in microseconds.
    slack: u64,
    /// The longest time between two acknowledgements, in each of the latest rounds, in
    /// microseconds.
    gaps: [u64; ROUNDS],
    /// When the latest acknowledgement since the last pause came, and what it covered.
    heard: Option<Instant>,
    delivered: u64,
    /// How long a piece of data takes at the highest rate, in microseconds.
    piece: u64,
    /// Rounds in a row without a queue although full.
    empty: u8,
    /// Rounds in which data waited for the window, since the last probe.
    full: u8,
    /// The round ends when an acknowledgement covers what was handed over after these stripe bytes
    /// had been acknowledged. They are all that had been handed over when it began, so it takes two
    /// round trips.
    round_end: u64,
    /// The shortest time in this round, in microseconds.
    round_shortest: u64,
    /// This round has had a rate.
    measured: bool,
    /// In the latest round there was a queue.
    queued: bool,
    /// Data has waited for the window in this round, and since the latest acknowledgement.
    limited: bool,
    waits: bool,
    /// The highest rate when it last grew by a quarter, and rounds since.
    grown: (Rate, u8),
    /// The highest rate when the queue was last drained.
    looked: Rate,
    looked_at: Instant,
    open_for: Duration,
    /// The connection's congestion control keeps the queue short itself.
    rate_based: bool,
}

impl Window {
    /// Nothing known: no bound.
    pub(crate) fn new(now: Instant) -> Self {
        Window {
            state: State::Growing { eighths: GROWTH },
            rates: [Rate::default(); ROUNDS],
            slack: 0,
            piece: 0,
            gaps: [0; ROUNDS],
            heard: None,
            delivered: 0,
            empty: 0,
            full: 0,
            round_end: 0,
            round_shortest: u64::MAX,
            measured: false,
            queued: false,
            limited: false,
            waits: false,
            grown: (Rate::default(), 0),
            looked: Rate::default(),
            looked_at: now,
            open_for: OPEN[0],
            rate_based: false,
        }
    }

    /// A rate-based control is not bounded. Under a bound it sees bursts only, and takes the rate
    /// at which they arrive for the route's.
    pub(crate) fn set_control(&mut self, rate_based: bool) {
        self.rate_based = rate_based;
    }

    pub(crate) fn is_rate_based(&self) -> bool {
        self.rate_based
    }

    /// The highest recent rate; zero if none is known.
    pub(crate) fn rate(&self) -> Rate {
        self.rates.iter().copied().max().unwrap_or_default()
    }

    /// How much later than usual acknowledgements have come of late, in microseconds. Data that a
    /// loss holds up at the other end's system comes in one go when the lost part has been sent
    /// again. As much must be in flight beside it, or the stripe is idle meanwhile.
    fn gap(&self) -> u64 {
        let longest = self.gaps.iter().copied().max().unwrap_or(0);
        longest.saturating_sub((DELAY.as_micros() as u64).saturating_add(self.piece))
    }

    /// The least slack in microseconds. A piece takes so long, acknowledgements are so late in the
    /// middle, and half of the queue is always there.
    fn least_slack(&self, shortest: u64) -> u64 {
        self.piece.saturating_add(DELAY.as_micros() as u64 / 2 + queue(shortest) / 2)
    }

    /// How many bytes may be in flight, `shortest` being the shortest round trip in microseconds.
    pub(crate) fn bytes(&self, shortest: Option<u64>) -> u64 {
        let rate = self.rate();
        let known = |_: &u64| rate > Rate::default() && !self.rate_based;
        let Some(shortest) = shortest.filter(known) else { return u64::MAX };
        let least = self.least_slack(shortest);
        match self.state {
            State::Growing { eighths } => {
                let busy = rate.bytes_in_micros(shortest.saturating_add(least));
                let floor = GROWING_FLOOR.max(GROWING_RATE.bytes_in_micros(shortest));
                (busy / 8).saturating_mul(eighths).max(floor)
            }
            State::Steady => rate.bytes_in_micros(self.time(shortest)).max(FLOOR),
            State::Probing { .. } => {
                let time = self.time(shortest);
                rate.bytes_in_micros(time.saturating_add(probe(time))).max(FLOOR)
            }
            State::Draining { .. } => rate.bytes_in_micros(shortest).max(FLOOR),
            State::Open { .. } => u64::MAX,
        }
    }

    /// How much of a stripe's time may be in flight, in microseconds.
    fn time(&self, shortest: u64) -> u64 {
        let gap = self.gap().min(shortest.saturating_add(MAX_SLACK));
        shortest.saturating_add(self.slack.max(self.least_slack(shortest)).max(gap))
    }

    /// Data is sent after a pause. The stripe's rate was seen before the pause, if there was a
    /// queue. Otherwise it may be as much as that, and half more.
    pub(crate) fn resume(&mut self) {
        self.heard = None;
        match self.state {
            State::Growing { .. } if self.queued => self.settle(self.rate()),
            State::Growing { eighths } => {
                self.state = State::Growing { eighths: eighths.min(RESUMED) }
            }
            _ => {}
        }
    }

    pub(crate) fn limit(&mut self) {
        self.limited = true;
        self.waits = true;
    }

    /// Takes an acknowledgement, and says whether the queue begins to drain because of it.
    pub(crate) fn acknowledged(&mut self, ack: &Ack, now: Instant) -> bool {
        let drains = self.drains();
        if let Some(rate) = ack.rate {
            self.measured = true;
            self.rates[ROUNDS - 1] = self.rates[ROUNDS - 1].max(rate);
        }
        self.round_shortest = self.round_shortest.min(ack.took);
        self.note_gap(ack.delivered, now);
        if ack.before >= self.round_end {
            self.round_end = ack.sent;
            self.end_round(ack, now);
        }
        self.drains() && !drains
    }

    pub(crate) fn grows(&self) -> bool {
        matches!(self.state, State::Growing { .. })
    }

    fn drains(&self) -> bool {
        matches!(self.state, State::Draining { .. })
    }

    /// Another stripe drains its queue, which may be this one's too.
    pub(crate) fn drain_too(&mut self) {
        if !self.drains() && !self.grows() {
            self.state = State::Draining { rounds: DRAINING_ROUNDS };
        }
    }

    /// A gap between acknowledgements counts if data waited for the window meanwhile, and if the
    /// acknowledgements after it make up for it. Then the data had arrived, and was held up behind
    /// a loss. A stripe that has become slow has gaps too, but brings little after them.
    fn note_gap(&mut self, delivered: u64, now: Instant) {
        let brought = delivered.saturating_sub(core::mem::replace(&mut self.delivered, delivered));
        let waited = core::mem::take(&mut self.waits);
        let Some(heard) = self.heard.replace(now).filter(|_| waited) else { return };
        let gap = micros(now.since(heard));
        if brought >= self.rate().bytes_in_micros(gap) / 2 {
            self.gaps[ROUNDS - 1] = self.gaps[ROUNDS - 1].max(gap);
        }
    }

    fn end_round(&mut self, ack: &Ack, now: Instant) {
        let rate = self.rate();
        // A whole piece takes longer than a PING, on any route.
        self.piece = if rate > Rate::default() { rate.micros_for(ack.chunk) } else { 0 };
        let waited = self.round_shortest.saturating_sub(ack.shortest).saturating_sub(self.piece);
        let limited = core::mem::take(&mut self.limited);
        self.judge(rate, waited, limited, ack.shortest, now);
        self.round_shortest = u64::MAX;
        if core::mem::take(&mut self.measured) {
            self.rates.rotate_left(1);
            self.rates[ROUNDS - 1] = Rate::default();
            self.gaps.rotate_left(1);
            self.gaps[ROUNDS - 1] = 0;
        }
    }

    /// Judges a round, the acknowledgements of which waited at least so long in queues, in
    /// microseconds.
    fn judge(&mut self, rate: Rate, waited: u64, limited: bool, shortest: u64, now: Instant) {
        let queue = queue(shortest);
        self.queued = waited > queue;
        match self.state {
            State::Growing { eighths } => self.grow(eighths, waited, limited, shortest),
            State::Steady => {
                if limited {
                    self.adjust(waited, shortest);
                }
                if self.empty >= FASTER {
                    self.empty = 0;
                    self.grown = (rate, 0);
                    self.state = State::Growing { eighths: REGROWTH };
                    return;
                }
                let since = now.since(self.looked_at);
                let looked = self.looked.as_bytes();
                let fell = rate.as_bytes() < looked - looked / 4;
                self.full += u8::from(limited);
                if limited && (since >= LOOK_EVERY || (fell && since >= LOOK_AGAIN)) {
                    self.state = State::Draining { rounds: DRAINING_ROUNDS };
                } else if self.full >= PROBE_EVERY {
                    self.full = 0;
                    self.state = State::Probing { rounds: PROBE_ROUNDS, from: rate };
                }
            }
            State::Probing { rounds: 0, from } => {
                let time = self.time(shortest);
                let from = u128::from(from.as_bytes());
                let more = u128::from(rate.as_bytes()).saturating_sub(from);
                if more * 2 >= from * u128::from(probe(time)) / u128::from(time.max(1)) {
                    self.grown = (rate, 0);
                    self.state = State::Growing { eighths: REGROWTH };
                } else {
                    self.state = State::Steady;
                }
            }
            State::Probing { rounds, from } => {
                self.state = State::Probing { rounds: rounds - 1, from }
            }
            State::Draining { rounds: 0 } => {
                self.looked_at = now;
                // The smallest window may itself take longer than the shortest round trip.
                let own = rate.micros_for(FLOOR);
                if waited <= queue + own {
                    self.open_for = OPEN[0];
                    self.settle(rate);
                } else {
                    self.state = State::Open { until: now + self.open_for };
                    self.open_for = (self.open_for * 2).min(OPEN[1]);
                }
            }
            State::Draining { rounds } => self.state = State::Draining { rounds: rounds - 1 },
            State::Open { until } if now >= until => {
                self.state = State::Draining { rounds: DRAINING_ROUNDS }
            }
            State::Open { .. } => {}
        }
    }

    /// Judges a round of a stripe that grows.
    fn grow(&mut self, eighths: u64, waited: u64, limited: bool, shortest: u64) {
        let rate = self.rate();
        let (before, rounds) = self.grown;
        let more = before.as_bytes().saturating_add(before.as_bytes() / 4);
        let grew = rate.as_bytes() >= more;
        self.grown = if grew { (rate, 0) } else { (before, rounds + u8::from(self.measured)) };
        let full = !grew || waited > shortest / 4;
        if (waited > queue(shortest) && full) || self.grown.1 >= PLATEAU {
            self.settle(rate);
        } else if limited {
            self.state = State::Growing { eighths: (eighths + 4).min(GROWTH) };
        }
    }

    /// The stripe was full, and the shortest wait of a round is its standing queue. If there was
    /// none, this gives more slack at once. If it was longer than it should be, it takes slack back
    /// slowly. So acknowledgements that come in batches, or late because of losses, leave no stripe
    /// idle.
    fn adjust(&mut self, waited: u64, shortest: u64) {
        let (queue, least) = (queue(shortest), self.least_slack(shortest));
        if waited < queue / 2 {
            self.slack = self.slack.saturating_add(queue.max(self.slack / 2));
            self.empty += 1;
        } else {
            self.slack -= (waited.saturating_sub(queue) / 8).min(self.slack);
            self.empty = 0;
        }
        self.slack = self.slack.clamp(least, least.max(shortest.saturating_add(MAX_SLACK)));
    }

    /// In growth acknowledgements come in bursts of their own.
    fn settle(&mut self, rate: Rate) {
        if self.grows() {
            self.gaps = [0; ROUNDS];
        }
        self.looked = rate;
        self.state = State::Steady;
    }
}

/// How much more of a stripe's time may be in flight during a probe, in microseconds.
fn probe(time: u64) -> u64 {
    (time / PROBE_SHARE).clamp(*PROBE.start(), *PROBE.end())
}

fn queue(shortest: u64) -> u64 {
    (shortest / QUEUE_SHARE).clamp(*QUEUE.start(), *QUEUE.end())
}

#[cfg(test)]
mod tests;
