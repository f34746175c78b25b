//! Rare turns, taken on purpose: choices that are always allowed and seldom made, so that a
//! simulation goes where real runs get once in a year. (The idea is FoundationDB's: a quarter of
//! the sites is active in a run, and an active one turns often.)
//!
//! Without the feature `buggify` every question is answered no by a constant, and nothing of this
//! is in the program. With it, the answers follow from `Config::buggify` and the inputs so far, so
//! a run repeats.
//!
//! Invariant: between two inputs other than `Tick` a site does not change its mind, or a tick
//! before the deadline could do something.

/// Where a rare turn may be taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Site {
    /// A stripe that awaits an acknowledgement takes no data for now.
    Congested,
    /// A piece of data is cut to a few bytes.
    Crumb,
    /// An OPEN goes without the data that could ride along.
    BareOpen,
    /// Acknowledgements go out before they are due.
    EagerAcknowledgement,
    /// A frame that was said on one stripe is said on another at once.
    RepeatNow,
    /// A stripe is pinged for no reason.
    Ping,
    /// A healthy stripe is doubted.
    Doubt,
    /// A healthy stripe is given up.
    GiveUp,
    /// The grant is said again.
    Grant,
    /// A piece that is on its way is sent a second time.
    Copy,
    /// The pace of a stripe is said although it has hardly changed.
    Pace,
}

/// Whether this program was built with rare turns in it: fit for simulation, not for use.
pub const FOR_SIMULATION_ONLY: bool = cfg!(feature = "buggify");

#[derive(Clone, Debug, Default)]
pub(crate) struct Turns {
    /// From the settings; zero for none.
    #[cfg(feature = "buggify")]
    seed: u64,
    /// Changes with each input but `Tick`.
    #[cfg(feature = "buggify")]
    turn: u64,
    /// The turn in which a [`Turns::once`] was taken last.
    #[cfg(feature = "buggify")]
    taken: u64,
}

impl Turns {
    #[cfg_attr(
        not(feature = "buggify"),
        allow(unused_variables, reason = "without the feature nothing is decided")
    )]
    pub(crate) fn new(config: &crate::config::Config) -> Self {
        Turns {
            #[cfg(feature = "buggify")]
            seed: config.buggify,
            #[cfg(feature = "buggify")]
            turn: 0,
            #[cfg(feature = "buggify")]
            taken: 0,
        }
    }
}

#[cfg(not(feature = "buggify"))]
impl Turns {
    #[inline(always)]
    pub(crate) fn next(&mut self) {}

    #[inline(always)]
    pub(crate) const fn pick(&self, _of: usize) -> usize {
        0
    }

    /// Whether to take the rare turn.
    #[inline(always)]
    pub(crate) const fn take(&self, _site: Site, _of: u64) -> bool {
        false
    }

    /// Whether to take the rare turn, at most once between two inputs.
    #[inline(always)]
    pub(crate) fn once(&mut self, _site: Site) -> bool {
        false
    }
}

#[cfg(feature = "buggify")]
impl Turns {
    pub fn next(&mut self) {
        self.turn += 1;
    }

    pub fn pick(&self, of: usize) -> usize {
        (mix(self.seed, self.turn) % of.max(1) as u64) as usize
    }

    /// Whether to take the rare turn, `of` being the number of what it is about.
    pub fn take(&self, site: Site, of: u64) -> bool {
        let rarity = match site {
            Site::Congested | Site::Crumb | Site::BareOpen | Site::EagerAcknowledgement => 4,
            Site::Copy => 16,
            Site::RepeatNow | Site::Ping | Site::Grant | Site::Pace => 64,
            Site::Doubt => 256,
            Site::GiveUp => 1024,
        };
        self.is_active(site)
            && mix(mix(mix(self.seed, site as u64), self.turn), of).is_multiple_of(rarity)
    }

    /// Whether to take the rare turn, at most once between two inputs.
    pub fn once(&mut self, site: Site) -> bool {
        self.taken != self.turn && self.take(site, 0) && {
            self.taken = self.turn;
            true
        }
    }

    fn is_active(&self, site: Site) -> bool {
        self.seed != 0 && mix(self.seed, !(site as u64)).is_multiple_of(4)
    }
}

/// One step of splitmix64 (Steele, Lea, Flood, 2014).
#[cfg(feature = "buggify")]
fn mix(state: u64, with: u64) -> u64 {
    let state =
        (state ^ with.wrapping_mul(0xd6e8_feb8_6659_fd93)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

#[cfg(all(test, feature = "buggify"))]
mod tests {
    use super::*;
    use crate::config::Config;

    const SITES: [Site; 11] = [
        Site::Congested,
        Site::Crumb,
        Site::BareOpen,
        Site::EagerAcknowledgement,
        Site::RepeatNow,
        Site::Ping,
        Site::Doubt,
        Site::GiveUp,
        Site::Grant,
        Site::Copy,
        Site::Pace,
    ];

    fn turns(seed: u64) -> Turns {
        Turns::new(&Config { buggify: seed, ..Config::default() })
    }

    fn count(seed: u64, site: Site, inputs: u64) -> usize {
        let mut turns = turns(seed);
        (0..inputs)
            .filter(|_| {
                turns.next();
                turns.take(site, 1)
            })
            .count()
    }

    #[test]
    fn every_site_turns_in_about_a_quarter_of_the_runs() {
        for site in SITES {
            let runs = (1..=200).filter(|seed| count(*seed, site, 10_000) > 0).count();
            assert!((20..=90).contains(&runs), "{site:?} in {runs} of 200");
        }
    }

    #[test]
    fn without_a_seed_nothing_turns() {
        assert!(SITES.into_iter().all(|site| count(0, site, 10_000) == 0));
    }

    #[test]
    fn a_site_does_not_change_its_mind_between_inputs() {
        let turns = turns(5);
        for site in SITES {
            assert_eq!(turns.take(site, 1), turns.take(site, 1));
        }
    }
}
