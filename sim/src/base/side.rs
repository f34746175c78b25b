//! One of the two proxies.
//!
//! Invariant: a pair of values is an array of two, with the client's first. A direction has the
//! number of the side that writes.

use striper_core::Role;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Side {
    #[default]
    Client,
    Server,
}

impl Side {
    pub const BOTH: [Side; 2] = [Side::Client, Side::Server];

    pub fn other(self) -> Side {
        match self {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        }
    }

    /// Its place in an array of two, and the number of the direction *from* it.
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
