//! A window that is told of one acknowledgement in each round.

use super::*;
use alloc::vec::Vec;
use quickcheck::quickcheck;

const MEGABYTE: u64 = 1_000_000;
/// The shortest round trip, in microseconds.
const SHORTEST: u64 = 40_000;
/// The standing queue on it: a sixteenth would be less than the least.
const STANDING: u64 = 4_000;
/// The slack of a stripe in no trouble: half of that, and half of [`DELAY`].
const LEAST: u64 = 3_000;

struct Model {
    window: Window,
    now: Instant,
    sent: u64,
    delivered: u64,
    chunk: u64,
}

impl Model {
    fn new() -> Self {
        let window = Window::new(Instant::ZERO);
        Model { window, now: Instant::ZERO, sent: 0, delivered: 0, chunk: 0 }
    }

    /// At one megabyte per second, in no trouble.
    fn steady() -> Self {
        let mut model = Model::new();
        (0..4).for_each(|_| model.round(MEGABYTE, STANDING, true));
        assert_eq!(model.window.state, State::Steady);
        model
    }

    /// A round at so many bytes per second, with so long a queue.
    fn round(&mut self, rate: u64, waited: u64, limited: bool) {
        if limited {
            self.window.limit();
        }
        self.now = self.now + DELAY;
        let before = self.sent;
        self.sent += 1;
        let piece = self.chunk * 1_000_000 / rate;
        let took = SHORTEST + piece + waited;
        let (sent, delivered, chunk) = (self.sent, self.delivered, self.chunk);
        let (rate, shortest) = (Some(Rate::bytes(rate)), SHORTEST);
        let ack = Ack { delivered, before, sent, rate, took, shortest, chunk };
        self.window.acknowledged(&ack, self.now);
    }

    fn bytes(&self) -> u64 {
        self.window.bytes(Some(SHORTEST))
    }

    /// Rounds until the queue is drained, and the time then.
    fn until_draining(&mut self, waited: u64) -> Instant {
        while !matches!(self.window.state, State::Draining { .. }) {
            self.round(MEGABYTE, waited, true);
        }
        self.now
    }

    /// Three rounds in which the queue had time to drain, and so long a queue in the last.
    fn drained(&mut self, waited: u64) {
        for waited in [STANDING, STANDING, waited] {
            assert!(matches!(self.window.state, State::Draining { .. }));
            self.round(MEGABYTE, waited, true);
        }
    }
}

fn grows(model: &Model) -> bool {
    matches!(model.window.state, State::Growing { .. })
}

/// The kind of event, counts of bytes, a rate, and the rest.
type Step = (u8, [u64; 3], Option<u64>, [u64; 4]);

quickcheck! {
    fn no_numbers_overflow(steps: Vec<Step>) -> bool {
        let mut window = Window::new(Instant::ZERO);
        let mut now = Instant::ZERO;
        for (what, [delivered, before, sent], rate, [took, shortest, chunk, micros]) in steps {
            let rate = rate.map(Rate::bytes);
            now = now + Duration::from_micros(micros);
            if what & 1 > 0 {
                window.limit();
            }
            if what & 6 == 6 {
                window.resume();
            }
            // One in two ends its round.
            let before = if what & 8 > 0 { u64::MAX } else { before };
            window.acknowledged(&Ack { delivered, before, sent, rate, took, shortest, chunk }, now);
            for shortest in [None, Some(0), Some(shortest), Some(u64::MAX)] {
                assert!(window.bytes(shortest) >= FLOOR);
            }
        }
        true
    }
}

#[test]
fn as_long_as_nothing_is_known_there_is_no_bound() {
    let mut window = Window::new(Instant::ZERO);
    assert_eq!((window.bytes(None), window.bytes(Some(SHORTEST))), (u64::MAX, u64::MAX));
    let (took, shortest) = (SHORTEST, SHORTEST);
    let mut ack = Ack { delivered: 0, before: 0, sent: 1, rate: None, took, shortest, chunk: 0 };
    window.acknowledged(&ack, Instant::ZERO);
    assert_eq!(window.bytes(Some(SHORTEST)), u64::MAX, "a rate is missing");
    ack.rate = Some(Rate::bytes(MEGABYTE));
    window.acknowledged(&ack, Instant::ZERO);
    assert_eq!(window.bytes(None), u64::MAX, "a round trip is missing");
    assert!(window.bytes(Some(SHORTEST)) < u64::MAX);
}

#[test]
fn a_busy_stripe_has_a_round_trip_and_the_slack_in_flight() {
    let mut model = Model::steady();
    assert_eq!(model.bytes(), SHORTEST + LEAST);
    // A piece of 5,000 bytes takes 5 ms.
    model.chunk = 5_000;
    model.round(MEGABYTE, STANDING, true);
    assert_eq!(model.bytes(), SHORTEST + LEAST + 5_000);
    let mut slow = Model::new();
    (0..4).for_each(|_| slow.round(1000, STANDING, true));
    assert_eq!((slow.window.state, slow.bytes()), (State::Steady, FLOOR));
}

#[test]
fn the_highest_rate_of_the_latest_rounds_counts() {
    let mut model = Model::steady();
    model.round(2 * MEGABYTE, STANDING, true);
    for _ in 1..ROUNDS {
        assert_eq!(model.bytes(), 2 * (SHORTEST + LEAST));
        model.round(MEGABYTE, STANDING, true);
    }
    assert_eq!(model.bytes(), SHORTEST + LEAST);
}

#[test]
fn a_round_that_says_nothing_of_the_rate_ages_none() {
    let mut model = Model::steady();
    for _ in 0..3 * ROUNDS {
        let (before, sent) = (model.sent, model.sent + 1);
        model.sent = sent;
        let (took, shortest) = (SHORTEST, SHORTEST);
        let ack = Ack { delivered: 0, before, sent, rate: None, took, shortest, chunk: 0 };
        model.window.acknowledged(&ack, model.now);
    }
    assert_eq!(model.bytes(), SHORTEST + LEAST);
}

#[test]
fn a_stripe_that_grows_may_double_its_rate_each_round() {
    let mut model = Model::new();
    model.round(100_000, 0, true);
    assert_eq!(model.bytes(), GROWING_FLOOR);
    for rate in [MEGABYTE, 2 * MEGABYTE, 4 * MEGABYTE] {
        model.round(rate, 0, true);
        assert_eq!(model.bytes(), (SHORTEST + LEAST) * (rate / MEGABYTE) / 8 * 20);
    }
}

#[test]
fn growth_ends_at_a_queue_of_a_fourth_of_the_round_trip() {
    let grown = [MEGABYTE, MEGABYTE * 5 / 4, MEGABYTE * 25 / 16];
    let slower = [&grown[..], &[2 * MEGABYTE - 100_000]].concat();
    let plateau = [MEGABYTE; PLATEAU as usize + 1];
    // The last of these rounds ends growth, or none does.
    for (rates, waited, ends) in [
        (&grown[..], STANDING + 1, false),
        (&slower[..], STANDING + 1, true),
        // Even if the rate still grew.
        (&[MEGABYTE][..], SHORTEST / 4, false),
        (&[MEGABYTE][..], SHORTEST / 4 + 1, true),
        (&plateau[1..], 0, false),
        (&plateau[..], 0, true),
    ] {
        let mut model = Model::new();
        for rate in rates {
            assert!(grows(&model), "before {rate}");
            model.round(*rate, waited, true);
        }
        assert_eq!(model.window.state == State::Steady, ends, "{rates:?}, {waited} us");
    }
}

#[test]
fn a_stripe_that_is_full_and_has_no_queue_for_three_rounds_grows_again() {
    let mut model = Model::steady();
    (0..20).for_each(|_| model.round(MEGABYTE, 0, false));
    assert!(!grows(&model), "it was not full");
    for waited in [0, 0, STANDING, 0, 0] {
        model.round(MEGABYTE, waited, true);
        assert!(!grows(&model), "not three in a row");
    }
    model.round(MEGABYTE, 0, true);
    assert_eq!(model.window.state, State::Growing { eighths: REGROWTH });
    for (rate, eighths) in [(2 * MEGABYTE, 14), (3 * MEGABYTE, 18), (4 * MEGABYTE, GROWTH)] {
        model.round(rate, 0, true);
        assert_eq!(model.window.state, State::Growing { eighths });
    }
    model.round(4 * MEGABYTE, STANDING + 1, true);
    assert_eq!(model.window.state, State::Steady);
    assert!(model.bytes() >= 4 * (SHORTEST + LEAST));
}

#[test]
fn batches_raise_the_slack_and_a_long_queue_lowers_it_slowly() {
    let mut model = Model::steady();
    model.round(MEGABYTE, STANDING, true);
    for (waited, limited, slack, why) in [
        (STANDING / 2 - 1, true, LEAST + STANDING, "no queue"),
        (STANDING / 2, true, LEAST + STANDING, "enough of one"),
        (0, false, LEAST + STANDING, "it was not full"),
        (0, true, LEAST + 2 * STANDING, "no queue"),
        (0, true, LEAST * 3 / 2 + 3 * STANDING, "by half of itself"),
        (STANDING + 8_000, true, LEAST * 3 / 2 + 3 * STANDING - 1_000, "slowly"),
        (STANDING + 800_000, true, LEAST, "but not below the least"),
    ] {
        model.round(MEGABYTE, waited, limited);
        assert_eq!((model.window.state, model.bytes() - SHORTEST), (State::Steady, slack), "{why}");
    }
}

/// The bytes that may be in flight after a gap before an acknowledgement, beyond a round trip.
fn after_gap(millis: u64, brought: u64, limited: bool, pause: bool) -> (Model, u64) {
    let mut model = Model::steady();
    if pause {
        model.window.resume();
    }
    model.now = model.now + (Duration::from_millis(millis) - DELAY);
    model.delivered += brought;
    model.round(MEGABYTE, STANDING, limited);
    let slack = model.bytes() - SHORTEST;
    (model, slack)
}

#[test]
fn a_gap_that_is_made_up_for_is_bridged_for_some_rounds() {
    // 30 ms, of which acknowledgements are always 2 ms apart.
    let (mut model, slack) = after_gap(30, 15_000, true, false);
    assert_eq!(slack, 28_000);
    (1..ROUNDS).for_each(|_| model.round(MEGABYTE, STANDING, true));
    assert_eq!(model.bytes(), SHORTEST + LEAST, "it is past");
    for (millis, brought, limited, pause, slack, why) in [
        (30, 14_999, true, false, LEAST, "the stripe brings little"),
        (30, 15_000, false, false, LEAST, "nothing waited"),
        (30, 15_000, true, true, LEAST, "there was nothing to acknowledge"),
        (900, 900_000, true, false, SHORTEST + MAX_SLACK, "that is too long"),
    ] {
        assert_eq!(after_gap(millis, brought, limited, pause).1, slack, "{why}");
    }
}

#[test]
fn gaps_while_a_stripe_grows_are_forgotten() {
    let mut model = Model::new();
    for _ in 0..=PLATEAU {
        model.now = model.now + Duration::from_millis(30);
        model.delivered += MEGABYTE;
        model.round(MEGABYTE, STANDING, true);
    }
    assert_eq!((model.window.state, model.bytes()), (State::Steady, SHORTEST + LEAST));
}

#[test]
fn the_slack_has_a_limit() {
    let mut model = Model::steady();
    for waited in [0, 0, STANDING].repeat(20) {
        model.round(MEGABYTE, waited, true);
    }
    assert_eq!(model.bytes(), SHORTEST + SHORTEST + MAX_SLACK);
}

#[test]
fn the_queue_is_drained_every_ten_seconds_if_data_waits() {
    let mut model = Model::steady();
    model.now = Instant::ZERO + LOOK_EVERY;
    model.round(MEGABYTE, STANDING, false);
    assert_eq!(model.window.state, State::Steady, "nothing waits");
    let mut model = Model::steady();
    for _ in 0..3 {
        let before = model.window.looked_at;
        let at = model.until_draining(STANDING);
        // A probe comes first to its end.
        let latest = LOOK_EVERY + DELAY * u32::from(PROBE_ROUNDS + 2);
        assert!((LOOK_EVERY..=latest).contains(&at.since(before)), "{at:?}");
        assert_eq!(model.bytes(), SHORTEST, "no slack");
        model.drained(0);
        assert_eq!((model.window.state, model.bytes()), (State::Steady, SHORTEST + LEAST));
    }
}

/// A steady stripe at the beginning of its next probe.
fn probed() -> Model {
    let mut model = Model::steady();
    while !matches!(model.window.state, State::Probing { .. }) {
        model.round(MEGABYTE, STANDING, true);
    }
    model
}

#[test]
fn a_full_stripe_has_a_little_more_in_flight_every_few_rounds() {
    let mut model = Model::steady();
    (0..20).for_each(|_| model.round(MEGABYTE, STANDING, false));
    assert_eq!(model.window.state, State::Steady, "nothing waits");
    for _ in 0..3 {
        for _ in 0..PROBE_EVERY {
            assert_eq!((model.window.state, model.bytes()), (State::Steady, SHORTEST + LEAST));
            model.round(MEGABYTE, STANDING, true);
        }
        for _ in 0..=PROBE_ROUNDS {
            assert_eq!(model.bytes(), SHORTEST + LEAST + PROBE.start());
            model.round(MEGABYTE, STANDING, true);
        }
    }
}

#[test]
fn a_stripe_that_carries_more_during_a_probe_grows() {
    // 3 ms more of 43 ms; half of that is enough.
    let more = MEGABYTE * PROBE.start();
    let enough = MEGABYTE + more.div_ceil((SHORTEST + LEAST) * 2);
    for (rate, more) in [(enough - 1, false), (enough, true)] {
        let mut model = probed();
        (0..=PROBE_ROUNDS).for_each(|_| model.round(rate, STANDING, true));
        assert_eq!(grows(&model), more, "{rate}");
    }
}

#[test]
fn a_rate_based_control_has_no_bound() {
    let mut model = Model::steady();
    for (rate_based, bytes) in [(true, u64::MAX), (false, SHORTEST + LEAST)] {
        model.window.set_control(rate_based);
        assert_eq!(model.bytes(), bytes);
    }
}

#[test]
fn a_stripe_that_does_not_grow_drains_its_queue_together_with_another() {
    let drains = |mut window: Window| {
        window.drain_too();
        window.state == State::Draining { rounds: DRAINING_ROUNDS }
    };
    let steady = Model::steady().window;
    assert!(!drains(Window::new(Instant::ZERO)), "it grows");
    assert!(!drains(Window { state: State::Draining { rounds: 1 }, ..steady.clone() }));
    for state in [
        State::Steady,
        State::Probing { rounds: 1, from: Rate::default() },
        State::Open { until: Instant::ZERO + OPEN[1] },
    ] {
        assert!(drains(Window { state, ..steady.clone() }), "{state:?}");
    }
}

#[test]
fn the_queue_is_drained_when_the_rate_fell_once_a_second_at_most() {
    for (rate, drains) in [(MEGABYTE * 3 / 4, false), (MEGABYTE * 3 / 4 - 1, true)] {
        let mut model = Model::steady();
        let is_draining = |model: &Model| matches!(model.window.state, State::Draining { .. });
        while model.now + DELAY < Instant::ZERO + LOOK_AGAIN {
            model.round(rate, STANDING, true);
            assert!(!is_draining(&model), "at {:?}", model.now);
        }
        let drained = (0..PROBE_ROUNDS + 2).any(|_| {
            model.round(rate, STANDING, true);
            is_draining(&model)
        });
        assert_eq!(drained, drains, "{rate}");
    }
}

#[test]
fn a_queue_that_stays_lifts_the_bound_for_twice_as_long_each_time() {
    // The time that the smallest window itself takes is no queue of others.
    let ours = STANDING + FLOOR;
    let mut model = Model::steady();
    model.until_draining(STANDING);
    for seconds in [2, 4, 8, 16, 32, 32] {
        model.drained(ours + 1);
        let since = model.now;
        assert_eq!(model.window.state, State::Open { until: since + Duration::from_secs(seconds) });
        assert_eq!(model.bytes(), u64::MAX);
        let (open, time) =
            (model.until_draining(ours + 1).since(since), Duration::from_secs(seconds));
        assert!((time..=time + DELAY).contains(&open), "{open:?}");
    }
    model.drained(ours);
    assert_eq!(model.window.state, State::Steady);
    model.until_draining(STANDING);
    model.drained(ours + 1);
    assert_eq!(model.window.state, State::Open { until: model.now + OPEN[0] }, "it begins again");
}

#[test]
fn after_a_pause_a_stripe_without_a_queue_may_grow_by_half() {
    let mut model = Model::new();
    model.round(MEGABYTE, STANDING + 1, true);
    assert!(grows(&model));
    model.window.resume();
    assert_eq!(model.window.state, State::Steady);
    let mut model = Model::new();
    model.round(MEGABYTE, STANDING, true);
    for _ in 0..2 {
        model.window.resume();
        assert_eq!(model.bytes(), ((SHORTEST + LEAST) / 8 * RESUMED).max(GROWING_FLOOR));
        assert_eq!(model.window.state, State::Growing { eighths: RESUMED });
    }
    let (open, draining) = (State::Open { until: model.now }, State::Draining { rounds: 1 });
    for state in [State::Steady, draining, open, State::Growing { eighths: 10 }] {
        model.window.state = state;
        model.window.resume();
        assert_eq!(model.window.state, state);
    }
}
