//! `sim replay --explain`: the traces of the real program say which stripe a connection waited for.

use sim::{Command, replay::Verdict};
use std::thread;
use striper_tests::{Origin, Pair, Route, TempDir, UP, finish, take_little};

/// More than windows and sockets hold, so a third can arrive before all is sent.
const SIZE: u64 = 64 << 20;

fn explain(files: &[&str]) -> String {
    let options = ["replay", "--explain", "--at-least", "5ms", "--pauses", "1000"];
    let command = sim::parse(options.iter().chain(files)).expect("good words");
    let Command::Replay(task) = command else { panic!("{command:?}") };
    let (text, verdict) = task.run();
    assert_eq!(verdict, Verdict::Fits, "{text}");
    text
}

#[test]
fn an_explained_trace_names_the_stripe_that_became_silent() {
    let (files, origin, route) = (TempDir::create(), Origin::start(), Route::start());
    let (here, there) = (files.text("client"), files.text("server"));
    let options = [&here, &there].map(|file| ["--trace", file]);
    let Pair { mut client, mut server } =
        Pair::with(Some(&route), origin.addr(), &options[0], &options[1]);
    let (near, mut far) = (client.connect(), origin.accept());
    take_little(&far);
    thread::scope(|scope| {
        scope.spawn(|| {
            UP.send(&mut &near, 0..SIZE);
            finish(&near);
        });
        UP.expect(&mut far, 0..SIZE / 3);
        route.silence_one();
        UP.expect_all(&mut far, SIZE / 3..SIZE);
    });
    let stripe = client.wait_for("stripe_lost").number("stripe");
    finish(&far);
    drop((near, far));
    client.stop();
    server.stop();
    // The stripe was in doubt, or took long if a copy on another stripe came before the doubt.
    let waited = format!("because: it waited for a chunk on stripe {stripe}, which ");
    let put = format!(" put on stripe {stripe} at ");
    // A retransmission after the doubt, or a copy before it.
    let again = " again on stripe ";
    let silent = format!("server: stripe {stripe} brought nothing from ");
    let both = explain(&[&here, &there]);
    for part in [&waited, &put, again, &silent, "the two sides' clocks are not the same"] {
        assert!(both.contains(part), "{part:?} in\n{both}");
    }
    let limits = format!("stripe {stripe}, client to server: ");
    assert!(both.contains(&limits) && !both.contains("can't be followed"), "{both}");
    let sender = explain(&[&here]);
    assert!(sender.contains(&waited) && sender.contains(again), "{sender}");
    assert!(explain(&[&there]).contains("flow 1, client to server: nothing came out for "));
}
