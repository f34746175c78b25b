//! The fluid oracle: the least time in which any scheduler could move so many bytes over these stripes.
//!
//! A stripe is a pipe of fluid: what enters at one end at its rate leaves at the other after its one-way delay, without
//! frames, packets, slow start, losses or acknowledgements. With S the size of the transfer,
//! `T* = min{T : Σ_i ∫ rate_i from 0 to (T − delay_i) ≥ S}`.
//!
//! The clock starts when the flow is opened on stripes that are already up, so that neither dialing nor any handshake
//! is in `T*`; the only start-up in it is each stripe's one-way delay. This file shares no code with the simulated
//! world, and its tests are cases computed by hand.

/// One stripe as the oracle sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pipe {
    /// One-way delay in microseconds.
    pub delay: u64,
    /// Rate in bit/s from each time (in microseconds) on, in the order of time; before the first entry it is zero.
    pub rate: Vec<(u64, u64)>,
}

impl Pipe {
    /// A pipe whose rate (bit/s) never changes.
    pub fn steady(rate: u64, delay: u64) -> Self {
        Pipe { delay, rate: vec![(0, rate)] }
    }
}

/// The least time in microseconds (rounded up) in which `bytes` can be moved, or `None` if the pipes stop before.
pub fn fluid_time(pipes: &[Pipe], bytes: u64) -> Option<u64> {
    // A bit per second for a microsecond is a millionth of a bit: in these units every sum is an integer.
    let wanted = u128::from(bytes) * 8 * 1_000_000;
    if wanted == 0 {
        return Some(0);
    }
    let mut changes: Vec<(u64, i128)> = Vec::new();
    for pipe in pipes {
        let mut before = 0i128;
        for (from, rate) in &pipe.rate {
            changes.push((from + pipe.delay, i128::from(*rate) - before));
            before = i128::from(*rate);
        }
    }
    changes.sort_unstable();
    let (mut at, mut slope, mut moved) = (0u64, 0i128, 0u128);
    for (time, change) in changes {
        let by_then = moved + slope.unsigned_abs() * u128::from(time - at);
        if by_then >= wanted {
            break;
        }
        (at, moved) = (time, by_then);
        slope += change;
    }
    if slope <= 0 {
        return None;
    }
    let rest = (wanted - moved).div_ceil(slope.unsigned_abs());
    Some(at + rest as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_pipe_takes_delay_and_size_over_rate() {
        // 1,000,000 B at 8 Mbit/s is one second, after 20 ms.
        assert_eq!(fluid_time(&[Pipe::steady(8_000_000, 20_000)], 1_000_000), Some(1_020_000));
    }

    #[test]
    fn equal_pipes_share_the_work() {
        let pipes = vec![Pipe::steady(1_000_000, 20_000); 4];
        // 8 MiB = 67,108,864 bit at 4 Mbit/s is 16.777216 s.
        assert_eq!(fluid_time(&pipes, 8 << 20), Some(16_797_216));
    }

    #[test]
    fn a_late_pipe_helps_only_after_its_delay() {
        // 8 Mbit/s is 1 B/µs. The first delivers from 10 ms on, so
        // at 100 ms 90,000 B are there. The rest of 210,000 B comes at 2 B/µs: 60 ms more.
        let pipes = [Pipe::steady(8_000_000, 10_000), Pipe::steady(8_000_000, 100_000)];
        assert_eq!(fluid_time(&pipes, 210_000), Some(160_000));
        // So small that the second one is never of use: 50,000 B take 50 ms + 10 ms.
        assert_eq!(fluid_time(&pipes, 50_000), Some(60_000));
        // Exactly when the second one starts.
        assert_eq!(fluid_time(&pipes, 90_000), Some(100_000));
    }

    #[test]
    fn a_pipe_that_stops_and_returns_is_missed_in_between() {
        // 1 B/µs for 50 ms, nothing for a second, then 2 B/µs; all 5 ms late.
        let pipe = Pipe { delay: 5_000, rate: vec![(0, 8_000_000), (50_000, 0), (1_050_000, 16_000_000)] };
        assert_eq!(fluid_time(std::slice::from_ref(&pipe), 50_000), Some(55_000));
        assert_eq!(fluid_time(&[pipe], 50_002), Some(1_055_001));
    }

    #[test]
    fn nothing_needs_no_time_and_no_pipe_needs_forever() {
        assert_eq!(fluid_time(&[], 0), Some(0));
        assert_eq!(fluid_time(&[], 1), None);
        let dies = Pipe { delay: 0, rate: vec![(0, 8_000_000), (10, 0)] };
        assert_eq!(fluid_time(std::slice::from_ref(&dies), 10), Some(10));
        assert_eq!(fluid_time(&[dies], 11), None);
    }

    #[test]
    fn times_are_rounded_up() {
        // 1 B at 3 Mbit/s is 2.67 µs.
        assert_eq!(fluid_time(&[Pipe::steady(3_000_000, 0)], 1), Some(3));
    }
}
