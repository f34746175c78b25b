//! The fluid oracle: the least time in which any scheduler could move so many bytes over these
//! stripes.
//!
//! A stripe is a pipe of fluid. Fluid that enters at one end at the pipe's rate leaves at the other
//! after its one-way delay, without frames, packets, slow start, losses or acknowledgements. With S
//! the size of the transfer, `T* = min{T : Σ_i ∫ rate_i from 0 to (T − delay_i) ≥ S}`.
//!
//! The clock starts when the flow is opened on stripes that are already up. So no dial and no
//! handshake is in `T*`; its only start-up is each stripe's one-way delay. This file shares no code
//! with the simulated world, and its tests are cases computed by hand.
//!
//! With a receive window of W bytes, a set K of stripes in steady use gets at most a window a turn.
//! A turn takes `L(K) = max delay in K + min delay of all`. Bytes on the slowest stripe hold up all
//! behind them, and the credit for them comes back on the fastest. So its rate is at most `G*(W) =
//! max over K of min(Σ_K rate, W / L(K))`. The first window needs no credit, so a transfer takes
//! `T*(W) = min over K of max(T*(K), (S − W)·L(K)/W + min delay in K)`. The bound holds for a fixed
//! set of stripes that always carry something. A scheduler that uses its slowest stripe now and
//! then can edge past it: a share may be a little over 1 where W is small.

use crate::base::{Rate, micros};
use std::time::Duration;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pipe {
    pub delay: Duration,
    /// The rate from each time (microseconds, ascending) on; zero before the first.
    pub rate: Vec<(u64, Rate)>,
}

impl Pipe {
    pub fn steady(rate: Rate, delay: Duration) -> Self {
        Pipe { delay, rate: vec![(0, rate)] }
    }
}

/// Microseconds, rounded up. `None` if the pipes stop before.
pub fn fluid_time(pipes: &[Pipe], bytes: u64) -> Option<u64> {
    // A bit per second for a microsecond is a millionth of a bit: in these units every sum is an
    // integer.
    let wanted = u128::from(bytes) * 8 * 1_000_000;
    if wanted == 0 {
        return Some(0);
    }
    let mut changes: Vec<(u64, i128)> = Vec::new();
    for pipe in pipes {
        let mut before = 0i128;
        for (from, rate) in &pipe.rate {
            let rate = i128::from(rate.as_bits());
            changes.push((from + micros(pipe.delay), rate - before));
            before = rate;
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

/// As [`fluid_time`], through a receive window of `window` bytes, at least 1. Each stripe in use is
/// used throughout.
pub fn credit_time(pipes: &[Pipe], bytes: u64, window: u64) -> Option<u64> {
    if bytes == 0 {
        return Some(0);
    }
    let nearest = pipes.iter().map(|pipe| pipe.delay).min()?;
    // Of all sets with the same longest delay, the one with every pipe up to it is best: it has
    // more rate and no longer turns.
    let reaches = pipes.iter().map(|pipe| pipe.delay);
    reaches
        .filter_map(|reach| {
            let set: Vec<Pipe> = pipes.iter().filter(|pipe| pipe.delay <= reach).cloned().collect();
            let turns = u128::from(bytes.saturating_sub(window)) * (reach + nearest).as_micros();
            let credit = turns.div_ceil(u128::from(window)) as u64 + micros(nearest);
            Some(fluid_time(&set, bytes)?.max(credit))
        })
        .min()
}

/// The least time that each of `count` pieces of `piece` bytes takes, in microseconds. They are
/// written at `rate`, each as a whole when its last byte is due. They queue for all pipes together,
/// in order, and the last byte of each then takes the shortest delay of all. `None` if the pipes
/// stop before.
pub fn paced_delays(pipes: &[Pipe], piece: u64, rate: Rate, count: u64) -> Option<Vec<u64>> {
    let nearest = pipes.iter().map(|pipe| pipe.delay).min()?;
    let near: Vec<Pipe> =
        pipes.iter().map(|pipe| Pipe { delay: Duration::ZERO, rate: pipe.rate.clone() }).collect();
    let mut free = 0;
    let mut delays = Vec::new();
    for last in (1..=count).map(|nth| nth * piece) {
        let due = (u128::from(last) * 8_000_000).div_ceil(u128::from(rate.as_bits())) as u64;
        // Bytes that all pipes have let by until the piece's turn are as good as carried.
        free = fluid_time(&near, capacity(&near, due.max(free)) + piece)?;
        delays.push(free - due + micros(nearest));
    }
    Some(delays)
}

/// The bytes that `pipes` take in from time zero to `end` (microseconds), rounded down.
pub fn capacity(pipes: &[Pipe], end: u64) -> u64 {
    let of = |pipe: &Pipe| -> u128 {
        let ends = pipe.rate.iter().skip(1).map(|(from, _)| *from).chain([u64::MAX]);
        let spans = pipe.rate.iter().zip(ends);
        spans
            .map(|((from, rate), to)| {
                u128::from(to.min(end).saturating_sub(*from)) * u128::from(rate.as_bits())
            })
            .sum()
    };
    (pipes.iter().map(of).sum::<u128>() / 8_000_000) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pipe whose delay and times are in microseconds and whose rates are in bit/s.
    fn pipe(delay: u64, rate: &[(u64, u64)]) -> Pipe {
        let rate = rate.iter().map(|(from, bits)| (*from, Rate::bits(*bits))).collect();
        Pipe { delay: Duration::from_micros(delay), rate }
    }

    /// 8 Mbit/s, 1 B/µs, with a delay in µs.
    fn byte_a_micro(delay: u64) -> Pipe {
        pipe(delay, &[(0, 8_000_000)])
    }

    #[test]
    fn fluid_times_are_those_that_are_computed_by_hand() {
        let equal = vec![Pipe::steady(Rate::mbit(1), Duration::from_millis(20)); 4];
        let late = [byte_a_micro(10_000), byte_a_micro(100_000)];
        // 1 B/µs for 50 ms, nothing for a second, then 2 B/µs; all 5 ms late.
        let dips = [pipe(5_000, &[(0, 8_000_000), (50_000, 0), (1_050_000, 16_000_000)])];
        let dies = [pipe(0, &[(0, 8_000_000), (10, 0)])];
        for (pipes, bytes, time) in [
            // 1,000,000 B at 8 Mbit/s is one second, after 20 ms.
            (&[byte_a_micro(20_000)][..], 1_000_000, Some(1_020_000)),
            // 8 MiB = 67,108,864 bit at 4 Mbit/s is 16.777216 s.
            (&equal, 8 << 20, Some(16_797_216)),
            // The first pipe has delivered 90,000 B when the late one begins, at 100 ms. The rest
            // of 210,000 B comes at 2 B/µs: 60 ms more.
            (&late, 210_000, Some(160_000)),
            (&late, 90_000, Some(100_000)),
            // So small that the second one is never of use: 50,000 B take 50 ms + 10 ms.
            (&late, 50_000, Some(60_000)),
            (&dips, 50_000, Some(55_000)),
            (&dips, 50_002, Some(1_055_001)),
            // Nothing needs no time, and no pipe needs forever.
            (&[], 0, Some(0)),
            (&[], 1, None),
            (&dies, 10, Some(10)),
            (&dies, 11, None),
            // 1 B at 3 Mbit/s is 2.67 µs.
            (&[pipe(0, &[(0, 3_000_000)])], 1, Some(3)),
        ] {
            assert_eq!(fluid_time(pipes, bytes), time, "{bytes} B over {pipes:?}");
        }
    }

    #[test]
    fn a_wide_window_changes_nothing() {
        let pipes = [byte_a_micro(10_000), byte_a_micro(100_000)];
        // 110 ms a turn at 2 B/µs are 220,000 B: a window of that is never missed.
        for bytes in [0, 50_000, 90_000, 210_000, 3_000_000] {
            assert_eq!(credit_time(&pipes, bytes, 220_000), fluid_time(&pipes, bytes));
        }
    }

    #[test]
    fn a_window_goes_round_once_a_turn_on_the_best_stripes() {
        let (one, two) = ([byte_a_micro(50_000)], [byte_a_micro(100_000), byte_a_micro(10_000)]);
        for (pipes, bytes, window, time) in [
            // One pipe of 1 B/µs, 50 ms each way: 10,000 B a turn of 100 ms. After the first window
            // 90,000 B are nine turns, and the last byte takes 50 ms.
            (&one[..], 100_000, 10_000, 950_000),
            // A transfer that fits into the window needs no credit.
            (&one, 10_000, 10_000, 60_000),
            // Both: 300,000 B less 20,000 B are 280,000 B at 20,000 B a turn of 110 ms: 1.54 s. The
            // near one alone: a turn of 20 ms takes 20,000 B, all that it carries, so 300 ms +
            // 10 ms.
            (&two, 300_000, 20_000, 310_000),
            // With 200,000 B, a turn of 110 ms allows for 100,000 B · 0.55 + 10 ms. Both pipes need
            // longer for 300,000 B: 90,000 until 100 ms, then 210,000 at 2 B/µs.
            (&two, 300_000, 200_000, 205_000),
        ] {
            assert_eq!(credit_time(pipes, bytes, window), Some(time), "{bytes} B, {window} B");
        }
    }

    #[test]
    fn the_rate_of_a_long_transfer_is_that_of_the_best_set() {
        let pipes = [pipe(5_000, &[(0, 16_000_000)]), byte_a_micro(20_000), byte_a_micro(150_000)];
        for window in [10_000u64, 30_000, 100_000, 500_000, 1_000_000] {
            // G*(W) in bytes a second, over every subset.
            let rate = |set: u32| {
                let all = (0..3).filter(|nth| set & 1 << nth != 0).map(|nth| &pipes[nth]);
                let sum: Rate = all.clone().map(|pipe| pipe.rate[0].1).sum();
                let turn = all.map(|pipe| micros(pipe.delay)).max().unwrap() + 5_000;
                (sum.as_bytes() as f64).min(window as f64 * 1e6 / turn as f64)
            };
            let best = (1..8).map(rate).fold(0.0, f64::max);
            let bytes = 100_000_000_000;
            let time = credit_time(&pipes, bytes, window).unwrap() as f64 / 1e6;
            assert!((bytes as f64 / time / best - 1.0).abs() < 1e-4, "window {window}: {best}");
        }
    }

    #[test]
    fn pieces_queue_for_all_pipes_together() {
        // 2,000 B every 4 ms. Both pipes together carry 2 B/µs, so 1 ms each, and the nearer one is
        // 3 ms long.
        let steady = [byte_a_micro(3_000), byte_a_micro(70_000)];
        assert_eq!(paced_delays(&steady, 2_000, Rate::bytes(500_000), 3), Some(vec![4_000; 3]));
        // One of 1 B/µs that is a tenth of that from 3 ms to 15 ms. The piece of 4 ms: 1,100 B by
        // 15 ms, 900 B more at 15.9 ms. Those of 8 and 12 ms are behind it, at 17.9 and 19.9 ms.
        // The one of 16 ms has only these before it: 21.9 ms.
        let dip = [pipe(0, &[(0, 8_000_000), (3_000, 800_000), (15_000, 8_000_000)])];
        let delays = paced_delays(&dip, 2_000, Rate::bytes(500_000), 4);
        assert_eq!(delays, Some(vec![11_900, 9_900, 7_900, 5_900]));
        assert_eq!(paced_delays(&[], 1, Rate::bytes(1), 1), None);
    }

    #[test]
    fn capacity_counts_the_bytes_that_go_in() {
        let dips = pipe(7, &[(1_000, 8_000_000), (2_000, 400_000), (4_000, 8_000_000)]);
        // 1 ms at 1 B/µs, 2 ms at 0.05 B/µs, 3 ms at 1 B/µs.
        assert_eq!(capacity(std::slice::from_ref(&dips), 7_000), 1_000 + 100 + 3_000);
        assert_eq!(capacity(std::slice::from_ref(&dips), 1_500), 500);
        assert_eq!(capacity(&[dips, byte_a_micro(0)], 1_000), 1_000);
    }
}
