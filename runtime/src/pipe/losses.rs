//! The losses of a connection, and the answer of its congestion control.

use super::Congestion;
use std::io;
use std::time::Duration;

/// The outcome of a look at a connection's losses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Losses {
    /// It is too early to say anything, or there is nothing to learn.
    Unknown,
    /// A deep queue stands on the route, so packets that are lost now may not have fitted into it.
    Queue,
    /// The connection sent these packets while no queue stood.
    Sent(SentPackets),
}

/// Packets that a connection sent, and those of them that were lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SentPackets {
    /// The packets with data.
    pub packets: u32,
    /// The lost ones among them.
    pub lost: u32,
    /// How often a loss-based control has slowed down for that, about once in two round trips.
    pub setbacks: u32,
    /// For how long there was something under way.
    pub busy: Duration,
    /// The shortest round trip of the last minutes.
    pub min_rtt: Duration,
}

/// The outcome of a change of the congestion control.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Adapted {
    /// It was that one already.
    Kept,
    /// It is another one from now on.
    Changed {
        /// The congestion control now.
        congestion: Congestion,
    },
    /// It ought to be another one and can't. It is not to be adapted any more.
    Denied {
        /// The congestion control that it ought to have.
        congestion: Congestion,
        /// The error of the operating system.
        cause: io::ErrorKind,
    },
}
