//! One transfer measured over several stripe counts.
//!
//! The clock starts when the flow is opened on stripes that are up, so dialing is not measured. It
//! stops when the FIN has come out at the other end. The same transfer gives the same figures.

use crate::base::{Rate, Side, micros, scheduler, write_rate, write_size, write_time};
use crate::net::{Fault, FlowPlan, LinkSpec, Pipe, RECORD_OVERHEAD, Told, fluid_time};
use crate::run::{Bare, Checks, NamedTrace, Path, Recordings, Setup, World, record};
use std::cell::Cell;
use std::ops::Range;
use std::time::Duration;
use striper_core::SchedulerKind;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transfer {
    /// The stripes' caps, dealt in turn.
    pub caps: Vec<Rate>,
    pub stripes: Vec<usize>,
    pub path: Path,
    pub seed: u64,
    pub idle: Duration,
    pub size: u64,
    pub schedulers: Vec<SchedulerKind>,
    pub check: bool,
    /// Times after the opening of the flow, numbers of routes, and faults.
    pub faults: Vec<(Duration, usize, Fault)>,
}

impl Default for Transfer {
    fn default() -> Self {
        Transfer {
            caps: Vec::new(),
            stripes: Vec::new(),
            path: Path::default(),
            seed: 1,
            idle: Duration::ZERO,
            size: 8 << 20,
            schedulers: vec![SchedulerKind::Earliest],
            check: false,
            faults: Vec::new(),
        }
    }
}

pub const FAULTS: [(&str, Fault); 8] = [
    ("reset", Fault::Reset { told: Told::Both }),
    ("half-reset", Fault::Reset { told: Told::Only(Side::Server) }),
    ("close", Fault::Close { by: Side::Server }),
    ("forget", Fault::Forget { from: [true, true] }),
    ("silence", Fault::Silence { from: [true, true] }),
    ("silence-up", Fault::Silence { from: [true, false] }),
    ("silence-down", Fault::Silence { from: [false, true] }),
    ("heal", Fault::Heal),
];

#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    pub scheduler: SchedulerKind,
    pub stripes: usize,
    pub time: Option<Duration>,
    pub ideal: Duration,
    pub reorder_peak: u64,
    pub resent: u64,
    /// The longest time without a delivery.
    pub pause: Duration,
    /// The time in which as many greedy connections without sessions deliver as much; `None` with
    /// faults.
    pub alone: Option<Duration>,
    /// Bytes that foreign connections delivered during the transfer.
    pub foreign: u64,
    caps: Rate,
    size: u64,
}

impl Row {
    pub fn goodput(&self) -> f64 {
        self.rate(self.size, self.time)
    }

    /// The goodput of connections without sessions.
    pub fn goodput_alone(&self) -> Option<f64> {
        self.alone.map(|time| self.rate(self.size, Some(time)))
    }

    pub fn foreign_goodput(&self) -> f64 {
        self.rate(self.foreign, self.time)
    }

    /// The share that the goodput is of all caps together, or of a shared bottleneck.
    pub fn share_of_caps(&self) -> f64 {
        self.goodput() / self.caps.as_bits() as f64
    }

    fn rate(&self, bytes: u64, time: Option<Duration>) -> f64 {
        time.map_or(0.0, |time| bytes as f64 * 8e6 / micros(time).max(1) as f64)
    }

    pub fn share(&self) -> f64 {
        self.time.map_or(0.0, |time| micros(self.ideal) as f64 / micros(time) as f64)
    }
}

pub(crate) struct Run<T> {
    pub(crate) row: Row,
    pub(crate) watched: T,
    pub(crate) world: World,
    pub(crate) start: u64,
    pub(crate) pipes: Vec<Pipe>,
}

impl Transfer {
    /// The command that measures one row of it again.
    pub fn command(&self, stripes: usize, scheduler: SchedulerKind) -> String {
        let caps: Vec<String> = self.caps.iter().map(|cap| write_rate(*cap)).collect();
        let check = if self.check { " --check" } else { "" };
        let faults = self.written_faults();
        let faults: String = faults.iter().map(|fault| format!(" --fault {fault}")).collect();
        format!(
            "cargo run -p sim -- --caps {} --stripes {stripes}{} --idle {} --seed {} --size {} \
             --scheduler {}{faults}{check}",
            caps.join(","),
            self.path.written(),
            write_time(self.idle),
            self.seed,
            write_size(self.size),
            scheduler::name(scheduler),
        )
    }

    pub(crate) fn written_faults(&self) -> Vec<String> {
        let write = |(at, route, fault): &(Duration, usize, Fault)| {
            let name =
                FAULTS.iter().find(|(_, known)| known == fault).map_or("?", |(name, _)| name);
            format!("{}:{route}:{name}", write_time(*at))
        };
        self.faults.iter().map(write).collect()
    }

    pub(crate) fn trouble(&self) -> String {
        let loss = match self.path.loss {
            0 => "no random loss".into(),
            _ => format!("{} random loss", self.path.written_loss()),
        };
        match &self.written_faults()[..] {
            [] => format!("{loss}, no faults"),
            [fault] => format!("{loss}, the fault {fault}"),
            faults => format!("{loss}, the faults {}", faults.join(" and ")),
        }
    }

    pub fn measure(&self, stripes: usize, scheduler: SchedulerKind) -> Row {
        self.run(stripes, scheduler, |_| ()).row
    }

    pub fn record(&self, stripes: usize, scheduler: SchedulerKind) -> Vec<NamedTrace> {
        let command = self.command(stripes, scheduler);
        let recordings = Recordings::new(move |_| command.clone());
        self.run(stripes, scheduler, |world| world.observe(recordings.observer()));
        recordings.finish(None)
    }

    pub fn write_traces(&self, path: &std::path::Path) -> Result<(), String> {
        record::write(path, &self.record(self.stripes[0], self.schedulers[0])).map(drop)
    }

    /// Runs one transfer in a world that is shown to `watch` before anything happens in it.
    pub(crate) fn run<T>(
        &self,
        stripes: usize,
        scheduler: SchedulerKind,
        watch: impl FnOnce(&mut World) -> T,
    ) -> Run<T> {
        let caps = self.caps_of(stripes);
        let setup = self.setup(stripes, scheduler, &caps);
        let pipes = self.path.pipes(&caps);
        let ideal = fluid_time(&pipes, self.size).expect("pipes that never stop");
        let limit = 100 * ideal + 600_000_000;
        let routes = setup.routes.clone();

        let mut world = World::new(setup);
        let watched = watch(&mut world);
        let warm = world.warm_up(limit);
        let start = world.now() + micros(self.idle);
        let flow = world.open(FlowPlan::upload(start, self.size));
        for (route, (specs, dips)) in routes.iter().zip(self.path.dips(&caps)).enumerate() {
            if !dips.is_empty() {
                let specs = specs.clone().map(|spec| dipping(spec, start, &dips));
                world.fault(start, route, Fault::Change(Box::new(specs)));
            }
        }
        for (at, route, fault) in self.faults.iter().filter(|(_, route, _)| *route < stripes) {
            world.fault(start + micros(*at), *route, fault.clone());
        }
        let foreign = world.foreign_delivered();
        let log = Log { last: Cell::new((start, 0)), pause: Cell::new(0) };
        let going = |world: &World| {
            let end = world.flow(flow).end(Side::Server);
            log.note(world.now(), end.delivered);
            end.fin_at.is_none()
        };
        let done = warm && world.run_while(start + limit, going);
        let row = Row {
            scheduler,
            stripes,
            time: done.then(|| Duration::from_micros(world.now() - start)),
            ideal: Duration::from_micros(ideal),
            reorder_peak: world.stats(Side::Server).reordering_peak,
            resent: world.stats(Side::Client).payload_resent,
            pause: Duration::from_micros(log.pause.get()),
            alone: self.alone(&caps, limit),
            foreign: world.foreign_delivered() - foreign,
            caps: pipes.iter().map(|pipe| pipe.rate[0].1).sum(),
            size: self.size,
        };
        Run { row, watched, world, start, pipes }
    }

    fn caps_of(&self, stripes: usize) -> Vec<Rate> {
        self.caps.iter().copied().cycle().take(stripes).collect()
    }

    fn setup(&self, stripes: usize, scheduler: SchedulerKind, caps: &[Rate]) -> Setup {
        let mut setup = Setup::capped(self.seed, caps, Duration::ZERO);
        setup.routes = self.path.routes(caps);
        setup.shared = self.path.shared_link();
        setup.foreign = self.path.foreign_routes();
        for config in &mut setup.config {
            config.scheduler = scheduler;
            config.record_overhead = if self.path.key { RECORD_OVERHEAD } else { 0 };
        }
        setup.checks = if self.check { Checks::Always } else { Checks::Off };
        setup.repeat = self.command(stripes, scheduler);
        setup
    }

    /// The goodput of so many connections without sessions between two times in seconds, and what
    /// their caps or the shared bottleneck allow.
    pub fn bare_goodput(&self, stripes: usize, seconds: Range<u64>) -> [Rate; 2] {
        let caps = self.caps_of(stripes);
        let [own, _] = self.bare(&caps).goodput(seconds.start * 1_000_000, seconds.end * 1_000_000);
        [own, self.path.pipes(&caps).iter().map(|pipe| pipe.rate[0].1).sum()]
    }

    fn bare(&self, caps: &[Rate]) -> Bare {
        let mut routes = Path { key: false, ..self.path.clone() }.routes(caps);
        for (specs, dips) in routes.iter_mut().zip(self.path.dips(caps)) {
            *specs = specs.clone().map(|spec| dipping(spec, 0, &dips));
        }
        let (shared, foreign) = (self.path.shared_link(), self.path.foreign_routes());
        Bare::new(&routes, shared.as_ref(), &foreign, self.seed)
    }

    /// The time in which as many connections without sessions deliver as much. They are greedy, as
    /// if the right stripe of each byte had been known.
    fn alone(&self, caps: &[Rate], limit: u64) -> Option<Duration> {
        if !self.faults.is_empty() {
            return None;
        }
        let mut bare = self.bare(caps);
        let time = bare.run(limit, self.size);
        (bare.delivered()[0] >= self.size).then(|| Duration::from_micros(time))
    }
}

fn dipping(spec: LinkSpec, start: u64, dips: &[(u64, Rate)]) -> LinkSpec {
    let rates = dips.iter().map(|(at, rate)| (start + at, *rate)).collect();
    LinkSpec { rates, ..spec }
}

/// The last delivery, as its time and the bytes until then, and the longest time without one.
struct Log {
    last: Cell<(u64, u64)>,
    pause: Cell<u64>,
}

impl Log {
    fn note(&self, now: u64, delivered: u64) {
        let (at, before) = self.last.get();
        if delivered > before {
            self.pause.set(self.pause.get().max(now - at));
            self.last.set((now, delivered));
        }
    }
}
