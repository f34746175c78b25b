//! The programs that may be at the other end of a failed connection, and cures.

use striper_core::{HandshakeError, Refusal};
use striper_runtime::{DialError, Past, StripeRefusal, TlsError};

pub(super) fn cure(cause: &DialError, past: Past) -> &'static str {
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
            " (it has been reached before: striper-cli -s may hang there)"
        }
        DialError::UnknownHost => " (check its name)",
        DialError::Refused => {
            " (is striper-cli -s running there, and does it listen on this address and not only \
             on loopback?)"
        }
        DialError::Unreachable => " (check the address and the routes)",
        DialError::TimedOut => " (check the address; a firewall may drop the packets)",
        DialError::Closed => {
            " (the port may belong to another program, or a firewall is in between)"
        }
        DialError::NoHello | DialError::Tls(TlsError::Other(_)) => {
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
        // The others have their cure in their own text, if there is one.
        _ => "",
    }
}

/// The kind of a caller's mistake: garbage must not hide an honest caller's mistake.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Cause {
    /// It spoke a protocol that is unknown here.
    Garbage,
    Http,
    Ssh,
    Hello,
    NoKey,
    /// The two sides did not accept each other's keys.
    WrongKey,
    Tls,
    /// It came back to a server that is stopping or has been restarted.
    Returned,
    /// The server refused it for another reason.
    Refused,
    Crowded,
    Stalled,
    Gone,
}

impl Cause {
    pub(super) fn of(error: &StripeRefusal) -> Self {
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

/// The program that has probably called a stripe port, if it was no striper.
pub(super) fn visitor(error: &StripeRefusal) -> &'static str {
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
            " (a browser or another HTTP client; it should connect to the port of striper-cli -c)"
        }
        Some(Protocol::Ssh) => " (an ssh client; it should connect to the port of striper-cli -c)",
        Some(Protocol::Tls) => {
            " (such as a browser with https; it should connect to the port of striper-cli -c)"
        }
        None => {
            " (programs should connect to the port of striper-cli -c; this port is for stripes)"
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Protocol {
    Http,
    Ssh,
    Tls,
}

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
    fn programs_of_other_protocols_are_recognised_on_either_end() {
        let said = |first: &[u8]| HandshakeError::NotStriper { first: first.to_vec() };
        for (error, part) in [
            (said(b"GET / HTTP/1.1\r\n"), "browser"),
            (said(b"SSH-2.0-OpenSSH_9.9\r\n"), "ssh client"),
            (HandshakeError::Tls, "browser with https"),
            (said(b"\0\0\0"), "for stripes"),
        ] {
            let text = visitor(&StripeRefusal::Handshake(error));
            assert!(text.contains(part), "{text}");
        }
        assert_eq!(visitor(&StripeRefusal::Stalled), "");
        for (first, part) in [
            (&b"SSH-2.0-OpenSSH_9.9\r\n"[..], "an ssh server"),
            (b"HTTP/1.1 400 Bad", "a web server"),
        ] {
            let text = cure(&DialError::Handshake(said(first)), Past::Unmet);
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn a_server_with_a_malformed_hello_is_probably_the_wrong_port() {
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
