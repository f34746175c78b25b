//! A client and a server on loopback, as programs use them. The tests of the program cover the
//! rest: tests/tests/proxy/{passing,stripe_death,restarts,stopping,no_server}.rs.

mod common;

use common::*;
use smol::future::zip;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use striper_core::{FlowWait, Reason};
use striper_runtime::{
    Cut, DialError, Event, FlowEnd, HostPort, OpenError, Opening, PipeExt, Target, memory_pipe,
};

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
fn a_labelled_flow_is_listed_on_both_sides_and_can_be_closed() {
    run(|ex| async move {
        let log = Log::default();
        let server = start_server(&ex, &log).await;
        let client = start_client(&ex, server.local_addr(), &log);
        let [(inner, mut program), (far, mut target)] = [memory_pipe(), memory_pipe()];
        let opening = Opening::from(Target::Default).labelled(7);
        let carried = client.carry(opening, Box::new(inner));
        let serve = async {
            let incoming = server.accept().await;
            incoming.label(9);
            let waits = server.flows(10).first().and_then(|flow| flow.sending);
            assert_eq!(waits, Some(FlowWait::Target), "nobody has answered it");
            incoming.carry(Box::new(far)).await
        };
        let close = async {
            program.send(b"hello").await.unwrap();
            target.recv().await.unwrap();
            let [ours, theirs] = [client.flows(10), server.flows(10)];
            assert_eq!((ours.len(), theirs.len()), (1, 1));
            assert_eq!((ours[0].label, theirs[0].label), (Some(7), Some(9)));
            assert_eq!((ours[0].sent, theirs[0].received), (5, 5));
            assert!(ours[0].session == theirs[0].session && ours[0].flow == theirs[0].flow);
            assert!(client.flows(0).is_empty(), "no more than are wanted");
            assert!(!client.close_flow(9) && client.close_flow(7) && !client.close_flow(7));
        };
        let ((ours, theirs), ()) = zip(zip(carried, serve), close).await;
        assert_eq!(ours.end, FlowEnd::Cut(Cut::Closed));
        assert_eq!(theirs.end, FlowEnd::Reset(Reason::Aborted));
        assert!(program.recv().await.is_err() && target.recv().await.is_err());
        assert!(client.flows(10).is_empty() && server.flows(10).is_empty());
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
