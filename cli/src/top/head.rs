//! The first lines: which process this is, its rates, and sums.

use super::canvas::{Canvas, Piece, piece};
use super::model::Model;
use super::tone::Tone;
use super::words::{age, bytes, seconds};
use crate::state::{Phase, Role, SessionState, State, Totals};
use crate::units;

pub(super) fn draw(model: &Model, canvas: &mut Canvas<'_>) {
    let state = model.state();
    canvas.pieces(&identity(model, state));
    rates(model, canvas);
    match model.lost() {
        Some((_, why)) => canvas.pieces(&[piece(why, Tone::Bad)]),
        None => canvas.pieces(&sums(state)),
    }
}

fn identity(model: &Model, state: &State) -> Vec<Piece> {
    let role = match state.role {
        Role::Client => "client",
        Role::Server => "server",
        Role::Relay => "relay",
    };
    let phase = match (state.state, state.drain_seconds) {
        (Phase::Ready, _) => piece("ready", Tone::Good),
        (Phase::Draining, Some(left)) => {
            piece(format!("draining, {} left", age(left.ceil())), Tone::Warning)
        }
        (Phase::Draining, None) => piece("draining", Tone::Warning),
    };
    let mut pieces = vec![piece(format!("striper-cli {role}"), Tone::Title)];
    match model.lost() {
        Some((since, _)) => {
            pieces.push(piece(format!("no answer since {since}; trying again"), Tone::Bad));
        }
        None => pieces.push(phase),
    }
    if model.is_paused() {
        pieces.push(piece("held still", Tone::Warning));
    }
    pieces.push(piece(format!("up {}", seconds(state.uptime_seconds.floor())), Tone::Plain));
    pieces.push(piece(format!("pid {}", state.pid), Tone::Plain));
    for (before, places) in [("", &state.listening), ("→ ", &state.servers), ("→ ", &state.targets)]
    {
        if !places.is_empty() {
            pieces.push(piece(format!("{before}{}", places.join(", ")), Tone::Plain));
        }
    }
    pieces.push(piece(format!("version {}", state.version), Tone::Dim));
    pieces
}

/// The bytes of all stripes, with pictures that take what room there is.
fn rates(model: &Model, canvas: &mut Canvas<'_>) {
    let history = model.history();
    let half = canvas.width() / 2;
    let mut line = canvas.line();
    for (arrow, rate, samples) in
        [("↑", history.up, &history.ups), ("↓", history.down, &history.downs)]
    {
        line.field(&format!("{arrow} {}", units::rate(rate)), 15, false, Tone::Title);
        let room = usize::from(half - 17);
        line.put(&samples.picture(room, samples.peak(room)), Tone::Good);
        line.skip(2);
    }
}

fn sums(state: &State) -> Vec<Piece> {
    let sum = |count: fn(&Totals) -> u64| -> u64 {
        state.sessions.iter().map(|session| count(&session.totals)).sum()
    };
    let mut pieces = Vec::new();
    if let Some(error) = &state.last_dial_error {
        pieces.push(piece(format!("no stripe to the server: {error}"), Tone::Bad));
    }
    let kept = state.sessions.iter().filter(|session| session.state == SessionState::Stranded);
    if let Some(left) = kept.filter_map(|session| session.kept_for_seconds).reduce(f64::min) {
        let text = format!("flows without a stripe, kept for {}", age(left.ceil()));
        pieces.push(piece(text, Tone::Bad));
    }
    pieces.push(piece(units::count(state.connections.open, "connection"), Tone::Plain));
    if state.sessions.is_empty() {
        return pieces;
    }
    let ended = &state.ended;
    let sent = ended.sent_bytes + sum(|totals| totals.sent_bytes);
    let resent = ended.resent_bytes + sum(|totals| totals.resent_bytes);
    let share = if sent > 0 { resent as f64 / sent as f64 } else { 0.0 };
    let text = format!("sent again {} ({})", bytes(resent), units::percent(share));
    pieces.push(piece(text, Tone::Plain));
    let (now, peak) = (sum(|totals| totals.reorder_bytes), sum(|totals| totals.reorder_peak_bytes));
    let text = format!("out of order {} (most {})", bytes(now), bytes(peak));
    pieces.push(piece(text, Tone::Plain));
    let lost = ended.stripes_lost + sum(|totals| totals.stripes_lost);
    let doubts = sum(|totals| totals.doubts);
    let tone = if lost + doubts > 0 { Tone::Warning } else { Tone::Plain };
    let text = format!("lost {}", units::count(lost as usize, "stripe"));
    pieces.push(piece(format!("{text}, {}", units::count(doubts as usize, "doubt")), tone));
    let memory = &state.memory;
    let of = memory.limit_bytes.map(|limit| format!(" of {}", bytes(limit)));
    let text = format!(
        "memory ↑{} ↓{}{}",
        bytes(memory.send_bytes),
        bytes(memory.receive_bytes),
        of.unwrap_or_default()
    );
    pieces.push(piece(text, Tone::Plain));
    pieces
}
