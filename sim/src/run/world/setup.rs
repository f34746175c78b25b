//! What a world is made of: plain data, from which with what is scheduled everything else follows.

use crate::base::rate::Rate;
use crate::net::link::LinkSpec;
use std::time::Duration;
use striper_core::Config;

/// When a session's own invariants are checked, which costs time in proportion to its state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Checks {
    /// Never.
    Off,
    /// After every input at first, after every 64th beyond 4,000 and every 1024th beyond 40,000, so
    /// that large worlds remain bearable.
    Thinning,
    /// After every input.
    Always,
}

impl Checks {
    /// Whether they are checked after so many inputs.
    pub(super) fn due(self, inputs: u64) -> bool {
        match self {
            Checks::Off => false,
            Checks::Thinning => {
                inputs < 4_000 || inputs.is_multiple_of(if inputs < 40_000 { 64 } else { 1024 })
            }
            Checks::Always => true,
        }
    }
}

/// What a world is made of.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Where every random choice comes from.
    pub seed: u64,
    /// The routes that stripes take, each as it is from the client and from the server. A stripe
    /// that is dialed takes the route with the fewest stripes.
    pub routes: Vec<[LinkSpec; 2]>,
    /// The settings of both sessions, the client's first.
    pub config: [Config; 2],
    /// When the sessions' own invariants are checked.
    pub checks: Checks,
    /// The command that repeats this world; printed when it fails.
    pub repeat: String,
    /// A client whose session ends begins another one, as the driver does.
    pub restarts_session: bool,
}

impl Setup {
    /// A world with these caps, a stripe each, and the same one-way delay on all.
    pub fn capped(seed: u64, caps: &[Rate], delay: Duration) -> Self {
        let config = Config { stripes: caps.len(), ..Config::default() };
        Setup {
            seed,
            routes: caps.iter().map(|cap| LinkSpec::both_ways(*cap, delay)).collect(),
            config: [config; 2],
            checks: Checks::Off,
            repeat: String::new(),
            restarts_session: false,
        }
    }
}
