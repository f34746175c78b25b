//! Caps on the rate of a connection or a link, in virtual time.

use std::time::Duration;

const PACKET: u64 = 1500;

/// A cap, in bits a second of IP packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cap {
    pub rate: u64,
    pub excess: Excess,
}

/// The fate of packets that come faster than the cap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Excess {
    /// A packet waits, unless it would wait longer than this time and than so many packets of full
    /// size take.
    Queue { time: Duration, packets: u64 },
    /// A token bucket of so many bytes drops it: no packet waits.
    Policer { burst: u64 },
}

/// One direction of a cap.
#[derive(Clone, Default, Debug)]
pub struct Gate {
    /// The time at which the cap has let through all earlier packets. A token bucket is full then.
    free: Duration,
}

impl Gate {
    /// The time at which a packet has passed; `None` if it is dropped.
    pub fn pass(&mut self, now: Duration, bytes: u64, cap: Cap) -> Option<Duration> {
        let start = self.free.max(now);
        let end = start + time(bytes, cap.rate);
        let (is_dropped, passed) = match cap.excess {
            Excess::Queue { time: longest, packets } => {
                (start - now > longest.max(time(packets * PACKET, cap.rate)), end)
            }
            Excess::Policer { burst } => (end - now > time(burst, cap.rate), now),
        };
        if is_dropped {
            return None;
        }
        self.free = end;
        Some(passed)
    }
}

/// The time for these bytes at a rate in bits a second.
fn time(bytes: u64, rate: u64) -> Duration {
    Duration::from_nanos(bytes * 8 * 1_000_000_000 / rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    /// A packet takes 1.2 ms.
    const RATE: u64 = 10_000_000;

    /// How many of 1,000 packets, all at this time, pass, and when the last has passed.
    fn burst(gate: &mut Gate, now: Duration, cap: Cap) -> (usize, Option<Duration>) {
        let passed: Vec<_> = (0..1000).filter_map(|_| gate.pass(now, PACKET, cap)).collect();
        (passed.len(), passed.last().copied())
    }

    #[test]
    fn a_full_queue_drops_what_would_wait_too_long() {
        let cap = |time, packets| Cap { rate: RATE, excess: Excess::Queue { time, packets } };
        // Packets that begin to pass within 100 ms: at 0, 1.2, ... 99.6 ms.
        let passed = burst(&mut Gate::default(), Duration::ZERO, cap(100 * MS, 8));
        assert_eq!(passed, (84, Some(84 * MS * 6 / 5)));
        // Those within 3 ms, or within the time of eight packets.
        let passed = burst(&mut Gate::default(), Duration::ZERO, cap(3 * MS, 1));
        assert_eq!(passed, (3, Some(3 * MS * 6 / 5)));
        let passed = burst(&mut Gate::default(), Duration::ZERO, cap(3 * MS, 8));
        assert_eq!(passed, (9, Some(9 * MS * 6 / 5)));
    }

    #[test]
    fn a_policer_passes_its_burst_at_once_and_then_its_rate() {
        let cap = Cap { rate: RATE, excess: Excess::Policer { burst: 16 << 10 } };
        let mut gate = Gate::default();
        assert_eq!(burst(&mut gate, MS, cap), (10, Some(MS)));
        // 16,384 bytes hold 10 packets and 1,384 bytes; 6 ms bring 7,500 bytes.
        assert_eq!(burst(&mut gate, 7 * MS, cap), (5, Some(7 * MS)));
        // A rest of any length brings no more than the burst.
        assert_eq!(burst(&mut gate, 9000 * MS, cap), (10, Some(9000 * MS)));
    }
}
