//! What the user of a session decides, with the numbers that both sides take for granted.

use core::time::Duration;

/// How stripes are chosen for data.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SchedulerKind {
    /// The stripe on which the chunk should arrive soonest, and wait for it if that pays.
    #[default]
    Earliest,
    /// Until congested: stay on one stripe until it takes no more, then switch to the next.
    UntilCongested,
    /// Round robin: each chunk to the next stripe that takes one.
    RoundRobin,
}

/// Settings of one session. Both sides may differ in all of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// How many live stripes the client wants, 1–64. The server ignores it.
    pub stripes: usize,
    /// How stripes are chosen for data.
    pub scheduler: SchedulerKind,
    /// Limit in bytes, at least 2 MiB: half of it bounds what peers may send us and local consumers have not taken yet, half
    /// what we hold of local data until the peer acknowledges it. On top come floors:
    /// [`INITIAL_EARLY`] for the session and [`FLOW_FLOOR`] per flow and direction.
    pub memory_limit: u64,
    /// The largest receive window of one flow in bytes, at least [`FLOW_FLOOR`]. The window starts at
    /// [`INITIAL_WINDOW`] and grows to this as the measured need does.
    pub window_limit: u64,
    /// How many flows the peer may have open at once, at least [`INITIAL_FLOWS`].
    pub max_flows: u64,
    /// Silence after which a stripe is pinged. An unanswered ping counts as data outstanding.
    pub heartbeat: Duration,
    /// A stripe is dead when data is outstanding on it and no acknowledgement has moved for this long; up to four times as long
    /// while bytes come in on it, since an answer may stand behind them.
    pub stall_limit: Duration,
    /// How long the session waits for a stripe when it has none.
    pub resume_limit: Duration,
    /// Decides which rare turns are taken, for simulation; zero for none.
    #[cfg(feature = "buggify")]
    pub buggify: u64,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            stripes: 4,
            scheduler: SchedulerKind::default(),
            memory_limit: 128 << 20,
            window_limit: 16 << 20,
            max_flows: 16_384,
            heartbeat: Duration::from_secs(10),
            stall_limit: Duration::from_secs(4),
            resume_limit: Duration::from_secs(60),
            #[cfg(feature = "buggify")]
            buggify: 0,
        }
    }
}

/// Credit of every flow outside the shared pool, in bytes: what even the last of many stuck flows may still send.
pub const FLOW_FLOOR: u64 = 16 << 10;

/// Receive window of a new flow in bytes, if the pool has it: what a flow may send before it hears from the peer.
pub const INITIAL_WINDOW: u64 = 256 << 10;

/// Early credit that each side may use before the peer's first GRANT, in bytes: one flow's
/// [`INITIAL_WINDOW`].
pub const INITIAL_EARLY: u64 = INITIAL_WINDOW - FLOW_FLOOR;

/// How many flows each side may open before the peer's first GRANT.
pub const INITIAL_FLOWS: u64 = 64;

/// The longest opaque field of an OPEN, in bytes.
pub const MAX_OPAQUE: usize = 512;

/// The smallest piece of data that goes into a frame of its own when there is more, in bytes.
pub const MIN_CHUNK: usize = 2884;

/// The largest payload that we put into a frame, in bytes. Receivers take any up to the frame limit.
pub const MAX_CHUNK: usize = 64 << 10;

/// The most stripes that a session may have at once.
pub const MAX_STRIPES: usize = 64;
