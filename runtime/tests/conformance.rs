//! Every pipe, and several stacks of them, through the same cases: the contract of `Pipe`.

mod common;

use bytes::Bytes;
use common::{Log, Source, any_port, noise, run, start_client, start_server};
use smol::future::{or, zip};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use striper_core::datagram::DEFAULT_LIMIT;
use striper_runtime::clock::SystemClock;
use striper_runtime::keys::{Key, KeyKind, Keys};
use striper_runtime::local::{Client, ClientOptions, Executor, Server, ServerOptions};
use striper_runtime::{
    AtomicPipe, ClientTls, DatagramPipe, Listener, Pipe, PipeExt, PipeInfo, Received, ServerTls,
    Stacked, Target, TcpDial, TcpPipe, TlsPipe, bridge, memory_pipe,
};

type Any = Box<dyn Pipe>;

/// Both ends of a pipe, and what must live as long.
struct Ends {
    a: Any,
    b: Any,
    name: &'static str,
    _alive: Box<dyn std::any::Any>,
}

impl Ends {
    fn new(name: &'static str, (a, b): (impl Pipe + 'static, impl Pipe + 'static)) -> Ends {
        Ends { a: Box::new(a), b: Box::new(b), name, _alive: Box::new(()) }
    }

    /// The same with something on both ends.
    fn on<P: Pipe + 'static>(self, name: &'static str, wrap: impl Fn(Any) -> P) -> Ends {
        Ends { a: Box::new(wrap(self.a)), b: Box::new(wrap(self.b)), name, ..self }
    }

    /// The same with TLS, after its handshake.
    async fn secured(self, name: &'static str) -> Ends {
        let keys = Keys::shared("test", Key::generate(KeyKind::Shared).unwrap()).unwrap();
        let mut a = TlsPipe::client(self.a, &ClientTls::new(&keys)).unwrap();
        let mut b = TlsPipe::server(self.b, &ServerTls::new(&keys)).unwrap();
        let (here, there) =
            zip(poll_fn(|cx| a.poll_flush(cx)), poll_fn(|cx| b.poll_flush(cx))).await;
        assert!(here.is_ok() && there.is_ok(), "{here:?} {there:?}");
        Ends { a: Box::new(a), b: Box::new(b), name, _alive: self._alive }
    }

    fn is_datagram(&self) -> bool {
        self.a.info().is_datagram
    }
}

fn memory(name: &'static str) -> Ends {
    Ends::new(name, memory_pipe())
}

fn tcp(name: &'static str) -> Ends {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let a = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (b, _) = listener.accept().unwrap();
    let pipe = |socket| TcpPipe::new(smol::Async::new(socket).unwrap()).unwrap();
    Ends::new(name, (pipe(a), pipe(b)))
}

/// A flow of a striped session over loopback.
async fn flow(name: &'static str, ex: &Executor) -> Ends {
    let server = start_server(ex, &Log::default()).await;
    let client = start_client(ex, server.local_addr(), &Log::default());
    let a = client.open(Target::Default).await.unwrap();
    let b = server.accept().await.into_flow();
    Ends { a: Box::new(a), b: Box::new(b), name, _alive: Box::new((client, server)) }
}

/// Passes one byte at a time, and nothing at every other call.
struct Trickle {
    below: Any,
    /// Whether the last call waited, of receiving and of sending.
    waited: [bool; 2],
}

impl Trickle {
    fn new(below: Any) -> Trickle {
        Trickle { below, waited: [false; 2] }
    }

    /// Whether this call has to wait, and then wakes at once.
    fn waits(&mut self, direction: usize, cx: &Context<'_>) -> bool {
        let waits = &mut self.waited[direction];
        *waits = !*waits;
        if *waits {
            cx.waker().wake_by_ref();
        }
        *waits
    }
}

impl Pipe for Trickle {
    fn poll_recv(&mut self, cx: &mut Context<'_>, _max: usize) -> Poll<io::Result<Received>> {
        if self.waits(0, cx) { Poll::Pending } else { self.below.poll_recv(cx, 1) }
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        data: &mut dyn bytes::Buf,
    ) -> Poll<io::Result<usize>> {
        if self.waits(1, cx) {
            Poll::Pending
        } else {
            self.below.poll_send(cx, &mut bytes::Buf::take(data, 1))
        }
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.waits(1, cx) { Poll::Pending } else { self.below.poll_finish(cx) }
    }

    fn abort(&mut self) {
        self.below.abort();
    }

    fn check(&mut self) -> io::Result<()> {
        self.below.check()
    }

    fn info(&self) -> PipeInfo<'_> {
        self.below.info()
    }
}

const KINDS: usize = 19;

async fn kind(number: usize, ex: &Executor) -> Ends {
    match number {
        0 => memory("memory"),
        1 => tcp("tcp"),
        2 => flow("flow", ex).await,
        3 => memory("").on("trickle over memory", Trickle::new),
        4 => memory("").on("atomic over memory", AtomicPipe::new),
        5 => tcp("").on("atomic over tcp", AtomicPipe::new),
        6 => memory("").on("", Trickle::new).on("atomic over trickle", AtomicPipe::new),
        7 => memory("").on("datagram over memory", DatagramPipe::new),
        8 => tcp("").on("datagram over tcp", DatagramPipe::new),
        9 => flow("", ex).await.on("datagram over a flow", DatagramPipe::new),
        10 => memory("").on("", Trickle::new).on("datagram over trickle", DatagramPipe::new),
        11 => {
            tcp("").on("", DatagramPipe::new).on("atomic over datagram over tcp", AtomicPipe::new)
        }
        12 => memory("").secured("tls over memory").await,
        13 => tcp("").secured("tls over tcp").await,
        14 => memory("").on("", Trickle::new).secured("tls over trickle").await,
        15 => memory("").on("", AtomicPipe::new).secured("tls over atomic over memory").await,
        16 => tcp("").on("", DatagramPipe::new).secured("tls over datagram over tcp").await,
        17 => tcp("").secured("").await.on("datagram over tls over tcp", DatagramPipe::new),
        _ => tcp("").on("", DatagramPipe::new).on("datagram over datagram over tcp", |below| {
            DatagramPipe::with_limit(below, DEFAULT_LIMIT / 2)
        }),
    }
}

fn each<F: Future<Output = ()>>(case: impl Fn(Ends) -> F) {
    let case = &case;
    for number in 0..KINDS {
        run(|ex| async move {
            let ends = kind(number, &ex).await;
            let name = ends.name;
            let hangs = async {
                smol::Timer::after(Duration::from_secs(50)).await;
                panic!("{name} hangs");
            };
            or(case(ends), hangs).await;
        });
    }
}

/// Sends each as one, or as a stream takes it.
async fn send_each(pipe: &mut dyn Pipe, sends: &[Vec<u8>]) -> io::Result<()> {
    for data in sends {
        pipe.send(data).await?;
    }
    Ok(())
}

/// All chunks up to the FIN, or the error that came instead.
async fn chunks(pipe: &mut dyn Pipe) -> (Vec<Bytes>, Option<io::Error>) {
    let mut all = Vec::new();
    loop {
        match pipe.recv().await {
            Ok(Received::Chunk(chunk)) => all.push(chunk),
            Ok(Received::Fin) => return (all, None),
            Err(error) => return (all, Some(error)),
        }
    }
}

async fn whole(pipe: &mut dyn Pipe) -> Vec<u8> {
    let (all, error) = chunks(pipe).await;
    assert!(error.is_none(), "{error:?} in place of a FIN");
    all.concat()
}

/// Sends until the pipe takes no more, without anybody to wake. The bytes that it took.
async fn fill(pipe: &mut dyn Pipe) -> Vec<u8> {
    let mut cx = Context::from_waker(Waker::noop());
    let block = noise(1, 10_000);
    let mut sent = Vec::new();
    // A session takes some turns and a system some time: no more for several turns is no more.
    let mut refusals = 0;
    while refusals < 60 {
        let mut rest = &block[..];
        match pipe.poll_send(&mut cx, &mut rest) {
            Poll::Ready(taken) => {
                sent.extend_from_slice(&block[..taken.unwrap()]);
                refusals = 0;
            }
            Poll::Pending => refusals += 1,
        }
        if refusals > 2 {
            smol::Timer::after(Duration::from_millis(1)).await;
        }
        assert!(sent.len() < 64 << 20, "it takes without end");
    }
    sent
}

#[test]
fn bytes_come_out_both_ways_at_once_and_then_the_fin() {
    each(|Ends { mut a, mut b, name, .. }| async move {
        let sizes = |seed: u64| -> Vec<Vec<u8>> {
            [3, 123, 4, 1, 127, 128, 16_383, 16_384, 40_000]
                .iter()
                .enumerate()
                .map(|(i, len)| noise(seed + i as u64, *len))
                .collect()
        };
        let (there, back) = (sizes(1), sizes(100));
        let (a_in, b_in) = zip(one_side(&mut *a, &there), one_side(&mut *b, &back)).await;
        if a.info().is_datagram {
            assert!(b_in == there && a_in == back, "{name} keeps boundaries");
        } else {
            assert!(b_in.concat() == there.concat() && a_in.concat() == back.concat(), "{name}");
        }
    });
}

/// One task that does both directions of a pipe, as bridge and driver do.
async fn one_side(pipe: &mut dyn Pipe, sends: &[Vec<u8>]) -> Vec<Bytes> {
    let mut received = Vec::new();
    let mut queue: VecDeque<&[u8]> = sends.iter().map(|data| &data[..]).collect();
    let (mut finished, mut ended) = (false, false);
    poll_fn(|cx| {
        while let Some(front) = queue.front_mut() {
            match pipe.poll_send(cx, front) {
                Poll::Ready(taken) => {
                    taken.unwrap();
                    if front.is_empty() {
                        queue.pop_front();
                    }
                }
                Poll::Pending => break,
            }
        }
        if queue.is_empty() && !finished {
            finished = pipe.poll_finish(cx).map(Result::unwrap).is_ready();
        }
        while !ended {
            match pipe.poll_recv(cx, 1 << 20) {
                Poll::Ready(Ok(Received::Chunk(chunk))) => received.push(chunk),
                Poll::Ready(Ok(Received::Fin)) => ended = true,
                Poll::Ready(Err(error)) => panic!("{error}"),
                Poll::Pending => break,
            }
        }
        if finished && ended { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    received
}

#[test]
fn a_stream_gives_no_more_than_asked_for_and_a_datagram_whole() {
    each(|ends| async move {
        let datagram = ends.is_datagram();
        let Ends { mut a, mut b, name, .. } = ends;
        let data = noise(1, 5_000);
        let sending = async { send_each(&mut *a, std::slice::from_ref(&data)).await.unwrap() };
        let receiving = async {
            let mut all = Vec::new();
            while all.len() < data.len() {
                let chunk = poll_fn(|cx| b.poll_recv(cx, 7)).await.unwrap();
                let Received::Chunk(chunk) = chunk else { panic!("{name}: an early end") };
                let len = chunk.len();
                assert!(datagram || (1..=7).contains(&len), "{name}: {len} bytes");
                assert!(!datagram || chunk.len() == data.len(), "{name} cuts a datagram");
                all.extend_from_slice(&chunk);
            }
            all
        };
        let (_, all) = zip(sending, receiving).await;
        assert!(all == data);
    });
}

#[test]
fn a_reader_that_stops_congests_its_direction_only_and_gets_all_later() {
    each(|Ends { mut a, mut b, name, .. }| async move {
        let sent = fill(&mut *a).await;
        assert!(!sent.is_empty(), "{name} takes nothing");
        // The other way is free.
        let back = vec![noise(9, 1_000)];
        let sending = async { send_each(&mut *b, &back).await.unwrap() };
        let receiving = async {
            let mut got = Vec::new();
            while got.len() < 1_000 {
                let Received::Chunk(chunk) = a.recv().await.unwrap() else { panic!("{name}") };
                got.extend_from_slice(&chunk);
            }
            got
        };
        assert!(zip(sending, receiving).await.1 == back[0], "{name}");
        // A sender that waits is woken when the reader goes on.
        let last = noise(5, 3);
        let sending = async {
            a.send(&last).await.unwrap();
            a.finish().await.unwrap();
        };
        let (_, all) = zip(sending, whole(&mut *b)).await;
        let mut expected = sent;
        expected.extend_from_slice(&last);
        assert!(all == expected, "{name}: {} of {} bytes", all.len(), expected.len());
    });
}

#[test]
fn a_fin_that_can_not_go_out_yet_comes_after_all_bytes() {
    each(|Ends { mut a, mut b, name, .. }| async move {
        let sent = fill(&mut *a).await;
        let (_, all) = zip(async { a.finish().await.unwrap() }, whole(&mut *b)).await;
        assert!(all == sent, "{name}: {} of {} bytes", all.len(), sent.len());
    });
}

#[test]
fn each_direction_ends_for_itself_at_any_moment() {
    each(|Ends { mut a, mut b, name, .. }| async move {
        // Before any byte; twice is once.
        a.finish().await.unwrap();
        a.finish().await.unwrap();
        assert!(whole(&mut *b).await.is_empty(), "{name}");
        // The other direction goes on.
        let answer = vec![noise(2, 30_000), noise(3, 1)];
        let sending = async {
            send_each(&mut *b, &answer).await.unwrap();
            b.finish().await.unwrap();
        };
        let (_, got) = zip(sending, whole(&mut *a)).await;
        assert!(got == answer.concat(), "{name}");
        // Too late: an error, no panic.
        assert!(b.send(b"x").await.is_err(), "{name} sends after its FIN");
    });
}

#[test]
fn a_small_datagram_keeps_no_large_receive_buffer_alive() {
    run(|_| async {
        let (mut raw, b) = memory_pipe();
        let mut b = DatagramPipe::new(b);
        raw.send(&[&[3, 1, 2, 3, 0xe8, 0x07][..], &noise(1, 1000)].concat()).await.unwrap();
        let Received::Chunk(small) = b.recv().await.unwrap() else { panic!("a FIN") };
        assert!(small == [1, 2, 3][..] && small.is_unique());
        assert!(matches!(b.recv().await.unwrap(), Received::Chunk(large) if large.len() == 1000));
    });
}

#[derive(Clone, Copy, Debug)]
enum Moment {
    Fresh,
    Sent,
    Finished,
    OtherFinished,
    Congested,
}

#[test]
fn a_pipe_that_breaks_at_any_moment_never_says_fin_and_stays_broken() {
    for moment in
        [Moment::Fresh, Moment::Sent, Moment::Finished, Moment::OtherFinished, Moment::Congested]
    {
        for dropped in [false, true] {
            each(|ends| break_at(ends, moment, dropped));
        }
    }
}

async fn break_at(Ends { mut a, mut b, name, _alive }: Ends, moment: Moment, dropped: bool) {
    let case = format!("{name}, {moment:?}, dropped: {dropped}");
    match moment {
        Moment::Fresh => {}
        Moment::Sent => {
            let data = [noise(1, 100)];
            let sending = async { send_each(&mut *a, &data).await.unwrap() };
            let (_, chunk) = zip(sending, b.recv()).await;
            assert!(matches!(chunk.unwrap(), Received::Chunk(_)), "{case}");
        }
        Moment::Finished => {
            // Only the direction from `b` can still break.
            a.finish().await.unwrap();
            assert!(whole(&mut *b).await.is_empty(), "{case}");
        }
        Moment::OtherFinished => {
            b.finish().await.unwrap();
            assert!(whole(&mut *a).await.is_empty(), "{case}");
        }
        Moment::Congested => drop(fill(&mut *a).await),
    }
    let mut gone = Some(a);
    if dropped {
        gone = None;
    } else if let Some(a) = &mut gone {
        a.abort();
        assert!(a.recv().await.is_err(), "{case}: an aborted pipe receives");
        assert!(a.send(b"x").await.is_err(), "{case}: an aborted pipe sends");
    }
    if matches!(moment, Moment::Finished) {
        // It has read the FIN: what it sends fails sooner or later.
        let sends = async {
            loop {
                if b.send(&noise(3, 1_000)).await.is_err() {
                    return;
                }
                smol::Timer::after(Duration::from_millis(1)).await;
            }
        };
        sends.await;
    } else {
        let (_, error) = chunks(&mut *b).await;
        assert!(error.is_some(), "{case}: a FIN");
        assert!(b.check().is_err(), "{case}: it looks whole");
        assert!(b.recv().await.is_err(), "{case}: it receives again");
    }
    if !matches!(moment, Moment::OtherFinished) {
        assert!(b.send(b"x").await.is_err(), "{case}: it sends again");
    }
    drop((gone, _alive));
}

#[test]
fn more_than_the_limit_of_a_send_is_refused_and_nothing_of_it_sent() {
    run(|_| async {
        for ends in [
            memory("").on("atomic", |below| AtomicPipe::with_limit(below, 100)),
            memory("").on("datagram", |below| DatagramPipe::with_limit(below, 100)),
            memory("")
                .on("", DatagramPipe::new)
                .on("stack", |below| AtomicPipe::with_limit(below, 100)),
        ] {
            let Ends { mut a, mut b, name, .. } = ends;
            assert_eq!(a.info().send_limit, 100, "{name}");
            let mut cx = Context::from_waker(Waker::noop());
            let data = noise(1, 101);
            let mut rest = &data[..];
            let Poll::Ready(Err(error)) = a.poll_send(&mut cx, &mut rest) else {
                panic!("{name} takes it")
            };
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{name}");
            assert_eq!(rest.len(), 101, "{name} has taken a part");
            assert!(b.poll_recv(&mut cx, 1000).is_pending(), "{name} has sent a part");
        }
    });
}

#[test]
fn a_send_of_the_limit_passes_through_every_stack() {
    run(|_| async {
        for ends in [
            memory("datagram").on("datagram", DatagramPipe::new),
            memory("").on("", DatagramPipe::new).on("datagram over datagram", DatagramPipe::new),
            memory("").on("", DatagramPipe::new).on("atomic over datagram", AtomicPipe::new),
            memory("").on("", AtomicPipe::new).on("datagram over atomic", DatagramPipe::new),
            memory("").on("none over memory", |below| DatagramPipe::with_limit(below, 0)),
        ] {
            let Ends { mut a, mut b, name, .. } = ends;
            assert!(a.info().send_limit > 0, "{name}");
            let data = noise(1, a.info().send_limit);
            let (sent, chunk) = zip(a.send(&data), b.recv()).await;
            sent.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(chunk.unwrap() == Received::Chunk(data.into()), "{name}");
        }
    });
}

#[test]
fn an_atomic_send_is_taken_whole_or_not_at_all() {
    run(|_| async {
        let (a, mut b) = memory_pipe();
        let mut a = AtomicPipe::new(a);
        let mut cx = Context::from_waker(Waker::noop());
        let (mut taken, data) = (0, noise(1, 50_000));
        loop {
            let mut rest = &data[..];
            match a.poll_send(&mut cx, &mut rest) {
                Poll::Ready(count) => {
                    assert_eq!((count.unwrap(), rest.len()), (data.len(), 0));
                    taken += data.len();
                }
                Poll::Pending => {
                    assert_eq!(rest.len(), data.len());
                    break;
                }
            }
        }
        assert!(taken > 128 << 10, "the last one was taken, but the pipe below took a part");
        assert!(!a.info().is_flushed() && a.poll_flush(&mut cx).is_pending());
        let (_, all) = zip(async { a.finish().await.unwrap() }, whole(&mut b)).await;
        assert_eq!(all.len(), taken);
    });
}

#[test]
fn empty_datagrams_are_received_as_such() {
    run(|_| async {
        let Ends { mut a, mut b, .. } = memory("").on("", DatagramPipe::new);
        let mut cx = Context::from_waker(Waker::noop());
        for data in [&b""[..], b"x", b""] {
            let taken = a.poll_send(&mut cx, &mut &data[..]);
            assert!(matches!(taken, Poll::Ready(Ok(len)) if len == data.len()));
        }
        a.finish().await.unwrap();
        let (all, error) = chunks(&mut *b).await;
        assert_eq!((all.len(), error.is_none()), (3, true));
        assert_eq!(all.concat(), b"x");
    });
}

/// Empty datagrams without end, and always more of them ready.
fn empties() -> DatagramPipe<impl Pipe> {
    DatagramPipe::new(Source(|_| Bytes::from_static(&[0; 16])))
}

#[test]
fn empty_datagrams_without_end_leave_the_others_their_turns() {
    // In a thread of its own: what never gives up its turn can't be timed out from within.
    let (done, waiting) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        run(|ex| async move {
            let server = start_server(&ex, &Log::default()).await;
            let client = start_client(&ex, server.local_addr(), &Log::default());
            client.ready().await.unwrap();
            let flood = client.carry(Target::Default, Box::new(empties()));
            let other = async {
                let _flooded = server.accept().await;
                let mut here = client.open(Target::Default).await.unwrap();
                here.send(b"hi").await.unwrap();
                let mut there = server.accept().await.into_flow();
                assert_eq!(there.recv().await.unwrap(), Received::Chunk("hi".into()));
            };
            or(other, async { drop(flood.await) }).await;
            let (mut far, _keep) = memory_pipe();
            let patience = async {
                for _ in 0..100 {
                    smol::future::yield_now().await;
                }
            };
            or(patience, async { drop(bridge(&mut empties(), &mut far).await) }).await;
        });
        done.send(()).unwrap();
    });
    assert!(waiting.recv_timeout(Duration::from_secs(10)).is_ok(), "the flood has all turns");
}

#[test]
fn a_stream_of_something_else_is_an_error_that_stays() {
    run(|_| async {
        for (bytes, kind) in [
            (&[0x81, 0x80, 0x20][..], io::ErrorKind::InvalidData),
            (&[0x80, 0x80, 0x80, 0x80, 0x00][..], io::ErrorKind::InvalidData),
            (&[3, 1, 2][..], io::ErrorKind::UnexpectedEof),
            (&[0x80][..], io::ErrorKind::UnexpectedEof),
        ] {
            let (mut raw, b) = memory_pipe();
            let mut b = DatagramPipe::new(b);
            raw.send(&[&[2, 8, 9][..], bytes].concat()).await.unwrap();
            raw.finish().await.unwrap();
            assert_eq!(b.recv().await.unwrap(), Received::Chunk(Bytes::from_static(&[8, 9])));
            for _ in 0..2 {
                assert_eq!(b.recv().await.unwrap_err().kind(), kind, "{bytes:?}");
            }
            assert!(b.check().is_err());
        }
    });
}

#[test]
fn a_session_runs_over_stripes_that_are_datagram_pipes() {
    run(|ex| async move {
        let wrap = |below: Any| -> Any { Box::new(DatagramPipe::with_limit(below, 10_000)) };
        let listener = Listener::bind(any_port(), None).await.unwrap();
        let spawner = ex.clone();
        let server = Server::start_in(
            SystemClock::shared(),
            Box::new(Stacked::new(listener, wrap)),
            Rc::new(move |task| spawner.spawn(task).detach()),
            Rc::new(rand::random::<u64>),
            ServerOptions::default(),
            None,
        )
        .unwrap();
        let options = ClientOptions::new(vec![server.local_addr().into()]);
        let dial = Rc::new(Stacked::new(TcpDial::default(), wrap));
        let entropy = Rc::new(rand::random::<u64>);
        let (client, running) =
            Client::start_in(SystemClock::shared(), dial, entropy, options, None).unwrap();
        ex.spawn(running).detach();
        let mut here = client.open(Target::Default).await.unwrap();
        let mut there = server.accept().await.into_flow();
        let data = [noise(1, 3_000_000)];
        let (back, all) = zip(one_side(&mut here, &data), one_side(&mut there, &[])).await;
        assert!(back.is_empty() && all.concat() == data[0]);
    });
}
