//! BBR version 1 as in Linux (`tcp_bbr.c`). The window and the pace follow from the highest rate of
//! the last ten round trips and the shortest round trip of the last ten seconds.
//!
//! Counts are of packets, rates of packets a microsecond times 2^24, gains in 1/256, times in
//! microseconds.
//!
//! Invariant: a sample of a sender with too little data never lowers the rate.

mod filter;
mod long_term;

use super::{Ack, Delivery, MSS, State, Window};
use filter::Highest;
use long_term::LongTerm;

const SHIFT: u32 = 24;
const UNIT: u64 = 256;
/// 2 / ln 2, by which the rate doubles each round trip, and its inverse.
const HIGH_GAIN: u64 = UNIT * 2_885 / 1_000 + 1;
const DRAIN_GAIN: u64 = UNIT * 1_000 / 2_885;
/// A probe for more, the drain of its queue, and six phases at the rate.
const CYCLE: [u64; 8] = [UNIT * 5 / 4, UNIT * 3 / 4, UNIT, UNIT, UNIT, UNIT, UNIT, UNIT];
/// The window is twice what the route holds, because acknowledgements come late and in batches.
const WINDOW_GAIN: u64 = 2 * UNIT;
/// The round trips that the highest rate is of.
const RATE_ROUNDS: u64 = 10;
/// How long the shortest round trip is believed, and how long a probe for it lasts.
const MIN_RTT_VALID: u64 = 10_000_000;
const PROBE_RTT: u64 = 200_000;
const MIN_WINDOW: u64 = 4;
const INITIAL_WINDOW: u64 = 10;
/// The pipe is full when the rate has not grown by a quarter in so many round trips.
const FULL_ROUNDS: u32 = 3;
/// The round trips, twice, that the excess of acknowledgements is the highest of.
const EXCESS_ROUNDS: u32 = 5;
/// The longest time of which an excess widens the window.
const EXCESS_TIME: u64 = 100_000;
/// Below this pace, in bytes a second, packets leave one by one, and above it in twos at least.
const SINGLES: u64 = 1_200_000 / 8;
/// The most bytes that leave at once: a segment of 64 KiB less headers.
const BATCH: u64 = 65_215;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    Startup,
    Drain,
    ProbeBandwidth,
    ProbeRtt,
}

#[derive(Clone, Debug)]
pub(super) struct Bbr {
    mode: Mode,
    rate: Highest,
    rounds: u64,
    round_start: bool,
    /// The round ends when a packet that left after so many deliveries is delivered.
    round_ends: u64,
    min_rtt: u64,
    min_rtt_at: u64,
    /// The end of a probe for the round trip, once few packets are in flight.
    probe_ends: Option<u64>,
    probed_a_round: bool,
    phase: usize,
    phase_at: u64,
    pacing_gain: u64,
    window_gain: u64,
    /// Bytes a second.
    pace: u64,
    full_rate: u64,
    full_rounds: u32,
    full: bool,
    conserves: bool,
    before: State,
    window_before: u64,
    idle_restart: bool,
    long_term: LongTerm,
    excess: Excess,
    /// Draws the first phase of the cycle.
    seed: u64,
}

/// Acknowledgements beyond those that the rate explains, which come in batches.
#[derive(Clone, Debug, Default)]
struct Excess {
    began: u64,
    acknowledged: u64,
    highest: [u64; 2],
    current: usize,
    rounds: u32,
}

impl Bbr {
    pub fn new(seed: u64) -> Self {
        Bbr {
            mode: Mode::Startup,
            rate: Highest::default(),
            rounds: 0,
            round_start: false,
            round_ends: 0,
            min_rtt: u64::MAX,
            min_rtt_at: 0,
            probe_ends: None,
            probed_a_round: false,
            phase: 0,
            phase_at: 0,
            pacing_gain: HIGH_GAIN,
            window_gain: HIGH_GAIN,
            pace: pace_of((INITIAL_WINDOW << SHIFT) / 1_000, HIGH_GAIN),
            full_rate: 0,
            full_rounds: 0,
            full: false,
            conserves: false,
            before: State::Open,
            window_before: 0,
            idle_restart: false,
            long_term: LongTerm::default(),
            excess: Excess::default(),
            seed,
        }
    }

    /// The handshake gives the first round trip, and so the first pace.
    pub fn handshake_took(&mut self, now: u64, rtt: u64, cwnd: u64) {
        (self.min_rtt, self.min_rtt_at) = (rtt, now);
        self.pace = pace_of((cwnd << SHIFT) / rtt, HIGH_GAIN);
    }

    /// Bytes a second.
    pub fn pace(&self) -> u64 {
        self.pace
    }

    /// The packets that leave at once.
    pub fn batch(&self) -> u64 {
        let least = if self.pace < SINGLES { 1 } else { 2 };
        ((self.pace >> 10).min(BATCH) / MSS).max(least)
    }

    /// Something is sent after nothing was in flight.
    pub fn resume(&mut self, now: u64, delivery: &Delivery, window: &mut Window) {
        if !delivery.is_limited() {
            return;
        }
        self.idle_restart = true;
        (self.excess.began, self.excess.acknowledged) = (now, 0);
        if self.mode == Mode::ProbeBandwidth {
            self.set_pace(self.rate(), UNIT);
        } else if self.mode == Mode::ProbeRtt {
            self.end_probe_of_rtt(now, window);
        }
    }

    /// Losses are going to be repaired; the window afterwards is that of before.
    pub fn save_window(&mut self, cwnd: u64) {
        let recovers = self.before != State::Open || self.mode == Mode::ProbeRtt;
        self.window_before = if recovers { self.window_before.max(cwnd) } else { cwnd };
    }

    pub fn timed_out(&mut self, delivery: &Delivery) {
        self.before = State::Loss;
        self.full_rate = 0;
        self.round_start = true;
        if self.long_term.rate().is_none() {
            let ack = Ack { losses: 1, ..Ack::default() };
            self.sample_long_term(&ack, delivery);
        }
    }

    pub fn acknowledged(
        &mut self,
        ack: &Ack,
        state: State,
        delivery: &mut Delivery,
        window: &mut Window,
    ) {
        self.update_rate(ack, delivery);
        self.update_excess(ack, window.cwnd, delivery);
        self.update_phase(ack, delivery);
        self.look_for_full_pipe(ack);
        self.look_for_drained_pipe(ack);
        self.update_min_rtt(ack, delivery, window);
        self.update_gains();
        self.set_pace(self.rate(), self.pacing_gain);
        self.set_window(ack, state, delivery.delivered, window);
    }

    fn rate(&self) -> u64 {
        self.long_term.rate().unwrap_or_else(|| self.rate.get())
    }

    fn update_rate(&mut self, ack: &Ack, delivery: &Delivery) {
        self.round_start = false;
        if ack.sample.interval == 0 {
            return;
        }
        if ack.sample.prior_delivered >= self.round_ends {
            self.round_ends = delivery.delivered;
            self.rounds += 1;
            self.round_start = true;
            self.conserves = false;
        }
        self.sample_long_term(ack, delivery);
        let rate = (ack.sample.delivered << SHIFT) / ack.sample.interval;
        if !ack.sample.app_limited || rate >= self.rate.get() {
            self.rate.add(RATE_ROUNDS, self.rounds, rate);
        }
    }

    fn sample_long_term(&mut self, ack: &Ack, delivery: &Delivery) {
        if self.long_term.rate().is_some() {
            let counts = self.mode == Mode::ProbeBandwidth && self.round_start;
            if counts && self.long_term.kept_long_enough(delivery) {
                self.begin_cycle(delivery.delivered_at);
            }
        } else if self.long_term.sample(ack, self.round_start, delivery) {
            self.pacing_gain = UNIT;
        }
    }

    fn update_excess(&mut self, ack: &Ack, cwnd: u64, delivery: &Delivery) {
        if ack.sample.interval == 0 {
            return;
        }
        let rate = self.rate();
        let excess = &mut self.excess;
        if self.round_start {
            excess.rounds += 1;
            if excess.rounds >= EXCESS_ROUNDS {
                excess.rounds = 0;
                excess.current = 1 - excess.current;
                excess.highest[excess.current] = 0;
            }
        }
        let mut expected = over(rate, delivery.delivered_at - excess.began);
        if excess.acknowledged <= expected {
            (excess.acknowledged, excess.began) = (0, delivery.delivered_at);
            expected = 0;
        }
        excess.acknowledged += 1;
        let more = (excess.acknowledged - expected).min(cwnd);
        excess.highest[excess.current] = excess.highest[excess.current].max(more);
    }

    fn update_phase(&mut self, ack: &Ack, delivery: &Delivery) {
        if self.mode != Mode::ProbeBandwidth {
            return;
        }
        let is_long = delivery.delivered_at - self.phase_at > self.min_rtt;
        let in_flight = self.in_flight_when_sent(ack.prior_in_flight, ack.paced_for);
        let is_over = if self.pacing_gain > UNIT {
            let target = self.in_flight(self.rate.get(), self.pacing_gain);
            is_long && (ack.losses > 0 || in_flight >= target)
        } else if self.pacing_gain < UNIT {
            is_long || in_flight <= self.in_flight(self.rate.get(), UNIT)
        } else {
            is_long
        };
        if is_over {
            self.next_phase(delivery.delivered_at);
        }
    }

    fn next_phase(&mut self, at: u64) {
        self.phase = (self.phase + 1) % CYCLE.len();
        self.phase_at = at;
    }

    /// Begins with any phase but that which drains.
    fn begin_cycle(&mut self, at: u64) {
        self.mode = Mode::ProbeBandwidth;
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.phase = 7 - (self.seed >> 33) as usize % 7;
        self.next_phase(at);
    }

    fn look_for_full_pipe(&mut self, ack: &Ack) {
        if self.full || !self.round_start || ack.sample.app_limited {
            return;
        }
        if self.rate.get() >= self.full_rate * 5 / 4 {
            (self.full_rate, self.full_rounds) = (self.rate.get(), 0);
            return;
        }
        self.full_rounds += 1;
        self.full = self.full_rounds >= FULL_ROUNDS;
    }

    fn look_for_drained_pipe(&mut self, ack: &Ack) {
        if self.mode == Mode::Startup && self.full {
            self.mode = Mode::Drain;
        }
        if self.mode == Mode::Drain
            && self.in_flight_when_sent(ack.in_flight, ack.paced_for)
                <= self.in_flight(self.rate.get(), UNIT)
        {
            self.begin_cycle(ack.now);
        }
    }

    fn update_min_rtt(&mut self, ack: &Ack, delivery: &mut Delivery, window: &mut Window) {
        let expired = ack.now > self.min_rtt_at + MIN_RTT_VALID;
        if ack.rtt < self.min_rtt || expired {
            (self.min_rtt, self.min_rtt_at) = (ack.rtt, ack.now);
        }
        if expired && !self.idle_restart && self.mode != Mode::ProbeRtt {
            self.mode = Mode::ProbeRtt;
            self.save_window(window.cwnd);
            self.probe_ends = None;
        }
        if self.mode == Mode::ProbeRtt {
            // The samples of this time are low on purpose.
            delivery.limit(ack.in_flight);
            if self.probe_ends.is_none() {
                if ack.in_flight <= MIN_WINDOW {
                    self.probe_ends = Some(ack.now + PROBE_RTT);
                    self.probed_a_round = false;
                    self.round_ends = delivery.delivered;
                }
            } else {
                self.probed_a_round |= self.round_start;
                if self.probed_a_round {
                    self.end_probe_of_rtt(ack.now, window);
                }
            }
        }
        self.idle_restart = false;
    }

    fn end_probe_of_rtt(&mut self, now: u64, window: &mut Window) {
        if self.probe_ends.is_none_or(|at| now <= at) {
            return;
        }
        self.min_rtt_at = now;
        window.cwnd = window.cwnd.max(self.window_before);
        if self.full {
            self.begin_cycle(now);
        } else {
            self.mode = Mode::Startup;
        }
    }

    fn update_gains(&mut self) {
        let cycle = if self.long_term.rate().is_some() { UNIT } else { CYCLE[self.phase] };
        (self.pacing_gain, self.window_gain) = match self.mode {
            Mode::Startup => (HIGH_GAIN, HIGH_GAIN),
            Mode::Drain => (DRAIN_GAIN, HIGH_GAIN),
            Mode::ProbeBandwidth => (cycle, WINDOW_GAIN),
            Mode::ProbeRtt => (UNIT, UNIT),
        };
    }

    /// Until the pipe is full the pace only rises.
    fn set_pace(&mut self, rate: u64, gain: u64) {
        let pace = pace_of(rate, gain);
        if self.full || pace > self.pace {
            self.pace = pace;
        }
    }

    fn set_window(&mut self, ack: &Ack, state: State, delivered: u64, window: &mut Window) {
        let mut cwnd = window.cwnd.saturating_sub(ack.losses).max(1);
        if state == State::Recovery && self.before != State::Recovery {
            self.conserves = true;
            self.round_ends = delivered;
            cwnd = ack.in_flight + 1;
        } else if self.before != State::Open && state == State::Open {
            cwnd = cwnd.max(self.window_before);
            self.conserves = false;
        }
        self.before = state;
        if self.conserves {
            cwnd = cwnd.max(ack.in_flight + 1);
        } else {
            let rate = self.rate();
            let mut target = self.holds(rate, self.window_gain);
            if self.full {
                let most = over(rate, EXCESS_TIME);
                target += self.excess.highest[0].max(self.excess.highest[1]).min(most);
            }
            let target = self.with_batches(target);
            if self.full {
                cwnd = (cwnd + 1).min(target);
            } else if cwnd < target || delivered < INITIAL_WINDOW {
                cwnd += 1;
            }
            cwnd = cwnd.max(MIN_WINDOW);
        }
        window.cwnd = if self.mode == Mode::ProbeRtt { cwnd.min(MIN_WINDOW) } else { cwnd };
    }

    /// The packets that the route holds at a rate, times a gain.
    fn holds(&self, rate: u64, gain: u64) -> u64 {
        if self.min_rtt == u64::MAX {
            return INITIAL_WINDOW;
        }
        let bits = (u128::from(rate) * u128::from(self.min_rtt) * u128::from(gain)) >> 8;
        bits.div_ceil(1 << SHIFT) as u64
    }

    /// Room for the batches of the sender and of the receiver.
    fn with_batches(&self, packets: u64) -> u64 {
        let even = (packets + 3 * self.batch()).next_multiple_of(2);
        even + if self.mode == Mode::ProbeBandwidth && self.phase == 0 { 2 } else { 0 }
    }

    fn in_flight(&self, rate: u64, gain: u64) -> u64 {
        self.with_batches(self.holds(rate, gain))
    }

    /// The packets in flight when the next one leaves, which the pace holds back for so long.
    fn in_flight_when_sent(&self, in_flight: u64, paced_for: u64) -> u64 {
        let batch = if self.pacing_gain > UNIT { self.batch() } else { 0 };
        (in_flight + batch).saturating_sub(over(self.rate(), paced_for))
    }
}

/// The packets of a time at a rate.
fn over(rate: u64, time: u64) -> u64 {
    ((u128::from(rate) * u128::from(time)) >> SHIFT) as u64
}

/// Bytes a second, a hundredth less than the rate so that no queue grows.
fn pace_of(rate: u64, gain: u64) -> u64 {
    let bytes = (u128::from(rate) * u128::from(MSS) * u128::from(gain)) >> 8;
    ((bytes * 990_000) >> SHIFT) as u64
}

#[cfg(test)]
mod tests;
