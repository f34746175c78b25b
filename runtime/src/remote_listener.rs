//! The client's part of a listener that the server has for it.

use crate::admission::descriptors::{self, HasRoom, Room};
use crate::admission::limits::Limits;
use crate::admission::places::Places;
use crate::driver::{Origin, Pump, Wanted};
use crate::handover::{Queue, Receiver, oneshot};
use crate::incoming::Incoming;
use crate::pipe::memory::{MemoryPipe, memory_pipe};
use crate::pipe::{Pipe, PipeExt, Received};
use crate::report::FlowReport;
use crate::target::Target;
use smol::future::or;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use striper_core::Reason;

/// The listeners of a client, by number.
pub(crate) struct Listeners {
    queues: RefCell<BTreeMap<u32, Rc<Queue<Incoming>>>>,
    next: Cell<u32>,
    unanswered: Rc<Places>,
    room: HasRoom,
}

impl Default for Listeners {
    fn default() -> Self {
        let Limits { unanswered, spare_files, .. } = Limits::default();
        let unanswered = Places::new(unanswered);
        // The targets of a burst are all dialled before one of them counts as a connection.
        let pending = unanswered.clone();
        let room = move || {
            let pending = pending.taken() as u64;
            descriptors::room(spare_files, pending, u64::MAX) != Room::None
        };
        Listeners {
            queues: RefCell::default(),
            next: Cell::new(0),
            unanswered,
            room: Rc::new(room),
        }
    }
}

impl Listeners {
    /// Hands the flows that the server has opened to the listeners that they name.
    pub(crate) fn hand_out(&self, pump: &Rc<RefCell<Pump>>) {
        let opened = pump.borrow_mut().take_incoming();
        for opened in opened {
            let queue = match opened.1.target {
                Target::Listener(number) => self.queues.borrow().get(&number).cloned(),
                _ => None,
            };
            let Some(queue) = queue else {
                pump.borrow_mut().refuse(opened.0, Reason::NotAllowed);
                continue;
            };
            match self.unanswered.take(None, 1) {
                Some(place) => {
                    let pump = Rc::downgrade(pump);
                    queue.push(Incoming::new(pump, opened, place, self.room.clone()));
                }
                None => pump.borrow_mut().refuse(opened.0, Reason::Unavailable),
            }
        }
    }

    /// Asks the server to listen.
    pub(crate) async fn listen(
        self: &Rc<Self>,
        pump: &Rc<RefCell<Pump>>,
        address: SocketAddr,
    ) -> Result<RemoteListener, FlowReport> {
        let number = self.next.get();
        self.next.set(number.wrapping_add(1));
        let incoming = Rc::new(Queue::new());
        self.queues.borrow_mut().insert(number, incoming.clone());
        let ((inner, outer), (report, reported)) = (memory_pipe(), oneshot());
        let mut listener = RemoteListener {
            number,
            address,
            incoming,
            asked: outer,
            reported,
            listeners: Rc::downgrade(self),
        };
        let wanted = Wanted { from: Origin::Local(Box::new(inner)), opened: None, report };
        pump.borrow_mut().open(&Target::Listen { number, address }.into(), wanted);
        let mut port = Vec::new();
        while port.len() < 2 {
            match listener.asked.recv().await {
                Ok(Received::Chunk(chunk)) => port.extend(chunk),
                Ok(_) | Err(_) => return Err(listener.ended().await),
            }
        }
        listener.address.set_port(u16::from_be_bytes([port[0], port[1]]));
        Ok(listener)
    }
}

/// A listener of the server, whose connections come here. It ends with the session at the latest.
/// Dropping it has the server listen no more.
pub struct RemoteListener {
    number: u32,
    address: SocketAddr,
    incoming: Rc<Queue<Incoming>>,
    /// The local end of the flow by which it was asked for.
    asked: MemoryPipe,
    reported: Receiver<FlowReport>,
    listeners: Weak<Listeners>,
}

impl RemoteListener {
    /// Where the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next connection. Its target is [`Target::Listener`].
    ///
    /// # Errors
    /// The server listens no more. The report says why.
    pub async fn accept(&mut self) -> Result<Incoming, FlowReport> {
        let incoming = self.incoming.clone();
        let next = async {
            loop {
                let next = poll_fn(|cx| incoming.poll_pop(cx)).await;
                if next.is_alive() {
                    return Some(next);
                }
            }
        };
        let asked = &mut self.asked;
        let end = async {
            let _ = asked.recv().await;
            None
        };
        match or(next, end).await {
            Some(next) => Ok(next),
            None => Err(self.ended().await),
        }
    }

    async fn ended(&mut self) -> FlowReport {
        self.asked.abort();
        (&mut self.reported).await.unwrap_or_else(FlowReport::stopped)
    }
}

impl Drop for RemoteListener {
    fn drop(&mut self) {
        if let Some(listeners) = self.listeners.upgrade() {
            listeners.queues.borrow_mut().remove(&self.number);
        }
    }
}
