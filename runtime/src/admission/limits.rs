//! Bounds of the cost of strangers and peers. Each bound is a number that its user may choose.

use std::time::Duration;
use striper_core::limits::MAX_STRIPES;

/// Limits of a [`Server`](crate::Server), beside those of [`Config`](striper_core::Config).
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Callers that have not said who they are, 256 unless told otherwise. If one more calls, a
    /// caller of the address with the most of them has to go. Of those alike, a caller that has not
    /// said a whole ClientHello has to go. Each costs a socket and up to 20 KiB.
    pub handshakes: usize,
    /// Those of them from one address (IPv6: a /64 network, which one customer has), 128: two
    /// clients of 64 stripes behind one address. If one more calls, one from there has to go.
    pub handshakes_per_address: usize,
    /// How long a caller may take to say who it is, 5 s: from its acceptance, with all that is
    /// needed for it. Nothing of a session exists before.
    pub handshake_time: Duration,
    /// Sessions at once, 256. If a client asks for one more, those that have neither stripes nor
    /// flows have to go; else it is refused. Each has a floor of 240 KiB beside the memory limit.
    pub sessions: usize,
    /// Those of them from callers with one and the same key, 128: half of all. Callers without a
    /// key are not told apart, and have all.
    pub sessions_per_key: usize,
    /// Stripes of one session at once, 1–64; 64.
    pub stripes: usize,
    /// Flows that clients have opened and nobody has answered, 1,024. Beyond it new ones are
    /// refused: each may cost a connection to the target. Where several keys are accepted, those of
    /// one may be as many as it leaves free.
    pub unanswered: usize,
    /// Bytes of the memory limit that one session may use; half of it if none is said.
    pub memory_per_session: Option<u64>,
    /// File descriptors that are not used for stripes, 32, but at most a quarter of the process's
    /// limit. While fewer are left, callers wait, so that targets, names and files can have some.
    pub spare_files: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            handshakes: 256,
            handshakes_per_address: 128,
            handshake_time: Duration::from_secs(5),
            sessions: 256,
            sessions_per_key: 128,
            stripes: MAX_STRIPES,
            unanswered: 1024,
            memory_per_session: None,
            spare_files: 32,
        }
    }
}
