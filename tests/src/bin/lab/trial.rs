//! One run: a fresh route, a sink, and maybe a pair of proxies between them.
//!
//! All is new in each run, so the kernel remembers nothing of an earlier one.

use crate::clock;
use crate::emulator::Way;
use crate::load::{self, Amount, Congestion, Received, Sink};
use crate::namespace::Namespace;
use crate::peers::{Peer, Places, Programs, Running, network};
use crate::route::Route;
use crate::wan::Wan;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::Duration;

const SINK: u16 = 7700;
const FOREIGN: u16 = 7710;
const CLIENT: u16 = 7600;
const SERVER: u16 = 7650;

pub struct Trial {
    route: Route,
    proxies: Vec<Running>,
    /// Where the load's connections go, and their congestion control.
    entries: Vec<SocketAddr>,
    congestion: Congestion,
    /// The load's sink, and that of a foreign connection.
    sinks: Vec<Sink>,
    pub wan: Wan,
    client: Namespace,
    server: Namespace,
}

impl Trial {
    /// Starts all. The stripes of a pair have had more than a second to come up.
    pub fn start(route: &Route, peer: Peer, programs: &Programs) -> Result<Trial, String> {
        let (client, server) = (Namespace::create("a")?, Namespace::create("b")?);
        let wan = Wan::start(&client, &server, route)?;
        let sink = |port, congestion| {
            let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
            server.run(|| Sink::start(everywhere, congestion))
        };
        let sinks = vec![sink(SINK, peer.congestion())?, sink(FOREIGN, route.foreign)?];
        let paths = route.paths.len();
        let servers: Vec<_> = (0..paths).map(|path| far(path, SERVER)).collect();
        let places = Places { sink: SINK, entry: CLIENT, server: &servers, stripes: route.stripes };
        for (namespace, lines) in [&server, &client].into_iter().zip(network(peer, &places)) {
            namespace.ip(&lines)?;
        }
        let pair = programs.pair(peer, &places);
        let entries = match peer {
            _ if pair.is_some() => vec![SocketAddr::from((Ipv4Addr::LOCALHOST, CLIENT))],
            Peer::Bare(_) => (0..route.stripes).map(|stripe| far(stripe % paths, SINK)).collect(),
            _ => vec![far(0, SINK)],
        };
        let (route, congestion) = (route.clone(), peer.congestion());
        let proxies = Vec::new();
        let mut trial = Trial { route, proxies, entries, congestion, sinks, wan, client, server };
        if let Some([server, client]) = pair {
            trial.proxies.push(trial.server.run(|| server.start())?);
            thread::sleep(Duration::from_millis(500));
            trial.proxies.push(trial.client.run(|| client.start())?);
            thread::sleep(Duration::from_millis(1500));
            trial.proxies.iter_mut().try_for_each(Running::check)?;
        }
        Ok(trial)
    }

    pub fn route(&self) -> &Route {
        &self.route
    }

    /// Transfers in bulk over all connections of the load, and returns their figures together.
    pub fn bulk(&self, direction: Way, amount: Amount) -> Result<(Received, Duration), String> {
        self.wan.emulator().begin_load(clock::now());
        let one = |to| self.connection(to, direction, amount, self.congestion);
        let all = thread::scope(|scope| {
            let start = |to: &SocketAddr| {
                let to = *to;
                scope.spawn(move || one(to))
            };
            let all: Vec<_> = self.entries.iter().map(start).collect();
            all.into_iter().map(joined).collect::<Result<Vec<_>, _>>()
        })?;
        let both = |(sum, longest): (Received, Duration), (received, time): (Received, _)| {
            (sum.with(received), longest.max(time))
        };
        all.into_iter().reduce(both).ok_or_else(|| "a load without connections".to_owned())
    }

    /// Transfers in bulk over the route's foreign connection, which is on the first path.
    pub fn foreign(&self, direction: Way, amount: Amount) -> Result<Received, String> {
        Ok(self.connection(far(0, FOREIGN), direction, amount, self.route.foreign)?.0)
    }

    fn connection(
        &self,
        to: SocketAddr,
        direction: Way,
        amount: Amount,
        congestion: Congestion,
    ) -> Result<(Received, Duration), String> {
        self.client.run(|| load::bulk(to, direction, amount, congestion))
    }

    pub fn bulk_and<T>(
        &self,
        direction: Way,
        amount: Amount,
        meanwhile: impl FnOnce() -> Result<T, String>,
    ) -> Result<(Received, Duration, T), String> {
        thread::scope(|scope| {
            let transfer = scope.spawn(|| self.bulk(direction, amount));
            let other = meanwhile();
            let ((received, time), other) = (joined(transfer)?, other?);
            Ok((received, time, other))
        })
    }

    pub fn pingpong(&self, during: Duration, skip: usize) -> Result<Vec<Duration>, String> {
        self.client.run(|| load::pingpong(self.entries[0], during, skip))
    }

    pub fn request(&self) -> Result<(), String> {
        self.client.run(|| load::request(self.entries[0]))
    }

    /// The live flow with the most bytes in this direction, and the bytes of each flow.
    pub fn busiest(&self, direction: Way) -> Result<(usize, Vec<u64>), String> {
        let carried = self.carried(direction);
        let live = carried.iter().enumerate().filter(|(_, (live, _))| *live);
        let busiest = live.max_by_key(|(_, (_, bytes))| *bytes).map(|(flow, _)| flow);
        let bytes = carried.iter().map(|(_, bytes)| *bytes).collect();
        busiest.map(|flow| (flow, bytes)).ok_or_else(|| "no connection on the route".to_owned())
    }

    /// The time until as many flows as there are stripes have each carried ten full packets more
    /// than `before`.
    pub fn until_all_carry(
        &self,
        direction: Way,
        before: &[u64],
        limit: Duration,
    ) -> Option<Duration> {
        let begin = clock::now();
        while clock::now() < begin + limit {
            let flows = self.carried(direction);
            let had = before.iter().copied().chain(std::iter::repeat(0));
            let carries = |((live, now), had): &(&(bool, u64), u64)| *live && now - had >= 15_000;
            if flows.iter().zip(had).filter(carries).count() >= self.route.stripes {
                return Some(clock::now() - begin);
            }
            thread::sleep(Duration::from_millis(2));
        }
        None
    }

    fn carried(&self, direction: Way) -> Vec<(bool, u64)> {
        let emulator = self.wan.emulator();
        let flows = emulator.flows().iter();
        flows.map(|flow| (flow.live, flow.carried[direction as usize])).collect()
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        self.proxies.clear();
        let _ = self.server.run(|| {
            self.sinks.iter().for_each(Sink::stop);
            Ok(())
        });
    }
}

/// The server's address on a path.
fn far(path: usize, port: u16) -> SocketAddr {
    SocketAddr::from(([10, 99, path as u8, 2], port))
}

fn joined<T>(thread: thread::ScopedJoinHandle<'_, Result<T, String>>) -> Result<T, String> {
    thread.join().unwrap_or_else(|_| Err("a thread of the lab panicked".to_owned()))
}
