//! What strangers can make the server side keep: no more than its memory limit and a fixed rest.

use std::net::TcpStream;
use striper_tests::stranger::{Stranger, create, frame, hello, session};
use striper_tests::{Origin, Pattern, Proxy, connect};

/// The memory limit, and what the program may need besides.
const MOST: u64 = (128 << 20) + (64 << 20);

struct Scene {
    server: Proxy,
    _client: Proxy,
    here: TcpStream,
    there: TcpStream,
    _origin: Origin,
}

impl Scene {
    fn new() -> Scene {
        let origin = Origin::start();
        let server = Proxy::server(origin.addr().ip(), origin.addr(), &[]);
        let client = Proxy::client(origin.addr().ip(), server.addr(), &[]);
        let (here, there) = (connect(client.addr()), origin.accept());
        Scene { server, _client: client, here, there, _origin: origin }
    }

    /// Sees that an honest client is still served, and how much memory the server side has had at most.
    fn close(mut self) {
        Pattern(1).send(&mut self.here, 0..1000);
        Pattern(1).expect(&mut self.there, 0..1000);
        let (_, peak) = self.server.memory();
        assert!(peak <= MOST, "{} MiB", peak >> 20);
    }
}

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
    let crowded = |event: &striper_tests::Event| event.text("error") == "too many unfinished handshakes";
    scene.server.wait_for_any("a stranger that had to go", crowded);
    scene.close();
}

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
    scene.close();
}

#[test]
fn sessions_that_break_the_protocol_leave_nothing_behind() {
    let scene = Scene::new();
    let data = frame(frame::DATA, &[1, 10, 0], &[7; 100_000]);
    for number in 0..1500 {
        let mut stranger = Stranger::join(scene.server.addr(), number);
        stranger.say(&data);
        stranger.say(&[0xff; 16]);
        stranger.dismissed();
    }
    scene.close();
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
    let end = scene
        .server
        .wait_for_any("the end", |event| event.is("session_ended") && event.text("session") == session(7));
    assert_eq!(end.text("reason"), "the peer sent too many pieces out of order");
    scene.close();
}

/// Each takes all the credit that it has, of a target that reads nothing.
#[test]
fn many_sessions_share_one_memory_limit() {
    let scene = Scene::new();
    let _strangers: Vec<Stranger> = (0..1000)
        .filter_map(|number| {
            let mut stranger = Stranger::ask(scene.server.addr(), number)?;
            // Behind a gap, so that nothing of it goes to the target.
            stranger.say(&frame(frame::OPEN, &[1, 240 << 10, 0, 0], b""));
            for at in 0..4 {
                stranger.say(&frame(frame::DATA, &[1, 1 + at * (60 << 10), 0], &[7; 60 << 10]));
            }
            Some(stranger)
        })
        .collect();
    scene.close();
}
