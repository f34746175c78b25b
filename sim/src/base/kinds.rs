//! The kinds of trouble that a world can meet.
//!
//! Invariant: a kind stands for something that has really happened. Nothing here depends on a plan.

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
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
    Kind {
    Reset = "reset",
    ResetAfter = "reset-after",
    Unread = "unread",
    /// Only one side heard of a reset.
    HalfDead = "half-dead",
    Close = "close",
    Cut = "cut",
    Stall = "stall",
    Swizzle = "swizzle",
    Silence = "silence",
    Blackhole = "blackhole",
    /// Silence or a black hole in one direction only.
    OneWay = "one-way",
    Refused = "refused",
    Slammed = "slammed",
    Change = "change",
    ClientCrash = "client-crash",
    ServerCrash = "server-crash",
    Pause = "pause",
    Jump = "jump",
    Loss = "loss",
    Jitter = "jitter",
    Overflow = "overflow",
    ShortWrite = "short-write",
    ByteRead = "byte-read",
    Coalesced = "coalesced",
    StuckReader = "stuck-reader",
    SlowReader = "slow-reader",
    BurstReader = "burst-reader",
    TinyWrites = "tiny-writes",
    FlowReset = "flow-reset",
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
