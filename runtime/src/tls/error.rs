//! Errors of TLS, in words that tell a user what to do.

use rustls::{AlertDescription, Error, PeerMisbehaved};
use std::fmt;
use std::io;

/// Why a TLS connection did not come about, or broke.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum TlsError {
    /// The other side has shown a key that is not accepted here.
    UnknownKey,
    /// The other side does not accept the key that we have shown.
    KeyRefused,
    /// The other side speaks striper's protocol without TLS: it has no key.
    Plain,
    /// The other side speaks neither; its first bytes, at most 64.
    NotTls {
        /// The bytes that it sent.
        first: Vec<u8>,
    },
    /// No version of striper's protocol in common, or TLS for another purpose.
    NoCommonProtocol,
    /// It ended without saying so: it may have been cut.
    Truncated,
    /// The handshake takes more bytes than any honest one.
    TooLong,
    /// The received bytes were damaged or forged, or broke the rules of TLS.
    Other(String),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TlsError::UnknownKey => {
                "the other side shows a key that is not accepted here: \
                give both sides the same key file, or list its public key in --peers"
            }
            TlsError::KeyRefused => {
                "the other side does not accept our key: \
                give both sides the same key file, or list our public key in its --peers"
            }
            TlsError::Plain => {
                "the other side uses no key, this one does: \
                give it the same key file, -k FILE"
            }
            TlsError::NotTls { first } => {
                let said = first.escape_ascii();
                return write!(f, "the other end speaks no TLS: it said \"{said}\"");
            }
            TlsError::NoCommonProtocol => {
                "the other end is no striper but speaks TLS, \
                or a striper too far from this version: then install the newer one on both sides"
            }
            TlsError::Truncated => "the connection was cut",
            TlsError::TooLong => "a TLS handshake over the size limit",
            TlsError::Other(cause) => return write!(f, "TLS: {cause}"),
        })
    }
}

impl std::error::Error for TlsError {}

impl From<Error> for TlsError {
    fn from(error: Error) -> Self {
        match error {
            Error::InvalidCertificate(_) => TlsError::UnknownKey,
            Error::NoCertificatesPresented => TlsError::UnknownKey,
            Error::AlertReceived(
                AlertDescription::AccessDenied
                | AlertDescription::BadCertificate
                | AlertDescription::CertificateUnknown
                | AlertDescription::CertificateRequired
                | AlertDescription::DecryptError,
            ) => TlsError::KeyRefused,
            Error::NoApplicationProtocol
            | Error::AlertReceived(
                AlertDescription::NoApplicationProtocol
                | AlertDescription::ProtocolVersion
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::HandshakeFailure
                | AlertDescription::MissingExtension,
            )
            | Error::PeerIncompatible(_)
            | Error::PeerMisbehaved(PeerMisbehaved::SelectedUnofferedApplicationProtocol) => {
                TlsError::NoCommonProtocol
            }
            other => TlsError::Other(other.to_string()),
        }
    }
}

impl From<TlsError> for io::Error {
    fn from(error: TlsError) -> Self {
        let kind = match error {
            TlsError::Truncated => io::ErrorKind::UnexpectedEof,
            _ => io::ErrorKind::InvalidData,
        };
        io::Error::new(kind, error)
    }
}

impl TlsError {
    /// The cause of an error that a pipe has returned, if that was TLS.
    pub fn of(error: &io::Error) -> Option<&TlsError> {
        error.get_ref()?.downcast_ref()
    }
}
