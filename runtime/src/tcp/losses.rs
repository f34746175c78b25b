//! The losses of a TCP connection, as far as they tell something about its route.
//!
//! A pure state machine: it is given the counts of the operating system, and their own busy time is
//! its only clock.

use crate::pipe::{Losses, SentPackets};
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
    /// Packets under way when a loss was noticed are unacknowledged.
    pub recovering: bool,
}

impl Counts {
    /// The share of packets that were sent again for a reason since the connection began, 0 to 1.
    pub(super) fn resent(&self) -> f64 {
        let lost = self.retransmitted.saturating_sub(self.spurious);
        f64::from(lost) / f64::from(self.packets.max(1))
    }

    /// The round trip with a queue of 10 ms and a part of the shortest round trip. A quarter of it
    /// is a queue: packets lost now may be those that did not fit into it. If CUBIC drains less
    /// between two losses, they cost no speed. Half of it is a deep queue, more than the engine's
    /// bound leaves.
    fn with_queue(&self, part: u32) -> Duration {
        self.min_rtt + self.min_rtt / part + Duration::from_millis(10)
    }
}

/// CUBIC slows down for losses at most once in about so many round trips.
const ROUND: f64 = 2.0;

#[derive(Clone, Debug)]
pub(super) struct LossWatch {
    last: Counts,
    /// The time up to `last`, if nothing spoils it. Its losses are known only at the next look, as
    /// the peer has said by then which retransmissions were spurious.
    held: Option<Held>,
    /// The time since `last` is no evidence.
    spoilt: bool,
    /// Retransmissions that were not spurious, as far as they have been judged. Wraps around.
    judged: u32,
    /// How often CUBIC may have slowed down since it last did.
    rounds: f64,
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
    /// Nothing that has happened before is evidence.
    pub(super) fn new(counts: Counts) -> Self {
        let judged = counts.retransmitted.wrapping_sub(counts.spurious);
        LossWatch { last: counts, held: None, spoilt: false, judged, rounds: 1.0 }
    }

    /// Takes the counts of now. `bounds`: the control takes losses for a full queue, so losses at a
    /// queue are its own.
    pub(super) fn look(&mut self, counts: Counts, bounds: bool) -> Losses {
        let queue = if bounds { counts.rtt } else { Duration::ZERO };
        // The packets that did not fit into a queue are sent again while it drains.
        let goes_on = self.spoilt && counts.recovering;
        if counts.timed_out || queue > counts.with_queue(4) || goes_on {
            self.skip_to(counts);
            self.spoilt = true;
            let is_deep = queue > counts.with_queue(2);
            return if is_deep { Losses::Queue } else { Losses::Unknown };
        }
        let busy = counts.busy.saturating_sub(self.last.busy);
        // By the next look that counts, the peer's word on the retransmissions up to now is here.
        if busy < counts.rtt * 3 / 2 || counts.min_rtt.is_zero() {
            return Losses::Unknown;
        }
        if std::mem::take(&mut self.spoilt) {
            self.skip_to(counts);
            return Losses::Unknown;
        }
        let packets = counts.packets.wrapping_sub(self.last.packets);
        let now = Held { packets, busy, retransmitted: counts.retransmitted };
        self.last = counts;
        let Some(held) = self.held.replace(now) else { return Losses::Unknown };
        let lost = self.judge(held.retransmitted.wrapping_sub(counts.spurious));
        let setbacks = self.setbacks(lost, held.busy.as_secs_f64() / counts.min_rtt.as_secs_f64());
        Losses::Sent(SentPackets {
            packets: held.packets,
            lost,
            setbacks,
            busy: held.busy,
            min_rtt: counts.min_rtt,
        })
    }

    /// How often these losses, within so many round trips, have slowed CUBIC down. Single losses
    /// that hold it at three packets or more are rarer than one in two round trips. More of them
    /// are a burst, to which it reacts once.
    fn setbacks(&mut self, lost: u32, round_trips: f64) -> u32 {
        let passed = round_trips / ROUND;
        self.rounds = (self.rounds + passed).min(passed.max(1.0));
        let setbacks = lost.min(self.rounds as u32);
        self.rounds -= f64::from(setbacks);
        setbacks
    }

    /// Nothing that has happened up to now is evidence.
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
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(40);

    /// A connection that sends 200 packets between two looks.
    struct Route {
        counts: Counts,
        watch: LossWatch,
        bounds: bool,
    }

    impl Route {
        fn new() -> Self {
            let counts = Counts { rtt: RTT, min_rtt: RTT, ..Counts::default() };
            Route { counts, watch: LossWatch::new(counts), bounds: true }
        }

        /// Loses so many packets within a quarter of a second, and looks.
        fn lose(&mut self, lost: u32) -> Losses {
            self.counts.packets = self.counts.packets.wrapping_add(200);
            self.counts.retransmitted = self.counts.retransmitted.wrapping_add(lost);
            self.counts.busy += Duration::from_millis(250);
            self.watch.look(self.counts, self.bounds)
        }

        /// The losses that each of so many looks tells, each of which loses one packet.
        fn found<const N: usize>(&mut self) -> [Option<u32>; N] {
            [(); N].map(|()| lost(self.lose(1)))
        }
    }

    fn lost(losses: Losses) -> Option<u32> {
        if let Losses::Sent(sent) = losses { Some(sent.lost) } else { None }
    }

    #[test]
    fn a_loss_is_told_at_the_look_after_the_one_that_has_met_it() {
        let mut route = Route::new();
        assert_eq!(route.lose(7), Losses::Unknown);
        let sent = SentPackets {
            packets: 200,
            lost: 7,
            setbacks: 3,
            busy: Duration::from_millis(250),
            min_rtt: RTT,
        };
        assert_eq!(route.lose(0), Losses::Sent(sent), "a burst, which slows down three times");
        assert_eq!(lost(route.lose(0)), Some(0));
    }

    #[test]
    fn packets_that_had_arrived_when_they_were_sent_again_were_not_lost() {
        let mut route = Route::new();
        route.lose(2);
        for _ in 0..60 {
            // The peer says so a look later.
            let spurious = route.counts.retransmitted;
            route.counts.retransmitted += 2;
            route.counts.spurious = spurious;
            assert_eq!(lost(route.lose(0)), Some(0));
        }
        route.counts.spurious = route.counts.retransmitted;
        assert_eq!((lost(route.lose(0)), route.counts.resent()), (Some(0), 0.0));
        route.lose(5);
        assert_eq!(lost(route.lose(0)), Some(5), "these were lost");
        assert!(route.counts.resent() > 0.0);
    }

    #[test]
    fn losses_at_a_queue_and_right_after_it_are_cubics_own() {
        let mut route = Route::new();
        assert_eq!(route.found(), [None, Some(1)]);
        route.counts.rtt = RTT * 2;
        assert_eq!((route.lose(1), route.lose(1)), (Losses::Queue, Losses::Queue));
        route.counts.rtt = RTT;
        assert_eq!(route.found(), [None, None, Some(1), Some(1)]);
    }

    #[test]
    fn losses_at_a_short_queue_are_skipped_and_earlier_ones_stay() {
        let mut route = Route::new();
        route.counts.rtt = Duration::from_millis(61);
        assert_eq!((route.lose(1), route.lose(1)), (Losses::Unknown, Losses::Unknown));
        route.counts.rtt = Duration::from_millis(60);
        assert_eq!(route.found(), [None, None, Some(1), Some(1)]);
    }

    #[test]
    fn packets_that_did_not_fit_into_a_queue_are_skipped_until_all_are_repaired() {
        let mut route = Route::new();
        route.counts.recovering = true;
        assert_eq!(route.found(), [None, Some(1), Some(1)], "no queue");
        route.counts.rtt = RTT * 2;
        assert_eq!(route.lose(1), Losses::Queue);
        route.counts.rtt = RTT;
        assert_eq!(route.found(), [None, None, None]);
        route.counts.recovering = false;
        assert_eq!(route.found(), [None, None, Some(1)]);
    }

    #[test]
    fn a_queue_under_bbr_is_no_reason_to_count_no_losses() {
        let mut route = Route { bounds: false, ..Route::new() };
        route.counts.rtt = RTT * 2;
        assert_eq!(route.found(), [None, Some(1), Some(1)]);
    }

    #[test]
    fn packets_sent_again_after_silence_are_no_sign_of_losses() {
        let mut route = Route::new();
        route.counts.timed_out = true;
        assert_eq!(route.lose(100), Losses::Unknown);
        route.counts.timed_out = false;
        assert_eq!(route.lose(100), Losses::Unknown);
        assert_eq!(route.found(), [None, Some(1)]);
    }

    #[test]
    fn looks_closer_together_than_one_and_a_half_round_trips_count_as_one() {
        let mut route = Route::new();
        (route.counts.rtt, route.counts.min_rtt) = (RTT * 10, RTT * 10);
        assert_eq!(route.found(), [None, None, None, None, None, Some(3), None, None, Some(3)]);
    }

    #[test]
    fn a_burst_of_losses_over_several_looks_slows_cubic_down_once_in_two_round_trips() {
        let mut route = Route::new();
        (route.counts.rtt, route.counts.min_rtt) = (RTT * 4, RTT * 4);
        let mut setbacks = || match route.lose(10) {
            Losses::Sent(sent) => Some(sent.setbacks),
            _ => None,
        };
        assert_eq!(
            [(); 6].map(|()| setbacks()),
            [None, Some(1), Some(0), Some(1), Some(0), Some(1)]
        );
    }

    #[test]
    fn time_without_anything_under_way_does_not_count() {
        let mut route = Route::new();
        route.lose(1);
        for _ in 0..1_000 {
            assert_eq!(route.watch.look(route.counts, true), Losses::Unknown);
        }
    }

    #[test]
    fn a_connection_without_a_round_trip_has_no_losses() {
        let mut route = Route::new();
        (route.counts.rtt, route.counts.min_rtt) = (Duration::ZERO, Duration::ZERO);
        assert_eq!(route.found(), [None, None, None]);
    }

    #[test]
    fn counts_may_wrap_around() {
        let mut route = Route::new();
        (route.counts.packets, route.counts.retransmitted) = (u32::MAX - 5, u32::MAX);
        route.watch = LossWatch::new(route.counts);
        assert_eq!(route.found(), [None, Some(1), Some(1)]);
    }
}
