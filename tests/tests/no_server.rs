//! A client side whose server side is not there, or is something else.

use std::io::{ErrorKind, Read, Write};
use std::thread;
use striper_tests::{Event, Origin, Pattern, Proxy, Vacant, connect, expect_reset_at, loopbacks};

/// Longer than any test waits.
const NEVER: [&str; 2] = ["--connect-timeout", "10m"];
const SOON: [&str; 2] = ["--connect-timeout", "200ms"];

#[test]
fn a_client_side_without_a_server_side_resets_connections_at_once_and_keeps_trying() {
    for address in loopbacks() {
        let (port, origin) = (Vacant::on(address), Origin::on(address));
        let client = Proxy::client(address, port.addr(), &NEVER);
        let unreachable = client.wait_for("peer_unreachable");
        assert_eq!(unreachable.text("cause"), "connection refused");
        assert!(
            unreachable.text("message").contains("is striper-cli -s running there"),
            "{unreachable}"
        );
        expect_reset_at(client.addr());
        let end = client.wait_for("connection_ended");
        assert_eq!(end.text("reason"), "server unreachable: connection refused");
        let _server = Proxy::start(&["-s", &port.addr().to_string(), &origin.addr().to_string()]);
        client.wait_for("peer_reached");
        let mut here = connect(client.addr());
        Pattern(1).send(&mut here, 0..1000);
        Pattern(1).expect(&mut origin.accept(), 0..1000);
        assert_eq!(client.count("peer_unreachable"), 1, "said once a cause");
    }
}

#[test]
fn a_connection_waits_for_a_silent_server_side_no_longer_than_asked() {
    // Nobody accepts there, but the system takes connections.
    let silent = Origin::start();
    let client = Proxy::client(silent.addr().ip(), silent.addr(), &SOON);
    expect_reset_at(client.addr());
    let end = client.wait_for("connection_ended");
    assert_eq!(
        (end.text("end"), end.text("reason")),
        ("no_session", "no connection to the server in time")
    );
}

#[test]
fn a_connection_made_while_others_are_kept_is_reset_at_once_if_the_server_side_refuses() {
    let origin = Origin::start();
    let mut server = Proxy::server(origin.addr().ip(), origin.addr(), &[]);
    let client = Proxy::client(origin.addr().ip(), server.addr(), &NEVER);
    let (mut kept, mut there) = (connect(client.addr()), origin.accept());
    Pattern(1).send(&mut kept, 0..1000);
    Pattern(1).expect(&mut there, 0..1000);
    server.kill();
    client.wait_for("session_stranded");
    let refused = |event: &Event| event.text("cause") == "connection refused";
    client.wait_for_any("a refusal", refused);
    expect_reset_at(client.addr());
    let end = client.wait_for("connection_ended");
    assert_eq!((end.number("connection"), end.text("end")), (2, "no_session"));
    kept.set_nonblocking(true).expect("a socket");
    let error = kept.read(&mut [0; 1]).expect_err("the connection is still open");
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
}

#[test]
fn a_client_side_with_a_server_side_of_unknown_name_says_so() {
    let client = Proxy::start(&["-c", "0", "no-such-host.invalid:1", SOON[0], SOON[1]]);
    assert!(
        client
            .wait_for("peer_unreachable")
            .text("message")
            .contains("unknown host (check its name)")
    );
    expect_reset_at(client.addr());
}

/// What a client side says about a server that answers this.
fn complaint(says: &'static [u8]) -> String {
    let stranger = Origin::start();
    let client = Proxy::client(stranger.addr().ip(), stranger.addr(), &SOON);
    thread::spawn(move || {
        for mut stream in stranger.incoming() {
            // After the HELLO, like a server that makes nothing of it.
            let _ = stream.read(&mut [0; 1000]).and_then(|_| stream.write_all(says));
        }
    });
    expect_reset_at(client.addr());
    client.wait_for("peer_unreachable").text("message").to_owned()
}

#[test]
fn connecting_to_what_is_no_striper_shows_its_first_bytes() {
    let ssh = complaint(b"SSH-2.0-OpenSSH_9.9\r\n");
    assert!(
        ssh.contains("it said \"SSH-2.0-OpenSSH_9.9\\r\\n\" (an ssh server; CONNECT must be"),
        "{ssh}"
    );
    let web = complaint(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    assert!(
        web.contains("it said \"HTTP/1.1 400 Bad Request") && web.contains("(a web server;"),
        "{web}"
    );
    let other = complaint(b"\x1b[2J\x00hello");
    assert!(other.contains("it said \"\\x1b[2J\\x00hello\" (CONNECT must be"), "{other}");
}

#[test]
fn connecting_to_another_version_names_both() {
    let text = complaint(b"striper\x02\x00");
    assert!(text.contains("speaks protocol version 2, this one 1"), "{text}");
}

#[test]
fn connecting_to_what_hangs_up_says_so() {
    let text = complaint(b"");
    assert!(text.contains("connection closed during the handshake"), "{text}");
}
