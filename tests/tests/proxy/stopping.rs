//! SIGTERM: open connections may finish, and there are no new ones. A second signal, or the end of
//! the time, resets the rest.

use std::io::ErrorKind;
use std::net::TcpStream;
use striper_tests::{Origin, Proxy, Way, exchange, expect_fin, expect_reset, finish, try_connect};

struct Talk {
    local: TcpStream,
    target: TcpStream,
    said: u64,
}

impl Talk {
    fn go_on(&mut self) {
        exchange(&self.local, &self.target, self.said..self.said + 100_000);
        self.said += 100_000;
    }

    fn finish(mut self) {
        self.go_on();
        finish(&self.local);
        expect_fin(&mut self.target);
        finish(&self.target);
        expect_fin(&mut self.local);
    }

    fn expect_reset(mut self) {
        expect_reset(&mut self.local);
        expect_reset(&mut self.target);
    }
}

/// For each proxy of each way: starts all proxies of the way, opens a connection, and calls `stop`
/// with the place of that proxy.
fn each_proxy(options: &[&str], stop: impl Fn(&mut [Proxy], usize, Talk)) {
    for (way, stopped) in [
        (Way::Stripes, 0),
        (Way::Stripes, 1),
        (Way::Datagrams, 0),
        (Way::Datagrams, 1),
        (Way::Relay, 0),
    ] {
        let origin = Origin::start();
        let mut proxies = way.start(origin.addr(), options);
        let (local, target) = (proxies[proxies.len() - 1].connect(), origin.accept());
        let mut talk = Talk { local, target, said: 0 };
        talk.go_on();
        stop(&mut proxies, stopped, talk);
    }
}

#[test]
fn a_stopped_proxy_lets_connections_finish_and_takes_no_new_ones() {
    let options = ["--drain-timeout", "10m", "--connect-timeout", "200ms"];
    each_proxy(&options, |proxies, stopped, talk| {
        proxies[stopped].terminate();
        let stopping = proxies[stopped].wait_for("stopping");
        assert_eq!((stopping.text("signal"), stopping.number("connections")), ("SIGTERM", 1));
        match try_connect(proxies[proxies.len() - 1].addr()) {
            Ok(mut stream) => assert!(expect_reset(&mut stream).is_empty()),
            Err(error) => assert!(
                matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset),
                "{error}"
            ),
        }
        talk.finish();
        assert_eq!(proxies[stopped].exit_code(), Some(0));
        assert_eq!(proxies[stopped].count("connection_opened"), 1);
        for event in proxies[0].events().iter().filter(|event| event.is("session_ended")) {
            assert_eq!(event.text("level"), "info", "nothing to worry about");
        }
    });
}

#[test]
fn a_proxy_without_connections_stops_at_once() {
    let origin = Origin::start();
    for way in Way::ALL {
        way.start(origin.addr(), &[]).iter_mut().rev().for_each(Proxy::stop);
    }
}

#[test]
fn a_second_signal_stops_at_once_and_resets_the_rest() {
    each_proxy(&["--drain-timeout", "10m"], |proxies, stopped, mut talk| {
        let proxy = &mut proxies[stopped];
        proxy.terminate();
        proxy.wait_for("stopping");
        talk.go_on();
        proxy.terminate();
        assert_eq!(proxy.exit_code(), Some(143));
        talk.expect_reset();
    });
}

#[test]
fn connections_that_outlast_the_drain_timeout_are_reset() {
    each_proxy(&["--drain-timeout", "200ms"], |proxies, stopped, talk| {
        let proxy = &mut proxies[stopped];
        proxy.terminate();
        assert_eq!(proxy.exit_code(), Some(7));
        assert_eq!(proxy.wait_for("stopped").number("connections"), 1);
        talk.expect_reset();
    });
}
