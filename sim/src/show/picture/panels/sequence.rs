//! Sending against delivery: the times when the bytes of a flow were handed to a stripe, and when
//! they came out.

use super::*;
use std::collections::BTreeMap;
use striper_core::FlowId;

const HEIGHT: f64 = 260.0;

/// Marks closer than this part of the width are joined.
const COLUMNS: f64 = 500.0;

/// Marks shorter than this part of the height are lengthened, so that they show.
const LEAST: f64 = 1.0 / 130.0;

pub fn draw(scene: &Scene) -> String {
    let Some(flow) = scene.flow() else { return String::new() };
    let track = &scene.direction().flows[&flow];
    let pieces = scene.pieces(flow);
    let bytes = pieces.iter().map(|piece| piece.offset + piece.len).max().unwrap_or(0);
    let bytes = bytes.max(now(&track.delivered));
    let (scale, (name, size)) = Scale::in_unit(bytes.max(1) as f64, 5, size_unit);
    let mut plot = Plot::new(&scene.time, HEIGHT, "Sequence of sending and of delivery over time");
    plot.scale(&scale, size);
    for (class, again) in [("sent", false), ("sent resent", true)] {
        let chosen = pieces.iter().filter(|piece| piece.again == again);
        plot.path(class, &columns(scene, chosen, scale.top));
    }
    plot.path("delivered", &stairs(scene, &plot, &track.delivered, scale.top));
    if let Some(at) = track.finished.filter(|at| *at <= scene.time.span.end) {
        let y = (plot.y(bytes as f64, scale.top) - 5.0).max(10.0);
        plot.text(scene.time.x(at) - 6.0, y, "end", "note", "FIN");
    }
    let title = format!("Send and delivery sequence, {name}");
    panel(&title, &caption(scene, flow, &pieces), &plot.finish())
}

fn caption(scene: &Scene, flow: FlowId, pieces: &[Piece]) -> String {
    let count = scene.direction().flows.len();
    let mut text =
        if count > 1 { format!("Flow {flow}, the largest of {count}. ") } else { String::new() };
    let event = if scene.sees_sending() { "is handed to a stripe" } else { "arrives" };
    text += &key("sentkey", &format!("a piece {event}"));
    if pieces.iter().any(|piece| piece.again) {
        text += " ";
        text += &key("again", "again");
    }
    if scene.sees_arrival() {
        text += " ";
        text += &line_key("delivered", "bytes come out, in order");
        text += " Where the line runs level while pieces are sent, what has arrived waits for an \
            earlier piece.";
        if let Some(at) = scene.direction().flows[&flow].finished {
            let _ = write!(text, " The FIN came out after {}.", show_time(scene.since(at)));
        }
    } else {
        text += " When they came out is known to the other side only.";
    }
    text
}

/// Vertical marks where pieces lie, joined to columns so that their number is bounded.
fn columns<'a>(scene: &Scene, pieces: impl Iterator<Item = &'a Piece<'a>>, top: f64) -> String {
    let mut columns: BTreeMap<u64, Vec<(u64, u64)>> = BTreeMap::new();
    let least = (top * LEAST) as u64;
    for piece in pieces {
        let at = piece.begins();
        if (scene.time.span.start..=scene.time.span.end).contains(&at) {
            let column = (scene.time.x(at) * COLUMNS / WIDTH) as u64;
            let range = (piece.offset, piece.offset + piece.len.max(least));
            columns.entry(column).or_default().push(range);
        }
    }
    let mut d = String::new();
    for (column, ranges) in columns {
        let x = short((column as f64 + 0.5) * WIDTH / COLUMNS);
        for (from, to) in joined(ranges, least) {
            let y = |offset: u64| HEIGHT * (1.0 - (offset as f64 / top).min(1.0));
            let _ = write!(d, "M{x} {}V{}", short(y(from)), short(y(to)));
        }
    }
    d
}

/// Ranges in order. Ranges that are closer than `gap` are joined.
fn joined(mut ranges: Vec<(u64, u64)>, gap: u64) -> Vec<(u64, u64)> {
    ranges.sort_unstable();
    let mut out: Vec<(u64, u64)> = Vec::new();
    for (from, to) in ranges {
        match out.last_mut() {
            Some(last) if from <= last.1 + gap => last.1 = last.1.max(to),
            _ => out.push((from, to)),
        }
    }
    out
}

/// A stair of a value that grows, with at most two steps a column.
fn stairs(scene: &Scene, plot: &Plot, steps: &Steps, top: f64) -> String {
    let mut d = format!("M0 {}", short(plot.y(0.0, top)));
    let mut kept: BTreeMap<u64, [(f64, u64); 2]> = BTreeMap::new();
    for (at, value) in steps.iter().filter(|(at, _)| *at <= scene.time.span.end) {
        let x = scene.time.x(*at);
        let entry = kept.entry((x * COLUMNS / WIDTH) as u64).or_insert([(x, *value); 2]);
        entry[1] = (x, *value);
    }
    for (x, value) in kept.into_values().flatten() {
        let _ = write!(d, "H{}V{}", short(x), short(plot.y(value as f64, top)));
    }
    let _ = write!(d, "H{WIDTH}");
    d
}
