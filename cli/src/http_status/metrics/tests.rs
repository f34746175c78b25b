//! The metrics of a state, and their names.

use super::*;
use crate::state::{Connections, Ended, Limited, Totals};
use std::collections::BTreeSet;

fn session(name: &str, places: usize) -> Session {
    let stripe = |place| Stripe {
        place,
        sent_bytes: 1_000,
        rtt_us: Some(1_500),
        limited: Limited { route_seconds: 0.5, ..Limited::default() },
        ..Stripe::default()
    };
    Session {
        session: name.to_owned(),
        stripes: (1..=places).map(stripe).collect(),
        totals: Totals { sent_bytes: 700, stripes_lost: 1, ..Totals::default() },
        ..Session::default()
    }
}

fn state(sessions: Vec<Session>) -> State {
    let ended = Ended { sent_bytes: 10_000, stripes_lost: 4, ..Ended::default() };
    let connections = Connections { open: 2, begun: 9, ..Connections::default() };
    State { sessions, ended, connections, ..State::default() }
}

fn has(text: &str, line: &str) {
    assert!(text.lines().any(|found| found == line), "{line} in {text}");
}

#[test]
fn each_stripe_has_samples_and_what_is_unknown_has_none() {
    let text = text(&state(vec![session("abababab", 2)]));
    for place in [1, 2] {
        let labels = format!("session=\"abababab\",place=\"{place}\"");
        has(&text, &format!("striper_stripe_sent_bytes_total{{{labels}}} 1000"));
        has(&text, &format!("striper_stripe_rtt_seconds{{{labels}}} 0.0015"));
        let limited =
            format!("striper_stripe_limited_seconds_total{{{labels},limit=\"route\"}} 0.5");
        has(&text, &limited);
    }
    assert!(!text.contains("striper_stripe_window_bytes{"), "{text}");
    has(&text, "striper_connections 2");
    has(&text, "striper_connections_begun_total 9");
}

#[test]
fn counts_of_sessions_that_have_ended_stay_in_the_sums() {
    let text = text(&state(vec![session("abababab", 1), session("cdcdcdcd", 1)]));
    has(&text, "striper_payload_sent_bytes_total 11400");
    has(&text, "striper_stripes_lost_total 6");
}

#[test]
fn a_crowd_of_stripes_has_bounded_metrics() {
    let sessions = (0..40).map(|number| session(&format!("{number:08x}"), 64)).collect();
    let text = text(&state(sessions));
    let samples = text.lines().filter(|line| line.starts_with("striper_stripe_rtt_seconds{"));
    assert_eq!(samples.count(), MOST);
    has(&text, &format!("striper_metrics_left_out {}", 40 * 64 - MOST));
    assert!(text.len() < 2 << 20, "{}", text.len());
}

/// Names of metrics in lines that begin with this.
fn named<'t>(text: &'t str, begin: &str) -> BTreeSet<&'t str> {
    let rest = text.lines().filter_map(|line| line.strip_prefix(begin));
    rest.filter_map(|rest| rest.split([' ', '`']).next()).collect()
}

#[test]
fn every_metric_is_documented_and_no_other() {
    let documented = include_str!("../../../../docs/METRICS.md");
    let exported = text(&state(Vec::new()));
    assert_eq!(named(documented, "| `striper_"), named(&exported, "# TYPE striper_"));
}

#[test]
fn a_name_says_the_kind_of_its_metric() {
    let text = text(&state(Vec::new()));
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    for (name, kind) in types {
        assert!(name.starts_with("striper_"), "{name}");
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
    }
}
