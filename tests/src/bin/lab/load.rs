//! The load on a route: a client orders a transfer from the sink, and the receiver measures. A
//! connection begins with the number of an [`Order`]; orders and figures pass in memory.

use crate::clock;
use crate::emulator::Way;
use socket2::{Domain, SockRef, Socket, Type};
use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;
use striper_tests::Pattern;

/// The most bytes that are sent or received at once.
const BLOCK: usize = 256 << 10;
/// The time after which a waiting receiver looks at the clock.
const LOOK: Duration = Duration::from_millis(20);
/// The sender of a timed transfer goes on this long after the receiver's end.
const AFTER: Duration = Duration::from_millis(500);
/// The time of a bin of [`Received::bins`].
pub const BIN: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug)]
pub enum Amount {
    /// As many bytes as possible within this time.
    During(Duration),
    /// So many bytes, which are verified, within this time.
    Bytes(u64, Duration),
}

impl Amount {
    fn time(self) -> Duration {
        match self {
            Amount::During(time) | Amount::Bytes(_, time) => time,
        }
    }
}

#[derive(Debug)]
pub struct Received {
    /// The time at which it began to wait for data.
    pub start: Duration,
    pub bytes: u64,
    pub gap: Duration,
    /// Bytes in each [`BIN`] since the start.
    pub bins: Vec<u64>,
    pub error: Option<String>,
}

impl Received {
    /// Megabits a second from a moment after the start to another.
    pub fn mbit(&self, from: Duration, to: Duration) -> f64 {
        let bin = |time: Duration| (time.as_millis() / BIN.as_millis()) as usize;
        let bytes: u64 = self.bins.iter().take(bin(to)).skip(bin(from)).sum();
        bytes as f64 * 8e-6 / (to - from).as_secs_f64()
    }

    /// The figures of two connections together; the gap is the longer one.
    pub fn with(mut self, other: Received) -> Received {
        self.bytes += other.bytes;
        self.gap = self.gap.max(other.gap);
        self.bins.resize(self.bins.len().max(other.bins.len()), 0);
        self.bins.iter_mut().zip(other.bins).for_each(|(bin, more)| *bin += more);
        self
    }
}

/// The kernel's name of a congestion control; `None` is the machine's default.
pub type Congestion = Option<&'static str>;

/// To be set before a connection begins: a socket that has had BBR goes on to space its packets.
pub fn set_congestion<'a>(socket: impl Into<SockRef<'a>>, name: Congestion) -> Result<(), String> {
    let Some(name) = name else { return Ok(()) };
    let set = socket.into().set_tcp_congestion(name.as_bytes());
    set.map_err(|error| format!("congestion control {name}: {error}"))
}

#[derive(Clone, Copy, Debug)]
enum Order {
    Bulk(Way, Amount),
    Echo(usize),
    Reply(usize),
}

type Waiting = (Order, mpsc::Sender<Received>);

/// The orders by the number that a connection begins with, and the receivers of figures.
static ORDERS: LazyLock<Mutex<HashMap<u64, Waiting>>> = LazyLock::new(Default::default);

fn orders() -> MutexGuard<'static, HashMap<u64, Waiting>> {
    ORDERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Connects to the sink and gives it an order. Also returns the order's number, which is the seed
/// of its data, and the sink's figures.
fn order(
    to: SocketAddr,
    congestion: Congestion,
    order: Order,
) -> Result<(TcpStream, u64, mpsc::Receiver<Received>), String> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None).map_err(text)?;
    set_congestion(&socket, congestion)?;
    let connected = socket.connect_timeout(&to.into(), Duration::from_secs(5));
    connected.map_err(|error| format!("connecting to {to}: {error}"))?;
    let mut stream = TcpStream::from(socket);
    stream.set_nodelay(true).map_err(text)?;
    let (number, (sender, figures)) = (NEXT.fetch_add(1, Ordering::Relaxed), mpsc::channel());
    orders().insert(number, (order, sender));
    // With a time limit, so that a blocked connection is an error.
    stream.set_write_timeout(Some(LOOK)).map_err(text)?;
    put(&mut stream, &number.to_le_bytes(), clock::now() + Duration::from_secs(5))?;
    Ok((stream, number, figures))
}

pub struct Sink {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
}

impl Sink {
    /// Listens in the network namespace of the calling thread.
    pub fn start(address: SocketAddr, congestion: Congestion) -> Result<Sink, String> {
        let listener = TcpListener::bind(address).map_err(text)?;
        set_congestion(&listener, congestion)?;
        let address = listener.local_addr().map_err(text)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                thread::spawn(move || serve(stream));
            }
        });
        Ok(Sink { address, stop })
    }

    /// Accepts no more. The caller is in the sink's namespace.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(mut stream: TcpStream) {
    // The route may vanish before the client's end has arrived.
    let _ = stream.set_read_timeout(Some(Duration::from_secs(30)));
    let mut number = [0; 8];
    if stream.read_exact(&mut number).is_err() {
        return;
    }
    let seed = u64::from_le_bytes(number);
    let Some((order, figures)) = orders().remove(&seed) else { return };
    let _ = stream.set_nodelay(true);
    match order {
        Order::Bulk(direction, amount) => {
            let reply = match direction {
                Way::Up => {
                    let received = receive(&mut stream, seed, amount);
                    let bytes = received.bytes;
                    let _ = figures.send(received);
                    bytes.to_le_bytes().to_vec()
                }
                Way::Down => {
                    let _ = send(&mut stream, seed, amount);
                    Vec::new()
                }
            };
            match amount {
                Amount::During(_) => abort(&stream),
                Amount::Bytes(..) => reply_and_drain(&mut stream, &reply),
            }
        }
        Order::Echo(size) => {
            let mut piece = vec![0; size];
            while stream.read_exact(&mut piece).is_ok() && stream.write_all(&piece).is_ok() {}
        }
        Order::Reply(size) => reply_and_drain(&mut stream, &vec![0; size]),
    }
}

fn reply_and_drain(stream: &mut TcpStream, reply: &[u8]) {
    if stream.write_all(reply).and_then(|()| stream.shutdown(Shutdown::Write)).is_ok() {
        drain(stream);
    }
}

/// Transfers in bulk. Returns the receiver's figures, and the time from the dial to the last byte,
/// or to the sink's answer to it, at the client.
pub fn bulk(
    to: SocketAddr,
    direction: Way,
    amount: Amount,
    congestion: Congestion,
) -> Result<(Received, Duration), String> {
    let begin = clock::now();
    let (mut stream, seed, figures) = order(to, congestion, Order::Bulk(direction, amount))?;
    let received = match direction {
        Way::Down => receive(&mut stream, seed, amount),
        Way::Up => {
            let sent = send(&mut stream, seed, amount);
            if let (Amount::Bytes(..), Ok(())) = (amount, &sent) {
                let left = (begin + amount.time()).saturating_sub(clock::now()).max(LOOK);
                stream.set_read_timeout(Some(left)).map_err(text)?;
                let _ = stream.read_exact(&mut [0; 8]);
            }
            let wait = if sent.is_ok() { 10 * AFTER } else { amount.time() };
            let wait = figures.recv_timeout(wait);
            wait.map_err(|_| format!("the sink saw no end: {}", sent.err().unwrap_or_default()))?
        }
    };
    let time = clock::now() - begin;
    if let Amount::During(_) = amount {
        abort(&stream);
    }
    match &received.error {
        Some(error) => {
            Err(format!("after {} bytes and {:.1} s: {error}", received.bytes, time.as_secs_f64()))
        }
        None => Ok((received, time)),
    }
}

/// Sends pieces of 100 bytes until the time is over, waits for the echo of each and then 10 ms.
/// Returns the round trips without the first `skip`.
pub fn pingpong(to: SocketAddr, during: Duration, skip: usize) -> Result<Vec<Duration>, String> {
    const SIZE: usize = 100;
    let (mut stream, ..) = order(to, None, Order::Echo(SIZE))?;
    stream.set_read_timeout(Some(during)).map_err(text)?;
    let (end, mut times) = (clock::now() + during, Vec::new());
    while clock::now() < end {
        let piece = [times.len() as u8; SIZE];
        let mut back = [0; SIZE];
        let sent = clock::now();
        stream.write_all(&piece).and_then(|()| stream.read_exact(&mut back)).map_err(text)?;
        times.push(clock::now() - sent);
        if back != piece {
            return Err("an echo differs from what was sent".to_owned());
        }
        thread::sleep(Duration::from_millis(10));
    }
    times.drain(..skip.min(times.len()));
    if times.is_empty() { Err("too few echoes".to_owned()) } else { Ok(times) }
}

/// One short connection: an order, and 1 KiB back.
pub fn request(to: SocketAddr) -> Result<(), String> {
    let (mut stream, ..) = order(to, None, Order::Reply(1024))?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).map_err(text)?;
    let mut back = Vec::new();
    stream.read_to_end(&mut back).map_err(text)?;
    if back.len() == 1024 { Ok(()) } else { Err(format!("{} bytes instead of 1024", back.len())) }
}

fn receive(stream: &mut TcpStream, seed: u64, amount: Amount) -> Received {
    let start = clock::now();
    let wanted = match amount {
        Amount::During(_) => None,
        Amount::Bytes(bytes, _) => Some(bytes),
    };
    let mut seen = Received { start, bytes: 0, gap: Duration::ZERO, bins: Vec::new(), error: None };
    let mut last = None;
    let mut block = vec![0; BLOCK];
    let _ = stream.set_read_timeout(Some(LOOK));
    while wanted.is_none_or(|wanted| seen.bytes < wanted) {
        let most = wanted.map_or(u64::MAX, |wanted| wanted - seen.bytes).min(BLOCK as u64);
        let result = stream.read(&mut block[..most as usize]);
        let now = clock::now();
        if now >= start + amount.time() {
            seen.error = wanted.map(|_| "not complete in time".to_owned());
            seen.gap = seen.gap.max(last.map_or(Duration::ZERO, |last| now - last));
            break;
        }
        match result {
            Err(error) if waits(&error) => {}
            Err(error) => seen.error = Some(error.to_string()),
            Ok(0) => seen.error = Some("an early end".to_owned()),
            Ok(len) => {
                let expected = || Pattern(seed).bytes(seen.bytes..seen.bytes + len as u64);
                if wanted.is_some() && expected() != block[..len] {
                    seen.error = Some(format!("DAMAGED DATA after {} bytes", seen.bytes));
                }
                seen.gap = seen.gap.max(last.map_or(Duration::ZERO, |last| now - last));
                last = Some(now);
                seen.bytes += len as u64;
                let bin = ((now - start).as_millis() / BIN.as_millis()) as usize;
                seen.bins.resize(seen.bins.len().max(bin + 1), 0);
                seen.bins[bin] += len as u64;
            }
        }
        if seen.error.is_some() {
            break;
        }
    }
    seen
}

fn send(stream: &mut TcpStream, seed: u64, amount: Amount) -> Result<(), String> {
    let begin = clock::now();
    stream.set_write_timeout(Some(LOOK)).map_err(text)?;
    match amount {
        Amount::During(time) => {
            let block = vec![0x5a; BLOCK];
            while clock::now() < begin + time + AFTER {
                match stream.write(&block) {
                    Err(error) if !waits(&error) => return Err(text(error)),
                    _ => {}
                }
            }
        }
        Amount::Bytes(bytes, limit) => {
            for at in (0..bytes).step_by(BLOCK) {
                let end = bytes.min(at + BLOCK as u64);
                put(stream, &Pattern(seed).bytes(at..end), begin + limit)?;
            }
        }
    }
    Ok(())
}

/// Writes all bytes, or fails at this time.
fn put(stream: &mut TcpStream, mut bytes: &[u8], end: Duration) -> Result<(), String> {
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(len) => bytes = &bytes[len..],
            Err(error) if waits(&error) && clock::now() < end => {}
            Err(error) => return Err(text(error)),
        }
    }
    Ok(())
}

fn waits(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

fn abort(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

fn drain(stream: &mut TcpStream) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    while stream.read(&mut [0; 4096]).is_ok_and(|len| len > 0) {}
}

fn text(error: std::io::Error) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    fn sink() -> Sink {
        Sink::start("127.0.0.1:0".parse().unwrap(), Some("cubic")).unwrap()
    }

    #[test]
    fn counted_transfers_arrive_whole_both_ways() {
        let sink = sink();
        for direction in [Way::Up, Way::Down] {
            let (received, _) =
                bulk(sink.address, direction, Amount::Bytes(3_000_001, LIMIT), None).unwrap();
            assert_eq!(received.bytes, 3_000_001);
            assert_eq!(received.bins.iter().sum::<u64>(), 3_000_001);
        }
        sink.stop();
    }

    #[test]
    fn timed_transfers_end_in_time_and_requests_and_echoes_are_answered() {
        let sink = sink();
        for direction in [Way::Up, Way::Down] {
            let (received, _) =
                bulk(sink.address, direction, Amount::During(5 * BIN), Some("cubic")).unwrap();
            assert!(received.bytes > 0 && received.bins.len() <= 5, "{received:?}");
        }
        request(sink.address).unwrap();
        assert!(!pingpong(sink.address, 5 * BIN, 1).unwrap().is_empty());
        sink.stop();
    }

    #[test]
    fn connections_together_have_the_sum_and_the_longer_gap() {
        let of = |bins: &[u64], gap| Received {
            start: BIN,
            bytes: bins.iter().sum(),
            gap,
            bins: bins.to_vec(),
            error: None,
        };
        let both = of(&[1, 2], 2 * BIN).with(of(&[10, 20, 30], BIN));
        assert_eq!((both.bytes, both.gap, both.bins), (63, 2 * BIN, vec![11, 22, 30]));
    }

    #[test]
    fn the_rate_is_that_of_the_window() {
        let bins = vec![9_000_000, 1000, 2000, 3000, 9_000_000];
        let received = Received { start: BIN, bytes: 0, gap: BIN, bins, error: None };
        assert!((received.mbit(BIN, 4 * BIN) - 6000.0 * 8e-6 / 0.3).abs() < 1e-9);
    }
}
