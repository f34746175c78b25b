//! Keys of the program: made, read, read again, and refused with a reason.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, chown};
use std::thread;
use striper_tests::listed::{Listed, keygen, pubkey};
use striper_tests::{
    Event, Finished, Origin, Proxy, TempDir, exchange, expect_reset, expect_reset_at, run, skip,
    try_connect,
};

/// A server in front of the origin that accepts these clients.
fn listed<const N: usize>(origin: &Origin, names: [&str; N]) -> (Listed, [String; N]) {
    let target = origin.addr().to_string();
    Listed::start(&["-s", "127.0.0.1:0", &target], names.map(|name| (name, "")))
}

fn client(listed: &Listed, key: &str, options: &[&str]) -> Proxy {
    Proxy::client(listed.server.addr(), &[&listed.keys(key), options].concat())
}

fn assert_carries(client: &Proxy, origin: &Origin) {
    exchange(&client.connect(), &origin.accept(), 0..100_000);
}

#[test]
fn one_key_file_on_both_sides_is_enough() {
    let (folder, origin) = (TempDir::create(), Origin::start());
    let key = keygen(&folder, "site.key", &[]);
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let server = Proxy::server(origin.addr(), &["-k", &key]);
    let client = Proxy::client(server.addr(), &["-k", &key]);
    assert_carries(&client, &origin);
    assert_eq!(server.wait_for("connection_opened").text("key"), "site");
    let home = folder.text("");
    for key in [key.as_str(), "site.key"] {
        let client = Proxy::start_with(
            &["-c", "127.0.0.1:0", &server.addr().to_string()],
            &[("STRIPER_KEY_FILE", key), ("CREDENTIALS_DIRECTORY", &home)],
        );
        assert_carries(&client, &origin);
    }
}

#[test]
fn a_list_that_is_read_again_cuts_off_the_clients_that_are_not_in_it() {
    let origin = Origin::start();
    let (listed, keys) = listed(&origin, ["laptop", "backup"]);
    let [laptop, backup] = keys.each_ref().map(|key| client(&listed, key, &[]));
    let is_laptop = |event: &Event| event.is("session_started") && event.text("key") == "laptop";
    listed.server.wait_for_any("a session of the laptop", is_laptop);
    let (mut cut, _target) = laptop.open(&origin);
    let told = listed.list("nonsense\n", "keys_not_read");
    assert!(told.text("message").contains("line 1: this is no key"), "{told}");
    assert_carries(&laptop, &origin);
    listed.list(&pubkey(&keys[1]), "keys_read");
    assert!(expect_reset(&mut cut).is_empty());
    assert_carries(&backup, &origin);
    let told = laptop.wait_for("peer_unreachable");
    assert!(told.text("reason").contains("does not accept our key"), "{told}");
}

#[test]
fn the_last_client_of_a_list_is_cut_off_too() {
    let origin = Origin::start();
    let (listed, [key]) = listed(&origin, ["laptop"]);
    let client = client(&listed, &key, &[]);
    let (mut cut, _target) = client.open(&origin);
    let told = listed.list("# nobody\n", "keys_read");
    assert!(told.text("message").contains("no peer is accepted"), "{told}");
    assert!(expect_reset(&mut cut).is_empty());
    client.wait_for("peer_unreachable");
    let reason = "the other side's key is no longer accepted";
    assert_eq!(listed.server.wait_for("session_ended").text("reason"), reason);
    let end = listed.server.wait_for("connection_ended");
    assert_eq!(end.text("reason"), format!("reset: {reason}"));
}

/// So few files that one client could use them up.
const FILES: u64 = 240;

#[test]
fn stripes_of_one_key_leave_descriptors_to_others() {
    let origin = Origin::start();
    let (listed, [greedy, modest]) = listed(&origin, ["greedy", "modest"]);
    listed.server.limit_files(FILES);
    let _greedy = [(); 4].map(|()| client(&listed, &greedy, &["-n", "64"]));
    listed.server.wait_for_any("a stripe too many", |event| {
        event.is("stripe_refused") && event.text("reason").contains("no more stripes")
    });
    let modest = client(&listed, &modest, &[]);
    assert_carries(&modest, &origin);
    modest.wait_for_all_stripes();
}

#[test]
fn a_client_that_opens_without_end_leaves_another_one_its_connections() {
    let origin = Origin::start();
    let (listed, [greedy, modest]) = listed(&origin, ["greedy", "modest"]);
    listed.server.limit_files(FILES);
    thread::spawn(move || {
        let greet = |mut stream: TcpStream| stream.write_all(b"!").map(|()| stream);
        let _kept: Vec<_> = origin.incoming().map(greet).collect();
    });
    let greedy = client(&listed, &greedy, &[]);
    greedy.wait_for_all_stripes();
    // Some may be reset before this end knows that it was connected.
    let _all: Vec<_> = (0..300).map(|_| try_connect(greedy.addr())).collect();
    // From the first refusal on, the client with the most connections gets no more files.
    greedy.wait_for_any("a refusal", |event| {
        event.is("connection_ended") && event.text("end") == "refused"
    });
    let modest = client(&listed, &modest, &[]);
    modest.wait_for_all_stripes();
    let mut greeting = [0; 1];
    modest.connect().read_exact(&mut greeting).unwrap();
    assert_eq!(greeting, *b"!");
}

#[test]
fn keys_that_do_not_fit_have_a_cure_on_both_sides() {
    let (folder, origin) = (TempDir::create(), Origin::start());
    let [one, other] = ["one.key", "other.key"].map(|name| keygen(&folder, name, &[]));
    for (there, here, error, cause) in [
        (
            &["-k", &one][..],
            &["-k", &other][..],
            "does not accept our key",
            "not accepted here: give both sides the same key file",
        ),
        (
            &["-k", &one],
            &[],
            "give it the same key file",
            "give this side the server's key: -k FILE",
        ),
        (&[], &["-k", &one], "uses a key", "give it the same key file"),
    ] {
        let server = Proxy::server(origin.addr(), there);
        let client = Proxy::client(server.addr(), here);
        let told = client.wait_for("peer_unreachable");
        assert!(told.text("reason").contains(cause), "{told}");
        let refused = server.wait_for("stripe_refused");
        assert!(refused.text("reason").contains(error), "{refused}");
        // Local programs do not wait.
        expect_reset_at(client.addr());
    }
}

fn failed(finished: &Finished, words: &[&str]) {
    assert_eq!(finished.code, Some(8), "{}", finished.stderr);
    for word in words {
        assert!(finished.stderr.contains(word), "no \"{word}\" in: {}", finished.stderr);
    }
}

fn start(options: &[&str]) -> Finished {
    run(&[&["-s", "0", "localhost:22"], options].concat(), &[])
}

#[test]
fn a_key_file_that_can_not_be_used_is_refused_with_its_name_and_a_cure() {
    let folder = TempDir::create();
    let (site, own) = (keygen(&folder, "site.key", &[]), keygen(&folder, "own.key", &["--pair"]));
    failed(&run(&["keygen", &site], &[]), &[&site, "exists already"]);
    failed(&start(&["-k", &folder.text("none")]), &["No such file", "none"]);
    failed(&start(&["-k", &folder.write("text", "hello")]), &["this is no key", "keygen"]);
    failed(&start(&["-k", &own]), &["nobody is accepted", "--peers"]);
    let list = folder.write("list", "x");
    failed(&start(&["-k", &site, "--peers", &list]), &["list: line 1: this is no key"]);
    failed(&run(&["pubkey", &site], &[]), &["no public half", "keygen --pair"]);
    let peers = folder.write("list", pubkey(&own));
    failed(&start(&["--peers", &peers]), &["without a key of this side", "-k KEY"]);
    failed(&run(&["pubkey", &peers], &[]), &["the public half"]);
    fs::set_permissions(&site, Permissions::from_mode(0o640)).unwrap();
    failed(&start(&["-k", &site]), &["mode 640", "chmod 600", &site]);
    let variable = [("STRIPER_KEY_FILE", site.as_str())];
    failed(&run(&["-s", "0", "localhost:22"], &variable), &["mode 640"]);
}

#[test]
fn a_list_with_the_own_key_of_its_side_has_a_warning() {
    let (folder, origin) = (TempDir::create(), Origin::start());
    let [own, laptop] = ["own.key", "laptop.key"].map(|name| keygen(&folder, name, &["--pair"]));
    let list = folder.write("list", pubkey(&own));
    let server = Proxy::server(origin.addr(), &["-k", &own, "--peers", &list]);
    let told = server.wait_for("own_key_listed");
    assert_eq!((told.text("path"), told.text("key")), (list.as_str(), "own"), "{told}");
    fs::write(&list, pubkey(&laptop)).unwrap();
    server.hang_up();
    server.wait_for("keys_read");
    assert_eq!(server.count("own_key_listed"), 1, "a right list has none");
}

#[test]
fn only_a_public_port_without_key_and_without_plain_has_a_warning() {
    let (folder, target) = (TempDir::create(), Origin::start().addr().to_string());
    let key = keygen(&folder, "site.key", &[]);
    // TEST-NET-1 (RFC 5737).
    let public = "192.0.2.1:9";
    for (mode, listen, connect, options, count) in [
        ("-s", "0.0.0.0:0", target.as_str(), &[][..], 1),
        ("-s", "0.0.0.0:0", &target, &["--plain"], 0),
        ("-s", "0.0.0.0:0", &target, &["-k", &key], 0),
        ("-s", "127.0.0.1:0", &target, &[], 0),
        ("-c", "127.0.0.1:0", public, &[], 1),
        ("-c", "127.0.0.1:0", public, &["--plain"], 0),
        ("-c", "127.0.0.1:0", public, &["-k", &key], 0),
    ] {
        let mut proxy = Proxy::start(&[&[mode, listen, connect], options].concat());
        proxy.stop();
        assert_eq!(proxy.count("no_key"), count, "{mode} {listen} {options:?}");
    }
}

#[test]
fn a_file_that_belongs_to_another_user_is_refused() {
    let folder = TempDir::create();
    let key = keygen(&folder, "site.key", &["--pair"]);
    let peers = folder.write("peers", "");
    for file in [&key, &peers] {
        if let Err(error) = chown(file, Some(12_345), None) {
            return skip(format!("files can't be given to another user ({error}); root can"));
        }
        let done = start(&["-k", &key, "--peers", &peers]);
        failed(&done, &["belongs to another user (12345)", file]);
        chown(file, Some(0), None).unwrap();
    }
}
