//! One run: a fresh route, a sink, and the pair of proxies between or nothing.
//!
//! Everything is new each time, so that no run profits or suffers from what the kernel remembers of
//! an earlier one.

use crate::clock;
use crate::emulator::{Path, Way};
use crate::load::{self, Amount, Direction, Received, Sink};
use crate::namespace::Namespace;
use crate::wan::Wan;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;
use striper_tests::TempDir;

/// Stripes of the pair, and flows whose caps make up the route.
pub const STRIPES: usize = 4;
const SINK: u16 = 7700;
const ENTRANCE: u16 = 7600;
const EXIT: u16 = 7650;

/// The pair of proxies to be measured.
pub struct Product {
    /// Where striper-cli is.
    pub bin: PathBuf,
    /// What it is told of congestion control, if anything.
    pub congestion: Option<OsString>,
    /// Its key file, if it has one.
    pub key: Option<OsString>,
}

/// A route with everything on it.
pub struct Trial {
    proxies: Vec<Proxy>,
    entry: SocketAddr,
    sink: Sink,
    /// The route.
    pub wan: Wan,
    client: Namespace,
    server: Namespace,
}

impl Trial {
    /// Sets all up; without a product the client talks to the sink directly. The stripes have had
    /// more than a second to come up.
    pub fn start(paths: &[Path], product: Option<&Product>) -> Result<Trial, String> {
        let (client, server) = (Namespace::create("a")?, Namespace::create("b")?);
        let wan = Wan::start(&client, &server, paths)?;
        let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, SINK));
        let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let far = |path: usize, port: u16| SocketAddr::from(([10, 99, path as u8, 2], port));
        let sink = server.run(|| Sink::start(everywhere))?;
        let mut trial =
            Trial { proxies: Vec::new(), entry: far(0, SINK), sink, wan, client, server };
        if let Some(product) = product {
            let listen = SocketAddr::from((Ipv4Addr::UNSPECIFIED, EXIT));
            let exit = ["-s".to_owned(), listen.to_string(), loopback(SINK).to_string()];
            trial.proxies.push(trial.server.run(|| product.start(&exit))?);
            thread::sleep(Duration::from_millis(500));
            let exits: Vec<_> = (0..paths.len()).map(|path| far(path, EXIT).to_string()).collect();
            trial.entry = loopback(ENTRANCE);
            let entrance = ["-c".to_owned(), trial.entry.to_string(), exits.join(",")];
            trial.proxies.push(trial.client.run(|| product.start(&entrance))?);
            thread::sleep(Duration::from_millis(1500));
            for proxy in &mut trial.proxies {
                if let Ok(Some(status)) = proxy.child.try_wait() {
                    return Err(format!(
                        "the proxy ended by itself, {status}:\n{}",
                        proxy.said().trim()
                    ));
                }
            }
        }
        Ok(trial)
    }

    /// A transfer from the client's side, see [`load::bulk`].
    pub fn bulk(
        &self,
        direction: Direction,
        amount: Amount,
    ) -> Result<(Received, Duration), String> {
        self.client.run(|| load::bulk(self.entry, direction, amount))
    }

    /// A transfer, and meanwhile something else.
    pub fn bulk_and<T>(
        &self,
        direction: Direction,
        amount: Amount,
        meanwhile: impl FnOnce() -> Result<T, String>,
    ) -> Result<(Received, Duration, T), String> {
        thread::scope(|scope| {
            let transfer = scope.spawn(|| self.bulk(direction, amount));
            let other = meanwhile();
            let transfer =
                transfer.join().unwrap_or_else(|_| Err("a thread of the lab panicked".to_owned()));
            let ((received, time), other) = (transfer?, other?);
            Ok((received, time, other))
        })
    }

    /// See [`load::pingpong`].
    pub fn pingpong(&self, during: Duration, skip: usize) -> Result<Vec<Duration>, String> {
        self.client.run(|| load::pingpong(self.entry, during, skip))
    }

    /// See [`load::request`].
    pub fn request(&self) -> Result<(), String> {
        self.client.run(|| load::request(self.entry))
    }

    /// The live flow that has carried most in this direction, and what each flow has carried.
    pub fn busiest(&self, direction: Direction) -> Result<(usize, Vec<u64>), String> {
        let carried = self.carried(direction);
        let live = carried.iter().enumerate().filter(|(_, (live, _))| *live);
        let busiest = live.max_by_key(|(_, (_, bytes))| *bytes).map(|(flow, _)| flow);
        let bytes = carried.iter().map(|(_, bytes)| *bytes).collect();
        busiest.map(|flow| (flow, bytes)).ok_or_else(|| "no connection on the route".to_owned())
    }

    /// How long it takes until so many flows as there are stripes have each carried ten full
    /// packets more than they had `before`.
    pub fn until_all_carry(
        &self,
        direction: Direction,
        before: &[u64],
        limit: Duration,
    ) -> Option<Duration> {
        let begin = clock::now();
        while clock::now() < begin + limit {
            let flows = self.carried(direction);
            let had = before.iter().copied().chain(std::iter::repeat(0));
            if flows
                .iter()
                .zip(had)
                .filter(|((live, now), had)| *live && now - had >= 15_000)
                .count()
                >= STRIPES
            {
                return Some(clock::now() - begin);
            }
            thread::sleep(Duration::from_millis(2));
        }
        None
    }

    /// For each flow in turn: whether it lives, and the bytes that it has carried.
    fn carried(&self, direction: Direction) -> Vec<(bool, u64)> {
        let way = if direction == Direction::Up { Way::Up } else { Way::Down };
        self.wan
            .emulator()
            .flows()
            .iter()
            .map(|flow| (flow.live, flow.carried[way as usize]))
            .collect()
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        for proxy in &mut self.proxies {
            let _ = proxy.child.kill();
        }
        for proxy in &mut self.proxies {
            let _ = proxy.child.wait();
        }
        let _ = self.server.run(|| {
            self.sink.stop();
            Ok(())
        });
    }
}

impl Product {
    /// Starts one side in the network namespace of the calling thread.
    fn start(&self, side: &[String]) -> Result<Proxy, String> {
        let mut command = Command::new(&self.bin);
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("STRIPER_"))
        {
            command.env_remove(name);
        }
        command.arg("-q").args(side).stdin(Stdio::null()).stdout(Stdio::null());
        if side[0] == "-c" {
            command.args(["-n", &STRIPES.to_string()]);
        }
        if let Some(name) = &self.congestion {
            command.arg("--congestion").arg(name);
        }
        if let Some(key) = &self.key {
            command.arg("--key").arg(key);
        }
        let mut start = || {
            let log = nameless_file()?;
            let child = command.stderr(log.try_clone()?).spawn()?;
            Ok(Proxy { child, log })
        };
        start().map_err(|error: io::Error| format!("starting {}: {error}", self.bin.display()))
    }
}

/// One side of the pair.
struct Proxy {
    child: Child,
    /// What it writes to standard error.
    log: File,
}

impl Proxy {
    fn said(&mut self) -> String {
        let mut text = String::new();
        let _ = self.log.seek(SeekFrom::Start(0)).and_then(|_| self.log.read_to_string(&mut text));
        text
    }
}

/// A file that goes with its last handle, however that ends.
fn nameless_file() -> io::Result<File> {
    let folder = TempDir::new();
    OpenOptions::new().read(true).write(true).create_new(true).open(folder.join("log"))
}
