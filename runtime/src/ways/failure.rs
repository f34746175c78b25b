//! Why a target was not reached, as far as an answer to a program can tell it.

use crate::ports::DialError;
use crate::report::{Cut, FlowEnd, OpenError};
use std::fmt;
use striper_core::{EndReason, Reason, Refusal};

/// Why a target was not reached.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Failure {
    /// Nobody listens there.
    Refused,
    /// There is no way there.
    Unreachable,
    /// The server does not offer it.
    NotAllowed,
    /// Its name is unknown.
    UnknownHost,
    /// It did not answer in time.
    TimedOut,
    /// The striper server can't be reached, or was lost.
    NoServer,
    /// The two striper proxies don't accept each other's keys.
    WrongKey,
    /// One of the two striper proxies is stopping, or short of a resource.
    Draining,
    /// Another reason.
    Other,
}

impl Failure {
    /// The failure of a flow that ended thus before its target was reached.
    pub fn of(end: &FlowEnd) -> Failure {
        match end {
            FlowEnd::Refused(reason) | FlowEnd::Reset(reason) => Failure::of_reason(*reason),
            FlowEnd::Cut(Cut::Stopped | Cut::Ended(EndReason::PeerClosed)) => Failure::Draining,
            FlowEnd::Cut(Cut::Revoked) => Failure::WrongKey,
            FlowEnd::Cut(Cut::Denied) => Failure::NotAllowed,
            FlowEnd::Cut(Cut::Forgotten | Cut::Ended(_)) => Failure::NoServer,
            FlowEnd::NoSession(OpenError::Unreachable(cause)) => Failure::of_dial(cause),
            FlowEnd::NoSession(OpenError::TimedOut) => Failure::NoServer,
            FlowEnd::NoSession(OpenError::ShuttingDown | OpenError::ServerStopping) => {
                Failure::Draining
            }
            FlowEnd::Cut(Cut::Closed)
            | FlowEnd::NoSession(OpenError::BadTarget(_))
            | FlowEnd::Finished => Failure::Other,
        }
    }

    fn of_reason(reason: Reason) -> Failure {
        match reason {
            Reason::ConnectionRefused => Failure::Refused,
            Reason::Unreachable => Failure::Unreachable,
            Reason::TimedOut => Failure::TimedOut,
            Reason::UnknownHost => Failure::UnknownHost,
            Reason::NotAllowed => Failure::NotAllowed,
            Reason::Unavailable => Failure::Draining,
            Reason::SessionLost => Failure::NoServer,
            _ => Failure::Other,
        }
    }

    fn of_dial(cause: &DialError) -> Failure {
        match cause {
            DialError::Tls(_) | DialError::Refusal(Refusal::KeyNeeded | Refusal::NoKey) => {
                Failure::WrongKey
            }
            DialError::Refusal(Refusal::Draining) => Failure::Draining,
            _ => Failure::NoServer,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Failure::Refused => "the target refused the connection",
            Failure::Unreachable => "the target is unreachable",
            Failure::NotAllowed => "the server does not allow this target",
            Failure::UnknownHost => "the target's name is unknown",
            Failure::TimedOut => "the target did not answer in time",
            Failure::NoServer => "the proxy can't reach its server",
            Failure::WrongKey => "the proxy and its server don't accept each other's keys",
            Failure::Draining => "the proxy or its server is stopping or short of resources",
            Failure::Other => "the connection to the target failed",
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::target::TargetError;
    use crate::tls::TlsError;

    pub(in crate::ways) const ALL: [Failure; 9] = [
        Failure::Refused,
        Failure::Unreachable,
        Failure::NotAllowed,
        Failure::UnknownHost,
        Failure::TimedOut,
        Failure::NoServer,
        Failure::WrongKey,
        Failure::Draining,
        Failure::Other,
    ];

    #[test]
    fn each_end_of_a_flow_has_its_failure() {
        let unreachable = |cause| FlowEnd::NoSession(OpenError::Unreachable(cause));
        for (end, expected) in [
            (FlowEnd::Refused(Reason::ConnectionRefused), Failure::Refused),
            (FlowEnd::Refused(Reason::Unreachable), Failure::Unreachable),
            (FlowEnd::Refused(Reason::TimedOut), Failure::TimedOut),
            (FlowEnd::Refused(Reason::UnknownHost), Failure::UnknownHost),
            (FlowEnd::Refused(Reason::NotAllowed), Failure::NotAllowed),
            (FlowEnd::Refused(Reason::Unavailable), Failure::Draining),
            (FlowEnd::Refused(Reason::Other(99)), Failure::Other),
            (FlowEnd::Reset(Reason::Aborted), Failure::Other),
            (FlowEnd::Reset(Reason::SessionLost), Failure::NoServer),
            (FlowEnd::Cut(Cut::Stopped), Failure::Draining),
            (FlowEnd::Cut(Cut::Revoked), Failure::WrongKey),
            (FlowEnd::Cut(Cut::Denied), Failure::NotAllowed),
            (FlowEnd::Cut(Cut::Forgotten), Failure::NoServer),
            (FlowEnd::Cut(Cut::Ended(EndReason::PeerClosed)), Failure::Draining),
            (FlowEnd::Cut(Cut::Ended(EndReason::NoStripe)), Failure::NoServer),
            (unreachable(DialError::Tls(TlsError::UnknownKey)), Failure::WrongKey),
            (unreachable(DialError::Refusal(Refusal::KeyNeeded)), Failure::WrongKey),
            (unreachable(DialError::Refusal(Refusal::NoKey)), Failure::WrongKey),
            (unreachable(DialError::Refusal(Refusal::Draining)), Failure::Draining),
            (unreachable(DialError::Refusal(Refusal::Version)), Failure::NoServer),
            (unreachable(DialError::UnknownHost), Failure::NoServer),
            (unreachable(DialError::Refused), Failure::NoServer),
            (FlowEnd::NoSession(OpenError::TimedOut), Failure::NoServer),
            (FlowEnd::NoSession(OpenError::ShuttingDown), Failure::Draining),
            (FlowEnd::NoSession(OpenError::ServerStopping), Failure::Draining),
            (FlowEnd::NoSession(OpenError::BadTarget(TargetError::BadHost)), Failure::Other),
            (FlowEnd::Finished, Failure::Other),
        ] {
            assert_eq!(Failure::of(&end), expected, "{end:?}");
        }
    }
}
