//! The peer at the other end of a pipe, if it had to prove its key.

use std::sync::Arc;

/// The public half of a key: 32 bytes of Ed25519 (RFC 8032).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

/// The name of a key's owner, for logs and the status.
pub type PeerName = Arc<str>;

/// Somebody who has proven to have an accepted key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peer {
    /// Our side's name for the key.
    pub name: PeerName,
    /// Its public half.
    pub key: PublicKey,
}
