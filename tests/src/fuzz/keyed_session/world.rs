//! The server, its callers and the programs behind it, and what must hold whatever the callers say.

use super::super::ends::{Heard, keys, say};
use super::caller::Caller;
use super::time::Virtual;
use crate::Pattern;
use bytes::Bytes;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use striper_core::limits::FLOW_FLOOR;
use striper_core::wire::frame::Frame;
use striper_core::{Config, FlowId, Hello, Reason, StripeId};
use striper_runtime::clock::Clock;
use striper_runtime::local::{Executor, Incoming, Server, ServerOptions, Spawn};
use striper_runtime::{Accepting, Event, Listen, MemoryPipe, Pipe, StripeRefusal, memory_pipe};

/// The memory limit of all sessions, in bytes.
const MEMORY: u64 = 2 << 20;

const MAX_FLOWS: u64 = 64;

/// The most that sessions may hold: the limit, and the floor of each flow and direction of two
/// sessions (core's I6).
const MAX_HELD: u64 = MEMORY + 2 * 2 * MAX_FLOWS * FLOW_FLOOR;

/// The most that may be allocated beside that: the memory of sessions by ARCHITECTURE.md (limits),
/// and the wires of this world.
const MAX_BESIDE: usize = (32 << 20) + (4 << 20);

/// Bytes out for a byte in (SECURITY.md, threats), with room for records: a frame in a record of
/// its own costs either side 22 bytes more.
const MOST_FOR_ONE: usize = 6;

/// The most that a caller may hear for nothing: TLS, HELLO with the stripes that are gone, and what
/// the session owes to a new stripe.
const MOST_FOR_CALLING: usize = 4 << 10;

/// The most that a stripe may hear for each second of silence: PINGs and repeated acknowledgements,
/// in records.
const MOST_FOR_A_SECOND: usize = 1 << 10;

/// Turns until the server must have nothing left to do.
const MAX_TURNS: usize = 200_000;

/// Where each flow's bytes come from.
const SENT: Pattern = Pattern(1);

#[derive(Clone, Default)]
struct Port(Rc<RefCell<Calls>>);

/// Callers that were not accepted yet, and the waker of the accepting side.
type Calls = (VecDeque<Box<dyn Pipe>>, Option<Waker>);

impl Port {
    fn call(&self, pipe: Box<dyn Pipe>) {
        let waker = {
            let mut port = self.0.borrow_mut();
            port.0.push_back(pipe);
            port.1.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }
}

impl Listen for Port {
    fn try_accept(&self) -> Accepting<'_> {
        Box::pin(poll_fn(|cx| {
            let mut port = self.0.borrow_mut();
            match port.0.pop_front() {
                Some(pipe) => Poll::Ready(Ok((pipe, SocketAddr::from(([10, 0, 0, 1], 1))))),
                None => {
                    port.1 = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        }))
    }

    fn local_addr(&self) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 2], 1))
    }
}

struct Program {
    pipe: MemoryPipe,
    heard: Heard,
    count: u64,
    reads: bool,
}

pub struct World<A> {
    ex: Executor,
    time: Virtual,
    port: Port,
    server: Server,
    events: Rc<RefCell<Vec<Event>>>,
    incoming: Rc<RefCell<VecDeque<Incoming>>>,
    callers: Vec<Caller>,
    programs: Vec<Program>,
    /// How far we have said each flow.
    flows: BTreeMap<FlowId, u64>,
    /// Something was said that is not the pattern.
    strange: bool,
    produced: usize,
    waited: Duration,
    allocated: A,
    baseline: usize,
}

impl<A: Fn() -> usize> World<A> {
    pub fn new(allocated: A) -> Self {
        let baseline = allocated();
        let (ex, time, port) = (Executor::default(), Virtual::new(), Port::default());
        let events = Rc::<RefCell<Vec<Event>>>::default();
        let session = Config { memory_limit: MEMORY, max_flows: MAX_FLOWS, ..Config::default() };
        let mut options = ServerOptions::default();
        options.session = session;
        options.limits.spare_files = 0;
        options.keys = Some(keys().0.clone());
        let (weak, told) = (Rc::downgrade(&ex), events.clone());
        let spawn: Spawn = Rc::new(move |task| {
            if let Some(ex) = weak.upgrade() {
                ex.spawn(task).detach();
            }
        });
        let tell = Rc::new(move |event| told.borrow_mut().push(event));
        let clock = Rc::new(time.clone());
        let (listen, entropy) = (Box::new(port.clone()), Rc::new(|| 9));
        let server = Server::start_in(clock, listen, spawn, entropy, options, Some(tell))
            .expect("settings within their ranges");
        let incoming = Rc::<RefCell<VecDeque<Incoming>>>::default();
        let (accepting, accepted) = (server.clone(), incoming.clone());
        let accept = async move {
            loop {
                let next = accepting.accept().await;
                accepted.borrow_mut().push_back(next);
            }
        };
        ex.spawn(accept).detach();
        World {
            ex,
            time,
            port,
            server,
            events,
            incoming,
            callers: Vec::new(),
            programs: Vec::new(),
            flows: BTreeMap::new(),
            strange: false,
            produced: 0,
            waited: Duration::ZERO,
            allocated,
            baseline,
        }
    }

    pub fn callers(&self) -> usize {
        self.callers.len()
    }

    pub fn caller(&mut self, choice: u8) -> &mut Caller {
        let count = self.callers.len();
        &mut self.callers[usize::from(choice) % count]
    }

    pub fn next_stripe(&self) -> StripeId {
        StripeId(self.callers.len() as u64 - 1)
    }

    pub fn next_flow(&mut self) -> FlowId {
        let flow = FlowId(self.flows.len() as u64 * 2 + 1);
        self.flows.insert(flow, 0);
        flow
    }

    /// One of the flows that we have opened in order, or the first to be.
    pub fn opened(&self, choice: u8) -> FlowId {
        FlowId((usize::from(choice) % self.flows.len().max(1)) as u64 * 2 + 1)
    }

    pub fn offset(&self, flow: FlowId) -> u64 {
        self.flows.get(&flow).copied().unwrap_or(0)
    }

    pub fn call(&mut self, piece: usize) {
        let (mut caller, pipe) = Caller::new(StripeId(self.callers.len() as u64), piece);
        self.port.call(pipe);
        caller.hear();
        self.callers.push(caller);
        self.settle();
        let caller = self.callers.last().expect("it has come");
        assert!(caller.is_open(), "who has the key is not let in");
    }

    pub fn say(&mut self, caller: u8, said: &[u8]) {
        self.caller(caller).say(said);
        self.settle();
    }

    /// Has the last caller say HELLO. Said again it is no HELLO, but frames that nobody has made.
    pub fn greet(&mut self, hello: &Hello) {
        let last = self.callers.len() - 1;
        self.strange |= std::mem::replace(&mut self.callers[last].greeted, true);
        self.say(last as u8, &hello.encode());
    }

    pub fn say_raw(&mut self, caller: u8, said: &[u8]) {
        self.strange = true;
        self.say(caller, said);
    }

    /// A frame whose payload is what belongs at this offset.
    pub fn say_frame(&mut self, caller: u8, frame: &Frame, offset: u64, payload: usize) {
        let mut said = frame.encode(payload).to_vec();
        match offset.checked_add(payload as u64) {
            Some(end) => said.extend(SENT.bytes(offset..end)),
            None => said.resize(said.len() + payload, 0),
        }
        if let Frame::Open { flow, .. } | Frame::Data { flow, .. } = frame
            && let Some(known) = self.flows.get_mut(flow)
            && *known == offset
        {
            *known += payload as u64;
        }
        self.say(caller, &said);
    }

    pub fn deliver(&mut self, caller: u8, most: usize) {
        self.caller(caller).deliver(most);
        self.turn();
    }

    /// Somebody on the wire changes ciphertext, or adds to it; the frames in it are then as good as
    /// not said.
    pub fn forge(&mut self, caller: u8, act: &[u8]) {
        let &[kind, low, high, byte] = act else { return };
        let caller = self.caller(caller);
        caller.tampered = true;
        let at = usize::from(u16::from_le_bytes([low, high]));
        let flight = caller.flight();
        let length = flight.len();
        if length > 0 && kind & 0x80 != 0 {
            flight[at % length] ^= byte | 1;
        } else {
            flight.extend_from_slice(&[kind, 3, 3, high, low]);
            flight.resize(flight.len() + at.min(1 << 10), byte);
        }
        self.settle();
    }

    pub fn with_caller(&mut self, caller: u8, act: fn(&mut Caller)) {
        act(self.caller(caller));
        self.settle();
    }

    pub fn accept_flow(&mut self) {
        let Some(incoming) = self.incoming.borrow_mut().pop_front() else { return };
        let (inner, pipe) = memory_pipe();
        let carry = incoming.carry(Box::new(inner));
        self.ex.spawn(async { drop(carry.await) }).detach();
        self.programs.push(Program { pipe, heard: Heard::default(), count: 0, reads: true });
        self.settle();
    }

    pub fn refuse_flow(&mut self) {
        let first = self.incoming.borrow_mut().pop_front();
        first.into_iter().for_each(|incoming| incoming.refuse(Reason::NotAllowed));
        self.settle();
    }

    pub fn produce(&mut self, choice: u8, count: usize) {
        if let Some(program) = self.program(choice) {
            say(&mut program.pipe, Bytes::from(vec![0; count]));
            self.produced += count;
            self.settle();
        }
    }

    pub fn stop_reading(&mut self, choice: u8) {
        if let Some(program) = self.program(choice) {
            program.reads = !program.reads;
            self.settle();
        }
    }

    pub fn finish_program(&mut self, choice: u8) {
        if let Some(program) = self.program(choice) {
            let _ = program.pipe.poll_finish(&mut Context::from_waker(Waker::noop()));
            self.settle();
        }
    }

    fn program(&mut self, choice: u8) -> Option<&mut Program> {
        let count = self.programs.len();
        self.programs.get_mut(usize::from(choice) % count.max(1))
    }

    pub fn wait(&mut self, time: Duration) {
        self.waited += time;
        let until = self.time.now() + time;
        for _ in 0..MAX_TURNS {
            let rang = self.time.advance(until);
            self.settle();
            if !rang {
                return;
            }
        }
        panic!("it wakes up without end");
    }

    fn turn(&mut self) {
        let mut turns = 0;
        while self.ex.try_tick() {
            turns += 1;
            assert!(turns < MAX_TURNS, "it works without end");
        }
    }

    /// Delivers all that is under way, and has everybody hear what there is.
    fn settle(&mut self) {
        for _ in 0..MAX_TURNS {
            let mut moved = false;
            for caller in &mut self.callers {
                moved |= caller.deliver_piece();
            }
            self.turn();
            for caller in &mut self.callers {
                moved |= caller.hear();
            }
            for program in self.programs.iter_mut().filter(|program| program.reads) {
                moved |= program.listen(self.strange);
            }
            if !moved {
                return;
            }
        }
        panic!("it goes on without end");
    }

    pub fn check(&mut self) {
        let held = self.server.check_invariants().held;
        assert!(held <= MAX_HELD, "{held} bytes held");
        let delivered: usize = self.callers.iter().map(|caller| caller.delivered).sum();
        let answered: usize = self.callers.iter().map(|caller| caller.answered).sum();
        let seconds = 1 + self.waited.as_secs() as usize;
        let most = MOST_FOR_ONE * (delivered + self.produced)
            + self.callers.len() * (MOST_FOR_CALLING + seconds * MOST_FOR_A_SECOND);
        assert!(answered <= most, "{answered} bytes said, at most {most} expected");
        let allocated = (self.allocated)().saturating_sub(self.baseline);
        assert!(allocated <= MAX_HELD as usize + MAX_BESIDE, "{allocated} bytes allocated");
        let tampered = self.callers.iter().any(|caller| caller.tampered);
        for event in self.events.take() {
            if let Event::StripeRefused { error: StripeRefusal::Tls(error), .. } = event {
                assert!(tampered, "TLS fails although nobody has interfered: {error}");
            }
        }
    }

    /// Everybody goes. After some time nothing is left.
    pub fn finish(mut self) {
        (0..self.callers.len()).for_each(|caller| self.callers[caller].break_off());
        self.incoming.borrow_mut().clear();
        self.programs.clear();
        self.wait(Duration::from_secs(600));
        assert_eq!(self.server.check_invariants(), Default::default(), "something is left");
        assert!(self.server.status().sessions.is_empty(), "a session is left");
        assert!(self.callers.iter().all(Caller::is_over));
    }
}

impl Program {
    /// Hears what there is, and that it is what was said. Whether that was something.
    fn listen(&mut self, strange: bool) -> bool {
        let before = (self.heard.fin, self.heard.broken);
        self.heard.listen(&mut self.pipe);
        let bytes = std::mem::take(&mut self.heard.bytes);
        if !strange {
            SENT.check(self.count, &bytes);
        }
        self.count += bytes.len() as u64;
        !bytes.is_empty() || before != (self.heard.fin, self.heard.broken)
    }
}
