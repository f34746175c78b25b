//! The server side goes away and comes back without a memory.

use striper_tests::{Origin, Pair, Pattern, Proxy, Route, Vacant, expect_fin, expect_reset, finish};

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
