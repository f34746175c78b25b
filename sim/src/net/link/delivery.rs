//! The delivery rate of a connection: one sample for each acknowledgement, as in Linux
//! (`tcp_rate.c`; draft-cheng-iccrg-delivery-rate-estimation).
//!
//! A sample spans from the acknowledgement that was the last one when a packet left to the
//! acknowledgement of that packet. Counts are of packets, times in microseconds.
//!
//! Invariant: a sample is of a sender with too little data exactly if the sender had marked the
//! time when the packet left.

/// The counts and times that a packet in flight has to remember.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stamp {
    pub sent: u64,
    delivered: u64,
    delivered_at: u64,
    first_sent: u64,
    app_limited: bool,
}

/// Linux's `rate_sample`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Sample {
    /// Packets delivered between the ends of the sample, over its length; no rate if that is zero.
    pub delivered: u64,
    pub interval: u64,
    /// The count of deliveries when the packet left.
    pub prior_delivered: u64,
    pub app_limited: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Delivery {
    pub delivered: u64,
    pub delivered_at: u64,
    pub lost: u64,
    first_sent: u64,
    /// Packets that leave before so many are delivered are those of a sender with too little data.
    limited_until: u64,
}

impl Delivery {
    /// A packet leaves while so many others are in flight.
    pub fn send(&mut self, now: u64, in_flight: u64) -> Stamp {
        if in_flight == 0 {
            (self.first_sent, self.delivered_at) = (now, now);
        }
        Stamp {
            sent: now,
            delivered: self.delivered,
            delivered_at: self.delivered_at,
            first_sent: self.first_sent,
            app_limited: self.limited_until > 0,
        }
    }

    /// The sender has less to send than it may.
    pub fn limit(&mut self, in_flight: u64) {
        self.limited_until = (self.delivered + in_flight).max(1);
    }

    pub fn is_limited(&self) -> bool {
        self.limited_until > 0
    }

    /// A packet is acknowledged. A sample shorter than the shortest round trip is none.
    pub fn acknowledge(&mut self, now: u64, stamp: &Stamp, min_rtt: u64) -> Sample {
        self.delivered += 1;
        self.delivered_at = now;
        self.first_sent = stamp.sent;
        if self.delivered > self.limited_until {
            self.limited_until = 0;
        }
        // Sending and acknowledging each have a pace of their own; the slower one is true.
        let interval = (stamp.sent - stamp.first_sent).max(now - stamp.delivered_at);
        Sample {
            delivered: self.delivered - stamp.delivered,
            interval: if interval < min_rtt { 0 } else { interval },
            prior_delivered: stamp.delivered,
            app_limited: stamp.app_limited,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_the_slower_one_of_sending_and_acknowledging() {
        // Ten packets leave at once and are acknowledged each millisecond from 40 ms on.
        let mut delivery = Delivery::default();
        let burst: Vec<Stamp> = (0..10).map(|nth| delivery.send(0, nth)).collect();
        let mut sample = Sample::default();
        for (at, stamp) in (40_000..).step_by(1_000).zip(&burst) {
            sample = delivery.acknowledge(at, stamp, 40_000);
        }
        assert_eq!((sample.delivered, sample.interval), (10, 49_000));
        // Two packets leave 100 ms apart, and their acknowledgements come together.
        let mut delivery = Delivery::default();
        let slow = [delivery.send(0, 0), delivery.send(100_000, 1)];
        delivery.acknowledge(140_000, &slow[0], 40_000);
        let sample = delivery.acknowledge(140_001, &slow[1], 40_000);
        assert_eq!((sample.delivered, sample.interval), (2, 140_001));
        let sample = delivery.acknowledge(140_002, &slow[1], 150_000);
        assert_eq!(sample.interval, 0, "shorter than a round trip");
    }

    #[test]
    fn samples_are_marked_until_the_packets_in_flight_at_the_lack_are_delivered() {
        let mut delivery = Delivery::default();
        let first = delivery.send(0, 0);
        delivery.limit(1);
        let second = delivery.send(10, 1);
        assert!(!delivery.acknowledge(40, &first, 1).app_limited, "it left before");
        let third = delivery.send(45, 1);
        assert!(delivery.acknowledge(50, &second, 1).app_limited);
        assert!(!delivery.is_limited());
        let fourth = delivery.send(55, 1);
        assert!(delivery.acknowledge(90, &third, 1).app_limited);
        assert!(!delivery.acknowledge(95, &fourth, 1).app_limited);
    }
}
