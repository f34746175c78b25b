//! A client whose server is not there, or is another program.

use std::io::{Read, Write};
use std::thread;
use striper_tests::{Origin, Proxy, Vacant, expect_reset_at, loopbacks};

/// Longer than any test waits.
const NEVER: [&str; 2] = ["--connect-timeout", "10m"];
const SOON: [&str; 2] = ["--connect-timeout", "200ms"];

#[test]
fn a_client_without_a_server_resets_connections_at_once_and_keeps_trying() {
    for address in loopbacks() {
        let (port, origin) = (Vacant::on(address), Origin::on(address));
        let client = Proxy::client(port.addr(), &NEVER);
        let unreachable = client.wait_for("peer_unreachable");
        assert_eq!(unreachable.text("reason"), "connection refused");
        let text = unreachable.text("message");
        assert!(text.contains("is striper-cli -s running there"), "{text}");
        expect_reset_at(client.addr());
        let end = client.wait_for("connection_ended");
        assert_eq!(end.text("reason"), "server unreachable: connection refused");
        let _server = Proxy::start(&["-s", &port.addr().to_string(), &origin.addr().to_string()]);
        client.wait_for("peer_reached");
        client.open(&origin);
        assert_eq!(client.count("peer_unreachable"), 1, "one line for a cause");
    }
}

#[test]
fn a_connection_waits_for_a_silent_server_until_the_timeout() {
    // No program accepts there, but the system takes connections.
    let silent = Origin::start();
    let client = Proxy::client(silent.addr(), &SOON);
    expect_reset_at(client.addr());
    let end = client.wait_for("connection_ended");
    let reason = "no connection to the server in time";
    assert_eq!((end.text("end"), end.text("reason")), ("no_session", reason));
}

#[test]
fn a_server_with_an_unknown_name_has_a_cure() {
    let client = Proxy::start(&["-c", "0", "no-such-host.invalid:1", SOON[0], SOON[1]]);
    let unreachable = client.wait_for("peer_unreachable");
    let cure = "unknown host (check its name)";
    assert!(unreachable.text("message").contains(cure), "{unreachable}");
    expect_reset_at(client.addr());
}

#[test]
fn a_program_that_is_no_server_is_shown_by_its_first_bytes() {
    for (says, parts) in [
        (
            &b"SSH-2.0-OpenSSH_9.9\r\n"[..],
            ["it said \"SSH-2.0-OpenSSH_9.9\\r\\n\" (an ssh server; CONNECT must be", ""],
        ),
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            ["it said \"HTTP/1.1 400 Bad Request", "(a web server;"],
        ),
        (b"\x1b[2J\x00hello", ["it said \"\\x1b[2J\\x00hello\" (CONNECT must be", ""]),
        (b"striper\x02\x00", ["speaks protocol version 2, this one 1", ""]),
        (b"", ["connection closed during the handshake", ""]),
    ] {
        let stranger = Origin::start();
        let client = Proxy::client(stranger.addr(), &SOON);
        thread::spawn(move || {
            for mut stream in stranger.incoming() {
                // After the HELLO, like a server that does not understand it.
                let _ = stream.read(&mut [0; 1000]).and_then(|_| stream.write_all(says));
            }
        });
        expect_reset_at(client.addr());
        let told = client.wait_for("peer_unreachable");
        assert!(parts.iter().all(|part| told.text("message").contains(part)), "{told}");
    }
}
