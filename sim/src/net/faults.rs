//! Faults that are put into a world on purpose: of a route and the connections on it, and of a
//! side's process. [`crate::base::Kind`] names the trouble that came of them.

use crate::base::Side;
use crate::net::LinkSpec;
use std::time::Duration;

/// A fault of one route, or the end of one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The route's connections break, and the bytes that the operating systems held of them are
    /// lost. A side that is not told writes into the void.
    Reset { told: Told },
    /// One side closes the route's connections as a program does: the bytes that were written
    /// still arrive, then FIN.
    Close { by: Side },
    /// The route's present connections carry nothing more, new ones do (a NAT that has forgotten
    /// them). `from` says whether packets from the client, and from the server, vanish.
    Forget { from: [bool; 2] },
    /// The route carries nothing until [`Fault::Heal`], neither on old nor on new connections.
    Silence { from: [bool; 2] },
    /// Each of the route's connections is reset once the system of side `by` has taken so many
    /// more bytes; both notice.
    ResetAfter { by: Side, bytes: u64 },
    /// One side's end of each connection writes so many more bytes and then ends with a FIN, also
    /// in the middle of a frame.
    Cut { by: Side, bytes: u64 },
    /// Packets that leave a side within this time arrive after it: nothing is lost, all is late.
    Clog { from: [bool; 2], time: Duration },
    /// The next so many dials are refused.
    RefuseDials(u32),
    /// The next so many dials are accepted, and closed by the server without a word.
    CloseDials(u32),
    /// From now on the route is like this, from the client and from the server.
    Change(Box<[LinkSpec; 2]>),
    /// The route's silence ends, it is as it was at first again, and dials are taken again. Bytes
    /// that were lost stay lost.
    Heal,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProcessFault {
    /// The process dies and starts again after `down`, without any memory of before. Its
    /// connections break; `told` says whether the other side hears of it.
    Crash { down: Duration, told: bool },
    /// The process is stopped for so long, while its system goes on. Afterwards it reads the bytes
    /// that have come before it looks at its timers, as the driver does.
    Pause(Duration),
    /// The side's clock jumps forward by so much.
    Jump(Duration),
}

/// The sides that learn of a reset at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Told {
    Both,
    Only(Side),
}

impl Told {
    pub fn includes(self, side: Side) -> bool {
        match self {
            Told::Both => true,
            Told::Only(only) => only == side,
        }
    }
}
