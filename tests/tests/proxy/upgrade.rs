//! SIGUSR2: a new process takes the listening sockets, and the old one goes on with its
//! connections.

use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::thread;
use striper_tests::listed::{Listed, pubkey};
use striper_tests::{
    Origin, Pair, Proxy, Route, TempDir, UP, Vacant, Way, connect, exchange, expect_fin,
    expect_reset, finish, run, take_little,
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
    let mut local = UnixStream::connect(&path).expect("a connection");
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
fn a_successor_that_fails_late_leaves_unix_sockets_where_they_are() {
    let (origin, folder) = (Origin::start(), TempDir::create());
    let server = Proxy::server(origin.addr(), &[]);
    let [path, control, traces] = ["local", "control", "traces"].map(|name| folder.text(name));
    std::fs::create_dir(&traces).expect("a folder");
    let trace = format!("{traces}/t");
    let options = ["-L", &path, "--control", &control, "--trace", &trace];
    let client = Proxy::start(&[&["client", &server.addr().to_string()], &options[..]].concat());
    std::fs::remove_dir_all(&traces).expect("a folder");
    client.signal_upgrade();
    client.wait_for("upgrade_failed");
    UP.send(&mut UnixStream::connect(&path).expect("a connection"), 0..1000);
    UP.expect(&mut origin.accept(), 0..1000);
    assert!(run(&["status", &control], &[]).success().contains("client"));
    client.forgive_errors();
}

#[test]
fn each_process_has_a_trace_and_a_log_of_secrets_of_its_own() {
    let ((folder, key), origin) = (shared_key(), Origin::start());
    let [trace, secrets] = ["trace", "secrets"].map(|name| folder.text(name));
    let options = ["-k", &key, "--trace", &trace, "--tls-key-log", &secrets];
    let mut server = Proxy::server(origin.addr(), &options);
    server.upgrade();
    let pid = server.wait_for("replaced").number("successor");
    let client = Proxy::client(server.addr(), &["-k", &key]);
    exchange(&client.connect(), &origin.accept(), 0..1000);
    let logged = std::fs::read_to_string(folder.join(&format!("secrets.{pid}")));
    assert!(logged.expect("a log").contains("TRAFFIC_SECRET"));
    assert!(folder.join(&format!("trace.{pid}")).exists());
}

#[test]
fn a_key_that_is_removed_is_out_of_the_replaced_process_too() {
    let origin = Origin::start();
    let (target, clients) = (origin.addr().to_string(), [("ann", ""), ("bob", "")]);
    let args = ["server", "127.0.0.1:0", "--allow", &target];
    let (mut listed, keys) = Listed::start(&args, clients);
    let [anns, bobs] = [&keys[0], &keys[1]].map(|key| listed.forward(key, origin.addr()));
    let (mut local, _target) = anns.open(&origin);
    let (bobs_local, bobs_target) = bobs.open(&origin);
    listed.server.upgrade();
    // Both processes read the list.
    listed.list(&pubkey(&keys[1]), "keys_read");
    expect_reset(&mut local);
    listed.server.wait_for_some("keys_read", 2);
    exchange(&bobs_local, &bobs_target, 0..1000);
}

#[test]
fn a_replaced_process_reads_its_settings_again_and_listens_nowhere() {
    let (origin, folder, vacant) = (Origin::start(), TempDir::create(), Vacant::reserve());
    let text = |listen: &str, drain: &str| {
        format!(
            "[relay]\nlisten = \"{listen}\"\nconnect = \"{}\"\ndrain-timeout = \"{drain}\"\n",
            origin.addr()
        )
    };
    let file = folder.write("relay.toml", text("127.0.0.1:0", "10s"));
    let mut relay = Proxy::start_with(&["run", "-f", &file], &[]);
    let (_local, _target) = relay.open(&origin);
    relay.upgrade();
    let there = vacant.addr();
    drop(vacant);
    folder.write("relay.toml", text(&there.to_string(), "1ms"));
    relay.hang_up();
    let told = relay.wait_for_some("reloaded", 2);
    let opened: Vec<&str> = told.iter().map(|event| event.text("opened")).collect();
    assert_eq!(opened.iter().filter(|opened| !opened.is_empty()).count(), 1, "{opened:?}");
    exchange(&connect(there), &origin.accept(), 0..1000);
    relay.terminate();
    assert_eq!(relay.first_ended(), Some(7), "it has the new time");
}

#[test]
fn the_end_of_a_process_that_has_taken_over_is_in_the_log() {
    let origin = Origin::start();
    let mut relay = Proxy::relay(origin.addr(), &[]);
    let (local, target) = relay.open(&origin);
    relay.upgrade();
    relay.stop_last();
    let told = relay.wait_for("successor_ended");
    assert!(told.text("reason").contains("exit status: 0"), "{told}");
    exchange(&local, &target, 0..1000);
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
