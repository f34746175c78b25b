//! Strangers and peers can't make a server keep more memory than its limit and a fixed rest. Each
//! test would pass its bound if the server kept what the test sends.

use bytes::Bytes;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;
use striper_core::{Handshake, Hello, HelloKind};
use striper_tests::stranger::{FIRST_EARLY, Stranger, create, frame, hello, session};
use striper_tests::{Origin, Pair, Proxy, exchange};

const MIB: u64 = 1 << 20;

/// A server under attack, and an honest client with a connection.
struct Scene {
    server: Proxy,
    _client: Proxy,
    local: TcpStream,
    target: TcpStream,
    /// It takes the flows of strangers.
    _origin: Origin,
}

impl Scene {
    fn new() -> Scene {
        Scene::limited(&[])
    }

    fn limited(options: &[&str]) -> Scene {
        let origin = Origin::start();
        let Pair { client, server } = Pair::with(None, origin.addr(), &[], options);
        let (local, target) = (client.connect(), origin.accept());
        Scene { server, _client: client, local, target, _origin: origin }
    }

    /// The honest client still works, and the server has never had more memory than this.
    fn close(self, most: u64) {
        exchange(&self.local, &self.target, 0..1000);
        assert_peak(&self.server, most);
    }
}

fn assert_peak(proxy: &Proxy, most: u64) {
    let (_, peak) = proxy.memory();
    assert!(peak <= most, "{} MiB", peak / MIB);
}

/// The server keeps at most 16 KiB of each of 256 callers.
#[test]
fn unfinished_hellos_cost_little() {
    let scene = Scene::new();
    let head = hello(1, &[&create(7, 0)[..], &[0x40, 0xde, 0x7f], &[0; 16_350]].concat());
    let _strangers: Vec<Stranger> = (0..1000)
        .map(|_| {
            let mut stranger = Stranger::call(scene.server.addr());
            stranger.say(&head[..head.len() - 1]);
            stranger
        })
        .collect();
    let crowded = "too many unfinished handshakes";
    scene.server.wait_for_any(crowded, |event| event.text("reason") == crowded);
    scene.close(32 * MIB);
}

/// The server keeps at most 128 KiB of each of 256 sessions.
#[test]
fn unfinished_frames_cost_little() {
    let scene = Scene::new();
    let whole = frame(frame::DATA, &[1, 0, 0], &[0; 131_000]);
    let _strangers: Vec<Stranger> = (0..300)
        .filter_map(|number| {
            let mut stranger = Stranger::ask(scene.server.addr(), number)?;
            stranger.say(&whole[..whole.len() - 1]);
            Some(stranger)
        })
        .collect();
    scene.close(64 * MIB);
}

#[test]
fn sessions_that_break_the_protocol_leave_nothing_behind() {
    let scene = Scene::new();
    let data = frame(frame::DATA, &[1, 10, 0], &[7; 100_000]);
    let visit = |number| {
        let mut stranger = Stranger::join(scene.server.addr(), number);
        stranger.say(&data);
        stranger.say(&[0xff; 16]);
        stranger.dismissed();
    };
    (0..500).for_each(visit);
    let (_, before) = scene.server.memory();
    (500..4000).for_each(visit);
    // Less than 2 KiB each.
    scene.close(before + 6 * MIB);
}

#[test]
fn many_tiny_pieces_out_of_order_end_their_session() {
    let scene = Scene::new();
    let mut stranger = Stranger::join(scene.server.addr(), 7);
    stranger.say(&frame(frame::OPEN, &[1, 240 << 10, 0, 0], b""));
    let pieces: Vec<u8> =
        (0..125_000).flat_map(|index| frame(frame::DATA, &[1, 2 * index + 1, 0], b"x")).collect();
    stranger.say(&pieces);
    stranger.dismissed();
    let end = scene.server.wait_for_any("the end", |event| {
        event.is("session_ended") && event.text("session") == session(7)
    });
    assert_eq!(end.text("reason"), "the peer sent too many pieces out of order");
    scene.close(64 * MIB);
}

/// Each session uses all its credit, and the target reads nothing: 3.75 MiB for a session that is
/// alone. Half of the limit of 128 MiB is for incoming data. Beside it each of 256 sessions has its
/// floor, and 64 MiB are for the rest.
#[test]
fn many_sessions_share_one_memory_limit() {
    let scene = Scene::new();
    let _strangers: Vec<Stranger> = (0..1000)
        .filter_map(|number| {
            let mut stranger = Stranger::ask(scene.server.addr(), number)?;
            for flow in (1..).step_by(2).take((stranger.early_credit() / FIRST_EARLY) as usize) {
                // Behind a gap, so that the target gets no data.
                stranger.say(&frame(frame::OPEN, &[flow, FIRST_EARLY, 0, 0], b""));
                for at in 0..4 {
                    let fields = [flow, 1 + at * (60 << 10), 0];
                    stranger.say(&frame(frame::DATA, &fields, &[7; 60 << 10]));
                }
            }
            Some(stranger)
        })
        .collect();
    scene.close((64 + 60 + 64) * MIB);
}

/// Each piece keeps a receive buffer of 256 KiB, 180 MiB in all, since it is a little too large to
/// be copied. The rest of the buffer is known data.
#[test]
fn small_pieces_do_not_keep_large_receive_buffers() {
    let scene = Scene::limited(&["--limit", "memory=16MiB"]);
    let mut stranger = Stranger::join(scene.server.addr(), 7);
    stranger.early_credit();
    stranger.say(&frame(frame::OPEN, &[1, 100_000, FIRST_EARLY, 0], b""));
    let old = frame(frame::DATA, &[1, 0, 0], &[0; 100_000]);
    for flow in (3..).step_by(2).take(240) {
        stranger.say(&frame(frame::OPEN, &[flow, 0, 0, 0], b""));
        for at in 0..3 {
            let piece = frame(frame::DATA, &[flow, 1 + at * 4200, 0], &[7; 4200]);
            stranger.say(&[&old[..], &piece, &old].concat());
        }
    }
    stranger.early_credit();
    scene.close(56 * MIB);
}

/// Two million single bytes out of order would take 200 MiB.
#[test]
fn single_bytes_of_many_sessions_count_with_their_real_memory() {
    let scene = Scene::limited(&["--limit", "memory=8MiB"]);
    let single =
        |flow| (0..8000).flat_map(move |index| frame(frame::DATA, &[flow, 2 * index + 1, 0], b"x"));
    let _strangers: Vec<Stranger> = (0..32)
        .map(|number| {
            let mut stranger = Stranger::join(scene.server.addr(), number);
            for flow in (1..16).step_by(2) {
                stranger.say(&frame(frame::OPEN, &[flow, 0, 0, 0], b""));
                stranger.say(&single(flow).collect::<Vec<u8>>());
            }
            stranger
        })
        .collect();
    scene.server.wait_for("memory_short");
    scene.close(64 * MIB);
}

/// 8,000 times the floor of 16 KiB would take 125 MiB.
#[test]
fn data_of_flows_that_are_never_opened_is_bounded() {
    let scene = Scene::limited(&["--limit", "memory=8MiB"]);
    let mut stranger = Stranger::join(scene.server.addr(), 7);
    stranger.early_credit();
    for flow in (1..).step_by(2).take(8000) {
        stranger.say(&frame(frame::DATA, &[flow, 0, 0], &[7; 16 << 10]));
    }
    stranger.dismissed();
    let short = scene.server.wait_for("memory_short");
    assert_eq!(short.text("session"), session(7));
    scene.close(64 * MIB);
}

/// Targets send without end, in pieces that keep a receive buffer each.
#[test]
fn data_that_peers_never_acknowledge_is_bounded_with_its_receive_buffers() {
    let origin = Origin::start();
    let server = Proxy::server(origin.addr(), &["--limit", "memory=16MiB"]);
    let port = server.addr();
    std::thread::spawn(move || {
        for mut target in origin.incoming() {
            std::thread::spawn(move || while target.write_all(&[7; 35_000]).is_ok() {});
        }
    });
    let mut strangers: Vec<Stranger> = (0..16).map(|number| Stranger::join(port, number)).collect();
    for flow in (1..120).step_by(2) {
        for stranger in &mut strangers {
            stranger.say(&frame(frame::OPEN, &[flow, 0, FIRST_EARLY, 0], b""));
            stranger.say(&frame(frame::CREDIT, &[flow, 1 << 30], b""));
        }
    }
    // Until no more data comes.
    for stranger in &mut strangers {
        let stream = stranger.stream();
        stream.set_read_timeout(Some(Duration::from_millis(200))).expect("a socket");
        while stream.read(&mut [0; 64 << 10]).is_ok_and(|count| count > 0) {}
    }
    assert_peak(&server, 80 * MIB);
}

/// A server sends the data that needs no credit, of 14,000 flows that it never opens: 224 MiB. A
/// client takes it of 64 flows.
#[test]
fn a_server_can_not_make_its_client_keep_flows_that_nobody_opens() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap();
    let client = Proxy::client(port, &["-n", "1"]);
    let (mut stream, _) = listener.accept().unwrap();
    let (mut handshake, mut buffer) = (Handshake::new(), [0; 4096]);
    let (hello, _) = loop {
        let len = stream.read(&mut buffer).unwrap();
        if let Some(heard) = handshake.feed(Bytes::copy_from_slice(&buffer[..len])).unwrap() {
            break heard;
        }
    };
    let answer = Hello { kind: HelloKind::Accept { instance: 1 }, gone: Vec::new(), ..hello };
    stream.write_all(&answer.encode()).unwrap();
    let floor = |flow| frame(frame::DATA, &[flow, 0, 0], &[7; 16 << 10]);
    let _ = (1..14_000).try_for_each(|flow| stream.write_all(&floor(2 * flow)));
    let end = client.wait_for("session_ended");
    assert!(end.text("reason").contains("beyond those granted"), "{end}");
    assert_peak(&client, 24 * MIB);
}
