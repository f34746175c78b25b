//! A client and a server on loopback, as programs use them. The tests of the program cover the
//! rest: tests/tests/{passing,stripe_death,restarts,stopping,no_server}.rs.

mod common;

use common::*;
use smol::future::zip;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use striper_runtime::{DialError, Event, HostPort, OpenError, Target};

#[test]
fn a_flow_is_a_byte_stream_to_its_target() {
    run(|ex| async move {
        let log = Log::default();
        let server = start_server(&ex, &log).await;
        let client = start_client(&ex, server.local_addr(), &log);
        let target = Target::Host(HostPort::new("example.org", 80));
        let wanted = target.clone();
        let talk = async {
            let mut flow = client.open(target).await.unwrap();
            flow.write_all(b"hello").await.unwrap();
            flow.close().await.unwrap();
            let mut answer = String::new();
            flow.read_to_string(&mut answer).await.unwrap();
            assert_eq!(answer, "HELLO");
        };
        let serve = async {
            let incoming = server.accept().await;
            assert_eq!(incoming.target(), &wanted);
            let mut flow = incoming.into_flow();
            let mut question = String::new();
            flow.read_to_string(&mut question).await.unwrap();
            flow.write_all(question.to_uppercase().as_bytes()).await.unwrap();
            flow.close().await.unwrap();
        };
        zip(talk, serve).await;
        assert_eq!(client.status().sessions[0].live, 4);
        client.shutdown(LIMIT).await;
        server.shutdown(LIMIT).await;
    });
}

#[test]
fn a_refused_dial_resets_a_connection_at_once() {
    run(|ex| async move {
        let log = Log::default();
        let client = start_client(&ex, vacant_port(), &log);
        let refused = OpenError::Unreachable(DialError::Refused);
        assert_eq!(client.open(Target::Default).await.err(), Some(refused.clone()));
        assert_eq!(client.open(Target::Default).await.err(), Some(refused));
        assert_eq!(client.status().last_dial_error, Some(DialError::Refused));
        let is_news = |event: &Event| matches!(event, Event::PeerUnreachable { news: true, .. });
        assert_eq!(log.count(is_news), 1);
        client.shutdown(LIMIT).await;
        assert_eq!(client.open(Target::Default).await.err(), Some(OpenError::ShuttingDown));
    });
}
