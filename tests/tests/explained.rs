//! `sim replay --explain`: the traces of the real program say which stripe a connection waited for.

use sim::replay::{Task, Verdict};
use std::ffi::OsString;
use std::thread;
use striper_tests::{Origin, Pattern, Proxy, Route, TempDir, connect, finish, take_little};

/// More than windows and sockets hold: what is read to a third has not all been sent.
const SIZE: u64 = 64 << 20;
const UP: Pattern = Pattern(1);

fn explain(files: &[&str]) -> String {
    let options = ["--explain", "--at-least", "5ms", "--pauses", "1000"];
    let words: Vec<OsString> = options.iter().chain(files).map(OsString::from).collect();
    let (text, verdict) = Task::parse(&words).expect("good words").run();
    assert_eq!(verdict, Verdict::Fits, "{text}");
    text
}

#[test]
fn the_stripe_that_fell_silent_is_named() {
    let (files, origin, route) = (TempDir::new(), Origin::start(), Route::new());
    let (here, there) = (files.text("client"), files.text("server"));
    let mut server = Proxy::server(origin.addr().ip(), origin.addr(), &["--trace", &there]);
    route.lead_to(server.addr());
    let mut client = Proxy::client(origin.addr().ip(), route.addr(), &["--trace", &here]);
    client.wait_for_any("all stripes", |event| event.is("stripe_up") && event.number("live") == 4);
    let (near, mut far) = (connect(client.addr()), origin.accept());
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
    for proxy in [&mut client, &mut server] {
        proxy.terminate();
        assert_eq!(proxy.exit_code(), Some(0));
    }
    // The stripe was in doubt, or took long if a copy on another stripe came before the doubt.
    let waited = format!("because: it waited for a chunk on stripe {stripe}, which ");
    let put = format!(" put on stripe {stripe} at ");
    // In doubt, or before: as it should arrive sooner there.
    let again = " again on stripe ";
    let silent = format!("server: stripe {stripe} brought nothing from ");
    let both = explain(&[&here, &there]);
    for part in [&waited, &put, again, &silent, "the two sides' clocks are not the same"] {
        assert!(both.contains(part), "{part:?} in\n{both}");
    }
    let sender = explain(&[&here]);
    assert!(sender.contains(&waited) && sender.contains(again), "{sender}");
    assert!(explain(&[&there]).contains("flow 1, client to server: nothing came out for "));
}
