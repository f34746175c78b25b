//! `costs` measures the costs of the key on loopback: throughput, CPU per gigabyte, and the time
//! and CPU of a stripe's handshake. Runs with and without the key take turns, so other programs on
//! the machine disturb both alike.
//!
//! ```text
//! cargo run --release -p striper-tests --bin costs -- [ROUNDS]
//! ```

#![allow(clippy::disallowed_methods, reason = "it measures real time")]

use smol::LocalExecutor;
use std::future::poll_fn;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};
use striper_core::{Handshake, Hello, HelloKind, SessionId, StripeId};
use striper_runtime::keys::{Keys, read_key};
use striper_runtime::{ClientTls, Pipe, PipeExt, Received, TlsPipe, dial_tcp};
use striper_tests::{Origin, Pair, TempDir, run};

const BULK: u64 = 2 << 30;

const HANDSHAKES: u32 = 500;

#[derive(Clone, Copy)]
struct Figures {
    /// Gbit/s.
    rate: f64,
    /// CPU seconds of both proxies for 10⁹ bytes.
    cpu: f64,
    /// From the TCP connection to the server's HELLO, microseconds.
    handshake: f64,
    /// CPU microseconds of the server for one.
    server: f64,
}

fn main() {
    let rounds =
        std::env::args().nth(1).map_or(5, |word| word.parse().expect("a number of rounds"));
    let folder = TempDir::create();
    let key = folder.text("costs.key");
    run(&["keygen", &key], &[]).success();
    let (mut plain, mut keyed) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        plain.push(measure(None));
        keyed.push(measure(Some(&key)));
        eprintln!("round {round} of {rounds}");
    }
    println!("medians of {rounds} rounds       without key   with key   ratio");
    for (what, of) in [
        ("throughput, Gbit/s", (|f| f.rate) as fn(&Figures) -> f64),
        ("CPU of both sides, s/GB", |f| f.cpu),
        ("handshake after TCP's, us", |f| f.handshake),
        ("CPU of the server for it, us", |f| f.server),
    ] {
        let (a, b) = (median(&plain, of), median(&keyed, of));
        println!("{what:30} {a:9.2} {b:12.2} {:8.2}", b / a);
    }
}

fn median(all: &[Figures], of: fn(&Figures) -> f64) -> f64 {
    let mut sorted: Vec<f64> = all.iter().map(of).collect();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn measure(key: Option<&str>) -> Figures {
    let options: Vec<&str> = key.iter().flat_map(|key| ["-k", key]).collect();
    let origin = Origin::start();
    let Pair { client, server } = Pair::with(None, origin.addr(), &options, &options);
    let before = server.cpu() + client.cpu();
    let time = bulk(client.addr(), &origin);
    let cpu = (server.cpu() + client.cpu() - before).as_secs_f64();
    drop(client);
    let before = server.cpu();
    let tls = key.map(|key| {
        let key = read_key(Path::new(key), false).expect("a key");
        ClientTls::new(&Keys::shared("costs", key).expect("keys"))
    });
    let handshake =
        smol::block_on(LocalExecutor::new().run(handshakes(server.addr(), tls.as_ref())));
    Figures {
        rate: BULK as f64 * 8e-9 / time.as_secs_f64(),
        cpu: cpu / (BULK as f64 * 1e-9),
        handshake: handshake.as_secs_f64() * 1e6,
        server: (server.cpu() - before).as_secs_f64() * 1e6 / f64::from(HANDSHAKES),
    }
}

/// The time until all bytes have passed the pair.
fn bulk(to: SocketAddr, origin: &Origin) -> Duration {
    let begin = Instant::now();
    let sender = thread::spawn(move || {
        let mut stream = TcpStream::connect(to).expect("the client");
        let block = vec![7; 256 << 10];
        for _ in 0..BULK / block.len() as u64 {
            stream.write_all(&block).expect("a send");
        }
    });
    let mut arriving = origin.accept();
    let mut block = vec![0; 256 << 10];
    let mut arrived = 0;
    while arrived < BULK {
        arrived += arriving.read(&mut block).expect("a receive") as u64;
    }
    sender.join().expect("a sender");
    begin.elapsed()
}

/// The median time from the TCP connection to the server's HELLO. Each handshake is of a new
/// session.
async fn handshakes(to: SocketAddr, tls: Option<&ClientTls>) -> Duration {
    let mut times = Vec::new();
    for number in 0..HANDSHAKES {
        let below = dial_tcp(&to.into(), Duration::from_secs(10)).await.expect("the server");
        let begin = Instant::now();
        let mut pipe: Box<dyn Pipe> = match tls {
            Some(tls) => Box::new(TlsPipe::client(below, tls).expect("TLS")),
            None => Box::new(below),
        };
        let session = SessionId(u128::from(number).to_be_bytes());
        let hello =
            Hello { kind: HelloKind::Create, session, stripe: StripeId(0), gone: Vec::new() };
        pipe.send(&hello.encode()).await.expect("a HELLO to be sent");
        poll_fn(|cx| pipe.poll_flush(cx)).await.expect("a HELLO to go out");
        let mut handshake = Handshake::new();
        loop {
            let Received::Chunk(chunk) = pipe.recv().await.expect("a HELLO") else {
                panic!("no HELLO")
            };
            if handshake.feed(chunk).expect("a HELLO").is_some() {
                break;
            }
        }
        times.push(begin.elapsed());
        pipe.abort();
    }
    times.sort();
    times[times.len() / 2]
}
