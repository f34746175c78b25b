//! Keys on real sockets: who gets in, who doesn't, and what each is told.

mod common;

use common::{Log, any_port, run};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::time::Duration;
use striper_core::{Handshake, HandshakeError, Hello, HelloKind, Refusal, SessionId, StripeId};
use striper_runtime::keys::{Key, KeyKind, Keys, Listed, PeerName};
use striper_runtime::local::{Client, ClientOptions, Executor, Server, ServerOptions};
use striper_runtime::{
    ClientTls, DialError, Event, OpenError, Pipe, PipeExt, Received, SessionTag, Status,
    StripeRefusal, Target, TlsError, TlsPipe, dial_tcp,
};

fn new(kind: KeyKind) -> Key {
    Key::generate(kind).unwrap()
}

fn shared(key: &Key) -> Keys {
    Keys::shared("site", key.clone()).unwrap()
}

fn private_keys<const N: usize>() -> [Key; N] {
    [(); N].map(|()| new(KeyKind::Private))
}

fn private(key: &Key, peers: &[(&str, &Key)]) -> Keys {
    let listed =
        |(name, key): &(&str, &Key)| Listed::new(PeerName::from(*name), key.public().unwrap());
    Keys::new(vec![("own".into(), key.clone())], peers.iter().map(listed).collect()).unwrap()
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

/// The errors that a client without a way in and its server report.
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
fn a_client_that_is_listed_gets_in_and_each_side_calls_the_other_by_its_name() {
    run(|ex| async move {
        let [exit, laptop, backup] = private_keys();
        let log = Log::default();
        let keys = private(&exit, &[("laptop", &laptop), ("backup", &backup)]);
        let server = server(&ex, Some(keys), &log).await;
        for (name, key) in [("backup", &backup), ("laptop", &laptop)] {
            let keys = private(key, &[("exit", &exit)]);
            let client = client(&ex, server.local_addr(), Some(keys), &log);
            let mut flow = client.open(Target::Default).await.unwrap();
            flow.write_all(b"x").await.unwrap();
            assert_eq!(server.accept().await.peer().as_deref(), Some(name));
            assert_eq!(client.status().sessions[0].peer.as_deref(), Some("exit"));
            let named = |event: &Event| match event {
                Event::SessionStarted { peer, .. } => peer.as_deref() == Some(name),
                _ => false,
            };
            assert_eq!(log.count(named), 1);
            client.shutdown(Duration::ZERO).await;
        }
    });
}

#[test]
fn keys_that_do_not_fit_are_told_to_both_sides_and_make_no_session() {
    let [exit, laptop, other] = private_keys();
    let [a, b] = [(); 2].map(|()| Some(shared(&new(KeyKind::Shared))));
    let not_listed = private(&other, &[("exit", &exit)]);
    let list = private(&exit, &[("laptop", &laptop)]);
    let no_key = DialError::Refusal(Refusal::KeyNeeded);
    let tls = |here, there| (DialError::Tls(here), StripeRefusal::Tls(there));
    for (ours, theirs, told) in [
        (a.clone(), b, tls(TlsError::UnknownKey, TlsError::KeyRefused)),
        (Some(not_listed), Some(list), tls(TlsError::KeyRefused, TlsError::UnknownKey)),
        (None, a.clone(), (no_key, StripeRefusal::Tls(TlsError::Plain))),
        (a, None, (DialError::Tls(TlsError::Plain), StripeRefusal::Handshake(HandshakeError::Tls))),
    ] {
        assert_eq!(smol::block_on(refused(ours, theirs)), told);
    }
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
        // With nothing left to carry, the client takes the new key, and then the server's only one.
        let begun = |count| {
            log.wait_for_count(count, |event| matches!(event, Event::SessionStarted { .. }))
        };
        begun(2).await;
        server.set_keys(shared(&new));
        client.set_keys(&shared(&new));
        begun(3).await;
        let ended = client.status().ended;
        assert_eq!((ended.sessions, ended.payload_sent), (2, 2), "the sums stay");
        speaks(&client, &server).await;
    });
}

#[test]
fn a_client_that_is_no_longer_listed_is_cut_off_and_nobody_else() {
    run(|ex| async move {
        let [exit, kept, dropped] = private_keys();
        let list = [("kept", &kept), ("dropped", &dropped)];
        let server = server(&ex, Some(private(&exit, &list)), &Log::default()).await;
        let [kept, dropped] = [&kept, &dropped].map(|key| {
            let keys = private(key, &[("exit", &exit)]);
            client(&ex, server.local_addr(), Some(keys), &Log::default())
        });
        speaks(&kept, &server).await;
        let mut cut = dropped.open(Target::Default).await.unwrap();
        cut.write_all(b"x").await.unwrap();
        let mut there = server.accept().await.into_flow();
        there.read_exact(&mut [0]).await.unwrap();
        let sums = || {
            let Status { sessions, ended, .. } = server.status();
            let delivered = sessions.iter().map(|session| session.stats.payload_delivered);
            (sessions.len(), ended.sessions, ended.payload_delivered + delivered.sum::<u64>())
        };
        let (_, _, delivered) = sums();
        server.set_keys(private(&exit, &list[..1]));
        assert!(cut.read(&mut [0]).await.is_err(), "a reset, not an end");
        speaks(&kept, &server).await;
        assert_eq!(
            sums(),
            (1, 1, delivered + 4),
            "all bytes of the session that was cut off count"
        );
        assert!(dropped.open(Target::Default).await.is_err());
    });
}

#[test]
fn a_client_turns_from_a_server_whose_key_it_no_longer_accepts() {
    run(|ex| async move {
        let [exit, laptop, other] = private_keys();
        let log = Log::default();
        let keys = private(&exit, &[("laptop", &laptop)]);
        let server = server(&ex, Some(keys), &Log::default()).await;
        let keys = private(&laptop, &[("exit", &exit)]);
        let client = client(&ex, server.local_addr(), Some(keys), &log);
        speaks(&client, &server).await;
        client.set_keys(&private(&laptop, &[("exit", &other)]));
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
        let [exit, a, b] = private_keys();
        let list = private(&exit, &[("a", &a), ("b", &b)]);
        let server = server(&ex, Some(list), &Log::default()).await;
        let to = server.local_addr();
        let [a, b] = [a, b].map(|key| private(&key, &[("exit", &exit)]));
        let (id, other) = (SessionId([9; 16]), SessionId([8; 16]));
        let (create, join) = (HelloKind::Create, HelloKind::Join);
        let (first, _one) = greet(to, &a, create, id, 0).await;
        assert!(matches!(first, HelloKind::Accept { .. }));
        let unknown = HelloKind::Refuse(Refusal::UnknownSession);
        for (keys, id, stripe, answer) in [
            (&a, id, 1, first),
            (&a, other, 1, unknown),
            (&b, id, 2, unknown),
            (&a, id, 0, HelloKind::Refuse(Refusal::StripeUsed)),
        ] {
            assert_eq!(greet(to, keys, join, id, stripe).await.0, answer, "stripe {stripe}");
        }
        // Under its own key an id is b's own, whoever else may use it.
        let (second, _two) = greet(to, &b, create, id, 0).await;
        assert!(matches!(second, HelloKind::Accept { .. }) && first != second);
        assert_eq!(server.status().sessions.len(), 2);
    });
}

#[test]
fn versions_are_negotiated_inside_tls_and_the_older_side_is_named() {
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
        log.wait_for(|event| {
            let Event::StripeRefused { error, .. } = event else { return false };
            let error = error.to_string();
            error.contains("version 2") && error.ends_with("update this side")
        })
        .await;
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
