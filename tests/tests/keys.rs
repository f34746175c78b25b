//! Keys of the program: made, read, read again, and refused with a reason.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, chown};
use std::thread;
use striper_tests::{
    Event, Finished, Origin, Pattern, Proxy, TempDir, connect, expect_reset, expect_reset_at,
    finish, run, skip, try_connect,
};

/// Makes a key file of this name, and says where it is.
fn keygen(folder: &TempDir, name: &str, options: &[&str]) -> String {
    let file = folder.text(name);
    run(&[&["keygen", &file], options].concat(), &[]).success();
    file
}

/// Prints the line of a key's public half.
fn pubkey(file: &str) -> String {
    run(&["pubkey", file], &[]).success()
}

fn server(origin: &Origin, options: &[&str]) -> Proxy {
    Proxy::server(origin.addr().ip(), origin.addr(), options)
}

fn client(server: &Proxy, options: &[&str]) -> Proxy {
    Proxy::client(server.addr().ip(), server.addr(), options)
}

/// A server side with little room that accepts two clients, and the options of each.
fn for_two(origin: &Origin) -> (TempDir, Proxy, [[String; 4]; 2]) {
    let folder = TempDir::new();
    let [exit, greedy, modest] = ["exit", "greedy", "modest"]
        .map(|name| keygen(&folder, &format!("{name}.key"), &["--pair"]));
    let servers = folder.write("servers", pubkey(&exit));
    let clients = folder.write("clients", format!("{}{}", pubkey(&greedy), pubkey(&modest)));
    let server = server(origin, &["-k", &exit, "--peers", &clients]);
    server.limit_files(240);
    let options = |key| ["-k".to_owned(), key, "--peers".to_owned(), servers.clone()];
    (folder, server, [greedy, modest].map(options))
}

/// Some bytes through a pair and back.
fn echo(client: &Proxy, origin: &Origin) {
    let mut here = connect(client.addr());
    Pattern(3).send(&mut here, 0..100_000);
    finish(&here);
    let mut there = origin.accept();
    Pattern(3).expect_all(&mut there, 0..100_000);
    there.write_all(b"thanks").unwrap();
    drop(there);
    let mut thanks = String::new();
    here.read_to_string(&mut thanks).unwrap();
    assert_eq!(thanks, "thanks");
}

fn of(finished: &Finished, code: i32, words: &[&str]) {
    assert_eq!(finished.code, Some(code), "{}", finished.stderr);
    for word in words {
        assert!(finished.stderr.contains(word), "no \"{word}\" in: {}", finished.stderr);
    }
}

#[test]
fn one_key_file_on_both_sides_is_all_it_takes() {
    let (folder, origin) = (TempDir::new(), Origin::start());
    let key = keygen(&folder, "site.key", &[]);
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let server = server(&origin, &["-k", &key]);
    let client = client(&server, &["-k", &key]);
    echo(&client, &origin);
    assert_eq!(server.wait_for("session_started").text("key"), "site");
    assert_eq!(server.wait_for("connection_opened").text("key"), "site");
    assert_eq!(client.wait_for("ready").text("key"), "site");
}

#[test]
fn each_client_has_a_key_and_a_name_and_a_list_that_is_read_again_cuts_off_who_is_gone() {
    let (folder, origin) = (TempDir::new(), Origin::start());
    let [exit, laptop, backup] = ["exit", "laptop", "backup"]
        .map(|name| keygen(&folder, &format!("{name}.key"), &["--pair"]));
    let servers = folder.write("servers", pubkey(&exit));
    let clients =
        folder.write("clients", format!("# who may\n{}{}", pubkey(&laptop), pubkey(&backup)));
    let server = server(&origin, &["-k", &exit, "--peers", &clients]);
    let laptop = client(&server, &["-k", &laptop, "--peers", &servers]);
    let backup_key = pubkey(&backup);
    let backup = client(&server, &["-k", &backup, "--peers", &servers]);
    let by_name = |name: &'static str| {
        move |event: &Event| event.is("session_started") && event.text("key") == name
    };
    echo(&laptop, &origin);
    server.wait_for_any("a session of the laptop", by_name("laptop"));
    let mut carried = connect(laptop.addr());
    Pattern(1).send(&mut carried, 0..10);
    let mut arrived = origin.accept();
    Pattern(1).expect(&mut arrived, 0..10);
    fs::write(&clients, "nonsense\n").unwrap();
    server.hang_up();
    let told = server.wait_for("keys_not_read");
    assert!(told.text("message").contains("line 1: this is no key"), "{told}");
    echo(&laptop, &origin);
    fs::write(&clients, &backup_key).unwrap();
    server.hang_up();
    server.wait_for("keys_read");
    assert!(expect_reset(&mut carried).is_empty());
    echo(&backup, &origin);
    let told = laptop.wait_for("peer_unreachable");
    assert!(told.text("cause").contains("does not accept our key"), "{told}");
}

#[test]
fn the_last_client_of_a_list_is_cut_off_too() {
    let (folder, origin) = (TempDir::new(), Origin::start());
    let [exit, laptop] = ["exit.key", "laptop.key"].map(|name| keygen(&folder, name, &["--pair"]));
    let servers = folder.write("servers", pubkey(&exit));
    let clients = folder.write("clients", pubkey(&laptop));
    let server = server(&origin, &["-k", &exit, "--peers", &clients]);
    let client = client(&server, &["-k", &laptop, "--peers", &servers]);
    let mut carried = connect(client.addr());
    Pattern(1).send(&mut carried, 0..10);
    let mut arrived = origin.accept();
    Pattern(1).expect(&mut arrived, 0..10);
    fs::write(&clients, "# nobody\n").unwrap();
    server.hang_up();
    assert!(server.wait_for("keys_read").text("message").contains("no peer is accepted"));
    assert!(expect_reset(&mut carried).is_empty());
    client.wait_for("peer_unreachable");
}

#[test]
fn stripes_of_one_key_leave_descriptors_to_others() {
    let origin = Origin::start();
    let (_folder, server, [greedy, modest]) = for_two(&origin);
    let _greedy: Vec<Proxy> = (0..4)
        .map(|_| {
            client(&server, &[&greedy.each_ref().map(String::as_str)[..], &["-n", "64"]].concat())
        })
        .collect();
    server.wait_for_any("a stripe too many", |event| {
        event.is("stripe_refused") && event.text("error").contains("no more stripes")
    });
    let modest = client(&server, &modest.each_ref().map(String::as_str));
    echo(&modest, &origin);
    modest.wait_for_some("stripes", 4, |event| event.is("stripe_up"));
}

#[test]
fn a_client_that_opens_without_end_leaves_another_one_its_connections() {
    let origin = Origin::start();
    let (_folder, server, [greedy, modest]) = for_two(&origin);
    thread::spawn(move || {
        let greet = |mut stream: TcpStream| stream.write_all(b"!").map(|()| stream);
        let _kept: Vec<_> = origin.incoming().map(greet).collect();
    });
    let greedy = client(&server, &greedy.each_ref().map(String::as_str));
    greedy.wait_for_some("stripes", 4, |event| event.is("stripe_up"));
    // Some may be reset before one learns that they were connected.
    let _all: Vec<_> = (0..300).map(|_| try_connect(greedy.addr())).collect();
    // When the first of them is turned away, no file is left to who has the most.
    greedy.wait_for_any("a refusal", |event| {
        event.is("connection_ended") && event.text("end") == "refused"
    });
    let modest = client(&server, &modest.each_ref().map(String::as_str));
    modest.wait_for_some("stripes", 4, |event| event.is("stripe_up"));
    let mut greeting = [0; 1];
    connect(modest.addr()).read_exact(&mut greeting).unwrap();
    assert_eq!(greeting, *b"!");
}

#[test]
fn keys_that_do_not_fit_are_told_to_both_sides_with_what_to_do() {
    let (folder, origin) = (TempDir::new(), Origin::start());
    let [one, other] = ["one.key", "other.key"].map(|name| keygen(&folder, name, &[]));
    let with = |key: &str| server(&origin, &["-k", key]);
    let told = |server: &Proxy, options: &[&str], here: &str, there: &str| {
        let client = client(server, options);
        let cause = client.wait_for("peer_unreachable");
        assert!(cause.text("cause").contains(here), "{cause}");
        let error = server.wait_for("stripe_refused");
        assert!(error.text("error").contains(there), "{error}");
        // Who connects is not kept waiting.
        expect_reset_at(client.addr());
    };
    told(
        &with(&one),
        &["-k", &other],
        "not accepted here: give both sides the same key file",
        "does not accept our key",
    );
    told(&with(&one), &[], "give this side the server's key: -k FILE", "give it the same key file");
    told(&server(&origin, &[]), &["-k", &one], "give it the same key file", "uses a key");
}

#[test]
fn a_key_file_that_is_of_no_use_is_refused_with_its_name_and_a_cure() {
    let folder = TempDir::new();
    let (site, own) = (keygen(&folder, "site.key", &[]), keygen(&folder, "own.key", &["--pair"]));
    let key = |file: &str, more: &[&str]| {
        run(&[&["-s", "0", "localhost:22", "-k", file], more].concat(), &[])
    };
    of(&run(&["keygen", &site], &[]), 8, &[&site, "exists already"]);
    of(&key(&folder.text("none"), &[]), 8, &["No such file", "none"]);
    of(&key(&folder.write("text", "hello"), &[]), 8, &["this is no key", "keygen"]);
    of(&key(&own, &[]), 8, &["nobody is accepted", "--peers"]);
    of(&key(&site, &["--peers", &folder.write("list", "x")]), 8, &["list: line 1: this is no key"]);
    of(&run(&["pubkey", &site], &[]), 8, &["no public half", "keygen --pair"]);
    let peers = folder.write("list", pubkey(&own));
    let alone = run(&["-s", "0", "localhost:22", "--peers", &peers], &[]);
    of(&alone, 8, &["without a key of this side", "-k KEY"]);
    of(&run(&["pubkey", &peers], &[]), 8, &["the public half"]);
    fs::set_permissions(&site, Permissions::from_mode(0o640)).unwrap();
    of(&key(&site, &[]), 8, &["mode 640", "chmod 600", &site]);
    let variable = [("STRIPER_KEY_FILE", site.as_str())];
    of(&run(&["-s", "0", "localhost:22"], &variable), 8, &["mode 640"]);
}

#[test]
fn a_side_that_lists_its_own_key_says_so() {
    let (folder, origin) = (TempDir::new(), Origin::start());
    let [own, laptop] = ["own.key", "laptop.key"].map(|name| keygen(&folder, name, &["--pair"]));
    let right = folder.write("right", pubkey(&laptop));
    let wrong = folder.write("wrong", pubkey(&own));
    let right = server(&origin, &["-k", &own, "--peers", &right]);
    let listed = server(&origin, &["-k", &own, "--peers", &wrong]);
    let told = listed.wait_for("own_key_listed");
    assert_eq!((told.text("list"), told.text("key")), (wrong.as_str(), "own"), "{told}");
    fs::write(&wrong, pubkey(&laptop)).unwrap();
    listed.hang_up();
    listed.wait_for("keys_read");
    assert_eq!((listed.count("own_key_listed"), right.count("own_key_listed")), (1, 0));
}

#[test]
fn the_key_is_found_among_credentials_and_in_the_environment() {
    let (folder, origin) = (TempDir::new(), Origin::start());
    let key = keygen(&folder, "site.key", &[]);
    let server = server(&origin, &["-k", &key]);
    let home = folder.text("");
    for variables in [("STRIPER_KEY_FILE", key.as_str()), ("STRIPER_KEY_FILE", "site.key")] {
        let client = Proxy::start_with(
            &["-c", "127.0.0.1:0", &server.addr().to_string()],
            &[variables, ("CREDENTIALS_DIRECTORY", &home)],
        );
        echo(&client, &origin);
    }
}

#[test]
fn only_a_public_port_without_a_key_is_warned_of_and_not_if_that_is_on_purpose() {
    let origin = Origin::start();
    let warned = |mode: &str, listen: &str, options: &[&str]| {
        let connect = if mode == "-s" { origin.addr() } else { "192.0.2.1:9".parse().unwrap() };
        let proxy = Proxy::start(&[&[mode, listen, &connect.to_string()], options].concat());
        proxy.terminate();
        proxy.wait_for("stopped");
        proxy.count("no_key")
    };
    assert_eq!(warned("-s", "0.0.0.0:0", &[]), 1);
    assert_eq!(warned("-s", "0.0.0.0:0", &["--plain"]), 0);
    assert_eq!(warned("-s", "127.0.0.1:0", &[]), 0);
    assert_eq!(warned("-c", "127.0.0.1:0", &[]), 1);
    assert_eq!(warned("-c", "127.0.0.1:0", &["--plain"]), 0);
    let folder = TempDir::new();
    let key = keygen(&folder, "site.key", &[]);
    assert_eq!(warned("-s", "0.0.0.0:0", &["-k", &key]), 0);
    assert_eq!(warned("-c", "127.0.0.1:0", &["-k", &key]), 0);
}

#[test]
fn a_file_that_belongs_to_another_user_is_refused() {
    let folder = TempDir::new();
    let key = keygen(&folder, "site.key", &["--pair"]);
    let peers = folder.write("peers", "");
    for file in [&key, &peers] {
        if let Err(error) = chown(file, Some(12_345), None) {
            return skip(format!("files can't be given to another user ({error}); root can"));
        }
        let done = run(&["-s", "0", "localhost:22", "-k", &key, "--peers", &peers], &[]);
        assert_eq!(done.code, Some(8), "{}", done.stderr);
        assert!(done.stderr.contains("belongs to another user (12345)"), "{}", done.stderr);
        assert!(done.stderr.contains(file), "{}", done.stderr);
        chown(file, Some(0), None).unwrap();
    }
}
