//! One transfer measured over several stripe counts.
//!
//! The clock starts when the flow is opened on stripes that are up, so dialing is not measured. It
//! stops when the FIN has come out at the other end. The same transfer gives the same figures.

use crate::base::{
    Rate, Side, micros, scheduler, write_percent, write_rate, write_size, write_time,
};
use crate::net::{Fault, FlowPlan, Pipe, Told, fluid_time};
use crate::run::{Checks, NamedTrace, Recordings, Setup, World, record};
use std::path::Path;
use std::time::Duration;
use striper_core::SchedulerKind;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transfer {
    /// The stripes' caps, dealt in turn.
    pub caps: Vec<Rate>,
    pub stripes: Vec<usize>,
    pub rtt: Duration,
    /// Loss probability of a packet in millionths.
    pub loss: u32,
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
            rtt: Duration::from_millis(40),
            loss: 0,
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
    size: u64,
}

impl Row {
    pub fn goodput(&self) -> f64 {
        self.time.map_or(0.0, |time| self.size as f64 * 8e6 / micros(time) as f64)
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
            "cargo run -p sim -- --caps {} --stripes {stripes} --rtt {} --loss {} --idle {} --seed \
             {} --size {} --scheduler {}{faults}{check}",
            caps.join(","),
            write_time(self.rtt),
            write_percent(self.loss),
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
        let loss = match self.loss {
            0 => "no random loss".into(),
            loss => format!("{} random loss", write_percent(loss)),
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

    pub fn write_traces(&self, path: &Path) -> Result<(), String> {
        record::write(path, &self.record(self.stripes[0], self.schedulers[0])).map(drop)
    }

    /// Runs one transfer in a world that is shown to `watch` before anything happens in it.
    pub(crate) fn run<T>(
        &self,
        stripes: usize,
        scheduler: SchedulerKind,
        watch: impl FnOnce(&mut World) -> T,
    ) -> Run<T> {
        let caps: Vec<Rate> = self.caps.iter().copied().cycle().take(stripes).collect();
        let rtt = micros(self.rtt);
        let [there, back] = [rtt / 2, rtt - rtt / 2].map(Duration::from_micros);
        let mut setup = Setup::capped(self.seed, &caps, Duration::ZERO);
        for (way, delay) in [(0, there), (1, back)] {
            for route in &mut setup.routes {
                route[way].delay = delay;
                route[way].loss = self.loss;
            }
        }
        setup.config.iter_mut().for_each(|config| config.scheduler = scheduler);
        setup.checks = if self.check { Checks::Always } else { Checks::Off };
        setup.repeat = self.command(stripes, scheduler);
        let pipes: Vec<Pipe> = caps.iter().map(|cap| Pipe::steady(*cap, there)).collect();
        let ideal = fluid_time(&pipes, self.size).expect("pipes that never stop");
        let limit = 100 * ideal + 600_000_000;

        let mut world = World::new(setup);
        let watched = watch(&mut world);
        let warm = world.warm_up(limit);
        let start = world.now() + micros(self.idle);
        let flow = world.open(FlowPlan::upload(start, self.size));
        for (at, route, fault) in self.faults.iter().filter(|(_, route, _)| *route < stripes) {
            world.fault(start + micros(*at), *route, fault.clone());
        }
        let mut time = None;
        if warm
            && world.run_while(start + limit, |world| {
                world.flow(flow).end(Side::Server).fin_at.is_none()
            })
        {
            time = Some(Duration::from_micros(world.now() - start));
        }
        let row = Row {
            scheduler,
            stripes,
            time,
            ideal: Duration::from_micros(ideal),
            reorder_peak: world.stats(Side::Server).reordering_peak,
            resent: world.stats(Side::Client).payload_resent,
            size: self.size,
        };
        Run { row, watched, world, start, pipes }
    }
}
