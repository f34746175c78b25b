//! A client and a server on loopback, and what they tell.

#![allow(dead_code, reason = "each test file uses a part of it")]

#[path = "../../src/pipe/testing.rs"]
mod testing;

#[allow(unused_imports, reason = "each test file uses a part of it")]
pub use testing::{Source, recv_all};

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use striper_runtime::local::{Client, ClientOptions, Executor, Server, ServerOptions};
use striper_runtime::{Carrier, Event, Pipe, PipeExt, PipeInfo, Received};

pub const LIMIT: Duration = Duration::from_secs(10);

/// Runs a test on an executor of its own. Hanging is failing.
pub fn run<F: Future<Output = ()>>(test: impl FnOnce(Executor) -> F) {
    let ex = Executor::default();
    let limit = async {
        smol::Timer::after(Duration::from_secs(60)).await;
        panic!("the test hangs");
    };
    smol::block_on(ex.run(smol::future::or(test(ex.clone()), limit)));
}

pub fn any_port() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

#[derive(Clone, Default)]
pub struct Log(pub Rc<RefCell<Vec<Event>>>);

impl Log {
    pub fn sink(&self) -> Option<Rc<dyn Fn(Event)>> {
        let log = self.0.clone();
        Some(Rc::new(move |event| log.borrow_mut().push(event)))
    }

    pub async fn wait_for(&self, wanted: impl Fn(&Event) -> bool) {
        self.wait_for_count(1, wanted).await;
    }

    pub async fn wait_for_count(&self, count: usize, wanted: impl Fn(&Event) -> bool) {
        while self.count(&wanted) < count {
            smol::Timer::after(Duration::from_millis(1)).await;
        }
    }

    pub fn count(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.0.borrow().iter().filter(|event| wanted(event)).count()
    }
}

pub async fn start_server(ex: &Executor, log: &Log) -> Server {
    Server::bind(ex, any_port(), ServerOptions::default(), log.sink()).await.unwrap()
}

pub fn start_client(ex: &Executor, to: SocketAddr, log: &Log) -> Client {
    Client::start(ex, ClientOptions::new(vec![to.into()]), log.sink()).unwrap()
}

/// A port at which nobody listens.
pub fn vacant_port() -> SocketAddr {
    std::net::TcpListener::bind(any_port()).unwrap().local_addr().unwrap()
}

/// Bytes that differ everywhere, so that nothing can be swapped unnoticed.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut data = Vec::with_capacity(len + 8);
    while data.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        data.extend_from_slice(&state.to_le_bytes());
    }
    data.truncate(len);
    data
}
