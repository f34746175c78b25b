//! The ways into a client: forwards, the proxy for programs, standard input and output, and Unix
//! sockets. Which targets a server allows.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use striper_tests::{
    DOWN, Finished, LIMIT, Origin, Process, Program, Proxy, TempDir, UP, Vacant, binary, connect,
    expect_reset, expect_reset_at, finish, pair, reset, run,
};

const SIZE: u64 = 3 << 20;

/// Answers each HTTP request with [`DOWN`], and tells the head of each request.
fn web() -> (SocketAddr, Receiver<String>) {
    let (origin, (said, heard)) = (Origin::start(), channel());
    let address = origin.addr();
    thread::spawn(move || {
        for stream in origin.incoming() {
            let mut stream = BufReader::new(stream);
            let (mut head, mut line) = (String::new(), String::new());
            while stream.read_line(&mut line).is_ok_and(|read| read > 2) {
                head.push_str(&std::mem::take(&mut line));
            }
            let _ = said.send(head);
            let mut stream = stream.into_inner();
            let answer =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\nConnection: close\r\n\r\n");
            if stream.write_all(answer.as_bytes()).is_ok() {
                DOWN.send(&mut stream, 0..SIZE);
            }
        }
    });
    (address, heard)
}

/// The program with its standard input and output connected to a target.
fn stdio(server: SocketAddr, target: SocketAddr) -> Command {
    let mut command = Command::new(binary::path());
    command.args(["client", &server.to_string(), "-W", &target.to_string(), "--connect-timeout"]);
    command.arg("1s");
    command
}

#[test]
fn a_forward_reaches_the_target_that_the_client_names() {
    let [one, other] = [(); 2].map(|()| Origin::start());
    for named in [&one, &other] {
        let forward = format!("127.0.0.1:0:{}", named.addr());
        let (_server, client) = pair(&["--allow", "127.0.0.1:*"], &["-L", &forward]);
        client.open(named);
    }
}

#[test]
fn a_target_that_is_not_allowed_is_refused_and_never_dialled() {
    let (allowed, other) = (Origin::start(), Origin::start());
    let rule = allowed.addr().to_string();
    for target in [other.addr().to_string(), format!("localhost:{}", other.addr().port())] {
        let forward = format!("127.0.0.1:0:{target}");
        let (server, client) = pair(&["--allow", &rule], &["-L", &forward]);
        expect_reset_at(client.addr());
        let refused = server.wait_for("connection_failed");
        assert!(refused.text("reason").starts_with("not allowed: "), "{refused}");
        assert_eq!(refused.text("target"), target);
    }
    // The first connection at the other target comes from here.
    let here = connect(other.addr());
    assert_eq!(other.accept().peer_addr().unwrap(), here.local_addr().unwrap());
}

#[test]
fn a_wildcard_does_not_reach_this_machine_unless_that_is_said() {
    let origin = Origin::start();
    let forward = format!("127.0.0.1:0:localhost:{}", origin.addr().port());
    let (server, client) = pair(&["--allow", "*:*"], &["-L", &forward]);
    expect_reset_at(client.addr());
    let refused = server.wait_for("connection_failed");
    assert!(refused.text("reason").contains("loopback"), "{refused}");
    let (_server, client) = pair(&["--allow", "*:*", "--allow-private"], &["-L", &forward]);
    client.open(&origin);
}

#[test]
fn curl_gets_the_same_through_every_kind_of_proxy() {
    let Some([curl]) = Program::find(["curl"]) else { return };
    let (web, heard) = web();
    let (_server, client) = pair(&["--allow", "localhost:*"], &["-D", "0"]);
    let (proxy, folder) = (client.addr().to_string(), TempDir::create());
    let (url, http) = (format!("http://localhost:{}/x?y", web.port()), format!("http://{proxy}"));
    for (nth, options) in [
        &["--socks5-hostname", &proxy][..],
        &["--socks4a", &proxy],
        &["-x", &http],
        &["-p", "-x", &http],
    ]
    .iter()
    .enumerate()
    {
        let file = folder.text(&nth.to_string());
        curl.run([&["-sS", "-o", &file, &url], *options].concat());
        DOWN.expect_all(&mut std::fs::File::open(&file).expect("a file"), 0..SIZE);
        let head = heard.recv_timeout(LIMIT).expect("a request");
        assert!(head.starts_with("GET /x?y HTTP/1.1\r\n"), "{head}");
        assert!(head.contains(&format!("Host: localhost:{}\r\n", web.port())), "{head}");
        assert!(!head.contains("Proxy-"), "{head}");
    }
}

#[test]
fn a_program_that_asks_for_nothing_is_let_go() {
    let (_server, client) = pair(&["--allow", "127.0.0.1:*"], &["-D", "0"]);
    for (says, answer) in [
        (&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], &b"HTTP/1.1 400 "[..]),
        (b"\x05\x01\x00\x05\x02\x00\x01\x00\x00\x00\x00\x00\x00", b"\x05\x00\x05\x07"),
        (b"\x05\x01\x7f", b"\x05\xff"),
    ] {
        let mut program = client.connect();
        program.write_all(says).unwrap();
        let mut got = Vec::new();
        program.read_to_end(&mut got).unwrap();
        assert!(got.starts_with(answer), "{says:?}: {got:?}");
    }
}

/// An origin that ignores `Connection: close` would get the next request, which is for another one.
#[test]
fn a_request_for_another_origin_never_reaches_the_first_one() {
    let origin = Origin::start();
    let (_server, client) = pair(&["--allow", "127.0.0.1:*"], &["-D", "0"]);
    let address = origin.addr();
    for (head, body) in [
        ("GET", "\r\n"),
        ("PUT", "Content-Length: 5\r\n\r\nhello"),
        ("POST", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
    ] {
        let end = body.split_once("\r\n\r\n").map_or("\r\n\r\n", |(_, body)| body);
        let mut program = client.connect();
        write!(program, "{head} http://{address}/ HTTP/1.1\r\nHost: a\r\n{body}").unwrap();
        let mut target = origin.accept();
        let mut got = vec![0; 4096];
        let mut len = 0;
        while !got[..len].ends_with(end.as_bytes()) {
            len += target.read(&mut got[len..]).unwrap();
        }
        target.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
        program.read_exact(&mut [0; 38]).unwrap();
        write!(program, "GET http://other/secret HTTP/1.1\r\nHost: other\r\n\r\n").unwrap();
        // The program dials anew, and nothing more comes here.
        expect_reset(&mut program);
        let rest = target.read(&mut got).map_or(0, |read| read);
        assert_eq!(rest, 0, "{head}");
    }
}

#[test]
fn a_socket_as_input_and_output_gets_the_end_and_a_hang_up_ends_the_program() {
    let origin = Origin::start();
    let server = Proxy::start(&["server", "127.0.0.1:0", "--allow", "127.0.0.1:*"]);
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(LIMIT)).unwrap();
    theirs.set_nonblocking(true).unwrap();
    let mut command = stdio(server.addr(), origin.addr());
    command.stdin(OwnedFd::from(theirs.try_clone().unwrap())).stdout(OwnedFd::from(theirs));
    let mut process = Process::start(command.stderr(Stdio::null()));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let mut target = origin.accept();
    DOWN.send(&mut target, 0..SIZE);
    finish(&target);
    DOWN.expect_all(&mut ours, 0..SIZE);
    process.signal(rustix::process::Signal::HUP);
    assert_eq!(process.wait(LIMIT).and_then(|status| status.code()), Some(129));
    expect_reset(&mut target);
}

#[test]
fn a_full_disk_behind_standard_output_is_told_as_such() {
    let origin = Origin::start();
    let server = Proxy::start(&["server", "127.0.0.1:0", "--allow", "127.0.0.1:*"]);
    let mut command = stdio(server.addr(), origin.addr());
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    command.stdin(Stdio::piped()).stdout(full).stderr(Stdio::piped());
    let mut process = Process::start(&mut command);
    let mut target = origin.accept();
    DOWN.send(&mut target, 0..1000);
    let status = process.wait(LIMIT).and_then(|status| status.code());
    let mut told = String::new();
    process.child().stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!(status, Some(1), "{told}");
    assert!(told.contains("standard output: No space left"), "{told}");
}

#[test]
fn options_that_would_do_nothing_are_errors() {
    for (line, part) in [
        ("server 127.0.0.1:0 localhost:22 --deny a:1", "--allow"),
        ("server 127.0.0.1:0 localhost:22 --allow-private", "--allow"),
        ("server 127.0.0.1:0 --allow unix:x", "unix:/"),
        ("client 127.0.0.1:1 -L 0 --proxy-users x", "-D"),
        ("client 127.0.0.1:1 -W a:1 -D 0", "another client"),
        ("client 127.0.0.1:1 -W a:1 --accept-proxy-protocol ::1", "TCP ports"),
        ("client 127.0.0.1:1 -T 0 --accept-proxy-protocol ::1", "TCP ports"),
    ] {
        assert_usage(line, &[part]);
    }
}

/// This command line is an error that has these parts.
fn assert_usage(line: &str, parts: &[&str]) {
    let finished = run(&line.split(' ').collect::<Vec<_>>(), &[]);
    assert_eq!(finished.code, Some(2), "{line}: {}", finished.stderr);
    for part in parts {
        assert!(finished.stderr.contains(part), "{part} is not in: {line}: {}", finished.stderr);
    }
}

#[test]
fn a_mistake_in_a_way_or_a_rule_has_a_cure_that_fits() {
    for (line, parts) in [
        ("client a:1 -D 1080:localhost:22", &["-D takes only [ADDR:]PORT", "-L 1080:"][..]),
        ("client a:1 -W a", &["\"a\" has no port", "write HOST:PORT, [V6ADDR]:PORT or unix:/PATH"]),
        ("client a:1 -L 8080:0.0.0.0:80", &["localhost:80 for the server's machine"]),
        ("server 0 --allow a:80,b:90", &["these are several rules", "repeat --allow"]),
        ("server 0", &["no TARGET", "no --allow", "name a TARGET", "--allow RULE"]),
    ] {
        assert_usage(line, parts);
    }
}

/// Whether the proxy admits a program with this name and password (RFC 1929). It may then ask for a
/// target.
fn admits(program: &mut TcpStream, user: &str, password: &str) -> bool {
    let said = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
    let mut request = vec![5, 1, 2, 1];
    request.extend([said(user), said(password)].concat());
    program.write_all(&request).unwrap();
    let mut answer = [0; 4];
    program.read_exact(&mut answer).unwrap();
    assert_eq!(answer[..3], [5, 2, 1]);
    answer[3] == 0
}

#[test]
fn users_that_are_read_again_hold_for_new_programs_and_spare_connections() {
    let (origin, folder) = (Origin::start(), TempDir::create());
    let users = folder.write("users", "me:secret\n");
    let mode = |bits| {
        std::fs::set_permissions(&users, std::os::unix::fs::PermissionsExt::from_mode(bits))
            .unwrap();
    };
    mode(0o600);
    let (_server, client) =
        pair(&["--allow", "127.0.0.1:*"], &["-D", "0", "--proxy-users", &users]);
    let admits = |user, password| admits(&mut client.connect(), user, password);
    let mut program = client.connect();
    assert!(self::admits(&mut program, "me", "secret"));
    program.write_all(&[5, 1, 0, 1, 127, 0, 0, 1]).unwrap();
    program.write_all(&origin.addr().port().to_be_bytes()).unwrap();
    program.read_exact(&mut [0; 10]).unwrap();
    let mut target = origin.accept();
    folder.write("users", "you:other\nme:new\n");
    client.hang_up();
    let told = client.wait_for("users_read");
    assert!(told.text("message").contains("2 users"), "{told}");
    assert!(!admits("me", "secret"));
    assert!(admits("me", "new") && admits("you", "other"));
    for (count, content, bits, part) in
        [(1, "me:secret\nhidden\n", 0o600, "line 2: expected"), (2, "a:b\n", 0o640, "chmod 600")]
    {
        folder.write("users", content);
        mode(bits);
        client.hang_up();
        let told = client.wait_for_some("users_not_read", count).swap_remove(count - 1);
        let message = told.text("message");
        assert!(message.contains("the earlier ones stay") && message.contains(part), "{told}");
        assert!(!message.contains("hidden"), "a line may have a password: {told}");
        assert!(admits("me", "new") && !admits("me", "secret") && !admits("a", "b"));
    }
    assert_eq!(client.count("keys_read"), 0, "there are no keys to speak of");
    UP.send(&mut program, 0..1000);
    UP.expect(&mut target, 0..1000);
    DOWN.send(&mut target, 0..1000);
    DOWN.expect(&mut program, 0..1000);
}

#[test]
fn with_a_list_of_users_the_proxy_asks_for_a_name_and_a_password() {
    let Some([curl]) = Program::find(["curl"]) else { return };
    let ((web, _heard), folder) = (web(), TempDir::create());
    let users = folder.write("users", "# programs\nme:secret\n");
    let finished = run(&["client", "127.0.0.1:1", "-D", "0", "--proxy-users", &users], &[]);
    assert!(finished.stderr.contains("chmod 600"), "{}", finished.stderr);
    let private = || std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&users, private()).unwrap();
    let ways = ["-D", "0", "--proxy-users", &users];
    let (_server, client) = pair(&["--allow", "127.0.0.1:*"], &ways);
    let (url, proxy) = (format!("http://{web}/"), client.addr());
    for scheme in ["socks5h", "http"] {
        let code = |user: &str| {
            let mut command = curl.command();
            command.args(["-sS", "-o", "/dev/null", "-w", "%{http_code}", &url]);
            let finished = Finished::of(command.args(["-x", &format!("{scheme}://{user}{proxy}")]));
            finished.stdout
        };
        assert_eq!(code("me:secret@"), "200");
        assert!(["000", "407"].contains(&code("me:wrong@").as_str()), "{scheme}");
        assert!(["000", "407"].contains(&code("").as_str()), "{scheme}");
    }
    let broken = folder.write("broken", "me\n");
    std::fs::set_permissions(&broken, private()).unwrap();
    let finished = run(&["client", "127.0.0.1:1", "-D", "0", "--proxy-users", &broken], &[]);
    assert_eq!(finished.code, Some(8));
    assert!(finished.stderr.contains("line 1"), "{}", finished.stderr);
}

#[test]
fn slow_handshakes_do_not_disturb_a_working_one() {
    let origin = Origin::start();
    let (_server, client) = pair(&["--allow", "127.0.0.1:*"], &["-D", "0"]);
    let begin = |_| {
        let mut program = client.connect();
        program.write_all(&[5]).unwrap();
        program
    };
    let mut slow: Vec<_> = (0..600).map(begin).collect();
    let mut program = client.connect();
    assert_eq!(ask(&mut program, origin.addr()), 0);
    UP.send(&mut program, 0..1000);
    UP.expect(&mut origin.accept(), 0..1000);
    // The oldest ones have gone, and the newest ones wait.
    expect_reset(&mut slow[0]);
    let refused = client.wait_for("connection_refused");
    assert!(refused.text("reason").contains("too many others"), "{refused}");
}

/// Asks by SOCKS5 for a target on this machine. Returns the reply's code.
fn ask(program: &mut TcpStream, target: SocketAddr) -> u8 {
    program.write_all(&early(target, b"")).unwrap();
    let mut answer = [0; 12];
    program.read_exact(&mut answer).unwrap();
    answer[3]
}

#[test]
fn a_target_that_was_just_reached_is_taken_for_reachable_until_it_is_not() {
    let origin = Origin::start();
    let (_server, client) = pair(&["--allow", "127.0.0.1:*"], &["-D", "0"]);
    let address = origin.addr();
    for _ in 0..2 {
        assert_eq!(ask(&mut client.connect(), address), 0);
        origin.accept();
    }
    drop(origin);
    let mut program = client.connect();
    assert_eq!(ask(&mut program, address), 0, "said before the server has answered");
    expect_reset(&mut program);
    client.wait_for_any("a refusal", |event| {
        event.is("connection_ended") && event.text("end") == "refused"
    });
    assert_eq!(ask(&mut client.connect(), address), 5, "connection refused");
}

#[test]
fn a_program_hears_that_the_server_is_stopping() {
    let origin = Origin::start();
    let ways = ["-D", "0", "--connect-timeout", "1s"];
    let (server, client) = pair(&["--allow", "127.0.0.1:*"], &ways);
    let mut open = client.connect();
    // Just reached, so that an answer could come before the server has said anything.
    assert_eq!(ask(&mut open, origin.addr()), 0);
    let _target = origin.accept();
    server.terminate();
    client.wait_for("peer_stopping");
    assert_eq!(ask(&mut client.connect(), origin.addr()), 1, "general failure");
    let ended =
        client.wait_for_any("a failed connection", |event| event.text("end") == "no_session");
    assert_eq!(ended.text("reason"), "the server is stopping");
    let mut program = client.connect();
    write!(program, "CONNECT {} HTTP/1.1\r\n\r\n", origin.addr()).unwrap();
    let mut answer = String::new();
    program.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("is stopping"), "{answer}");
}

#[test]
fn bytes_that_a_program_sends_before_the_answer_reach_its_target() {
    let origin = Origin::start();
    let (_server, client) = pair(&["--allow", "127.0.0.1:*"], &["-D", "0"]);
    let mut program = client.connect();
    program.write_all(&early(origin.addr(), &UP.bytes(0..1000))).unwrap();
    let mut target = origin.accept();
    UP.expect(&mut target, 0..1000);
    let mut answer = [0; 12];
    program.read_exact(&mut answer).unwrap();
    assert_eq!(answer, [5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    DOWN.send(&mut target, 0..1000);
    DOWN.expect(&mut program, 0..1000);
}

/// A request of SOCKS5 for a target, with bytes for it behind.
fn early(target: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut request = vec![5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1];
    request.extend(target.port().to_be_bytes());
    request.extend(bytes);
    request
}

#[test]
fn a_program_that_has_finished_before_the_answer_still_gets_it() {
    let origin = Origin::start();
    let (_server, client) = pair(&["--allow", "127.0.0.1:*"], &["-D", "0"]);
    let mut program = client.connect();
    program.write_all(&early(origin.addr(), &UP.bytes(0..1000))).unwrap();
    finish(&program);
    let mut target = origin.accept();
    UP.expect_all(&mut target, 0..1000);
    DOWN.send(&mut target, 0..1000);
    drop(target);
    program.read_exact(&mut [0; 12]).unwrap();
    DOWN.expect_all(&mut program, 0..1000);
}

#[test]
fn a_program_that_resets_its_connection_does_not_wait_for_its_target() {
    // It takes stripes, and never says HELLO.
    let silent = Origin::start();
    let server = silent.addr().to_string();
    let client = Proxy::start(&["client", &server, "-D", "0", "--connect-timeout", "10m"]);
    let mut program = client.connect();
    program.write_all(&early(silent.addr(), b"unread")).unwrap();
    client.wait_for("connection_opened");
    // A program that has only finished waits on, as it may read.
    let mut other = client.connect();
    other.write_all(&early(silent.addr(), b"")).unwrap();
    finish(&other);
    client.wait_for_some("connection_opened", 2);
    reset(program);
    let ended = client.wait_for("connection_ended");
    assert!(ended.text("message").contains("gave up before its target answered"), "{ended}");
    assert_eq!((ended.number("connection"), client.count("connection_ended")), (1, 1));
}

#[test]
fn a_handshake_has_ten_seconds_and_http_hears_that_they_are_over() {
    let nobody = Vacant::reserve();
    let server = nobody.addr().to_string();
    let options = ["--accept-proxy-protocol", "127.0.0.1"];
    let client = Proxy::start(&["client", &server, "-D", "0"]);
    let behind = Proxy::start(&[&["client", &server, "-L", "0"], &options[..]].concat());
    let mut programs = [&client, &client, &behind].map(|client| client.connect());
    for (program, said) in programs.iter_mut().zip(["\r\nGET http://a/ HTTP/1.1\r\n", "\x05", "P"])
    {
        program.write_all(said.as_bytes()).unwrap();
    }
    let [http, socks, header] = &mut programs;
    let mut answer = [0; 12];
    http.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
    for program in [socks, header] {
        assert!(expect_reset(program).is_empty());
    }
    for client in [&client, &behind] {
        let refused = client.wait_for("connection_refused");
        assert!(refused.text("reason").contains("took longer than 10 s"), "{refused}");
    }
}

#[test]
fn standard_input_and_output_are_a_connection_with_two_ends() {
    let origin = Origin::start();
    let server = Proxy::start(&["server", "127.0.0.1:0", "--allow", "127.0.0.1:*"]);
    let mut command = stdio(server.addr(), origin.addr());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut process = Process::start(&mut command);
    let mut input = process.child().stdin.take().unwrap();
    let mut output = process.child().stdout.take().unwrap();
    UP.send(&mut input, 0..SIZE / 64);
    drop(input);
    let mut target = origin.accept();
    UP.expect_all(&mut target, 0..SIZE / 64);
    DOWN.send(&mut target, 0..SIZE / 64);
    drop(target);
    DOWN.expect_all(&mut output, 0..SIZE / 64);
    assert_eq!(process.wait(LIMIT).and_then(|status| status.code()), Some(0));
}

#[test]
fn the_exit_code_says_whether_the_server_or_the_target_was_not_reached() {
    let (vacant, nobody) = (Vacant::reserve(), Vacant::reserve());
    let server = Proxy::start(&["server", "127.0.0.1:0", "--allow", "127.0.0.1:*"]);
    for (server, code, part) in [
        (server.addr(), 5, "connection to the target refused"),
        (nobody.addr(), 4, "server unreac"),
    ] {
        let finished = Finished::of(&mut stdio(server, vacant.addr()));
        assert_eq!(finished.code, Some(code), "{}", finished.stderr);
        assert!(finished.stderr.contains(part), "{}", finished.stderr);
        assert_eq!(finished.stdout, "");
    }
}

#[test]
fn a_unix_socket_is_a_way_in_and_is_removed_at_the_end() {
    let (origin, folder) = (Origin::start(), TempDir::create());
    let path = folder.text("x.sock");
    let forward = format!("{path}:{}", origin.addr());
    let (_server, mut client) =
        pair(&["--allow", "127.0.0.1:*"], &["-L", &forward, "-L", "127.0.0.1:0"]);
    let mut program = UnixStream::connect(&path).unwrap();
    UP.send(&mut program, 0..1000);
    let mut target = origin.accept();
    UP.expect(&mut target, 0..1000);
    drop(target);
    drop(program);
    client.stop();
    assert!(!std::path::Path::new(&path).exists());
}

#[test]
fn a_unix_socket_is_a_target_if_a_rule_names_it() {
    let folder = TempDir::create();
    let path = folder.text("target.sock");
    let target = UnixListener::bind(&path).unwrap();
    let forward = format!("127.0.0.1:0:unix:{path}");
    let (_server, client) = pair(&["--allow", &format!("unix:{path}")], &["-L", &forward]);
    let mut program = client.connect();
    UP.send(&mut program, 0..SIZE / 64);
    finish(&program);
    let (mut target, _) = target.accept().unwrap();
    UP.expect_all(&mut target, 0..SIZE / 64);
    DOWN.send(&mut target, 0..1000);
    drop(target);
    DOWN.expect_all(&mut program, 0..1000);
    let (server, client) = pair(&["--allow", "*:*", "--allow-private"], &["-L", &forward]);
    expect_reset_at(client.addr());
    assert!(server.wait_for("connection_failed").text("reason").contains("no rule"));
}

#[test]
fn targets_that_a_client_names_need_a_key_on_a_route() {
    for line in [
        &["client", "192.0.2.1:7650", "-D", "0"][..],
        &["client", "192.0.2.1:7650", "-W", "localhost:22"],
        &["client", "192.0.2.1:7650", "-L", "0:localhost:22"],
        &["server", "0.0.0.0:0", "--allow", "*:443"],
    ] {
        let finished = run(line, &[]);
        assert_eq!(finished.code, Some(2), "{line:?}: {}", finished.stderr);
        assert!(finished.stderr.contains("key"), "{line:?}: {}", finished.stderr);
    }
}

#[test]
fn both_sides_say_that_a_client_names_no_target_where_the_server_has_none() {
    let (server, client) = pair(&["--allow", "localhost:1"], &["-L", "0"]);
    expect_reset_at(client.addr());
    for (proxy, event) in [(&client, "connection_ended"), (&server, "connection_failed")] {
        let told = proxy.wait_for(event);
        assert!(told.text("message").contains("-L PORT:HOST:PORT"), "{told}");
    }
}
