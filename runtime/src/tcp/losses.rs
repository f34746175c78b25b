//! Whether losses, and not the route's capacity, limit what a TCP connection sends: the decision
//! when to leave CUBIC for BBR and when to return.
//!
//! CUBIC takes each lost packet for a full queue and slows down; BBR measures the rate instead. So
//! on a route that loses packets at random CUBIC sends a fraction of BBR's bytes. On another route
//! it sends 3 % more, because BBR empties the route every 10 s to look at the round trip. CUBIC's
//! mean window at a given share of lost packets is known ([`cubic_window`]). Losses limit the
//! connection if the packets that it has under way are about as many as that. That holds as well
//! for a queue which CUBIC itself fills and overflows, but then the round trip tells.
//!
//! A pure state machine: it is given the counts of the operating system, and their own busy time is
//! its only clock.

use std::time::Duration;

/// The counts of TCP for a connection since it began.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Counts {
    /// Packets with data that were sent, those sent again included. Wraps around.
    pub packets: u32,
    /// Packets that were sent again. Wraps around.
    pub retransmitted: u32,
    /// Those of them that had arrived the first time, as the peer has said by DSACK (RFC 2883). It
    /// says so a round trip later. Wraps around.
    pub spurious: u32,
    /// The smoothed round trip now.
    pub rtt: Duration,
    /// The shortest round trip of the last minutes; zero without a sample, and no loss counts then.
    pub min_rtt: Duration,
    /// How long there was something under way.
    pub busy: Duration,
    /// Packets under way at a retransmission timeout are unacknowledged: the route was cut off.
    pub timed_out: bool,
}

impl Counts {
    /// The share of packets that were sent again for a reason since the connection began, 0 to 1.
    pub(super) fn resent(&self) -> f64 {
        let lost = self.retransmitted.saturating_sub(self.spurious);
        f64::from(lost) / f64::from(self.packets.max(1))
    }
}

/// The kind of control that a connection needs from now on.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Turn {
    /// A control that does not take losses for a full queue.
    pub lossy: bool,
    /// The share of packets that were lost of late, from 0 to 1.
    pub lost: f64,
}

/// How many round trips apart two looks must be to count. So the burst of losses when slow start
/// overshoots, repaired within a few round trips, is in one of them or in two.
const SPAN: u32 = 4;

/// So many packets and so many under way are the least from which anything follows. Fewer are a
/// connection that answers now and then, and no control makes it faster.
const FEW: u32 = 100;
const FEW_UNDER_WAY: f64 = 2.0;

/// In so many looks something must have been lost: losses that end with a burst are none. Then the
/// share is known to a factor of two, and the window that follows from it to the root of that.
const PROOF: u32 = 3;

/// Losses limit a connection that has this much of CUBIC's window under way. At 10 Mbit/s and a
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
/// Each return is a trial that costs seconds of slow going if it was wrong, so each one makes this
/// twice as long, up to `LONGEST_CALM`.
const CALM: Duration = Duration::from_secs(30);
const LONGEST_CALM: Duration = Duration::from_secs(8 * 60);

#[derive(Clone, Default, Debug)]
pub(super) struct LossWatch {
    lossy: bool,
    last: Counts,
    /// The time up to `last`, if nothing spoils it. Its losses are known only at the next look, as
    /// the peer has said by then which retransmissions were spurious.
    held: Option<Held>,
    /// Retransmissions that were not spurious, as far as they have been judged. Wraps around.
    judged: u32,
    /// The counts since looking began anew.
    packets: u32,
    lost: u32,
    /// Lost packets, but at most one in two round trips.
    setbacks: u32,
    /// Looks in which something had been lost.
    spells: u32,
    busy: Duration,
    calm: Duration,
}

/// The time between two looks.
#[derive(Clone, Copy, Debug)]
struct Held {
    packets: u32,
    busy: Duration,
    /// All retransmissions up to its end.
    retransmitted: u32,
}

impl LossWatch {
    /// Begins with CUBIC.
    pub(super) fn new(counts: Counts) -> Self {
        let mut watch = LossWatch { calm: CALM, ..LossWatch::default() };
        watch.skip_to(counts);
        watch
    }

    /// Takes the counts of now and says whether another control is needed.
    pub(super) fn look(&mut self, counts: Counts) -> Option<Turn> {
        let queue = |counts: &Counts| !self.lossy && has_queue(counts);
        if counts.timed_out || queue(&counts) {
            if queue(&counts) {
                self.forget();
            }
            self.skip_to(counts);
            return None;
        }
        let busy = counts.busy.saturating_sub(self.last.busy);
        if busy < counts.min_rtt * SPAN {
            return None;
        }
        if self.last.timed_out || queue(&self.last) {
            self.skip_to(counts);
            return None;
        }
        let packets = counts.packets.wrapping_sub(self.last.packets);
        let now = Held { packets, busy, retransmitted: counts.retransmitted };
        self.last = counts;
        let held = self.held.replace(now)?;
        let lost = self.judge(held.retransmitted.wrapping_sub(counts.spurious));
        // Single losses that hold CUBIC at three packets or more are rarer than one in two round
        // trips. More of them are a burst, to which it reacts once.
        let rounds = (held.busy.as_secs_f64() / counts.min_rtt.as_secs_f64() / 2.0).ceil();
        self.packets += held.packets;
        self.lost += lost;
        self.setbacks += lost.min(rounds as u32);
        self.spells += u32::from(lost > 0);
        self.busy += held.busy;
        if self.lossy {
            self.may_return(counts.min_rtt)
        } else {
            self.must_go_over(counts.min_rtt, lost > 0)
        }
    }

    /// What has happened up to now is no evidence.
    fn skip_to(&mut self, counts: Counts) {
        (self.last, self.held) = (counts, None);
        self.judge(counts.retransmitted.wrapping_sub(counts.spurious));
    }

    /// So many retransmissions were not spurious. How many of them are new: none if the peer has
    /// meanwhile taken back some that were judged.
    fn judge(&mut self, real: u32) -> u32 {
        let fresh = real.wrapping_sub(self.judged).cast_signed().max(0).cast_unsigned();
        self.judged = self.judged.wrapping_add(fresh);
        fresh
    }

    /// Only a loss is a reason to go, also if those before were too few.
    fn must_go_over(&mut self, min_rtt: Duration, lost: bool) -> Option<Turn> {
        if lost && self.spells >= PROOF && self.is_limited(min_rtt, LIMITED) {
            return Some(self.turn(true));
        }
        if self.busy >= MEMORY {
            for count in [&mut self.packets, &mut self.lost, &mut self.setbacks, &mut self.spells] {
                *count /= 2;
            }
            self.busy /= 2;
        }
        None
    }

    fn may_return(&mut self, min_rtt: Duration) -> Option<Turn> {
        if self.busy < self.calm {
            return None;
        }
        if self.is_limited(min_rtt, OVER) {
            self.forget();
            return None;
        }
        self.calm = (self.calm * 2).min(LONGEST_CALM);
        Some(self.turn(false))
    }

    fn turn(&mut self, lossy: bool) -> Turn {
        self.lossy = lossy;
        let lost = f64::from(self.lost) / f64::from(self.packets.max(1));
        self.forget();
        Turn { lossy, lost }
    }

    fn forget(&mut self) {
        (self.packets, self.lost, self.setbacks, self.spells) = (0, 0, 0, 0);
        self.busy = Duration::ZERO;
    }

    /// Whether the packets under way exceed `part` of CUBIC's window at this share of lost ones.
    fn is_limited(&self, min_rtt: Duration, part: f64) -> bool {
        let delivered = f64::from(self.packets.saturating_sub(self.lost));
        let under_way = delivered * min_rtt.as_secs_f64() / self.busy.as_secs_f64().max(0.001);
        if self.packets < FEW || under_way < FEW_UNDER_WAY {
            return false;
        }
        let lost = f64::from(self.setbacks) / f64::from(self.packets);
        lost >= MANY || under_way > part * cubic_window(lost, min_rtt)
    }
}

/// CUBIC's mean window in packets at this share of lost packets. Its own has C = 0.4 and a decrease
/// to 0.7 (RFC 9438, section 5.1). It doesn't fall below Reno's (section 4.3).
fn cubic_window(lost: f64, rtt: Duration) -> f64 {
    let reno = (1.5 / lost).sqrt();
    let cubic = 1.054 * (rtt.as_secs_f64() / lost).powf(0.75);
    reno.max(cubic)
}

/// Whether a queue stands on the route: packets lost now may be those that did not fit into it.
/// Half a round trip and 10 ms are no such queue: sessions keep up to that themselves, and CUBIC
/// does not drain more between two losses.
fn has_queue(counts: &Counts) -> bool {
    counts.rtt > counts.min_rtt * 3 / 2 + Duration::from_millis(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(40);

    /// A connection that sends `rate` packets a second.
    struct Route {
        counts: Counts,
        watch: LossWatch,
        rate: f64,
        /// Packets and lost ones that are not yet whole.
        parts: (f64, f64),
    }

    impl Route {
        fn new(rate: f64) -> Self {
            let counts = Counts { rtt: RTT, min_rtt: RTT, ..Counts::default() };
            Route { counts, watch: LossWatch::new(counts), rate, parts: (0.0, 0.0) }
        }

        /// Sends with a look every 250 ms. Says after how many seconds which control was asked for.
        fn send(&mut self, seconds: f64, loss: f64) -> Option<(f64, Turn)> {
            (1..=(seconds * 4.0) as u32).find_map(|look| {
                self.parts.0 += self.rate / 4.0;
                self.parts.1 += self.rate / 4.0 * loss;
                self.counts.packets = self.counts.packets.wrapping_add(self.parts.0 as u32);
                self.counts.retransmitted =
                    self.counts.retransmitted.wrapping_add(self.parts.1 as u32);
                self.parts = (self.parts.0.fract(), self.parts.1.fract());
                self.counts.busy += Duration::from_millis(250);
                self.watch.look(self.counts).map(|turn| (f64::from(look) / 4.0, turn))
            })
        }
    }

    /// 10 Mbit/s in packets of 1,500 bytes.
    const FULL: f64 = 833.0;

    #[test]
    fn losses_that_leave_cubic_a_third_of_the_route_are_seen_soon() {
        let (after, turn) = Route::new(FULL / 3.0).send(60.0, 0.01).unwrap();
        assert!(after <= 2.0 && turn.lossy, "{after} {turn:?}");
        assert!((0.005..0.02).contains(&turn.lost), "{turn:?}");
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
    fn losses_from_a_queue_are_cubics_own() {
        let mut route = Route::new(FULL);
        route.counts.rtt = RTT * 2;
        assert_eq!(route.send(60.0, 0.01), None);
        // Losses that were counted while the queue stood are not held against the route afterwards.
        route.counts.rtt = RTT;
        assert_eq!(route.send(60.0, 0.0), None);
    }

    #[test]
    fn losses_of_slow_start_are_its_own_even_if_no_look_met_its_queue() {
        let mut route = Route::new(FULL);
        assert_eq!(route.send(0.5, 0.2), None);
        assert_eq!(route.send(60.0, 0.0), None);
    }

    #[test]
    fn losses_right_after_a_queue_did_not_fit_into_it() {
        let mut route = Route::new(FULL);
        for _ in 0..60 {
            route.counts.rtt = RTT * 3;
            assert_eq!(route.send(0.25, 0.0), None);
            route.counts.rtt = RTT;
            assert_eq!(route.send(0.75, 0.01), None, "the first of three looks does not count");
        }
        assert!(route.send(0.5, 0.01).is_some(), "each is judged one look later");
    }

    #[test]
    fn losses_before_a_queue_may_have_been_due_to_it() {
        let mut route = Route::new(FULL);
        assert_eq!(route.send(0.5, 0.01), None);
        route.counts.rtt = RTT * 3;
        assert_eq!(route.send(0.25, 0.0), None);
        route.counts.rtt = RTT;
        assert_eq!(route.send(0.75, 0.01), None);
    }

    #[test]
    fn a_burst_of_losses_counts_as_often_as_it_slows_cubic_down() {
        // Ten packets at once each 10 s are a share of 0.12 %, but one setback each.
        let mut route = Route::new(FULL);
        for _ in 0..30 {
            assert_eq!(route.send(9.75, 0.0), None);
            route.counts.retransmitted += 10;
            assert_eq!(route.send(0.25, 0.0), None);
        }
    }

    #[test]
    fn looks_closer_together_than_a_few_round_trips_count_as_one() {
        let mut route = Route::new(FULL / 3.0);
        (route.counts.rtt, route.counts.min_rtt) = (RTT * 10, RTT * 10);
        route.watch = LossWatch::new(route.counts);
        assert_eq!(route.send(6.75, 0.01), None, "three spans of 1.6 s, rounded up to looks");
        assert!(route.send(0.25, 0.01).is_some());
    }

    #[test]
    fn packets_sent_again_after_silence_are_no_sign_of_losses() {
        let mut route = Route::new(FULL);
        assert_eq!(route.send(4.0, 0.0), None);
        assert_eq!(route.send(0.5, 0.01), None);
        route.counts.timed_out = true;
        assert_eq!(route.send(0.5, 0.2), None);
        route.counts.timed_out = false;
        assert_eq!(route.send(60.0, 0.0), None);
    }

    #[test]
    fn cubic_is_tried_again_half_a_minute_after_the_last_loss_and_later_each_time() {
        let mut route = Route::new(FULL);
        let mut calms = Vec::new();
        for _ in 0..7 {
            assert!(route.send(60.0, 0.01).is_some_and(|(_, turn)| turn.lossy));
            assert_eq!(route.send(0.25, 0.0), None, "what it still holds is judged");
            let (after, turn) = route.send(2_000.0, 0.0).unwrap();
            assert!(!turn.lossy && turn.lost < 1e-4, "{turn:?}");
            calms.push(after + 0.25);
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
    fn packets_that_had_arrived_when_they_were_sent_again_were_not_lost() {
        let mut route = Route::new(FULL);
        for _ in 0..60 {
            assert_eq!(route.send(0.25, 0.01), None);
            // The peer says so at the next look.
            route.counts.spurious = route.counts.retransmitted;
        }
        assert_eq!(route.counts.resent(), 0.0);
        assert!(route.send(2.0, 0.01).is_some(), "these were lost");
        assert!(route.counts.resent() > 0.0);
    }

    #[test]
    fn a_handful_of_packets_proves_nothing() {
        // One packet at a time, and each third is lost.
        let mut route = Route::new(1.0 / RTT.as_secs_f64());
        assert_eq!(route.send(600.0, 0.3), None);
        // Twenty packets three times, two of which are lost each time.
        let mut route = Route::new(80.0);
        assert_eq!(route.send(0.75, 0.1), None);
        assert_eq!(route.send(60.0, 0.0), None);
    }

    #[test]
    fn a_queue_under_bbr_is_no_reason_to_stay_or_to_go() {
        let mut route = Route::new(FULL);
        assert!(route.send(60.0, 0.01).is_some());
        route.counts.rtt = RTT * 2;
        assert_eq!(route.send(100.0, 0.01), None);
        assert!(route.send(60.0, 0.0).is_some());
    }

    #[test]
    fn time_without_anything_under_way_does_not_count() {
        let mut route = Route::new(FULL);
        assert!(route.send(60.0, 0.01).is_some());
        for _ in 0..1_000 {
            assert_eq!(route.watch.look(route.counts), None);
        }
    }

    #[test]
    fn counts_may_wrap_around() {
        let mut route = Route::new(FULL / 3.0);
        (route.counts.packets, route.counts.retransmitted) = (u32::MAX - 5, u32::MAX);
        route.watch = LossWatch::new(route.counts);
        assert!(route.send(2.0, 0.01).is_some());
    }
}
