//! Handles and their flows on several threads.

mod common;

use common::{LIMIT, noise};
use smol::future::{block_on, or, poll_once, zip};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Wake};
use std::thread;
use std::time::Duration;
use striper_core::Reason;
use striper_runtime::keys::{Key, KeyKind, Keys};
use striper_runtime::{
    Client, ClientBuilder, Event, Flow, FlowEnd, Incoming, OpenError, Server, ServerBuilder,
    StartError, Target, TcpPipe,
};

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

fn pair() -> (Client, Server) {
    let server = Server::builder(ANY).bind().unwrap();
    (Client::builder([server.local_addr()]).start().unwrap(), server)
}

async fn flow(client: &Client, server: &Server) -> (Flow, Flow) {
    let here = client.open(Target::Default).await.unwrap();
    (here, server.accept().await.unwrap().accept())
}

/// Hanging is failing.
fn run<T>(test: impl Future<Output = T>) -> T {
    block_on(or(test, async {
        smol::Timer::after(Duration::from_secs(60)).await;
        panic!("the test hangs")
    }))
}

#[test]
fn handles_and_flows_may_go_to_any_thread() {
    fn any_thread<T: Send + Sync + 'static>() {}
    fn clones<T: Clone>() {}
    any_thread::<(Client, Server, Flow, Incoming)>();
    clones::<(Client, Server)>();
    fn sends<T: Send>(_: T) {}
    sends::<Option<(ClientBuilder, ServerBuilder, Event)>>(None);
    let (client, server) = pair();
    sends(client.open(Target::Default));
    sends(server.accept());
    sends(client.shutdown(LIMIT));
}

#[test]
fn all_bytes_and_both_ends_arrive_between_threads() {
    let (client, server) = pair();
    let (up, down) = (noise(1, 3_000_001), noise(2, 2_000_003));
    let echo = thread::spawn({
        let (up, down) = (up.clone(), down.clone());
        move || {
            let flow = server.accept_blocking().unwrap().accept();
            let (mut reader, mut writer) = smol::io::split(flow);
            let sending = async {
                writer.write_all(&down).await.unwrap();
                writer.close().await.unwrap();
            };
            let mut all = Vec::new();
            let (_, read) = block_on(zip(sending, reader.read_to_end(&mut all)));
            assert!(read.is_ok() && all == up);
        }
    });
    let flow = client.open_blocking(Target::Default).unwrap().into_async();
    let (mut reader, mut writer) = smol::io::split(flow);
    let writing = thread::spawn(move || {
        // Parts of all sizes.
        let mut rest = &up[..];
        for len in (1..).map(|i| i * 37 % 70_001) {
            let part = &rest[..len.min(rest.len())];
            block_on(writer.write_all(part)).unwrap();
            rest = &rest[part.len()..];
            if rest.is_empty() {
                return block_on(writer.close()).unwrap();
            }
        }
    });
    let mut all = Vec::new();
    run(reader.read_to_end(&mut all)).unwrap();
    assert!(all == down);
    writing.join().unwrap();
    echo.join().unwrap();
}

#[test]
fn a_writer_waits_for_a_reader_that_reads_nothing() {
    let (client, server) = pair();
    run(async {
        let (mut here, mut there) = flow(&client, &server).await;
        let data = vec![7; 1 << 20];
        let mut sent = 0;
        loop {
            let pause = async {
                smol::Timer::after(Duration::from_millis(500)).await;
                Ok(0)
            };
            match or(here.write(&data), pause).await.unwrap() {
                0 => break,
                count => sent += count,
            }
            assert!(sent < 64 << 20, "nothing bounds it");
        }
        let (_, got) = zip(here.close(), async {
            let mut all = Vec::new();
            there.read_to_end(&mut all).await.unwrap();
            all
        })
        .await;
        assert_eq!(got.len(), sent);
        assert!(got.iter().all(|byte| *byte == 7));
    });
}

#[test]
fn a_reset_passes_in_both_directions_and_is_no_end() {
    let (client, server) = pair();
    run(async {
        for client_resets in [true, false] {
            let (mut here, mut there) = flow(&client, &server).await;
            here.write_all(b"to there").await.unwrap();
            there.write_all(b"to here").await.unwrap();
            let (left, mut other) = if client_resets { (here, there) } else { (there, here) };
            drop(left);
            let error = other.read_to_end(&mut Vec::new()).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
            assert!(other.write_all(b"more").await.is_err());
        }
    });
}

#[test]
fn a_flow_tells_why_it_was_refused() {
    let closed = TcpListener::bind(ANY).unwrap().local_addr().unwrap();
    let server = Server::builder(ANY).forward_to(closed).bind().unwrap();
    let client = Client::builder([server.local_addr()]).start().unwrap();
    let mut flow = client.open_blocking(Target::Default).unwrap();
    let error = flow.read(&mut [0; 10]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);

    let (client, server) = pair();
    run(async {
        let mut answers = Vec::new();
        for refuse in [|flow: Incoming| flow.refuse(Reason::NotAllowed), drop] {
            let mut here = client.open(Target::Default).await.unwrap();
            refuse(server.accept().await.unwrap());
            answers.push(here.read(&mut [0; 10]).await.unwrap_err().to_string());
        }
        let reasons = [Reason::NotAllowed, Reason::Unavailable];
        assert_eq!(answers, reasons.map(|reason| FlowEnd::Refused(reason).to_string()));
    });
}

struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_flow_is_woken_only_if_there_is_something() {
    let (client, server) = pair();
    run(async {
        let (mut here, mut there) = flow(&client, &server).await;
        there.write_all(b"a").await.unwrap();
        here.read_exact(&mut [0]).await.unwrap();
        let wakes = Arc::new(Wakes(AtomicUsize::new(0)));
        let waker = wakes.clone().into();
        let mut byte = [0];
        let mut reading = here.read(&mut byte);
        let reading = std::pin::Pin::new(&mut reading);
        assert!(reading.poll(&mut Context::from_waker(&waker)).is_pending());
        smol::Timer::after(Duration::from_millis(200)).await;
        assert_eq!(wakes.0.load(Ordering::SeqCst), 0);
        there.write_all(b"b").await.unwrap();
        smol::Timer::after(Duration::from_millis(200)).await;
        assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
        assert!(matches!(poll_once(here.read(&mut byte)).await, Some(Ok(1))));
    });
}

/// Waits until nothing has `token` any more: the thread with the listener that owned it is over.
fn wait_for_end(token: &Weak<()>) {
    for _ in 0..1000 {
        if token.upgrade().is_none() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("the thread goes on");
}

#[test]
fn a_thread_ends_with_its_last_handle_or_flow_and_delivers_before() {
    let (token, other) = (Arc::new(()), Arc::new(()));
    let (is_over, is_server_over) = (Arc::downgrade(&token), Arc::downgrade(&other));
    let server = Server::builder(ANY).on_event(move |_| _ = &other).bind().unwrap();
    let client =
        Client::builder([server.local_addr()]).on_event(move |_| _ = &token).start().unwrap();
    run(async {
        let (mut here, mut there) = flow(&client, &server).await;
        drop((client, server));
        let data = noise(3, 400_000);
        let sending = async {
            here.write_all(&data).await.unwrap();
            here.close().await.unwrap();
            assert_eq!(here.read(&mut [0]).await.unwrap(), 0);
            drop(here);
        };
        there.close().await.unwrap();
        let mut all = Vec::new();
        let (_, read) = zip(sending, there.read_to_end(&mut all)).await;
        assert!(read.is_ok() && all == data);
    });
    wait_for_end(&is_over);
    wait_for_end(&is_server_over);
}

#[test]
fn a_shutdown_ends_all_that_waits() {
    let (client, server) = pair();
    run(async {
        client.ready().await.unwrap();
        let accepting = thread::spawn({
            let server = server.clone();
            move || server.accept_blocking().is_none()
        });
        assert_eq!(server.status().await.sessions.len(), 1);
        zip(client.shutdown(LIMIT), server.shutdown(LIMIT)).await;
        assert!(accepting.join().unwrap());
        assert_eq!(client.open(Target::Default).await.unwrap_err(), OpenError::ShuttingDown);
        assert_eq!(client.ready().await, Err(OpenError::ShuttingDown));
        assert!(client.status().await.sessions.is_empty());
        client.shutdown(LIMIT).await;
    });
}

#[test]
fn sockets_are_carried_on_the_threads_of_the_handles() {
    let origin = TcpListener::bind(ANY).unwrap();
    let server = Server::builder(ANY).forward_to(origin.local_addr().unwrap()).bind().unwrap();
    let client = Client::builder([server.local_addr()]).start().unwrap();
    let entrance = TcpListener::bind(ANY).unwrap();
    let mut program = TcpStream::connect(entrance.local_addr().unwrap()).unwrap();
    let local = TcpPipe::try_from(entrance.accept().unwrap().0).unwrap();
    let carried = thread::spawn(move || block_on(client.carry(Target::Default, local)));
    program.write_all(b"question").unwrap();
    program.shutdown(std::net::Shutdown::Write).unwrap();
    let (mut target, _) = origin.accept().unwrap();
    let mut text = String::new();
    target.read_to_string(&mut text).unwrap();
    assert_eq!(text, "question");
    target.write_all(b"the answer").unwrap();
    drop(target);
    text.clear();
    program.read_to_string(&mut text).unwrap();
    let report = carried.join().unwrap();
    assert_eq!((&text[..], report.end), ("the answer", FlowEnd::Finished));
    assert_eq!((report.sent, report.received), (8, 10));
}

#[test]
fn a_setting_outside_its_range_is_named() {
    let client = || Client::builder([ANY]);
    let (nowhere, none) = ([ANY; 0], Duration::ZERO);
    let of_client = [
        (Client::builder(nowhere), "servers.len() is 0, but must be at least 1"),
        (client().stripes(0), "stripes is 0, but must be 1 to 64"),
        (client().stripes(65), "stripes is 65, but must be 1 to 64"),
        (client().connect_timeout(none), "connect_timeout is 0ns, but must be 1ms to 315360000s"),
    ];
    for (builder, text) in of_client {
        let error = builder.start().unwrap_err();
        assert!(matches!(error, StartError::Settings(_)), "{error:?}");
        assert_eq!(error.to_string(), text);
    }
    let mut limits = striper_runtime::Limits::default();
    limits.sessions = 0;
    let error = Server::builder(ANY).limits(limits).bind().unwrap_err();
    assert_eq!(error.to_string(), "limits.sessions is 0, but must be at least 1");
    let taken = TcpListener::bind(ANY).unwrap();
    let error = Server::builder(taken.local_addr().unwrap()).bind().unwrap_err();
    assert!(matches!(error, StartError::Io(error) if error.kind() == io::ErrorKind::AddrInUse));
}

#[test]
fn keys_decide_which_client_gets_through() {
    let keys = |_| Keys::shared("key", Key::generate(KeyKind::Shared).unwrap()).unwrap();
    let [ours, others] = [1, 2].map(keys);
    let server = Server::builder(ANY).keys(ours.clone()).bind().unwrap();
    let client = |keys: &Keys| {
        let builder = Client::builder([server.local_addr()]).keys(keys.clone());
        builder.connect_timeout(Duration::from_millis(300)).start().unwrap()
    };
    run(async {
        let known = client(&ours);
        let opened = known.open(Target::Default).await;
        assert!(opened.is_ok());
        assert_eq!(server.accept().await.unwrap().peer().map(|name| &**name), Some("key"));
        assert!(client(&others).open(Target::Default).await.is_err());
        server.set_keys(others);
        assert!(opened.unwrap().read(&mut [0]).await.is_err());
    });
}
