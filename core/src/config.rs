//! The settings of a session, and the numbers that both sides take for granted.

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
///
/// A caller sets the fields that it cares about and takes the others from `Config::default()`. That
/// is why this is not `#[non_exhaustive]`: the attribute would forbid it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// How many live stripes the client wants, 1–64. The server ignores it.
    pub stripes: usize,
    /// How stripes are chosen for data.
    pub scheduler: SchedulerKind,
    /// Limit in bytes, at least 2 MiB. Half of it bounds the data that peers may send us and local
    /// consumers have not taken yet. The other half bounds the local data that we hold until the
    /// peer acknowledges it. On top come floors: [`INITIAL_EARLY`] for the session and
    /// [`FLOW_FLOOR`] per flow and direction.
    pub memory_limit: u64,
    /// The largest receive window of one flow in bytes, at least [`FLOW_FLOOR`]. The window starts
    /// at [`INITIAL_WINDOW`] and grows to this as the measured need does.
    pub window_limit: u64,
    /// How many flows the peer may have open at once, at least [`INITIAL_FLOWS`].
    pub max_flows: u64,
    /// How many flows a second the peer may open in the long run, at least 1; at once it may open
    /// `max_flows`. Ids beyond that are granted later, so a peer that opens and ends flows faster
    /// waits and is not refused. The default is beyond what short connections come to on loopback,
    /// about 7,000 a second.
    pub opens_per_second: u64,
    /// How many bytes of control, that is, of anything but payload, the peer may send at once, at
    /// least [`MIN_CONTROL_BURST`]. More than this, and than what is added to it by the three
    /// numbers below, ends the session. [`CONTROL_PER_FLOW`] says where the defaults come from.
    pub control_burst: u64,
    /// Bytes of control a second that the peer may send in the long run, whatever else it sends.
    pub control_per_second: u64,
    /// Bytes of payload, of either direction, for each further byte of control from the peer; at
    /// least 1.
    pub payload_per_control: u64,
    /// How many bytes the stripes' pipes add to each send, at most 256: a record of TLS has 22.
    /// Pieces are cut so that they fill whole packets with them. Zero for pipes that pass bytes on
    /// as they are.
    pub record_overhead: u64,
    /// Silence after which a stripe is pinged. An unanswered ping counts as data outstanding.
    pub heartbeat: Duration,
    /// A stripe is dead when data is outstanding on it and no acknowledgement has moved for this
    /// long. While bytes come in on it, it may take up to four times as long, since an answer may
    /// stand behind them.
    pub stall_limit: Duration,
    /// How long the session waits for a stripe when it has none.
    pub resume_limit: Duration,
    /// Decides which rare turns are taken, for simulation; zero for none.
    #[cfg(feature = "buggify")]
    pub buggify: u64,
}

/// Below this, not even the early credit that a peer may take before it hears from us would fit.
const MIN_MEMORY: u64 = 2 << 20;

/// The most that pipes add to a send, in bytes: more is no record but a mistake.
const MAX_OVERHEAD: u64 = 256;

/// Timers below this would do nothing but go off.
const MIN_TIME: Duration = Duration::from_millis(10);

impl Config {
    /// The settings with those that are too small or too large brought within their limits.
    pub(crate) fn within_limits(self) -> Self {
        Config {
            memory_limit: self.memory_limit.max(MIN_MEMORY),
            opens_per_second: self.opens_per_second.max(1),
            control_burst: self.control_burst.max(MIN_CONTROL_BURST),
            payload_per_control: self.payload_per_control.max(1),
            record_overhead: self.record_overhead.min(MAX_OVERHEAD),
            heartbeat: self.heartbeat.max(MIN_TIME),
            stall_limit: self.stall_limit.max(MIN_TIME),
            ..self
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            stripes: 4,
            scheduler: SchedulerKind::default(),
            memory_limit: 128 << 20,
            window_limit: 16 << 20,
            max_flows: 16_384,
            opens_per_second: 10_000,
            control_burst: 16 << 20,
            control_per_second: 1 << 20,
            payload_per_control: 64,
            record_overhead: 0,
            heartbeat: Duration::from_secs(10),
            stall_limit: Duration::from_secs(4),
            resume_limit: Duration::from_secs(60),
            #[cfg(feature = "buggify")]
            buggify: 0,
        }
    }
}

/// Credit of every flow outside the shared pool, in bytes: what even the last of many stuck flows
/// may still send.
pub const FLOW_FLOOR: u64 = 16 << 10;

/// Receive window of a new flow in bytes, if the pool has it: what a flow may send before it hears
/// from the peer.
pub const INITIAL_WINDOW: u64 = 256 << 10;

/// Early credit that each side may use before the peer's first GRANT, in bytes: one flow's
/// [`INITIAL_WINDOW`].
pub const INITIAL_EARLY: u64 = INITIAL_WINDOW - FLOW_FLOOR;

/// How many flows each side may open before the peer's first GRANT.
pub const INITIAL_FLOWS: u64 = 64;

/// Bytes of control from the peer for each flow that either side opens, beside what [`Config`]
/// allows.
///
/// The most that an honest peer sends, and the allowance for it:
///
/// - A flow takes an OPEN of 560 bytes with the longest opaque field. It takes 6 frames of at most
///   30 bytes that accept, refuse, reset or give first credit. Each goes twice if its stripe falls
///   into doubt: 1,480 bytes. This is 2,048. This is 2,048.
/// - Payload takes an ACK for 32 KiB and a CREDIT for 8 KiB, each repeated on a second stripe, and
///   a BLOCKED for 16 KiB. That is 24 / 32 Ki + 24 / 8 Ki + 12 / 16 Ki, a byte for 228. Heads of
///   data that comes twice, since a stripe died: 12 for 2,884, for a part of it.
///   `payload_per_control` is 64.
/// - Time takes an ACK of 64 stripes each 2 ms, repeated on a second stripe. That is 64 · 500 · 2 ·
///   11 bytes, 704 KB a second. PING and PONG, STRIPE_GONE: less than 20 bytes a stripe and second.
///   `control_per_second` is 1 MiB.
/// - Heads of DATA that brings something new cost nothing: how finely an honest program writes is
///   its own affair.
/// - At once may come the control of 16 s, for which a stripe may stand still before it is given
///   up, and 16,384 OPENs once more. `control_burst` is 16 MiB. An engine is busy with that for
///   half a second once. A MiB a second takes 34 ms of each second, measured with PINGs in reads of
///   64 KiB.
pub const CONTROL_PER_FLOW: u64 = 2 << 10;

/// The least `control_burst` in bytes: what a session takes to begin, many times over.
pub const MIN_CONTROL_BURST: u64 = 64 << 10;

/// The longest opaque field of an OPEN, in bytes.
pub const MAX_OPAQUE: usize = 512;

/// The smallest piece of data that goes into a frame of its own when there is more, in bytes.
pub(crate) const MIN_CHUNK: usize = 2884;

/// The largest payload that we put into a frame, in bytes. Receivers take any up to the frame
/// limit.
pub const MAX_CHUNK: usize = 64 << 10;

/// The most stripes that a session may have at once.
pub const MAX_STRIPES: usize = 64;
