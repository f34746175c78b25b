//! What can go wrong on purpose: with a route and the connections on it, and with a side's process.
//! A world is told of each before it happens. [`crate::base::kinds`] names what came of it.

use crate::base::side::Side;
use crate::net::link::LinkSpec;
use std::time::Duration;

/// A fault of one route, or the end of one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The route's connections break; what the operating systems held of them is lost.
    Reset {
        /// Who notices. The others write into the void.
        told: Told,
    },
    /// One side closes the route's connections as a program does: what was written still arrives,
    /// then FIN.
    Close {
        /// Which side.
        by: Side,
    },
    /// The route's present connections carry nothing more, new ones do (a NAT that has forgotten
    /// them).
    Forget {
        /// Whether packets from the client, and from the server, vanish.
        from: [bool; 2],
    },
    /// The route carries nothing until [`Fault::Heal`], neither on old nor on new connections.
    Silence {
        /// Whether packets from the client, and from the server, vanish.
        from: [bool; 2],
    },
    /// Each of the route's connections is reset once one side's system has taken so many more
    /// bytes; both notice.
    ResetAfter {
        /// Whose writing counts.
        by: Side,
        /// How much more.
        bytes: u64,
    },
    /// One side's end of each connection writes so many more bytes and then ends with a FIN,
    /// wherever in a frame that is.
    Cut {
        /// Which side.
        by: Side,
        /// How much more.
        bytes: u64,
    },
    /// What leaves a side within this time arrives after it: nothing is lost, all is late.
    Clog {
        /// Whether what comes from the client, and from the server, is held up.
        from: [bool; 2],
        /// For how long.
        time: Duration,
    },
    /// The next so many dials are refused.
    RefuseDials(u32),
    /// The next so many dials are accepted, and closed by the server without a word.
    CloseDials(u32),
    /// From now on the route is like this, from the client and from the server.
    Change(Box<[LinkSpec; 2]>),
    /// The route's silence ends, it is as it was at first again, and dials are taken again. What
    /// was lost stays lost.
    Heal,
}

/// What can happen to a side's process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProcessFault {
    /// The process dies and starts again later, without any memory of before. Its connections
    /// break.
    Crash {
        /// How long it is away.
        down: Duration,
        /// The other side hears of that.
        told: bool,
    },
    /// The process is stopped for so long: its system goes on, it does not. Afterwards it reads
    /// what has come before it looks at its timers, as the driver does.
    Pause(Duration),
    /// The side's clock jumps forward by so much.
    Jump(Duration),
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
