//! Two sessions, their local sides and the connections between them, in virtual time.

use super::super::source::Source;
use super::local::{Program, compare, pattern};
use super::stripe::{Conn, End};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::Duration;
use striper_core::limits::MAX_CHUNK;
use striper_core::testing::{self, Endpoint, Keep, SESSION};
use striper_core::{
    Config, EndReason, FlowId, Hello, HelloKind, Input, Instant, Output, Reason, Refusal, Role,
    Session, StripeId,
};

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
    end: Endpoint,
    programs: BTreeMap<FlowId, Program>,
}

impl Side {
    fn live(&self) -> Vec<FlowId> {
        self.end.log.live().collect()
    }

    fn is_over(&self) -> bool {
        self.end.ended().is_some()
    }

    fn program(&mut self, flow: FlowId) -> Option<&mut Program> {
        let is_live = self.end.log.get(flow).is_some_and(|log| log.over.is_none());
        is_live.then(|| self.programs.entry(flow).or_default())
    }

    fn is_idle(&self) -> bool {
        self.end.log.requests() == 0 && self.end.log.live().next().is_none()
    }
}

pub(super) struct World {
    config: Config,
    now: Instant,
    sides: [Side; 2],
    conns: Vec<Conn>,
    pub produced: u64,
    shut_down: bool,
    /// Whether anything has happened since somebody last looked.
    moved: bool,
}

impl World {
    pub fn new(config: Config) -> Self {
        let now = Instant::from_micros(1);
        let side = |role| Side {
            end: Endpoint::new(Session::new(role, SESSION, config, now), Keep::Flows),
            programs: BTreeMap::new(),
        };
        let sides = [side(Role::Client), side(testing::SERVER)];
        let mut world = World {
            config,
            now,
            sides,
            conns: Vec::new(),
            produced: 0,
            shut_down: false,
            moved: false,
        };
        world.give(CLIENT, Input::Tick);
        world
    }

    pub fn is_over(&self) -> bool {
        self.sides.iter().all(Side::is_over)
    }

    pub fn dials(&self) -> usize {
        self.conns.len()
    }

    pub fn flow(&self, source: &mut Source) -> Option<(usize, FlowId)> {
        let choice = usize::from(source.byte());
        let live = self.sides[choice & 1].live();
        live.get((choice >> 1) % live.len().max(1)).map(|flow| (choice & 1, *flow))
    }

    // Connections.

    pub fn dial(&mut self) {
        let greeting =
            self.conns.iter().filter(|conn| matches!(conn.ends[CLIENT], End::Greeting(_))).count();
        if greeting < self.sides[CLIENT].end.wanted() {
            let hello = self.sides[CLIENT].end.session.hello(StripeId(self.conns.len() as u64));
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
            let stripe = StripeId(conn as u64);
            self.give(way, Input::StripeWritten { stripe, total });
            // A system may say anything about what has arrived.
            let total = total.saturating_sub(count as u64);
            self.give(way, Input::StripeArrived { stripe, total });
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
                assert!(self.sides[SERVER].is_over(), "the server denies its session");
                self.give(side, Input::Abort);
            }
            return;
        }
        if side == SERVER {
            let answer = match self.sides[SERVER].end.session.may_join(stripe) {
                Ok(()) => self.sides[SERVER].end.session.hello(stripe),
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

    /// The bytes on a connection are lost, both ways, and nothing more goes through; only some
    /// sides are told. A side that still waits for a HELLO need not be told: a driver does not wait
    /// for long.
    pub fn kill(&mut self, conn: usize, told: [bool; 2]) {
        for side in [CLIENT, SERVER] {
            self.conns[conn].ways[side].silence();
            if told[side] || matches!(self.conns[conn].ends[side], End::Greeting(_)) {
                self.lose(conn, side);
            }
        }
    }

    pub fn silence(&mut self, conn: usize, way: usize) {
        if matches!(self.conns[conn].ends, [End::Up, End::Up]) {
            self.conns[conn].ways[way].silence();
        }
    }

    pub fn close(&mut self, conn: usize, side: usize) {
        if matches!(self.conns[conn].ends[side], End::Up) {
            self.conns[conn].ways[side].closing = true;
            self.lose(conn, side);
        }
    }

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
        self.give(side, Input::FlowOpen { request: 0, opaque: Bytes::new() });
    }

    pub fn produce(&mut self, side: usize, flow: FlowId, length: u64) {
        if let Some(program) = self.sides[side].program(flow).filter(|program| !program.finishing) {
            program.wants += length;
            self.produced += length;
            self.feed(side, flow);
        }
    }

    pub fn finish(&mut self, side: usize, flow: FlowId) {
        if let Some(program) = self.sides[side].program(flow) {
            program.finishing = true;
            self.feed(side, flow);
        }
    }

    fn feed(&mut self, side: usize, flow: FlowId) {
        loop {
            let room = self.sides[side].end.session.send_room(flow);
            let Some(program) = self.sides[side].program(flow).cloned() else { return };
            let log = &self.sides[side].end.log.flows()[&flow];
            let left = program.wants - log.given;
            if program.blocked || log.finished || (left == 0 && !program.finishing) {
                return;
            }
            let length = left.min(room).min(MAX_CHUNK as u64);
            if left == 0 {
                return self.give(side, Input::FlowFinish { flow });
            } else if length > 0 {
                let data = pattern(flow, side).bytes(log.given, length as usize);
                self.give(side, Input::FlowData { flow, data });
            } else if let Some(program) = self.sides[side].program(flow) {
                program.blocked = true;
            }
        }
    }

    pub fn act(&mut self, side: usize) {
        for id in self.sides[side].live() {
            self.feed(side, id);
        }
    }

    /// The local side takes a share of what was delivered; 255 is all.
    pub fn consume(&mut self, side: usize, flow: FlowId, share: u64) {
        if self.sides[side].program(flow).is_none() {
            return;
        }
        let log = &self.sides[side].end.log.flows()[&flow];
        let more = (log.delivered - log.consumed) * share / 255;
        if more > 0 {
            self.give(side, Input::FlowConsumed { flow, total: log.consumed + more });
        }
    }

    pub fn reset(&mut self, side: usize, flow: FlowId) {
        self.give(side, Input::FlowReset { flow, reason: Reason::Aborted });
    }

    pub fn answer(&mut self, side: usize, flow: FlowId, accept: bool) {
        let log = &self.sides[side].end.log.flows()[&flow];
        if log.ours || log.accepted {
            return;
        }
        let reason = Reason::ConnectionRefused;
        let refusal = Input::FlowRefuse { flow, reason };
        self.give(side, if accept { Input::FlowAccept { flow } } else { refusal });
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
        let deadlines = self.sides.iter().filter_map(|side| side.end.session.deadline());
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
        if self.sides[side].is_over() {
            return;
        }
        self.moved |= input != Input::Tick;
        let mut out = Vec::new();
        self.sides[side].end.give(self.now, input, &mut out);
        self.sides[side].end.session.check_invariants();
        for output in out {
            self.perform(side, output);
        }
    }

    fn perform(&mut self, side: usize, output: Output) {
        match output {
            Output::Transmit { stripe, header, payload } => {
                let way = &mut self.conns[stripe.0 as usize].ways[side];
                way.unwritten.push(header);
                way.unwritten.push(payload);
            }
            Output::CloseStripe { stripe, .. } => {
                let conn = &mut self.conns[stripe.0 as usize];
                conn.ends[side] = End::Gone;
                conn.ways[side].closing = true;
            }
            Output::FlowWritable { flow } => {
                self.sides[side].programs.entry(flow).or_default().blocked = false;
            }
            Output::FlowData { flow, data } => {
                let program = self.sides[side].programs.entry(flow).or_default();
                pattern(flow, 1 - side).check(program.heard, &data);
                program.heard += data.len() as u64;
            }
            Output::Ended { reason } => {
                let expected = match reason {
                    EndReason::Shutdown | EndReason::PeerClosed | EndReason::Aborted => {
                        self.shut_down
                    }
                    EndReason::NoStripe => self.sides[1 - side].is_over(),
                    _ => false,
                };
                assert!(expected, "side {side} ends: {reason}");
            }
            _ => {}
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
            if !self.sides.iter().any(Side::is_over) {
                break;
            }
            // Nobody tells the other one, which waits for a stripe as long as it may.
            self.now = self.now + self.config.resume_limit;
            self.tick();
        }
        let live = self.sides.each_ref().map(|side| {
            (side.end.ended(), side.live().into_iter().map(|flow| &side.end.log.flows()[&flow]))
        });
        let live = live.map(|(ended, flows)| (ended, flows.collect::<Vec<_>>()));
        panic!("not complete at {:?}, which was to be by {until:?}: {live:?}", self.now);
    }

    fn settle(&mut self, side: usize) {
        for id in self.sides[side].live() {
            self.answer(side, id, true);
            self.consume(side, id, 255);
            self.finish(side, id);
        }
    }

    fn is_complete(&self) -> bool {
        let done = |side: &Side| {
            side.is_over()
                || (!self.shut_down && side.is_idle() && side.end.session.stats().flows == 0)
        };
        self.sides.iter().all(done)
    }

    fn check(&self) {
        let [client, server] = &self.sides;
        compare([&client.end.log, &server.end.log], !self.shut_down);
        for side in &self.sides {
            assert!(side.is_idle());
            let (receive, send) = side.end.session.memory_used();
            // Beyond what every session begins with, early credit takes a sixteenth of what is
            // free.
            let early = self.config.memory_limit / 2 / 16;
            assert!(receive <= early && send == 0, "{receive} and {send} bytes are left in use");
        }
    }

    /// A session that has survived everything carries another flow each way.
    pub fn use_again(&mut self) {
        for side in [CLIENT, SERVER] {
            let before = self.sides[side].live();
            self.open(side);
            let opened = self.sides[side].live().into_iter().find(|flow| !before.contains(flow));
            if let Some(flow) = opened {
                self.produce(side, flow, 2_000);
            }
        }
        self.complete();
    }
}
