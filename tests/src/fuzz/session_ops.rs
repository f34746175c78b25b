//! Two honest sessions, joined by stripes on which the input decides what moves, breaks and waits.
//! [`World`] checks invariants and each flow's bytes at every step. Then everything that still can
//! moves, and all flows must end, each as its two sides have ended it, and leave nothing behind.

mod local;
mod stripe;
mod world;

use super::source::Source;
use super::spoken::small_limits;
use std::time::Duration;
use striper_core::Config;
use world::World;

/// The most that an input may cost: connections dialed, bytes produced.
const MAX_DIALS: usize = 64;
const MAX_BYTES: u64 = 1 << 20;

/// The input is a configuration and then one operation after the other.
pub fn session_ops<A: Fn() -> usize>(data: &[u8], _allocated: A) {
    let mut source = Source::new(data);
    let limits = small_limits(source.byte(), Duration::from_millis(100));
    // Nobody gives up here: what is to complete must complete.
    let config = Config { resume_limit: Duration::from_secs(86_400), ..limits };
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

fn step(world: &mut World, source: &mut Source) {
    match source.choice(20) {
        choice @ 0..=5 => {
            let Some((conn, way)) = way(world, source) else { return };
            match choice {
                0..=1 => world.write(conn, way, amount(source)),
                2..=3 => world.deliver(conn, way, amount(source)),
                _ => {
                    world.write(conn, way, usize::MAX);
                    world.deliver(conn, way, usize::MAX);
                }
            }
        }
        6 => world.exchange(),
        7 => {
            if world.dials() < MAX_DIALS {
                world.dial();
            }
        }
        8 => broken(world, source),
        9 => world.open(source.choice(2)),
        choice @ 10..=15 => {
            let Some((side, flow)) = world.flow(source) else { return };
            match choice {
                10..=12 => {
                    let length = source.length() as u64;
                    if world.produced + length <= MAX_BYTES {
                        world.produce(side, flow, length);
                    }
                }
                13..=14 => world.consume(side, flow, u64::from(source.byte())),
                _ => match source.choice(4) {
                    0 => world.reset(side, flow),
                    1 => world.answer(side, flow, source.byte() < 200),
                    _ => world.finish(side, flow),
                },
            }
        }
        16 => world.act(source.choice(2)),
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
