//! How the log names the other end of a session or stripe, for a person and for programs.

use crate::log::Value;
use std::net::SocketAddr;
use striper_runtime::SessionTag;
use striper_runtime::keys::PeerName;

/// Fields of a line for programs.
pub type Fields = Vec<(&'static str, Value)>;

/// The address of the other end, if it has one.
pub fn with(peer: Option<SocketAddr>) -> String {
    peer.map(|peer| format!(" with {peer}")).unwrap_or_default()
}

/// The other end of a session: its address and its key.
pub fn with_key(from: Option<SocketAddr>, peer: Option<&PeerName>) -> String {
    with(from) + &key(peer)
}

/// The name of the key at the other end, in brackets, if one is needed.
pub fn key(peer: Option<&PeerName>) -> String {
    peer.map(|peer| format!(" (key {peer})")).unwrap_or_default()
}

/// An address as a field.
pub fn address(peer: Option<SocketAddr>) -> Value {
    peer.map(|peer| peer.to_string()).unwrap_or_default().into()
}

/// Which session, and who is at its other end.
pub fn whose_fields(
    session: SessionTag,
    from: Option<SocketAddr>,
    peer: Option<PeerName>,
) -> Fields {
    vec![
        ("session", session.to_string().into()),
        ("peer", address(from)),
        ("key", peer.as_deref().unwrap_or_default().to_owned().into()),
    ]
}
