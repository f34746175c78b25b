//! The table of flows.

use super::history::{History, Id};
use super::stripes::PICTURE;
use super::table::{Cell, Column, Row};
use super::tone::Tone;
use super::words;
use crate::state::{Flow, Session, State, Waits};

pub(super) const COLUMNS: &[Column] = &[
    Column::text("FLOW", 6, 0),
    Column::growing("FROM", 15, 3),
    Column::growing("TARGET", 15, 0),
    Column::number("↑bit/s", 6, 0),
    Column::number("↓bit/s", 6, 0),
    Column::text("↑WAITS", 8, 0),
    Column::text("↓WAITS", 8, 0),
    Column::number("AGE", 6, 2),
    Column::number("BUFFERED", 8, 2),
    Column::number("CREDIT", 7, 5),
    Column::number("REORDER", 7, 1),
    Column::number("UNREAD", 7, 5),
    Column::number("SENT", 7, 6),
    Column::number("RECEIVED", 8, 6),
    Column::text("SESSION", 8, 7),
    Column::text("RATES", PICTURE as u16, 4),
];

pub(super) fn rows(state: &State, history: &History) -> Vec<Row> {
    let all =
        || state.sessions.iter().flat_map(|all| all.flows.iter().map(move |flow| (all, flow)));
    let peak =
        all().map(|(all, flow)| history.meter(&Id::of_flow(all, flow)).samples.peak(PICTURE));
    let peak = peak.fold(0.0, f32::max);
    all().map(|(session, flow)| row(session, flow, history, peak)).collect()
}

/// The number that the log and `striper-cli close` have for it; else that of its session.
pub(super) fn name(flow: &Flow) -> String {
    match (flow.number, flow.flow) {
        (Some(number), _) => number.to_string(),
        (None, Some(flow)) => format!("f{flow}"),
        (None, None) => "-".to_owned(),
    }
}

fn tone(waits: Waits) -> Tone {
    match waits {
        Waits::Session => Tone::Bad,
        Waits::Credit | Waits::Memory | Waits::Stripe | Waits::Order => Tone::Warning,
        Waits::Target | Waits::Peer => Tone::Plain,
        Waits::Program | Waits::Finished => Tone::Dim,
    }
}

fn row(session: &Session, flow: &Flow, history: &History, peak: f32) -> Row {
    let id = Id::of_flow(session, flow);
    let meter = history.meter(&id);
    let bytes = |count: u64| Cell::number(words::some_bytes(count), count as f64);
    let rate = |rate: f64| Cell::number(words::rate(rate), rate);
    let place = |place: &Option<String>| Cell::text(place.as_deref().unwrap_or("-"));
    let waiting = |direction: Waits| Cell::text(direction.word()).with(tone(direction));
    let cells = vec![
        Cell::number(name(flow), -(flow.number.or(flow.flow).unwrap_or(0) as f64)),
        place(&flow.from),
        place(&flow.target),
        rate(meter.up),
        rate(meter.down),
        waiting(flow.waits_for),
        waiting(flow.receiving_waits_for),
        Cell::number(words::age(flow.age_seconds), flow.age_seconds),
        bytes(flow.buffered_bytes),
        bytes(flow.credit_bytes),
        bytes(flow.reorder_bytes),
        bytes(flow.waiting_bytes),
        bytes(flow.sent_bytes),
        bytes(flow.received_bytes),
        Cell::text(session.session.as_str()),
        Cell::number(meter.samples.picture(PICTURE, peak), meter.up + meter.down).with(Tone::Good),
    ];
    Row { id, cells }
}
