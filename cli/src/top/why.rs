//! Why a flow or a stripe is as fast as it is, in words.

use super::history::Meter;
use super::words::{age, bytes, micros, seconds};
use super::{flows, stripes};
use crate::state::{
    Flow, Limit, Limited, Session, SessionState, State, Stripe, StripeState, Waits,
};
use crate::units;

/// A paragraph of an explanation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Reason {
    pub about: &'static str,
    pub text: String,
}

impl Reason {
    fn new(about: &'static str, text: impl Into<String>) -> Reason {
        Reason { about, text: text.into() }
    }
}

/// Each direction of a flow, then its stripes, then what helps.
pub(super) fn flow(state: &State, session: &Session, flow: &Flow, meter: &Meter) -> Vec<Reason> {
    let up = format!("{}. {}", units::rate(meter.up), sending(state, session, flow));
    let down = format!("{}. {}", units::rate(meter.down), receiving(session, flow));
    let mut reasons = vec![Reason::new("To the peer", up), Reason::new("From the peer", down)];
    if waits_for_a_stripe(flow) {
        reasons.push(Reason::new("Stripes", all_stripes(session)));
    }
    reasons.extend(cure(session, flow).map(|cure| Reason::new("What helps", cure)));
    reasons
}

/// Whether its data waits for a stripe, or is on one.
fn waits_for_a_stripe(flow: &Flow) -> bool {
    let sent = flow.waits_for == Waits::Peer && flow.buffered_bytes > 0;
    sent || flow.waits_for == Waits::Stripe || flow.receiving_waits_for == Waits::Order
}

fn sending(state: &State, session: &Session, flow: &Flow) -> String {
    let held = bytes(flow.buffered_bytes);
    match flow.waits_for {
        Waits::Session => match &state.last_dial_error {
            Some(error) => format!("No stripe to the server: {error}. The flow waits for one."),
            None => "No session with the peer yet. The flow waits for one.".to_owned(),
        },
        Waits::Target => "The other side has not reached the target yet.".to_owned(),
        Waits::Program if flow.buffered_bytes > 0 => format!(
            "The local program writes no more. The last {held} are on their way, not acknowledged."
        ),
        Waits::Program => {
            "The local program gives no more: all that it wrote has arrived.".to_owned()
        }
        Waits::Credit => format!(
            "The program at the other side does not read, so the credit is used up.{}",
            if flow.buffered_bytes > 0 { format!(" {held} wait here.") } else { String::new() }
        ),
        Waits::Memory => format!(
            "{held} wait, and other flows use the memory that is left for data of programs."
        ),
        Waits::Stripe => format!("{held} wait. {}", busy(session)),
        Waits::Order | Waits::Peer if flow.buffered_bytes == 0 => {
            "All that the local program wrote has arrived.".to_owned()
        }
        Waits::Order | Waits::Peer => format!(
            "{held} are sent and not acknowledged; the peer may take {} more.",
            bytes(flow.credit_bytes)
        ),
        Waits::Finished => "The local program has ended its half, and the peer has it.".to_owned(),
    }
}

fn receiving(session: &Session, flow: &Flow) -> String {
    match flow.receiving_waits_for {
        Waits::Session => "Nothing can come before there is a session.".to_owned(),
        Waits::Target => "Nothing can come before the target is reached.".to_owned(),
        Waits::Program => {
            format!("The local program does not read: {} wait for it.", bytes(flow.waiting_bytes))
        }
        Waits::Order => {
            let late = slowest(session).map(|stripe| {
                format!(" Stripe {} is the slowest{}.", stripe.place, condition(stripe))
            });
            format!(
                "{} came out of order and wait for earlier data, which is still on another \
                 stripe.{}",
                bytes(flow.reorder_bytes),
                late.unwrap_or_default()
            )
        }
        Waits::Credit | Waits::Memory | Waits::Stripe | Waits::Peer => match session.state {
            SessionState::Up => "Nothing waits here. The other side has nothing to send, or its \
                                 stripes are busy: top over there tells which."
                .to_owned(),
            SessionState::Idle | SessionState::Stranded => "No stripe is up.".to_owned(),
        },
        Waits::Finished => "The program at the other side has ended its half.".to_owned(),
    }
}

/// Why no stripe takes data.
fn busy(session: &Session) -> String {
    if session.stripes.is_empty() {
        let kept = session.kept_for_seconds.map(|left| format!(" for {} more", age(left.ceil())));
        return format!("No stripe is up; the flow is kept{}.", kept.unwrap_or_default());
    }
    if session.stripes.iter().all(|stripe| stripe.state == StripeState::InDoubt) {
        return "Each stripe is in doubt: its acknowledgements are overdue.".to_owned();
    }
    let up = || session.stripes.iter().filter(|stripe| stripe.state == StripeState::Up);
    let by = |limit: Limit| up().filter(|stripe| stripe.limit == limit).count();
    let parts = [
        (by(Limit::Route), "the route takes no more"),
        (by(Limit::Window), "as much is in flight as our window allows"),
        (by(Limit::Receiver), "the peer's window is full"),
        (by(Limit::Application), "other flows have their turn"),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let parts: Vec<String> =
        parts.map(|(count, why)| format!("{}: {why}", units::count(*count, "stripe"))).collect();
    format!("All stripes are full. On {}.", parts.join("; on "))
}

/// The one that holds data back: in doubt, or else with the longest round trip.
fn slowest(session: &Session) -> Option<&Stripe> {
    let several = session.stripes.len() > 1;
    let slow = |stripe: &&Stripe| (stripe.state == StripeState::InDoubt, stripe.rtt_us);
    session.stripes.iter().max_by_key(slow).filter(|_| several)
}

/// The facts about a stripe, to follow its name.
fn condition(stripe: &Stripe) -> String {
    let rtt = match stripe.rtt_us {
        Some(rtt) => format!(", with a round trip of {}", micros(Some(rtt))),
        None => String::new(),
    };
    match stripe.state {
        StripeState::InDoubt => format!("{rtt}; it is in doubt"),
        StripeState::Up => rtt,
    }
}

fn all_stripes(session: &Session) -> String {
    if session.stripes.is_empty() {
        return "none".to_owned();
    }
    let each = session.stripes.iter().map(|stripe| {
        let state = match stripe.state {
            StripeState::InDoubt => "in doubt",
            StripeState::Up => stripes::limit(stripe.limit),
        };
        format!("{} {state} {}", stripe.place, micros(stripe.rtt_us))
    });
    each.collect::<Vec<_>>().join(", ")
}

fn cure(session: &Session, flow: &Flow) -> Option<String> {
    let doubted = session.stripes.iter().any(|stripe| stripe.state == StripeState::InDoubt);
    let waits = |waits: Waits| flow.waits_for == waits || flow.receiving_waits_for == waits;
    let cure = if waits(Waits::Session) || session.state == SessionState::Stranded {
        "Look at the log of this program: it says why no stripe comes up."
    } else if waits(Waits::Target) {
        "Look at the target, or at the log of the other side."
    } else if flow.receiving_waits_for == Waits::Program {
        "The program that has this connection is the slow one; look at it."
    } else if waits(Waits::Credit) {
        "Look at the program at the other end: it is the slow one."
    } else if waits(Waits::Memory) {
        "More memory for data (--limit memory=SIZE), or fewer flows at once."
    } else if doubted && waits_for_a_stripe(flow) {
        "Look at the route of the stripe in doubt. Its data is sent again on the others."
    } else if flow.waits_for == Waits::Stripe {
        let window = session.stripes.iter().all(|stripe| stripe.limit == Limit::Window);
        match window {
            true => "Our window keeps the queue of the route short; more stripes take more.",
            false => "More stripes (-n at the client), if the route caps each connection.",
        }
    } else {
        return None;
    };
    Some(cure.to_owned())
}

/// The limit of a stripe now and in all, its queue and its losses.
pub(super) fn stripe(stripe: &Stripe, meter: &Meter) -> Vec<Reason> {
    let limit = match meter.limit.unwrap_or(stripe.limit) {
        Limit::Application => "Nothing waits: local programs give no more.",
        Limit::Receiver => {
            "The peer takes no more: its programs do not read, or its window is full."
        }
        Limit::Window => {
            "As much is in flight as our window allows. It keeps the queue of the route short."
        }
        Limit::Route => "Data waits, and the route takes no more.",
    };
    let now = match stripe.state {
        StripeState::InDoubt => {
            "In doubt: acknowledgements are overdue. It gets no new data until one comes, and its \
             data is sent again on other stripes."
        }
        StripeState::Up => limit,
    };
    let mut reasons = vec![Reason::new("To the peer", format!("{}. {now}", units::rate(meter.up)))];
    reasons.extend(shares(&stripe.limited).map(|text| Reason::new("Since it is up", text)));
    if let (Some(rtt), Some(least)) = (stripe.rtt_us, stripe.min_rtt_us) {
        let text = format!(
            "{}, of which {} are queues on the way or in the systems at its ends.",
            micros(Some(rtt)),
            micros(Some(rtt.saturating_sub(least)))
        );
        reasons.push(Reason::new("Round trip", text));
    }
    if let Some(share) = stripe.retransmitted {
        let text = format!("TCP has sent {} of its packets again.", units::percent(share));
        reasons.push(Reason::new("Losses", text));
    }
    reasons
}

/// The share of time that each limit has held.
fn shares(limited: &Limited) -> Option<String> {
    let each = [
        (Limit::Application, limited.application_seconds),
        (Limit::Receiver, limited.receiver_seconds),
        (Limit::Window, limited.window_seconds),
        (Limit::Route, limited.route_seconds),
    ];
    let all: f64 = each.iter().map(|(_, seconds)| seconds).sum();
    let share = |(limit, seconds): &(Limit, f64)| {
        format!("{} {:.0}%", stripes::limit(*limit), seconds / all * 100.0)
    };
    (all > 0.0).then(|| each.iter().map(share).collect::<Vec<_>>().join(", "))
}

/// The head of an explanation.
pub(super) fn title(flow: &Flow) -> String {
    let target = flow.target.as_deref().unwrap_or("the target");
    format!("flow {} to {target}, open for {}", flows::name(flow), seconds(flow.age_seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripe_with(place: usize, limit: Limit, rtt_us: u64) -> Stripe {
        Stripe { place, limit, rtt_us: Some(rtt_us), ..Stripe::default() }
    }

    fn session() -> Session {
        let stripes =
            vec![stripe_with(1, Limit::Route, 20_000), stripe_with(2, Limit::Window, 90_000)];
        Session { state: SessionState::Up, stripes, ..Session::default() }
    }

    /// All that is said about a flow whose directions wait for these.
    fn said(session: &Session, sending: Waits, receiving: Waits, held: u64) -> String {
        let flow = Flow {
            waits_for: sending,
            receiving_waits_for: receiving,
            buffered_bytes: held,
            waiting_bytes: 7_000,
            reorder_bytes: 120_000,
            ..Flow::default()
        };
        let error = Some("connection refused".to_owned());
        let state = State { last_dial_error: error, ..State::default() };
        let reasons = super::flow(&state, session, &flow, &Meter::default());
        reasons.iter().map(|reason| format!("{}: {}\n", reason.about, reason.text)).collect()
    }

    #[test]
    fn a_slow_flow_is_told_from_its_two_directions() {
        use Waits::{
            Credit, Finished, Memory, Order, Peer, Program, Session as NoSession, Stripe, Target,
        };
        let session = session();
        for (sending, receiving, held, parts) in [
            (NoSession, NoSession, 9, &["connection refused", "log of this program"][..]),
            (Target, Target, 9, &["has not reached the target", "Look at the target"]),
            (Program, Peer, 0, &["gives no more: all that it wrote has arrived", "top over there"]),
            (Program, Peer, 5_000, &["The last 5.00 kB are on their way"]),
            (
                Peer,
                Program,
                0,
                &["does not read: 7.00 kB wait", "program that has this connection"],
            ),
            (Credit, Peer, 300, &["used up. 300 B wait here", "program at the other end"]),
            (Memory, Peer, 300, &["other flows use the memory", "--limit"]),
            (Stripe, Peer, 300, &["On 1 stripe: the route takes no more; on 1 stripe: as much"]),
            (Peer, Order, 0, &["120 kB came out of order", "Stripe 2 is the slowest", "90.0 ms"]),
            (Peer, Peer, 300, &["300 B are sent", "Stripes: 1 route 20.0 ms, 2 window 90.0 ms"]),
            (Finished, Finished, 0, &["has ended its half, and", "other side has ended its half"]),
        ] {
            let text = said(&session, sending, receiving, held);
            for part in parts {
                assert!(text.contains(part), "{part:?} is not said of {sending:?}:\n{text}");
            }
        }
    }

    #[test]
    fn stripes_are_told_only_to_a_flow_that_they_hold_back() {
        let mut session = session();
        session.stripes[1].state = StripeState::InDoubt;
        for (sending, receiving, held, told) in [
            (Waits::Program, Waits::Peer, 0, false),
            (Waits::Peer, Waits::Peer, 0, false),
            (Waits::Peer, Waits::Peer, 1, true),
            (Waits::Stripe, Waits::Peer, 1, true),
            (Waits::Program, Waits::Order, 0, true),
        ] {
            let text = said(&session, sending, receiving, held);
            assert_eq!(text.contains("\nStripes: "), told, "{text}");
            assert_eq!(text.contains("route of the stripe in doubt"), told, "{text}");
        }
    }

    #[test]
    fn a_flow_without_a_working_stripe_says_what_is_wrong_with_them() {
        let mut session = session();
        session.stripes.iter_mut().for_each(|stripe| stripe.state = StripeState::InDoubt);
        let text = said(&session, Waits::Stripe, Waits::Peer, 1);
        assert!(text.contains("Each stripe is in doubt"), "{text}");
        session.stripes.clear();
        (session.state, session.kept_for_seconds) = (SessionState::Stranded, Some(41.5));
        let text = said(&session, Waits::Stripe, Waits::Peer, 1);
        assert!(text.contains("No stripe is up; the flow is kept for 42 s more"), "{text}");
    }

    #[test]
    fn a_stripe_has_its_limit_now_and_the_share_of_each_since_it_is_up() {
        let mut stripe = stripe_with(1, Limit::Route, 30_000);
        stripe.min_rtt_us = Some(20_000);
        stripe.limited = Limited { route_seconds: 3.0, window_seconds: 1.0, ..Limited::default() };
        let text = |stripe: &Stripe, meter: &Meter| {
            let reasons = super::stripe(stripe, meter);
            reasons.into_iter().map(|reason| reason.text + "\n").collect::<String>()
        };
        let mut meter = Meter::default();
        meter.limit = Some(Limit::Window);
        let said = text(&stripe, &meter);
        assert!(said.contains("as our window allows"), "the longest since the last look: {said}");
        assert!(said.contains("window 25%, route 75%"), "{said}");
        assert!(said.contains("30.0 ms, of which 10.0 ms are queues"), "{said}");
        stripe.state = StripeState::InDoubt;
        assert!(text(&stripe, &meter).contains("acknowledgements are overdue"));
        assert!(text(&Stripe::default(), &Meter::default()).starts_with("0 bit/s. Nothing waits"));
    }
}
