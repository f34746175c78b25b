//! Crowds at the gate: callers that say a byte of their HELLO a second, from many addresses, and call again when they are turned away.

use socket2::{Domain, SockAddr, Socket, Type};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use striper_tests::stranger::{Stranger, create, hello, join};
use striper_tests::{Origin, Pattern, Proxy, connect};

const CALLERS: usize = 10_000;
const ADDRESSES: usize = 50;
const JOINS: u64 = 300;
const SESSION: u32 = 7;

/// Attacks, prints, and says whether an honest client joined in time.
pub fn run() -> bool {
    let origin = Origin::start();
    let server = Proxy::server(origin.addr().ip(), origin.addr(), &[]);
    let client = Proxy::client(origin.addr().ip(), server.addr(), &[]);
    let (mut here, mut there) = (connect(client.addr()), origin.accept());
    let _first = Stranger::join(server.addr(), SESSION);
    let alone = joins(server.addr(), 1);
    let calm = server.memory().0;
    let attack = Attack::begin(server.addr());
    // Everybody has called once, and most have been turned away.
    while attack.calls() < CALLERS as u64 {
        thread::sleep(Duration::from_millis(10));
    }
    let begin = (Instant::now(), attack.calls());
    let under = joins(server.addr(), 1 + JOINS);
    println!("handshakes: {CALLERS} callers from {ADDRESSES} addresses");
    println!("  a join alone:        median {:.3} ms, longest {:.3} ms", alone.0, alone.1);
    println!(
        "  a join under attack: median {:.3} ms, longest {:.3} ms, {} of {JOINS} lost",
        under.0, under.1, under.2
    );
    let newcomer = Instant::now();
    let second = Proxy::client(origin.addr().ip(), server.addr(), &["-n", "64"]);
    second.wait_for_any("64 stripes", |event| event.is("stripe_up") && event.number("live") == 64);
    let newcomer = newcomer.elapsed();
    Pattern(1).send(&mut here, 0..1_000_000);
    Pattern(1).expect(&mut there, 0..1_000_000);
    let rate = (attack.calls() - begin.1) as f64 / begin.0.elapsed().as_secs_f64();
    let (now, peak) = server.memory();
    println!("  {rate:.0} calls a second meanwhile");
    println!("  64 stripes of a new client under attack: {} ms", newcomer.as_millis());
    println!(
        "  RSS {:.1} MiB before, {:.1} now, {:.1} at most; {} descriptors open",
        mib(calm),
        mib(now),
        mib(peak),
        server.files()
    );
    assert_eq!(client.count("stripe_lost"), 0, "the first client keeps its stripes");
    drop(attack);
    under.2 == 0
}

pub fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// The median and the longest time from the call to the answer, in ms, and how many got none.
fn joins(port: SocketAddr, first: u64) -> (f64, f64, u64) {
    let mut lost = 0;
    let mut times: Vec<f64> = (first..first + JOINS)
        .filter_map(|stripe| {
            let begin = Instant::now();
            let mut stream = TcpStream::connect(port).ok()?;
            stream.write_all(&hello(1, &join(SESSION, stripe))).ok()?;
            let answered = stream.read_exact(&mut [0; 10]).is_ok();
            lost += u64::from(!answered);
            answered.then(|| begin.elapsed().as_secs_f64() * 1e3)
        })
        .collect();
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[times.len() - 1], lost)
}

/// Callers, until it is dropped.
struct Attack {
    over: Arc<AtomicBool>,
    calls: Arc<AtomicU64>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Attack {
    fn begin(port: SocketAddr) -> Self {
        let (over, calls) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let thread = thread::spawn({
            let (over, calls) = (over.clone(), calls.clone());
            move || crowd(port, &over, &calls)
        });
        Attack { over, calls, thread: Some(thread) }
    }

    fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }
}

impl Drop for Attack {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// All callers in turn, each once a second: says one byte more, or calls anew.
fn crowd(port: SocketAddr, over: &AtomicBool, calls: &AtomicU64) {
    let words = hello(1, &create(9, 0));
    let mut callers: Vec<Option<(TcpStream, usize)>> = (0..CALLERS).map(|_| None).collect();
    while !over.load(Ordering::Relaxed) {
        let round = Instant::now();
        for (number, caller) in callers.iter_mut().enumerate() {
            if over.load(Ordering::Relaxed) {
                return;
            }
            let goes_on = caller.as_mut().is_some_and(|(stream, said)| {
                *said = (*said + 1).min(words.len() - 1);
                is_there(stream) && stream.write_all(&words[*said - 1..*said]).is_ok()
            });
            if !goes_on {
                *caller = call(port, number).map(|stream| (stream, 0));
                calls.fetch_add(1, Ordering::Relaxed);
            }
        }
        thread::sleep(Duration::from_secs(1).saturating_sub(round.elapsed()));
    }
}

fn is_there(stream: &TcpStream) -> bool {
    matches!(stream.peek(&mut [0; 1]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

/// From one of the addresses, without waiting for the answer.
fn call(port: SocketAddr, number: usize) -> Option<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).ok()?;
    let from = Ipv4Addr::new(127, 0, 1, (number % ADDRESSES) as u8 + 1);
    socket.bind(&SockAddr::from(SocketAddr::from((from, 0)))).ok()?;
    socket.set_nonblocking(true).ok()?;
    let _ = socket.connect(&port.into());
    Some(socket.into())
}
