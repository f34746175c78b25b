//! The facts from earlier looks at a process: rates, and the limits of stripes since the last look.

use super::samples::Samples;
use crate::state::{Flow, Limit, Limited, Session, State, Stripe};
use std::collections::HashMap;

/// The same stripe or flow at another look.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Id {
    /// Its session, and its number there.
    Stripe(String, u64),
    /// Connections that the log knows are numbered across all sessions.
    Connection(u64),
    /// Its session, and its number there.
    Flow(String, Option<u64>),
    /// A side of a relay, by its name.
    Leg(String),
}

impl Id {
    pub(super) fn of_stripe(session: &Session, stripe: &Stripe) -> Id {
        Id::Stripe(session.session.clone(), stripe.stripe)
    }

    pub(super) fn of_flow(session: &Session, flow: &Flow) -> Id {
        match flow.number {
            Some(number) => Id::Connection(number),
            None => Id::Flow(session.session.clone(), flow.flow),
        }
    }
}

/// The leg of a relay to its target.
const FAR: &str = "far";

/// The bytes of a stripe, flow or leg at the last look, and its rates since the one before.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter {
    sent: u64,
    received: u64,
    limited: Limited,
    /// Bytes a second to the peer, and from the peer.
    pub up: f64,
    pub down: f64,
    /// Both together.
    pub samples: Samples,
    /// The limit of a stripe for most of the time since the look before.
    pub limit: Option<Limit>,
}

impl Meter {
    /// `time` is that since `before` in seconds; without both there is no rate.
    fn at(sent: u64, received: u64, before: Option<Meter>, time: Option<f64>) -> Meter {
        let first = Meter { sent, received, ..Meter::default() };
        let (Some(before), Some(time)) = (before, time) else { return first };
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / time;
        let (up, down) = (rate(sent, before.sent), rate(received, before.received));
        let mut samples = before.samples;
        samples.push(up + down);
        Meter { up, down, samples, ..first }
    }
}

/// The looks at one process.
#[derive(Debug, Default)]
pub(super) struct History {
    /// Which process it is: its id and its beginning.
    process: (u32, String),
    uptime: Option<f64>,
    /// For what has not been seen before.
    none: Meter,
    meters: HashMap<Id, Meter>,
    /// The bytes of all stripes, or of a relay's connections to its target.
    pub up: f64,
    pub down: f64,
    pub ups: Samples,
    pub downs: Samples,
}

impl History {
    /// Adds a look. Another process than before has no rates yet.
    pub(super) fn add(&mut self, state: &State) {
        let process = (state.pid, state.started.clone());
        if self.process != process {
            *self = History { process, ..History::default() };
        }
        let time = self.uptime.replace(state.uptime_seconds);
        let time = time.map(|before| state.uptime_seconds - before).filter(|time| *time > 0.0);
        let mut before = std::mem::take(&mut self.meters);
        (self.up, self.down) = (0.0, 0.0);
        for session in &state.sessions {
            for stripe in &session.stripes {
                let id = Id::of_stripe(session, stripe);
                let earlier = before.remove(&id);
                let limited = earlier.as_ref().map(|earlier| earlier.limited);
                let (sent, received) = (stripe.sent_bytes, stripe.received_bytes);
                let mut meter = Meter::at(sent, received, earlier, time);
                meter.limit = limited.and_then(|before| longest(&before, &stripe.limited));
                meter.limited = stripe.limited;
                self.up += meter.up;
                self.down += meter.down;
                self.meters.insert(id, meter);
            }
            for flow in &session.flows {
                let id = Id::of_flow(session, flow);
                let earlier = before.remove(&id);
                let meter = Meter::at(flow.sent_bytes, flow.received_bytes, earlier, time);
                self.meters.insert(id, meter);
            }
        }
        for leg in &state.legs {
            let id = Id::Leg(leg.leg.clone());
            let earlier = before.remove(&id);
            let meter = Meter::at(leg.sent_bytes, leg.received_bytes, earlier, time);
            if leg.leg == FAR {
                (self.up, self.down) = (meter.up, meter.down);
            }
            self.meters.insert(id, meter);
        }
        if time.is_some() {
            self.ups.push(self.up);
            self.downs.push(self.down);
        }
    }

    pub(super) fn meter(&self, id: &Id) -> &Meter {
        self.meters.get(id).unwrap_or(&self.none)
    }
}

/// The limit that has held for the longest since `before`; none if no time has passed.
fn longest(before: &Limited, now: &Limited) -> Option<Limit> {
    let since = [
        (Limit::Application, now.application_seconds - before.application_seconds),
        (Limit::Receiver, now.receiver_seconds - before.receiver_seconds),
        (Limit::Window, now.window_seconds - before.window_seconds),
        (Limit::Route, now.route_seconds - before.route_seconds),
    ];
    let longest = since.into_iter().max_by(|(_, a), (_, b)| a.total_cmp(b));
    longest.filter(|(_, seconds)| *seconds > 0.0).map(|(limit, _)| limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(pid: u32, uptime_seconds: f64, sent_bytes: u64, route_seconds: f64) -> State {
        let limited = Limited { route_seconds, application_seconds: 0.5, ..Limited::default() };
        let stripe = Stripe { stripe: 3, sent_bytes, limited, ..Stripe::default() };
        let flow = Flow { number: Some(9), received_bytes: sent_bytes / 2, ..Flow::default() };
        let (stripes, flows) = (vec![stripe], vec![flow]);
        let session = Session { session: "aa".into(), stripes, flows, ..Session::default() };
        State { pid, uptime_seconds, sessions: vec![session], ..State::default() }
    }

    const STRIPE: fn() -> Id = || Id::Stripe("aa".into(), 3);

    #[test]
    fn a_rate_is_what_was_added_since_the_last_look_by_the_clock_of_the_process() {
        let mut history = History::default();
        history.add(&state(1, 100.0, 5_000, 0.0));
        assert_eq!((history.meter(&STRIPE()).up, history.up), (0.0, 0.0), "one look");
        history.add(&state(1, 102.0, 9_000, 0.0));
        assert_eq!((history.meter(&STRIPE()).up, history.up), (2_000.0, 2_000.0));
        let flow = history.meter(&Id::Connection(9));
        assert_eq!((flow.up, flow.down, flow.samples.peak(9)), (0.0, 1_000.0, 1_000.0));
        history.add(&state(1, 102.0, 9_000, 0.0));
        assert_eq!(history.meter(&STRIPE()).up, 0.0, "no time has passed");
    }

    #[test]
    fn another_process_begins_anew() {
        let mut history = History::default();
        history.add(&state(1, 100.0, 5_000, 0.0));
        history.add(&state(1, 101.0, 9_000, 0.0));
        history.add(&state(2, 102.0, 20_000, 0.0));
        assert_eq!((history.up, history.ups.peak(9)), (0.0, 0.0));
        history.add(&state(2, 103.0, 20_500, 0.0));
        assert_eq!((history.up, history.ups.peak(9)), (500.0, 500.0));
    }

    #[test]
    fn the_limit_is_the_longest_since_the_last_look() {
        let mut history = History::default();
        history.add(&state(1, 100.0, 0, 0.1));
        assert_eq!(history.meter(&STRIPE()).limit, None);
        history.add(&state(1, 101.0, 0, 0.2));
        assert_eq!(history.meter(&STRIPE()).limit, Some(Limit::Route));
        history.add(&state(1, 102.0, 0, 0.2));
        assert_eq!(history.meter(&STRIPE()).limit, None);
    }

    #[test]
    fn what_has_gone_is_forgotten() {
        let mut history = History::default();
        history.add(&state(1, 100.0, 0, 0.0));
        history.add(&State { sessions: Vec::new(), ..state(1, 101.0, 0, 0.0) });
        assert_eq!(history.meters.len(), 0);
    }
}
