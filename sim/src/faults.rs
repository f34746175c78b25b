//! What can go wrong with a route and the connections on it. [`crate::world::World::fault`] schedules it.

use crate::app::Side;
use crate::link::LinkSpec;

/// A fault of one route, or the end of one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The route's connections break; what the operating systems held of them is lost.
    Reset {
        /// Who notices. The others write into the void.
        told: Told,
    },
    /// One side closes the route's connections as a program does: what was written still arrives, then FIN.
    Close {
        /// Which side.
        by: Side,
    },
    /// The route's present connections carry nothing more, new ones do (a NAT that has forgotten them).
    Forget {
        /// Whether packets from the client, and from the server, vanish.
        from: [bool; 2],
    },
    /// The route carries nothing until [`Fault::Heal`], neither on old nor on new connections.
    Silence {
        /// Whether packets from the client, and from the server, vanish.
        from: [bool; 2],
    },
    /// The next so many dials are refused.
    RefuseDials(u32),
    /// From now on the route is like this, from the client and from the server.
    Change([LinkSpec; 2]),
    /// The route's silence ends and dials are taken again. What was lost stays lost.
    Heal,
}

/// Who learns of a reset at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Told {
    /// Both sides.
    Both,
    /// One side.
    Only(Side),
}

impl Told {
    /// Whether a side is among them.
    pub fn includes(self, side: Side) -> bool {
        match self {
            Told::Both => true,
            Told::Only(only) => only == side,
        }
    }
}
