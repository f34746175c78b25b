//! A crowd of callers from many addresses: each sends a byte of its HELLO a second, and calls again
//! when it is refused.

use crate::wire::{KeyFile, tunnel};
use socket2::{Domain, SockAddr, Socket, Type};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use striper_tests::stranger::{Stranger, create, hello, join};
use striper_tests::{Origin, Pair, Proxy, exchange};

const CALLERS: usize = 10_000;
const ADDRESSES: usize = 50;
const JOINS: u64 = 300;

const GROUP: usize = 20;
const SESSION: u32 = 7;

/// The time between two measured joins.
const PAUSE: Duration = Duration::from_millis(10);

/// The beginning of a record with a ClientHello of 512 bytes (RFC 8446, sections 4 and 5.1): more
/// bytes than a caller sends in five seconds.
const CLIENT_HELLO: [u8; 12] = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 7];

/// Attacks, prints, and returns whether an honest client joined in time.
pub fn run(key: Option<&KeyFile>) -> bool {
    let options: Vec<&str> = key.iter().flat_map(|key| key.options()).collect();
    let origin = Origin::start();
    let Pair { client, server } = Pair::with(None, origin.addr(), &options, &options);
    let port = key.map_or(server.addr(), |key| tunnel(server.addr(), key.tls()));
    let (here, there) = (client.connect(), origin.accept());
    let _first = Stranger::join(port, SESSION);
    let (alone, _) = joins(port, 1);
    let calm = server.memory().0;
    let attack = Attack::begin(server.addr(), key.is_some());
    // All have called once, and most have been refused.
    while attack.calls() < CALLERS as u64 {
        thread::sleep(Duration::from_millis(10));
    }
    let begin = (Instant::now(), attack.calls());
    let (under, lost) = joins(port, 1 + JOINS);
    // The pace of the crowd, with the joins in it.
    let rate = (attack.calls() - begin.1) as f64 / begin.0.elapsed().as_secs_f64();
    println!("handshakes: {CALLERS} callers from {ADDRESSES} addresses");
    println!(
        "  a join alone:        median {:.3} ms, 95th percentile {:.3}, longest {:.3}",
        alone[0], alone[1], alone[2]
    );
    println!(
        "  a join under attack: median {:.3} ms, 95th percentile {:.3}, longest {:.3}, {lost} of \
         {JOINS} lost",
        under[0], under[1], under[2]
    );
    let newcomer = Instant::now();
    let second = Proxy::client(server.addr(), &[&["-n", "64"], &options[..]].concat());
    second.wait_for_any("64 stripes", |event| event.is("stripe_up") && event.number("live") == 64);
    let newcomer = newcomer.elapsed();
    exchange(&here, &there, 0..1_000_000);
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
    lost == 0 && under[0] <= 2.0 * alone[0]
}

pub fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// The median, the 95th percentile and the longest time from the call to the answer, in ms, and the
/// number of joins without an answer.
fn joins(port: SocketAddr, first: u64) -> ([f64; 3], u64) {
    let mut lost = 0;
    let mut times: Vec<f64> = (first..first + JOINS)
        .filter_map(|stripe| {
            // So the joins meet several rounds of the crowd.
            thread::sleep(PAUSE);
            let begin = Instant::now();
            let mut stream = TcpStream::connect(port).ok()?;
            stream.write_all(&hello(1, &join(SESSION, stripe))).ok()?;
            let answered = stream.read_exact(&mut [0; 10]).is_ok();
            lost += u64::from(!answered);
            answered.then(|| begin.elapsed().as_secs_f64() * 1e3)
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let last = times.len() - 1;
    ([times[last / 2], times[last * 19 / 20], times[last]], lost)
}

struct Attack {
    over: Arc<AtomicBool>,
    calls: Arc<AtomicU64>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Attack {
    fn begin(port: SocketAddr, keyed: bool) -> Self {
        let (over, calls) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let thread = thread::spawn({
            let (over, calls) = (over.clone(), calls.clone());
            move || crowd(port, keyed, &over, &calls)
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

/// Each caller in turn, once a second, sends one more byte or calls again.
fn crowd(port: SocketAddr, keyed: bool, over: &AtomicBool, calls: &AtomicU64) {
    let words = if keyed { CLIENT_HELLO.to_vec() } else { hello(1, &create(9, 0)) };
    let mut callers: Vec<Option<(TcpStream, usize)>> = (0..CALLERS).map(|_| None).collect();
    while !over.load(Ordering::Relaxed) {
        let round = Instant::now();
        for (number, caller) in callers.iter_mut().enumerate() {
            if over.load(Ordering::Relaxed) {
                return;
            }
            // Independent callers are spread over the second.
            if number.is_multiple_of(GROUP) {
                let due = Duration::from_secs(1) * number as u32 / CALLERS as u32;
                thread::sleep(due.saturating_sub(round.elapsed()));
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

/// Calls from one of the addresses, without waiting for the answer.
fn call(port: SocketAddr, number: usize) -> Option<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).ok()?;
    let from = Ipv4Addr::new(127, 0, 1, (number % ADDRESSES) as u8 + 1);
    socket.bind(&SockAddr::from(SocketAddr::from((from, 0)))).ok()?;
    socket.set_nonblocking(true).ok()?;
    let _ = socket.connect(&port.into());
    Some(socket.into())
}
