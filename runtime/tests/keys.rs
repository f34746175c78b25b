//! Keys on real sockets: who gets in, who doesn't, and what each is told.

mod common;

use common::{Log, any_port, run};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::time::Duration;
use striper_core::{Handshake, HandshakeError, Hello, HelloKind, Refusal, SessionId, StripeId};
use striper_runtime::keys::{Key, KeyKind, Keys, PeerName, PublicKey};
use striper_runtime::local::{Client, ClientOptions, Executor, Server, ServerOptions};
use striper_runtime::{
    ClientTls, DialError, Event, OpenError, Pipe, PipeExt, Received, SessionTag, StripeRefusal,
    Target, TlsError, TlsPipe, dial_tcp,
};

fn new(kind: KeyKind) -> Key {
    Key::generate(kind).unwrap()
}

fn shared(key: &Key) -> Keys {
    Keys::shared("site", key.clone()).unwrap()
}

/// A private key, and those whose names and public halves are listed beside it.
fn private(key: &Key, peers: &[(&str, PublicKey)]) -> Keys {
    let peers = peers.iter().map(|(name, key)| (PeerName::from(*name), *key)).collect();
    Keys::new(vec![("own".into(), key.clone())], peers).unwrap()
}

async fn server(ex: &Executor, keys: Option<Keys>, log: &Log) -> Server {
    let mut options = ServerOptions::default();
    options.keys = keys;
    Server::bind(ex, any_port(), options, log.sink()).await.unwrap()
}

fn client(ex: &Executor, to: SocketAddr, keys: Option<Keys>, log: &Log) -> Client {
    let mut options = ClientOptions::new(vec![to.into()]);
    options.keys = keys;
    options.connect_timeout = Duration::from_millis(300);
    Client::start(ex, options, log.sink()).unwrap()
}

/// Sends a word through and gets it back.
async fn speaks(client: &Client, server: &Server) {
    let mut here = client.open(Target::Default).await.unwrap();
    here.write_all(b"word").await.unwrap();
    let mut there = server.accept().await.into_flow();
    let mut word = [0; 4];
    there.read_exact(&mut word).await.unwrap();
    there.write_all(&word).await.unwrap();
    here.read_exact(&mut word).await.unwrap();
    assert_eq!(&word, b"word");
}

/// What a client without a way in is told, and its server.
async fn refused(ours: Option<Keys>, theirs: Option<Keys>) -> (DialError, StripeRefusal) {
    let ex = Executor::default();
    let (here, there) = (Log::default(), Log::default());
    let work = async {
        let server = server(&ex, theirs, &there).await;
        let client = client(&ex, server.local_addr(), ours, &here);
        here.wait_for(|event| matches!(event, Event::PeerUnreachable { .. })).await;
        there.wait_for(|event| matches!(event, Event::StripeRefused { .. })).await;
        match client.open(Target::Default).await.map(drop) {
            Err(OpenError::Unreachable(_)) => {}
            other => panic!("{other:?}"),
        }
        assert!(server.status().sessions.is_empty(), "there is a session");
        let cause = here.0.borrow().iter().find_map(|event| match event {
            Event::PeerUnreachable { cause, .. } => Some(cause.clone()),
            _ => None,
        });
        let error = there.0.borrow().iter().find_map(|event| match event {
            Event::StripeRefused { error, .. } => Some(error.clone()),
            _ => None,
        });
        (cause.unwrap(), error.unwrap())
    };
    ex.run(work).await
}

#[test]
fn who_has_the_shared_key_gets_in_and_each_side_calls_it_by_its_name() {
    run(|ex| async move {
        let (key, log, far) = (new(KeyKind::Shared), Log::default(), Log::default());
        let server = server(&ex, Some(shared(&key)), &log).await;
        let client =
            client(&ex, server.local_addr(), Some(Keys::shared("there", key).unwrap()), &far);
        speaks(&client, &server).await;
        assert_eq!(server.status().sessions[0].peer.as_deref(), Some("site"));
        assert_eq!(client.status().sessions[0].peer.as_deref(), Some("there"));
        let named = |event: &Event| match event {
            Event::SessionStarted { peer, .. } => peer.as_deref() == Some("site"),
            _ => false,
        };
        assert_eq!(log.count(named), 1);
    });
}

#[test]
fn who_is_listed_gets_in_under_its_name() {
    run(|ex| async move {
        let [exit, laptop, backup] = [(); 3].map(|()| new(KeyKind::Private));
        let public = |key: &Key| key.public().unwrap();
        let log = Log::default();
        let keys = private(&exit, &[("laptop", public(&laptop)), ("backup", public(&backup))]);
        let server = server(&ex, Some(keys), &log).await;
        for (name, key) in [("backup", &backup), ("laptop", &laptop)] {
            let keys = private(key, &[("exit", public(&exit))]);
            let client = client(&ex, server.local_addr(), Some(keys), &log);
            let mut flow = client.open(Target::Default).await.unwrap();
            flow.write_all(b"x").await.unwrap();
            assert_eq!(server.accept().await.peer().as_deref(), Some(name));
            client.shutdown(Duration::ZERO).await;
        }
    });
}

#[test]
fn a_wrong_key_is_told_to_both_sides_and_makes_no_session() {
    run(|_| async {
        let (a, b) = (new(KeyKind::Shared), new(KeyKind::Shared));
        let told = refused(Some(shared(&a)), Some(shared(&b))).await;
        assert_eq!(
            told,
            (DialError::Tls(TlsError::UnknownKey), StripeRefusal::Tls(TlsError::KeyRefused))
        );
    });
}

#[test]
fn a_client_that_is_not_listed_is_told_so_though_it_knows_the_server() {
    run(|_| async {
        let [exit, laptop, other] = [(); 3].map(|()| new(KeyKind::Private));
        let public = |key: &Key| key.public().unwrap();
        let ours = private(&other, &[("exit", public(&exit))]);
        let told = refused(Some(ours), Some(private(&exit, &[("laptop", public(&laptop))]))).await;
        assert_eq!(
            told,
            (DialError::Tls(TlsError::KeyRefused), StripeRefusal::Tls(TlsError::UnknownKey))
        );
    });
}

#[test]
fn a_client_without_a_key_is_told_in_plain_words_that_it_needs_one() {
    run(|_| async {
        let told = refused(None, Some(shared(&new(KeyKind::Shared)))).await;
        assert_eq!(
            told,
            (DialError::Refusal(Refusal::KeyNeeded), StripeRefusal::Tls(TlsError::Plain))
        );
    });
}

#[test]
fn a_client_with_a_key_is_told_that_the_server_has_none() {
    run(|_| async {
        let told = refused(Some(shared(&new(KeyKind::Shared))), None).await;
        let server = StripeRefusal::Handshake(HandshakeError::Tls);
        assert_eq!(told, (DialError::Tls(TlsError::Plain), server));
    });
}

#[test]
fn a_key_is_replaced_in_three_steps_and_what_is_carried_meanwhile_goes_on() {
    run(|ex| async move {
        let (old, new) = (new(KeyKind::Shared), new(KeyKind::Shared));
        let both = |first: &Key, second: &Key| {
            Keys::new(vec![("1".into(), first.clone()), ("2".into(), second.clone())], Vec::new())
                .unwrap()
        };
        let log = Log::default();
        let server = server(&ex, Some(shared(&old)), &Log::default()).await;
        let client = client(&ex, server.local_addr(), Some(shared(&old)), &log);
        let mut here = client.open(Target::Default).await.unwrap();
        here.write_all(b"a").await.unwrap();
        let mut there = server.accept().await.into_flow();
        server.set_keys(both(&old, &new));
        client.set_keys(&both(&new, &old));
        here.write_all(b"b").await.unwrap();
        here.close().await.unwrap();
        let mut text = String::new();
        there.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "ab");
        there.close().await.unwrap();
        text.clear();
        here.read_to_string(&mut text).await.unwrap();
        // With nothing left to carry, the client goes over to the new key, and when the old one is
        // accepted nowhere, to the server's.
        let begun = |count| {
            log.wait_for_count(count, |event| matches!(event, Event::SessionStarted { .. }))
        };
        begun(2).await;
        server.set_keys(shared(&new));
        client.set_keys(&shared(&new));
        begun(3).await;
        speaks(&client, &server).await;
    });
}

#[test]
fn who_is_no_longer_listed_is_cut_off_at_once_and_nobody_else() {
    run(|ex| async move {
        let [exit, kept, dropped] = [(); 3].map(|()| new(KeyKind::Private));
        let public = |key: &Key| key.public().unwrap();
        let log = Log::default();
        let list = [("kept", public(&kept)), ("dropped", public(&dropped))];
        let server = server(&ex, Some(private(&exit, &list)), &log).await;
        let start = |key: &Key| {
            client(
                &ex,
                server.local_addr(),
                Some(private(key, &[("exit", public(&exit))])),
                &Log::default(),
            )
        };
        let (kept, dropped) = (start(&kept), start(&dropped));
        speaks(&kept, &server).await;
        let mut cut = dropped.open(Target::Default).await.unwrap();
        cut.write_all(b"x").await.unwrap();
        let _there = server.accept().await.into_flow();
        server.set_keys(private(&exit, &list[..1]));
        assert!(cut.read(&mut [0]).await.is_err(), "a reset, not an end");
        speaks(&kept, &server).await;
        assert_eq!(server.status().sessions.len(), 1);
        assert!(dropped.open(Target::Default).await.is_err());
    });
}

#[test]
fn a_client_turns_from_a_server_whose_key_it_no_longer_accepts() {
    run(|ex| async move {
        let (exit, laptop, other) =
            (new(KeyKind::Private), new(KeyKind::Private), new(KeyKind::Private));
        let public = |key: &Key| key.public().unwrap();
        let log = Log::default();
        let server =
            server(&ex, Some(private(&exit, &[("laptop", public(&laptop))])), &Log::default())
                .await;
        let client = client(
            &ex,
            server.local_addr(),
            Some(private(&laptop, &[("exit", public(&exit))])),
            &log,
        );
        speaks(&client, &server).await;
        client.set_keys(&private(&laptop, &[("exit", public(&other))]));
        log.wait_for(|event| matches!(event, Event::SessionEnded { .. })).await;
        assert!(client.open(Target::Default).await.is_err());
    });
}

/// Says `kind` of `session` on a stripe of its own, and what the server answers.
async fn greet(
    to: SocketAddr,
    keys: &Keys,
    kind: HelloKind,
    session: SessionId,
    stripe: u64,
) -> (HelloKind, Box<dyn Pipe>) {
    let below = dial_tcp(&to.into(), Duration::from_secs(10)).await.unwrap();
    let mut pipe: Box<dyn Pipe> = Box::new(TlsPipe::client(below, &ClientTls::new(keys)).unwrap());
    let hello = Hello { kind, session, stripe: StripeId(stripe), gone: Vec::new() };
    pipe.send(&hello.encode()).await.unwrap();
    poll_fn(|cx| pipe.poll_flush(cx)).await.unwrap();
    let mut handshake = Handshake::new();
    loop {
        let Received::Chunk(chunk) = pipe.recv().await.unwrap() else { panic!("it ended") };
        if let Some((hello, _)) = handshake.feed(chunk).unwrap() {
            return (hello.kind, pipe);
        }
    }
}

#[test]
fn a_session_is_joined_with_its_id_and_its_key_and_each_stripe_once() {
    run(|ex| async move {
        let [exit, a, b] = [(); 3].map(|()| new(KeyKind::Private));
        let public = |key: &Key| key.public().unwrap();
        let list = [("a", public(&a)), ("b", public(&b))];
        let server = server(&ex, Some(private(&exit, &list)), &Log::default()).await;
        let to = server.local_addr();
        let (a, b) =
            (private(&a, &[("exit", public(&exit))]), private(&b, &[("exit", public(&exit))]));
        let (id, unknown) = (SessionId([9; 16]), HelloKind::Refuse(Refusal::UnknownSession));
        let (HelloKind::Accept { instance }, _one) = greet(to, &a, HelloKind::Create, id, 0).await
        else {
            panic!()
        };
        assert_eq!(greet(to, &a, HelloKind::Join, id, 1).await.0, HelloKind::Accept { instance });
        assert_eq!(
            greet(to, &a, HelloKind::Join, SessionId([8; 16]), 1).await.0,
            unknown,
            "another id"
        );
        assert_eq!(greet(to, &b, HelloKind::Join, id, 2).await.0, unknown, "another key");
        assert_eq!(
            greet(to, &a, HelloKind::Join, id, 0).await.0,
            HelloKind::Refuse(Refusal::StripeUsed)
        );
        // Under its own key an id is b's own, whoever else may use it.
        let (HelloKind::Accept { instance: other }, _two) =
            greet(to, &b, HelloKind::Create, id, 0).await
        else {
            panic!()
        };
        assert_ne!(instance, other);
        assert_eq!(server.status().sessions.len(), 2);
    });
}

#[test]
fn versions_are_negotiated_inside_tls_and_both_sides_hear_which_is_to_be_updated() {
    run(|ex| async move {
        let (key, log) = (new(KeyKind::Shared), Log::default());
        let server = server(&ex, Some(shared(&key)), &log).await;
        let to = server.local_addr();
        let below = dial_tcp(&to.into(), Duration::from_secs(10)).await.unwrap();
        let mut newer = TlsPipe::client(below, &ClientTls::new(&shared(&key))).unwrap();
        newer.send(b"striper\x02\x00").await.unwrap();
        let Received::Chunk(answer) = newer.recv().await.unwrap() else { panic!("no answer") };
        let (hello, _) = Handshake::new().feed(answer).unwrap().unwrap();
        assert_eq!(hello.kind, HelloKind::Refuse(Refusal::Version));
        let told = |event: &Event| match event {
            Event::StripeRefused { error, .. } => {
                error.to_string().contains("version 2")
                    && error.to_string().ends_with("update this side")
            }
            _ => false,
        };
        log.wait_for(told).await;
    });
}

#[test]
fn a_session_is_called_by_a_tag_that_says_nothing_of_its_id() {
    let id = SessionId(*b"0123456789abcdef");
    let tag = SessionTag::of(id).to_string();
    assert_eq!(tag.len(), 8);
    assert_ne!(tag, "30313233");
    assert_eq!(format!("{id:?}"), "SessionId(..)");
    assert_eq!(SessionTag::of(id), SessionTag::of(id));
}
