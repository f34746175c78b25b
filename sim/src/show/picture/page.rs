//! A whole run on one self-contained page: figures, charts, and the command that repeats it.
//!
//! The page needs no script, no font and no other file. The same timeline and summary give the same
//! bytes.

use super::panels::{goodput, held, lanes, round_trips, sequence, table, waits};
use super::plot::{TimeAxis, escape};
use super::scale::{show_rate, show_size, show_time};
use super::scene::Scene;
use super::timeline::{Timeline, now};
use crate::base::files::FileKind;
use crate::base::{Rate, Side};
use crate::net::{Pipe, fluid_time};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;
use striper_core::StripeId;

/// A direction with less than one in so many of all bytes is not drawn, unless it is the only one.
const MINOR: u64 = 20;

pub const PAGE: FileKind<'static> = FileKind { name: "a page of the simulator", begins: BEGINS };

/// The beginning of each page, which no page of another program has.
const BEGINS: &str = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
    <meta name=\"generator\" content=\"striper sim\"/>\n";

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Figure {
    pub name: String,
    pub value: String,
    /// A value to compare it with; may be empty.
    pub note: String,
}

impl Figure {
    pub fn new(name: &str, value: impl Into<String>, note: impl Into<String>) -> Self {
        Figure { name: name.into(), value: value.into(), note: note.into() }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Oracle {
    pub pipes: Vec<Pipe>,
    pub bytes: u64,
    /// When the transfer begins, in microseconds; the pipes' times count from there.
    pub start: u64,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    pub title: String,
    pub story: String,
    pub command: String,
    pub figures: Vec<Figure>,
    /// The part of the run that is drawn, in microseconds; all of it if not given.
    pub span: Option<Range<u64>>,
    /// The oracle to compare goodput with, from client to server.
    pub oracle: Option<Oracle>,
    pub caps: BTreeMap<StripeId, Rate>,
}

impl Summary {
    /// A summary with the figures that a timeline alone can give, as for a trace.
    pub fn of(timeline: &Timeline, title: &str, story: &str, command: &str) -> Self {
        let mut figures = Vec::new();
        for from in Side::BOTH {
            let direction = timeline.direction(from);
            let (steps, verb) = if timeline.knows(from.other()) {
                (&direction.delivered, "delivered")
            } else {
                (&direction.acknowledged, "acknowledged")
            };
            let (Some((first, _)), Some((last, bytes))) = (steps.first(), steps.last()) else {
                continue;
            };
            let name = format!("{}, {verb}", heading(from));
            let took = last - first;
            let rate = show_rate(*bytes as f64 * 8e6 / took.max(1) as f64);
            let note =
                if took > 0 { format!("{rate} over {}", show_time(took)) } else { String::new() };
            figures.push(Figure::new(&name, show_size(*bytes), note));
            if timeline.knows(from) {
                figures.push(Figure::new("Sent again", show_size(direction.again), heading(from)));
            }
            if let Some(most) = direction.held.iter().map(|(_, bytes)| *bytes).max() {
                figures.push(Figure::new("Reorder peak", show_size(most), heading(from)));
            }
        }
        let ends = Side::BOTH.into_iter().filter_map(|side| timeline.ended(side));
        if let Some((at, reason)) = ends.min_by_key(|(at, _)| *at) {
            let after = format!("after {}", show_time(at));
            figures.push(Figure::new("Session ended", after, reason.to_string()));
        }
        figures.push(Figure::new("Recorded", show_time(timeline.last()), sides(timeline)));
        Summary {
            title: title.into(),
            story: story.into(),
            command: command.into(),
            figures,
            ..Summary::default()
        }
    }

    /// When the oracle is done, in microseconds. `None` without an oracle, or if it never is.
    pub fn oracle_end(&self) -> Option<u64> {
        let oracle = self.oracle.as_ref()?;
        Some(oracle.start + fluid_time(&oracle.pipes, oracle.bytes)?)
    }
}

pub fn render(timeline: &Timeline, summary: &Summary) -> String {
    let mut timeline = timeline.clone();
    timeline.finish();
    let timeline = &timeline;
    let title = escape(&summary.title);
    let mut page = format!(
        "{BEGINS}<title>{title}</title>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta name=\"color-scheme\" content=\"light dark\"/>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n{PATTERNS}\
         <main>\n<header><h1>{title}</h1>\n<p>{}</p></header>\n",
        escape(&summary.story)
    );
    page += &figures(summary);
    let drawn = drawn(timeline);
    if drawn.is_empty() {
        page += "<p class=\"nothing\">Nothing to draw: no stripe carried a byte of any flow in \
            this run.</p>\n";
    }
    for from in &drawn {
        page += &section(timeline, summary, *from, drawn.len() > 1);
    }
    if !summary.command.is_empty() {
        let command = escape(&summary.command);
        page += &format!("<h2>To have it again</h2>\n<pre><code>{command}</code></pre>\n");
    }
    page + "</main>\n</body>\n</html>\n"
}

const STYLE: &str = include_str!("style.css");
const PATTERNS: &str = include_str!("patterns.svg");

fn heading(from: Side) -> &'static str {
    match from {
        Side::Client => "Client to server",
        Side::Server => "Server to client",
    }
}

fn sides(timeline: &Timeline) -> &'static str {
    match Side::BOTH.map(|side| timeline.knows(side)) {
        [true, true] => "both sides",
        [true, false] => "the client's side only",
        [false, true] => "the server's side only",
        [false, false] => "nothing",
    }
}

fn figures(summary: &Summary) -> String {
    if summary.figures.is_empty() {
        return String::new();
    }
    let mut text = String::from("<dl>\n");
    for Figure { name, value, note } in &summary.figures {
        let [name, value, note] = [name, value, note].map(|text| escape(text));
        let _ =
            writeln!(text, "<div><dt>{name}</dt><dd><b>{value}</b> <span>{note}</span></dd></div>");
    }
    text + "</dl>\n"
}

fn drawn(timeline: &Timeline) -> Vec<Side> {
    let weight = |side: Side| {
        let flows = &timeline.direction(side).flows;
        flows.values().map(|track| track.sent.total().max(now(&track.delivered))).sum::<u64>()
    };
    let all: u64 = Side::BOTH.into_iter().map(weight).sum();
    Side::BOTH.into_iter().filter(|side| weight(*side) > all / MINOR).collect()
}

fn section(timeline: &Timeline, summary: &Summary, from: Side, named: bool) -> String {
    let span = summary.span.clone().unwrap_or(0..timeline.last());
    let span = span.start..span.end.max(span.start + 1);
    let scene = Scene { timeline, summary, from, time: TimeAxis { zero: span.start, span } };
    let mut text = String::from("<section>\n");
    if named {
        let _ = writeln!(text, "<h2>{}</h2>", heading(from));
    }
    for draw in [
        goodput::draw,
        lanes::draw,
        sequence::draw,
        waits::draw,
        held::draw,
        round_trips::draw,
        table::draw,
    ] {
        text += &draw(&scene);
    }
    text + "</section>\n"
}
