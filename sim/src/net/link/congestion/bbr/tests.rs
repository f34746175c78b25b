use super::super::{Sample, Window};
use super::*;

const RTT: u64 = 40_000;

/// BBR, and a route that delivers a packet each `gap` microseconds.
struct Route {
    bbr: Bbr,
    delivery: Delivery,
    window: Window,
    now: u64,
    in_flight: u64,
}

impl Route {
    fn new() -> Self {
        let mut bbr = Bbr::new(1);
        bbr.handshake_took(0, RTT, 10);
        Route {
            bbr,
            delivery: Delivery::default(),
            window: Window { cwnd: 10, ssthresh: u64::MAX },
            now: RTT,
            in_flight: 10,
        }
    }

    /// Packets arrive `gap` apart for a time; each has a sample of the last round trip.
    fn deliver(&mut self, time: u64, gap: u64, app_limited: bool, losses: u64) {
        let end = self.now + time;
        while self.now < end {
            self.now += gap;
            self.delivery.delivered += 1;
            self.delivery.delivered_at = self.now;
            self.delivery.lost += losses;
            let sample = Sample {
                delivered: RTT / gap,
                interval: RTT,
                prior_delivered: self.delivery.delivered.saturating_sub(RTT / gap),
                app_limited,
            };
            let ack = Ack {
                now: self.now,
                rtt: RTT,
                losses,
                prior_in_flight: self.in_flight + 1,
                in_flight: self.in_flight,
                sample,
                ..Ack::default()
            };
            let Route { bbr, delivery, window, .. } = self;
            bbr.acknowledged(&ack, State::Open, delivery, window);
        }
    }

    /// 1,000 packets a second until the pipe is full and drained: a window's worth is 40.
    fn settled() -> Self {
        let mut route = Route::new();
        route.deliver(400_000, 1_000, false, 0);
        assert_eq!(route.bbr.mode, Mode::ProbeBandwidth);
        route
    }

    /// Packets a second, rounded.
    fn rate(&self) -> u64 {
        (self.bbr.rate() * 1_000_000 + (1 << (SHIFT - 1))) >> SHIFT
    }
}

#[test]
fn startup_lasts_for_three_round_trips_without_growth_and_then_the_queue_drains() {
    let mut route = Route::new();
    route.in_flight = 100;
    route.deliver(100_000, 1_000, false, 0);
    assert_eq!((route.bbr.mode, route.bbr.pacing_gain), (Mode::Startup, HIGH_GAIN));
    route.deliver(100_000, 1_000, false, 0);
    assert_eq!((route.bbr.mode, route.bbr.pacing_gain), (Mode::Drain, DRAIN_GAIN));
    // A BDP of 40 packets, and room for batches of two at the sender.
    route.in_flight = 46;
    route.deliver(1_000, 1_000, false, 0);
    assert_eq!(route.bbr.mode, Mode::ProbeBandwidth);
}

#[test]
fn a_cycle_probes_drains_and_cruises() {
    let mut route = Route::settled();
    let mut gains = Vec::new();
    for _ in 0..400 {
        // Enough for a probe to end, too much for a drain to end early.
        route.in_flight = 60;
        route.deliver(1_000, 1_000, false, 0);
        if gains.last() != Some(&route.bbr.pacing_gain) {
            gains.push(route.bbr.pacing_gain);
        }
    }
    let from = gains.iter().position(|gain| *gain == 320).expect("a probe");
    assert_eq!(gains[from..][..3], [320, 192, 256]);
    let pace = route.bbr.pace();
    // 1,448,000 B/s times the gain, less a hundredth.
    assert_eq!(pace / 1_000, 1_433 * route.bbr.pacing_gain / UNIT);
}

#[test]
fn the_window_is_twice_what_the_route_holds() {
    let mut route = Route::settled();
    route.deliver(200_000, 1_000, false, 0);
    // 80, batches of two three times, and up to two more in a probe and as excess.
    assert!((86..=92).contains(&route.window.cwnd), "{}", route.window.cwnd);
}

#[test]
fn a_sender_with_too_little_data_never_lowers_the_rate_but_may_raise_it() {
    let mut route = Route::settled();
    route.deliver(2_000_000, 4_000, true, 0);
    assert_eq!(route.rate(), 1_000);
    route.deliver(100_000, 500, true, 0);
    assert_eq!(route.rate(), 2_000);
    // Without the mark a lower rate counts after ten round trips.
    route.deliver(480_000, 4_000, false, 0);
    assert_eq!(route.rate(), 250);
}

#[test]
fn the_round_trip_is_probed_each_ten_seconds_with_four_packets() {
    let mut route = Route::settled();
    // The handshake was at 0, and it is 440 ms now.
    route.deliver(9_560_000, 1_000, false, 0);
    assert_eq!(route.bbr.mode, Mode::ProbeBandwidth);
    route.deliver(1_000, 1_000, false, 0);
    assert_eq!((route.bbr.mode, route.window.cwnd), (Mode::ProbeRtt, 4));
    assert!(route.delivery.is_limited(), "its samples are low on purpose");
    // It lasts for 200 ms from when four packets are in flight.
    route.in_flight = 4;
    route.deliver(190_000, 10_000, false, 0);
    assert_eq!(route.bbr.mode, Mode::ProbeRtt);
    route.deliver(60_000, 10_000, false, 0);
    assert_eq!(route.bbr.mode, Mode::ProbeBandwidth);
    assert!(route.window.cwnd > 80, "the window of before");
}

#[test]
fn a_policers_rate_is_kept_without_probing() {
    let mut route = Route::settled();
    // A third is lost, for two intervals of four round trips.
    route.deliver(600_000, 2_000, false, 1);
    assert_eq!((route.rate(), route.bbr.pacing_gain), (500, UNIT));
    assert!(route.bbr.long_term.rate().is_some());
}

#[test]
fn a_recovery_begins_with_as_many_packets_as_are_delivered() {
    let mut route = Route::settled();
    route.in_flight = 30;
    let sample = Sample { delivered: 40, interval: RTT, ..Sample::default() };
    let ack = Ack { now: route.now, rtt: RTT, losses: 5, in_flight: 30, sample, ..Ack::default() };
    let before = route.window.cwnd;
    route.bbr.save_window(before);
    route.bbr.acknowledged(&ack, State::Recovery, &mut route.delivery, &mut route.window);
    assert_eq!(route.window.cwnd, 31);
    route.bbr.acknowledged(&ack, State::Open, &mut route.delivery, &mut route.window);
    assert!(route.window.cwnd >= before.min(86), "{before} before");
}
