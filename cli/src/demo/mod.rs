//! `demo`: shows striping on loopback within this process.
//!
//! ```text
//! program - client = route (caps each connection) = server - origin
//! ```
//! Client and server are those of `-c` and `-s`, and only the [`route`] is made up. So the figures
//! are those of a pair on such a route.

mod figures;
mod origin;
mod route;
mod screen;

use crate::args::Options;
use crate::failure::Failure;
use crate::listeners::{Listeners, Open};
use crate::log::{Log, Verbosity};
use crate::lookups::Lookups;
use crate::policy::Policy;
use crate::reach::{Reach, Terms};
use crate::service::{Connections, within};
use crate::ways::{self, Door, Inside};
use crate::{client, clock, events, server, units};
use figures::{Choked, Figures};
use origin::{Hash, Origin};
use route::{Lane, Limits, Route};
use screen::{BAR, Screen, bar};
use smol::Timer;
use std::cell::{Cell, RefCell};
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};
use striper_runtime::local::{Client, Executor, Server};
use striper_runtime::{HostPort, Listener, Rules, StartError, Target};

/// The cap of each connection: 20 Mbit/s, in bytes a second.
const RATE: u64 = 2_500_000;

/// The cap of the choked stripe: 1 Mbit/s, in bytes a second.
const CHOKED_RATE: u64 = 125_000;

const DELAY: Duration = Duration::from_millis(10);

/// The bytes of each run: 4 s of one capped connection.
const SIZE: u64 = 10_000_000;

/// The bytes of the run with the choked stripe: enough for steady rates before and after.
const CHOKED_SIZE: u64 = 18_000_000;

const RUNS: [usize; 4] = [1, 2, 4, 8];

/// A run without any byte for this long has failed.
const SILENCE: Duration = Duration::from_secs(10);

const GLANCE: Duration = Duration::from_millis(20);

const USE: &str = "
To use it, make a key once:  striper-cli keygen striper.key
    copy it to the server:   scp striper.key SERVER:
    on the server:           striper-cli -s 0.0.0.0:7650 localhost:22 -k striper.key
    on this machine:         striper-cli -c 2222 SERVER:7650 -k striper.key
    then:                    ssh -p 2222 localhost";

pub(crate) async fn run(
    ex: &Executor,
    log: &Log,
    options: &Options,
    json: bool,
) -> Result<u8, Failure> {
    let quiet = log.quiet();
    let log = if options.verbosity == Verbosity::Verbose { log } else { &quiet };
    let (screen, begin) = (Screen::new(log, json), clock::now());
    let stage = Stage::set(ex, log, options).await?;
    screen.line(format_args!(
        "{} from server to client, all on loopback in this process. The route\n\
         between them caps each connection at {} and takes {} there\n\
         and back.\n",
        units::bytes(SIZE),
        units::rate(RATE as f64),
        units::duration(DELAY * 2)
    ))?;
    screen.line("stripes     time         rate   speed-up")?;
    let (mut hashes, mut figures) = (Vec::new(), Figures::new(RATE, 2 * DELAY));
    for stripes in RUNS {
        let shown = format!("{stripes:>7}  ");
        let run = stage
            .run(stripes, SIZE, |_, done, rate| screen.progress(&shown, done, &units::rate(rate)))
            .await?;
        let transfer = figures.note(stripes, SIZE, run.time);
        let gain = transfer.speed_up;
        let full = RUNS[RUNS.len() - 1] as f64;
        screen.line(format_args!(
            "{stripes:>7}  {:>7}  {:>11}  {gain:>7.1}×  {}",
            units::duration(run.time),
            units::rate(transfer.bytes_per_second),
            bar(gain, full, BAR)
        ))?;
        hashes.push(run.hashes);
    }
    screen.line("")?;
    let (of_choked, choked) = choke(&stage, &screen).await?;
    hashes.push(of_choked);
    let intact = hashes.iter().all(|Hashes { sent, arrived }| sent == arrived && !sent.is_empty());
    screen.line("")?;
    for Hashes { sent, arrived } in hashes.iter().filter(|hashes| hashes.sent != hashes.arrived) {
        screen.line(format_args!("DAMAGED: sent sha256 {sent}, arrived {arrived}"))?;
    }
    let time = begin.elapsed();
    if !intact {
        return Err(Failure::unexpected("data arrived damaged: this is a bug, please report it"));
    }
    screen.line(format_args!(
        "Every byte arrived intact (sha256 compared in {} runs). {} in all.",
        hashes.len(),
        units::duration(time)
    ))?;
    screen.line(USE)?;
    figures.choked = Some(choked);
    (figures.intact, figures.duration_seconds) = (intact, time.as_secs_f64());
    screen.figures(&figures)?;
    Ok(0)
}

/// Chokes one of four stripes midway, and shows how much each carried before and after.
async fn choke(stage: &Stage<'_>, screen: &Screen) -> Result<(Hashes, Choked), Failure> {
    const STRIPES: usize = 4;
    const VICTIM: usize = 1;
    let watch = Watch::default();
    let run = stage
        .run(STRIPES, CHOKED_SIZE, |lanes, done, rate| {
            screen.progress("  choked ", done, &units::rate(rate));
            if watch.look(lanes) {
                lanes[VICTIM].rate.set(CHOKED_RATE);
            }
        })
        .await?;
    watch.look(&run.lanes);
    screen.line(format_args!(
        "{STRIPES} stripes again, {} in {}; midway stripe {} is choked to {}:",
        units::bytes(CHOKED_SIZE),
        units::duration(run.time),
        VICTIM + 1,
        units::rate(CHOKED_RATE as f64)
    ))?;
    let heads =
        (1..=STRIPES).map(|number| format!("{:>7}", format!("#{number}"))).collect::<String>();
    screen.line(format_args!("        {heads}      all"))?;
    let full = (RATE * STRIPES as u64) as f64;
    let mut measured = Vec::new();
    for (name, [from, to]) in ["before", "after "].into_iter().zip(watch.spans()) {
        let time = to.at.duration_since(from.at).as_secs_f64();
        let carried = to.carried.iter().zip(&from.carried);
        let rates: Vec<f64> = carried.map(|(to, from)| (to - from) as f64 / time).collect();
        let all: f64 = rates.iter().sum();
        let each = rates.iter().map(|rate| format!("{:>7.1}", rate * 8e-6)).collect::<String>();
        screen.line(format_args!(
            "  {name}{each}  {:>7.1} Mbit/s  {}",
            all * 8e-6,
            bar(all, full, BAR / 2)
        ))?;
        measured.push(rates);
    }
    let mut measured = measured.into_iter();
    let choked = Choked {
        stripes: STRIPES,
        bytes: CHOKED_SIZE,
        duration_seconds: run.time.as_secs_f64(),
        place: VICTIM + 1,
        cap_bytes_per_second: CHOKED_RATE,
        before_bytes_per_second: measured.next().unwrap_or_default(),
        after_bytes_per_second: measured.next().unwrap_or_default(),
    };
    Ok((run.hashes, choked))
}

#[derive(Default)]
struct Watch {
    glances: RefCell<Vec<Glance>>,
    /// The place of the glance at which the choke began.
    choked: Cell<Option<usize>>,
}

#[derive(Clone)]
struct Glance {
    at: Instant,
    carried: Vec<u64>,
}

impl Glance {
    /// The share of all bytes on the route. The program may have fewer, because it waits for bytes
    /// of the choked stripe.
    fn done(&self) -> f64 {
        self.carried.iter().sum::<u64>() as f64 / CHOKED_SIZE as f64
    }
}

impl Watch {
    /// The time after the choke in which earlier bytes of the choked stripe arrive.
    const SETTLING: Duration = Duration::from_millis(250);

    /// Looks at the lanes. Returns whether the choke begins now.
    fn look(&self, lanes: &[Rc<Lane>]) -> bool {
        let carried = lanes.iter().map(|lane| lane.carried.get()).collect();
        let glance = Glance { at: clock::now(), carried };
        let begins = self.choked.get().is_none() && glance.done() >= 0.45;
        let mut glances = self.glances.borrow_mut();
        glances.push(glance);
        if begins {
            self.choked.set(Some(glances.len() - 1));
        }
        begins
    }

    /// The first and the last glance at steady rates, before the choke and after it.
    fn spans(&self) -> Vec<[Glance; 2]> {
        let glances = self.glances.borrow();
        let Some(choked) = self.choked.get() else { return Vec::new() };
        let (before, after) = glances.split_at(choked + 1);
        let early = before.iter().find(|glance| glance.done() >= 0.1);
        let settled = before[choked].at + Self::SETTLING;
        let settled = after.iter().find(|glance| glance.at >= settled);
        // The very end is left out, because stripes run dry there one by one. But if a stripe died
        // and was replaced, the lanes never carry so much.
        let late = after.iter().find(|glance| glance.done() >= 0.95).or(after.last());
        let spans = [early.zip(before.last()), settled.zip(late)].into_iter().flatten();
        spans.map(|(from, to)| [from.clone(), to.clone()]).collect()
    }
}

struct Stage<'a> {
    ex: &'a Executor,
    log: &'a Log,
    options: &'a Options,
    origin: Origin,
    route: Route,
    connections: Connections,
}

struct Run {
    time: Duration,
    hashes: Hashes,
    lanes: Vec<Rc<Lane>>,
}

struct Hashes {
    sent: Hash,
    arrived: Hash,
}

impl<'a> Stage<'a> {
    async fn set(ex: &'a Executor, log: &'a Log, options: &'a Options) -> Result<Self, Failure> {
        let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let unbound = |error| Failure::bind(here, &error);
        let origin = Origin::start(ex).await.map_err(unbound)?;
        let events = events::listener(log, events::LINES);
        let heard = Some(events.clone());
        let server = Server::bind(ex, here, server::server_options(options), heard).await;
        let server = server.map_err(|error| match error {
            StartError::Io(error) => unbound(error),
            error => Failure::unexpected(error.to_string()),
        })?;
        let limits = Limits { rate: RATE, delay: DELAY };
        let route = Route::start(ex, server.local_addr(), limits).map_err(unbound)?;
        let connections = Connections::default();
        let target = HostPort::from(origin.address);
        let limit = options.connect_timeout;
        let told = events::Connections::new(log, events::LINES);
        let (policy, lookups) = (Policy::new(Rules::default(), None), Lookups::new(ex));
        let terms = Terms { own: Some(target), limit, proxy_protocol: None };
        let reach = Rc::new(Reach::new(terms, policy, lookups));
        let listeners = Listeners {
            ex: ex.clone(),
            told,
            events,
            reach,
            connections: connections.clone(),
            open: Open::default(),
        };
        ex.spawn(server::attend(server, listeners)).detach();
        Ok(Stage { ex, log, options, origin, route, connections })
    }

    /// Moves `size` bytes over this many stripes. Meanwhile `look` gets the route's lanes, the
    /// share that has arrived and the mean rate.
    async fn run(
        &self,
        stripes: usize,
        size: u64,
        look: impl Fn(&[Rc<Lane>], f64, f64),
    ) -> Result<Run, Failure> {
        let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let events = events::listener(self.log, events::LINES);
        let listener = Listener::bind(here, Some(events.clone())).await;
        let listener = listener.map_err(|error| Failure::bind(here, &error))?;
        let address = listener.local_addr();
        let options = Options { stripes, ..self.options.clone() };
        let servers = [HostPort::from(self.route.address)];
        let options = client::client_options(&options, &servers);
        let client = Client::start(self.ex, options, Some(events));
        let client = client.map_err(|error| Failure::setting(&error))?;
        let inside = Inside {
            lookups: Lookups::new(self.ex),
            ex: self.ex.clone(),
            told: events::Connections::new(self.log, events::LINES),
            client: client.clone(),
            connections: self.connections.clone(),
            terms: ways::Terms::new(None, Vec::new(), self.options.connect_timeout),
        };
        let _attending =
            self.ex.spawn(Door::Tcp(Rc::new(listener), Target::Default).attend(inside));
        self.wait_for_stripes(&client, stripes).await?;
        let (lanes, progress, begin) = (self.route.lanes(), Cell::new(0), clock::now());
        let looking = async {
            loop {
                Timer::after(GLANCE).await;
                let time = begin.elapsed().as_secs_f64();
                look(&lanes, progress.get() as f64 / size as f64, progress.get() as f64 / time);
            }
        };
        let arrived =
            smol::future::or(origin::fetch(address, size, &progress, SILENCE), looking).await;
        let arrived = arrived.map_err(|error| {
            let stripes = units::count(stripes, "stripe");
            let cause = format!("the transfer over {stripes} failed: {error}");
            let cure = "run striper-cli demo -v for details";
            Failure { cure: Some(cure.into()), ..Failure::unexpected(cause) }
        })?;
        let time = begin.elapsed();
        client.shutdown(Duration::from_secs(1)).await;
        Ok(Run { time, hashes: Hashes { sent: self.origin.sent(), arrived }, lanes })
    }

    /// The time of a run begins when its stripes are up, as those of a real client are before a
    /// program connects.
    async fn wait_for_stripes(&self, client: &Client, stripes: usize) -> Result<(), Failure> {
        let live = || client.status().sessions.iter().map(|session| session.live).sum::<usize>();
        let up = async {
            while live() < stripes || self.route.lanes().len() < stripes {
                Timer::after(GLANCE).await;
            }
        };
        within(SILENCE, up).await.ok_or_else(|| {
            let error = client.status().last_dial_error;
            let error = error.map(|error| format!(": {error}")).unwrap_or_default();
            Failure::unexpected(format!("only {} of {stripes} stripes came up{error}", live()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Command, parse};

    #[test]
    fn the_commands_at_the_end_are_correct_and_use_a_key() {
        let command = |line: &'static str| line.split("striper-cli ").nth(1);
        let lines: Vec<&str> = USE.lines().filter_map(command).collect();
        assert_eq!(lines.len(), 3);
        for line in lines {
            let read = parse(line.split(' ').map(Into::into), |_| None).unwrap();
            let makes = matches!(read.command, Command::Keygen { .. });
            assert!(makes || !read.options.keys.files.is_empty(), "{line}");
        }
    }
}
