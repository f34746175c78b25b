//! Peers that make a server keep as much memory as they can. The measure is the memory of the
//! process in RAM.

use crate::handshakes::mib;
use crate::wire::{KeyFile, tunnel};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};
use striper_tests::Proxy;
use striper_tests::stranger::{FIRST_EARLY, Stranger, frame};

/// The memory limit of the server and the fixed rest that it may have beside it, in MiB.
const LIMIT: u64 = 64;
const BESIDE: u64 = 64;

const TIME: Duration = Duration::from_secs(10);

const KEPT: usize = 8_000;

/// The bytes that a flow may get beyond early credit.
const FLOOR: u64 = 16 << 10;

pub type Attack = fn(SocketAddr);

pub const ATTACKS: [(&str, Attack); 6] = [
    ("pieces", pieces),
    ("crumbs", crumbs),
    ("early", early),
    ("floors", floors),
    ("churn", churn),
    ("unread", unread),
];

/// Attacks, prints, and returns whether the server kept within its limit.
pub fn run(name: &str, attack: Attack, key: Option<&KeyFile>) -> bool {
    let target = target(name == "unread");
    let limit = format!("memory={LIMIT}MiB");
    let options: Vec<&str> = key.iter().flat_map(|key| key.options()).collect();
    let limited = [&["--limit", &limit], &options[..]].concat();
    let server = Proxy::server(target, &limited);
    let port = key.map_or(server.addr(), |key| tunnel(server.addr(), key.tls()));
    let (calm, begin) = (server.memory().0, Instant::now());
    let attack = thread::spawn(move || attack(port));
    let honest = honest(&server, &options);
    let _ = attack.join();
    let (now, peak) = server.memory();
    println!(
        "{name}: RSS {:.1} MiB before, {:.1} now, {:.1} at most ({LIMIT} + {BESIDE} allowed), \
         after {:.1} s; {} descriptors open; an honest flow opens in {:.1} ms (median; {:.1} at \
         most)",
        mib(calm),
        mib(now),
        mib(peak),
        begin.elapsed().as_secs_f64(),
        server.files(),
        honest[0],
        honest[1],
    );
    peak <= (LIMIT + BESIDE) << 20
}

/// The median and the longest time of an honest client's connections, one after another, in ms.
fn honest(server: &Proxy, options: &[&str]) -> [f64; 2] {
    let client = Proxy::client(server.addr(), options);
    let (begin, mut times) = (Instant::now(), Vec::new());
    while begin.elapsed() < TIME {
        let call = Instant::now();
        let mut stream = client.connect();
        stream.write_all(b"honest").expect("a connection");
        match stream.read(&mut [0; 1]) {
            Ok(1) => times.push(call.elapsed().as_secs_f64() * 1e3),
            other => {
                eprintln!("an honest connection: {other:?}");
                times.push(f64::INFINITY);
            }
        }
        thread::sleep(Duration::from_millis(100));
    }
    times.sort_by(f64::total_cmp);
    [times[times.len() / 2], times[times.len() - 1]]
}

/// A target that sends a byte, or bytes without end, on each connection, and reads nothing.
fn target(endless: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a listener");
    thread::spawn(move || {
        let mut kept = VecDeque::new();
        for mut stream in listener.incoming().map_while(Result::ok) {
            if endless && kept.len() < 500 {
                let mut stream = stream.try_clone().expect("a connection");
                // Odd sizes, a little above the largest piece that is copied.
                thread::spawn(move || while stream.write_all(&[7; 35_000]).is_ok() {});
            } else {
                let _ = stream.write_all(b"!");
            }
            kept.push_back(stream);
            // Old connections must not use up this process's own descriptors.
            if kept.len() > KEPT {
                kept.pop_front();
            }
        }
    });
    address
}

/// As many peers as the server takes, at most `most`, with the early credit of each.
fn peers(port: SocketAddr, most: u32) -> Vec<(Stranger, u64)> {
    let mut peers: Vec<Stranger> =
        (0..most).map_while(|number| Stranger::ask(port, number)).collect();
    let credits: Vec<u64> = peers.iter_mut().map(Stranger::early_credit).collect();
    peers.into_iter().zip(credits).collect()
}

fn open(flow: u64, early: u64) -> Vec<u8> {
    frame(frame::OPEN, &[flow, early, FIRST_EARLY, 0], b"")
}

fn flows(count: u64) -> impl Iterator<Item = u64> {
    (0..count).map(|index| 2 * index + 1)
}

/// Pieces a little too large to be copied, behind a gap, each in a receive buffer that is full of
/// known data.
fn pieces(port: SocketAddr) {
    const PIECE: u64 = 4_200;
    const OLD: u64 = 100_000;
    let old = frame(frame::DATA, &[1, 0, 0], &[0; OLD as usize]);
    for (mut peer, early) in peers(port, 4) {
        peer.say(&open(1, OLD));
        let mut left = early - OLD;
        for flow in flows(600).skip(1) {
            let early = left.min(FIRST_EARLY);
            left -= early;
            peer.say(&open(flow, early));
            for at in (0..(FLOOR + early) / PIECE - 1).map(|index| 1 + index * PIECE) {
                let piece = frame(frame::DATA, &[flow, at, 0], &[7; PIECE as usize]);
                peer.say(&[&old[..], &piece, &old].concat());
            }
        }
        std::mem::forget(peer);
    }
}

/// Every other byte of a few flows, in each of many sessions.
fn crumbs(port: SocketAddr) {
    for (mut peer, _) in peers(port, 128) {
        for flow in flows(8) {
            peer.say(&open(flow, 0));
            let crumbs: Vec<u8> = (0..8_000)
                .flat_map(|index| frame(frame::DATA, &[flow, 2 * index + 1, 0], b"x"))
                .collect();
            peer.say(&crumbs);
        }
        std::mem::forget(peer);
    }
}

/// The whole floor of flows that are never opened.
fn early(port: SocketAddr) {
    for (mut peer, _) in peers(port, 8) {
        for flow in flows(10_000) {
            peer.say(&frame(frame::DATA, &[flow, 0, 0], &[7; FLOOR as usize]));
        }
        std::mem::forget(peer);
    }
}

/// The whole floor of flows, of some in frames of one byte.
fn floors(port: SocketAddr) {
    for (mut peer, _) in peers(port, 16) {
        for flow in flows(600) {
            peer.say(&open(flow, 0));
            if flow % 8 == 1 {
                let bytes: Vec<u8> =
                    (0..FLOOR).flat_map(|at| frame(frame::DATA, &[flow, at, 0], b"x")).collect();
                peer.say(&bytes);
            } else {
                peer.say(&frame(frame::DATA, &[flow, 0, 0], &[7; FLOOR as usize]));
            }
        }
        std::mem::forget(peer);
    }
}

/// Fills flows one after another and resets them, with all the early credit that comes back.
fn churn(port: SocketAddr) {
    let begin = Instant::now();
    // Each with the early credit that it has taken.
    let mut peers: Vec<_> =
        peers(port, 8).into_iter().map(|(peer, early)| (peer, early, 0)).collect();
    for flow in flows(u64::MAX / 2).take_while(|_| begin.elapsed() < TIME) {
        for (peer, granted, taken) in &mut peers {
            let early = (*granted - *taken).min(FIRST_EARLY);
            *taken += early;
            peer.say(&open(flow, early));
            let end = FLOOR + early;
            for at in (0..end).step_by(60_000) {
                let data = vec![7; (end - at).min(60_000) as usize];
                peer.say(&frame(frame::DATA, &[flow, at, 0], &data));
            }
            // Reason 1, and the end of the flow.
            peer.say(&frame(frame::RESET, &[flow, 1, end], b""));
            if flow % 64 == 1 {
                *granted = (*granted).max(peer.early_credit());
            }
        }
    }
}

/// Takes all data and acknowledges none of it.
fn unread(port: SocketAddr) {
    let mut readers: Vec<TcpStream> = Vec::new();
    for (mut peer, _) in peers(port, 16) {
        for flow in flows(60) {
            peer.say(&open(flow, 0));
            // More than it will ever send.
            peer.say(&frame(frame::CREDIT, &[flow, 1 << 40], b""));
        }
        let stream = peer.stream();
        let _ = stream.set_read_timeout(Some(TIME));
        readers.push(stream.try_clone().expect("a connection"));
        std::mem::forget(peer);
    }
    for mut stream in readers {
        thread::spawn(move || while stream.read(&mut [0; 64 << 10]).is_ok_and(|n| n > 0) {});
    }
    thread::sleep(TIME);
}
