//! The table of stripes.

use super::history::{History, Id};
use super::table::{Cell, Column, Row};
use super::tone::Tone;
use super::words;
use crate::state::{Limit, Session, State, Stripe, StripeState};
use crate::units;

/// The width of the picture of a rate: so many looks.
pub(super) const PICTURE: usize = 24;

pub(super) const COLUMNS: &[Column] = &[
    Column::text("STRIPE", 8, 0),
    Column::growing("PEER", 21, 3),
    Column::text("STATE", 8, 0),
    Column::number("↑bit/s", 6, 0),
    Column::number("↓bit/s", 6, 0),
    Column::text("LIMIT", 11, 0),
    Column::number("RTT", 7, 0),
    Column::number("MIN RTT", 7, 5),
    Column::number("IN FLIGHT", 9, 1),
    Column::number("WINDOW", 7, 4),
    Column::number("UNSENT", 7, 6),
    Column::number("RATE", 6, 7),
    Column::number("RESENT", 6, 1),
    Column::number("DOUBTS", 6, 2),
    Column::number("CONGESTED", 9, 7),
    Column::text("CONTROL", 8, 8),
    Column::text("RATES", PICTURE as u16, 4),
];

pub(super) fn rows(state: &State, history: &History) -> Vec<Row> {
    let all = || state.sessions.iter().enumerate().flat_map(with_stripes);
    let peak = all().map(|(_, session, stripe)| {
        history.meter(&Id::of_stripe(session, stripe)).samples.peak(PICTURE)
    });
    let peak = peak.fold(0.0, f32::max);
    let row = |(index, session, stripe)| row(state, index, session, stripe, history, peak);
    all().map(row).collect()
}

fn with_stripes((index, session): (usize, &Session)) -> impl Iterator<Item = Place<'_>> {
    session.stripes.iter().map(move |stripe| (index, session, stripe))
}

type Place<'a> = (usize, &'a Session, &'a Stripe);

/// The name of a stripe, as the status line has it: its place, maybe after its session's name.
pub(super) fn name(state: &State, index: usize, session: &Session, stripe: &Stripe) -> String {
    let place = stripe.place;
    match &session.key {
        _ if state.sessions.len() < 2 => place.to_string(),
        Some(key) => format!("{key}.{place}"),
        None => format!("{}.{place}", index + 1),
    }
}

pub(super) fn limit(limit: Limit) -> &'static str {
    match limit {
        Limit::Application => "application",
        Limit::Receiver => "receiver",
        Limit::Window => "window",
        Limit::Route => "route",
    }
}

fn row(
    state: &State,
    index: usize,
    session: &Session,
    stripe: &Stripe,
    history: &History,
    peak: f32,
) -> Row {
    let id = Id::of_stripe(session, stripe);
    let meter = history.meter(&id);
    let bytes = |count: u64| Cell::number(words::some_bytes(count), count as f64);
    let time = |time: Option<u64>| Cell::number(words::micros(time), time.unwrap_or(0) as f64);
    let rate = |rate: f64| Cell::number(words::rate(rate), rate);
    let count = |count: u64| Cell::number(units::grouped(count), count as f64);
    let (doubted, in_doubt) = match stripe.state {
        StripeState::Up => ("up", Tone::Good),
        StripeState::InDoubt => ("in doubt", Tone::Bad),
    };
    let name = name(state, index, session, stripe);
    let limited = meter.limit.unwrap_or(stripe.limit);
    let limit_tone = match limited {
        Limit::Application => Tone::Dim,
        Limit::Receiver | Limit::Window | Limit::Route => Tone::Plain,
    };
    let resent = stripe.retransmitted;
    let lossy = resent.is_some_and(|share| share >= LOSSY);
    let doubts = stripe.doubts;
    // In the order of sessions and places, not of the letters of the names.
    let order = -((index * MOST_STRIPES + stripe.place) as f64);
    let cells = vec![
        Cell::number(name, order),
        Cell::text(stripe.peer.clone().unwrap_or_else(|| "-".to_owned())),
        Cell::text(doubted).with(in_doubt),
        rate(meter.up),
        rate(meter.down),
        Cell::text(limit(limited)).with(limit_tone),
        time(stripe.rtt_us),
        time(stripe.min_rtt_us),
        bytes(stripe.in_flight_bytes),
        bytes(stripe.window_bytes.unwrap_or(0)),
        bytes(stripe.unsent_bytes),
        rate(stripe.delivery_rate_bytes_per_second.unwrap_or(0) as f64),
        Cell::number(resent.map_or_else(|| "-".to_owned(), units::percent), resent.unwrap_or(0.0))
            .with(if lossy { Tone::Warning } else { Tone::Plain }),
        count(doubts).with(if doubts > 0 { Tone::Warning } else { Tone::Plain }),
        count(stripe.congestions),
        Cell::text(stripe.congestion_control.clone().unwrap_or_else(|| "-".to_owned())),
        Cell::number(meter.samples.picture(PICTURE, peak), meter.up + meter.down).with(Tone::Good),
    ];
    Row { id, cells }
}

/// From this share of packets on, what TCP sends again is worth a look.
const LOSSY: f64 = 0.01;

/// No session has as many stripes.
const MOST_STRIPES: usize = 1_000;
