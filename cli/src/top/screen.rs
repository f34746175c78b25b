//! Draws a model into a buffer.

use super::canvas::Canvas;
use super::grid::{self, title};
use super::head;
use super::history::Id;
use super::keys::HELP;
use super::model::{Mode, Model, Subject, Which};
use super::tone::{Palette, Tone};
use super::why::{self, Reason};
use super::words::bytes;
use crate::help::wrapped;
use crate::state::Role;
use crate::units;
use ratatui::buffer::Buffer;

/// A smaller terminal shows nothing that one could use.
const LEAST: (u16, u16) = (60, 15);

/// The width of the names beside an explanation.
const LABEL: u16 = 15;

pub(super) fn draw(model: &Model, palette: Palette, buffer: &mut Buffer) {
    let mut canvas = Canvas::new(palette, buffer);
    let (columns, lines) = (canvas.width(), canvas.height());
    if columns < LEAST.0 || lines < LEAST.1 {
        let (least_columns, least_lines) = LEAST;
        let text = format!(
            "The terminal has {columns}×{lines} characters; top needs \
             {least_columns}×{least_lines}. q quits."
        );
        for line in wrapped(&text, usize::from(columns.max(1))) {
            canvas.line().put(&line, Tone::Plain);
        }
        return;
    }
    head::draw(model, &mut canvas);
    let mut body = canvas.take(canvas.height() - 1);
    match model.mode() {
        Mode::Help => help(&mut body),
        _ if model.state().sessions.is_empty() => without_sessions(model, &mut body),
        _ => tables(model, &mut body),
    }
    foot(model, &mut canvas);
}

fn help(canvas: &mut Canvas<'_>) {
    title(canvas, "KEYS", "", true);
    for (keys, what) in HELP {
        let mut line = canvas.line();
        line.field(keys, LABEL, false, Tone::Key);
        line.put(what, Tone::Plain);
    }
    canvas.line();
    for text in [
        "↑ is to the peer, ↓ is from the peer. Rates are in bits a second, sizes in bytes.",
        "LIMIT is what kept a stripe from sending more since the last look. WAITS is what a \
         direction of a flow waits for. Enter explains both.",
    ] {
        for text in wrapped(text, usize::from(canvas.width())) {
            canvas.line().put(&text, Tone::Plain);
        }
    }
}

fn without_sessions(model: &Model, canvas: &mut Canvas<'_>) {
    let state = model.state();
    match state.role {
        Role::Client => {
            title(canvas, "NO SESSION", "", true);
            canvas.line().put("It begins with the first connection of a program.", Tone::Plain);
        }
        Role::Server => {
            title(canvas, "NO SESSION", "", true);
            canvas.line().put("It begins when a client comes.", Tone::Plain);
        }
        Role::Relay => {
            title(canvas, "LEGS", "of a relay, which has neither stripes nor flows", true);
            for leg in &state.legs {
                let meter = model.history().meter(&Id::Leg(leg.leg.clone()));
                let mut line = canvas.line();
                line.field(&leg.leg, 6, false, Tone::Title);
                let text = format!(
                    "sent {}, {}; received {}, {}; {} congestions",
                    bytes(leg.sent_bytes),
                    units::rate(meter.up),
                    bytes(leg.received_bytes),
                    units::rate(meter.down),
                    units::grouped(leg.congestions)
                );
                line.put(&text, Tone::Plain);
            }
        }
    }
}

/// Both tables, and maybe an explanation below them.
fn tables(model: &Model, canvas: &mut Canvas<'_>) {
    let explanation = if model.explains() { explanation(model, canvas.width()) } else { None };
    let lines = explanation.as_ref().map_or(0, |(_, lines)| lines.len() as u16 + 1);
    let lines = lines.min(canvas.height() / 2);
    let mut upper = canvas.take(canvas.height() - lines);
    let [stripes, flows] = [Which::Stripes, Which::Flows].map(|which| model.rows(which));
    // A table that is short leaves its room to the other one.
    let room = upper.height().saturating_sub(2 * grid::FRAME);
    let half = usize::from(room / 2);
    let for_stripes = half.max(usize::from(room).saturating_sub(flows.len())).min(stripes.len());
    let mut part = upper.take(for_stripes as u16 + grid::FRAME);
    grid::draw(model, Which::Stripes, &stripes, &mut part);
    grid::draw(model, Which::Flows, &flows, &mut upper);
    if let Some((subject, lines)) = explanation {
        title(canvas, "WHY", &subject, true);
        for (about, text) in lines {
            let mut line = canvas.line();
            line.field(about, LABEL, false, Tone::Title);
            line.put(&text, Tone::Plain);
        }
    }
}

/// The subject of an explanation, and its lines, each maybe with a name beside it.
fn explanation(model: &Model, width: u16) -> Option<(String, Vec<(&'static str, String)>)> {
    let (subject, reasons) = model.explanation()?;
    let width = usize::from(width - LABEL);
    let lines = reasons.into_iter().flat_map(|Reason { about, text }| {
        let beside = std::iter::once(about).chain(std::iter::repeat(""));
        beside.zip(wrapped(&text, width)).collect::<Vec<_>>()
    });
    Some((subject, lines.collect()))
}

/// The last line: a question, what is typed, an answer, or the keys.
fn foot(model: &Model, canvas: &mut Canvas<'_>) {
    let mut line = canvas.line();
    match (model.mode(), model.notice()) {
        (Mode::Close(id), _) => {
            let name = match model.find(id) {
                Some(Subject::Flow(_, flow)) => why::title(flow),
                _ => "this flow, which has ended".to_owned(),
            };
            line.put(&format!("Reset {name}?"), Tone::Bad);
            line.put("  y: yes   other keys: no", Tone::Plain);
        }
        (Mode::Filter, _) => {
            line.put("Show rows with: ", Tone::Title);
            line.put(model.table(model.focus()).filter(), Tone::Plain);
            line.put("_", Tone::Title);
            line.put("   Enter: keep   Esc: show all", Tone::Dim);
        }
        (_, Some(notice)) => line.put(notice, Tone::Warning),
        (Mode::Help, _) => line.put("any key: back", Tone::Plain),
        (Mode::Tables, None) => {
            for (key, what) in [
                ("?", "help"),
                ("↑↓", "select"),
                ("Tab", "table"),
                ("s", "sort"),
                ("/", "filter"),
                ("Enter", "why"),
                ("x", "close"),
                ("q", "quit"),
            ] {
                line.put(key, Tone::Key);
                line.put(&format!(" {what}  "), Tone::Plain);
            }
        }
    }
}
