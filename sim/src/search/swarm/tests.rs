//! Recorded scenarios: every session of a world has a trace, up to the failure if there is one.

use super::{NamedTrace, Scenario, draw, honest};
use crate::base::{Side, catch};
use crate::run::{Recordings, World};
use std::collections::BTreeSet;
use striper_core::trace::Trace;

fn record(scenario: &Scenario) -> Vec<NamedTrace> {
    let (result, traces) =
        super::record(scenario, |session| format!("sim run --session {session}"));
    assert_eq!(result, super::run(scenario), "watching changes nothing");
    traces
}

#[test]
fn every_session_of_random_worlds_has_a_trace_that_plays_both_ways() {
    let mut names = BTreeSet::new();
    for seed in 0..80 {
        for NamedTrace { name, text } in record(&draw(seed)) {
            let trace =
                Trace::read(&text).unwrap_or_else(|error| panic!("seed {seed}, {name}: {error}"));
            assert_eq!(trace.header.scenario, Some(format!("sim run --session {name}")));
            assert_eq!(trace.end.as_deref(), Some("recorded"));
            trace.replay().unwrap_or_else(|why| panic!("seed {seed}, {name}: {why}"));
            trace.follow().unwrap_or_else(|why| panic!("seed {seed}, {name}: {why}"));
            names.insert(name);
        }
    }
    for name in ["client", "client.2", "server", "server.2"] {
        assert!(names.contains(name), "{names:?}");
    }
}

#[test]
fn a_hostile_peer_has_no_session_and_so_no_trace() {
    let hostile = (0..).map(draw).find(|scenario| matches!(scenario, Scenario::Hostile(_)));
    assert_eq!(record(&hostile.expect("one in ten")).len(), 1);
}

fn honest_world() -> World {
    let honest = (0..).map(draw).find_map(|scenario| match scenario {
        Scenario::Honest(honest) => Some(honest),
        Scenario::Hostile(_) => None,
    });
    honest::world(&honest.expect("nine in ten"))
}

#[test]
fn a_recording_outlives_a_world_that_fails() {
    let recordings = Recordings::new(|_| String::new());
    let observer = recordings.observer();
    let failure = catch(|| {
        let mut world = honest_world();
        world.observe(observer);
        world.run_until(3_000_000);
        panic!("an oracle\nsays no");
    })
    .expect_err("a panic");
    for NamedTrace { text, .. } in recordings.finish(Some(&failure.message)) {
        let trace = Trace::read(&text).expect("a trace");
        assert!(trace.inputs() > 2 && trace.replay().is_ok());
        let end = trace.end.expect("an end");
        assert!(end.starts_with("failed: ") && end.ends_with(": an oracle"), "{end}");
    }
}

#[test]
fn the_input_that_a_session_dies_of_is_the_last_of_its_trace() {
    let recordings = Recordings::new(|_| String::new());
    let mut observer = recordings.observer();
    let mut world = honest_world();
    world.observe(Box::new(move |seen| {
        let early = seen.now.as_micros() < 7_201_000_000;
        if seen.side == Side::Client || early || seen.outputs.is_none() {
            observer(seen);
        } else {
            panic!("this could be the session");
        }
    }));
    let failure = catch(|| world.run_until(30_000_000)).expect_err("a panic");
    let traces = recordings.finish(Some(&failure.message));
    let server = traces.iter().find(|trace| trace.name == "server").expect("a trace");
    let mut lines = server.text.lines().rev();
    let said = lines.next().unwrap_or_default();
    assert!(said.starts_with("# The session panics here: ") && said.ends_with("the session"));
    let before = lines.next().expect("a line");
    assert!(before.starts_with(|first: char| first.is_ascii_digit()), "{before}");
    let trace = Trace::read(&server.text).expect("a trace");
    assert_eq!((trace.end.as_ref(), trace.replay().map(drop)), (None, Ok(())));
}
