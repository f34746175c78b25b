//! The words for a user: events as they happen, a report for each flow, a status when asked.

use crate::pipe::{Adapted, PeerName, TcpStatus};
use crate::ports::DialError;
use crate::target::HostPort;
use crate::tls::TlsError;
use ring::digest::{SHA256, digest};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use striper_core::{
    EndReason, FlowId, FlowStats, FlowWait, HandshakeError, Reason, Refusal, SessionId, Stats,
    StripeClose, StripeId,
};

/// Tells sessions apart in logs, and is the same on both sides. Nothing of the session's id can be
/// learned from it: that is the key to its door, so it is said nowhere but on its stripes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SessionTag(pub [u8; 4]);

impl SessionTag {
    /// The first four bytes of the SHA-256 of an id, which has 128 random bits.
    pub fn of(id: SessionId) -> Self {
        let digest = digest(&SHA256, &id.0);
        SessionTag(digest.as_ref().first_chunk().copied().unwrap_or_default())
    }
}

impl fmt::Display for SessionTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Something that a log should have.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// The first stripe of a new session is up.
    SessionStarted {
        /// The session's name in logs.
        session: SessionTag,
        /// The peer, if it had to prove its key.
        peer: Option<PeerName>,
        /// The other end of its first stripe.
        from: Option<SocketAddr>,
    },
    /// A session with flows has lost its last stripe. They stand still until one is back.
    SessionStranded {
        /// The session's name in logs.
        session: SessionTag,
        /// The peer, if it had to prove its key.
        peer: Option<PeerName>,
        /// The other end of its last stripe.
        from: Option<SocketAddr>,
        /// How many flows it has.
        flows: usize,
        /// How long it waits for a stripe.
        wait: Duration,
    },
    /// A session has a stripe again, after [`Event::SessionStranded`].
    SessionResumed {
        /// The session's name in logs.
        session: SessionTag,
        /// How many flows it has.
        flows: usize,
    },
    /// The other side of a session with flows lets these finish and takes no more.
    PeerStopping {
        /// The session's name in logs.
        session: SessionTag,
        /// How many flows it has.
        flows: usize,
    },
    /// A session is over, its flows are reset. A client starts a new one when it is next needed.
    SessionEnded {
        /// The session's name in logs.
        session: SessionTag,
        /// The reason of its end.
        reason: EndReason,
        /// This side ended it, because the key of the other side is no longer accepted.
        revoked: bool,
        /// How many flows were reset.
        flows: usize,
    },
    /// Client: the server has been reached and doesn't know the session, most likely because it has
    /// been restarted. As [`Event::SessionEnded`].
    SessionForgotten {
        /// The session's name in logs.
        session: SessionTag,
        /// How many flows were reset.
        flows: usize,
    },
    /// A stripe carries data now.
    StripeUp {
        /// The name of its session in logs.
        session: SessionTag,
        /// Its number in the session.
        stripe: StripeId,
        /// Its place among the session's stripes, from 1.
        place: usize,
        /// The other end.
        peer: Option<SocketAddr>,
        /// How many stripes the session has now.
        live: usize,
        /// How many it is meant to have (a server, which doesn't know, says `live`).
        wanted: usize,
    },
    /// A stripe is no more.
    StripeLost {
        /// The name of its session in logs.
        session: SessionTag,
        /// Its number in the session.
        stripe: StripeId,
        /// Its place among the session's stripes, from 1.
        place: usize,
        /// The other end.
        peer: Option<SocketAddr>,
        /// How many stripes the session has now.
        live: usize,
        /// How many it is meant to have (a server, which doesn't know, says `live`).
        wanted: usize,
        /// The reason of its loss.
        reason: StripeLoss,
    },
    /// The congestion control of the stripes between two addresses has been changed, or could not
    /// be.
    StripesAdapted {
        /// The name of their session in logs.
        session: SessionTag,
        /// The number of the stripe that has given rise to it.
        stripe: StripeId,
        /// Its place among the session's stripes, from 1.
        place: usize,
        /// Its other end.
        peer: Option<SocketAddr>,
        /// How many stripes of the session that is.
        stripes: usize,
        /// Whether that is because packets are lost without a queue, or because no longer.
        lossy: bool,
        /// The share of packets that were lost of late, from 0 to 1.
        lost: f64,
        /// The change, never [`Adapted::Kept`].
        adapted: Adapted,
    },
    /// Client: a dial has failed.
    PeerUnreachable {
        /// Where the server should be.
        server: HostPort,
        /// The error.
        cause: DialError,
        /// Our knowledge of the server.
        past: Past,
        /// No dial has failed alike since the server was last reached.
        news: bool,
    },
    /// Client: the server has been reached, after [`Event::PeerUnreachable`].
    PeerReached {
        /// Where it is.
        server: HostPort,
    },
    /// Server: sessions kept more memory than they may, and this one the most.
    MemoryShort {
        /// The session's name in logs.
        session: SessionTag,
        /// So many of its flows have been reset.
        flows: usize,
        /// That was not enough, and it ends.
        ended: bool,
    },
    /// Server: a connection to the stripe port has been turned away.
    StripeRefused {
        /// The address of the caller.
        from: SocketAddr,
        /// The error of the caller.
        error: StripeRefusal,
    },
    /// Connections can't be accepted at the moment. Said once until it works again; attempts go on.
    AcceptFailed {
        /// The error of the operating system.
        error: io::Error,
    },
    /// A trace is not written any further. Said once a trace; the session goes on.
    TraceStopped {
        /// The file, which has what was recorded so far.
        path: PathBuf,
        /// The error, in words.
        cause: String,
    },
}

/// The knowledge that a client has of a server that it can't reach.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Past {
    /// It has never been reached.
    Unmet,
    /// It has been reached before.
    Met,
    /// It has said that it stops, or has ended the last session.
    Stopped,
}

/// Why a stripe was lost.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum StripeLoss {
    /// The session gave it up.
    Closed(StripeClose),
    /// The other side closed it.
    ClosedByPeer,
    /// It broke.
    Broken(io::ErrorKind),
}

impl fmt::Display for StripeLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StripeLoss::Closed(reason) => reason.fmt(f),
            StripeLoss::ClosedByPeer => f.write_str("closed by the other side"),
            StripeLoss::Broken(kind) => kind.fmt(f),
        }
    }
}

/// Why a server turned a stripe away.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum StripeRefusal {
    /// It did not begin with a HELLO for us.
    Handshake(HandshakeError),
    /// It did not prove to have an accepted key.
    Tls(TlsError),
    /// It did not say all of its HELLO within the limit.
    Stalled,
    /// Too many others were shaking hands at the same time; the oldest had to go.
    Crowded,
    /// It was closed before its HELLO was complete.
    Closed,
    /// It broke before its HELLO was complete.
    Broken(io::ErrorKind),
    /// Its HELLO asked for what we don't give.
    Refused(Refusal),
}

impl fmt::Display for StripeRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StripeRefusal::Handshake(error) => error.fmt(f),
            StripeRefusal::Tls(error) => error.fmt(f),
            StripeRefusal::Stalled => f.write_str("no complete HELLO in time"),
            StripeRefusal::Crowded => f.write_str("too many unfinished handshakes"),
            StripeRefusal::Closed => f.write_str("closed before its HELLO was complete"),
            StripeRefusal::Broken(kind) => write!(f, "broke before its HELLO was complete: {kind}"),
            StripeRefusal::Refused(refusal) => refusal.fmt(f),
        }
    }
}

/// How a flow came to its end.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum FlowEnd {
    /// Both directions ended with a FIN, and all data has arrived.
    Finished,
    /// It was reset, by either end or on the way.
    Reset(Reason),
    /// It was reset, because this side was told so or its session ended before it did.
    Cut(Cut),
    /// The other side refused it: its target can't be reached or is not offered.
    Refused(Reason),
    /// There was no session to carry it, and this is why.
    NoSession(OpenError),
}

impl fmt::Display for FlowEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FlowEnd::Finished => f.write_str("finished"),
            FlowEnd::Reset(reason) => write!(f, "reset: {reason}"),
            FlowEnd::Cut(cut) => write!(f, "reset: {cut}"),
            FlowEnd::Refused(reason) => write!(f, "refused: {reason}"),
            FlowEnd::NoSession(error) => error.fmt(f),
        }
    }
}

/// Why this side reset a flow that could have gone on, or why its session ended before it did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Cut {
    /// This side was told to stop, and the time to finish was over.
    Stopped,
    /// This side was told to close the flow.
    Closed,
    /// The key of the other side is no longer accepted.
    Revoked,
    /// No rule of this side allows its target any more.
    Denied,
    /// Client: the server does not know the session any more.
    Forgotten,
    /// Another reason.
    Ended(EndReason),
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cut::Stopped => f.write_str("this side has stopped"),
            Cut::Closed => f.write_str("this side was told to close it"),
            Cut::Revoked => f.write_str("the other side's key is no longer accepted"),
            Cut::Denied => f.write_str("the rules no longer allow its target"),
            Cut::Forgotten => f.write_str("the server has been restarted"),
            Cut::Ended(EndReason::PeerClosed) => f.write_str("the other side ended the session"),
            Cut::Ended(reason) => write!(f, "session lost: {reason}"),
        }
    }
}

/// Why a flow could not be opened.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// The server can't be reached; the last attempt said this.
    Unreachable(DialError),
    /// No session within [`connect_timeout`](crate::ClientBuilder::connect_timeout).
    TimedOut,
    /// The same, because the server is stopping and nothing has taken its place.
    ServerStopping,
    /// This client or its session is shutting down.
    ShuttingDown,
    /// The target can't be described to the server.
    BadTarget(crate::target::TargetError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Unreachable(cause) => write!(f, "server unreachable: {cause}"),
            OpenError::TimedOut => f.write_str("no connection to the server in time"),
            OpenError::ServerStopping => f.write_str("the server is stopping"),
            OpenError::ShuttingDown => f.write_str("shutting down"),
            OpenError::BadTarget(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for OpenError {}

/// The end of a flow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FlowReport {
    /// Bytes taken from the local pipe.
    pub sent: u64,
    /// Bytes that the local pipe has taken.
    pub received: u64,
    /// From its request to its end.
    pub duration: Duration,
    /// How it ended.
    pub end: FlowEnd,
    /// The bytes that the busiest stripe carried meanwhile, both ways and for all flows.
    pub best_stripe: u64,
}

impl FlowReport {
    /// That of a flow whose pump has gone away with its executor.
    pub(crate) fn stopped() -> FlowReport {
        let end = FlowEnd::NoSession(OpenError::ShuttingDown);
        FlowReport { sent: 0, received: 0, duration: Duration::ZERO, end, best_stripe: 0 }
    }
}

/// The state of a client or server.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// The sessions that exist now: at most one for a client.
    pub sessions: Vec<SessionStatus>,
    /// Client: why the last dial failed, if it did.
    pub last_dial_error: Option<DialError>,
    /// The sums of sessions that have ended. With those of the sessions that exist, they never go
    /// down.
    pub ended: EndedSessions,
}

/// The sums of sessions that have ended; each is the sum of a field of [`Stats`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct EndedSessions {
    /// How many they are.
    pub sessions: u64,
    /// Of [`Stats::payload_sent`].
    pub payload_sent: u64,
    /// Of [`Stats::payload_resent`].
    pub payload_resent: u64,
    /// Of [`Stats::payload_delivered`].
    pub payload_delivered: u64,
    /// Of [`Stats::stripes_lost`].
    pub stripes_lost: u64,
}

impl EndedSessions {
    /// One more session has ended, with these counts.
    pub(crate) fn add(&mut self, stats: &Stats) {
        self.sessions += 1;
        self.payload_sent += stats.payload_sent;
        self.payload_resent += stats.payload_resent;
        self.payload_delivered += stats.payload_delivered;
        self.stripes_lost += stats.stripes_lost;
    }
}

/// The state of a session.
#[derive(Clone, Debug)]
pub struct SessionStatus {
    /// The session's name in logs.
    pub session: SessionTag,
    /// The peer, if it had to prove its key.
    pub peer: Option<PeerName>,
    /// Its own counts.
    pub stats: Stats,
    /// Stripes that carry data now.
    pub live: usize,
    /// The place of each among the session's stripes, from 1. A replacement takes the old place.
    pub places: BTreeMap<StripeId, usize>,
    /// The other end of those that have an address.
    pub peers: BTreeMap<StripeId, SocketAddr>,
    /// The memory that is used beyond the floors, in bytes: credit that was given and not used up
    /// by local programs, and data of local programs.
    pub memory: (u64, u64),
    /// How long its flows will yet be kept, if they stand still because it has no stripe.
    pub kept_for: Option<Duration>,
    /// The facts of TCP about those of them that it carries.
    pub tcp: BTreeMap<StripeId, TcpStatus>,
}

/// The state of a flow that carries a connection.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct FlowStatus {
    /// The name of its session in logs.
    pub session: SessionTag,
    /// Its number in the session, as long as that knows it.
    pub flow: Option<FlowId>,
    /// The name that its user gave it.
    pub label: Option<u64>,
    /// The time since it was asked for.
    pub age: Duration,
    /// Bytes taken from the local pipe.
    pub sent: u64,
    /// Bytes that the local pipe has taken.
    pub received: u64,
    /// Bytes that wait for the local pipe.
    pub waiting: u64,
    /// The counts of the session, as long as that knows it.
    pub stats: Option<FlowStats>,
    /// The thing that the direction to the peer waits for; none while there is no session.
    pub sending: Option<FlowWait>,
    /// The thing that the direction from the peer waits for; none while there is no session.
    pub receiving: Option<FlowWait>,
}
