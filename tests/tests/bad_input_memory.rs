//! What strangers can make the server side keep: no more than its memory limit and a fixed rest.
//! Each bound lies below what the server side would have if it kept the thing in question.

use bytes::Bytes;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;
use striper_core::{Handshake, Hello, HelloKind};
use striper_tests::stranger::{FIRST_EARLY, Stranger, create, frame, hello, session};
use striper_tests::{Origin, Pattern, Proxy};

/// In bytes of [`Scene::close`].
const MIB: u64 = 1 << 20;

struct Scene {
    server: Proxy,
    _client: Proxy,
    here: TcpStream,
    there: TcpStream,
    _origin: Origin,
}

impl Scene {
    fn new() -> Scene {
        Scene::limited(&[])
    }

    /// With these options for the server side.
    fn limited(options: &[&str]) -> Scene {
        let origin = Origin::start();
        let server = Proxy::server(origin.addr(), options);
        let client = Proxy::client(server.addr(), &[]);
        let (here, there) = (client.connect(), origin.accept());
        Scene { server, _client: client, here, there, _origin: origin }
    }

    /// Sees that an honest client is still served, and that the server side has never had more
    /// memory than this, all in all.
    fn close(mut self, most: u64) {
        Pattern(1).send(&mut self.here, 0..1000);
        Pattern(1).expect(&mut self.there, 0..1000);
        let (_, peak) = self.server.memory();
        assert!(peak <= most, "{} MiB", peak / MIB);
    }
}

/// Of 256 callers at most 16 KiB each is kept.
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
    let crowded =
        |event: &striper_tests::Event| event.text("error") == "too many unfinished handshakes";
    scene.server.wait_for_any("a stranger that had to go", crowded);
    scene.close(32 * MIB);
}

/// Of 256 sessions at most what they have sent is kept, 128 KiB each.
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
    // Not even 2 KiB each.
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

/// Each takes all the credit that it has, of a target that reads nothing: 3.75 MiB each if nobody
/// else were there. Half of the limit of 128 MiB is for what comes in; beside it each of 256
/// sessions has its floor, and 64 MiB are for the rest.
#[test]
fn many_sessions_share_one_memory_limit() {
    let scene = Scene::new();
    let _strangers: Vec<Stranger> = (0..1000)
        .filter_map(|number| {
            let mut stranger = Stranger::ask(scene.server.addr(), number)?;
            for flow in (1..).step_by(2).take((stranger.early_credit() / FIRST_EARLY) as usize) {
                // Behind a gap, so that nothing of it goes to the target.
                stranger.say(&frame(frame::OPEN, &[flow, FIRST_EARLY, 0, 0], b""));
                for at in 0..4 {
                    stranger.say(&frame(
                        frame::DATA,
                        &[flow, 1 + at * (60 << 10), 0],
                        &[7; 60 << 10],
                    ));
                }
            }
            Some(stranger)
        })
        .collect();
    scene.close((64 + 60 + 64) * MIB);
}

/// Pieces of which each keeps a receive buffer of 256 KiB, 180 MiB in all, since it is a little too
/// large to be copied. The rest of the buffer is data that the server side has had already.
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
fn crumbs_of_many_sessions_count_as_what_they_cost() {
    let scene = Scene::limited(&["--limit", "memory=8MiB"]);
    let crumbs =
        |flow| (0..8000).flat_map(move |index| frame(frame::DATA, &[flow, 2 * index + 1, 0], b"x"));
    let _strangers: Vec<Stranger> = (0..32)
        .map(|number| {
            let mut stranger = Stranger::join(scene.server.addr(), number);
            for flow in (1..16).step_by(2) {
                stranger.say(&frame(frame::OPEN, &[flow, 0, 0, 0], b""));
                stranger.say(&crumbs(flow).collect::<Vec<u8>>());
            }
            stranger
        })
        .collect();
    scene.server.wait_for("memory_short");
    scene.close(64 * MIB);
}

/// 8,000 times the floor of 16 KiB would take 125 MiB.
#[test]
fn data_of_flows_that_are_never_opened_ends_its_session_before_it_takes_too_much() {
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

/// Of what targets send without end, in pieces that keep a receive buffer each, to peers that
/// acknowledge nothing.
#[test]
fn what_peers_never_acknowledge_is_bounded_and_so_are_its_receive_buffers() {
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
    // Until nothing more comes.
    for stranger in &mut strangers {
        let stream = stranger.stream();
        stream.set_read_timeout(Some(Duration::from_millis(200))).expect("a socket");
        while stream.read(&mut [0; 64 << 10]).is_ok_and(|count| count > 0) {}
    }
    let (_, peak) = server.memory();
    assert!(peak <= 80 * MIB, "{} MiB", peak / MIB);
}

/// What never-opened flows may be sent without credit, of as many flows as a server side may open:
/// 224 MiB, of which a client side takes that of 64.
#[test]
fn a_server_side_can_not_make_its_client_keep_flows_that_nobody_opens() {
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
    let (_, peak) = client.memory();
    assert!(peak <= 24 * MIB, "{} MiB", peak / MIB);
}
