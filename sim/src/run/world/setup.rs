//! The plain data that a world is made of.

use crate::base::Rate;
use crate::net::LinkSpec;
use std::time::Duration;
use striper_core::Config;

/// When a session's own invariants are checked. A check takes time in proportion to the state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Checks {
    Off,
    /// After every input at first, then ever more rarely, so that large worlds remain bearable.
    Thinning,
    Always,
}

impl Checks {
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

#[derive(Clone, Debug)]
pub struct Setup {
    pub seed: u64,
    /// From the client and from the server. A new stripe takes the route with the fewest.
    pub routes: Vec<[LinkSpec; 2]>,
    /// A bottleneck in each direction that all stripes pass before their own.
    pub shared: Option<LinkSpec>,
    /// The routes of greedy connections beside the stripes, from their sender, at the client's
    /// side, and back.
    pub foreign: Vec<[LinkSpec; 2]>,
    pub config: [Config; 2],
    pub checks: Checks,
    pub repeat: String,
    /// A client whose session ends begins another one, as the driver does.
    pub restarts_session: bool,
}

impl Setup {
    pub fn capped(seed: u64, caps: &[Rate], delay: Duration) -> Self {
        let config = Config { stripes: caps.len(), ..Config::default() };
        Setup {
            seed,
            routes: caps.iter().map(|cap| LinkSpec::both_ways(*cap, delay)).collect(),
            shared: None,
            foreign: Vec::new(),
            config: [config; 2],
            checks: Checks::Off,
            repeat: String::new(),
            restarts_session: false,
        }
    }
}
