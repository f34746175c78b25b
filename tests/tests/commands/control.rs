//! The control socket, and the commands that ask a running proxy by it.

use serde_json::Value;
use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use striper_tests::listed::keygen;
use striper_tests::{
    Finished, LIMIT, Origin, Pair, Proxy, TempDir, binary, exchange, expect_fin, expect_reset,
    finish, run, skip, take_little, try_connect,
};

/// A pair whose sockets have the names `client` and `server` in a folder.
fn pair(folder: &TempDir, target: &Origin, options: &[&str]) -> Pair {
    let [client, server] = ["client", "server"].map(|name| folder.text(name));
    let [client, server] = [&client, &server].map(|at| [&["--control", at], options].concat());
    Pair::with(None, target.addr(), &client, &server)
}

fn ask(folder: &TempDir, socket: &str, words: &[&str]) -> Finished {
    run(&[words, &[&folder.text(socket)]].concat(), &[])
}

fn state(folder: &TempDir, socket: &str) -> Value {
    let text = ask(folder, socket, &["status", "--json"]).success();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn fails(finished: &Finished, code: i32, part: &str) {
    assert_eq!(finished.code, Some(code), "{finished:?}");
    assert!(finished.stderr.contains(part), "{part} in {}", finished.stderr);
    assert_eq!(finished.stdout, "");
}

#[test]
fn status_shows_each_connection_with_its_session_and_stripes_on_both_sides() {
    let (folder, origin) = (TempDir::create(), Origin::start());
    let pair = pair(&folder, &origin, &[]);
    let (local, _target) = pair.client.open(&origin);
    let [client, server] = ["client", "server"].map(|name| state(&folder, name));
    let session = &client["sessions"][0]["session"];
    assert!(session.is_string() && *session == server["sessions"][0]["session"]);
    assert_eq!(client["sessions"][0]["totals"]["sent_bytes"], 10);
    assert_eq!(server["sessions"][0]["totals"]["received_bytes"], 10);
    for (state, role) in [(&client, "client"), (&server, "server")] {
        assert_eq!((&state["role"], &state["state"]), (&role.into(), &"ready".into()));
        assert_eq!(state["connections"]["open"], 1);
        let session = &state["sessions"][0];
        assert_eq!(
            (&session["state"], session["stripes"].as_array().map(Vec::len)),
            (&"up".into(), Some(4))
        );
        let flow = &session["flows"][0];
        assert_eq!(flow["number"], 1);
        assert_eq!(flow["from"], local.local_addr().unwrap().to_string());
        assert_eq!(
            (&flow["waits_for"], &flow["receiving_waits_for"]),
            (&"program".into(), &"peer".into())
        );
    }
    let flow = &server["sessions"][0]["flows"][0];
    assert_eq!(
        (&flow["target"], &flow["received_bytes"]),
        (&origin.addr().to_string().into(), &10.into())
    );
    let table = ask(&folder, "server", &["status"]).success();
    for part in [
        "server ",
        "ready, up for",
        "1 connection open, 1 so far",
        "in flight",
        &origin.addr().to_string(),
    ] {
        assert!(table.contains(part), "{part} in {table}");
    }
}

#[test]
fn a_flow_says_that_the_program_over_there_takes_no_more() {
    let (folder, origin) = (TempDir::create(), Origin::start());
    let pair = pair(&folder, &origin, &[]);
    let (local, target) = pair.client.open(&origin);
    take_little(&target);
    local.set_nonblocking(true).unwrap();
    let data = vec![0; 1 << 16];
    // The target takes nothing, so credit and all buffers on the way fill up.
    let waits =
        |name: &str, way: &str| state(&folder, name)["sessions"][0]["flows"][0][way].clone();
    while waits("client", "waits_for") != "credit" {
        while (&local).write(&data).is_ok() {}
    }
    assert_eq!(waits("server", "receiving_waits_for"), "program");
    let stripe = &state(&folder, "client")["sessions"][0]["stripes"][0];
    assert_eq!(stripe["limit"], "receiver");
}

#[test]
fn a_proxy_that_is_drained_lets_connections_finish_and_takes_no_new_ones() {
    let (folder, origin) = (TempDir::create(), Origin::start());
    let mut pair = pair(&folder, &origin, &["--drain-timeout", "10m"]);
    let (mut local, mut target) = pair.client.open(&origin);
    let said = ask(&folder, "client", &["drain"]).success();
    assert_eq!(said, "no new connections; 1 connection may finish within 10 min 0 s\n");
    assert_eq!(pair.client.wait_for("stopping").text("signal"), "drain");
    // A connection that came just before the port was closed is reset.
    if let Ok(mut stream) = try_connect(pair.client.addr()) {
        assert!(expect_reset(&mut stream).is_empty());
    }
    assert_eq!(state(&folder, "client")["state"], "draining");
    fails(&ask(&folder, "client", &["drain"]), 2, "it is draining already");
    finish(&local);
    expect_fin(&mut target);
    finish(&target);
    expect_fin(&mut local);
    assert_eq!(pair.client.exit_code(), Some(0));
    assert!(!folder.join("client").exists(), "it is removed at the end");
    fails(&ask(&folder, "client", &["status"]), 9, "there is no");
    assert_eq!(ask(&folder, "server", &["drain"]).success(), "it stops: no connection is open\n");
    assert_eq!(pair.server.exit_code(), Some(0));
}

#[test]
fn reload_says_what_came_of_it() {
    let (folder, origin) = (TempDir::create(), Origin::start());
    let key = keygen(&folder, "site.key", &[]);
    let pair = pair(&folder, &origin, &["-k", &key]);
    for name in ["client", "server"] {
        let said = ask(&folder, name, &["reload"]).success();
        assert!(said.starts_with("keys read again"), "{said}");
    }
    folder.write("site.key", "nonsense\n");
    fails(&ask(&folder, "server", &["reload"]), 8, "site.key");
    pair.server.wait_for("keys_not_read");
    pair.client.assert_works(&origin);
}

#[test]
fn close_resets_one_connection_on_both_sides_and_no_other() {
    let (folder, origin) = (TempDir::create(), Origin::start());
    let pair = pair(&folder, &origin, &[]);
    for (number, name) in [(1, "client"), (3, "server")] {
        let (mut local, mut target) = pair.client.open(&origin);
        let other = pair.client.open(&origin);
        let said = ask(&folder, name, &["close", &number.to_string()]).success();
        assert_eq!(said, format!("connection {number} is reset\n"));
        assert!(expect_reset(&mut local).is_empty());
        assert!(expect_reset(&mut target).is_empty());
        exchange(&other.0, &other.1, 10..100_000);
        let ended = if name == "client" { &pair.client } else { &pair.server };
        let ended = ended.wait_for_any("the end", |event| {
            event.is("connection_ended") && event.number("connection") == number
        });
        assert_eq!(ended.text("reason"), "reset: this side was told to close it");
        // The other one has the next number.
    }
    fails(&ask(&folder, "server", &["close", "99"]), 2, "no connection 99 is open");
}

#[test]
fn a_trace_is_turned_on_and_off_while_a_client_runs() {
    let (folder, origin) = (TempDir::create(), Origin::start());
    let pair = pair(&folder, &origin, &[]);
    fails(&ask(&folder, "client", &["trace", "off"]), 2, "there is no trace");
    let file = folder.text("trace");
    let said = ask(&folder, "client", &["trace", "on", &file]).success();
    assert!(said.contains(&file), "{said}");
    let twice = ask(&folder, "client", &["trace", "on", &file]);
    fails(&twice, 2, &format!("trace: this process records to {file} already"));
    let busy = ask(&folder, "server", &["trace", "on", &file]);
    fails(&busy, 2, "another process is writing to it");
    pair.client.wait_for_some("session_started", 2);
    let _connection = pair.client.open(&origin);
    assert_eq!(state(&folder, "client")["trace"], file);
    let said = ask(&folder, "client", &["trace", "off"]).success();
    assert_eq!(said, "nothing is recorded any more\n");
    assert_eq!(state(&folder, "client")["trace"], Value::Null);
    folder.write("other", "a letter");
    let failed = ask(&folder, "client", &["trace", "on", &folder.text("other")]);
    fails(&failed, 2, "trace: cannot create");
    drop(pair);
    assert!(String::from_utf8(folder.read("trace")).unwrap().contains("stopped"));
}

#[test]
fn a_socket_of_a_running_proxy_is_not_taken_and_one_of_a_dead_proxy_is() {
    let (folder, origin) = (TempDir::create(), Origin::start());
    let target = origin.addr().to_string();
    let socket = folder.text("socket");
    let args = ["relay", "127.0.0.1:0", &target, "--control", &socket];
    let mut first = Proxy::start(&args);
    let mode = fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    fails(&run(&args, &[]), 3, &format!("cannot listen on {socket}: it is in use"));
    assert_eq!(state(&folder, "socket")["role"], "relay");
    first.kill();
    fails(&ask(&folder, "socket", &["status"]), 9, "the proxy that had this socket has ended");
    folder.write("file", "");
    fs::create_dir(folder.text("folder")).unwrap();
    for other in ["file", "folder"] {
        fails(&ask(&folder, other, &["status"]), 9, "it is no socket");
    }
    let _second = Proxy::start(&args);
    assert_eq!(state(&folder, "socket")["role"], "relay");
}

#[test]
fn a_folder_that_others_can_write_to_has_no_socket() {
    let (folder, origin) = (TempDir::create(), Origin::start());
    let shared = folder.join("shared");
    fs::create_dir(&shared).unwrap();
    fs::set_permissions(&shared, Permissions::from_mode(0o1777)).unwrap();
    let (target, shared) = (origin.addr().to_string(), folder.text("shared"));
    let socket = format!("{shared}/socket");
    let args = ["relay", "127.0.0.1:0", &target];
    let failed = run(&[&args[..], &["--control", &socket]].concat(), &[]);
    fails(&failed, 3, &format!("others can write to the folder {shared} (mode 1777)"));
    let relay =
        Proxy::start_with(&[&args[..], &["-v"]].concat(), &[("RUNTIME_DIRECTORY", &shared)]);
    relay.wait_for("no_control");
    relay.assert_works(&origin);
    assert_eq!(fs::read_dir(&shared).unwrap().count(), 0);
}

#[test]
fn a_proxy_is_found_if_it_is_the_only_one_and_named_if_not() {
    let (folder, origin) = (TempDir::create(), Origin::start());
    let (home, target) = (folder.text(""), origin.addr().to_string());
    let home = [("RUNTIME_DIRECTORY", home.trim_end_matches('/'))];
    fails(&run(&["status"], &home), 9, "no proxy runs here that could be asked");
    let relay = |options: &[&str]| {
        Proxy::start_with(&[&["relay", "127.0.0.1:0", &target], options].concat(), &home)
    };
    let mut first = relay(&[]);
    let _hidden = relay(&["--control", "off"]);
    let found = run(&["status"], &home).success();
    assert!(found.contains(&first.addr().to_string()), "{found}");
    let second = relay(&[]);
    // A proxy that does not answer within half a second is named without its address.
    let names_both = |_| {
        let several = run(&["status"], &home);
        fails(&several, 2, "2 proxies run here");
        [&first, &second].iter().all(|it| several.stderr.contains(&it.addr().to_string()))
    };
    assert!((0..20).any(names_both));
    first.kill();
    assert!(run(&["status"], &home).success().contains(&second.addr().to_string()));
    drop(second);
    // The third one removes what the others left behind.
    let _third = relay(&[]);
    assert_eq!(fs::read_dir(folder.join("")).unwrap().count(), 1);
}

/// Answers each request on a socket with these lines, one after another.
fn impostor(socket: &Path, answers: Vec<String>) {
    let listener = UnixListener::bind(socket).unwrap();
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]);
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
}

#[test]
fn an_answer_can_not_change_the_terminal() {
    let folder = TempDir::create();
    let hostile = "a\u{9b}2J\u{202e}b";
    let error = "\"code\":2,\"cause\":\"HOSTILE\",\"cure\":\"HOSTILE\",\"excerpt\":\"HOSTILE\"";
    let error = format!("{{\"error\":{{{error}}}}}\n");
    let text = "{\"ok\":{\"text\":\"HOSTILE\"}}\n";
    let answers = [text, text, &error].map(|answer| answer.replace("HOSTILE", hostile));
    impostor(&folder.join("x"), answers.into());
    assert_eq!(ask(&folder, "x", &["drain"]).success(), "a\\u{9b}2J\\u{202e}b\n");
    let json = ask(&folder, "x", &["status", "--json"]).success();
    assert_eq!(json, "{\n  \"text\": \"a\\u009b2J\\u202eb\"\n}\n");
    let told = ask(&folder, "x", &["reload"]).stderr;
    assert_eq!(told.matches("a\\u{9b}2J\\u{202e}b").count(), 3, "{told}");
}

#[test]
fn root_believes_the_user_of_a_service_in_a_folder_of_his_own_and_nobody_else() {
    const STRANGER: u32 = 65_534;
    if !rustix::process::geteuid().is_root() {
        return skip("only root has other users");
    }
    let stranger = |args: &[&str]| {
        let mut command = Command::new(binary::path());
        command.args(args).uid(STRANGER).gid(STRANGER);
        command
    };
    if !stranger(&["--version"]).output().is_ok_and(|output| output.status.success()) {
        return skip("other users can't run the program where it is");
    }
    let (folder, origin) = (TempDir::create(), Origin::start());
    fs::set_permissions(folder.join(""), Permissions::from_mode(0o755)).unwrap();
    let own = folder.join("own");
    fs::create_dir(&own).unwrap();
    chown(&own, Some(STRANGER), None).unwrap();
    let socket = folder.text("own/x.sock");
    let args =
        ["relay", "127.0.0.1:0", &origin.addr().to_string(), "--control", &socket, "--log", "json"];
    let _relay = Proxy::start_as(&mut stranger(&args), args.join(" "));
    let home = [("RUNTIME_DIRECTORY", folder.text("own"))];
    let home = home.each_ref().map(|(name, value)| (*name, value.as_str()));
    for (named, home) in [(&[&*socket][..], &[][..]), (&[], &home)] {
        let found = run(&[&["status"], named].concat(), home).success();
        assert!(found.contains("relay"), "{found}");
    }
    // Any user could have made that folder before.
    fs::set_permissions(folder.join(""), Permissions::from_mode(0o1777)).unwrap();
    fails(&run(&["status", &socket], &[]), 9, "the process behind it belongs to another user");
    fails(&run(&["status"], &home), 9, "own belongs to another user (65534)");
}

fn raw(socket: &Path) -> UnixStream {
    let stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

#[test]
fn requests_that_are_none_have_an_answer_or_an_end() {
    let (folder, origin) = (TempDir::create(), Origin::start());
    let _pair = pair(&folder, &origin, &[]);
    let socket = folder.join("client");
    for (request, answer) in [
        (&b"GET / HTTP/1.1\r\n"[..], r#"{"error":{"code":2,"cause":"this is no request"#),
        (b"{\"command\":\"explode\"}\n", "unknown variant"),
        (b"{\"command\":\"trace\",\"file\":\"x\"}\n", "x is no absolute path"),
        (b"\xff\xfe\n", "this is no request"),
    ] {
        let mut stream = raw(&socket);
        stream.write_all(request).unwrap();
        let mut said = [0; 4096];
        let len = stream.read(&mut said).unwrap();
        let said = String::from_utf8_lossy(&said[..len]);
        assert!(said.contains(answer) && said.ends_with('\n'), "{answer} in {said}");
    }
    for len in [8 << 10, 1_000_000] {
        let mut stream = raw(&socket);
        stream.write_all(&vec![b'x'; len]).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        assert!(said.contains("it has more than 8192 bytes") && said.ends_with("}\n"), "{said}");
    }
    assert_eq!(state(&folder, "client")["role"], "client");
}

#[test]
fn clients_that_do_not_read_and_many_clients_hold_nobody_up() {
    let (folder, origin) = (TempDir::create(), Origin::start());
    let pair = pair(&folder, &origin, &[]);
    let files = pair.client.files();
    let slow: Vec<UnixStream> =
        std::iter::repeat_with(|| raw(&folder.join("client"))).take(60).collect();
    for stream in &slow {
        stream.set_nonblocking(true).unwrap();
        // Some of them are closed by now, because others have taken their places.
        for _ in 0..1000 {
            let _ = (&*stream).write_all(b"{\"command\":\"status\"}\n");
        }
    }
    pair.client.assert_works(&origin);
    let (local, target) = pair.client.open(&origin);
    exchange(&local, &target, 10..1_000_000);
    assert_eq!(state(&folder, "client")["role"], "client");
    assert!(pair.client.files() <= files + 40, "{} files", pair.client.files());
}
