//! Two sessions, their local sides and the connections between them, in virtual time.

use super::super::source::Source;
use super::local::{Local, Over, compare, pattern};
use super::stripe::{Conn, End};
use bytes::Bytes;
use std::time::Duration;
use striper_core::config::MAX_CHUNK;
use striper_core::{
    Config, EndReason, FlowId, Hello, HelloKind, Input, Instant, Output, Reason, Refusal, Role,
    Session, SessionId, StripeId,
};

/// Both know each other by this.
const SESSION: SessionId = SessionId([7; 16]);

/// All flows must have ended when fair conditions have lasted so long: a few detections of dead
/// stripes, one after the other.
const COMPLETION: Duration = Duration::from_secs(300);

/// The most rounds of moving everything that this may take.
const ROUNDS: usize = 50_000;

/// Nothing that is worth waiting for takes so long.
const FOREVER: Duration = Duration::from_secs(3600);

const CLIENT: usize = 0;
const SERVER: usize = 1;

struct Side {
    session: Session,
    local: Local,
    over: Option<EndReason>,
}

pub(super) struct World {
    config: Config,
    now: Instant,
    sides: [Side; 2],
    conns: Vec<Conn>,
    /// Stripes that the client misses.
    wanted: usize,
    produced: u64,
    shut_down: bool,
    /// Whether anything has happened since somebody last looked.
    moved: bool,
}

impl World {
    pub fn new(config: Config) -> Self {
        let now = Instant::from_micros(1);
        let side = |role, number| Side {
            session: Session::new(role, SESSION, config, now),
            local: Local::new(number),
            over: None,
        };
        let sides = [side(Role::Client, CLIENT), side(Role::Server { instance: 9 }, SERVER)];
        let mut world = World {
            config,
            now,
            sides,
            conns: Vec::new(),
            wanted: 0,
            produced: 0,
            shut_down: false,
            moved: false,
        };
        world.give(CLIENT, Input::Tick);
        world
    }

    pub fn is_over(&self) -> bool {
        self.sides.iter().all(|side| side.over.is_some())
    }

    pub fn dials(&self) -> usize {
        self.conns.len()
    }

    pub fn produced(&self) -> u64 {
        self.produced
    }

    /// One of a side's flows.
    pub fn flow(&self, source: &mut Source) -> Option<(usize, FlowId)> {
        let choice = usize::from(source.byte());
        let live: Vec<_> = self.sides[choice & 1].local.live().collect();
        live.get((choice >> 1) % live.len().max(1)).map(|flow| (choice & 1, *flow))
    }

    // Connections.

    /// The client dials if it misses a stripe.
    pub fn dial(&mut self) {
        let greeting =
            self.conns.iter().filter(|conn| matches!(conn.ends[CLIENT], End::Greeting(_))).count();
        if greeting < self.wanted {
            let hello = self.sides[CLIENT].session.hello(StripeId(self.conns.len() as u64));
            self.conns.push(Conn::new());
            self.conns.last_mut().expect("just made").say_hello(CLIENT, hello.encode());
            self.moved = true;
        }
    }

    /// The operating system takes bytes of a stripe.
    pub fn write(&mut self, conn: usize, way: usize, count: usize) {
        let framed = self.conns[conn].ways[way].write(count);
        if framed && matches!(self.conns[conn].ends[way], End::Up) {
            let total = self.conns[conn].ways[way].written;
            self.give(way, Input::StripeWritten { stripe: StripeId(conn as u64), total });
        }
    }

    /// Bytes of a stripe arrive, or its FIN.
    pub fn deliver(&mut self, conn: usize, way: usize, count: usize) {
        let data = self.conns[conn].ways[way].wire.take(count);
        if !data.is_empty() {
            self.moved = true;
            self.hear(conn, 1 - way, data);
        }
        if self.conns[conn].ways[way].is_at_end() {
            self.lose(conn, 1 - way);
        }
    }

    fn hear(&mut self, conn: usize, side: usize, data: Bytes) {
        match &mut self.conns[conn].ends[side] {
            End::Gone => {}
            End::Up => self.give(side, Input::StripeBytes { stripe: StripeId(conn as u64), data }),
            End::Greeting(handshake) => {
                let heard = handshake.feed(data).expect("a HELLO of ours");
                if let Some((hello, rest)) = heard {
                    self.greet(conn, side, hello);
                    if !rest.is_empty() {
                        self.hear(conn, side, rest);
                    }
                }
            }
        }
    }

    fn greet(&mut self, conn: usize, side: usize, hello: Hello) {
        let stripe = StripeId(conn as u64);
        assert_eq!((hello.session, hello.stripe), (SESSION, stripe));
        if let HelloKind::Refuse(refusal) = hello.kind {
            self.conns[conn].ends[side] = End::Gone;
            if refusal == Refusal::UnknownSession {
                assert!(self.sides[SERVER].over.is_some(), "the server denies its session");
                self.give(side, Input::Abort);
            }
            return;
        }
        if side == SERVER {
            let answer = match self.sides[SERVER].session.may_join(stripe) {
                Ok(()) => self.sides[SERVER].session.hello(stripe),
                Err(refusal) => {
                    Hello { kind: HelloKind::Refuse(refusal), gone: Vec::new(), ..hello.clone() }
                }
            };
            self.conns[conn].say_hello(SERVER, answer.encode());
            if matches!(answer.kind, HelloKind::Refuse(_)) {
                self.conns[conn].ways[SERVER].closing = true;
                self.conns[conn].ends[SERVER] = End::Gone;
                return;
            }
        }
        self.conns[conn].ends[side] = End::Up;
        self.give(side, Input::StripeUp { stripe, hello });
    }

    /// A side learns that a connection is of no more use.
    fn lose(&mut self, conn: usize, side: usize) {
        let end = std::mem::replace(&mut self.conns[conn].ends[side], End::Gone);
        self.moved |= !matches!(end, End::Gone);
        if matches!(end, End::Up) {
            self.give(side, Input::StripeDown { stripe: StripeId(conn as u64) });
        }
    }

    /// What is on a connection is lost, both ways, and nothing more goes through; only some are
    /// told. One that still waits for a HELLO need not be: a driver does not wait for long.
    pub fn kill(&mut self, conn: usize, told: [bool; 2]) {
        for side in [CLIENT, SERVER] {
            self.conns[conn].ways[side].silence();
            if told[side] || matches!(self.conns[conn].ends[side], End::Greeting(_)) {
                self.lose(conn, side);
            }
        }
    }

    /// Nothing more goes through in one direction.
    pub fn silence(&mut self, conn: usize, way: usize) {
        if matches!(self.conns[conn].ends, [End::Up, End::Up]) {
            self.conns[conn].ways[way].silence();
        }
    }

    /// One side closes a connection in good order.
    pub fn close(&mut self, conn: usize, side: usize) {
        if matches!(self.conns[conn].ends[side], End::Up) {
            self.conns[conn].ways[side].closing = true;
            self.lose(conn, side);
        }
    }

    /// All that was transmitted arrives.
    pub fn exchange(&mut self) {
        for conn in 0..self.conns.len() {
            for way in [CLIENT, SERVER] {
                self.write(conn, way, usize::MAX);
                self.deliver(conn, way, usize::MAX);
            }
        }
    }

    // Flows.

    pub fn open(&mut self, side: usize) {
        if self.sides[side].over.is_none() {
            self.sides[side].local.requests += 1;
            self.give(side, Input::FlowOpen { request: 0, opaque: Bytes::new() });
        }
    }

    pub fn produce(&mut self, side: usize, id: FlowId, length: u64) {
        if let Some(flow) = self.sides[side].local.get(id).filter(|flow| !flow.finishing) {
            flow.wants += length;
            self.produced += length;
            self.feed(side, id);
        }
    }

    pub fn finish(&mut self, side: usize, id: FlowId) {
        if let Some(flow) = self.sides[side].local.get(id) {
            flow.finishing = true;
            self.feed(side, id);
        }
    }

    /// Hands over what the session takes.
    fn feed(&mut self, side: usize, id: FlowId) {
        loop {
            let Side { session, local, .. } = &mut self.sides[side];
            let Some(flow) = local.get(id).filter(|flow| !flow.blocked && !flow.finished) else {
                return;
            };
            let left = flow.wants - flow.sent;
            if left == 0 {
                if flow.finishing {
                    flow.finished = true;
                    self.give(side, Input::FlowFinish { flow: id });
                }
                return;
            }
            let length = left.min(session.send_room(id)).min(MAX_CHUNK as u64);
            if length == 0 {
                flow.blocked = true;
                return;
            }
            let data = Bytes::from(pattern(id, side).bytes(flow.sent..flow.sent + length));
            flow.sent += length;
            self.give(side, Input::FlowData { flow: id, data });
        }
    }

    /// All producers of a side hand over what it takes.
    pub fn act(&mut self, side: usize) {
        for id in self.sides[side].local.live().collect::<Vec<_>>() {
            self.feed(side, id);
        }
    }

    /// The local side takes a share of what was delivered; 255 is all.
    pub fn consume(&mut self, side: usize, id: FlowId, share: u64) {
        let Some(flow) = self.sides[side].local.get(id) else { return };
        let more = (flow.delivered - flow.consumed) * share / 255;
        if more > 0 {
            flow.consumed += more;
            let total = flow.consumed;
            self.give(side, Input::FlowConsumed { flow: id, total });
        }
    }

    pub fn reset(&mut self, side: usize, id: FlowId) {
        self.sides[side].local.end(id, Over::Reset);
        self.give(side, Input::FlowReset { flow: id, reason: Reason::Aborted });
    }

    /// The local side of a flow that the peer has opened takes it, or not.
    pub fn answer(&mut self, side: usize, id: FlowId, accept: bool) {
        let Some(flow) = self.sides[side].local.get(id) else { return };
        if !std::mem::take(&mut flow.offered) {
            return;
        }
        if accept {
            self.give(side, Input::FlowAccept { flow: id });
        } else {
            self.sides[side].local.end(id, Over::Refused);
            self.give(side, Input::FlowRefuse { flow: id, reason: Reason::ConnectionRefused });
        }
    }

    // Everything else.

    pub fn wait(&mut self, time: Duration) {
        // Less than anybody's resume limit in all.
        if self.now.as_micros() < 3_600_000_000 {
            self.now = self.now + time;
        }
    }

    /// Time passes until a session is to be woken; whether there is anything to wait for.
    pub fn sleep(&mut self) -> bool {
        let deadlines = self.sides.iter().filter_map(|side| side.session.deadline());
        let Some(at) = deadlines.map(|(at, _)| at).min().filter(|at| at.since(self.now) < FOREVER)
        else {
            return false;
        };
        self.now = self.now.max(at);
        self.tick();
        true
    }

    fn tick(&mut self) {
        for side in [CLIENT, SERVER] {
            self.give(side, Input::Tick);
        }
    }

    pub fn limit_memory(&mut self, side: usize, bytes: u64) {
        self.give(side, Input::MemoryLimit { receive: bytes, send: bytes });
    }

    pub fn shut_down(&mut self, side: usize) {
        self.shut_down = true;
        self.give(side, Input::Shutdown);
    }

    fn give(&mut self, side: usize, input: Input) {
        if self.sides[side].over.is_some() {
            return;
        }
        self.moved |= input != Input::Tick;
        let mut out = Vec::new();
        self.sides[side].session.handle(self.now, input, &mut out);
        self.sides[side].session.check_invariants();
        for output in out {
            assert!(self.sides[side].over.is_none(), "{output:?} after the end");
            self.perform(side, output);
        }
    }

    fn perform(&mut self, side: usize, output: Output) {
        match output {
            Output::Transmit { stripe, header, payload } => {
                let conn = &mut self.conns[stripe.0 as usize];
                assert!(
                    matches!(conn.ends[side], End::Up),
                    "a frame on stripe {stripe}, which is down"
                );
                conn.ways[side].unwritten.push(header);
                conn.ways[side].unwritten.push(payload);
            }
            Output::StripePace { .. } | Output::Draining => {}
            Output::CloseStripe { stripe, .. } => {
                let conn = &mut self.conns[stripe.0 as usize];
                assert!(matches!(conn.ends[side], End::Up), "stripe {stripe} is closed twice");
                conn.ends[side] = End::Gone;
                conn.ways[side].closing = true;
            }
            Output::StripesWanted { count } => {
                assert_eq!(side, CLIENT);
                self.wanted = count;
            }
            Output::Ended { reason } => {
                let expected = match reason {
                    EndReason::Shutdown | EndReason::PeerClosed | EndReason::Aborted => {
                        self.shut_down
                    }
                    EndReason::NoStripe => self.sides[1 - side].over.is_some(),
                    EndReason::PeerComplained | EndReason::Violation(_) => false,
                };
                assert!(expected, "side {side} ends: {reason}");
                self.sides[side].over = Some(reason);
            }
            other => self.sides[side].local.hear(other),
        }
    }

    /// From now on everything moves that can; until all has come to its end.
    pub fn complete(&mut self) {
        for side in [CLIENT, SERVER] {
            self.limit_memory(side, self.config.memory_limit / 2);
        }
        let until = self.now + COMPLETION;
        for _ in 0..ROUNDS {
            self.moved = false;
            self.dial();
            self.exchange();
            for side in [CLIENT, SERVER] {
                self.settle(side);
            }
            if self.is_complete() {
                return self.check();
            }
            if self.moved || (self.now <= until && self.sleep()) {
                continue;
            }
            if self.sides.iter().all(|side| side.over.is_none()) {
                break;
            }
            // Nobody tells the other one, which waits for a stripe as long as it may.
            self.now = self.now + self.config.resume_limit;
            self.tick();
        }
        let live = [CLIENT, SERVER].map(|side| {
            let local = &self.sides[side].local;
            (
                self.sides[side].over,
                local.live().map(|id| (id, local.flows[&id].clone())).collect::<Vec<_>>(),
            )
        });
        panic!("not complete at {:?}, which was to be by {until:?}: {live:?}", self.now);
    }

    /// The local side does all that is left to do.
    fn settle(&mut self, side: usize) {
        for id in self.sides[side].local.live().collect::<Vec<_>>() {
            self.answer(side, id, true);
            self.consume(side, id, 255);
            self.finish(side, id);
        }
    }

    fn is_complete(&self) -> bool {
        let done = |side: &Side| {
            side.over.is_some()
                || (!self.shut_down && side.local.is_idle() && side.session.stats().flows == 0)
        };
        self.sides.iter().all(done)
    }

    fn check(&self) {
        let [client, server] = &self.sides;
        compare([&client.local, &server.local], !self.shut_down);
        for side in &self.sides {
            assert!(side.local.is_idle());
            let (receive, send) = side.session.memory_used();
            // Beyond what every session begins with, early credit takes a sixteenth of what is
            // free.
            let early = self.config.memory_limit / 2 / 16;
            assert!(receive <= early && send == 0, "{receive} and {send} bytes are left in use");
        }
    }

    /// What has survived all that carries another flow each way.
    pub fn use_again(&mut self) {
        for side in [CLIENT, SERVER] {
            let before: Vec<_> = self.sides[side].local.flows.keys().copied().collect();
            self.open(side);
            let opened = self.sides[side].local.live().find(|id| !before.contains(id));
            if let Some(flow) = opened {
                self.produce(side, flow, 2_000);
            }
        }
        self.complete();
    }
}
