//! Who may talk to whom: keys.

/// The public half of a key: 32 bytes of Ed25519 (RFC 8032).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PublicKey(pub [u8; 32]);
