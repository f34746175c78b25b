//! The number of packets that may be in flight: CUBIC or BBR, and what Linux's TCP does around
//! either of them.
//!
//! - A sender that does not fill its window does not let it grow (`tcp_is_cwnd_limited`), and takes
//!   it back in time (RFC 2861; `tcp_cwnd_application_limited`, `tcp_cwnd_restart`).
//! - CUBIC's window shrinks in step with the deliveries of a recovery (RFC 6937, PRR).
//! - A recovery lasts until all that had been sent before it is acknowledged.
//!
//! Transmissions are numbered in their order (`tx`): a packet that is sent again has a new number.
//! Packets are numbered by their place in the stream (`place`).
//!
//! Invariant: losses of packets that were sent before a cut cause no second one. The window grows
//! only while nothing else holds the sender back.

mod bbr;
mod cubic;
mod hystart;

use super::delivery::{Delivery, Sample, Stamp};
use super::{Control, MSS};
use bbr::Bbr;
use cubic::Cubic;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum State {
    #[default]
    Open,
    Recovery,
    /// After a retransmission timeout.
    Loss,
}

/// In packets.
#[derive(Clone, Debug)]
struct Window {
    cwnd: u64,
    /// Below it the window grows by the packets that are acknowledged (slow start).
    ssthresh: u64,
}

/// An acknowledgement, of one packet.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ack {
    pub now: u64,
    pub rtt: u64,
    pub tx: u64,
    pub next_tx: u64,
    pub place: u64,
    /// Whether the packet had been taken for lost.
    pub again: bool,
    /// Packets that it shows to be lost.
    pub losses: u64,
    /// Packets that were taken for lost and are not acknowledged.
    pub lost_out: u64,
    pub prior_in_flight: u64,
    pub in_flight: u64,
    /// How long the pace holds back the next packet, in microseconds.
    pub paced_for: u64,
    /// [`Congestion::acknowledged`] adds it.
    pub sample: Sample,
}

/// The packets that are sent and not acknowledged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outstanding {
    pub packets: u64,
    pub next_tx: u64,
    pub next_place: u64,
}

#[derive(Clone, Debug)]
enum Algorithm {
    Cubic(Cubic),
    Bbr(Box<Bbr>),
}

#[derive(Clone, Debug)]
pub(super) struct Congestion {
    window: Window,
    initial: u64,
    algorithm: Algorithm,
    delivery: Delivery,
    min_rtt: u64,
    state: State,
    /// The recovery ends when the packets before this place are acknowledged.
    recovery_until: u64,
    recovery_left: u64,
    reduction: Reduction,
    usage: Usage,
    last_sent: u64,
}

/// Proportional rate reduction.
#[derive(Clone, Debug, Default)]
struct Reduction {
    before: u64,
    delivered: u64,
    sent: u64,
}

/// How much of the window is used.
#[derive(Clone, Debug, Default)]
struct Usage {
    is_full: bool,
    /// The most packets outstanding in this window of data, which ends with transmission `until`.
    most: u64,
    until: u64,
    acknowledged: u64,
    /// The most packets outstanding since `since`, when the window was last full.
    used: u64,
    since: u64,
}

impl Congestion {
    /// A window of so many bytes at first.
    pub fn new(control: Control, window: u64, seed: u64) -> Self {
        let initial = window.div_ceil(MSS);
        Congestion {
            window: Window { cwnd: initial, ssthresh: u64::MAX },
            initial,
            algorithm: match control {
                Control::Cubic => Algorithm::Cubic(Cubic::new()),
                Control::Bbr => Algorithm::Bbr(Box::new(Bbr::new(seed))),
            },
            delivery: Delivery::default(),
            min_rtt: u64::MAX,
            state: State::Open,
            recovery_until: 0,
            recovery_left: 0,
            reduction: Reduction::default(),
            usage: Usage::default(),
            last_sent: 0,
        }
    }

    pub fn window(&self) -> u64 {
        self.window.cwnd
    }

    /// The pace in bytes a second, and how many packets leave at once.
    pub fn pace(&self) -> Option<(u64, u64)> {
        match &self.algorithm {
            Algorithm::Cubic(_) => None,
            Algorithm::Bbr(bbr) => Some((bbr.pace(), bbr.batch())),
        }
    }

    pub fn handshake_took(&mut self, now: u64, rtt: u64) {
        self.min_rtt = self.min_rtt.min(rtt);
        if let Algorithm::Bbr(bbr) = &mut self.algorithm {
            bbr.handshake_took(now, rtt, self.window.cwnd);
        }
    }

    /// The program writes less than one packet ahead of what may be sent.
    pub fn limited_by_program(&mut self, in_flight: u64) {
        self.delivery.limit(in_flight);
    }

    /// The program writes when nothing is outstanding: Linux halves the window for each timeout
    /// that has passed meanwhile (RFC 2861).
    pub fn restart_after_idle(&mut self, now: u64, timeout: u64) {
        let idle = now - self.last_sent;
        if matches!(self.algorithm, Algorithm::Bbr(_)) || idle <= timeout {
            return;
        }
        self.window.ssthresh = self.lowered_threshold();
        let least = self.initial.min(self.window.cwnd);
        let halvings = ((idle - 1) / timeout).min(63);
        self.window.cwnd = (self.window.cwnd >> halvings).max(least);
        (self.usage.since, self.usage.used) = (now, 0);
    }

    /// Linux's `tcp_current_ssthresh`.
    fn lowered_threshold(&self) -> u64 {
        self.window.ssthresh.max(self.window.cwnd * 3 / 4)
    }

    /// A packet leaves while so many are in flight.
    pub fn send(&mut self, now: u64, in_flight: u64) -> Stamp {
        if in_flight == 0 {
            match &mut self.algorithm {
                Algorithm::Cubic(cubic) => cubic.resume(now, self.last_sent),
                Algorithm::Bbr(bbr) => bbr.resume(now, &self.delivery, &mut self.window),
            }
        }
        self.last_sent = now;
        self.reduction.sent += 1;
        self.delivery.send(now, in_flight)
    }

    /// As much was sent as there was, or as the window allows. `waits`: the program has filled its
    /// send buffer, so not the program is what limits the sender.
    pub fn sent(&mut self, now: u64, out: Outstanding, is_full: bool, timeout: u64, waits: bool) {
        let usage = &mut self.usage;
        if usage.acknowledged >= usage.until
            || is_full
            || (!usage.is_full && out.packets > usage.most)
        {
            (usage.is_full, usage.most, usage.until) = (is_full, out.packets, out.next_tx);
        }
        if self.is_limited() {
            (self.usage.used, self.usage.since) = (0, now);
            return;
        }
        self.usage.used = self.usage.used.max(out.packets);
        if now - self.usage.since >= timeout && matches!(self.algorithm, Algorithm::Cubic(_)) {
            self.take_back(now, waits);
        }
    }

    /// Linux's `tcp_is_cwnd_limited`. In slow start the window may be twice what was in flight.
    fn is_limited(&self) -> bool {
        let slow_start = self.window.cwnd < self.window.ssthresh;
        self.usage.is_full || (slow_start && self.window.cwnd < 2 * self.usage.most)
    }

    /// The program has not filled the window for a whole timeout.
    fn take_back(&mut self, now: u64, waits: bool) {
        if self.state == State::Open && !waits {
            let used = self.usage.used.max(self.initial);
            if used < self.window.cwnd {
                self.window.ssthresh = self.lowered_threshold();
                self.window.cwnd = self.window.cwnd.midpoint(used);
            }
            self.usage.used = 0;
        }
        self.usage.since = now;
    }

    pub fn acknowledged(&mut self, mut ack: Ack, stamp: &Stamp, out: Outstanding) {
        self.min_rtt = self.min_rtt.min(ack.rtt);
        self.delivery.lost += ack.losses;
        ack.sample = self.delivery.acknowledge(ack.now, stamp, self.min_rtt);
        self.usage.acknowledged = self.usage.acknowledged.max(ack.tx + 1);
        if let Algorithm::Cubic(cubic) = &mut self.algorithm {
            cubic.sample(&ack, &mut self.window);
        }
        if self.state != State::Open {
            self.recovery_left -= u64::from(ack.place < self.recovery_until);
            if self.recovery_left == 0 {
                self.end_recovery();
            }
        }
        if self.state == State::Open && ack.lost_out > 0 {
            self.reduction = Reduction { before: self.window.cwnd, ..Reduction::default() };
            self.cut();
            self.begin_recovery(State::Recovery, out);
        }
        let limited = self.is_limited();
        match &mut self.algorithm {
            Algorithm::Bbr(bbr) => {
                bbr.acknowledged(&ack, self.state, &mut self.delivery, &mut self.window);
            }
            Algorithm::Cubic(_) if self.state == State::Recovery => self.reduce(&ack),
            Algorithm::Cubic(cubic) if limited => cubic.grow(ack.now, &mut self.window),
            Algorithm::Cubic(_) => {}
        }
    }

    fn begin_recovery(&mut self, state: State, out: Outstanding) {
        self.state = state;
        (self.recovery_until, self.recovery_left) = (out.next_place, out.packets);
    }

    fn end_recovery(&mut self) {
        if self.state == State::Recovery && matches!(self.algorithm, Algorithm::Cubic(_)) {
            self.window.cwnd = self.window.ssthresh;
        }
        self.state = State::Open;
    }

    fn cut(&mut self) {
        match &mut self.algorithm {
            Algorithm::Cubic(cubic) => self.window.ssthresh = cubic.cut(self.window.cwnd),
            Algorithm::Bbr(bbr) => bbr.save_window(self.window.cwnd),
        }
    }

    fn reduce(&mut self, ack: &Ack) {
        let Reduction { before, delivered, sent } = &mut self.reduction;
        *delivered += 1;
        let target = self.window.ssthresh;
        let may_send = if ack.in_flight > target {
            (target * *delivered).div_ceil(*before).saturating_sub(*sent)
        } else {
            let progress = u64::from(ack.again && ack.losses == 0);
            (delivered.saturating_sub(*sent).max(1) + progress).min(target - ack.in_flight)
        };
        let at_first = u64::from(*sent == 0);
        self.window.cwnd = ack.in_flight + may_send.max(at_first);
    }

    /// Nothing was acknowledged for so long that everything under way, so many packets, counts as
    /// lost.
    pub fn timed_out(&mut self, now: u64, lost: u64, out: Outstanding) {
        self.delivery.lost += lost;
        if self.state == State::Open {
            self.cut();
        }
        match &mut self.algorithm {
            Algorithm::Cubic(cubic) => cubic.forget(now, out.next_tx),
            Algorithm::Bbr(bbr) => bbr.timed_out(&self.delivery),
        }
        self.window.cwnd = 1;
        self.begin_recovery(State::Loss, out);
    }
}

#[cfg(test)]
mod tests;
