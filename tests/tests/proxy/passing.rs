//! Stripes, datagrams and a relay pass all data, ends, resets and refusals of connections.

use std::io::{ErrorKind, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Barrier;
use std::thread;
use std::time::Duration;
use striper_tests::stranger::Stranger;
use striper_tests::{
    DOWN, Origin, Pair, Pattern, Proxy, Route, UP, Vacant, Way, connect, exchange, expect_fin,
    expect_reset, expect_reset_at, finish, flush, loopbacks, reset,
};

struct Scene {
    way: Way,
    origin: Origin,
    proxies: Vec<Proxy>,
}

impl Scene {
    fn new(way: Way, address: IpAddr) -> Scene {
        let origin = Origin::on(address);
        let proxies = way.start(origin.addr(), &[]);
        Scene { way, origin, proxies }
    }

    fn entry(&self) -> &Proxy {
        self.proxies.last().expect("a proxy")
    }

    fn open(&self) -> (TcpStream, TcpStream) {
        self.entry().open(&self.origin)
    }

    fn open_silent(&self) -> (TcpStream, TcpStream) {
        (self.entry().connect(), self.origin.accept())
    }
}

fn everywhere(check: impl Fn(&Scene)) {
    for address in loopbacks() {
        Way::ALL.iter().for_each(|way| check(&Scene::new(*way, address)));
    }
}

fn stripes() -> Scene {
    Scene::new(Way::Stripes, loopbacks()[0])
}

#[test]
fn data_passes_both_ways_at_once_and_the_log_has_its_size() {
    everywhere(|scene| {
        let size = if scene.way == Way::Stripes { 64 << 20 } else { 20_000_000 };
        let (mut local, mut target) = scene.open_silent();
        exchange(&local, &target, 0..size);
        finish(&local);
        expect_fin(&mut target);
        DOWN.send(&mut target, size..size + 100_000);
        finish(&target);
        DOWN.expect_all(&mut local, size..size + 100_000);
        for (proxy, dials) in scene.proxies.iter().zip([true, false]) {
            let end = proxy.wait_for("connection_ended");
            let counts = [end.number("sent_bytes"), end.number("received_bytes")];
            let expected = match dials && scene.way == Way::Stripes {
                true => [size + 100_000, size],
                false => [size, size + 100_000],
            };
            assert_eq!((end.text("end"), counts), ("finished", expected), "{end}");
        }
    });
}

/// `asks` sends and finishes, and only then gets an answer.
fn ask(mut asks: TcpStream, mut answers: TcpStream, question: u64, answer: u64) {
    thread::scope(|scope| {
        scope.spawn(|| {
            UP.send(&mut asks, 0..question);
            finish(&asks);
            DOWN.expect_all(&mut asks, 0..answer);
        });
        scope.spawn(|| {
            UP.expect_all(&mut answers, 0..question);
            DOWN.send(&mut answers, 0..answer);
            finish(&answers);
        });
    });
}

#[test]
fn each_direction_ends_for_itself_whichever_end_speaks_and_finishes_first() {
    everywhere(|scene| {
        let large = 3_000_000;
        for (question, answer) in [(0, 0), (1, 1), (0, large), (large, 0), (large, large)] {
            let (local, target) = scene.open_silent();
            ask(local, target, question, answer);
            let (local, target) = scene.open_silent();
            ask(target, local, question, answer);
        }
        let (mut local, mut target) = scene.open();
        finish(&local);
        expect_fin(&mut target);
        for at in 0..100 {
            DOWN.send(&mut target, at * 10..(at + 1) * 10);
            DOWN.expect(&mut local, at * 10..(at + 1) * 10);
        }
        finish(&target);
        expect_fin(&mut local);
    });
}

/// Closing with unread input makes the system send an RST, which must not overtake earlier data.
#[test]
fn a_reset_is_passed_on_as_a_reset_after_the_data() {
    everywhere(|scene| {
        let both = [true, false];
        for up in both {
            let ends = |(local, target)| if up { (local, target) } else { (target, local) };
            let (from, mut to) = ends(if up { scene.open() } else { scene.open_silent() });
            reset(from);
            assert!(expect_reset(&mut to).is_empty());
            let (mut from, mut to) = ends(scene.open());
            finish(&to);
            expect_fin(&mut from);
            reset(from);
            assert!(expect_reset(&mut to).is_empty());
            for size in [0, 1, 100_000] {
                for unread in both.into_iter().filter(|unread| !unread || !up) {
                    let (mut from, mut to) = ends(scene.open());
                    if unread {
                        to.write_all(b"this is never read").expect("a connection");
                        from.peek(&mut [0; 1]).expect("input before the end");
                    }
                    DOWN.send(&mut from, 0..size);
                    flush(&from);
                    if unread {
                        drop(from)
                    } else {
                        reset(from)
                    }
                    let got = expect_reset(&mut to);
                    assert_eq!(got.len() as u64, size);
                    DOWN.check(0, &got);
                }
            }
        }
        for proxy in &scene.proxies {
            assert_eq!(proxy.wait_for("connection_ended").text("end"), "reset");
        }
    });
}

/// Nothing is received from a connection whose peer does not read, and yet its reset is noticed.
#[test]
fn a_reset_is_noticed_while_the_other_end_does_not_read() {
    let scene = stripes();
    for up in [true, false] {
        let (local, target) = scene.open_silent();
        let (from, mut to) = if up { (local, target) } else { (target, local) };
        from.set_write_timeout(Some(Duration::from_millis(300))).expect("a socket");
        let error = { &from }.write_all(&UP.bytes(0..64 << 20)).expect_err("too much is taken");
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        reset(from);
        UP.check(0, &expect_reset(&mut to));
    }
}

#[test]
fn connections_to_a_refused_target_are_reset_and_later_ones_work() {
    for address in loopbacks() {
        for way in Way::ALL {
            let target = Vacant::on(address);
            let proxies = way.start(target.addr(), &[]);
            let entry = proxies.last().expect("a proxy");
            (0..3).for_each(|_| expect_reset_at(entry.addr()));
            let refusal = proxies[0].wait_for("connection_failed");
            assert_eq!(refusal.text("reason"), "connection refused");
            assert_eq!(refusal.text("level"), "warn");
            let origin = target.listen();
            let (local, there) = entry.open(&origin);
            if way == Way::Stripes {
                let told = entry.wait_for("connection_ended");
                assert_eq!(told.text("reason"), "refused: connection to the target refused");
                assert_eq!(entry.count("stripe_lost"), 0, "a refusal concerns no stripe");
            }
            drop(origin);
            expect_reset_at(entry.addr());
            exchange(&local, &there, 10..1_000_000);
        }
    }
}

#[test]
fn a_target_with_an_unknown_name_is_refused() {
    let server = Proxy::start(&["-s", "0", "no-such-host.invalid:1"]);
    let client = Proxy::client(server.addr(), &[]);
    expect_reset_at(client.addr());
    assert_eq!(server.wait_for("connection_failed").text("reason"), "unknown host");
}

#[test]
fn two_hundred_connections_at_once_share_the_proxies() {
    const COUNT: u64 = 200;
    const SIZE: u64 = 200_000;
    let (origin, route) = (Origin::start(), Route::start());
    let Pair { client, server } = Pair::over(&route, origin.addr());
    for proxies in [vec![server, client], Way::Datagrams.start(origin.addr(), &[])] {
        let entry = proxies.last().expect("a proxy");
        // All are open before any ends.
        let all_open = Barrier::new(COUNT as usize);
        thread::scope(|scope| {
            for number in 0..COUNT {
                let all_open = &all_open;
                scope.spawn(move || {
                    let mut local = entry.connect();
                    Pattern(number).send(&mut local, 0..1);
                    Pattern(number).expect(&mut local, 0..1);
                    all_open.wait();
                    Pattern(number).send(&mut local, 1..SIZE + number);
                    finish(&local);
                    Pattern(number).expect_all(&mut local, 1..SIZE + number);
                });
            }
            for _ in 0..COUNT {
                let mut target = origin.accept();
                scope.spawn(move || {
                    let mut from = target.try_clone().unwrap();
                    std::io::copy(&mut from, &mut target).unwrap();
                    finish(&target);
                    expect_fin(&mut from);
                });
            }
        });
        for proxy in &proxies {
            let ends = proxy.wait_for_some("connection_ended", COUNT as usize);
            assert!(ends.iter().all(|end| end.text("end") == "finished"));
        }
        // While both proxies run: without its server, a client dials again.
        if entry.count("session_started") > 0 {
            assert_eq!(route.accepted(), 4, "all connections share four stripes");
        }
    }
}

/// The stripes are shared, the credit is not.
#[test]
fn connections_that_nobody_reads_do_not_hold_up_others() {
    let scene = stripes();
    let stuck: Vec<_> = (0..20).map(|_| scene.open_silent()).collect();
    stuck.iter().for_each(|(local, _)| local.set_nonblocking(true).unwrap());
    let (data, mut taken) = (Pattern(3).bytes(0..1 << 20), true);
    while taken {
        taken = stuck.iter().any(|(local, _)| { local }.write(&data).is_ok());
    }
    let (local, target) = scene.open_silent();
    exchange(&local, &target, 0..8 << 20);
}

#[test]
fn a_server_serves_many_clients() {
    let origin = Origin::start();
    let server = Proxy::server(origin.addr(), &[]);
    let _idle: Vec<_> = (0..200).map(|number| Stranger::join(server.addr(), number)).collect();
    let client = Proxy::client(server.addr(), &[]);
    exchange(&client.connect(), &origin.accept(), 0..8 << 20);
}

#[test]
fn every_scheduler_and_number_of_stripes_carries_both_ways() {
    let origin = Origin::start();
    for (scheduler, stripes) in [("earliest", "1"), ("uc", "3"), ("rr", "8"), ("earliest", "64")] {
        let options = ["--scheduler", scheduler, "-n", stripes];
        let pair = Pair::with(None, origin.addr(), &options, &options[..2]);
        exchange(&pair.client.connect(), &origin.accept(), 0..4 << 20);
    }
}

#[test]
fn a_public_relay_has_a_warning_and_a_break_has_its_leg() {
    let origin = Origin::start();
    let relay = Proxy::start(&["relay", "0.0.0.0:0", &origin.addr().to_string()]);
    let warning = relay.wait_for("public");
    assert!(warning.text("message").contains(&origin.addr().to_string()), "{warning}");
    let here = SocketAddr::new(loopbacks()[0], relay.addr().port());
    let (mut local, target) = (connect(here), origin.accept());
    reset(target);
    expect_reset(&mut local);
    let end = relay.wait_for("connection_ended");
    assert_eq!((end.text("end"), end.text("leg")), ("reset", "far"));
    assert!(end.text("message").contains(&format!("broke at {}", origin.addr())), "{end}");
}
