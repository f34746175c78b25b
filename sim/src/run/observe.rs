//! How a world shows what happens to the sessions in it.
//!
//! A side may have many sessions, one after the other and, on a server, at the same time: each has
//! a number of its own. Every input is shown twice, before and after, so that an observer has seen
//! what a session dies of.

use crate::base::side::Side;
use striper_core::{Input, Instant, Output, Session};

/// One input to one session.
pub struct Seen<'a> {
    /// Which session of all that there ever were in this world.
    pub life: usize,
    /// Whose it is.
    pub side: Side,
    /// As it is at this moment; before its first input as it was born.
    pub session: &'a Session,
    /// The time on that side's clock.
    pub now: Instant,
    /// What it is given.
    pub input: &'a Input,
    /// What came of it; `None` before it is given.
    pub outputs: Option<&'a [Output]>,
}

/// Sees each input to each session, in order.
pub type Observer = Box<dyn FnMut(&Seen)>;
