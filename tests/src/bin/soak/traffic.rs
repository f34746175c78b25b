//! Mixed traffic through a pair: a bulk transfer in each direction, one interactive connection that
//! lasts, and short connections. Each byte is checked.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use striper_tests::{DOWN, Origin, UP, connect, finish};

/// The length of one bulk transfer. It takes about 20 s at the pace below, so an upgrade meets
/// some in the middle.
const BULK: u64 = 256 << 20;
/// A part of a bulk transfer, and the pause after each: 12.5 MB/s, so that two cores are not busy
/// with this alone.
const PART: u64 = 1 << 20;
const PAUSE: Duration = Duration::from_millis(80);
/// The lengths of short connections, in turn.
const SHORT: [u64; 4] = [1, 1_000, 20_000, 300_000];
const BETWEEN: Duration = Duration::from_millis(100);

/// The first byte of a connection says what its target does.
#[derive(Clone, Copy)]
enum Kind {
    /// Takes a bulk transfer.
    Takes = 1,
    /// Sends a bulk transfer.
    Sends = 2,
    /// Sends back all that comes.
    Echoes = 3,
}

#[derive(Default)]
struct Counts {
    over: AtomicBool,
    bulk: AtomicU64,
    short: AtomicU64,
    echoes: AtomicU64,
    cut: AtomicU64,
}

pub struct Traffic {
    counts: Arc<Counts>,
    workers: Vec<JoinHandle<()>>,
}

/// The connections that were carried whole, and those that were cut.
pub struct Outcome {
    bulk: u64,
    short: u64,
    echoes: u64,
    cut: u64,
}

impl Traffic {
    pub fn start(to: SocketAddr, origin: Origin) -> Traffic {
        let counts = Arc::new(Counts::default());
        thread::spawn(move || attend(&origin));
        let works: [fn(SocketAddr, &Counts); 4] = [upload, download, interact, come_and_go];
        let workers = works.map(|work| {
            let counts = counts.clone();
            thread::spawn(move || {
                while !counts.over.load(Relaxed) {
                    // A cut connection panics in its thread. The others go on.
                    let one = counts.clone();
                    if thread::spawn(move || work(to, &one)).join().is_err() {
                        counts.cut.fetch_add(1, Relaxed);
                    }
                }
            })
        });
        Traffic { counts, workers: workers.into() }
    }

    pub fn bulk_bytes(&self) -> u64 {
        self.counts.bulk.load(Relaxed) * BULK
    }

    /// Lets the connections end, and says what became of all.
    pub fn finish(self) -> Outcome {
        self.counts.over.store(true, Relaxed);
        for worker in self.workers {
            worker.join().expect("a worker counts what fails");
        }
        let [bulk, short, echoes, cut] =
            [&self.counts.bulk, &self.counts.short, &self.counts.echoes, &self.counts.cut]
                .map(|count| count.load(Relaxed));
        Outcome { bulk, short, echoes, cut }
    }
}

impl Outcome {
    pub fn is_clean(&self) -> bool {
        self.cut == 0 && self.bulk > 0 && self.short > 0 && self.echoes > 0
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome { bulk, short, echoes, cut } = self;
        write!(
            f,
            "{bulk} transfers of {} MiB, {short} short connections, {echoes} answers on one \
             interactive connection; {cut} connections cut",
            BULK >> 20
        )
    }
}

fn attend(origin: &Origin) {
    for mut stream in origin.incoming() {
        thread::spawn(move || {
            let mut kind = [0];
            stream.read_exact(&mut kind).expect("a kind");
            match kind[0] {
                1 => {
                    UP.expect_all(&mut stream, 0..BULK);
                    stream.write_all(&[1]).expect("an answer");
                }
                2 => paced(&mut stream),
                _ => {
                    let mut block = vec![0; 64 << 10];
                    loop {
                        match stream.read(&mut block) {
                            Ok(0) => break,
                            Ok(count) => stream.write_all(&block[..count]).expect("an echo"),
                            // The interactive connection may rest.
                            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
            }
        });
    }
}

fn begin(to: SocketAddr, kind: Kind) -> TcpStream {
    let mut stream = connect(to);
    stream.write_all(&[kind as u8]).expect("a kind");
    stream
}

fn paced(stream: &mut TcpStream) {
    for part in 0..BULK / PART {
        DOWN.send(stream, part * PART..(part + 1) * PART);
        thread::sleep(PAUSE);
    }
}

fn upload(to: SocketAddr, counts: &Counts) {
    let mut stream = begin(to, Kind::Takes);
    for part in 0..BULK / PART {
        UP.send(&mut stream, part * PART..(part + 1) * PART);
        thread::sleep(PAUSE);
    }
    finish(&stream);
    stream.read_exact(&mut [0]).expect("an answer");
    counts.bulk.fetch_add(1, Relaxed);
}

fn download(to: SocketAddr, counts: &Counts) {
    let mut stream = begin(to, Kind::Sends);
    DOWN.expect_all(&mut stream, 0..BULK);
    counts.bulk.fetch_add(1, Relaxed);
}

/// One connection from the beginning to the end, with a question every 50 ms.
fn interact(to: SocketAddr, counts: &Counts) {
    let mut stream = begin(to, Kind::Echoes);
    let mut at = 0;
    while !counts.over.load(Relaxed) {
        UP.send(&mut stream, at..at + 100);
        UP.expect(&mut stream, at..at + 100);
        at += 100;
        counts.echoes.fetch_add(1, Relaxed);
        thread::sleep(BETWEEN / 2);
    }
}

fn come_and_go(to: SocketAddr, counts: &Counts) {
    for length in SHORT {
        let mut stream = begin(to, Kind::Echoes);
        let mut sending = stream.try_clone().expect("a socket");
        let sender = thread::spawn(move || {
            UP.send(&mut sending, 0..length);
            finish(&sending);
        });
        UP.expect_all(&mut stream, 0..length);
        sender.join().expect("a sender");
        counts.short.fetch_add(1, Relaxed);
        thread::sleep(BETWEEN);
    }
}
