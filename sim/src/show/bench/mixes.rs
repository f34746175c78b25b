//! The mixes of stripes on which schedulers are compared, as data, and the worlds that a seed makes
//! of one.
//!
//! Invariant: the draw depends on the mix and the seed alone, so all schedulers and all credits
//! meet the same worlds.
//!
//! A steady world has no chance in it, so a seed varies it as a real route varies. Each stripe's
//! rate differs by up to 5 % and its delay by up to 10 %, evenly. Where there is trouble, its
//! moments differ.

use crate::base::{Rate, micros, pick, seed};
use crate::net::{Fault, LinkSpec, Pipe, Told, dips};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::time::Duration;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Load {
    Upload(u64),
    /// So many bytes from the client, and from the server, on one flow at the same time.
    BothWays(u64, u64),
    /// As [`Load::Upload`], on stripes that have carried [`WARMING`] bytes, then idle for [`IDLE`].
    Object(u64),
    /// Half of the rate that the stripes can carry, in pieces of [`PIECE`] bytes, for so long.
    Paced(Duration),
}

pub const WARMING: u64 = 1 << 20;

pub const IDLE: Duration = Duration::from_secs(1);

/// In bytes: half of a session's default memory limit, which is what binds beyond it.
pub const MAX_CREDIT: u64 = 64 << 20;

/// Bytes that a paced program writes at once.
pub const PIECE: u64 = 1_400;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    Nothing,
    /// Each stripe falls to 5 % of its rate for 0.5–3 s, every 3–9 s, independently of the others.
    Dips,
    /// One stripe is reset, 1–3 s after the beginning; its route takes a new one at once.
    Death,
    /// One stripe carries nothing for 10 s, from 1–3 s after the beginning on.
    OneSilent,
    AllSilent,
}

pub const SILENCE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct Mix {
    /// The first letter names its group.
    pub name: &'static str,
    pub about: &'static str,
    /// Rate (bit/s) and one-way delay (microseconds) of each stripe.
    stripes: &'static [(u64, u64)],
    pub load: Load,
    pub trouble: Trouble,
}

const EIGHT: &[(u64, u64)] = &[(2_500_000, 25_000); 8];
const NEAR_AND_FAR: &[(u64, u64)] = &[(15_000_000, 1_000), (5_000_000, 25_000)];
const STAIRS: &[(u64, u64)] =
    &[(40_000_000, 10_000), (20_000_000, 20_000), (10_000_000, 40_000), (2_000_000, 150_000)];
const DIPPING: &[(u64, u64)] = &[(5_000_000, 30_000); 6];
const FOUR: &[(u64, u64)] = &[(10_000_000, 20_000); 4];

/// 80 KiB and 16 MiB, as in the kernel's test.
const SMALL_AND_LARGE: Load = Load::BothWays(16 << 20, 80 << 10);

macro_rules! mixes {
    ($($name:literal, $about:literal, $stripes:expr, $load:expr, $trouble:ident;)*) => {
        &[$(Mix {
            name: $name,
            about: $about,
            stripes: $stripes,
            load: $load,
            trouble: Trouble::$trouble,
        },)*]
    };
}

/// E is `tools/testing/selftests/net/mptcp/simult_flows.sh` of Linux: two paths shaped by netem
/// with the same rate and delay both ways (so its "1" and "50" are one-way delays). One connection
/// carries 16 MiB one way and 80 KiB the other. Where it has no delay, 0.1 ms stands for the
/// machine's own.
pub const MIXES: &[Mix] = mixes! {
    "A", "8 x 2.5 Mbit/s, RTT 50 ms; 24 MiB", EIGHT, Load::Upload(24 << 20), Nothing;
    "B", "15 Mbit/s RTT 2 ms + 5 Mbit/s RTT 50 ms; 24 MiB",
        NEAR_AND_FAR, Load::Upload(24 << 20), Nothing;
    "C", "40/20/10/2 Mbit/s, RTT 20/40/80/300 ms; 64 MiB", STAIRS, Load::Upload(64 << 20), Nothing;
    "D", "6 x 5 Mbit/s, RTT 60 ms, each dips to 5 % for 0.5-3 s every 3-9 s; 32 MiB",
        DIPPING, Load::Upload(32 << 20), Dips;
    "E1", "10 + 10 Mbit/s, no delay; 16 MiB up, 80 KiB down",
        &[(10_000_000, 100), (10_000_000, 100)], SMALL_AND_LARGE, Nothing;
    "E2", "30 + 10 Mbit/s, no delay; 16 MiB up, 80 KiB down",
        &[(30_000_000, 100), (10_000_000, 100)], SMALL_AND_LARGE, Nothing;
    "E3", "30 + 10 Mbit/s, one way 1 + 50 ms; 16 MiB up, 80 KiB down",
        &[(30_000_000, 1_000), (10_000_000, 50_000)], SMALL_AND_LARGE, Nothing;
    "E4", "30 + 10 Mbit/s, one way 50 + 1 ms; 16 MiB up, 80 KiB down",
        &[(30_000_000, 50_000), (10_000_000, 1_000)], SMALL_AND_LARGE, Nothing;
    "F1", "4 x 10 Mbit/s, RTT 40 ms; 48 MiB; one is reset", FOUR, Load::Upload(48 << 20), Death;
    "F2", "4 x 10 Mbit/s, RTT 40 ms; 64 MiB; one is silent for 10 s",
        FOUR, Load::Upload(64 << 20), OneSilent;
    "F3", "4 x 10 Mbit/s, RTT 40 ms; 64 MiB; all are silent for 10 s",
        FOUR, Load::Upload(64 << 20), AllSilent;
    "G", "as D, a program that writes at half of the capacity for 20 s",
        DIPPING, Load::Paced(Duration::from_secs(20)), Dips;
    "objects-64K", "64 KiB on warm 4 x 10 Mbit/s, RTT 40 ms", FOUR, Load::Object(64 << 10), Nothing;
    "objects-512K", "512 KiB on warm 4 x 10 Mbit/s, RTT 40 ms",
        FOUR, Load::Object(512 << 10), Nothing;
    "objects-4M", "4 MiB on warm 4 x 10 Mbit/s, RTT 40 ms", FOUR, Load::Object(4 << 20), Nothing;
    "objects-C-64K", "64 KiB on warm stripes as in C", STAIRS, Load::Object(64 << 10), Nothing;
    "objects-C-512K", "512 KiB on warm stripes as in C", STAIRS, Load::Object(512 << 10), Nothing;
    "objects-C-4M", "4 MiB on warm stripes as in C", STAIRS, Load::Object(4 << 20), Nothing;
};

/// A mix as a seed has drawn it. Times count from the beginning of the load, in microseconds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Drawn {
    /// The stripes as the oracle sees them; the first rate of each, at zero, is the usual one.
    pub pipes: Vec<Pipe>,
    /// Each stripe without trouble, both ways, and its dips. In a dip the queue stays as many
    /// bytes: a buffer does not shrink because its link slows down.
    pub links: Vec<LinkSpec>,
    /// Times, numbers of routes, and faults.
    pub faults: Vec<(u64, usize, Fault)>,
    /// When the trouble of F begins.
    pub struck: Option<u64>,
    pub healed: Option<u64>,
}

impl Mix {
    pub fn draw(&self, seed: u64) -> Drawn {
        let mut rng = seed::stream(seed, "bench", 0);
        let mut links = Vec::new();
        for (rate, delay) in self.stripes {
            let rate = rng.random_range(rate - rate / 20..=rate + rate / 20);
            let delay = rng.random_range(delay - delay / 10..=delay + delay / 10);
            links.push(LinkSpec::new(Rate::bits(rate), Duration::from_micros(delay)));
        }
        let pipes = links.iter().map(|link| Pipe::steady(link.rate, link.delay)).collect();
        let mut drawn = Drawn { pipes, links, faults: Vec::new(), struck: None, healed: None };
        match self.trouble {
            Trouble::Nothing => {}
            Trouble::Dips => {
                (0..self.stripes.len()).for_each(|stripe| drawn.add_dips(stripe, &mut rng))
            }
            Trouble::Death => {
                let at = rng.random_range(1_000_000..3_000_000);
                let stripe = rng.random_range(0..self.stripes.len());
                drawn.struck = Some(at);
                drawn.faults.push((at, stripe, Fault::Reset { told: Told::Both }));
            }
            Trouble::OneSilent | Trouble::AllSilent => {
                let at = rng.random_range(1_000_000..3_000_000);
                let all: Vec<usize> = (0..self.stripes.len()).collect();
                let one = [*pick(&mut rng, &all)];
                let silent = if self.trouble == Trouble::AllSilent { &all[..] } else { &one };
                silent.iter().for_each(|stripe| drawn.silence(*stripe, at));
            }
        }
        drawn
    }
}

impl Drawn {
    fn add_dips(&mut self, stripe: usize, rng: &mut ChaCha8Rng) {
        let rates = dips(rng, self.links[stripe].rate);
        self.pipes[stripe].rate.extend_from_slice(&rates);
        self.links[stripe].rates = rates;
    }

    pub(super) fn only(&self, stripe: usize) -> Drawn {
        let faults = self.faults.iter().filter(|(_, route, _)| *route == stripe);
        Drawn {
            pipes: vec![self.pipes[stripe].clone()],
            links: vec![self.links[stripe].clone()],
            faults: faults.map(|(at, _, fault)| (*at, 0, fault.clone())).collect(),
            struck: self.struck,
            healed: self.healed,
        }
    }

    fn silence(&mut self, stripe: usize, at: u64) {
        let healed = at + micros(SILENCE);
        (self.struck, self.healed) = (Some(at), Some(healed));
        self.faults.push((at, stripe, Fault::Silence { from: [true, true] }));
        self.faults.push((healed, stripe, Fault::Heal));
        let rate = self.links[stripe].rate;
        self.pipes[stripe].rate.extend([(at, Rate::ZERO), (healed, rate)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mix(name: &str) -> &'static Mix {
        MIXES.iter().find(|mix| mix.name == name).unwrap()
    }

    #[test]
    fn rates_and_delays_are_close_to_the_mix() {
        for mix in MIXES {
            for seed in 0..200 {
                let drawn = mix.draw(seed);
                assert_eq!(drawn.links.len(), mix.stripes.len());
                for ((link, pipe), (rate, delay)) in
                    drawn.links.iter().zip(&drawn.pipes).zip(mix.stripes)
                {
                    let rate_is_near = link.rate.as_bits().abs_diff(*rate) <= rate / 20;
                    let delay_is_near = micros(link.delay).abs_diff(*delay) <= delay / 10;
                    assert!(rate_is_near && delay_is_near, "{} {seed}", mix.name);
                    assert_eq!((pipe.delay, pipe.rate[0]), (link.delay, (0, link.rate)));
                }
            }
            assert_ne!(mix.draw(1).links, mix.draw(2).links);
            assert_eq!(mix.draw(1), mix.draw(1));
        }
    }

    #[test]
    fn dips_are_as_deep_long_and_frequent_as_they_should_be() {
        let mut begun = Vec::new();
        for seed in 0..50 {
            let drawn = mix("D").draw(seed);
            for (stripe, pipe) in drawn.pipes.iter().enumerate() {
                let usual = drawn.links[stripe].rate;
                let dips: Vec<&[(u64, Rate)]> = pipe.rate[1..].chunks(2).collect();
                assert!(dips.len() > 10, "seed {seed}");
                for dip in &dips {
                    let [(from, low), (to, high)] = dip else { panic!("a dip without an end") };
                    assert_eq!((*low, *high), (usual / 20, usual));
                    assert!(to > from && to - from <= 3_000_000);
                    assert!(*from == 0 || to - from >= 500_000);
                }
                let apart = dips.windows(2).map(|two| two[1][0].0 - two[0][0].0);
                assert!(apart.skip(1).all(|apart| (3_000_000..=9_000_000).contains(&apart)));
                begun.push(dips[0][0].0);
                // The world is told what the oracle knows.
                assert_eq!(drawn.links[stripe].rates, pipe.rate[1..]);
            }
        }
        let at_once = begun.iter().filter(|at| **at == 0).count();
        assert!((30..150).contains(&at_once), "{at_once} of 300 stripes dip at the beginning");
    }

    #[test]
    fn silence_lasts_ten_seconds_for_one_or_for_all() {
        for (name, count) in [("F2", 1), ("F3", 4)] {
            let drawn = mix(name).draw(5);
            let silent: Vec<&Pipe> =
                drawn.pipes.iter().filter(|pipe| pipe.rate.len() > 1).collect();
            assert_eq!(silent.len(), count);
            let at = drawn.struck.unwrap();
            assert!((1_000_000..3_000_000).contains(&at));
            assert_eq!(drawn.healed, Some(at + 10_000_000));
            for pipe in silent {
                assert_eq!(pipe.rate[1..], [(at, Rate::ZERO), (at + 10_000_000, pipe.rate[0].1)]);
            }
            assert_eq!(drawn.faults.len(), 2 * count);
        }
        let drawn = mix("F3").draw(7);
        for (stripe, pipe) in drawn.pipes.iter().enumerate() {
            let only = drawn.only(stripe);
            assert_eq!((&only.pipes[..], only.links.len()), (&[pipe.clone()][..], 1));
            assert!(only.faults.len() == 2 && only.faults.iter().all(|(_, route, _)| *route == 0));
        }
        let drawn = mix("F1").draw(5);
        assert!(matches!(drawn.faults[..], [(_, _, Fault::Reset { told: Told::Both })]));
        assert!(drawn.struck.is_some() && drawn.healed.is_none());
    }
}
