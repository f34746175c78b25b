//! Tools for tests of the pump's parts.

use super::attempt::Greeted;
use super::base::Base;
use super::engine::Engine;
use crate::pipe::memory::{MemoryPipe, memory_pipe};
use crate::ports::clock::{Clock, Timer};
use bytes::Bytes;
use std::cell::Cell;
use std::rc::Rc;
use std::task::{Context, Poll};
use striper_core::{Config, Hello, HelloKind, Instant, Role, SessionId, StripeId};

pub(super) const ID: SessionId = SessionId([7; 16]);

pub(super) struct Never;

impl Timer for Never {
    fn poll_until(&mut self, _: &mut Context<'_>, _: Instant) -> Poll<()> {
        Poll::Pending
    }
}

/// A clock that a test sets, in microseconds.
pub(super) struct Still(pub Cell<u64>);

impl Clock for Still {
    fn now(&self) -> Instant {
        Instant::from_micros(self.0.get())
    }

    fn timer(&self) -> Box<dyn Timer> {
        Box::new(Never)
    }
}

/// A session in this role, at a time that stands still.
pub(super) fn base(role: Role) -> Base {
    let clock = Rc::new(Still(Cell::new(1)));
    Base::new(Engine::new(clock, Config::default(), ID, role, None))
}

pub(super) fn server() -> Base {
    base(Role::Server { instance: 1 })
}

/// A stripe with this number whose client has said HELLO, and the client's end of it.
pub(super) fn greeted(stripe: u64) -> (Greeted, MemoryPipe) {
    let (pipe, far) = memory_pipe();
    let kind = if stripe == 0 { HelloKind::Create } else { HelloKind::Join };
    let hello = Hello { kind, session: ID, stripe: StripeId(stripe), gone: Vec::new() };
    (Greeted { pipe: Box::new(pipe), hello, rest: Bytes::new() }, far)
}
