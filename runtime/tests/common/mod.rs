//! A pair of proxies on loopback, with an origin behind the server and a route between the two that
//! can be cut.

#![allow(dead_code, reason = "each test file uses a part of it")]

#[path = "../../src/pipe/testing.rs"]
mod testing;

#[allow(unused_imports, reason = "each test file uses a part of it")]
pub use testing::recv_all;

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use striper_runtime::local::{Client, ClientOptions, Executor, Server, ServerOptions};
use striper_runtime::{
    Event, FlowReport, HostPort, Listener, Pipe, PipeExt, PipeInfo, Received, Target, TcpPipe,
    bridge, dial_tcp,
};

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

/// What a side has told so far.
#[derive(Clone, Default)]
pub struct Log(pub Rc<RefCell<Vec<Event>>>);

impl Log {
    pub fn sink(&self) -> Option<Rc<dyn Fn(Event)>> {
        let log = self.0.clone();
        Some(Rc::new(move |event| log.borrow_mut().push(event)))
    }

    pub async fn wait_for(&self, wanted: impl Fn(&Event) -> bool) {
        while !self.0.borrow().iter().any(&wanted) {
            smol::Timer::after(Duration::from_millis(1)).await;
        }
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

/// A relay whose connections can be cut.
#[derive(Clone)]
pub struct Route {
    pub addr: SocketAddr,
    /// Where it leads.
    pub to: Rc<Cell<SocketAddr>>,
    connections: Rc<RefCell<Vec<smol::Task<()>>>>,
}

impl Route {
    pub async fn start(ex: &Executor, to: SocketAddr) -> Route {
        let listener = Listener::bind(any_port(), None).await.unwrap();
        let route = Route {
            addr: listener.local_addr(),
            to: Rc::new(Cell::new(to)),
            connections: Rc::default(),
        };
        let to = route.to.clone();
        let (connections, spawner) = (route.connections.clone(), ex.clone());
        ex.spawn(async move {
            loop {
                let (mut a, _) = listener.accept().await;
                let to = to.get();
                let task = spawner.spawn(async move {
                    if let Ok(mut b) = dial_tcp(&to.into(), LIMIT).await {
                        bridge(&mut a, &mut b).await;
                    }
                });
                connections.borrow_mut().push(task);
            }
        })
        .detach();
        route
    }

    /// Resets the oldest connection.
    pub fn cut_one(&self) {
        self.connections.borrow_mut().retain(|task| !task.is_finished());
        drop(self.connections.borrow_mut().remove(0));
    }

    /// Resets them all.
    pub fn cut_all(&self) {
        self.connections.borrow_mut().clear();
    }
}

/// A pair of proxies.
pub struct Pair {
    pub ex: Executor,
    pub client: Client,
    pub server: Server,
    pub route: Route,
    pub client_log: Log,
    pub server_log: Log,
    /// Where the client takes TCP connections.
    pub entrance: SocketAddr,
    pub client_reports: Rc<RefCell<Vec<FlowReport>>>,
    pub server_reports: Rc<RefCell<Vec<FlowReport>>>,
}

pub async fn start_server(ex: &Executor, log: &Log) -> Server {
    Server::bind(ex, any_port(), ServerOptions::default(), log.sink()).await.unwrap()
}

pub fn start_client(ex: &Executor, to: SocketAddr, log: &Log) -> Client {
    Client::start(ex, ClientOptions::new(vec![to.into()]), log.sink()).unwrap()
}

impl Pair {
    /// A pair that connects whatever comes to `origin`.
    pub async fn start(ex: &Executor, origin: SocketAddr) -> Pair {
        let (client_log, server_log) = (Log::default(), Log::default());
        let server = start_server(ex, &server_log).await;
        let route = Route::start(ex, server.local_addr()).await;
        let client = start_client(ex, route.addr, &client_log);
        let client_reports: Rc<RefCell<Vec<FlowReport>>> = Rc::default();
        let server_reports: Rc<RefCell<Vec<FlowReport>>> = Rc::default();
        let (exit, reports, spawner) = (server.clone(), server_reports.clone(), ex.clone());
        ex.spawn(async move {
            loop {
                let incoming = exit.accept().await;
                let reports = reports.clone();
                spawner
                    .spawn(async move {
                        match dial_tcp(&HostPort::from(origin), LIMIT).await {
                            Ok(local) => {
                                let report = incoming.carry(Box::new(local)).await;
                                reports.borrow_mut().push(report);
                            }
                            Err(error) => incoming.refuse(error.reason()),
                        }
                    })
                    .detach();
            }
        })
        .detach();
        let listener = Listener::bind(any_port(), None).await.unwrap();
        let entrance = listener.local_addr();
        let (entry, reports, spawner) = (client.clone(), client_reports.clone(), ex.clone());
        ex.spawn(async move {
            loop {
                let (local, _) = listener.accept().await;
                let (entry, reports) = (entry.clone(), reports.clone());
                spawner
                    .spawn(async move {
                        let report = entry.carry(Target::Default, Box::new(local)).await;
                        reports.borrow_mut().push(report);
                    })
                    .detach();
            }
        })
        .detach();
        Pair {
            ex: ex.clone(),
            client,
            server,
            route,
            client_log,
            server_log,
            entrance,
            client_reports,
            server_reports,
        }
    }

    pub async fn connect(&self) -> TcpPipe {
        dial_tcp(&self.entrance.into(), LIMIT).await.unwrap()
    }
}

/// An origin and the next connection to it.
pub struct Origin(Listener);

impl Origin {
    pub async fn start() -> Origin {
        Origin(Listener::bind(any_port(), None).await.unwrap())
    }

    pub fn addr(&self) -> SocketAddr {
        self.0.local_addr()
    }

    pub async fn accept(&self) -> TcpPipe {
        self.0.accept().await.0
    }
}

/// Exactly so many bytes.
pub async fn recv_exact(pipe: &mut dyn Pipe, count: usize) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    while all.len() < count {
        match poll_fn(|cx| pipe.poll_recv(cx, count - all.len())).await? {
            Received::Chunk(chunk) => all.extend_from_slice(&chunk),
            Received::Fin => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
    Ok(all)
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
