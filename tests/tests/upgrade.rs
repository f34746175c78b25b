//! SIGUSR2: a new process takes the listening sockets, and the old one goes on with its
//! connections.

use std::net::TcpStream;
use std::thread;
use striper_tests::{
    Origin, Pair, Proxy, Route, TempDir, UP, Way, exchange, expect_fin, finish, run, take_little,
};

/// The size of a transfer that outlasts all upgrades.
const SIZE: u64 = 1 << 30;

/// A transfer from a local program to a target. `at_third` is called when one and when two thirds
/// have arrived. It can't end before: the target takes only what the test reads.
fn transfer(local: &TcpStream, target: &TcpStream, mut at_third: impl FnMut()) {
    take_little(target);
    thread::scope(|scope| {
        scope.spawn(|| {
            UP.send(&mut &*local, 0..SIZE);
            finish(local);
        });
        UP.expect(&mut &*target, 0..SIZE / 3);
        at_third();
        UP.expect(&mut &*target, SIZE / 3..SIZE / 3 * 2);
        at_third();
        UP.expect_all(&mut &*target, SIZE / 3 * 2..SIZE);
    });
}

fn shared_key() -> (TempDir, String) {
    let folder = TempDir::create();
    let key = folder.text("striper.key");
    run(&["keygen", &key], &[]).success();
    (folder, key)
}

#[test]
fn a_transfer_goes_on_through_two_upgrades_of_the_server_and_lost_stripes_come_back() {
    let (_folder, key) = shared_key();
    let (route, origin) = (Route::start(), Origin::start());
    let options = ["-k", &key];
    let Pair { client, mut server } = Pair::with(Some(&route), origin.addr(), &options, &options);
    let (mut local, target) = (client.connect(), origin.accept());
    transfer(&local, &target, || {
        server.upgrade();
        // One stripe, and then all: each comes back by way of the processes that took over.
        for lose in [Route::reset_one, Route::reset_all] {
            let up: Vec<_> = client.events().into_iter().filter(|it| it.is("stripe_up")).collect();
            let newest = up.iter().map(|event| event.number("stripe")).max();
            lose(&route);
            client.wait_for_any("as many stripes as before", |event| {
                let is_whole = event.is("stripe_up") && event.number("live") == 4;
                is_whole && Some(event.number("stripe")) > newest
            });
        }
    });
    assert_eq!(client.count("session_started"), 1);
    assert_eq!(client.count("session_ended") + client.count("session_forgotten"), 0);
    finish(&target);
    expect_fin(&mut local);
    // The old processes have nothing left, and the client goes on with the new one.
    assert_eq!(server.first_ended(), Some(0));
    exchange(&client.connect(), &origin.accept(), 0..100_000);
    client.wait_for_some("session_started", 2);
}

#[test]
fn a_transfer_goes_on_through_two_upgrades_of_the_client() {
    let (_folder, key) = shared_key();
    let (route, origin) = (Route::start(), Origin::start());
    let options = ["-k", &key];
    let Pair { mut client, server: _server } =
        Pair::with(Some(&route), origin.addr(), &options, &options);
    let (mut local, target) = (client.connect(), origin.accept());
    transfer(&local, &target, || {
        client.upgrade();
        // The old process replaces its stripe by itself.
        route.reset_one();
        // New connections reach the new process, at the same address.
        exchange(&client.connect(), &origin.accept(), 0..100_000);
    });
    finish(&target);
    expect_fin(&mut local);
    assert_eq!(client.first_ended(), Some(0));
    exchange(&client.connect(), &origin.accept(), 0..100_000);
}

#[test]
fn connections_of_a_session_go_on_and_begin_while_its_process_is_replaced() {
    let origin = Origin::start();
    let Pair { client, mut server } = Pair::to(origin.addr());
    let (local, target) = (client.connect(), origin.accept());
    exchange(&local, &target, 0..1000);
    server.upgrade();
    exchange(&client.connect(), &origin.accept(), 0..1000);
    exchange(&local, &target, 1000..2000);
    let other = Proxy::client(server.addr(), &[]);
    exchange(&other.connect(), &origin.accept(), 0..1000);
}

#[test]
fn each_kind_of_proxy_hands_its_sockets_over_and_ends_with_its_last_connection() {
    for way in Way::ALL {
        let origin = Origin::start();
        let mut proxies = way.start(origin.addr(), &[]);
        let last = proxies.len() - 1;
        let (mut local, mut target) = proxies[last].open(&origin);
        proxies[last].upgrade();
        exchange(&proxies[last].connect(), &origin.accept(), 0..1000);
        finish(&local);
        expect_fin(&mut target);
        finish(&target);
        expect_fin(&mut local);
        assert_eq!(proxies[last].first_ended(), Some(0));
        exchange(&proxies[last].connect(), &origin.accept(), 0..1000);
    }
}

#[test]
fn a_unix_socket_goes_to_the_new_process_and_is_removed_by_it() {
    let (origin, folder) = (Origin::start(), TempDir::create());
    let server = Proxy::server(origin.addr(), &[]);
    let path = folder.text("local");
    let mut client = Proxy::start(&["client", &server.addr().to_string(), "-L", &path]);
    client.upgrade();
    assert_eq!(client.first_ended(), Some(0));
    let mut local = std::os::unix::net::UnixStream::connect(&path).expect("a connection");
    UP.send(&mut local, 0..1000);
    let mut target = origin.accept();
    UP.expect(&mut target, 0..1000);
    drop((local, target));
    client.stop_last();
    client.wait_for_some("stopped", 2);
    while folder.join("local").exists() {
        thread::yield_now();
    }
}

#[test]
fn a_process_whose_successor_does_not_start_goes_on() {
    let ((folder, key), origin) = (shared_key(), Origin::start());
    let server = Proxy::server(origin.addr(), &["-k", &key]);
    let content = folder.read("striper.key");
    std::fs::remove_file(&key).expect("a file");
    server.signal_upgrade();
    let failed = server.wait_for("upgrade_failed");
    assert_eq!(failed.text("level"), "warn");
    std::fs::write(&key, content).expect("a file");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&key, mode).expect("a file");
    let client = Proxy::client(server.addr(), &["-k", &key]);
    exchange(&client.connect(), &origin.accept(), 0..1000);
    // The log has the error of the process that did not start, so it must not fail the test.
    server.forgive_errors();
}

#[test]
fn a_replaced_process_that_is_stopped_drains_as_any_other() {
    let origin = Origin::start();
    let mut relay = Proxy::relay(origin.addr(), &["--drain-timeout", "200ms"]);
    let (_local, _target) = relay.open(&origin);
    relay.upgrade();
    relay.terminate();
    assert_eq!(relay.first_ended(), Some(7));
    exchange(&relay.connect(), &origin.accept(), 0..1000);
}
