//! CUBIC (RFC 9438) in the integers of Linux's `tcp_cubic.c`: beta = 717/1024, C = 0.4, fast
//! convergence and the region in which it is as fast as Reno.
//!
//! The window is in packets and time in microseconds; the cubic function counts in 1/1024 s.
//!
//! Invariant: a cut of the window begins a new epoch, and an epoch begins with the first
//! acknowledgement after it.

use super::{Ack, Window, hystart::HyStart};

/// The window that is left after a loss, in 1/1024.
const BETA: u64 = 717;
const SCALE: u64 = 1_024;
/// C = 0.4 in 1/1024, as Linux rounds it.
const C: u64 = 410;
/// 8 · (1 + beta) / 3 / (1 - beta). An eighth of it is the part of a window that a Reno with this
/// beta needs for one more packet.
const RENO: u64 = 8 * (SCALE + BETA) / 3 / (SCALE - BETA);
/// The function is computed at most so often while the window stays, in microseconds.
const PERIOD: u64 = 1_000_000 / 32;
/// Round trips right after a recovery don't count, for so long (microseconds).
const SETTLING: u64 = 1_000_000;

#[derive(Clone, Debug, Default)]
pub(super) struct Cubic {
    hystart: HyStart,
    out_of_slow_start: bool,
    /// Acknowledgements for one more packet in the window.
    per_packet: u64,
    /// Acknowledgements since the window last grew by a packet.
    credit: u64,
    last_max: u64,
    last_window: u64,
    last_time: u64,
    epoch: Option<u64>,
    origin: u64,
    /// The time from the epoch until the window is at the origin, in 1/1024 s.
    k: u64,
    reno: u64,
    reno_acks: u64,
    min_rtt: Option<u64>,
}

impl Cubic {
    pub fn new() -> Self {
        let mut hystart = HyStart::default();
        hystart.restart(0, 0);
        Cubic { hystart, ..Cubic::default() }
    }

    /// Each acknowledgement has a round trip, whatever the state of the connection.
    pub fn sample(&mut self, ack: &Ack, window: &mut Window) {
        if self.epoch.is_some_and(|epoch| ack.now - epoch < SETTLING) {
            return;
        }
        let min_rtt = self.min_rtt.map_or(ack.rtt, |min| min.min(ack.rtt));
        self.min_rtt = Some(min_rtt);
        if !self.out_of_slow_start
            && window.cwnd < window.ssthresh
            && self.hystart.ends_slow_start(
                (ack.now, ack.rtt),
                (ack.tx, ack.next_tx),
                window.cwnd,
                min_rtt,
            )
        {
            self.out_of_slow_start = true;
            window.ssthresh = window.cwnd;
        }
    }

    /// The window grows for a packet that was acknowledged while the window was full.
    pub fn grow(&mut self, now: u64, window: &mut Window) {
        if window.cwnd < window.ssthresh {
            window.cwnd += 1;
            return;
        }
        self.update(now, window.cwnd);
        // Credit that was earned at a slower growth is worth one packet.
        if self.credit >= self.per_packet {
            self.credit = 0;
            window.cwnd += 1;
        }
        self.credit += 1;
        if self.credit >= self.per_packet {
            self.credit -= self.per_packet;
            window.cwnd += 1;
        }
    }

    fn update(&mut self, now: u64, cwnd: u64) {
        self.reno_acks += 1;
        if self.last_window == cwnd && now - self.last_time <= PERIOD && self.epoch.is_some() {
            return;
        }
        (self.last_window, self.last_time) = (cwnd, now);
        let epoch = *self.epoch.get_or_insert_with(|| {
            (self.reno_acks, self.reno) = (1, cwnd);
            self.origin = self.last_max.max(cwnd);
            // C · K³ = the missing packets.
            self.k = cube_root(((self.origin - cwnd) << 40) / C);
            now
        });
        let time = (now - epoch + self.min_rtt.unwrap_or(0)) * 1_024 / 1_000_000;
        let from_k = u128::from(time.abs_diff(self.k));
        let change = ((u128::from(C) * from_k * from_k * from_k) >> 40) as u64;
        let target =
            if time < self.k { self.origin.saturating_sub(change) } else { self.origin + change };
        self.per_packet = if target > cwnd { cwnd / (target - cwnd) } else { 100 * cwnd };
        // Nothing is known of the route yet: at least 5 % a round trip.
        if self.last_max == 0 {
            self.per_packet = self.per_packet.min(20);
        }
        self.keep_up_with_reno(cwnd);
        self.per_packet = self.per_packet.max(2);
    }

    fn keep_up_with_reno(&mut self, cwnd: u64) {
        let each = ((cwnd * RENO) >> 3).max(1);
        self.reno += self.reno_acks / each;
        self.reno_acks %= each;
        if self.reno > cwnd {
            self.per_packet = self.per_packet.min(cwnd / (self.reno - cwnd));
        }
    }

    /// Packets are lost. The threshold for the window after that.
    pub fn cut(&mut self, cwnd: u64) -> u64 {
        self.epoch = None;
        self.last_max =
            if cwnd < self.last_max { cwnd * (SCALE + BETA) / (2 * SCALE) } else { cwnd };
        (cwnd * BETA / SCALE).max(2)
    }

    /// After a timeout all is measured anew.
    pub fn forget(&mut self, now: u64, next_tx: u64) {
        *self = Cubic::new();
        self.hystart.restart(now, next_tx);
    }

    /// Nothing was under way since `last_sent`: the function does not count such a time.
    pub fn resume(&mut self, now: u64, last_sent: u64) {
        if let Some(epoch) = &mut self.epoch {
            *epoch = (*epoch + (now - last_sent)).min(now);
        }
    }
}

/// Rounded down.
fn cube_root(value: u64) -> u64 {
    if value == 0 {
        return 0;
    }
    // Newton's method from above falls until it has arrived.
    let mut root = 1u64 << (64 - value.leading_zeros()).div_ceil(3);
    loop {
        let next = (2 * root + value / (root * root)) / 3;
        if next >= root {
            return root;
        }
        root = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Windows at the end of each round trip of 100 ms, each packet of the window acknowledged.
    fn rounds(cubic: &mut Cubic, window: &mut Window, from: u64, count: u64) -> Vec<u64> {
        cubic.min_rtt = Some(100_000);
        let mut windows = Vec::new();
        for round in 0..count {
            let acks = window.cwnd;
            for nth in 0..acks {
                cubic.grow(from + round * 100_000 + nth * 100_000 / acks, window);
            }
            windows.push(window.cwnd);
        }
        windows
    }

    #[test]
    fn roots_of_cubes_are_rounded_down() {
        for (value, root) in [(0, 0), (1, 1), (7, 1), (8, 2), (26, 2), (27, 3), (1 << 60, 1 << 20)]
        {
            assert_eq!(cube_root(value), root, "{value}");
        }
        let most = u64::MAX;
        assert_eq!(cube_root(most), 2_642_245);
    }

    #[test]
    fn the_window_is_back_after_the_time_that_rfc_9438_computes() {
        let mut cubic = Cubic::new();
        let threshold = cubic.cut(1_000);
        assert_eq!(threshold, 700);
        let mut window = Window { cwnd: threshold, ssthresh: threshold };
        // K = cbrt(1,000 · 0.3 / 0.4) = 9.1 s. Before it the window is flat around 1,000, after
        // it grows as much as it did before: 2.7 s after K by 0.4 · 2.7³ = 8.
        let windows = rounds(&mut cubic, &mut window, 0, 140);
        assert!((990..=1_000).contains(&windows[90]), "{windows:?}");
        assert!((1_000..=1_012).contains(&windows[117]), "{windows:?}");
        assert!((1_030..=1_060).contains(&windows[139]), "{windows:?}");
    }

    #[test]
    fn a_second_loss_before_the_window_is_back_gives_room_to_others() {
        let mut cubic = Cubic::new();
        cubic.cut(1_000);
        assert_eq!((cubic.cut(800), cubic.last_max), (560, 800 * 1_741 / 2_048));
    }

    #[test]
    fn a_small_window_grows_as_reno_does() {
        // 10 packets at 10 ms: the function alone adds 0.4 · 1 s³ in a second. A Reno that keeps
        // 0.7 adds 0.53 packets a round trip, 53 a second.
        let mut cubic = Cubic::new();
        let threshold = cubic.cut(14);
        let mut window = Window { cwnd: threshold, ssthresh: threshold };
        cubic.min_rtt = Some(10_000);
        for round in 0..100 {
            for nth in 0..window.cwnd {
                cubic.grow(round * 10_000 + nth, &mut window);
            }
        }
        assert!((40..=65).contains(&window.cwnd), "{}", window.cwnd);
    }

    #[test]
    fn an_unknown_route_gets_a_twentieth_more_each_round_trip() {
        let mut cubic = Cubic::new();
        let mut window = Window { cwnd: 100, ssthresh: 100 };
        let windows = rounds(&mut cubic, &mut window, 0, 10);
        assert!((150..=170).contains(&windows[9]), "{windows:?}");
    }

    #[test]
    fn idle_time_does_not_count_as_time_of_growth() {
        let (mut steady, mut idle) = (Cubic::new(), Cubic::new());
        for cubic in [&mut steady, &mut idle] {
            cubic.cut(100);
        }
        let after = |cubic: &mut Cubic, from| {
            let mut window = Window { cwnd: 70, ssthresh: 70 };
            rounds(cubic, &mut window, 0, 5);
            if from > 500_000 {
                cubic.resume(from, 500_000);
            }
            rounds(cubic, &mut window, from, 5).pop()
        };
        assert_eq!(after(&mut steady, 500_000), after(&mut idle, 60_500_000));
    }
}
