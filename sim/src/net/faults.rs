//! Faults that are put into a world on purpose: of a route and the connections on it, and of a
//! side's process. [`crate::base::Kind`] names the trouble that came of them.

use crate::base::Side;
use crate::net::LinkSpec;
use std::time::Duration;

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Bytes that the operating systems held are lost. A side that is not told notices nothing.
    Reset { told: Told },
    /// A side closes the connections as a program does: bytes that were written still arrive.
    Close { by: Side },
    /// Packets from those sides vanish on present connections, as if a NAT had forgotten them.
    Forget { from: [bool; 2] },
    /// The route carries nothing until [`Fault::Heal`], neither on old nor on new connections.
    Silence { from: [bool; 2] },
    /// A reset, which both notice, once the system of side `by` has taken so many more bytes.
    ResetAfter { by: Side, bytes: u64 },
    /// A side writes so many more bytes, then a FIN, also in the middle of a frame.
    Cut { by: Side, bytes: u64 },
    /// Packets that leave a side within this time arrive after it: nothing is lost, all is late.
    Clog { from: [bool; 2], time: Duration },
    /// The next so many dials are refused.
    RefuseDials(u32),
    /// The next so many dials are accepted, and closed by the server without a word.
    CloseDials(u32),
    /// From now on the route is like this, from the client and from the server.
    Change(Box<[LinkSpec; 2]>),
    /// Silence ends, the route is as it was at first, and dials are taken again.
    Heal,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProcessFault {
    /// The process starts again after `down` without memory. `told`: the other side hears of it.
    Crash { down: Duration, told: bool },
    /// Afterwards the process reads before it looks at its timers, as the driver does.
    Pause(Duration),
    /// The side's clock jumps forward.
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
