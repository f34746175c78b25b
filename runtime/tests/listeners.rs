//! Listeners of the server, whose connections a client takes.

mod common;

use common::*;
use smol::future::zip;
use std::net::SocketAddr;
use striper_core::Reason;
use striper_core::limits::INITIAL_FLOWS;
use striper_runtime::local::{
    Client, ClientOptions, Executor, Listening, RemoteListener, Server, ServerOptions,
};
use striper_runtime::{Addresses, FlowEnd, PipeExt, Target, memory_pipe};

/// A client that may listen, and its server.
async fn pair(ex: &Executor) -> (Client, Server) {
    let log = Log::default();
    let server = start_server(ex, &log).await;
    let mut options = ClientOptions::new(vec![server.local_addr().into()]);
    options.listens = true;
    (Client::start(ex, options, log.sink()).unwrap(), server)
}

fn addresses() -> Addresses {
    Addresses::new("192.0.2.7:50000".parse().unwrap(), "192.0.2.1:8080".parse().unwrap())
}

async fn listen(client: &Client, server: &Server) -> (RemoteListener, Listening) {
    let address = SocketAddr::from(([192, 0, 2, 1], 0));
    let ask = async { client.listen(address).await.unwrap_or_else(|report| panic!("{report:?}")) };
    let answer = async {
        let incoming = server.accept().await;
        let Target::Listen { address: asked, .. } = *incoming.target() else { panic!() };
        assert_eq!(asked, address);
        incoming.listen(8080).await
    };
    let (listener, listening) = zip(ask, answer).await;
    assert_eq!(listener.address(), SocketAddr::from(([192, 0, 2, 1], 8080)));
    (listener, listening)
}

#[test]
fn a_connection_to_a_listener_of_the_server_arrives_at_the_client() {
    run(|ex| async move {
        let (client, server) = pair(&ex).await;
        let (mut first, of_first) = listen(&client, &server).await;
        let (mut second, of_second) = listen(&client, &server).await;
        for (listener, listening) in [(&mut second, &of_second), (&mut first, &of_first)] {
            let (local, mut program) = memory_pipe();
            let carried = listening.carry(Box::new(local), addresses(), None);
            program.send(b"question").await.unwrap();
            let incoming = listener.accept().await.ok().unwrap();
            assert_eq!(incoming.opening().program, Some(addresses()));
            let mut flow = incoming.into_flow();
            program.finish().await.unwrap();
            assert_eq!(recv_all(&mut flow).await.unwrap(), b"question");
            flow.send(b"answer").await.unwrap();
            flow.finish().await.unwrap();
            assert_eq!(recv_all(&mut program).await.unwrap(), b"answer");
            assert_eq!(carried.await.end, FlowEnd::Finished);
        }
        drop((first, second));
        client.shutdown(LIMIT).await;
        server.shutdown(LIMIT).await;
    });
}

#[test]
fn a_listener_ends_on_both_sides_when_either_drops_it() {
    run(|ex| async move {
        let (client, server) = pair(&ex).await;
        let (mut listener, listening) = listen(&client, &server).await;
        drop(listening);
        assert!(listener.accept().await.is_err());
        let (listener, mut listening) = listen(&client, &server).await;
        drop(listener);
        listening.unwanted().await;
        let (local, _program) = memory_pipe();
        let report = listening.carry(Box::new(local), addresses(), None).await;
        assert_eq!(report.end, FlowEnd::Refused(Reason::NotAllowed));
    });
}

#[test]
fn a_listener_that_the_server_refuses_has_its_reason() {
    run(|ex| async move {
        let (client, server) = pair(&ex).await;
        let refuse = async { server.accept().await.refuse(Reason::NotAllowed) };
        let (refused, ()) = zip(client.listen(any_port()), refuse).await;
        let report = refused.err().expect("no listener");
        assert_eq!(report.end, FlowEnd::Refused(Reason::NotAllowed));
    });
}

#[test]
fn a_listener_ends_with_its_session_and_is_back_in_the_next_one() {
    run(|ex| async move {
        let log = Log::default();
        let server = start_server(&ex, &log).await;
        let address = server.local_addr();
        let mut options = ClientOptions::new(vec![address.into()]);
        options.listens = true;
        let client = Client::start(&ex, options, log.sink()).unwrap();
        let (mut listener, _listening) = listen(&client, &server).await;
        server.shutdown(LIMIT).await;
        assert!(listener.accept().await.is_err());
        let next = loop {
            match Server::bind(&ex, address, Default::default(), log.sink()).await {
                Ok(next) => break next,
                // The last task of the one before holds the port until its next turn.
                Err(_) => smol::future::yield_now().await,
            }
        };
        let (_listener, _listening) = listen(&client, &next).await;
    });
}

#[test]
fn a_client_that_lets_no_flow_be_opened_can_not_have_the_server_keep_more_than_it_may() {
    run(|ex| async move {
        let log = Log::default();
        let mut options = ServerOptions::default();
        options.session.max_flows = INITIAL_FLOWS;
        let server = Server::bind(&ex, any_port(), options, log.sink()).await.unwrap();
        let mut options = ClientOptions::new(vec![server.local_addr().into()]);
        options.listens = true;
        options.session.max_flows = INITIAL_FLOWS;
        let client = Client::start(&ex, options, log.sink()).unwrap();
        let (_listener, listening) = listen(&client, &server).await;
        let mut carried = Vec::new();
        // The client answers none, so it grants none beyond the first ones.
        while listening.ensure_room().is_ok() && carried.len() < 1000 {
            carried.push(listening.carry(Box::new(memory_pipe().0), addresses(), None));
        }
        // Twice as many as there may be, and one is that by which the client has asked.
        assert_eq!(carried.len() as u64, 2 * INITIAL_FLOWS - 1);
    });
}
