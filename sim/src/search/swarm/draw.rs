//! Draws a scenario from a seed.
//!
//! The kinds of trouble of a world are drawn first, each with a probability that is drawn too. So
//! some worlds have one kind and some have nearly all. Times, rates and sizes are log-scaled: each
//! order of magnitude is as likely as the next.

use super::hostile;
use super::{Honest, Hostile, Scenario};
use crate::base::{Kind, Kinds, Rate, Side, log_duration, log_range, micros, pick, seed};
use crate::net::{
    Answer, Control, Ending, Fault, FlowPlan, LinkSpec, MSS, ProcessFault, ReadPlan, SendPlan,
    Start, Told,
};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::time::Duration;
use striper_core::Config;
use striper_core::Reason;
use striper_core::SchedulerKind::{Earliest, RoundRobin, UntilCongested};
use striper_core::limits::FLOW_FLOOR;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Size {
    /// Hundreds to thousands of events: for volume.
    #[default]
    Small,
    /// Up to 1,000 flows, 16 stripes and 1 GiB.
    Large,
}

pub fn draw(seed: u64) -> Scenario {
    draw_sized(seed, Size::Small)
}

/// The scenario of a seed. One small one in ten has a hostile peer.
pub fn draw_sized(seed: u64, size: Size) -> Scenario {
    let mut rng = seed::stream(seed, "swarm", size as u64);
    if size == Size::Small && rng.random_range(0..10) == 0 {
        return Scenario::Hostile(draw_hostile(seed, &mut rng));
    }
    let likely = *pick(&mut rng, &[0.08, 0.2, 0.4, 0.7]);
    let mut on = Kinds::default();
    for kind in Kind::ALL {
        if rng.random_bool(likely) {
            on.add(*kind);
        }
    }
    let most = *pick(&mut rng, &[1, 1, 2, 4]);
    let (faults, process_faults) = (Vec::new(), Vec::new());
    Scenario::Honest(Draw { seed, size, rng, on, most, faults, process_faults }.scenario())
}

struct Draw {
    seed: u64,
    size: Size,
    rng: ChaCha8Rng,
    on: Kinds,
    /// The most timed faults of each kind.
    most: u64,
    faults: Vec<(u64, usize, Fault)>,
    process_faults: Vec<(u64, Side, ProcessFault)>,
}

/// One small world of so many has more flows at once than memory for what they send.
const CROWDED: u32 = 100;

impl Draw {
    fn uses(&mut self, kind: Kind, probability: f64) -> bool {
        self.on.has(kind) && self.rng.random_bool(probability)
    }

    fn scenario(mut self) -> Honest {
        let stripes = match self.size {
            Size::Small => *pick(&mut self.rng, &[1, 1, 2, 2, 2, 3, 3, 4, 5, 8, 16]),
            Size::Large => *pick(&mut self.rng, &[1, 2, 4, 8, 16]),
        };
        let even = self.rng.random_range(0..3) == 0;
        let common = self.link();
        let routes: Vec<[LinkSpec; 2]> = if even {
            vec![[common.clone(), common]; stripes]
        } else {
            (0..stripes).map(|_| [self.link(), self.link()]).collect()
        };
        let slow = routes.iter().flatten().map(worst_delay).max().expect("a route");
        let mut config = [self.config(stripes, slow), self.config(stripes, slow)];
        let slowest = routes.iter().flatten().map(|spec| spec.rate).min().expect("a route");
        let crowded = self.size == Size::Small && self.rng.random_range(0..CROWDED) == 0;
        let flows = if crowded { self.crowd(&mut config) } else { self.flows(slowest) };
        self.troubles(&routes, &flows, slowest);
        let Draw { seed, faults, process_faults, mut rng, .. } = self;
        let mut honest = Honest { seed, heal: 0, config, routes, flows, faults, process_faults };
        honest.heal = honest.last_begin() + log_range(&mut rng, 1_000, 10_000_000);
        honest
    }

    fn config(&mut self, stripes: usize, slow: u64) -> Config {
        let small = self.uses(Kind::SmallWindow, 0.6);
        let low = self.uses(Kind::LowLimit, 0.6);
        let rng = &mut self.rng;
        Config {
            stripes,
            scheduler: *pick(rng, &[Earliest, Earliest, UntilCongested, RoundRobin]),
            memory_limit: if low { 2 << 20 } else { log_range(rng, 3 << 20, 128 << 20) },
            window_limit: if small { FLOW_FLOOR } else { log_range(rng, FLOW_FLOOR + 1, 64 << 20) },
            max_flows: if low { 1 } else { log_range(rng, 65, 16_384) },
            opens_per_second: if low { 100 } else { Config::default().opens_per_second },
            heartbeat: log_duration(rng, 1_000_000, 30_000_000),
            // A limit below some round trips takes every stripe for dead, for ever.
            stall_limit: Duration::from_micros(log_range(rng, 1_000_000, 8_000_000).max(6 * slow)),
            resume_limit: log_duration(rng, 5_000_000, 60_000_000),
            #[cfg(feature = "buggify")]
            buggify: rng.random(),
            ..Config::default()
        }
    }

    fn link(&mut self) -> LinkSpec {
        let fastest = if self.size == Size::Large { 1_000_000_000 } else { 10_000_000_000 };
        let rate = Rate::bits(log_range(&mut self.rng, 64_000, fastest));
        let delay = log_duration(&mut self.rng, 1, 750_000);
        let mut spec = LinkSpec::new(rate, delay);
        if self.uses(Kind::Loss, 0.7) {
            spec.loss = log_range(&mut self.rng, 300, 60_000) as u32;
        }
        if self.uses(Kind::Jitter, 0.7) {
            spec.jitter = log_duration(&mut self.rng, 10, 200_000);
        }
        spec.choppy = self.uses(Kind::ShortWrite, 0.8);
        spec.bytewise = self.uses(Kind::ByteRead, 0.4);
        if self.uses(Kind::Coalesced, 0.7) {
            spec.coalesce = log_duration(&mut self.rng, 100, 50_000);
        }
        let rng = &mut self.rng;
        spec.congestion = *pick(rng, &Control::ALL);
        // At most two seconds of queue. Beyond that, detection would take queueing for death.
        let deepest = (rate.as_bits() / 4).clamp(8 * MSS, 16 << 20);
        spec.queue = if self.on.has(Kind::Overflow) {
            log_range(rng, 4 << 10, (16 << 10).min(deepest))
        } else {
            log_range(rng, 4 << 10, deepest)
        };
        spec.send_buffer = log_range(rng, 4 << 10, 4 << 20);
        if rng.random_range(0..4) == 0 {
            spec.low_water = Some(log_range(rng, 2 << 10, 1 << 20));
        }
        spec
    }

    fn flows(&mut self, slowest: Rate) -> Vec<FlowPlan> {
        let (count, budget) = match self.size {
            Size::Small => (*pick(&mut self.rng, &[1, 1, 2, 2, 3, 4, 6, 12]), 200 << 10),
            Size::Large => (*pick(&mut self.rng, &[1, 2, 10, 100, 1_000]), 1 << 30),
        };
        let budget = log_range(&mut self.rng, 2 << 10, budget);
        // At most the bytes that the slowest stripe could carry in some minutes.
        let mut budget =
            budget.min(slowest.as_bytes() * if self.size == Size::Large { 600 } else { 30 });
        let span = log_range(&mut self.rng, 1_000, 5_000_000);
        (0..count).map(|_| self.flow(&mut budget, span)).collect()
    }

    /// More flows that send at once than the sender's memory has room for; the receiver's has.
    fn crowd(&mut self, config: &mut [Config; 2]) -> Vec<FlowPlan> {
        let rng = &mut self.rng;
        let sender = *pick(rng, &Side::BOTH);
        config[sender.index()].memory_limit = 2 << 20;
        let receiver = &mut config[sender.other().index()];
        *receiver =
            Config { memory_limit: 128 << 20, window_limit: 16 << 20, max_flows: 100, ..*receiver };
        let count = rng.random_range(25..50);
        let span = log_range(rng, 1_000, 1_000_000);
        let flow = |_| {
            let piece = *pick(rng, &[1_448, 16 << 10, 64 << 10]);
            let mut sends = [SendPlan::of(0), SendPlan::of(0)];
            sends[sender.index()] =
                SendPlan { piece, ..SendPlan::of(log_range(rng, 64 << 10, 256 << 10)) };
            FlowPlan {
                opener: sender,
                at: rng.random_range(0..span),
                sends,
                ..FlowPlan::upload(0, 0)
            }
        };
        (0..count).map(flow).collect()
    }

    fn flow(&mut self, budget: &mut u64, span: u64) -> FlowPlan {
        let mut sends = [self.half(budget), self.half(budget)];
        if sends.iter().all(|half| half.start == Start::AfterFin) {
            sends[0].start = Start::AtOnce;
        }
        let answer_after = log_duration(&mut self.rng, 1, 1_000_000);
        let refuses = self.uses(Kind::FlowRefused, 0.4);
        let resets = self.uses(Kind::FlowReset, 0.3);
        let reads = [self.reader(), self.reader()];
        let rng = &mut self.rng;
        FlowPlan {
            opener: *pick(rng, &[Side::Client, Side::Client, Side::Server]),
            at: rng.random_range(0..span),
            answer: if refuses {
                let reason = *pick(rng, &[Reason::ConnectionRefused, Reason::Other(99)]);
                Answer::Refuse(answer_after, reason)
            } else {
                Answer::Accept(answer_after)
            },
            sends,
            reads,
            reset: resets.then(|| (*pick(rng, &Side::BOTH), log_range(rng, 1_000, 20_000_000))),
        }
    }

    fn half(&mut self, budget: &mut u64) -> SendPlan {
        let tiny = self.uses(Kind::TinyWrites, 0.5);
        let resets = self.uses(Kind::FlowReset, 0.3);
        let rng = &mut self.rng;
        let most = if tiny { (*budget).min(300) } else { *budget }.max(2);
        let bytes = match rng.random_range(0..8) {
            0 => 0,
            1 => 1,
            2 | 3 => most / 2,
            _ => log_range(rng, 1, most),
        };
        *budget = budget.saturating_sub(bytes);
        SendPlan {
            bytes,
            start: *pick(rng, &[Start::AtOnce, Start::AtOnce, Start::AtOnce, Start::AfterFin]),
            // Twenty seconds at the slowest, so that trouble comes in the middle.
            rate: (rng.random_range(0..3) == 0)
                .then(|| Rate::bytes(log_range(rng, (bytes / 20).max(100), 10_000_000))),
            piece: if tiny { 1 } else { *pick(rng, &[100, 1_448, 16 << 10, 64 << 10, 1 << 20]) },
            end: if resets {
                Ending::Reset
            } else {
                *pick(rng, &[Ending::Finish, Ending::Finish, Ending::Finish, Ending::Never])
            },
        }
    }

    fn reader(&mut self) -> ReadPlan {
        let mut drawn =
            |kind, low, high| self.uses(kind, 0.5).then(|| log_range(&mut self.rng, low, high));
        // The slowest takes a byte at a time.
        let rate = drawn(Kind::SlowReader, 100, 1_000_000).map(Rate::bytes);
        let stop_after = drawn(Kind::StuckReader, 1, 1 << 17).map(|bytes| bytes - 1);
        let burst = drawn(Kind::BurstReader, 2, 1 << 16);
        ReadPlan { rate, stop_after, burst }
    }

    /// Half of all trouble comes soon after a flow begins, the rest at any time.
    fn troubles(&mut self, routes: &[[LinkSpec; 2]], flows: &[FlowPlan], slowest: Rate) {
        let bytes: u64 = flows.iter().flat_map(|flow| &flow.sends).map(|half| half.bytes).sum();
        let delay = routes.iter().flatten().map(LinkSpec::delay_micros).max().expect("a route");
        let busy =
            (slowest.micros_for(bytes) / routes.len() as u64 + 8 * delay).clamp(10_000, 60_000_000);
        for kind in Kind::ALL {
            if !self.on.has(*kind) {
                continue;
            }
            for _ in 0..self.rng.random_range(1..=self.most) {
                let begun = flows[self.rng.random_range(0..flows.len())].at + 2 * delay;
                let at = begun
                    + if self.rng.random::<bool>() {
                        log_range(&mut self.rng, 1_000, busy)
                    } else {
                        self.rng.random_range(0..2 * busy)
                    };
                self.trouble(*kind, at, routes.len());
            }
        }
        self.faults.sort_by_key(|fault| fault.0);
        self.process_faults.sort_by_key(|process_fault| process_fault.0);
    }

    fn trouble(&mut self, kind: Kind, at: u64, routes: usize) {
        let rng = &mut self.rng;
        let side = *pick(rng, &Side::BOTH);
        let one_way = *pick(rng, &[[true, false], [false, true]]);
        let any = *pick(rng, &[[true, true], [true, false], [false, true]]);
        let stop = log_duration(rng, 10_000, 60_000_000);
        let fault = match kind {
            Kind::Reset | Kind::Unread => Fault::Reset { told: Told::Both },
            Kind::HalfDead => Fault::Reset { told: Told::Only(side) },
            Kind::ResetAfter => Fault::ResetAfter { by: side, bytes: log_range(rng, 1, 1 << 16) },
            Kind::Close => Fault::Close { by: side },
            Kind::Cut => Fault::Cut { by: side, bytes: log_range(rng, 1, 1 << 14) },
            Kind::Stall => Fault::Clog { from: any, time: stop },
            Kind::Swizzle => return self.swizzle(at, routes),
            Kind::Silence => Fault::Silence { from: [true, true] },
            Kind::OneWay if rng.random() => Fault::Silence { from: one_way },
            Kind::OneWay => Fault::Forget { from: one_way },
            Kind::Blackhole => Fault::Forget { from: [true, true] },
            Kind::Refused => Fault::RefuseDials(rng.random_range(1..10)),
            Kind::Slammed => Fault::CloseDials(rng.random_range(1..10)),
            Kind::Change => Fault::Change(Box::new([self.link(), self.link()])),
            Kind::ClientCrash | Kind::ServerCrash => {
                let side = if kind == Kind::ClientCrash { Side::Client } else { Side::Server };
                let down = log_duration(rng, 1_000, 20_000_000);
                let crash = ProcessFault::Crash { down, told: rng.random() };
                return self.process_faults.push((at, side, crash));
            }
            Kind::Pause => {
                let most = if rng.random_range(0..20) == 0 { 600_000_000 } else { 30_000_000 };
                let pause = ProcessFault::Pause(log_duration(rng, 1_000, most));
                return self.process_faults.push((at, side, pause));
            }
            Kind::Jump => {
                let by = log_duration(rng, 1_000, 600_000_000);
                return self.process_faults.push((at, side, ProcessFault::Jump(by)));
            }
            _ => return,
        };
        // Dials that are refused or closed need a reason to dial. One draw in five hits every
        // route, another one 30 % of them.
        let rng = &mut self.rng;
        let share = *pick(rng, &[0.0, 0.0, 0.0, 0.3, 1.0]);
        let first = rng.random_range(0..routes);
        let hit: Vec<usize> =
            (0..routes).filter(|route| *route == first || rng.random_bool(share)).collect();
        for route in hit {
            let ends = matches!(fault, Fault::Silence { .. });
            let needs_dial = matches!(fault, Fault::RefuseDials(_) | Fault::CloseDials(_));
            self.faults.push((at, route, fault.clone()));
            if ends {
                self.faults.push((at + micros(stop), route, Fault::Heal));
            }
            if needs_dial && self.rng.random() {
                self.faults.push((at + 1, route, Fault::Reset { told: Told::Both }));
            }
        }
    }

    /// A random subset of the routes is clogged one by one, and restored in another order.
    fn swizzle(&mut self, at: u64, routes: usize) {
        let step = log_range(&mut self.rng, 1_000, 2_000_000);
        let mut begin = at;
        for route in 0..routes {
            if routes <= 2 || self.rng.random() {
                begin += self.rng.random_range(0..step);
                let time = Duration::from_micros(self.rng.random_range(step..4 * step));
                self.faults.push((begin, route, Fault::Clog { from: [true, true], time }));
            }
        }
    }
}

/// The longest time of one way in microseconds: a full queue, and a packet that is late.
fn worst_delay(spec: &LinkSpec) -> u64 {
    micros(spec.delay + spec.jitter + spec.coalesce)
        + spec.rate.micros_for(spec.queue.min(256 << 10))
}

fn draw_hostile(seed: u64, rng: &mut ChaCha8Rng) -> Hostile {
    let config = Config {
        stripes: 4,
        memory_limit: *pick(rng, &[2 << 20, 3 << 20, 16 << 20]),
        window_limit: log_range(rng, FLOW_FLOOR, 16 << 20),
        max_flows: log_range(rng, 1, 1_000),
        ..Config::default()
    };
    Hostile { seed, honest: *pick(rng, &Side::BOTH), config, moves: hostile::draw(rng) }
}
