//! `--http-status`: the page, the metrics, and readers that mean no good.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Instant;
use striper_tests::{
    Event, Finished, LIMIT, Origin, Pair, Program, Proxy, TempDir, UP, connect, exchange,
    expect_fin, finish, run, skip,
};

const OPTION: &[&str] = &["--http-status", "0"];

/// Where a program serves its state.
fn port(proxy: &Proxy) -> SocketAddr {
    proxy.wait_for("http_status").text("listen").parse().expect("an address")
}

/// The head and the body of an answer.
struct Answer {
    head: String,
    body: String,
}

impl Answer {
    fn status(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    /// The value of a sample.
    fn value(&self, sample: &str) -> f64 {
        let value = self.body.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("{sample} in {}", self.body)).parse().expect("a number")
    }
}

/// Sends this and reads the answer to its end.
fn ask(to: SocketAddr, request: &str) -> Answer {
    let mut stream = connect(to);
    stream.write_all(request.as_bytes()).expect("a request");
    answer(&mut stream)
}

fn answer(stream: &mut TcpStream) -> Answer {
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    Answer { head: head.to_owned(), body: body.to_owned() }
}

fn get(to: SocketAddr, path: &str) -> Answer {
    ask(to, &format!("GET {path} HTTP/1.1\r\nHost: {to}\r\n\r\n"))
}

#[expect(clippy::disallowed_methods, reason = "a limit on the real time of a program")]
fn now() -> Instant {
    Instant::now()
}

/// Asks until a sample has such a value. An answer may be an earlier one for a moment.
fn wait_for(to: SocketAddr, sample: &str, is_there: impl Fn(f64) -> bool) {
    let end = now() + LIMIT;
    while !is_there(get(to, "/metrics").value(sample)) {
        assert!(now() < end, "{sample}");
    }
}

#[test]
fn both_sides_show_their_session_as_the_log_names_it() {
    let origin = Origin::start();
    let pair = Pair::with(None, origin.addr(), OPTION, OPTION);
    let (local, target) = pair.client.open(&origin);
    exchange(&local, &target, 10..1 << 20);
    for (proxy, role) in [(&pair.client, "client"), (&pair.server, "server")] {
        let session = proxy.wait_for("session_started").text("session").to_owned();
        let state = get(port(proxy), "/status.json");
        assert!(state.head.contains("\r\nContent-Type: application/json\r\n"), "{}", state.head);
        for part in [
            format!("\"role\":\"{role}\""),
            format!("\"session\":\"{session}\""),
            "\"connections\":{\"open\":1,\"begun\":1,\"cut\":0}".to_owned(),
        ] {
            assert!(state.body.contains(&part), "{part} in {}", state.body);
        }
        let metrics = get(port(proxy), "/metrics");
        assert_eq!(metrics.value("striper_connections"), 1.0);
        assert_eq!(metrics.value("striper_stripes"), 4.0);
        let sent = format!("striper_stripe_sent_bytes_total{{session=\"{session}\",place=\"4\"}}");
        assert!(metrics.value(&sent) > 0.0);
        let payload = metrics.value("striper_payload_received_bytes_total");
        assert!(payload >= f64::from((1 << 20) - 10), "{payload}");
    }
}

#[test]
fn a_relay_has_the_bytes_of_both_sides() {
    let origin = Origin::start();
    let relay = Proxy::relay(origin.addr(), OPTION);
    let (_local, _target) = relay.open(&origin);
    let metrics = get(port(&relay), "/metrics");
    assert_eq!(metrics.value("striper_leg_sent_bytes_total{leg=\"far\"}"), 10.0);
    assert_eq!(metrics.value("striper_leg_received_bytes_total{leg=\"near\"}"), 10.0);
    assert_eq!(metrics.value("striper_connections_begun_total"), 1.0);
}

#[test]
fn a_program_that_drains_is_healthy_and_not_ready() {
    let origin = Origin::start();
    let mut relay = Proxy::relay(origin.addr(), OPTION);
    let (mut local, mut target) = relay.open(&origin);
    let (to, status) = (port(&relay), |to, path| get(to, path).status().to_owned());
    assert_eq!((status(to, "/readyz"), status(to, "/healthz")), ("200".into(), "200".into()));
    relay.terminate();
    relay.wait_for("stopping");
    assert_eq!((status(to, "/readyz"), status(to, "/healthz")), ("503".into(), "200".into()));
    wait_for(to, "striper_ready", |ready| ready == 0.0);
    finish(&local);
    expect_fin(&mut target);
    finish(&target);
    expect_fin(&mut local);
    assert_eq!(relay.exit_code(), Some(0));
}

#[test]
fn sums_outlive_the_session_that_they_come_from() {
    let origin = Origin::start();
    let Pair { client, mut server } = Pair::with(None, origin.addr(), OPTION, &[]);
    let (local, target) = client.open(&origin);
    exchange(&local, &target, 10..100_000);
    let to = port(&client);
    let before = get(to, "/metrics").value("striper_payload_sent_bytes_total");
    server.kill();
    let [listen, target] = [server.addr().to_string(), origin.addr().to_string()];
    let _again = Proxy::start(&["-s", &listen, &target]);
    client.wait_for("session_forgotten");
    client.wait_for_some("session_started", 2);
    client.assert_works(&origin);
    wait_for(to, "striper_payload_sent_bytes_total", |sent| sent >= before + 1000.0);
    wait_for(to, "striper_sessions_begun_total", |begun| begun == 2.0);
    wait_for(to, "striper_connections_ended_total{end=\"reset\"}", |ended| ended >= 1.0);
}

#[test]
fn a_wrong_request_is_answered_with_its_status() {
    let relay = Proxy::relay(Origin::start().addr(), OPTION);
    let to = port(&relay);
    let long = format!("GET / HTTP/1.1\r\nHost: {to}\r\nX: {}\r\n\r\n", "x".repeat(10_000));
    for (request, status) in [
        ("GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n", "404"),
        ("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nxx", "405"),
        ("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", "421"),
        ("GET / HTTP/1.1\r\n\r\n", "400"),
        ("no request\r\n\r\n", "400"),
        (&long, "431"),
    ] {
        assert_eq!(ask(to, request).status(), status, "{request}");
    }
    let head = ask(to, "HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!((head.status(), &*head.body), ("200", ""));
}

#[test]
fn a_caller_that_sends_without_end_is_cut_off() {
    let relay = Proxy::relay(Origin::start().addr(), OPTION);
    let mut stream = connect(port(&relay));
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("room");
    let block = [b'x'; 64 << 10];
    assert!((0..10_000).any(|_| stream.write_all(&block).is_err()), "it takes all there is");
}

/// Lets this process have as many file descriptors as it may.
fn take_files() -> bool {
    let most = getrlimit(Resource::Nofile).maximum;
    let _ = setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most });
    most.is_none_or(|most| most >= 4096)
}

#[test]
fn slow_readers_and_slow_requests_leave_flows_and_scrapes_alone() {
    if !take_files() {
        return skip("a process may have fewer than 4096 file descriptors here");
    }
    let origin = Origin::start();
    let mut pair = Pair::with(None, origin.addr(), OPTION, OPTION);
    let (local, target) = pair.client.open(&origin);
    let (to, files) = (port(&pair.client), pair.client.files());
    let mut slowloris = connect(to);
    slowloris.write_all(b"GET / HTTP/1.1\r\nX: ").expect("room");
    let late = answer(&mut slowloris);
    assert_eq!(late.status(), "408", "{}", late.head);
    let lost = pair.client.wait_for("http_lost");
    assert!(lost.text("message").contains("no complete request within 5 s"), "{lost}");
    let (mut slow, mut at) = (Vec::new(), 10);
    for nth in 0..1000 {
        let mut stream = connect(to);
        let whole = nth % 10 > 0;
        let request: &[u8] = match whole {
            true => b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
            false => b"GET /metrics HTTP/1.1\r\n",
        };
        // It may be displaced already.
        let _ = stream.write_all(request);
        slow.push(stream);
        if nth % 100 == 0 {
            exchange(&local, &target, at..at + 100_000);
            at += 100_000;
        }
    }
    assert_eq!(get(to, "/metrics").status(), "200", "a scrape takes the place of the oldest");
    exchange(&local, &target, at..at + 100_000);
    let is_displaced =
        |event: &Event| event.is("http_lost") && event.text("message").contains("more than 32");
    pair.client.wait_for_any("a connection that was displaced", is_displaced);
    assert!(pair.client.files() <= files + 40, "{} and {files}", pair.client.files());
    drop(slow);
    drop((local, target));
    pair.client.stop();
    pair.server.stop();
}

#[test]
fn an_address_in_use_ends_the_start_and_a_public_one_has_a_warning() {
    let origin = Origin::start();
    let taken = origin.addr().to_string();
    for line in [
        &["-c", "0", "127.0.0.1:1"][..],
        &["-s", "127.0.0.1:0", "127.0.0.1:1"],
        &["relay", "127.0.0.1:0", "127.0.0.1:1"],
    ] {
        let finished = run(&[line, &["--http-status", &taken]].concat(), &[]);
        assert_eq!(finished.code, Some(3), "{}", finished.stderr);
        let part = format!("cannot listen on {taken}: another program listens there");
        assert!(finished.stderr.contains(&part), "{}", finished.stderr);
    }
    let relay = Proxy::relay(origin.addr(), &["--http-status", "0.0.0.0:0"]);
    let warning = relay.wait_for("public");
    assert!(warning.text("message").contains("the state of this program"), "{warning}");
    let here = SocketAddr::from(([127, 0, 0, 1], port(&relay).port()));
    let named = ask(here, "GET /healthz HTTP/1.1\r\nHost: there.example\r\n\r\n");
    assert_eq!(named.status(), "200", "it may have any name there");
}

/// The metrics of a client with a connection, in a file.
fn metrics_in(folder: &TempDir) -> String {
    let origin = Origin::start();
    let pair = Pair::with(None, origin.addr(), OPTION, &[]);
    let _open = pair.client.open(&origin);
    folder.write("metrics.txt", get(port(&pair.client), "/metrics").body)
}

#[test]
fn promtool_finds_no_fault_in_the_metrics() {
    let Some([promtool]) = Program::find(["promtool"]) else { return };
    let folder = TempDir::create();
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" check metrics < \"$1\""]);
    let finished = Finished::of(command.arg(promtool.path()).arg(metrics_in(&folder)));
    assert_eq!((finished.code, &*finished.stdout, &*finished.stderr), (Some(0), "", ""));
}

#[test]
fn the_official_parser_reads_the_metrics() {
    let Some([python]) = Program::find(["python3"]) else { return };
    let mut found = python.command();
    if Finished::of(found.args(["-c", "import prometheus_client"])).code != Some(0) {
        return skip("python3 has no prometheus_client");
    }
    let folder = TempDir::create();
    let program = "\
import sys
from prometheus_client.parser import text_string_to_metric_families as families
for family in families(open(sys.argv[1]).read()):
    for sample in family.samples:
        print(family.type, sample.name, float(sample.value))";
    let samples = python.run(["-c", program, &metrics_in(&folder)]);
    for line in ["gauge striper_connections 1.0", "counter striper_connections_begun_total 1.0"] {
        assert!(samples.lines().any(|sample| sample == line), "{line} in {samples}");
    }
    assert!(!samples.contains("unknown"), "each has a type: {samples}");
}

#[test]
fn a_browser_draws_the_stripes_and_asks_nobody_else() {
    let Some([chromium]) = Program::find(["chromium"]) else { return };
    let origin = Origin::start();
    let pair = Pair::with(None, origin.addr(), OPTION, &[]);
    let (mut local, mut target) = pair.client.open(&origin);
    UP.send(&mut local, 10..100_000);
    UP.expect(&mut target, 10..100_000);
    let folder = TempDir::create();
    let mut browser = chromium.command();
    browser
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--enable-logging=stderr", "--virtual-time-budget=5000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", folder.text("profile")))
        .arg(format!("http://{}/", port(&pair.client)));
    let Finished { code, stdout, stderr } = Finished::of(&mut browser);
    assert_eq!(code, Some(0), "{stderr}");
    let session = pair.client.wait_for("session_started").text("session").to_owned();
    let lane = |place| format!("<b>stripe {place}</b>");
    for part in [&format!("Session {session}"), "striper client", ">ready<", &lane(1), &lane(4)] {
        assert!(stdout.contains(part), "{part} in {stdout}");
    }
    // Scripts and styles that the policy refuses, and errors of the script, are such lines.
    assert!(!stderr.contains("CONSOLE"), "{stderr}");
}
