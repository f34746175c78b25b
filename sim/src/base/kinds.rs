//! The kinds of trouble that a world can meet: faults of routes and processes, and properties of
//! links and programs.
//!
//! Invariant: a kind stands for something that has really happened. Nothing here depends on a plan.

/// An enum with a list of its variants.
macro_rules! listed {
    ($(#[$top:meta])* $type:ident { $($(#[$doc:meta])* $item:ident,)* }) => {
        $(#[$top])*
        pub enum $type {
            $($(#[$doc])* $item,)*
        }

        impl $type {
            pub const ALL: &[$type] = &[$($type::$item),*];
        }
    };
}

/// The same, with names in reports and scripts.
macro_rules! named {
    ($(#[$top:meta])* $type:ident { $($(#[$doc:meta])* $item:ident = $name:literal,)* }) => {
        crate::base::listed! { $(#[$top])* $type { $($(#[$doc])* $item,)* } }

        impl $type {
            pub fn name(self) -> &'static str {
                match self {
                    $($type::$item => $name,)*
                }
            }
        }
    };
}

pub(crate) use {listed, named};

named! {
    /// A kind of trouble. A world notes the kinds that have really happened in it, not those that
    /// were merely drawn.
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
    Kind {
    /// A live connection was reset.
    Reset = "reset",
    /// A connection was reset after a number of bytes.
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
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Kinds(u64);

impl Kinds {
    pub fn add(&mut self, kind: Kind) {
        self.0 |= 1 << kind as u32;
    }

    pub fn join(&mut self, other: Kinds) {
        self.0 |= other.0;
    }

    pub fn has(self, kind: Kind) -> bool {
        self.0 & 1 << kind as u32 != 0
    }

    pub fn len(self) -> u32 {
        self.0.count_ones()
    }

    pub fn iter(self) -> impl Iterator<Item = Kind> {
        Kind::ALL.iter().copied().filter(move |kind| self.has(*kind))
    }
}
