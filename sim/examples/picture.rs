//! Draws what the documentation shows: four stripes, of which one is slow, one falls silent and one
//! is reset.
//!
//! `cargo run -p sim --example picture -- FILE`

use sim::{
    Fault, FlowPlan, Pipe, Rate, Setup, Side, Told, World, files,
    picture::{self, Figure, Oracle, PAGE, Summary},
};
use std::process::ExitCode;
use std::time::Duration;

const SECOND: u64 = 1_000_000;
const CAPS: [Rate; 4] = [Rate::mbit(10), Rate::mbit(10), Rate::mbit(10), Rate::mbit(2)];
const DELAY: Duration = Duration::from_millis(20);
const SIZE: u64 = 26 << 20;

fn main() -> ExitCode {
    let Some(path) = std::env::args_os().nth(1) else {
        eprintln!("where to? cargo run -p sim --example picture -- FILE");
        return ExitCode::from(2);
    };
    match files::write(path.as_ref(), PAGE, &page()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn page() -> String {
    let mut world = World::new(Setup::capped(1, &CAPS, DELAY));
    let timeline = picture::watch(&mut world);
    let start = 2 * SECOND;
    let flow = world.open(FlowPlan::upload(start, SIZE));
    world.fault(start + 3 * SECOND / 2, 1, Fault::Forget { from: [true, true] });
    world.fault(start + 3 * SECOND, 2, Fault::Reset { told: Told::Both });
    assert!(world.run_to_end(start + 60 * SECOND), "{:#?}", world.flow(flow));

    let end = world.flow(flow).end(Side::Server).fin_at.expect("a flow that has ended");
    let timeline = timeline.borrow();
    let mut summary = Summary::of(
        &timeline,
        "One stripe falls silent, one is reset, one is slow",
        "26 MiB from client to server over stripes of 10, 10, 10 and 2 Mbit/s with an RTT of \
         40 ms. After 1.5 s stripe 1 carries nothing more and nobody is told; after 3 s stripe 2 \
         is reset. The oracle is that of routes on which nothing breaks.",
        "cargo run -p sim --example picture -- run.html",
    );
    let oracle =
        Oracle { pipes: CAPS.map(|cap| Pipe::steady(cap, DELAY)).to_vec(), bytes: SIZE, start };
    summary.oracle = Some(oracle);
    let best = summary.oracle_end().expect("pipes that never stop") - start;
    let share = best as f64 / (end - start) as f64;
    summary.figures.insert(
        0,
        Figure::new("Share of the oracle", format!("{share:.3}"), "1.000 is the best there is"),
    );
    summary.span = Some(start..end + (end - start) / 50);
    let stripes = timeline.direction(Side::Client).lanes.keys();
    summary.caps =
        stripes.filter_map(|stripe| Some((*stripe, CAPS[world.route(*stripe)?]))).collect();
    picture::render(&timeline, &summary)
}
