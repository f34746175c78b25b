//! Measures the hop to a handle's thread: `cargo run --release --example hop [MIB] [ROUNDS]`. Each
//! side has two threads of the system, or four with handles.

use smol::io::{AsyncReadExt, AsyncWriteExt};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use striper_runtime::clock::{Clock, SystemClock};
use striper_runtime::{Client, Flow, Server, Target, local};

const WRITE: usize = 256 << 10;

fn main() {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse().expect("a number"));
    let (mib, rounds) = (args.next().unwrap_or(1024), args.next().unwrap_or(5000));
    for _ in 0..3 {
        for (name, pair) in [("local", over_local as Pair), ("handles", over_handles)] {
            let (time, p50) = (pair(mib, 0).0, pair(0, rounds).1);
            let rate = mib as f64 * 8.0 * 1.048_576e-3 / time.as_secs_f64();
            println!("{name}: {rate:.2} Gbit/s, ping-pong p50 {} µs", p50.as_micros());
        }
    }
}

type Pair = fn(usize, usize) -> (Duration, Duration);

fn any() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// Both faces of each side on one thread.
fn over_local(mib: usize, rounds: usize) -> (Duration, Duration) {
    let (tell, address) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let ex = local::Executor::default();
        smol::block_on(ex.clone().run(async {
            let options = local::ServerOptions::default();
            let server = local::Server::bind(&ex, any(), options, None).await.unwrap();
            tell.send(server.local_addr()).unwrap();
            answer(server.accept().await.into_flow(), mib, rounds).await;
            server.shutdown(Duration::from_secs(1)).await;
        }));
    });
    let options = local::ClientOptions::new(vec![address.recv().unwrap().into()]);
    let ex: local::Executor = Rc::default();
    smol::block_on(ex.clone().run(async {
        let client = local::Client::start(&ex, options, None).unwrap();
        ask(client.open(Target::Default).await.unwrap(), mib, rounds).await
    }))
}

fn over_handles(mib: usize, rounds: usize) -> (Duration, Duration) {
    let server = Server::builder(any()).bind().unwrap();
    let client = Client::builder([server.local_addr()]).start().unwrap();
    std::thread::spawn(move || {
        smol::block_on(async {
            answer(server.accept().await.unwrap().accept(), mib, rounds).await;
        });
    });
    smol::block_on(async { ask(client.open(Target::Default).await.unwrap(), mib, rounds).await })
}

/// The time for all bytes, and the median of the round trips.
async fn ask(mut flow: Flow, mib: usize, rounds: usize) -> (Duration, Duration) {
    let (clock, data) = (SystemClock::new(), vec![7; WRITE]);
    let begin = clock.now();
    for _ in 0..mib * (1 << 20) / WRITE {
        flow.write_all(&data).await.unwrap();
    }
    flow.write_all(&[1]).await.unwrap();
    flow.read_exact(&mut [0]).await.unwrap();
    let all = clock.now().since(begin);
    let mut times = Vec::new();
    for _ in 0..rounds {
        let begin = clock.now();
        flow.write_all(&data[..100]).await.unwrap();
        flow.read_exact(&mut [0; 100]).await.unwrap();
        times.push(clock.now().since(begin));
    }
    times.sort_unstable();
    flow.close().await.unwrap();
    flow.read_to_end(&mut Vec::new()).await.unwrap();
    (all, times.get(rounds / 2).copied().unwrap_or_default())
}

async fn answer(mut flow: Flow, mib: usize, rounds: usize) {
    let mut buffer = vec![0; WRITE];
    let mut left = mib << 20;
    while left > 0 {
        let most = left.min(WRITE);
        left -= flow.read(&mut buffer[..most]).await.unwrap();
    }
    flow.read_exact(&mut buffer[..1]).await.unwrap();
    flow.write_all(&[1]).await.unwrap();
    for _ in 0..rounds {
        flow.read_exact(&mut buffer[..100]).await.unwrap();
        flow.write_all(&buffer[..100]).await.unwrap();
    }
    flow.close().await.unwrap();
    flow.read_to_end(&mut Vec::new()).await.unwrap();
}
