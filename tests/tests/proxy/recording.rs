//! `--trace`: a trace of the real program has all that the engine does, on both sides, whatever
//! happens to the stripes.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;
use striper_core::trace::Trace;
use striper_tests::stranger::Stranger;
use striper_tests::{
    DOWN, Event, Finished, LIMIT, Origin, Pair, Proxy, Route, TempDir, UP, binary, exchange,
    expect_reset, finish, reset, run, skip,
};

fn read(path: &Path) -> Trace {
    let text = fs::read_to_string(path).expect("a trace");
    let trace = Trace::read(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    trace.replay().unwrap_or_else(|divergence| panic!("{}: {divergence}", path.display()));
    trace.follow().unwrap_or_else(|divergence| panic!("{}: {divergence}", path.display()));
    trace
}

/// Asks again and again, because there is no event when a file has grown.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let pause = Duration::from_millis(20);
    for _ in 0..LIMIT.as_millis() / pause.as_millis() {
        if is_so() {
            return;
        }
        thread::sleep(pause);
    }
    panic!("waited in vain until {what}");
}

#[test]
fn the_traces_of_both_sides_replay() {
    let (files, origin, route) = (TempDir::create(), Origin::start(), Route::start());
    let (here, there) = (files.text("client"), files.text("server"));
    let options = [&here, &there].map(|file| ["--trace", file]);
    let Pair { mut client, mut server } =
        Pair::with(Some(&route), origin.addr(), &options[0], &options[1]);
    let (mut near, mut far) = (client.connect(), origin.accept());
    UP.send(&mut near, 0..3_000_000);
    UP.expect(&mut far, 0..3_000_000);
    route.reset_one();
    DOWN.send(&mut far, 0..3_000_000);
    DOWN.expect(&mut near, 0..3_000_000);
    route.reset_all();
    UP.send(&mut near, 3_000_000..3_000_100);
    UP.expect(&mut far, 3_000_000..3_000_100);
    finish(&near);
    finish(&far);
    UP.expect_all(&mut far, 3_000_100..3_000_100);
    let mut broken = client.connect();
    reset(origin.accept());
    expect_reset(&mut broken);
    client.stop();
    server.stop();
    for path in [&here, &there] {
        let trace = read(Path::new(path));
        assert_eq!(trace.end.as_deref(), Some("session over"), "{path}");
        let text = fs::read_to_string(path).unwrap();
        for what in [" fin\n", " gone ", "down ", " 1 ", "deliver 1 "] {
            assert!(text.contains(what), "{what:?} in {path}");
        }
    }
}

#[test]
fn each_session_of_a_server_has_a_trace_which_plays_after_a_crash() {
    let (files, origin) = (TempDir::create(), Origin::start());
    let path = files.text("trace");
    let mut server = Proxy::server(origin.addr(), &["--trace", &path]);
    let clients = [(); 2].map(|()| {
        let client = Proxy::client(server.addr(), &[]);
        let open = client.open(&origin);
        (client, open)
    });
    // Records reach the file before a session ends.
    let second = files.join("trace.2");
    until("the second trace is written", || {
        fs::read_to_string(&second).is_ok_and(|text| text.contains("deliver 1 10"))
    });
    server.kill();
    drop(clients);
    for name in ["trace", "trace.2"] {
        let trace = read(&files.join(name));
        assert_eq!(trace.end, None, "{name} was cut");
    }
}

#[track_caller]
fn refused(args: &[&str], code: i32, parts: &[&str]) {
    let done = run(args, &[]);
    assert_eq!(done.code, Some(code), "{args:?}: {}", done.stderr);
    assert!(parts.iter().all(|part| done.stderr.contains(part)), "{args:?}: {}", done.stderr);
}

#[test]
fn a_trace_that_can_not_be_created_ends_the_program_at_once() {
    let (files, origin) = (TempDir::create(), Origin::start());
    let path = files.text("trace");
    let _first = Proxy::server(origin.addr(), &["--trace", &path]);
    for side in ["-s", "-c"] {
        let to = |path| [side, "0", "127.0.0.1:9", "--trace", path];
        refused(&to("/nowhere/at/all"), 2, &["/nowhere/at/all", "mkdir -p /nowhere/at"]);
        refused(&to(&path), 2, &["another process is writing to it"]);
    }
}

fn record(path: &str, sessions: usize) -> Vec<Event> {
    let origin = Origin::start();
    let options = ["--trace", path, "--drain-timeout", "0s"];
    let mut server = Proxy::server(origin.addr(), &options);
    for _ in 0..sessions {
        let client = Proxy::client(server.addr(), &[]);
        client.open(&origin);
    }
    server.terminate();
    server.exit_code();
    server.events().into_iter().filter(|event| event.is("trace_stopped")).collect()
}

#[test]
fn an_earlier_trace_is_replaced_by_one_that_only_this_user_can_read() {
    let files = TempDir::create();
    let path = files.text("trace");
    assert!(record(&path, 1).is_empty());
    let first = read(Path::new(&path));
    let mode = |path: &str| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    fs::hard_link(&path, files.join("kept")).unwrap();
    assert!(record(&path, 1).is_empty());
    assert_eq!(mode(&path), 0o600);
    assert_ne!(fs::read(&path).unwrap(), files.read("kept"), "it is a new one");
    read(Path::new(&path));
    assert_eq!(read(&files.join("kept")), first);
}

#[test]
fn a_start_that_fails_leaves_an_earlier_trace_as_it_is() {
    let (folder, taken) = (TempDir::create(), Origin::start());
    let trace = folder.write("old.trace", "striper trace 1\n");
    let taken = taken.addr().to_string();
    for (args, code) in [
        (["-s", &taken, "127.0.0.1:9"], 3),
        (["-c", &taken, "127.0.0.1:9"], 3),
        (["-s", "0", "127.0.0.1:9"], 2),
        (["-c", "0", "127.0.0.1:9"], 2),
    ] {
        let unknown = ["--congestion", "unheard_of"];
        let options = if code == 2 { &unknown[..] } else { &[] };
        refused(&[&args[..], options, &["--trace", &trace]].concat(), code, &[]);
        assert_eq!(folder.read("old.trace"), b"striper trace 1\n", "{args:?}");
    }
}

#[test]
fn a_trace_never_takes_the_place_of_another_file() {
    let files = TempDir::create();
    let key = files.text("striper.key");
    run(&["keygen", &key], &[]).success();
    let before = files.read("striper.key");
    for side in ["-s", "-c"] {
        let args = [side, "0", "127.0.0.1:9", "-k", &key, "--trace", &key];
        refused(&args, 2, &["something else is in it"]);
    }
    assert_eq!(files.read("striper.key"), before);
    // The same holds for the files of later sessions.
    files.write("trace.2", "my notes");
    let told = record(&files.text("trace"), 3);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].text("reason").contains("something else is in it"), "{}", told[0]);
    assert_eq!(files.read("trace.2"), b"my notes");
    assert!(!files.join("trace.3").exists());
}

/// A shell has just made the file of the log, so it is empty.
#[test]
fn a_trace_does_not_take_the_place_of_the_log() {
    let files = TempDir::create();
    let log = files.text("log");
    let script = r#"exec "$0" -s 127.0.0.1:0 127.0.0.1:9 --trace "$1" 2> "$1""#;
    let done = Finished::of(Command::new("sh").args(["-c", script]).arg(binary::path()).arg(&log));
    assert_eq!(done.code, Some(2), "{done:?}");
    let told = fs::read_to_string(&log).unwrap();
    assert!(told.contains("output goes there already"), "{told}");
}

/// Without a handler of SIGXFSZ, the system ends a program that reaches the limit of file sizes.
#[test]
fn a_full_disk_or_a_limit_of_file_sizes_stops_only_the_trace() {
    let (files, origin) = (TempDir::create(), Origin::start());
    let server = Proxy::server(origin.addr(), &["--trace", &files.text("trace")]);
    server.limit_file_size(2_000);
    assert_trace_stops(&server, &origin, "File too large");
    if !Path::new("/dev/full").exists() {
        return skip("there is no /dev/full");
    }
    let server = Proxy::server(origin.addr(), &["--trace", "/dev/full"]);
    assert_trace_stops(&server, &origin, "No space left");
}

/// A transfer makes the trace stop for this cause, and goes on.
fn assert_trace_stops(server: &Proxy, origin: &Origin, cause: &str) {
    let client = Proxy::client(server.addr(), &[]);
    let (near, far) = (client.connect(), origin.accept());
    exchange(&near, &far, 0..1_000_000);
    // The trace's thread has tried to write by now, or will do so soon.
    let mut at = 1_000_000;
    until("the trace has stopped", || {
        exchange(&near, &far, at..at + 1000);
        at += 1000;
        server.count("trace_stopped") > 0
    });
    let stopped = server.wait_for("trace_stopped");
    assert!(stopped.text("reason").contains(cause), "{stopped}");
    exchange(&near, &far, at..at + 1_000_000);
    assert_eq!(server.count("trace_stopped"), 1);
}

#[test]
fn a_device_takes_the_traces_of_all_sessions() {
    let origin = Origin::start();
    let server = Proxy::server(origin.addr(), &["--trace", "/dev/null"]);
    let _sessions = [7, 8].map(|number| Stranger::join(server.addr(), number));
    assert_eq!(server.count("trace_stopped"), 0);
    assert!(!Path::new("/dev/null.2").exists());
}
