//! Who is at the other end when that is no striper of ours, and what to do about it.

use striper_core::{HandshakeError, Refusal};
use striper_runtime::{DialError, Past, StripeRefusal, TlsError};

/// A cure for a server that can't be reached, given its past.
pub fn cure(cause: &DialError, past: Past) -> &'static str {
    match cause {
        // It is the right address.
        DialError::Refused if past != Past::Unmet => {
            " (it has been reached before: striper-cli -s may have been stopped there)"
        }
        DialError::TimedOut if past != Past::Unmet => {
            " (it has been reached before: the route or the machine may be down)"
        }
        DialError::Closed if past != Past::Unmet => {
            " (it has been reached before: it may be stopping, or the route may be broken)"
        }
        DialError::NoHello if past != Past::Unmet => {
            " (it has been reached before: striper-cli -s may stand still there)"
        }
        DialError::UnknownHost => " (check its name)",
        DialError::Refused => {
            " (is striper-cli -s running there, and listening on this address and not only on \
             loopback?)"
        }
        DialError::Unreachable => " (check the address and the routes)",
        DialError::TimedOut => " (check the address; or a firewall drops the packets)",
        DialError::Closed => {
            " (the port may belong to another program, or a firewall is in between)"
        }
        DialError::NoHello => {
            " (the port may belong to another program: it must be where striper-cli -s listens)"
        }
        DialError::Handshake(HandshakeError::NotStriper { first })
        | DialError::Tls(TlsError::NotTls { first }) => match recognise(first) {
            Some(Protocol::Ssh) => {
                " (an ssh server; CONNECT must be the port where striper-cli -s listens)"
            }
            Some(Protocol::Http) => {
                " (a web server; CONNECT must be the port where striper-cli -s listens)"
            }
            _ => " (CONNECT must be the port where striper-cli -s listens)",
        },
        DialError::Handshake(HandshakeError::Malformed | HandshakeError::TooLong) => {
            " (CONNECT must be the port where striper-cli -s listens)"
        }
        DialError::Refusal(Refusal::TooMany) => " (use fewer stripes: -n)",
        DialError::NoFiles(_) => {
            " (raise the limit of open files, ulimit -n, or use fewer stripes: -n)"
        }
        // Their own words say already what to do.
        DialError::Handshake(
            HandshakeError::Tls | HandshakeError::Version { .. } | HandshakeError::UnknownOption,
        ) => "",
        DialError::Tls(TlsError::Other(_)) => {
            " (the port may belong to another program: it must be where striper-cli -s listens)"
        }
        _ => "",
    }
}

/// Why a caller was turned away, coarsely: garbage must not hide an honest caller's mistake.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Cause {
    /// It spoke a protocol that is unknown here.
    Garbage,
    /// It was an HTTP client.
    Http,
    /// It was an ssh client.
    Ssh,
    /// Its HELLO was of no use.
    Hello,
    /// It has no key.
    NoKey,
    /// The two sides did not accept each other's keys.
    WrongKey,
    /// TLS failed in another way.
    Tls,
    /// It came back to a server that stops or has been restarted.
    Returned,
    /// The server said no for another reason.
    Refused,
    /// There were too many callers.
    Crowded,
    /// It said no HELLO in time.
    Stalled,
    /// It hung up, or its connection broke.
    Gone,
}

impl Cause {
    /// The cause of `error`.
    pub fn of(error: &StripeRefusal) -> Self {
        match error {
            StripeRefusal::Handshake(HandshakeError::NotStriper { first })
            | StripeRefusal::Tls(TlsError::NotTls { first }) => match recognise(first) {
                Some(Protocol::Http) => Cause::Http,
                Some(Protocol::Ssh) => Cause::Ssh,
                _ => Cause::Garbage,
            },
            StripeRefusal::Tls(TlsError::Other(_)) => Cause::Garbage,
            StripeRefusal::Handshake(_) => Cause::Hello,
            StripeRefusal::Tls(TlsError::Plain) => Cause::NoKey,
            StripeRefusal::Tls(TlsError::UnknownKey | TlsError::KeyRefused) => Cause::WrongKey,
            StripeRefusal::Tls(_) => Cause::Tls,
            StripeRefusal::Refused(Refusal::Draining | Refusal::UnknownSession) => Cause::Returned,
            StripeRefusal::Refused(_) => Cause::Refused,
            StripeRefusal::Crowded => Cause::Crowded,
            StripeRefusal::Stalled => Cause::Stalled,
            _ => Cause::Gone,
        }
    }
}

/// Who probably called a stripe port, when it was no striper.
pub fn visitor(error: &StripeRefusal) -> &'static str {
    let protocol = match error {
        StripeRefusal::Handshake(HandshakeError::NotStriper { first })
        | StripeRefusal::Tls(TlsError::NotTls { first }) => recognise(first),
        StripeRefusal::Handshake(HandshakeError::Tls) => Some(Protocol::Tls),
        StripeRefusal::Refused(Refusal::TooMany) => {
            return " (raise --limit sessions, sessions-per-key or stripes, or the limit of open \
                    files: ulimit -n; or give the client fewer stripes: -n)";
        }
        _ => return "",
    };
    match protocol {
        Some(Protocol::Http) => {
            " (a browser or another HTTP client: it should connect to the -c side's port)"
        }
        Some(Protocol::Ssh) => " (an ssh client: it should connect to the -c side's port)",
        Some(Protocol::Tls) => {
            " (such as a browser with https: that should connect to the -c side's port)"
        }
        None => " (programs should connect to the -c side's port; this one is for stripes)",
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Protocol {
    Http,
    Ssh,
    Tls,
}

/// Knows common protocols by their first bytes.
fn recognise(first: &[u8]) -> Option<Protocol> {
    const METHODS: [&[u8]; 9] = [
        b"GET ",
        b"HEAD ",
        b"POST ",
        b"PUT ",
        b"DELETE ",
        b"OPTIONS ",
        b"CONNECT ",
        b"PRI * HTTP",
        b"HTTP/1.",
    ];
    if METHODS.iter().any(|method| first.starts_with(method)) {
        Some(Protocol::Http)
    } else if first.starts_with(b"SSH-") {
        Some(Protocol::Ssh)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_of_the_wrong_port_are_recognised() {
        let seen = |first: &[u8]| {
            visitor(&StripeRefusal::Handshake(HandshakeError::NotStriper { first: first.to_vec() }))
        };
        assert!(seen(b"GET / HTTP/1.1\r\n").contains("browser"));
        assert!(seen(b"SSH-2.0-OpenSSH_9.9\r\n").contains("ssh client"));
        assert!(
            visitor(&StripeRefusal::Handshake(HandshakeError::Tls)).contains("browser with https")
        );
        assert!(seen(b"\0\0\0").contains("for stripes"));
        assert_eq!(visitor(&StripeRefusal::Stalled), "");
    }

    #[test]
    fn the_wrong_server_is_recognised() {
        let wrong = |first: &[u8]| {
            let error = HandshakeError::NotStriper { first: first.to_vec() };
            cure(&DialError::Handshake(error), Past::Unmet)
        };
        assert!(wrong(b"SSH-2.0-OpenSSH_9.9\r\n").contains("an ssh server"));
        assert!(wrong(b"HTTP/1.1 400 Bad Request").contains("a web server"));
    }

    #[test]
    fn a_server_whose_hello_makes_no_sense_is_probably_the_wrong_port() {
        for error in [HandshakeError::Malformed, HandshakeError::TooLong] {
            let cure = cure(&DialError::Handshake(error), Past::Unmet);
            assert!(cure.contains("where striper-cli -s listens"), "{cure}");
        }
        for error in [HandshakeError::Version { theirs: 2 }, HandshakeError::UnknownOption] {
            assert!(error.to_string().contains("update"), "{error}");
            assert_eq!(cure(&DialError::Handshake(error), Past::Unmet), "");
        }
    }

    #[test]
    fn a_server_that_has_been_reached_is_not_taken_for_another_program() {
        for error in
            [DialError::Refused, DialError::TimedOut, DialError::Closed, DialError::NoHello]
        {
            let [unmet, met] = [Past::Unmet, Past::Met].map(|past| cure(&error, past));
            assert!(met.contains("it has been reached before"), "{met}");
            assert!(!met.contains("another program") && !met.contains("firewall"), "{met}");
            assert_ne!(unmet, met);
        }
    }
}
