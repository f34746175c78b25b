//! Keys, their files, and the list of peers.
//!
//! There are two kinds of keys. A *shared* key is one secret that both sides have; each derives
//! from it the keys of both roles. A *private* key belongs to one side alone, and the other side
//! lists its public half. Either ends as an Ed25519 key (RFC 8032) that a side shows in TLS and a
//! set of those that it accepts ([`Keys`]).
//!
//! In a file a key is one line, its kind and 64 hexadecimal digits: `striper-shared-key:…`,
//! `striper-private-key:…`. A list of peers has one peer a line, a public key and a name:
//! `striper-public-key:… laptop`. Indented lines below it are rules for the targets of this peer:
//! `allow *.example.org:443`, `deny 10.0.0.0/8:*` or `allow-private`. Blank lines and lines that
//! begin with `#` mean nothing.

mod error;
mod file;
mod list;

pub use crate::pipe::{Peer, PeerName, PublicKey};
pub use error::{BadLine, FileUse, KeyError};
pub use file::{read_key, read_peers, write_key};
pub use list::{Listed, keywords};

use ring::signature::{Ed25519KeyPair, KeyPair};
use ring::{hkdf, rand};
use std::fmt;
use std::str::FromStr;

const SHARED: &str = "striper-shared-key:";
const PRIVATE: &str = "striper-private-key:";
const PUBLIC: &str = "striper-public-key:";

/// The longest name of a peer in bytes: it stands in log lines.
const MAX_NAME: usize = 64;

/// The most public keys in one list.
pub const MAX_PEERS: usize = 4096;

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PUBLIC}{}", hex(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        if text.starts_with(SHARED) {
            return Err(KeyError::Secret(KeyKind::Shared));
        }
        if text.starts_with(PRIVATE) {
            return Err(KeyError::Secret(KeyKind::Private));
        }
        text.strip_prefix(PUBLIC).ok_or_else(|| unknown(text)).and_then(unhex).map(PublicKey)
    }
}

/// The kind of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyKind {
    /// Both sides have it.
    Shared,
    /// One side has it, and the other side its public half.
    Private,
}

/// A secret key.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    kind: KeyKind,
    secret: [u8; 32],
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// The end of a stripe that a derived key is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    Client,
    Server,
}

impl Key {
    /// A new key, from the operating system's random numbers. An error if it has none.
    pub fn generate(kind: KeyKind) -> Result<Key, KeyError> {
        let random = rand::generate(&rand::SystemRandom::new()).map_err(|_| KeyError::NoRandom)?;
        Ok(Key { kind, secret: random.expose() })
    }

    /// Its kind.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The public half, which the other side lists. A shared key has none.
    pub fn public(&self) -> Option<PublicKey> {
        (self.kind == KeyKind::Private).then(|| public_of(&self.secret))
    }

    /// The line that its file has, without a line's end.
    pub fn to_line(&self) -> String {
        let prefix = if self.kind == KeyKind::Shared { SHARED } else { PRIVATE };
        format!("{prefix}{}", hex(&self.secret))
    }

    /// The Ed25519 seed (RFC 8032, section 5.1.5) of the end with this role. A shared key gives
    /// each role its own, derived by HKDF-SHA256 (RFC 5869) without a salt and with the info
    /// `striper/1 client` or `striper/1 server`.
    pub(crate) fn seed(&self, role: Role) -> [u8; 32] {
        let label: &[u8] = match (self.kind, role) {
            (KeyKind::Private, _) => return self.secret,
            (KeyKind::Shared, Role::Client) => b"striper/1 client",
            (KeyKind::Shared, Role::Server) => b"striper/1 server",
        };
        let mut seed = [0; 32];
        let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(&self.secret);
        extracted
            .expand(&[label], hkdf::HKDF_SHA256)
            .and_then(|expanded| expanded.fill(&mut seed))
            .expect("32 bytes are what SHA-256 gives");
        seed
    }
}

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (kind, digits) = if let Some(digits) = text.strip_prefix(SHARED) {
            (KeyKind::Shared, digits)
        } else if let Some(digits) = text.strip_prefix(PRIVATE) {
            (KeyKind::Private, digits)
        } else if text.starts_with(PUBLIC) {
            return Err(KeyError::PublicHalf);
        } else {
            return Err(unknown(text));
        };
        Ok(Key { kind, secret: unhex(digits)? })
    }
}

pub(crate) fn public_of(seed: &[u8; 32]) -> PublicKey {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).expect("any 32 bytes are a seed");
    PublicKey(pair.public_key().as_ref().try_into().expect("32 bytes"))
}

/// A name for lists and logs: 1 to 64 bytes of ASCII letters, digits, `.`, `_`, `-` and `@`.
pub fn peer_name(text: &str) -> Result<PeerName, KeyError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@".contains(&byte);
    if text.is_empty() || text.len() > MAX_NAME || !text.bytes().all(plain) {
        return Err(KeyError::BadName);
    }
    Ok(text.into())
}

/// The keys that one side shows and accepts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Keys {
    own: Vec<(PeerName, Key)>,
    peers: Vec<Listed>,
}

impl Keys {
    /// With this side's keys, each with a name, and the public keys of peers. Shown is the first
    /// key. It accepts a peer that has one of the shared keys or is listed. So a key is replaced in
    /// three steps. The server is given the new key behind the old one. Then clients get the new
    /// key before the old one. Then the old key goes, first on the server.
    ///
    /// An error if there is no key, or if peers are listed that could not know our key.
    pub fn new(own: Vec<(PeerName, Key)>, peers: Vec<Listed>) -> Result<Keys, KeyError> {
        let has = |kind| own.iter().any(|(_, key)| key.kind == kind);
        if own.is_empty() {
            Err(KeyError::NoKey)
        } else if !has(KeyKind::Private) && !peers.is_empty() {
            Err(KeyError::NothingToShow)
        } else {
            Ok(Keys { own, peers })
        }
    }

    /// That somebody is accepted. With a private key and an empty list it accepts nobody.
    pub fn ensure_somebody(&self) -> Result<(), KeyError> {
        let nobody =
            self.peers.is_empty() && self.own.iter().all(|(_, key)| key.kind == KeyKind::Private);
        if nobody { Err(KeyError::NobodyAccepted) } else { Ok(()) }
    }

    /// A single shared key.
    pub fn shared(name: &str, key: Key) -> Result<Keys, KeyError> {
        Keys::new(vec![(peer_name(name)?, key)], Vec::new())
    }

    /// The keys that are accepted at the other end, which has the role `theirs`.
    pub(crate) fn accepted(&self, theirs: Role) -> impl Iterator<Item = (PublicKey, PeerName)> {
        let shared = self.own.iter().filter(|(_, key)| key.kind == KeyKind::Shared);
        let shared = shared.map(move |(name, key)| (public_of(&key.seed(theirs)), name.clone()));
        shared.chain(self.peers.iter().map(|peer| (peer.key, peer.name.clone())))
    }

    /// Our first key, which the other end is shown.
    pub(crate) fn first(&self) -> &Key {
        &self.own[0].1
    }

    #[cfg(test)]
    pub(crate) fn client_name(&self, key: &PublicKey) -> Option<PeerName> {
        self.accepted(Role::Client).find(|(public, _)| public == key).map(|(_, name)| name)
    }

    pub(crate) fn server_name(&self, key: &PublicKey) -> Option<PeerName> {
        self.accepted(Role::Server).find(|(public, _)| public == key).map(|(_, name)| name)
    }

    /// The names by which our own private keys are listed as peers' keys.
    pub fn listed_own(&self) -> impl Iterator<Item = &PeerName> {
        let own = |public| self.own.iter().any(|(_, key)| key.public() == Some(public));
        self.peers.iter().filter(move |peer| own(peer.key)).map(|peer| &peer.name)
    }

    /// The peers that are listed, each with its own rules. These are for the program that connects
    /// flows to targets: nothing here applies them.
    pub fn listed(&self) -> &[Listed] {
        &self.peers
    }
}

fn unknown(line: &str) -> KeyError {
    let small = line.to_ascii_lowercase();
    if [SHARED, PRIVATE, PUBLIC].iter().any(|kind| small.starts_with(kind)) {
        KeyError::Capitals
    } else if line.starts_with("-----BEGIN") || line.starts_with("ssh-") {
        KeyError::OtherProgram
    } else {
        KeyError::Unknown
    }
}

fn hex(bytes: &[u8; 32]) -> String {
    base16ct::lower::encode_string(bytes)
}

fn unhex(digits: &str) -> Result<[u8; 32], KeyError> {
    let mut bytes = [0; 32];
    match base16ct::mixed::decode(digits, &mut bytes) {
        Ok(decoded) if decoded.len() == 32 => Ok(bytes),
        _ => Err(KeyError::BadDigits),
    }
}

#[cfg(test)]
mod tests;
