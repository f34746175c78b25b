//! Two honest sessions, joined by stripes on which the input decides what moves, breaks and waits.
//!
//! Safety at every step: [`World`] checks invariants, and each flow's bytes against a pattern. Then
//! liveness: everything that still can moves fairly, and all flows must end, each as its two sides
//! have ended it, and leave nothing behind.

mod local;
mod stripe;
mod world;

use super::source::Source;
use std::time::Duration;
use striper_core::limits::FLOW_FLOOR;
use striper_core::{Config, SchedulerKind};
use world::World;

/// The most that an input may cost: connections dialed, bytes produced.
const MAX_DIALS: usize = 64;
const MAX_BYTES: u64 = 1 << 20;

/// The input is a configuration and then one operation after the other.
pub fn session_ops<A: Fn() -> usize>(data: &[u8], _allocated: A) {
    let mut source = Source::new(data);
    let config = settings(&mut source);
    let mut world = World::new(config);
    // Most begin where it gets interesting.
    if !source.byte().is_multiple_of(8) {
        (0..config.stripes).for_each(|_| world.dial());
        (0..2).for_each(|_| world.exchange());
    }
    while !source.is_empty() && !world.is_over() {
        step(&mut world, &mut source);
    }
    world.complete();
    if !world.is_over() {
        world.use_again();
    }
}

/// Small limits, so that a few operations reach them.
fn settings(source: &mut Source) -> Config {
    let shape = source.byte();
    let scheduler = match shape & 3 {
        0 | 1 => SchedulerKind::Earliest,
        2 => SchedulerKind::UntilCongested,
        _ => SchedulerKind::RoundRobin,
    };
    let patience =
        if shape >> 2 & 1 == 0 { Duration::from_secs(4) } else { Duration::from_millis(100) };
    Config {
        stripes: usize::from(shape >> 3 & 3) + 1,
        scheduler,
        memory_limit: 2 << 20,
        window_limit: if shape >> 5 & 1 == 0 { FLOW_FLOOR } else { 1 << 20 },
        max_flows: 64,
        heartbeat: patience * 2,
        stall_limit: patience,
        // Nobody gives up here: what is to complete must complete.
        resume_limit: Duration::from_secs(86_400),
        ..Config::default()
    }
}

fn step(world: &mut World, source: &mut Source) {
    match source.choice(20) {
        0..=1 => {
            if let Some((conn, way)) = way(world, source) {
                world.write(conn, way, amount(source));
            }
        }
        2..=3 => {
            if let Some((conn, way)) = way(world, source) {
                world.deliver(conn, way, amount(source));
            }
        }
        4..=5 => {
            if let Some((conn, way)) = way(world, source) {
                world.write(conn, way, usize::MAX);
                world.deliver(conn, way, usize::MAX);
            }
        }
        6 => world.exchange(),
        7 => {
            if world.dials() < MAX_DIALS {
                world.dial();
            }
        }
        8 => broken(world, source),
        9 => {
            let side = source.choice(2);
            world.open(side);
        }
        10..=12 => {
            if let Some((side, flow)) = world.flow(source) {
                let length = source.length() as u64;
                if world.produced() + length <= MAX_BYTES {
                    world.produce(side, flow, length);
                }
            }
        }
        13..=14 => {
            if let Some((side, flow)) = world.flow(source) {
                world.consume(side, flow, u64::from(source.byte()));
            }
        }
        15 => {
            if let Some((side, flow)) = world.flow(source) {
                match source.choice(4) {
                    0 => world.reset(side, flow),
                    1 => world.answer(side, flow, source.byte() < 200),
                    _ => world.finish(side, flow),
                }
            }
        }
        16 => {
            let side = source.choice(2);
            world.act(side);
        }
        17 => world.wait(Duration::from_micros(1 << (source.byte() % 23))),
        18 => drop(world.sleep()),
        _ => rare(world, source),
    }
}

fn way(world: &World, source: &mut Source) -> Option<(usize, usize)> {
    let choice = source.byte();
    let latest = world.dials().min(8);
    (latest > 0)
        .then(|| (world.dials() - 1 - usize::from(choice >> 1) % latest, usize::from(choice & 1)))
}

fn amount(source: &mut Source) -> usize {
    match source.length() {
        0 => usize::MAX,
        length => length,
    }
}

fn broken(world: &mut World, source: &mut Source) {
    let Some((conn, way)) = way(world, source) else { return };
    match source.choice(6) {
        // Both sides are told, one is, none.
        told @ 0..=3 => world.kill(conn, [told & 1 == 0, told & 2 == 0]),
        4 => world.silence(conn, way),
        _ => world.close(conn, way),
    }
}

fn rare(world: &mut World, source: &mut Source) {
    let (choice, side) = (source.byte(), source.choice(2));
    match choice {
        0 => world.shut_down(side),
        limit @ 1..64 => world.limit_memory(side, u64::from(limit) << 14),
        _ => {}
    }
}
