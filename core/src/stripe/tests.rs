//! A stripe by itself: what it takes, when it is late, what acknowledgements tell.

use super::lateness::OVERDUE;
use super::*;

const SECOND: u64 = 1_000_000;
const LIMIT: Duration = Duration::from_secs(4);

fn at(micros: u64) -> Instant {
    Instant::from_micros(micros)
}

fn stripe() -> Stripe {
    Stripe::new(StripeId(7), 0, Instant::ZERO)
}

/// A stripe that was measured at so many bytes per second.
fn of_rate(rate: u64) -> Stripe {
    let mut stripe = stripe();
    let mark = stripe.rate.mark(Some(0), Instant::ZERO);
    let latest = Latest { at: Instant::ZERO, mark, beyond: SECOND, queued: true };
    stripe.rate.acknowledged(rate, 0, Some(latest), at(SECOND));
    assert_eq!(stripe.rate.estimate(), Some(Rate::bytes(rate)));
    stripe
}

/// Something that asks for an acknowledgement, or not.
fn put(stripe: &mut Stripe, len: usize, eliciting: bool, micros: u64) {
    stripe.put(len, Token::Local, eliciting, at(micros));
}

/// Everything on it is acknowledged.
fn acknowledge(stripe: &mut Stripe, micros: u64) {
    stripe.ledger.advance(stripe.sent);
    let mut latest = None;
    while let Some(entry) = stripe.ledger.pop() {
        latest = Some((entry.at, entry.mark));
    }
    stripe.measure(latest, at(micros));
}

#[test]
fn allowance_unsent_and_chunk_are_a_stripes_time_within_bounds() {
    let sizes = |stripe: Stripe| (stripe.allowance(), stripe.unsent(), stripe.chunk());
    assert_eq!(sizes(stripe()), (8 << 10, 8 << 10, 8 << 10));
    assert_eq!(sizes(of_rate(100_000)), (8 << 10, 8 << 10, 2884));
    // 5, 10 and 4 ms, the last in whole packets.
    assert_eq!(sizes(of_rate(4_000_000)), (20_000, 40_000, 11 * 1448 - 12));
    assert_eq!(sizes(of_rate(1_000_000_000)), (512 << 10, 512 << 10, 64 << 10));
    // A rate-based control has 20 ms, or a quarter of its round trip.
    for (rtt, unsent) in [(40, 80_000), (200, 200_000)] {
        let mut stripe = of_rate(4_000_000);
        stripe.set_control(true);
        stripe.rtt.sample(Duration::from_millis(rtt), Instant::ZERO);
        assert_eq!(stripe.unsent(), unsent);
    }
}

#[test]
fn data_goes_on_a_stripe_with_nothing_unwritten_or_within_the_allowance() {
    let mut stripe = stripe();
    assert!(stripe.takes_data(1 << 20), "or the largest piece would never go");
    put(&mut stripe, 100, true, 0);
    for unwritten in [100, 60] {
        stripe.written = 100 - unwritten;
        assert_eq!(stripe.unwritten(), unwritten);
        let room = (8 << 10) - unwritten as usize;
        assert!(stripe.takes_data(room) && !stripe.takes_data(room + 1));
    }
    stripe.written = 100;
    assert!(stripe.takes_data(1 << 20));
    put(&mut stripe, (24 << 10) - 1, true, 0);
    assert!(stripe.takes_control(), "control has a reserve of its own");
    put(&mut stripe, 1, true, 0);
    assert!(!stripe.takes_control());
}

/// The same, 40 ms away, and nothing on it.
fn far(rate: u64) -> Stripe {
    let mut stripe = of_rate(rate);
    (stripe.sent, stripe.written) = (rate, rate);
    stripe.ledger.advance(rate);
    stripe.rtt.sample(Duration::from_millis(40), at(SECOND));
    stripe
}

/// Bounds its data in flight by some rounds at so many bytes per second.
fn bound(stripe: &mut Stripe, rate: u64, rounds: u64) -> u64 {
    for before in 0..rounds {
        let (sent, shortest, rate) = (before + 1, 40_000, Some(Rate::bytes(rate)));
        let ack = Ack { delivered: 0, before, sent, rate, took: shortest, shortest, chunk: 0 };
        stripe.window.acknowledged(&ack, at(SECOND));
    }
    stripe.window.bytes(stripe.shortest())
}

#[test]
fn a_stripe_is_full_half_a_piece_beyond_its_window() {
    let mut stripe = far(1_000_000);
    let half = stripe.chunk() as u64 / 2;
    put(&mut stripe, 1, true, SECOND);
    let window = bound(&mut stripe, 2_000_000, 1);
    // Of one that grows on after a pause: 40 ms and 3 of slack, half as much again.
    assert_eq!(window, 129_000);
    let fills = |more: u64, sparse: bool| {
        let mut stripe = stripe.clone();
        put(&mut stripe, (window - half + more - 1) as usize, true, SECOND);
        stripe.is_full(sparse)
    };
    assert_eq!([fills(0, false), fills(1, false)], [false, true]);
    assert_eq!([fills(3 * half, true), fills(3 * half + 1, true)], [false, true]);
}

#[test]
fn a_stripe_has_no_more_in_flight_than_it_soon_clears() {
    // It grows: five times 40 ms, and 100 ms; but at least 16 KiB.
    for (rate, bytes) in [(1_000_000, 300_000), (10_000, 16 << 10)] {
        let mut stripe = far(rate);
        stripe.set_control(true);
        put(&mut stripe, bytes, true, SECOND);
        assert!(!stripe.is_full(false), "{rate}");
        put(&mut stripe, 1, true, SECOND);
        assert!(stripe.is_full(false), "{rate}");
    }
}

#[test]
fn a_stripe_that_is_unknown_or_empty_is_never_full() {
    let mut stripe = stripe();
    put(&mut stripe, 1 << 30, true, 0);
    assert!(!stripe.is_full(false));
    let mut stripe = far(1_000_000_000);
    let window = bound(&mut stripe, 1000, 4);
    assert!(stripe.chunk() as u64 / 2 > window && !stripe.is_full(false));
    put(&mut stripe, 1, true, SECOND);
    assert!(stripe.is_full(false));
}

#[test]
fn bytes_that_the_rate_has_brought_are_no_longer_on_the_way() {
    let mut stripe = far(1_000_000);
    put(&mut stripe, 10_000, true, SECOND);
    for (millis, left) in [(0, 10_000), (1, 9_000), (2, 8_000), (500, 8_000)] {
        assert_eq!(stripe.on_the_way(at(SECOND + millis * 1000)), left, "after {millis} ms");
    }
    stripe.ledger.advance(stripe.sent - 100);
    assert_eq!(stripe.on_the_way(at(SECOND + 4000)), 0);
    let mut unknown = self::stripe();
    put(&mut unknown, 10_000, true, 0);
    assert_eq!(unknown.on_the_way(at(SECOND)), 10_000);
}

#[test]
fn data_is_late_after_half_as_long_again_as_explained() {
    let mut stripe = far(1_000_000);
    assert_eq!(stripe.late_at(), None);
    put(&mut stripe, 5_000, false, SECOND);
    assert_eq!(stripe.late_at(), None, "nothing asks for an acknowledgement");
    // As if an acknowledgement were never overdue.
    let late = |stripe: &Stripe| stripe.ledger.awaited().map(Entry::late_at);
    put(&mut stripe, 10_000, true, SECOND);
    put(&mut stripe, 10_000, true, SECOND + 1000);
    // 40 ms and 10 ms for itself; half as long again, and the slack.
    assert_eq!(late(&stripe), Some(at(SECOND + 75_000) + ledger::LATE_SLACK));
    stripe.ledger.advance(stripe.sent - 10_000);
    while stripe.ledger.pop().is_some() {}
    // 10 ms more for what lay ahead when it was put there.
    assert_eq!(late(&stripe), Some(at(SECOND + 1000 + 90_000) + ledger::LATE_SLACK));
    let mut unknown = self::stripe();
    put(&mut unknown, 10_000, true, 7);
    let explained = LENIENT_RTT + Duration::from_millis(8);
    assert_eq!(late(&unknown), Some(at(7) + explained * 3 / 2 + ledger::LATE_SLACK));
}

#[test]
fn an_acknowledgement_is_overdue_after_a_round_trip_a_piece_and_a_little() {
    let mut stripe = far(100_000);
    let piece = stripe.chunk() as u64 * 10;
    put(&mut stripe, 50_000, true, SECOND);
    put(&mut stripe, 50_000, true, SECOND + 1000);
    // Before half of what 500 ms explain has passed.
    assert_eq!(stripe.late_at(), Some(at(SECOND + 40_000 + piece) + OVERDUE));
    stripe.ledger.advance(stripe.sent - 50_000);
    stripe.ledger.pop();
    let entry = stripe.ledger.awaited().expect("the other");
    let latest = Some((entry.at, entry.mark));
    stripe.measure(latest, at(SECOND + 300_000));
    let piece = stripe.rate.estimate().unwrap().micros_for(stripe.chunk() as u64);
    assert_eq!(stripe.late_at(), Some(at(SECOND + 300_000 + piece) + OVERDUE));
}

/// A stripe at 1 MB/s on which lost packets have held an acknowledgement up for 60 ms.
fn held_up(rate_based: bool) -> Stripe {
    let mut stripe = far(1_000_000);
    stripe.set_control(rate_based);
    stripe.held_up.note(60_000, 1_000_000, Rate::bytes(1_000_000), at(SECOND));
    put(&mut stripe, 10_000, true, SECOND);
    stripe
}

#[test]
fn losses_that_the_system_has_seen_explain_a_delay() {
    let [lossy, other] = [true, false].map(held_up);
    let more = Duration::from_millis(60);
    assert_eq!(lossy.overdue(), other.overdue() + more);
    assert_eq!(lossy.doubt_at(), other.doubt_at().map(|at| at + more));
}

#[test]
fn a_late_stripe_has_the_rate_that_it_shows() {
    let mut stripe = far(1_000_000);
    assert_eq!(stripe.rate_now(at(3 * SECOND)), stripe.rate.hopeful(at(3 * SECOND)));
    put(&mut stripe, 10_000, true, SECOND);
    let late = stripe.late_at().unwrap();
    assert_eq!(stripe.rate_now(at(late.as_micros() - 1)), Some(Rate::bytes(1_000_000)));
    assert_eq!(stripe.rate_now(late), Some(Rate::bytes(1)), "it has brought nothing");
    stripe.ledger.advance(stripe.sent - 6_000);
    // 4,000 bytes since it was handed over; but not more than a piece since its acknowledgement was
    // due.
    let since = late.since(at(SECOND)).as_micros() as u64;
    assert_eq!(stripe.rate_now(late), Some(Rate::of(4_000, since)));
    let later = at(2 * SECOND + 40_000);
    assert_eq!(stripe.rate_now(later), Some(Rate::bytes(stripe.chunk() as u64)));
    assert_eq!(self::stripe().rate_now(late), None);
}

#[test]
fn a_piece_without_a_queue_shows_that_an_idle_stripe_is_fast_again() {
    let mut stripe = far(30_000);
    for (len, raised) in [(3_000, true), (500, false)] {
        let rate = stripe.rate.estimate().unwrap().as_bytes();
        let now = 2 * SECOND + len as u64;
        put(&mut stripe, len, true, now);
        acknowledge(&mut stripe, now + 41_000);
        let told = stripe.rate.estimate().unwrap().as_bytes();
        assert_eq!(told >= rate * 3, raised, "{len} bytes: {rate} before, {told} now");
        (stripe.rate, stripe.written) = (far(30_000).rate, stripe.sent);
    }
    // The second of two that were put there one after the other tells nothing.
    let now = 3 * SECOND;
    put(&mut stripe, 3_000, true, now);
    put(&mut stripe, 3_000, true, now + 1);
    acknowledge(&mut stripe, now + 41_000);
    assert!(stripe.rate.estimate().unwrap() < Rate::bytes(60_000));
}

#[test]
fn entries_that_ask_for_nothing_are_in_flight_only_behind_others() {
    let mut stripe = stripe();
    put(&mut stripe, 100, false, 0);
    assert_eq!((stripe.in_flight(), stripe.doubt_at()), (0, None));
    put(&mut stripe, 50, true, 0);
    assert_eq!(stripe.in_flight(), 50);
    put(&mut stripe, 30, false, 0);
    put(&mut stripe, 20, true, 0);
    assert_eq!(stripe.in_flight(), 100);
    stripe.ledger.advance(120);
    assert_eq!(stripe.in_flight(), 80);
    acknowledge(&mut stripe, 1);
    assert_eq!((stripe.in_flight(), stripe.sent), (0, 200));
}

#[test]
fn patience_begins_with_the_first_thing_that_asks_for_an_acknowledgement() {
    let mut stripe = stripe();
    for (eliciting, seconds) in [(false, 1), (true, 2), (true, 3)] {
        put(&mut stripe, 10, eliciting, seconds * SECOND);
    }
    assert_eq!(stripe.doubt_at(), Some(at(2 * SECOND) + stripe.rtt.patience()));
}

/// A stripe that carries a byte each microsecond has 400 kB in flight, 260 ms after an
/// acknowledgement could have come.
fn silent() -> (Stripe, u64) {
    let mut stripe = far(1_000_000);
    bound(&mut stripe, 1_000_000, 1);
    put(&mut stripe, 400_000, true, 2 * SECOND);
    stripe.wrote(stripe.sent - 20_000);
    (stripe, 2 * SECOND + 300_000)
}

#[test]
fn bytes_that_arrive_behind_a_lost_packet_leave_room_for_others() {
    let (mut stripe, now) = silent();
    stripe.arrived(1_200_000, at(now));
    assert_eq!(stripe.in_flight(), 200_000);
    stripe.arrived(1_190_000, at(now + 1));
    assert_eq!(stripe.in_flight(), 200_000, "an earlier count");
    stripe.arrived(u64::MAX, at(now + 2));
    assert_eq!(stripe.in_flight(), 20_000, "not all has been written");
    acknowledge(&mut stripe, now + 3);
    assert_eq!(stripe.in_flight(), 0);
}

#[test]
fn a_stripe_is_neither_dead_nor_slow_if_as_much_arrives_as_it_carries() {
    for (bytes, arrives) in [(130_000, true), (129_999, false)] {
        let (mut stripe, now) = silent();
        stripe.arrived(1_000_000 + bytes, at(now));
        assert_eq!(stripe.in_flight(), 400_000 - if arrives { bytes } else { 0 });
        let patient = stripe.doubt_at() == Some(at(now) + stripe.rtt.patience());
        let fast = stripe.rate_now(at(now)) > Some(Rate::bytes(400_000));
        assert_eq!((patient, fast), (arrives, arrives), "{bytes} bytes");
    }
    let (mut stripe, now) = silent();
    stripe.window = Window::new(at(0));
    stripe.arrived(1_400_000, at(now));
    assert_eq!(stripe.in_flight(), 400_000, "a stripe that has never been measured");
}

#[test]
fn a_stripe_is_given_up_after_the_limit_or_later_while_it_is_heard() {
    let mut stripe = stripe();
    stripe.progress = at(10 * SECOND);
    for (heard, expected) in [(0, 14), (13, 14), (20, 21), (24, 25), (30, 26), (1000, 26)] {
        drop(stripe.inbound.begin(at(heard * SECOND)));
        assert_eq!(stripe.stall_at(LIMIT), at(expected * SECOND), "heard at {heard} s");
    }
    drop(stripe.inbound.begin(at(0)));
    assert_eq!(stripe.stall_at(Duration::ZERO), at(12 * SECOND), "not before twice the patience");
}

#[test]
fn time_slept_moves_the_deadlines_but_not_into_the_future() {
    let mut stripe = stripe();
    stripe.progress = at(10);
    drop(stripe.inbound.begin(at(8)));
    stripe.excuse(Duration::from_micros(3), at(12));
    assert_eq!((stripe.progress, stripe.inbound.heard()), (at(12), at(11)));
    drop(stripe.inbound.begin(at(12)));
    stripe.excuse(Duration::from_micros(3), at(13));
    assert_eq!((stripe.progress, stripe.inbound.heard()), (at(13), at(13)));
}

#[test]
fn data_sent_before_a_sleep_is_no_measure() {
    let mut stripe = stripe();
    stripe.doubted = true;
    put(&mut stripe, 10, true, 10);
    stripe.excuse(Duration::from_secs(9), at(20));
    acknowledge(&mut stripe, 30);
    assert_eq!((stripe.doubted, stripe.progress, stripe.rtt.smoothed()), (false, at(30), None));
    put(&mut stripe, 10, true, 40);
    stripe.excuse(Duration::from_secs(9), at(40));
    acknowledge(&mut stripe, 45);
    assert_eq!(stripe.rtt.smoothed(), Some(Duration::from_micros(5)));
}

#[test]
fn only_a_queue_measures_a_stripe_with_too_little_to_send() {
    // The shortest took 20 ms; half of that more and 10 ms may still be the timer.
    for (took, measured) in [(40_000, false), (40_001, true)] {
        let mut stripe = stripe();
        stripe.rate.app_limited(1 << 30);
        put(&mut stripe, 10_000, true, 0);
        acknowledge(&mut stripe, 20_000);
        assert_eq!(stripe.rate.estimate(), None);
        put(&mut stripe, 10_000, true, SECOND);
        acknowledge(&mut stripe, SECOND + took);
        assert_eq!(stripe.rate.estimate().is_some(), measured, "{took} us");
    }
}

#[test]
fn a_stripe_is_limited_by_what_keeps_waiting_data_from_it() {
    let limit = |stripe: &Stripe, demand| {
        let mut stripe = stripe.clone();
        stripe.after_sending(demand, at(SECOND));
        stripe.limits.now()
    };
    let mut stripe = far(1_000_000);
    put(&mut stripe, 1, true, SECOND);
    let window = bound(&mut stripe, 1_000_000, 4);
    assert_eq!(limit(&stripe, Demand::Nothing), StripeLimit::Application);
    assert_eq!(limit(&stripe, Demand::NoCredit), StripeLimit::Receiver);
    assert_eq!(limit(&stripe, Demand::Waiting), StripeLimit::Route, "another is better");
    put(&mut stripe, window as usize, true, SECOND);
    assert_eq!(limit(&stripe, Demand::Waiting), StripeLimit::Route, "the system takes no more");
    stripe.wrote(stripe.sent);
    assert_eq!(limit(&stripe, Demand::Waiting), StripeLimit::Window);
    assert_eq!(limit(&stripe, Demand::Nothing), StripeLimit::Application);
    stripe.set_control(true);
    assert_eq!(limit(&stripe, Demand::Waiting), StripeLimit::Route, "it has no bound");
    stripe.set_control(false);
    stripe.doubt();
    assert_eq!(limit(&stripe, Demand::Waiting), StripeLimit::Route, "in doubt");
}

#[test]
fn stats_have_the_counts() {
    let mut stripe = of_rate(4_000_000);
    put(&mut stripe, 100, true, 5);
    stripe.rtt.sample(Duration::from_millis(4), at(5));
    stripe.rtt.sample(Duration::from_millis(12), at(5));
    stripe.ledger.advance(60);
    (stripe.written, stripe.congestions) = (80, 3);
    (stripe.doubted, stripe.doubts) = (true, 2);
    let mut limits = Limits::new(at(0));
    limits.note(StripeLimit::Route, at(4));
    let expected = StripeStats {
        stripe: StripeId(7),
        sent: 100,
        written: 80,
        acknowledged: 60,
        received: 0,
        congestions: 3,
        srtt: Some(Duration::from_millis(5)),
        min_rtt: Some(Duration::from_millis(4)),
        rate: Some(Rate::bytes(4_000_000)),
        window: None,
        doubted: true,
        doubts: 2,
        limit: StripeLimit::Route,
        limited: limits.times(at(9)),
    };
    stripe.limits = limits;
    assert_eq!(stripe.stats(at(9)), expected);
}

#[test]
fn a_piece_fills_whole_packets_with_the_bytes_of_its_pipe() {
    for rate in [100_000, 1_250_000, 12_500_000] {
        let (plain, mut secured) = (of_rate(rate), of_rate(rate));
        secured.overhead = 22;
        assert_eq!((plain.chunk() + sizes::HEAD) % sizes::PACKET, 0);
        assert_eq!((secured.chunk() + sizes::HEAD + 22) % sizes::PACKET, 0);
        assert_eq!(plain.chunk() - secured.chunk(), 22);
    }
}

/// For tests of a session, in which nothing is measured.
impl Stripe {
    pub(crate) fn rate_mut(&mut self) -> &mut RateEstimator {
        &mut self.rate
    }

    pub(crate) fn rtt_mut(&mut self) -> &mut Rtt {
        &mut self.rtt
    }

    pub(crate) fn window_mut(&mut self) -> &mut Window {
        &mut self.window
    }
}
