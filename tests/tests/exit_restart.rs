//! A side goes away and comes back without a memory.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;
use striper_tests::{
    Origin, Pair, Pattern, Proxy, Route, Vacant, expect_fin, expect_reset, finish, take_little,
    try_finish,
};

#[test]
fn connections_of_a_restarted_server_side_are_reset_and_new_ones_work() {
    let (route, origin) = (Route::new(), Origin::start());
    let mut pair = Pair::over(&route, origin.addr());
    let mut open: Vec<_> = (0..3)
        .map(|_| {
            let (mut client, mut server) = (pair.connect(), origin.accept());
            Pattern(1).send(&mut client, 0..10);
            Pattern(1).expect(&mut server, 0..10);
            (client, server)
        })
        .collect();
    let restarted = Proxy::server(origin.addr().ip(), origin.addr(), &[]);
    route.lead_to(restarted.addr());
    pair.server.kill();
    for (client, server) in &mut open {
        assert!(expect_reset(client).is_empty());
        // The system closes the sockets of a killed process, which is no news of ours.
        let _ = std::io::Read::read(server, &mut [0; 1]);
    }
    pair.client.wait_for("session_forgotten");
    let (mut client, mut server) = (pair.connect(), origin.accept());
    Pattern(2).send(&mut client, 0..1_000_000);
    Pattern(2).expect(&mut server, 0..1_000_000);
    assert_eq!(pair.client.count("session_started"), 2);
}

#[test]
fn a_connection_made_while_the_server_side_is_away_is_carried_when_it_is_back() {
    let (route, origin) = (Route::new(), Origin::start());
    let mut pair = Pair::over(&route, origin.addr());
    let nobody = Vacant::reserve();
    route.lead_to(nobody.addr());
    pair.server.kill();
    pair.client.wait_for("peer_unreachable");
    let mut waiting = pair.connect();
    Pattern(1).send(&mut waiting, 0..1_000_000);
    finish(&waiting);
    let restarted = Proxy::server(origin.addr().ip(), origin.addr(), &[]);
    route.lead_to(restarted.addr());
    let mut server = origin.accept();
    Pattern(1).expect_all(&mut server, 0..1_000_000);
    drop(server);
    expect_fin(&mut waiting);
}

const UP: Pattern = Pattern(1);
const DOWN: Pattern = Pattern(2);
const TOTAL: u64 = 50_000_000;

/// A transfer in one direction, a third of which has arrived.
struct Transfer {
    pattern: Pattern,
    to: TcpStream,
}

impl Transfer {
    fn begin(pattern: Pattern, mut from: TcpStream, mut to: TcpStream) -> Transfer {
        take_little(&to);
        thread::spawn(move || {
            if from.write_all(&pattern.bytes(0..TOTAL)).is_ok() && try_finish(&from) {
                // Whatever it is, it must not be closed before that.
                let _ = from.read(&mut [0; 1]);
            }
        });
        pattern.expect(&mut to, 0..TOTAL / 3);
        Transfer { pattern, to }
    }

    /// What still comes is right and less than all of it, and then comes no clean end.
    fn expect_cut(mut self, end: &[ErrorKind]) {
        let mut rest = Vec::new();
        let error = self.to.read_to_end(&mut rest).expect_err("a clean end");
        assert!(end.contains(&error.kind()), "{error}");
        let begin = TOTAL / 3;
        assert!(begin + (rest.len() as u64) < TOTAL);
        assert!(rest == self.pattern.bytes(begin..begin + rest.len() as u64));
    }
}

/// One up and one down, each on a connection of its own: the system tells of a reset only once.
fn transfers(pair: &Pair, origin: &Origin) -> [Transfer; 2] {
    let (up, above) = (pair.connect(), origin.accept());
    let (below, down) = (pair.connect(), origin.accept());
    [Transfer::begin(UP, up, above), Transfer::begin(DOWN, down, below)]
}

fn works(client: &Proxy, origin: &Origin) {
    let (mut here, mut there) = (striper_tests::connect(client.addr()), origin.accept());
    Pattern(3).send(&mut here, 0..100_000);
    Pattern(3).expect(&mut there, 0..100_000);
}

#[test]
fn transfers_of_a_restarted_server_side_are_reset_on_both_ends_and_never_end_cleanly() {
    let (route, origin) = (Route::new(), Origin::start());
    let mut pair = Pair::over(&route, origin.addr());
    let transfers = transfers(&pair, &origin);
    let restarted = Proxy::server(origin.addr().ip(), origin.addr(), &[]);
    route.lead_to(restarted.addr());
    pair.server.kill();
    transfers.into_iter().for_each(|transfer| transfer.expect_cut(&[ErrorKind::ConnectionReset]));
    works(&pair.client, &origin);
}

#[test]
fn transfers_of_a_restarted_client_side_never_end_cleanly_and_a_new_one_works_at_once() {
    let origin = Origin::start();
    let mut pair = Pair::to(origin.addr());
    let [up, down] = transfers(&pair, &origin);
    pair.client.kill();
    let restarted = Proxy::client(origin.addr().ip(), pair.server.addr(), &[]);
    works(&restarted, &origin);
    down.expect_cut(&[ErrorKind::ConnectionReset]);
    // The server side waits for the old client's stripes: its connections stand still, and are
    // reset when it gives up.
    up.to.set_read_timeout(Some(Duration::from_millis(300))).expect("a socket");
    up.expect_cut(&[ErrorKind::WouldBlock]);
}
