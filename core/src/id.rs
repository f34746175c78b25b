//! Names of sessions, stripes and flows.

use core::fmt;

/// Names a session. The client draws it at random; 128 bits, so that nobody meets or guesses
/// another's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub [u8; 16]);

impl fmt::Debug for SessionId {
    /// Without the id: who has it may join the session, so it has no place in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(..)")
    }
}

/// Names a stripe within its session. The client counts up from 0 and never uses a number twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct StripeId(pub u64);

impl fmt::Display for StripeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An end of a session: the client dials the stripes, the server accepts them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Dials the stripes. Opens flows with odd ids.
    Client,
    /// Accepts the stripes. Opens flows with even ids.
    Server {
        /// Drawn at random when this session's state was made. A client that meets two different
        /// values in one session knows that the server has lost its state in between.
        instance: u64,
    },
}

impl Role {
    /// The low bit of the flow ids that this role opens.
    pub(crate) fn parity(self) -> u64 {
        match self {
            Role::Client => 1,
            Role::Server { .. } => 0,
        }
    }
}

/// Names a flow within its session: `2 * index + parity`, client-opened ids are odd, server-opened
/// ones even. An id is never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FlowId(pub u64);

impl FlowId {
    /// The `index`th flow that `role` opens.
    pub(crate) fn nth(role: Role, index: u64) -> Self {
        FlowId(index * 2 + role.parity())
    }

    /// How many flows its opener had opened before this one.
    pub(crate) fn index(self) -> u64 {
        self.0 / 2
    }

    /// Whether `role` is the one that opens this id.
    pub(crate) fn opened_by(self, role: Role) -> bool {
        self.0 % 2 == role.parity()
    }
}

impl fmt::Display for FlowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
