//! Lines about sessions and stripes.

use super::lines::Line;
use crate::log::Level;
use crate::{clock, congestion, units};
use std::net::SocketAddr;
use striper_core::{EndReason, StripeId};
use striper_runtime::keys::PeerName;
use striper_runtime::{Adapted, Cut, Event, SessionTag};

pub(super) fn line(event: &Event) -> Option<Line> {
    match event {
        Event::SessionStarted { session, peer, from } => {
            let text = format!("session {session}{}{} is up", with(*from), key(peer.as_ref()));
            let line = Line::new(Level::Info, "session_started", "begun", text);
            Some(of_peer(line, *session, *from, peer.as_ref()))
        }
        Event::SessionStranded { session, peer, from, flows, wait } => {
            let text = format!(
                "session {session}{}{} has no stripe left: {} kept until {}, in case the peer \
                 comes back",
                with(*from),
                key(peer.as_ref()),
                units::are(*flows, "connection"),
                clock::ahead(*wait),
            );
            let line = Line::new(Level::Warn, "session_stranded", "times", text);
            let line = of_peer(line, *session, *from, peer.as_ref());
            Some(line.with("connections", *flows).with("kept_for_seconds", wait.as_secs_f64()))
        }
        Event::SessionResumed { session, flows } => {
            let go_on = match flows {
                0 => String::new(),
                1 => ": 1 connection goes on".into(),
                _ => format!(": {flows} connections go on"),
            };
            let text = format!("session {session} has a stripe again{go_on}");
            let line = Line::new(Level::Info, "session_resumed", "times", text);
            Some(with_flows(line, *session, *flows))
        }
        Event::PeerStopping { session, flows } => {
            let text = format!(
                "session {session}: the peer is stopping and takes no new connections; {} may \
                 finish",
                units::count(*flows, "connection"),
            );
            let line = Line::new(Level::Info, "peer_stopping", "times", text);
            Some(with_flows(line, *session, *flows))
        }
        Event::SessionEnded { session, reason, revoked, flows } => {
            Some(ended(*session, *reason, *revoked, *flows))
        }
        Event::SessionForgotten { session, flows } => {
            let lost = match flows {
                0 => String::new(),
                _ => format!(" with {}", units::count(*flows, "connection")),
            };
            let text = format!(
                "the server has been restarted: session {session} is lost{lost}; a new session \
                 begins"
            );
            let line = Line::new(Level::Warn, "session_forgotten", "lost", text);
            Some(with_flows(line, *session, *flows))
        }
        Event::MemoryShort { session, flows, ended } => {
            let how = if *ended { ", and the session was ended" } else { "" };
            let text = format!(
                "memory is short (--limit memory): session {session} uses the most, so {} \
                 reset{how}",
                units::were(*flows, "connection"),
            );
            let line = Line::new(Level::Warn, "memory_short", "times", text);
            Some(with_flows(line, *session, *flows))
        }
        event => stripe_line(event),
    }
}

fn ended(session: SessionTag, reason: EndReason, revoked: bool, flows: usize) -> Line {
    let is_ordinary = match reason {
        EndReason::Shutdown | EndReason::Aborted | EndReason::PeerClosed => true,
        // Nobody has lost anything.
        EndReason::NoStripe => flows == 0,
        _ => false,
    };
    let level = if is_ordinary { Level::Info } else { Level::Warn };
    let reason = if revoked { Cut::Revoked.to_string() } else { reason.to_string() };
    let lost = match flows {
        0 => String::new(),
        _ => format!("; {} reset", units::were(flows, "connection")),
    };
    let text = format!("session {session} has ended: {reason}{lost}");
    let line = Line::new(level, "session_ended", "ended", text);
    with_flows(line, session, flows).with("reason", reason)
}

fn stripe_line(event: &Event) -> Option<Line> {
    match event {
        Event::StripeUp { session, stripe, place, peer, live, wanted } => {
            let name = stripe_name(*stripe, *place, *peer);
            let text = format!("{name} is up ({live} of {wanted})");
            let line = Line::new(Level::Debug, "stripe_up", "up", text);
            let line = of_stripe(line, *session, *stripe, *place, *peer);
            Some(line.with("live", *live).with("wanted", *wanted))
        }
        Event::StripeLost { session, stripe, place, peer, live, wanted, reason } => {
            let name = stripe_name(*stripe, *place, *peer);
            let text = format!("{name} is lost: {reason} ({live} of {wanted} left)");
            let line = Line::new(Level::Debug, "stripe_lost", "lost", text);
            let line = of_stripe(line, *session, *stripe, *place, *peer);
            let line = line.with("live", *live).with("wanted", *wanted);
            Some(line.with("reason", reason.to_string()))
        }
        Event::StripesAdapted { session, stripe, place, peer, stripes, lossy, lost, adapted } => {
            let level =
                if matches!(adapted, Adapted::Denied { .. }) { Level::Debug } else { Level::Info };
            let (how, congestion) = adaptation(*lossy, *lost, adapted)?;
            let all = match peer {
                Some(peer) if *stripes > 1 => {
                    format!(" (all {stripes} stripes with {})", peer.ip())
                }
                _ => String::new(),
            };
            let text = format!("{}: {how}{all}", stripe_name(*stripe, *place, *peer));
            let line = Line::new(level, "stripes_adapted", "adapted", text);
            let line = of_stripe(line, *session, *stripe, *place, *peer);
            Some(
                line.with("stripes", *stripes)
                    .with("congestion", congestion)
                    .with("packet_loss", *lost),
            )
        }
        _ => None,
    }
}

/// The text, and which congestion control was needed, if one was.
pub(super) fn adaptation(lossy: bool, lost: f64, adapted: &Adapted) -> Option<(String, String)> {
    let (congestion, how) = match adapted {
        Adapted::Changed { congestion } => (congestion, format!("{congestion} from now on")),
        Adapted::Denied { congestion, cause } => {
            let cause = congestion::cause(&(*cause).into());
            (congestion, format!("{congestion} can't be used: {cause}"))
        }
        _ => return None,
    };
    let queue = if lossy { " without a queue" } else { "" };
    let text = format!("{} of packets lost{queue}; {how}", units::percent(lost));
    Some((text, congestion.to_string()))
}

fn with(peer: Option<SocketAddr>) -> String {
    peer.map(|peer| format!(" with {peer}")).unwrap_or_default()
}

/// The name of the peer's key, in brackets, if it has one.
pub(crate) fn key(peer: Option<&PeerName>) -> String {
    peer.map(|peer| format!(" (key {peer})")).unwrap_or_default()
}

fn stripe_name(stripe: StripeId, place: usize, peer: Option<SocketAddr>) -> String {
    format!("stripe #{place} (id {stripe}){}", with(peer))
}

fn of_peer(
    line: Line,
    session: SessionTag,
    from: Option<SocketAddr>,
    peer: Option<&PeerName>,
) -> Line {
    let line = line.with("session", session.to_string());
    line.with_some("peer", from.map(|from| from.to_string()))
        .with_some("key", peer.map(|key| &**key))
}

fn of_stripe(
    line: Line,
    session: SessionTag,
    stripe: StripeId,
    place: usize,
    peer: Option<SocketAddr>,
) -> Line {
    let line = line.with("session", session.to_string()).with("stripe", stripe.0);
    line.with("place", place).with_some("peer", peer.map(|peer| peer.to_string()))
}

fn with_flows(line: Line, session: SessionTag, flows: usize) -> Line {
    line.with("session", session.to_string()).with("connections", flows)
}
