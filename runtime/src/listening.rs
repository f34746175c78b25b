//! The server's part of a listener that a client has asked for.

use crate::addresses::Addresses;
use crate::admission::descriptors::{Counted, HasRoom};
use crate::driver::{Origin, Pump, Wanted};
use crate::handover::oneshot;
use crate::pipe::memory::MemoryPipe;
use crate::pipe::{Pipe, PipeExt};
use crate::report::FlowReport;
use crate::target::{Opening, Target};
use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::rc::Weak;

/// A listener for a client, as long as the client wants it. Dropping it tells the client that there
/// is none any more.
pub struct Listening {
    number: u32,
    pump: Weak<RefCell<Pump>>,
    room: HasRoom,
    /// The local end of the flow by which the client has asked.
    asked: MemoryPipe,
    /// The descriptor of the socket that listens.
    _counted: Counted,
}

impl Listening {
    pub(crate) fn new(
        number: u32,
        pump: Weak<RefCell<Pump>>,
        room: HasRoom,
        asked: MemoryPipe,
    ) -> Self {
        Listening { number, pump, room, asked, _counted: Counted::new() }
    }

    /// Waits until the client no longer wants it, or the session has ended.
    pub async fn unwanted(&mut self) {
        // A client has nothing to say here, so anything is as good as an end.
        let _ = self.asked.recv().await;
    }

    /// Says later whether the session has no stripe, so that the client may be gone for good.
    pub fn probe(&self) -> impl Fn() -> bool + 'static {
        let pump = self.pump.clone();
        move || pump.upgrade().is_none_or(|pump| pump.borrow().stripes().is_empty())
    }

    /// As [`Incoming::ensure_room`](crate::local::Incoming::ensure_room), for a connection that has
    /// come to it. The client may also have as many connections as it may, or let none be opened.
    pub fn ensure_room(&self) -> io::Result<()> {
        if self.pump.upgrade().is_some_and(|pump| pump.borrow().is_crowded()) {
            return Err(io::Error::other("too many connections wait for this client or are open"));
        }
        if (self.room)() { Ok(()) } else { Err(rustix::io::Errno::MFILE.into()) }
    }

    /// Carries a connection that has come to it, and tells the client its addresses. The result is
    /// ready when it has ended. `label` is that of an [`Opening`].
    pub fn carry(
        &self,
        mut local: Box<dyn Pipe>,
        addresses: Addresses,
        label: Option<u64>,
    ) -> impl Future<Output = FlowReport> + 'static {
        let (report, reported) = oneshot();
        match self.pump.upgrade() {
            Some(pump) => {
                let wanted = Wanted { from: Origin::Local(local), opened: None, report };
                let target = Target::Listener(self.number);
                let opening = Opening { target, program: Some(addresses), label };
                pump.borrow_mut().open(&opening, wanted);
            }
            None => local.abort(),
        }
        async { reported.await.unwrap_or_else(FlowReport::stopped) }
    }
}
