//! The limits of a server in virtual time: callers are pipes in memory.

use bytes::Bytes;
use smol::LocalExecutor;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use striper_core::limits::FLOW_FLOOR;
use striper_core::wire::frame::Frame;
use striper_core::{FlowId, Handshake, Hello, HelloKind, Instant, Refusal, SessionId, StripeId};
use striper_runtime::clock::{Clock, Timer};
use striper_runtime::keys::{Key, KeyKind, Keys, Listed, Peer, PublicKey, peer_name};
use striper_runtime::local::{Incoming, Server, ServerOptions};
use striper_runtime::{
    Accepting, Event, Limits, Listen, Pipe, PipeInfo, Received, SessionTag, StripeRefusal,
};
use striper_runtime::{MemoryPipe, memory_pipe};

/// Time that stands still unless it is moved.
#[derive(Clone, Default)]
struct Time {
    now: Rc<Cell<u64>>,
    wakers: Rc<RefCell<Vec<(u64, u64, Waker)>>>,
    timers: Rc<Cell<u64>>,
}

struct Alarm {
    time: Time,
    number: u64,
}

impl Clock for Time {
    fn now(&self) -> Instant {
        Instant::from_micros(self.now.get())
    }

    fn timer(&self) -> Box<dyn Timer> {
        self.timers.set(self.timers.get() + 1);
        Box::new(Alarm { time: self.clone(), number: self.timers.get() })
    }
}

impl Timer for Alarm {
    fn poll_until(&mut self, cx: &mut Context<'_>, at: Instant) -> Poll<()> {
        let mut wakers = self.time.wakers.borrow_mut();
        wakers.retain(|(_, number, _)| *number != self.number);
        if self.time.now() >= at {
            return Poll::Ready(());
        }
        wakers.push((at.as_micros(), self.number, cx.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.time.wakers.borrow_mut().retain(|(_, number, _)| *number != self.number);
    }
}

/// A pipe whose other end has proven a key, and which takes so much memory.
struct Keyed(MemoryPipe, Option<Peer>, usize);

impl Pipe for Keyed {
    fn poll_recv(&mut self, cx: &mut Context<'_>, max: usize) -> Poll<io::Result<Received>> {
        self.0.poll_recv(cx, max)
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        data: &mut dyn bytes::Buf,
    ) -> Poll<io::Result<usize>> {
        self.0.poll_send(cx, data)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_finish(cx)
    }

    fn abort(&mut self) {
        self.0.abort();
    }

    fn check(&mut self) -> io::Result<()> {
        self.0.check()
    }

    fn info(&self) -> PipeInfo<'_> {
        let mut info = self.0.info();
        (info.memory, info.peer) = (self.2, self.1.as_ref());
        info
    }
}

/// The callers that were not accepted yet.
#[derive(Clone, Default)]
struct Port {
    calls: Rc<RefCell<VecDeque<(Keyed, SocketAddr)>>>,
    waker: Rc<RefCell<Option<Waker>>>,
}

impl Listen for Port {
    fn try_accept(&self) -> Accepting<'_> {
        Box::pin(poll_fn(|cx| match self.calls.borrow_mut().pop_front() {
            Some((pipe, from)) => Poll::Ready(Ok((Box::new(pipe) as Box<dyn Pipe>, from))),
            None => {
                *self.waker.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }
        }))
    }

    fn local_addr(&self) -> SocketAddr {
        "192.0.2.1:7650".parse().unwrap()
    }
}

struct World {
    ex: Rc<LocalExecutor<'static>>,
    time: Time,
    port: Port,
    server: Server,
    told: Rc<RefCell<Vec<StripeRefusal>>>,
    /// The memory of new callers' pipes, in bytes.
    weight: Cell<usize>,
    /// Sessions that had to let go of something since memory was short.
    short: Rc<RefCell<Vec<SessionTag>>>,
}

impl World {
    fn new(limits: impl FnOnce(&mut Limits)) -> World {
        World::with(limits, None)
    }

    /// A server that accepts [`key`]s 1 to 8.
    fn keyed(limits: impl FnOnce(&mut Limits)) -> World {
        let keys = (1..=8).map(|number| {
            Listed::new(peer_name(&format!("client{number}")).unwrap(), key(number).unwrap())
        });
        let own = vec![(peer_name("own").unwrap(), Key::generate(KeyKind::Private).unwrap())];
        let keys = Some(Keys::new(own, keys.collect()).unwrap());
        World::with(limits, keys)
    }

    fn with(limits: impl FnOnce(&mut Limits), keys: Option<Keys>) -> World {
        let mut options = ServerOptions::default();
        limits(&mut options.limits);
        options.keys = keys;
        let ex = Rc::new(LocalExecutor::new());
        let (time, port, told) =
            (Time::default(), Port::default(), Rc::<RefCell<Vec<_>>>::default());
        let spawner = ex.clone();
        let short = Rc::<RefCell<Vec<_>>>::default();
        let (sink, shortages) = (told.clone(), short.clone());
        let drawn = Cell::new(0);
        let server = Server::start_in(
            Rc::new(time.clone()),
            Box::new(port.clone()),
            Rc::new(move |task| spawner.spawn(task).detach()),
            Rc::new(move || drawn.replace(drawn.get() + 1)),
            options,
            Some(Rc::new(move |event| match event {
                Event::StripeRefused { error, .. } => sink.borrow_mut().push(error),
                Event::MemoryShort { session, .. } => shortages.borrow_mut().push(session),
                _ => {}
            })),
        )
        .unwrap();
        World { ex, time, port, server, told, weight: Cell::new(0), short }
    }

    /// Lets everything happen that needs no time.
    fn settle(&self) {
        while self.ex.try_tick() {}
    }

    fn pass(&self, time: Duration) {
        let end = self.time.now.get() + time.as_micros() as u64;
        self.settle();
        loop {
            let next =
                self.time.wakers.borrow().iter().map(|(at, ..)| *at).min().filter(|at| *at <= end);
            let Some(next) = next else { break };
            self.time.now.set(self.time.now.get().max(next));
            let due: Vec<_> = {
                let mut wakers = self.time.wakers.borrow_mut();
                let (due, rest) =
                    std::mem::take(&mut *wakers).into_iter().partition(|(at, ..)| *at <= next);
                *wakers = rest;
                due
            };
            due.into_iter().for_each(|(_, _, waker)| waker.wake());
            self.settle();
        }
        self.time.now.set(end);
        self.settle();
    }

    fn call(&self, from: &str) -> Caller {
        self.call_with(from, None)
    }

    fn call_with(&self, from: &str, key: Option<PublicKey>) -> Caller {
        let caller = self.knock(from, key);
        self.settle();
        caller
    }

    /// Calls, but the server side has not noticed yet.
    fn knock(&self, from: &str, key: Option<PublicKey>) -> Caller {
        let (here, there) = memory_pipe();
        let from = SocketAddr::new(from.parse().unwrap(), 1);
        let peer = key.map(|key| Peer { name: peer_name("somebody").unwrap(), key });
        self.port.calls.borrow_mut().push_back((Keyed(there, peer, self.weight.get()), from));
        if let Some(waker) = self.port.waker.borrow_mut().take() {
            waker.wake();
        }
        Caller { pipe: here }
    }

    /// Calls and asks for a stripe. The answer.
    fn ask(&self, key: Option<PublicKey>, session: u8, stripe: u64) -> (Caller, HelloKind) {
        let mut caller = self.call_with("192.0.2.7", key);
        caller.say(&hello(session, stripe));
        self.settle();
        let answer = caller.answer().expect("an answer").kind;
        (caller, answer)
    }

    fn count(&self, error: &StripeRefusal) -> usize {
        self.told.borrow().iter().filter(|told| *told == error).count()
    }

    fn accept(&self) -> Option<Incoming> {
        self.settle();
        let mut accepting = Box::pin(self.server.accept());
        match accepting.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(incoming) => Some(incoming),
            Poll::Pending => None,
        }
    }
}

struct Caller {
    pipe: MemoryPipe,
}

impl Caller {
    fn say(&mut self, mut bytes: &[u8]) {
        let _ = self.pipe.poll_send(&mut Context::from_waker(Waker::noop()), &mut bytes);
    }

    fn hear(&mut self) -> Vec<u8> {
        let mut heard = Vec::new();
        let mut cx = Context::from_waker(Waker::noop());
        while let Poll::Ready(Ok(Received::Chunk(chunk))) = self.pipe.poll_recv(&mut cx, 1 << 20) {
            heard.extend_from_slice(&chunk);
        }
        heard
    }

    fn answer(&mut self) -> Option<Hello> {
        Handshake::new().feed(Bytes::from(self.hear())).expect("a HELLO").map(|(hello, _)| hello)
    }

    fn is_there(&mut self) -> bool {
        self.pipe.check().is_ok()
    }
}

fn key(number: u8) -> Option<PublicKey> {
    Some(PublicKey([number; 32]))
}

/// DATA of a flow that was never opened: all that may be sent of it without credit.
fn floor(flow: u64) -> Vec<u8> {
    Frame::Data { flow: FlowId(flow), offset: 0, fin: false }
        .encode(FLOW_FLOOR as usize)
        .iter()
        .copied()
        .chain(vec![7; FLOW_FLOOR as usize])
        .collect()
}

fn hello(session: u8, stripe: u64) -> Bytes {
    let (session, stripe) = (SessionId([session; 16]), StripeId(stripe));
    Hello { kind: HelloKind::Create, session, stripe, gone: Vec::new() }.encode()
}

fn is_welcome(answer: &HelloKind) -> bool {
    matches!(answer, HelloKind::Accept { .. })
}

const TOO_MANY: HelloKind = HelloKind::Refuse(Refusal::TooMany);
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_caller_that_says_little_has_to_go_when_its_time_is_over() {
    let world = World::new(|limits| limits.handshake_time = 3 * SECOND);
    let (mut silent, mut slow) = (world.call("192.0.2.7"), world.call("192.0.2.8"));
    for byte in hello(1, 0).chunks(1).take(3) {
        slow.say(byte);
        assert!(silent.is_there() && slow.is_there());
        world.pass(SECOND);
    }
    assert!(!silent.is_there() && !slow.is_there());
    assert_eq!(world.count(&StripeRefusal::Stalled), 2);
    assert_eq!(world.server.status().sessions.len(), 0, "nothing of a session exists");
}

#[test]
fn of_more_callers_than_there_may_be_the_oldest_has_to_go() {
    let world = World::new(|limits| limits.handshakes = 3);
    let mut callers: Vec<Caller> =
        (1..=4).map(|from| world.call(&format!("192.0.2.{from}"))).collect();
    let there: Vec<bool> = callers.iter_mut().map(Caller::is_there).collect();
    assert_eq!(there, [false, true, true, true]);
    assert_eq!(world.count(&StripeRefusal::Crowded), 1);
}

#[test]
fn an_address_with_more_callers_than_it_may_have_loses_its_own() {
    let world = World::new(|_| {});
    let mut honest = world.call("2001:db8:7::1");
    let crowd = (1..=260).map(|from| world.call(&format!("2001:db8::{from:x}")));
    let mut crowd: Vec<Caller> = crowd.collect();
    assert!(honest.is_there());
    assert_eq!(crowd.iter_mut().map(|caller| usize::from(caller.is_there())).sum::<usize>(), 128);
}

fn full_house(world: &World) -> Vec<Caller> {
    (0..256).map(|number| world.call(&format!("198.51.100.{}", number % 50))).collect()
}

#[test]
fn callers_that_have_said_hello_get_their_turn_before_a_crowd() {
    let world = World::new(|_| {});
    let _crowd = full_house(&world);
    let mut dials: Vec<Caller> = (0..64).map(|_| world.knock("192.0.2.7", None)).collect();
    (0..).zip(&mut dials).for_each(|(stripe, dial)| dial.say(&hello(7, stripe)));
    world.settle();
    assert!(dials.iter_mut().all(|dial| is_welcome(&dial.answer().expect("an answer").kind)));
}

#[test]
fn a_client_that_has_joined_gets_all_its_64_stripes_in_a_full_house() {
    let world = World::new(|_| {});
    let _crowd = full_house(&world);
    let mut first = world.call("192.0.2.7");
    first.say(&hello(7, 100));
    world.settle();
    let mut dials: Vec<Caller> = (0..64).map(|_| world.call("192.0.2.7")).collect();
    (0..).zip(&mut dials).for_each(|(stripe, dial)| dial.say(&hello(7, stripe)));
    world.settle();
    let welcome =
        dials.iter_mut().filter_map(Caller::answer).filter(|hello| is_welcome(&hello.kind)).count();
    // One stripe is the first.
    assert_eq!(welcome, 63);
}

/// A handshake takes 100 ms: half a HELLO after a round trip of 50 ms, the rest after another one.
#[test]
fn ten_thousand_callers_with_a_byte_a_second_keep_nobody_else_waiting() {
    let world = World::new(|_| {});
    let words = hello(9, 0);
    let mut callers: VecDeque<(Caller, usize)> = VecDeque::new();
    let mut honest: Option<(Caller, u64)> = None;
    let mut joined = 0;
    for tick in 0..3_000u64 {
        // All call once a second. Most were displaced; a caller that was not says a byte more.
        for number in 0..10 {
            if callers.len() == 10_000 {
                let (mut caller, said) = callers.pop_front().expect("ten thousand");
                caller.say(&words[said..said + 1]);
                if caller.is_there() {
                    callers.push_back((caller, said + 1));
                    continue;
                }
            }
            callers.push_back((world.call(&format!("198.51.100.{}", (tick + number) % 50)), 0));
        }
        let (mut dial, begun) = honest
            .take()
            .unwrap_or_else(|| (world.call(&format!("192.0.2.{}", joined % 100)), tick));
        let greeting = hello(100 + (joined % 100) as u8, joined);
        match tick - begun {
            50 => dial.say(&greeting[..10]),
            100 => dial.say(&greeting[10..]),
            _ => {}
        }
        world.pass(Duration::from_millis(1));
        assert!(dial.is_there(), "it was displaced at {tick} ms");
        let answer = if tick - begun >= 100 { dial.answer() } else { None };
        match answer {
            Some(answer) => {
                let after = tick - begun;
                assert!(is_welcome(&answer.kind) && after <= 200, "{answer:?} after {after} ms");
                joined += 1;
            }
            None => honest = Some((dial, begun)),
        }
    }
    assert!(joined >= 29, "{joined}");
    assert!(world.count(&StripeRefusal::Crowded) > 25_000);
}

#[test]
fn a_session_too_many_is_refused_until_one_is_of_no_use() {
    let world = World::new(|limits| limits.sessions = 2);
    let (first, answer) = world.ask(None, 1, 0);
    assert!(is_welcome(&answer) && is_welcome(&world.ask(None, 2, 0).1));
    drop(first);
    let (_second, answer) = world.ask(None, 3, 0);
    assert!(is_welcome(&answer), "the first two have neither stripes nor flows");
    let (_third, answer) = world.ask(None, 4, 0);
    assert!(is_welcome(&answer));
    assert_eq!(world.ask(None, 5, 0).1, TOO_MANY);
}

#[test]
fn one_key_has_no_more_sessions_than_it_may_and_leaves_the_rest_to_others() {
    let world = World::new(|limits| limits.sessions_per_key = 1);
    let [a, b] = [1, 2].map(|byte| Some(PublicKey([byte; 32])));
    let (_of_a, answer) = world.ask(a, 1, 0);
    assert!(is_welcome(&answer));
    assert_eq!(world.ask(a, 2, 0).1, TOO_MANY);
    let (_of_b, answer) = world.ask(b, 1, 0);
    assert!(is_welcome(&answer), "the same id under another key is another session");
    let plain = [1, 2].map(|session| world.ask(None, session, 0));
    let all_are_in = plain.iter().all(|(_, answer)| is_welcome(answer));
    assert!(all_are_in, "callers without a key are not told apart");
}

#[test]
fn a_session_has_a_bounded_number_of_stripes_and_replaces_a_lost_one() {
    let world = World::new(|limits| limits.stripes = 2);
    let stripes = [0, 1].map(|stripe| world.ask(None, 1, stripe));
    assert!(stripes.iter().all(|(_, answer)| is_welcome(answer)));
    assert_eq!(world.ask(None, 1, 2).1, TOO_MANY);
    let [(first, _), _second] = stripes;
    drop(first);
    world.settle();
    let (_third, answer) = world.ask(None, 1, 3);
    assert!(is_welcome(&answer));
}

#[test]
fn of_more_unanswered_flows_than_there_may_be_the_last_is_refused() {
    let world = World::new(|limits| limits.unanswered = 2);
    let (mut caller, _) = world.ask(None, 1, 0);
    // OPEN: flow, no early credit, some credit, no opaque field: the default target.
    let mut open = |flow: u8| caller.say(&[5, 0x01, flow, 0, 10, 0]);
    [1, 3, 5].into_iter().for_each(&mut open);
    world.settle();
    let waiting = [world.accept(), world.accept()];
    assert!(waiting.iter().all(Option::is_some));
    assert!(world.accept().is_none());
    open(7);
    assert!(world.accept().is_none(), "two wait for their answers still");
    drop(waiting);
    open(9);
    assert!(world.accept().is_some());
}

#[test]
fn one_key_leaves_others_as_many_unanswered_flows_as_it_has() {
    let world = World::keyed(|limits| limits.unanswered = 8);
    let [mut greedy, mut modest] = [1, 2].map(|number| world.ask(key(number), 1, 0).0);
    let open = |caller: &mut Caller, flow: u8| caller.say(&[5, 0x01, flow, 0, 10, 0]);
    (0..8).for_each(|flow| open(&mut greedy, 2 * flow + 1));
    let waiting: Vec<Incoming> = std::iter::from_fn(|| world.accept()).collect();
    assert_eq!(waiting.len(), 4);
    (0..8).for_each(|flow| open(&mut modest, 2 * flow + 1));
    assert_eq!(std::iter::from_fn(|| world.accept()).collect::<Vec<_>>().len(), 2);
}

#[test]
fn the_key_that_keeps_the_most_lets_go_when_memory_is_short() {
    let world = World::keyed(|_| {});
    let mut honest = world.ask(key(2), 200, 0).0;
    for flow in 0..250 {
        honest.say(&floor(2 * flow + 1));
        world.settle();
    }
    let mut greedy: Vec<Caller> = (0..120).map(|session| world.ask(key(1), session, 0).0).collect();
    for flow in 0..100 {
        greedy.iter_mut().for_each(|caller| caller.say(&floor(2 * flow + 1)));
        world.settle();
    }
    let short = world.short.borrow();
    assert!(!short.is_empty(), "160 MiB and what they cost are more than there is");
    assert!(!short.contains(&SessionTag::of(SessionId([200; 16]))), "{short:?}");
    assert!(honest.is_there());
}

/// As when it is struck off the list between its handshake and its HELLO.
#[test]
fn a_key_that_is_not_accepted_when_its_hello_comes_gets_nobody_in() {
    let world = World::keyed(|_| {});
    assert!(is_welcome(&world.ask(key(8), 1, 0).1));
    assert_eq!(world.ask(key(9), 1, 0).1, HelloKind::Refuse(Refusal::KeyNeeded));
}

#[test]
fn the_state_of_stripes_counts_as_memory() {
    let world = World::keyed(|_| {});
    let mut honest = world.ask(key(2), 200, 0).0;
    world.weight.set(1 << 20);
    let _greedy: Vec<Caller> =
        (0..170).map(|stripe| world.ask(key(1), stripe / 60, stripe.into()).0).collect();
    let short = world.short.borrow();
    assert!(!short.is_empty(), "170 MiB are more than there is");
    assert!(!short.contains(&SessionTag::of(SessionId([200; 16]))) && honest.is_there());
}

#[test]
fn a_flow_that_is_reset_before_it_has_an_answer_is_unwanted_at_once() {
    let world = World::new(|_| {});
    let (mut caller, _) = world.ask(None, 1, 0);
    // OPEN as above, and RESET: flow, reason, where its own direction ends.
    [1, 3].into_iter().for_each(|flow| caller.say(&[5, 0x01, flow, 0, 10, 0]));
    let [mut kept, mut given_up] = [(); 2].map(|()| world.accept().expect("a flow"));
    let is_unwanted = |incoming: &mut Incoming| {
        let mut unwanted = Box::pin(incoming.unwanted());
        unwanted.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
    };
    assert!(!is_unwanted(&mut given_up));
    caller.say(&[4, 0x09, 3, 1, 0]);
    world.settle();
    assert!(is_unwanted(&mut given_up) && !is_unwanted(&mut kept));
    drop(caller);
    world.pass(100 * SECOND);
    assert!(is_unwanted(&mut kept), "the session has waited for a stripe in vain");
}
