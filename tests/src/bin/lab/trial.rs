//! One run: a fresh route, a sink, and maybe the pair of proxies between them.
//!
//! All is new in each run, so the kernel remembers nothing of an earlier one.

use crate::clock;
use crate::emulator::{Path, Way};
use crate::load::{self, Amount, Received, Sink};
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

/// The stripes of the pair, and the flows whose caps make up the route.
pub const STRIPES: usize = 4;
const SINK: u16 = 7700;
const CLIENT: u16 = 7600;
const SERVER: u16 = 7650;

pub struct Product {
    pub bin: PathBuf,
    pub congestion: Option<OsString>,
    pub key: Option<OsString>,
}

pub struct Trial {
    proxies: Vec<Proxy>,
    entry: SocketAddr,
    sink: Sink,
    pub wan: Wan,
    client: Namespace,
    server: Namespace,
}

impl Trial {
    /// Starts all; without a product the client talks to the sink directly. The stripes have had
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
            let listen = SocketAddr::from((Ipv4Addr::UNSPECIFIED, SERVER));
            let server = ["-s".to_owned(), listen.to_string(), loopback(SINK).to_string()];
            trial.proxies.push(trial.server.run(|| product.start(&server))?);
            thread::sleep(Duration::from_millis(500));
            let ports = (0..paths.len()).map(|path| far(path, SERVER).to_string());
            trial.entry = loopback(CLIENT);
            let ports = ports.collect::<Vec<_>>().join(",");
            let client = ["-c".to_owned(), trial.entry.to_string(), ports];
            trial.proxies.push(trial.client.run(|| product.start(&client))?);
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

    pub fn bulk(&self, direction: Way, amount: Amount) -> Result<(Received, Duration), String> {
        self.client.run(|| load::bulk(self.entry, direction, amount))
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
            let transfer =
                transfer.join().unwrap_or_else(|_| Err("a thread of the lab panicked".to_owned()));
            let ((received, time), other) = (transfer?, other?);
            Ok((received, time, other))
        })
    }

    pub fn pingpong(&self, during: Duration, skip: usize) -> Result<Vec<Duration>, String> {
        self.client.run(|| load::pingpong(self.entry, during, skip))
    }

    pub fn request(&self) -> Result<(), String> {
        self.client.run(|| load::request(self.entry))
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
            if flows.iter().zip(had).filter(carries).count() >= STRIPES {
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
    /// Starts one side in the namespace of the calling thread.
    fn start(&self, side: &[String]) -> Result<Proxy, String> {
        let mut command = Command::new(&self.bin);
        let names = std::env::vars_os().map(|(name, _)| name);
        for name in names.filter(|name| name.to_string_lossy().starts_with("STRIPER_")) {
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

struct Proxy {
    child: Child,
    log: File,
}

impl Proxy {
    fn said(&mut self) -> String {
        let mut text = String::new();
        let _ = self.log.seek(SeekFrom::Start(0)).and_then(|_| self.log.read_to_string(&mut text));
        text
    }
}

/// A file that is gone when its last handle is closed.
fn nameless_file() -> io::Result<File> {
    let folder = TempDir::create();
    OpenOptions::new().read(true).write(true).create_new(true).open(folder.join("log"))
}
