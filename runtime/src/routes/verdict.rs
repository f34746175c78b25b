//! Whether losses, and not the route's capacity, limit what the stripes of a route send: the
//! decision when to leave CUBIC for BBR and when to return.
//!
//! CUBIC takes each lost packet for a full queue and slows down; BBR measures the rate instead. So
//! on a route that loses packets at random CUBIC sends a fraction of BBR's bytes. On another route
//! it sends 3 % more, because BBR empties the route every 10 s to look at the round trip. CUBIC's
//! mean window at a given share of lost packets is known ([`cubic_window`]). Losses limit the
//! stripes if the packets that they have under way are about as many as that. That holds as well
//! for a queue which CUBIC itself fills and overflows, but then the round trip tells.
//!
//! The stripes of a route are judged together: four of them have the evidence in a quarter of the
//! time, and stripes with different rates can't come to different verdicts.

use crate::pipe::{Losses, SentPackets};
use std::collections::BTreeMap;
use std::time::Duration;
use striper_core::Instant;

/// How many round trips apart losses must begin to be more than one spell.
const SPELL: u32 = 3;

/// So many spells are needed: a single one may be somebody else's doing. The losses of slow start
/// that overshoots, repaired within a few round trips, may be two. Before a deep queue loses
/// anything it shows in the round trip, so they count only on a route with a short queue. There
/// CUBIC loses packets again and again.
const PROOF: u32 = 2;

/// So many packets and so many under way are the least from which anything follows. Fewer are a
/// stripe that answers now and then, and no control makes it faster.
const FEW: u32 = 100;
const FEW_UNDER_WAY: f64 = 2.0;

/// Losses limit a stripe that has this much of CUBIC's window under way. At 10 Mbit/s and a
/// round trip of 40 ms that begins with 0.07 % of lost packets. There BBR becomes the faster one
/// (docs/congestion.md has the measurement).
const LIMITED: f64 = 0.7;

/// From this share on losses limit it in any case. Timeouts keep the window smaller than the
/// formulas say, at 5 % by half (Padhye et al., Modeling TCP Throughput, 1998).
const MANY: f64 = 0.02;

/// Once on BBR, losses are over when the bytes under way are less than this much of CUBIC's window.
/// That is a quarter of the share that was enough to come here, so a route does not flap.
const OVER: f64 = 0.35;

/// Losses are looked for in the last 16 to 32 s of busy time. On a fast route few losses hold CUBIC
/// down, and it needs seconds to recover from each.
const MEMORY: Duration = Duration::from_secs(32);

/// How long losses must have been over before CUBIC is tried again: three of BBR's cycles of 10 s.
/// Each return is a trial that costs a second of slow going if it was wrong, so each one makes this
/// twice as long, up to `LONGEST_CALM`.
const CALM: Duration = Duration::from_secs(30);
const LONGEST_CALM: Duration = Duration::from_secs(8 * 60);

#[derive(Debug)]
pub(super) struct Verdict {
    lossy: bool,
    /// The share of packets that were lost when it last changed.
    lost: f64,
    /// Of each stripe since looking began anew.
    tallies: BTreeMap<u64, Tally>,
    /// The beginning of the last spell.
    spell: Option<Instant>,
    calm: Duration,
}

#[derive(Clone, Copy, Default, Debug)]
struct Tally {
    packets: u32,
    lost: u32,
    setbacks: u32,
    /// Spells that this stripe was the first to see.
    spells: u32,
    busy: Duration,
    min_rtt: Duration,
}

impl Default for Verdict {
    /// Begins with CUBIC.
    fn default() -> Self {
        Verdict { lossy: false, lost: 0.0, tallies: BTreeMap::new(), spell: None, calm: CALM }
    }
}

impl Verdict {
    /// Whether the route needs a control that does not take losses for a full queue.
    pub(super) fn is_lossy(&self) -> bool {
        self.lossy
    }

    pub(super) fn lost(&self) -> f64 {
        self.lost
    }

    /// Takes what a stripe has found of late.
    pub(super) fn hear(&mut self, stripe: u64, losses: Losses, now: Instant) {
        match losses {
            Losses::Unknown => {}
            // Earlier losses may be due to one as well.
            Losses::Queue => drop(self.tallies.remove(&stripe)),
            Losses::Sent(sent) => self.add(stripe, sent, now),
        }
    }

    pub(super) fn leave(&mut self, stripe: u64) {
        self.tallies.remove(&stripe);
    }

    fn add(&mut self, stripe: u64, sent: SentPackets, now: Instant) {
        let Verdict { tallies, spell, .. } = self;
        let tally = tallies.entry(stripe).or_default();
        tally.add(sent);
        if sent.lost > 0 && spell.is_none_or(|begin| now.since(begin) >= sent.min_rtt * SPELL) {
            *spell = Some(now);
            tally.spells += 1;
        }
        let own = *tally;
        if self.lossy {
            self.may_return();
        } else if sent.lost > 0 {
            // Only a loss is a reason to go, also if those before were too few.
            self.must_go_over(own);
        }
        let tally = self.tallies.get_mut(&stripe);
        tally.filter(|tally| !self.lossy && tally.busy >= MEMORY).into_iter().for_each(Tally::age);
    }

    /// All stripes together are limited, or the one that has just lost something is.
    fn must_go_over(&mut self, own: Tally) {
        let sum = self.sum();
        if sum.spells >= PROOF && (sum.is_limited(LIMITED) || own.is_limited(LIMITED)) {
            self.turn(true);
        }
    }

    fn may_return(&mut self) {
        if self.tallies.values().all(|tally| tally.busy < self.calm) {
            return;
        }
        if self.sum().is_limited(OVER) || self.tallies.values().any(|own| own.is_limited(OVER)) {
            self.tallies.clear();
            return;
        }
        self.calm = (self.calm * 2).min(LONGEST_CALM);
        self.turn(false);
    }

    fn turn(&mut self, lossy: bool) {
        let sum = self.sum();
        self.lost = f64::from(sum.lost) / f64::from(sum.packets.max(1));
        self.lossy = lossy;
        self.tallies.clear();
        self.spell = None;
    }

    /// All stripes as one. Its busy time is the sum of theirs, so its rate is their mean.
    fn sum(&self) -> Tally {
        let mut sum = Tally::default();
        let mut weighted = 0.0;
        for tally in self.tallies.values() {
            sum.packets = sum.packets.saturating_add(tally.packets);
            sum.lost = sum.lost.saturating_add(tally.lost);
            sum.setbacks = sum.setbacks.saturating_add(tally.setbacks);
            sum.spells = sum.spells.saturating_add(tally.spells);
            sum.busy += tally.busy;
            weighted += tally.min_rtt.as_secs_f64() * tally.busy.as_secs_f64();
        }
        sum.min_rtt = Duration::from_secs_f64(weighted / sum.busy.as_secs_f64().max(0.001));
        sum
    }
}

impl Tally {
    fn add(&mut self, sent: SentPackets) {
        self.packets = self.packets.saturating_add(sent.packets);
        self.lost = self.lost.saturating_add(sent.lost);
        self.setbacks = self.setbacks.saturating_add(sent.setbacks);
        self.busy += sent.busy;
        self.min_rtt = sent.min_rtt;
    }

    /// Half of it is too long ago.
    fn age(&mut self) {
        for count in [&mut self.packets, &mut self.lost, &mut self.setbacks, &mut self.spells] {
            *count /= 2;
        }
        self.busy /= 2;
    }

    /// Whether the packets under way exceed `part` of CUBIC's window at this share of lost ones.
    fn is_limited(&self, part: f64) -> bool {
        let delivered = f64::from(self.packets.saturating_sub(self.lost));
        let rtt = self.min_rtt.as_secs_f64();
        let under_way = delivered * rtt / self.busy.as_secs_f64().max(0.001);
        if self.packets < FEW || under_way < FEW_UNDER_WAY {
            return false;
        }
        let lost = f64::from(self.setbacks) / f64::from(self.packets);
        lost >= MANY || under_way > part * cubic_window(lost, rtt)
    }
}

/// CUBIC's mean window in packets at this share of lost packets and this round trip in seconds. Its
/// own has C = 0.4 and a decrease to 0.7 (RFC 9438, section 5.1). It doesn't fall below Reno's
/// (section 4.3).
fn cubic_window(lost: f64, rtt: f64) -> f64 {
    let reno = (1.5 / lost).sqrt();
    let cubic = 1.054 * (rtt / lost).powf(0.75);
    reno.max(cubic)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(40);
    const LOOK: Duration = Duration::from_millis(250);

    /// A stripe that sends `rate` packets a second.
    #[derive(Clone, Copy)]
    struct Stripe {
        rate: f64,
        loss: f64,
        /// Packets and lost ones that are not yet whole.
        parts: (f64, f64),
    }

    struct Route {
        verdict: Verdict,
        stripes: Vec<Stripe>,
        rtt: Duration,
        now: Instant,
    }

    impl Route {
        /// One stripe.
        fn new(rate: f64) -> Self {
            Route::of(&[rate])
        }

        fn of(rates: &[f64]) -> Self {
            // They don't lose at the same time.
            let parts = |number| (0.0, f64::from(number) / rates.len() as f64);
            let stripe = |(number, rate)| Stripe { rate, loss: 0.0, parts: parts(number) };
            let stripes = (0..).zip(rates.iter().copied()).map(stripe).collect();
            Route { verdict: Verdict::default(), stripes, rtt: RTT, now: Instant::ZERO }
        }

        /// All stripes lose this share, with a look every 250 ms. Says after how many seconds the
        /// verdict changed, and whether the route is lossy then.
        fn send(&mut self, seconds: f64, loss: f64) -> Option<(f64, bool)> {
            self.stripes.iter_mut().for_each(|stripe| stripe.loss = loss);
            self.go_on(seconds)
        }

        fn go_on(&mut self, seconds: f64) -> Option<(f64, bool)> {
            let before = self.verdict.is_lossy();
            (1..=(seconds * 4.0) as u32).find_map(|look| {
                self.now = self.now + LOOK;
                (0..self.stripes.len()).find_map(|number| {
                    self.look(number);
                    let lossy = self.verdict.is_lossy();
                    (lossy != before).then_some((f64::from(look) / 4.0, lossy))
                })
            })
        }

        fn look(&mut self, number: usize) {
            let Stripe { rate, loss, parts } = &mut self.stripes[number];
            parts.0 += *rate / 4.0;
            parts.1 += *rate / 4.0 * *loss;
            let (packets, lost) = (parts.0 as u32, parts.1 as u32);
            *parts = (parts.0.fract(), parts.1.fract());
            self.say(number, packets, lost);
        }

        fn say(&mut self, number: usize, packets: u32, lost: u32) {
            let rounds = (LOOK.as_secs_f64() / self.rtt.as_secs_f64() / 2.0).ceil() as u32;
            let setbacks = lost.min(rounds);
            let sent = SentPackets { packets, lost, setbacks, busy: LOOK, min_rtt: self.rtt };
            self.verdict.hear(number as u64, Losses::Sent(sent), self.now);
        }
    }

    /// 10 Mbit/s in packets of 1,500 bytes.
    const FULL: f64 = 833.0;

    #[test]
    fn losses_that_leave_cubic_a_third_of_the_route_are_seen_soon() {
        let mut route = Route::new(FULL / 3.0);
        let (after, lossy) = route.send(60.0, 0.01).unwrap();
        assert!(after <= 1.5 && lossy, "{after}");
        assert!((0.005..0.02).contains(&route.verdict.lost()));
    }

    #[test]
    fn four_stripes_together_see_losses_within_a_second() {
        let (after, lossy) = Route::of(&[FULL / 2.0; 4]).send(60.0, 0.005).unwrap();
        assert!(after <= 1.0 && lossy, "{after}");
        // A policer: slow start loses packets for a while, and not all stripes at the same time.
        let mut route = Route::of(&[FULL; 4]);
        for quarter in 0..2 {
            assert!(!route.verdict.is_lossy(), "after {quarter} quarters of a second");
            route.now = route.now + LOOK;
            (0..4).for_each(|number| route.say(number, 100, if number == quarter { 5 } else { 0 }));
        }
        assert!(route.verdict.is_lossy());
    }

    #[test]
    fn losses_of_all_stripes_at_the_same_time_are_one_spell() {
        let mut route = Route::of(&[FULL; 4]);
        for number in 0..4 {
            // They notice it within three round trips.
            route.now = route.now + RTT / 2;
            route.say(number, 208, 20);
        }
        assert_eq!(route.send(60.0, 0.0), None);
    }

    #[test]
    fn losses_matter_from_where_they_begin_to_hold_cubic_down() {
        for (rate, seconds, loss, matters) in [
            (FULL, 300.0, 0.0, false),
            // CUBIC is the faster one here, and BBR in the next case.
            (FULL, 300.0, 0.0005, false),
            (FULL * 0.95, 30.0, 0.001, true),
            // One in 10,000 leaves CUBIC a third of 100 Mbit/s.
            (FULL * 10.0 / 3.0, 60.0, 0.0001, true),
            // 1 Mbit/s are 3.3 packets under way; half a percent leaves CUBIC five times that.
            (FULL / 10.0, 300.0, 0.005, false),
            // At 5 % timeouts leave CUBIC two or three packets.
            (60.0, 60.0, 0.05, true),
        ] {
            let turn = Route::new(rate).send(seconds, loss);
            assert_eq!(turn.is_some(), matters, "{loss} at {rate} packets a second: {turn:?}");
        }
    }

    #[test]
    fn losses_before_a_queue_may_have_been_due_to_it() {
        let mut route = Route::new(FULL);
        for _ in 0..60 {
            assert_eq!(route.send(0.25, 0.01), None);
            route.verdict.hear(0, Losses::Queue, route.now);
        }
        assert_eq!(route.send(60.0, 0.0), None);
    }

    #[test]
    fn a_burst_of_losses_counts_as_often_as_it_slows_cubic_down() {
        // Ten packets at once each 10 s are a share of 0.12 %, but one setback each.
        let mut route = Route::new(FULL);
        for _ in 0..30 {
            assert_eq!(route.send(9.75, 0.0), None);
            route.now = route.now + LOOK;
            let sent =
                SentPackets { packets: 208, lost: 10, setbacks: 1, busy: LOOK, min_rtt: RTT };
            route.verdict.hear(0, Losses::Sent(sent), route.now);
            assert!(!route.verdict.is_lossy());
        }
    }

    #[test]
    fn losses_within_a_few_round_trips_are_one_spell() {
        let mut route = Route::new(FULL / 3.0);
        route.rtt = RTT * 10;
        let (after, _) = route.send(60.0, 0.01).unwrap();
        assert!((1.7..=2.3).contains(&after), "1.2 s after the first loss: {after}");
    }

    #[test]
    fn a_handful_of_packets_proves_nothing() {
        // One packet at a time, and each third is lost.
        let mut route = Route::new(1.0 / RTT.as_secs_f64());
        assert_eq!(route.send(600.0, 0.3), None);
        // Twenty packets four times, two of which are lost each time.
        let mut route = Route::new(80.0);
        assert_eq!(route.send(1.0, 0.1), None);
        assert_eq!(route.send(60.0, 0.0), None);
        assert!(Route::new(80.0).send(10.0, 0.1).is_some(), "that is more than a handful");
    }

    #[test]
    fn one_bad_stripe_among_good_ones_is_enough_to_go_and_to_stay() {
        let mut route = Route::of(&[FULL; 16]);
        (route.stripes[3].rate, route.stripes[3].loss) = (FULL / 3.0, 0.01);
        assert!(route.go_on(10.0).is_some_and(|(_, lossy)| lossy));
        route.stripes[3].rate = FULL;
        assert_eq!(route.go_on(600.0), None);
    }

    #[test]
    fn stripes_with_different_rates_have_one_verdict_that_stays() {
        let mut route = Route::of(&[FULL * 2.0, FULL, FULL / 2.0, FULL / 10.0]);
        assert_eq!(route.send(300.0, 0.0), None);
        assert!(route.send(10.0, 0.005).is_some_and(|(_, lossy)| lossy));
        assert_eq!(route.send(600.0, 0.005), None);
    }

    #[test]
    fn cubic_is_tried_again_half_a_minute_after_the_last_loss_and_later_each_time() {
        let mut route = Route::of(&[FULL; 2]);
        let mut calms = Vec::new();
        for _ in 0..7 {
            assert!(route.send(60.0, 0.01).is_some_and(|(_, lossy)| lossy));
            assert_eq!(route.send(10.0, 0.0), None, "one stripe would do: the other rests");
            let rest = route.stripes.pop().unwrap();
            let (after, lossy) = route.send(2_000.0, 0.0).unwrap();
            assert!(!lossy && route.verdict.lost() == 0.0);
            route.stripes.push(rest);
            calms.push(after + 10.0);
        }
        assert_eq!(calms, [30.0, 60.0, 120.0, 240.0, 480.0, 480.0, 480.0]);
    }

    #[test]
    fn bbr_stays_while_losses_go_on_even_if_fewer() {
        let mut route = Route::new(FULL);
        assert!(route.send(60.0, 0.01).is_some());
        assert_eq!(route.send(300.0, 0.0004), None, "not enough to go over, enough to stay");
        assert!(route.send(60.0, 0.0001).is_some(), "too few");
    }

    #[test]
    fn the_losses_of_a_stripe_that_has_gone_no_longer_count() {
        let mut route = Route::new(FULL);
        for _ in 0..60 {
            assert_eq!(route.send(0.25, 0.01), None);
            route.verdict.leave(0);
        }
    }
}
