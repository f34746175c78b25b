//! Routes, and the connections on them, each a stripe with an end at either side.
//!
//! Invariant: an end only moves on, from greeting to up to gone. A connection that both ends are
//! done with carries nothing any more.

use crate::net::{Link, LinkSpec};
use striper_core::Handshake;

#[derive(Clone, Debug)]
pub(super) struct Route {
    pub specs: [LinkSpec; 2],
    pub first: [LinkSpec; 2],
    pub silent: [bool; 2],
    pub refuse: u32,
    pub close_dials: u32,
    pub clogged_until: u64,
    /// The number of dials, whatever came of them.
    pub dials: u64,
}

impl Route {
    pub fn new(specs: [LinkSpec; 2]) -> Self {
        let first = specs.clone();
        Route {
            specs,
            first,
            silent: [false; 2],
            refuse: 0,
            close_dials: 0,
            clogged_until: 0,
            dials: 0,
        }
    }

    /// Microseconds of both ways together, without queueing.
    pub fn round_trip(&self) -> u64 {
        self.specs[0].delay_micros() + self.specs[1].delay_micros()
    }
}

#[derive(Clone, Debug)]
pub(super) struct Conn {
    pub route: usize,
    pub links: [Link; 2],
    pub silent: [bool; 2],
    pub ends: [StripeEnd; 2],
}

#[derive(Clone, Debug)]
pub(super) struct StripeEnd {
    pub state: StripeState,
    pub life: usize,
    /// Length of the HELLO that this side has written, which is no frame.
    pub hello: u64,
    /// Frame bytes that the session has been told of as written.
    pub written: u64,
    /// When it last looked for bytes that have arrived behind a lost packet.
    pub looked: u64,
}

#[derive(Clone, Debug)]
pub(super) enum StripeState {
    Greeting(Handshake),
    Up,
    Gone,
}

impl StripeEnd {
    pub fn new(life: usize) -> Self {
        StripeEnd {
            state: StripeState::Greeting(Handshake::new()),
            life,
            hello: 0,
            written: 0,
            looked: 0,
        }
    }

    pub fn is_greeting(&self) -> bool {
        matches!(self.state, StripeState::Greeting(_))
    }

    pub fn is_up(&self) -> bool {
        matches!(self.state, StripeState::Up)
    }

    pub fn is_gone(&self) -> bool {
        matches!(self.state, StripeState::Gone)
    }
}
