//! The examples do what they show.

mod common;

#[path = "../examples/answer_flows.rs"]
mod answer_flows;
#[path = "../examples/blocking.rs"]
mod blocking;
#[path = "../examples/datagram_over_flow.rs"]
mod datagram_over_flow;
#[path = "../examples/echo_datagrams.rs"]
mod echo_datagrams;
#[path = "../examples/fetch_on_tokio/main.rs"]
mod fetch_on_tokio;
#[path = "../examples/one_thread.rs"]
mod one_thread;
#[path = "../examples/plain_relay.rs"]
#[allow(dead_code, reason = "its main runs until it is killed")]
mod plain_relay;

use common::{LIMIT, any_port, recv_all, run};
use striper_runtime::{Listener, PipeExt, dial_tcp};

#[test]
fn the_examples_that_end_by_themselves_do_what_they_show() {
    one_thread::main().unwrap();
    fetch_on_tokio::main().unwrap();
    blocking::main().unwrap();
    answer_flows::main().unwrap();
    echo_datagrams::main().unwrap();
    datagram_over_flow::main().unwrap();
}

#[test]
fn a_plain_relay_passes_on_a_question_its_end_and_the_answer() {
    run(|ex| async move {
        let origin = Listener::bind(any_port(), None).await.unwrap();
        let listener = Listener::bind(any_port(), None).await.unwrap();
        let (relay, to) = (listener.local_addr(), origin.local_addr());
        let relaying = async { plain_relay::relay(ex.clone(), listener, to.into()).await };
        let talk = async {
            for _ in 0..2 {
                let mut here = dial_tcp(&relay.into(), LIMIT).await.unwrap();
                let (mut there, _) = origin.accept().await;
                here.send(b"question").await.unwrap();
                here.finish().await.unwrap();
                assert_eq!(recv_all(&mut there).await.unwrap(), b"question");
                there.send(b"answer").await.unwrap();
                there.finish().await.unwrap();
                assert_eq!(recv_all(&mut here).await.unwrap(), b"answer");
            }
        };
        smol::future::or(talk, relaying).await;
    });
}
