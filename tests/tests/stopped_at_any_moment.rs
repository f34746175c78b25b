//! SIGTERM at twenty moments of a transfer, a server side or a client side each time, with time to
//! finish or with none: whatever arrives is the beginning of what was sent, and an end that looks
//! clean is one.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use striper_tests::{Origin, Pattern, Proxy, connect, take_little, try_finish};

const UP: Pattern = Pattern(1);
const DOWN: Pattern = Pattern(2);
const TOTAL: u64 = 6_000_000;
const MOMENTS: u64 = 20;

/// Sends all, as far as it gets, and waits for the other end's.
fn send(pattern: Pattern, mut stream: TcpStream) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        // The reset may also come between the last byte and the end.
        if stream.write_all(&pattern.bytes(0..TOTAL)).is_ok() && try_finish(&stream) {
            let _ = stream.read(&mut [0; 1]);
        }
    })
}

/// Receives until the end, calls `at` once that much has come, and says whether all came and then a
/// clean end. A part is the beginning.
fn receive(pattern: Pattern, mut stream: TcpStream, moment: u64, at: impl FnOnce()) -> bool {
    take_little(&stream);
    let mut got = vec![0; moment as usize];
    stream.read_exact(&mut got).expect("what comes before the signal");
    at();
    let clean = stream.read_to_end(&mut got).is_ok();
    assert!(got == pattern.bytes(0..got.len() as u64), "what arrives is the beginning");
    let whole = got.len() as u64 == TOTAL;
    assert!(whole || !clean, "{} of {TOTAL} bytes and then a clean end", got.len());
    whole && clean
}

/// A transfer each way; at this moment one side is told to stop. Whether both came to their end,
/// and the exit code.
///
/// Each has a connection of its own: the system tells of a reset only once, and the sender's write
/// could hear of it instead of the receiver's read.
fn stop_at(moment: u64, client_side: bool, drain: &str) -> (bool, i32) {
    let origin = Origin::start();
    let options = ["--drain-timeout", drain];
    let server = Proxy::server(origin.addr().ip(), origin.addr(), &options);
    let client = Proxy::client(origin.addr().ip(), server.addr(), &options);
    let (up, above) = (connect(client.addr()), origin.accept());
    let (below, down) = (connect(client.addr()), origin.accept());
    let sending = [send(UP, up), send(DOWN, down)];
    let mut stopped = if client_side { client } else { server };
    let down = thread::spawn(move || receive(DOWN, below, 0, || {}));
    let up = receive(UP, above, moment, || stopped.terminate());
    let down = down.join().expect("the way down");
    let _ = sending.map(|thread| thread.join().expect("a sender"));
    (up && down, stopped.exit_code().expect("no signal has killed it"))
}

/// Half of the moments, all at the same time.
fn at_each_moment(drain: &str) -> Vec<(bool, i32)> {
    thread::scope(|scope| {
        let moments =
            (0..MOMENTS / 2).map(|number| (TOTAL * number / (MOMENTS / 2 - 1), number % 2 == 0));
        let runs: Vec<_> = moments
            .map(|(moment, client)| scope.spawn(move || stop_at(moment, client, drain)))
            .collect();
        runs.into_iter().map(|run| run.join().expect("a run")).collect()
    })
}

#[test]
fn with_time_to_finish_everything_arrives_whenever_the_signal_comes() {
    assert_eq!(at_each_moment("10m"), [(true, 0); MOMENTS as usize / 2]);
}

#[test]
fn without_time_to_finish_nothing_that_is_cut_looks_whole_whenever_the_signal_comes() {
    let runs = at_each_moment("0s");
    assert!(runs.iter().all(|(whole, code)| *code == 7 || (*whole && *code == 0)), "{runs:?}");
    assert!(runs.iter().any(|(whole, _)| !whole), "nothing was ever cut");
}
