//! SIGTERM at twenty moments of a transfer, for a server or a client, with time to finish or
//! without. Every receiver gets the beginning of the data, and a clean end only after all of it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use striper_tests::{DOWN, Origin, Pair, Pattern, UP, take_little, try_finish};

const TOTAL: u64 = 6_000_000;
const MOMENTS: u64 = 20;

/// Sends as much as possible, and waits for the other end's.
fn send(pattern: Pattern, mut stream: TcpStream) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        // The reset may also come between the last byte and the end.
        if stream.write_all(&pattern.bytes(0..TOTAL)).is_ok() && try_finish(&stream) {
            let _ = stream.read(&mut [0; 1]);
        }
    })
}

/// Receives until the end, calls `at` after so many bytes, and returns whether all bytes and then a
/// clean end came.
fn receive(pattern: Pattern, mut stream: TcpStream, moment: u64, at: impl FnOnce()) -> bool {
    take_little(&stream);
    let mut got = vec![0; moment as usize];
    stream.read_exact(&mut got).expect("the bytes before the signal");
    at();
    let clean = stream.read_to_end(&mut got).is_ok();
    pattern.check(0, &got);
    let whole = got.len() as u64 == TOTAL;
    assert!(whole || !clean, "{} of {TOTAL} bytes and then a clean end", got.len());
    whole && clean
}

/// A transfer each way; at this moment one side is told to stop. Returns whether both transfers
/// were complete, and the exit code.
///
/// Each transfer has a connection of its own. The system reports a reset only once, so the sender's
/// write could take the report from the receiver's read.
fn stop_at(moment: u64, client_side: bool, drain: &str) -> (bool, i32) {
    let origin = Origin::start();
    let options = ["--drain-timeout", drain];
    let Pair { client, server } = Pair::with(None, origin.addr(), &options, &options);
    let (up, above) = (client.connect(), origin.accept());
    let (below, down) = (client.connect(), origin.accept());
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
        let run = |number| {
            let moment = TOTAL * number / (MOMENTS / 2 - 1);
            scope.spawn(move || stop_at(moment, number % 2 == 0, drain))
        };
        let runs: Vec<_> = (0..MOMENTS / 2).map(run).collect();
        runs.into_iter().map(|run| run.join().expect("a run")).collect()
    })
}

#[test]
fn with_time_to_finish_all_data_arrives_whenever_the_signal_comes() {
    assert_eq!(at_each_moment("10m"), [(true, 0); MOMENTS as usize / 2]);
}

#[test]
fn without_time_to_finish_no_cut_transfer_has_a_clean_end() {
    let runs = at_each_moment("0s");
    assert!(runs.iter().all(|(whole, code)| *code == 7 || (*whole && *code == 0)), "{runs:?}");
    assert!(runs.iter().any(|(whole, _)| !whole), "nothing was ever cut");
}
