//! Which of the two proxies is meant.
//!
//! Invariant: what is kept for both is an array of two with the client's first, and a way between
//! them has the number of the side that writes.

use striper_core::Role;

/// One of the two proxies.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Side {
    /// The one that dials the stripes.
    Client,
    /// The one that accepts them.
    Server,
}

impl Side {
    /// Both, the client first.
    pub const BOTH: [Side; 2] = [Side::Client, Side::Server];

    /// The other one.
    pub fn other(self) -> Side {
        match self {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        }
    }

    /// Its place in an array of two; also the number of the way *from* it.
    pub fn index(self) -> usize {
        self as usize
    }
}

impl From<Role> for Side {
    fn from(role: Role) -> Self {
        match role {
            Role::Client => Side::Client,
            Role::Server { .. } => Side::Server,
        }
    }
}
