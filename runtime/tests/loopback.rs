//! A client and a server on loopback: what TCP promises holds through the pair.

mod common;

use common::*;
use smol::future::zip;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use std::io;
use striper_core::Reason;
use striper_runtime::{FlowEnd, HostPort, Pipe, PipeExt, Received, Target};

/// Sends `up` one way and `down` the other, both at once, and checks that they arrive.
async fn exchange(a: &mut dyn Pipe, b: &mut dyn Pipe, up: &[u8], down: &[u8]) {
    // A pipe is used by one task at a time, so each side polls both of its directions.
    async fn side(pipe: &mut dyn Pipe, mut give: &[u8], want: &[u8]) {
        let mut got = 0;
        let (mut finished, mut ended) = (false, false);
        std::future::poll_fn(|cx| {
            use std::task::Poll;
            loop {
                let mut moved = false;
                if !give.is_empty() {
                    if let Poll::Ready(taken) = pipe.poll_send(cx, &mut give) {
                        taken.unwrap();
                        moved = true;
                    }
                } else if !finished && let Poll::Ready(done) = pipe.poll_finish(cx) {
                    done.unwrap();
                    finished = true;
                }
                if !ended && let Poll::Ready(received) = pipe.poll_recv(cx, 1 << 20) {
                    match received.unwrap() {
                        Received::Chunk(chunk) => {
                            assert!(want[got..].starts_with(&chunk), "wrong bytes after {got}");
                            got += chunk.len();
                            moved = true;
                        }
                        Received::Fin => ended = true,
                    }
                }
                if finished && ended {
                    return Poll::Ready(());
                }
                if !moved {
                    return Poll::Pending;
                }
            }
        })
        .await;
        assert_eq!(got, want.len());
    }
    zip(side(a, up, down), side(b, down, up)).await;
}

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
fn much_data_passes_both_ways_at_once_unchanged() {
    run(|ex| async move {
        let origin = Origin::start().await;
        let pair = Pair::start(&ex, origin.addr()).await;
        let (up, down) = (noise(1, 50_000_000), noise(2, 50_000_000));
        let mut a = pair.connect().await;
        let mut b = origin.accept().await;
        exchange(&mut a, &mut b, &up, &down).await;
        drop((a, b));
        while pair.client_reports.borrow().is_empty() {
            smol::future::yield_now().await;
        }
        let report = pair.client_reports.borrow()[0].clone();
        assert_eq!((report.sent, report.received), (50_000_000, 50_000_000));
        assert_eq!(report.end, FlowEnd::Finished);
        assert!(report.best_stripe > 20_000_000);
    });
}

#[test]
fn an_answer_comes_after_the_question_has_ended() {
    run(|ex| async move {
        let origin = Origin::start().await;
        let pair = Pair::start(&ex, origin.addr()).await;
        let mut a = pair.connect().await;
        a.send(b"question").await.unwrap();
        a.finish().await.unwrap();
        let mut b = origin.accept().await;
        assert_eq!(recv_all(&mut b).await.unwrap(), b"question");
        b.send(b"answer").await.unwrap();
        b.finish().await.unwrap();
        assert_eq!(recv_all(&mut a).await.unwrap(), b"answer");
    });
}

#[test]
fn the_servers_half_may_end_first() {
    run(|ex| async move {
        let origin = Origin::start().await;
        let pair = Pair::start(&ex, origin.addr()).await;
        let mut a = pair.connect().await;
        let mut b = origin.accept().await;
        b.send(b"banner").await.unwrap();
        b.finish().await.unwrap();
        assert_eq!(recv_all(&mut a).await.unwrap(), b"banner");
        let data = noise(3, 1_000_000);
        let (sent, got) = zip(
            async {
                a.send(&data).await?;
                a.finish().await
            },
            recv_all(&mut b),
        )
        .await;
        sent.unwrap();
        assert!(got.unwrap() == data);
    });
}

#[test]
fn a_reset_by_the_origin_is_a_reset_at_the_client_after_the_data() {
    run(|ex| async move {
        let origin = Origin::start().await;
        let pair = Pair::start(&ex, origin.addr()).await;
        let mut a = pair.connect().await;
        let mut b = origin.accept().await;
        let data = noise(4, 100_000);
        a.send(b"never read").await.unwrap();
        b.send(&data).await.unwrap();
        while !b.info().is_flushed() {
            smol::future::yield_now().await;
        }
        drop(b);
        assert!(recv_exact(&mut a, data.len()).await.unwrap() == data);
        assert_eq!(a.recv().await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_reset_by_the_client_is_a_reset_at_the_origin() {
    run(|ex| async move {
        let origin = Origin::start().await;
        let pair = Pair::start(&ex, origin.addr()).await;
        let mut a = pair.connect().await;
        let mut b = origin.accept().await;
        a.send(b"half").await.unwrap();
        assert_eq!(recv_exact(&mut b, 4).await.unwrap(), b"half");
        drop(a);
        assert_eq!(b.recv().await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_refused_target_is_a_reset() {
    run(|ex| async move {
        let nobody = Origin::start().await.addr();
        let pair = Pair::start(&ex, nobody).await;
        let mut a = pair.connect().await;
        assert_eq!(a.recv().await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        let mut flow = pair.client.open(Target::Default).await.unwrap();
        let error = flow.recv().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let end = pair.client_reports.borrow()[0].end.clone();
        assert_eq!(end, FlowEnd::Refused(Reason::ConnectionRefused));
    });
}

#[test]
fn many_flows_share_the_stripes() {
    run(|ex| async move {
        let origin = Origin::start().await;
        let pair = Pair::start(&ex, origin.addr()).await;
        pair.client.ready().await.unwrap();
        let mut tasks = Vec::new();
        for i in 0..200 {
            let entrance = pair.entrance;
            tasks.push(ex.spawn(async move {
                let mut a = striper_runtime::dial_tcp(&entrance.into(), LIMIT).await.unwrap();
                let data = noise(i, 20_000 + i as usize);
                a.send(&data).await.unwrap();
                a.finish().await.unwrap();
                assert!(recv_all(&mut a).await.unwrap() == data);
            }));
        }
        for _ in 0..200 {
            let mut b = origin.accept().await;
            tasks.push(ex.spawn(async move {
                let data = recv_all(&mut b).await.unwrap();
                b.send(&data).await.unwrap();
                b.finish().await.unwrap();
            }));
        }
        for task in tasks {
            task.await;
        }
        while pair.client.status().sessions[0].stats.flows > 0 {
            smol::future::yield_now().await;
        }
    });
}
