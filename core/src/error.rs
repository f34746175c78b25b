//! Causes of failures, sorted by blame: the peer, the environment, or the program that uses the
//! engine (which panics).

use core::fmt;

/// An offence of the peer against the protocol. Each ends the session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Violation {
    /// A varint of more than nine bytes, at or above 2^62, or longer than it needs to be.
    BadVarint,
    /// A frame longer than its type or the protocol allows.
    FrameTooLong,
    /// A frame whose fields do not fill its length, or overrun it.
    MalformedFrame,
    /// A frame of a type that we don't know and that its sender marked as critical.
    UnknownCriticalFrame,
    /// An OPEN with an opaque field of more than 512 bytes.
    OpaqueTooLong,
    /// A flow id beyond the highest that we granted.
    FlowNotGranted,
    /// A frame for a flow of ours that we have never opened, or of a kind that only its opener
    /// sends.
    UnknownFlow,
    /// Data beyond the credit that we gave for its flow.
    CreditExceeded,
    /// More early credit taken in OPENs than we granted.
    EarlyCreditExceeded,
    /// A byte offset beyond 2^62.
    OffsetTooLarge,
    /// A FIN or RESET that contradicts an earlier one, or data beyond it.
    FinalOffsetChanged,
    /// More disjoint pieces out of order than an honest sender makes.
    TooManyGaps,
    /// An acknowledgement for a stripe that was never up, or for bytes that were never sent.
    BadAcknowledgement,
    /// More stripes gone and not confirmed than we are willing to remember.
    TooManyGoneStripes,
    /// More bytes of control than [`crate::Config::control_burst`] and what flows, payload and time
    /// add to it allow.
    Flood,
    /// A later stripe reached a server that has lost this session's state.
    InstanceChanged,
}

/// Whether the peer has kept to the protocol.
pub(crate) type Verdict = Result<(), Violation>;

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Violation::BadVarint => "a malformed integer",
            Violation::FrameTooLong => "a frame over the size limit",
            Violation::MalformedFrame => "a malformed frame",
            Violation::UnknownCriticalFrame => {
                "a frame type that this version doesn't know but must not skip"
            }
            Violation::OpaqueTooLong => "a target description over 512 bytes",
            Violation::FlowNotGranted => "a connection id beyond those granted",
            Violation::UnknownFlow => "a frame for a connection that does not exist",
            Violation::CreditExceeded => "more data than its credit",
            Violation::EarlyCreditExceeded => "more early credit than granted",
            Violation::OffsetTooLarge => "a byte offset beyond 2^62",
            Violation::FinalOffsetChanged => {
                "data beyond the end of a stream, or two different ends"
            }
            Violation::TooManyGaps => "too many pieces out of order",
            Violation::BadAcknowledgement => "an acknowledgement of bytes that were never sent",
            Violation::TooManyGoneStripes => "too many lost stripes without confirming any",
            Violation::Flood => {
                "a flood of control frames, more than its data and its flows explain"
            }
            Violation::InstanceChanged => "a new state: the server has been restarted",
        })
    }
}

impl core::error::Error for Violation {}

/// Why a flow was reset or refused, as it travels on the wire. Unknown numbers are kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Reason {
    /// The local connection was reset by its other end, or broke.
    Aborted,
    /// The connection to the target was refused.
    ConnectionRefused,
    /// The target could not be reached.
    Unreachable,
    /// The connection to the target took too long.
    TimedOut,
    /// The target's name is unknown.
    UnknownHost,
    /// The server does not offer this target.
    NotAllowed,
    /// The other side is out of a resource, or shutting down.
    Unavailable,
    /// The session ended before the flow did. Never sent.
    SessionLost,
    /// A number that this version doesn't know.
    Other(u64),
}

impl Reason {
    /// The number on the wire.
    pub fn code(self) -> u64 {
        match self {
            Reason::Aborted => 0,
            Reason::ConnectionRefused => 1,
            Reason::Unreachable => 2,
            Reason::TimedOut => 3,
            Reason::UnknownHost => 4,
            Reason::NotAllowed => 5,
            Reason::Unavailable => 6,
            Reason::SessionLost => 7,
            Reason::Other(code) => code,
        }
    }

    /// The reason with this number.
    pub fn from_code(code: u64) -> Self {
        match code {
            0 => Reason::Aborted,
            1 => Reason::ConnectionRefused,
            2 => Reason::Unreachable,
            3 => Reason::TimedOut,
            4 => Reason::UnknownHost,
            5 => Reason::NotAllowed,
            6 => Reason::Unavailable,
            7 => Reason::SessionLost,
            other => Reason::Other(other),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::Aborted => "connection reset",
            Reason::ConnectionRefused => "connection to the target refused",
            Reason::Unreachable => "target unreachable",
            Reason::TimedOut => "connection to the target timed out",
            Reason::UnknownHost => "target's name unknown",
            Reason::NotAllowed => "target not allowed",
            Reason::Unavailable => "a side is short of resources or stopping: both logs say more",
            Reason::SessionLost => "session lost",
            Reason::Other(code) => return write!(f, "reason {code}"),
        })
    }
}

impl core::error::Error for Reason {}

/// Why a session ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum EndReason {
    /// This side was told to shut down and all flows have ended.
    Shutdown,
    /// This side was told to stop at once.
    Aborted,
    /// The peer said that the session is over.
    PeerClosed,
    /// The peer said that we broke the protocol.
    PeerComplained,
    /// No stripe for the whole resume limit.
    NoStripe,
    /// The peer broke the protocol.
    Violation(Violation),
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EndReason::Shutdown => f.write_str("shut down"),
            EndReason::Aborted => f.write_str("stopped"),
            EndReason::PeerClosed => f.write_str("closed by the peer"),
            EndReason::PeerComplained => {
                f.write_str("the peer reports a protocol violation by this side")
            }
            EndReason::NoStripe => f.write_str("no stripe came back in time"),
            EndReason::Violation(violation) => write!(f, "the peer sent {violation}"),
        }
    }
}

impl core::error::Error for EndReason {}

/// Why a stripe was closed by the session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum StripeClose {
    /// No acknowledgement for [`crate::Config::stall_limit`] while data was outstanding.
    Stalled,
    /// The peer says that it is gone.
    PeerGone,
    /// The session has ended.
    SessionEnded,
}

impl fmt::Display for StripeClose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StripeClose::Stalled => "nothing acknowledged any more",
            StripeClose::PeerGone => "the other side lost it",
            StripeClose::SessionEnded => "session ended",
        })
    }
}
