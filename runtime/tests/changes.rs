//! A server and a client whose settings change while flows are open.

mod common;

use common::*;
use smol::future::zip;
use std::cell::Cell;
use std::net::TcpStream;
use std::rc::Rc;
use std::time::Duration;
use striper_core::{Reason, Refusal};
use striper_runtime::local::{
    Calling, Client, ClientOptions, PassedOn, Predecessor, Server, ServerOptions,
};
use striper_runtime::{
    Cut, Event, Flow, FlowEnd, Listener, OpenError, Pipe, PipeExt, StripeRefusal, Target,
    memory_pipe,
};

async fn open(client: &Client, server: &Server) -> (Flow, Flow) {
    let answer = async { server.accept().await.into_flow() };
    let (near, far) = zip(client.open(Target::Default), answer).await;
    (near.unwrap(), far)
}

async fn exchange((near, far): &mut (Flow, Flow)) {
    near.send(b"question").await.unwrap();
    assert_eq!(far.recv().await.unwrap(), striper_runtime::Received::Chunk("question".into()));
    far.send(b"answer").await.unwrap();
    assert_eq!(near.recv().await.unwrap(), striper_runtime::Received::Chunk("answer".into()));
}

#[test]
fn a_server_that_moves_keeps_its_stripes_and_takes_new_ones_at_the_new_port() {
    run(|ex| async move {
        let log = Log::default();
        let server = start_server(&ex, &log).await;
        let (before, first) = (server.local_addr(), start_client(&ex, server.local_addr(), &log));
        let mut flow = open(&first, &server).await;
        let port = server.port().unwrap();
        let all = (std::net::Ipv4Addr::UNSPECIFIED, before.port()).into();
        let beside = Listener::bind_beside(all, [&*port], None).await.unwrap();
        assert!(Listener::bind(before, None).await.is_err(), "nobody else may listen beside them");
        drop(port);
        server.move_to(beside);
        assert_eq!(server.local_addr(), all);
        let second = start_client(&ex, before, &log);
        exchange(&mut open(&second, &server).await).await;
        server.move_to(Listener::bind(any_port(), None).await.unwrap());
        let third = start_client(&ex, server.local_addr(), &log);
        exchange(&mut open(&third, &server).await).await;
        exchange(&mut flow).await;
        assert!(TcpStream::connect(before).is_err(), "the first port is closed");
    });
}

/// A process that has been stopped, and so answers nobody.
struct Silent;

impl Predecessor for Silent {
    fn call(&self, _: PassedOn) -> Calling<'_> {
        Box::pin(std::future::pending())
    }
}

#[test]
fn a_predecessor_that_does_not_answer_keeps_no_new_session_waiting_for_ever() {
    run(|ex| async move {
        let log = Log::default();
        let mut options = ServerOptions::default();
        // Nothing else ends the wait.
        options.limits.handshake_time = Duration::from_secs(3600);
        let server = Server::bind(&ex, any_port(), options, None).await.unwrap();
        server.set_predecessor(Some(Rc::new(Silent)));
        let client = start_client(&ex, server.local_addr(), &log);
        exchange(&mut open(&client, &server).await).await;
        // The client may have dialled once more by then, and the server reports that one.
        assert_eq!(log.count(|event| matches!(event, Event::StripeLost { .. })), 0);
    });
}

/// A server in another process, of which the first calls are lost.
struct Forgetful {
    server: Server,
    lost: Cell<usize>,
}

impl Predecessor for Forgetful {
    fn call(&self, caller: PassedOn) -> Calling<'_> {
        let (ours, theirs) = memory_pipe();
        match self.lost.get() {
            // The system has dropped the other end.
            0 => self.server.welcome(caller, Box::new(theirs)),
            left => self.lost.set(left - 1),
        }
        Box::pin(async move { Some(Box::new(ours) as Box<dyn Pipe>) })
    }
}

#[test]
fn a_stripe_that_is_lost_on_its_way_to_a_predecessor_ends_no_session() {
    run(|ex| async move {
        let (log, of_client, later) = (Log::default(), Log::default(), vacant_port());
        let server = start_server(&ex, &log).await;
        let options = ClientOptions::new(vec![server.local_addr().into(), later.into()]);
        let client = Client::start(&ex, options, of_client.sink()).unwrap();
        let mut flow = open(&client, &server).await;
        let before = Rc::new(Forgetful { server, lost: Cell::new(2) });
        let server = Server::bind(&ex, later, ServerOptions::default(), log.sink()).await.unwrap();
        server.set_predecessor(Some(before.clone()));
        of_client.wait_for(|event| matches!(event, Event::StripeUp { live: 4, .. })).await;
        exchange(&mut flow).await;
        assert_eq!(before.lost.get(), 0, "some were lost");
        assert_eq!(of_client.count(|event| matches!(event, Event::SessionForgotten { .. })), 0);
    });
}

#[test]
fn a_port_beside_others_fails_for_a_program_that_listens_there() {
    run(|_| async move {
        let listener = Listener::bind(any_port(), None).await.unwrap();
        let taken = std::net::SocketAddr::from(([127, 0, 0, 2], listener.local_addr().port()));
        let other = std::net::TcpListener::bind(taken).unwrap();
        let all = (std::net::Ipv4Addr::UNSPECIFIED, taken.port()).into();
        assert!(Listener::bind_beside(all, [&listener], None).await.is_err());
        drop(other);
        assert!(Listener::bind_beside(all, [&listener], None).await.is_ok());
    });
}

#[test]
fn limits_that_change_hold_for_sessions_and_stripes_that_begin_later() {
    run(|ex| async move {
        let log = Log::default();
        let server = start_server(&ex, &log).await;
        let client = start_client(&ex, server.local_addr(), &log);
        let mut flow = open(&client, &server).await;
        let ServerOptions { session, mut limits, .. } = ServerOptions::default();
        limits.sessions = 1;
        server.set_limits(session, limits.clone()).unwrap();
        let other = start_client(&ex, server.local_addr(), &log);
        log.wait_for(|event| {
            let too_many = StripeRefusal::Refused(Refusal::TooMany);
            matches!(event, Event::StripeRefused { error, .. } if *error == too_many)
        })
        .await;
        limits.sessions = 2;
        server.set_limits(session, limits.clone()).unwrap();
        let mut second = open(&other, &server).await;
        exchange(&mut second).await;
        exchange(&mut flow).await;
        limits.handshake_time = Duration::ZERO;
        assert!(server.set_limits(session, limits).is_err());
    });
}

#[test]
fn a_flow_that_is_cut_is_reset_on_both_sides_and_others_go_on() {
    run(|ex| async move {
        let log = Log::default();
        let server = start_server(&ex, &log).await;
        let client = start_client(&ex, server.local_addr(), &log);
        let mut other = open(&client, &server).await;
        let (inner, mut outer) = memory_pipe();
        let carried = async {
            let (local, mut program) = memory_pipe();
            let report = client.carry(Target::Default, Box::new(local)).await;
            assert!(program.recv().await.is_err());
            report
        };
        let cut = async {
            let incoming = server.accept().await;
            let handle = incoming.handle();
            let cut = async {
                exchange(&mut other).await;
                handle.cut(Cut::Denied);
            };
            let (report, ()) = zip(incoming.carry(Box::new(inner)), cut).await;
            handle.cut(Cut::Denied);
            assert!(outer.recv().await.is_err());
            report
        };
        let (there, here) = zip(carried, cut).await;
        assert_eq!(here.end, FlowEnd::Cut(Cut::Denied));
        assert_eq!(there.end, FlowEnd::Reset(Reason::NotAllowed));
        exchange(&mut other).await;
    });
}

#[test]
fn a_flow_waits_for_a_session_as_long_as_was_said_last() {
    run(|ex| async move {
        // It takes connections and says nothing.
        let silent = Listener::bind(any_port(), None).await.unwrap();
        let client = start_client(&ex, silent.local_addr(), &Log::default());
        assert!(client.set_connect_timeout(Duration::ZERO).is_err());
        client.set_connect_timeout(Duration::from_millis(1)).unwrap();
        assert_eq!(client.open(Target::Default).await.err(), Some(OpenError::TimedOut));
    });
}
