//! The rate at which bytes come out at the receiver, against the fluid oracle.

use super::*;
use crate::base::micros;

const HEIGHT: f64 = 190.0;

const BUCKETS: usize = 60;

/// A bar is cut off beyond this multiple of the oracle: bytes that waited come out at once.
const CUT: f64 = 2.0;

pub fn draw(scene: &Scene) -> String {
    let direction = scene.direction();
    let steps = if scene.sees_arrival() { &direction.delivered } else { &direction.acknowledged };
    let buckets = Buckets::new(scene.time.span.clone(), BUCKETS.min(steps.len().max(10)));
    let rates = buckets.rates(steps);
    let most = rates.iter().copied().fold(0.0, f64::max);
    let oracle = oracle_steps(scene);
    let best = oracle.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
    let shown = if best > 0.0 { most.clamp(best, best * CUT) } else { most.max(1.0) };
    let (scale, (name, size)) = Scale::in_unit(shown, 4, rate_unit);

    let mut plot = Plot::new(&scene.time, HEIGHT, "Goodput over time against the fluid oracle");
    plot.scale(&scale, size);
    let shares: Vec<f64> = rates.iter().map(|rate| rate / scale.top).collect();
    plot.bars("area", &buckets, &shares, HEIGHT, HEIGHT);
    for (index, rate) in rates.iter().enumerate().filter(|(_, rate)| **rate > scale.top * 1.000_001)
    {
        let at = buckets.border(index) + buckets.width(index) / 2;
        plot.text(scene.time.x(at), 9.0, "middle", "cut", "▲");
        let title = format!("{} at {}, cut off", show_rate(*rate), show_time(scene.since(at)));
        plot.span("hover", buckets.border(index)..buckets.border(index + 1), 0.0, HEIGHT, &title);
    }
    plot.path("oracle", &line(scene, &plot, &oracle, scale.top));
    let known = if scene.sees_arrival() {
        "came out at the receiver, in order"
    } else {
        "the sender knows to have arrived"
    };
    let mut caption = key("area", &format!("bytes of flows that {known}")) + " ";
    if best > 0.0 {
        caption += &line_key("oracle", &format!("the fluid oracle, {} at best", show_rate(best)));
        if let Some(end) = scene.summary.oracle_end() {
            let _ = write!(caption, " (done after {})", show_time(scene.since(end)));
        }
    } else {
        caption += "There is no oracle here: what the routes could carry is not known.";
    }
    if most > scale.top * 1.000_001 {
        caption +=
            " ▲ a bar that is cut off: what had to wait for an earlier piece comes out at once.";
    }
    panel(&format!("Goodput, {name}"), &caption, &plot.finish())
}

/// The oracle's rate in bit/s from each time on. It ends with zero when the oracle is done.
fn oracle_steps(scene: &Scene) -> Vec<(u64, f64)> {
    let Some(oracle) = &scene.summary.oracle else { return Vec::new() };
    let mut changes: Vec<(u64, f64)> = Vec::new();
    for pipe in &oracle.pipes {
        let mut before = 0.0;
        for (at, rate) in &pipe.rate {
            let rate = rate.as_bits() as f64;
            changes.push((oracle.start + at + micros(pipe.delay), rate - before));
            before = rate;
        }
    }
    changes.sort_by_key(|(at, _)| *at);
    let end = scene.summary.oracle_end().unwrap_or(u64::MAX);
    let mut steps: Vec<(u64, f64)> = vec![(oracle.start, 0.0)];
    for (at, change) in changes.into_iter().take_while(|(at, _)| *at < end) {
        let rate = steps.last().map_or(0.0, |(_, rate)| *rate) + change;
        match steps.last_mut() {
            Some((time, last)) if *time == at => *last = rate,
            _ => steps.push((at, rate)),
        }
    }
    if end < u64::MAX {
        steps.push((end, 0.0));
    }
    steps
}

fn line(scene: &Scene, plot: &Plot, steps: &[(u64, f64)], top: f64) -> String {
    let mut d = String::new();
    for (index, (at, rate)) in steps.iter().enumerate() {
        let (x, y) = (short(scene.time.x(*at)), short(plot.y(*rate, top)));
        let _ = if index == 0 { write!(d, "M{x} {y}") } else { write!(d, "H{x}V{y}") };
    }
    if !d.is_empty() && scene.summary.oracle_end().is_none() {
        d += "H1000";
    }
    d
}
