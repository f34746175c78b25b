//! What can go wrong: with a route and the connections on it ([`crate::world::World::fault`]
//! schedules it), with a side's process ([`crate::world::World::upset`]), and by the nature of
//! links and programs. [`Kind`] names all of it.

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
    /// What leaves a side within this time, in microseconds, arrives after it: nothing is lost, all
    /// is late.
    Clog {
        /// Whether what comes from the client, and from the server, is held up.
        from: [bool; 2],
        /// For how long.
        time: u64,
    },
    /// The next so many dials are refused.
    RefuseDials(u32),
    /// The next so many dials are accepted, and closed by the server without a word.
    CloseDials(u32),
    /// From now on the route is like this, from the client and from the server.
    Change([LinkSpec; 2]),
    /// The route's silence ends, it is as it was at first again, and dials are taken again. What
    /// was lost stays lost.
    Heal,
}

/// What can happen to a side's process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Upset {
    /// The process dies and starts again after `down` microseconds, without any memory of before.
    /// Its connections break.
    Crash {
        /// How long it is away.
        down: u64,
        /// The other side hears of that.
        told: bool,
    },
    /// The process is stopped for so many microseconds: its system goes on, it does not. Afterwards
    /// it reads what has come before it looks at its timers, as the driver does.
    Pause(u64),
    /// The side's clock jumps forward by so many microseconds.
    Jump(u64),
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

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal,)*) => {
        /// A kind of trouble. A world notes those that have really happened in it, not those that
        /// were merely drawn.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Kind {
            $($(#[$doc])* $kind,)*
        }

        impl Kind {
            /// All of them.
            pub const ALL: &[Kind] = &[$(Kind::$kind),*];

            /// Its name in reports.
            pub fn name(self) -> &'static str {
                match self {
                    $(Kind::$kind => $name,)*
                }
            }
        }
    };
}

kinds! {
    /// A live connection was reset.
    Reset = "reset",
    /// One was reset after a number of bytes.
    ResetAfter = "reset-after",
    /// A reset lost bytes that had arrived and not been read.
    Unread = "unread",
    /// Only one side heard of a reset.
    HalfDead = "half-dead",
    /// A live connection was closed.
    Close = "close",
    /// A live connection ended in the middle of a frame.
    Cut = "cut",
    /// Packets were held up.
    Stall = "stall",
    /// Several routes were held up at a time.
    Swizzle = "swizzle",
    /// A route carried nothing for a time.
    Silence = "silence",
    /// A live connection carried nothing any more.
    Blackhole = "blackhole",
    /// Silence or a black hole in one direction only.
    OneWay = "one-way",
    /// A dial was refused.
    Refused = "refused",
    /// A dial was accepted and closed.
    Slammed = "slammed",
    /// A route changed under live connections.
    Change = "change",
    /// A client lost its state.
    ClientCrash = "client-crash",
    /// A server lost its state.
    ServerCrash = "server-crash",
    /// A process was stopped while something happened to it.
    Pause = "pause",
    /// A clock jumped.
    Jump = "jump",
    /// A packet was lost at random.
    Loss = "loss",
    /// A packet was late.
    Jitter = "jitter",
    /// A queue overflowed.
    Overflow = "overflow",
    /// A write was taken in part.
    ShortWrite = "short-write",
    /// Bytes were read one by one.
    ByteRead = "byte-read",
    /// Several packets were read as one piece.
    Coalesced = "coalesced",
    /// A program stopped to read.
    StuckReader = "stuck-reader",
    /// A program read slowly.
    SlowReader = "slow-reader",
    /// A program read in bursts.
    BurstReader = "burst-reader",
    /// A program wrote a byte at a time.
    TinyWrites = "tiny-writes",
    /// A program reset its flow.
    FlowReset = "flow-reset",
    /// A program refused a flow.
    FlowRefused = "flow-refused",
    /// A window was as small as it can be, and data went through it.
    SmallWindow = "small-window",
    /// A side let the other open the fewest flows, or the memory limit was the smallest.
    LowLimit = "low-limit",
}

/// A set of kinds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Kinds(u64);

impl Kinds {
    /// Adds one.
    pub fn add(&mut self, kind: Kind) {
        self.0 |= 1 << kind as u32;
    }

    /// Adds those of another set.
    pub fn join(&mut self, other: Kinds) {
        self.0 |= other.0;
    }

    /// Whether one is in it.
    pub fn has(self, kind: Kind) -> bool {
        self.0 & 1 << kind as u32 != 0
    }

    /// How many there are.
    pub fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those in it.
    pub fn iter(self) -> impl Iterator<Item = Kind> {
        Kind::ALL.iter().copied().filter(move |kind| self.has(*kind))
    }
}
