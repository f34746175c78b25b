//! A flow that the other side opened, until it is answered.

use crate::admission::descriptors::HasRoom;
use crate::admission::places::Place;
use crate::driver::Pump;
use crate::flow::Flow;
use crate::handover::{Receiver, Sender, oneshot};
use crate::listening::Listening;
use crate::pipe::memory::memory_pipe;
use crate::pipe::{Peer, PeerName, Pipe, PipeExt, PublicKey};
use crate::report::{Cut, FlowReport};
use crate::target::{Opening, Target};
use std::cell::RefCell;
use std::io;
use std::rc::Weak;
use striper_core::{FlowId, Reason};

/// As [`Incoming`](crate::Incoming): answer it by carrying or refusing it.
pub struct Incoming {
    opening: Opening,
    flow: FlowId,
    pump: Weak<RefCell<Pump>>,
    /// Its place among those without an answer.
    unanswered: Option<Place>,
    room: HasRoom,
    unwanted: Receiver<()>,
}

impl Incoming {
    /// A flow of `pump` without an answer. `unwanted` hears when the other side has given it up.
    pub(crate) fn new(
        pump: Weak<RefCell<Pump>>,
        (flow, opening, unwanted): (FlowId, Opening, Receiver<()>),
        place: Place,
        room: HasRoom,
    ) -> Self {
        Incoming { opening, flow, pump, unanswered: Some(place), room, unwanted }
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.pump.upgrade().is_some_and(|pump| pump.borrow().flows().carries(self.flow))
    }

    /// Waits until the client no longer wants it, or has gone. Its target need not be dialled then.
    pub async fn unwanted(&mut self) {
        (&mut self.unwanted).await;
    }

    /// Names the flow, so that it can be ended later.
    pub fn handle(&self) -> FlowHandle {
        FlowHandle { pump: self.pump.clone(), flow: self.flow }
    }

    /// Whether the process has a file descriptor to spare for its target. When these become few,
    /// what is left goes to clients that have fewer flows than others, and to stripes. The error is
    /// what the system says when there is none at all; refuse it then.
    pub fn ensure_room(&self) -> io::Result<()> {
        if (self.room)() { Ok(()) } else { Err(rustix::io::Errno::MFILE.into()) }
    }

    /// The client's name, if clients need a key.
    pub fn peer(&self) -> Option<PeerName> {
        self.peer_with(|peer| peer.name.clone())
    }

    /// The public half of the client's key, if clients need a key.
    pub fn key(&self) -> Option<PublicKey> {
        self.peer_with(|peer| peer.key)
    }

    fn peer_with<T>(&self, get: impl FnOnce(&Peer) -> T) -> Option<T> {
        self.pump.upgrade().and_then(|pump| pump.borrow().stripes().peer().map(get))
    }

    /// Its name in a [`FlowStatus`](crate::FlowStatus) from now on.
    pub fn label(&self, label: u64) {
        if let Some(pump) = self.pump.upgrade() {
            pump.borrow_mut().label_flow(self.flow, label);
        }
    }

    /// The words of the client: the target, and the program's addresses.
    pub fn opening(&self) -> &Opening {
        &self.opening
    }

    /// The target that the client names.
    pub fn target(&self) -> &Target {
        &self.opening.target
    }

    /// As [`Incoming::carry`](crate::Incoming::carry).
    pub async fn carry(self, local: Box<dyn Pipe>) -> FlowReport {
        let (report, reported) = oneshot();
        self.attach(local, report);
        reported.await.unwrap_or_else(FlowReport::stopped)
    }

    pub(crate) fn attach(mut self, mut local: Box<dyn Pipe>, report: Sender<FlowReport>) {
        self.unanswered = None;
        match self.pump.upgrade() {
            Some(pump) => pump.borrow_mut().attach(self.flow, local, report),
            None => local.abort(),
        }
    }

    /// Tells the client that its target can't be reached.
    pub fn refuse(mut self, reason: Reason) {
        self.answer_no(reason);
    }

    /// Accepts a flow to [`Target::Listen`], and says that this side listens on `port` for it.
    pub async fn listen(self, port: u16) -> Listening {
        let number = match self.opening.target {
            Target::Listen { number, .. } => number,
            _ => 0,
        };
        let (pump, room, (inner, mut outer)) =
            (self.pump.clone(), self.room.clone(), memory_pipe());
        let (report, _) = oneshot();
        self.attach(Box::new(inner), report);
        // If this fails, the pipe is broken, and the listener sees that.
        let _ = outer.send(&port.to_be_bytes()).await;
        Listening::new(number, pump, room, outer)
    }

    /// Accepts, for use in this process.
    pub fn into_flow(self) -> Flow {
        let (inner, outer) = memory_pipe();
        let (report, reported) = oneshot();
        self.attach(Box::new(inner), report);
        Flow::new(outer, reported)
    }

    fn answer_no(&mut self, reason: Reason) {
        if self.unanswered.take().is_some()
            && let Some(pump) = self.pump.upgrade()
        {
            pump.borrow_mut().refuse(self.flow, reason);
        }
    }
}

/// The name of a flow that the other side has opened. It keeps nothing alive.
pub struct FlowHandle {
    pump: Weak<RefCell<Pump>>,
    flow: FlowId,
}

impl FlowHandle {
    /// Resets the flow on both sides, if it is carried. Its report says that it was `cut`.
    pub fn cut(&self, cut: Cut) {
        if let Some(pump) = self.pump.upgrade() {
            pump.borrow_mut().cut_flow(self.flow, cut);
        }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.answer_no(Reason::Unavailable);
    }
}
