//! Tells the log what the runtime reports, with the cure where there is a cause.

mod callers;
mod connections;
mod repeats;
mod servers;
mod strangers;
#[cfg(test)]
mod tests;
mod throttle;

pub use connections::Connections;
pub use throttle::LINES;

use crate::clock;
use crate::congestion;
use crate::log::{Level, Log, Value};
use crate::units;
use callers::Callers;
use servers::Servers;
use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use striper_core::EndReason;
use striper_runtime::keys::PeerName;
use striper_runtime::{Adapted, Event, SessionTag};
use throttle::{ORDINARY, Throttle, more};

/// A listener to events that writes them to the log: within [`throttle::PERIOD`] so many `lines`
/// for one cause.
pub fn events(log: &Log, lines: u32) -> Rc<dyn Fn(Event)> {
    let log = log.clone();
    let throttles = RefCell::new(Throttles::new(lines));
    Rc::new(move |event| tell(&log, &mut throttles.borrow_mut(), event))
}

/// One for each kind of line that strangers and peers can cause as often as they like, so that no
/// kind hides another.
struct Throttles {
    begun: Throttle,
    stranded: Throttle,
    resumed: Throttle,
    stopping: Throttle,
    ended: Throttle,
    broken: Throttle,
    forgotten: Throttle,
    up: Throttle,
    lost: Throttle,
    adapted: Throttle,
    unreachable: Servers,
    reached: Throttle,
    shed: Throttle,
    turned_away: Callers,
    not_accepted: Throttle,
    not_traced: Throttle,
}

impl Throttles {
    fn new(lines: u32) -> Self {
        let [few, many] =
            [lines, lines.saturating_mul(ORDINARY)].map(|lines| move || Throttle::new(lines));
        Throttles {
            begun: few(),
            stranded: few(),
            resumed: few(),
            stopping: few(),
            ended: few(),
            broken: few(),
            forgotten: few(),
            up: many(),
            lost: many(),
            adapted: few(),
            unreachable: Servers::new(lines),
            reached: few(),
            shed: few(),
            turned_away: Callers::new(lines),
            not_accepted: few(),
            not_traced: few(),
        }
    }
}

fn tell(log: &Log, throttles: &mut Throttles, event: Event) {
    match event {
        Event::SessionStarted { session, peer, from } => {
            if let Some(from) = from {
                throttles.turned_away.welcomed(from);
            }
            // What is not shown in any case was not left out for want of room.
            if !log.shows(Level::Info) {
                return;
            }
            let Some(unsaid) = throttles.begun.admit(clock::now()) else { return };
            let whose = with_key(from, peer.as_ref());
            let text = format!("session {session}{whose} is up{}", more(unsaid, "begun"));
            let mut fields = whose_fields(&session, from, peer).to_vec();
            fields.push(("unsaid", unsaid.into()));
            log.info("session_started", text, &fields);
        }
        Event::SessionStranded { session, peer, from, flows, wait } => {
            let Some(unsaid) = throttles.stranded.admit(clock::now()) else { return };
            let text = format!(
                "session {session}{} has no stripe left: {} kept until {}, \
                 in case the other side comes back{}",
                with_key(from, peer.as_ref()),
                units::are(flows, "connection"),
                clock::ahead(wait),
                more(unsaid, "times")
            );
            let mut fields = whose_fields(&session, from, peer).to_vec();
            fields.extend([
                ("connections", (flows as u64).into()),
                ("seconds", wait.as_secs_f64().into()),
                ("unsaid", unsaid.into()),
            ]);
            log.warn("session_stranded", text, &fields);
        }
        Event::SessionResumed { session, flows } => {
            if !log.shows(Level::Info) {
                return;
            }
            let Some(unsaid) = throttles.resumed.admit(clock::now()) else { return };
            let flows_text = match flows {
                0 => String::new(),
                1 => ": 1 connection goes on".into(),
                _ => format!(": {flows} connections go on"),
            };
            let text = format!(
                "session {session} has a stripe again{flows_text}{}",
                more(unsaid, "times")
            );
            log.info("session_resumed", text, &session_fields(&session, flows, unsaid));
        }
        Event::PeerStopping { session, flows } => {
            if !log.shows(Level::Info) {
                return;
            }
            let Some(unsaid) = throttles.stopping.admit(clock::now()) else { return };
            let text = format!(
                "session {session}: the other side is stopping and takes no new connections; \
                 {} may finish{}",
                units::count(flows, "connection"),
                more(unsaid, "times")
            );
            log.info("peer_stopping", text, &session_fields(&session, flows, unsaid));
        }
        Event::SessionEnded { session, reason, flows } => {
            let level = match reason {
                EndReason::Shutdown | EndReason::Aborted | EndReason::PeerClosed => Level::Info,
                // Nobody has lost anything.
                EndReason::NoStripe if flows == 0 => Level::Info,
                EndReason::PeerComplained | EndReason::NoStripe | EndReason::Violation(_) => {
                    Level::Warn
                }
            };
            if !log.shows(level) {
                return;
            }
            let throttle =
                if level == Level::Warn { &mut throttles.broken } else { &mut throttles.ended };
            let Some(unsaid) = throttle.admit(clock::now()) else { return };
            let mut fields = session_fields(&session, flows, unsaid).to_vec();
            fields.push(("reason", reason.to_string().into()));
            let lost = match flows {
                0 => String::new(),
                _ => format!("; {} reset", units::were(flows, "connection")),
            };
            let text =
                format!("session {session} has ended: {reason}{lost}{}", more(unsaid, "ended"));
            log.say(level, "session_ended", text, &fields);
        }
        Event::SessionForgotten { session, flows } => {
            let Some(unsaid) = throttles.forgotten.admit(clock::now()) else { return };
            let lost = match flows {
                0 => String::new(),
                _ => format!(" with {}", units::count(flows, "connection")),
            };
            let text = format!(
                "the server has been restarted: session {session} is lost{lost}, a new one begins{}",
                more(unsaid, "lost")
            );
            log.warn("session_forgotten", text, &session_fields(&session, flows, unsaid));
        }
        Event::StripeUp { session, stripe, place, peer, live, wanted } => {
            if !log.shows(Level::Debug) {
                return;
            }
            let Some(unsaid) = throttles.up.admit(clock::now()) else { return };
            let mut fields =
                stripe_fields(&session, (stripe.0, place), peer, live, wanted).to_vec();
            fields.push(("unsaid", unsaid.into()));
            let text = format!(
                "stripe #{place} (id {stripe}) is up{} ({live} of {wanted}){}",
                with(peer),
                more(unsaid, "up")
            );
            log.debug("stripe_up", text, &fields);
        }
        Event::StripeLost { session, stripe, place, peer, live, wanted, reason } => {
            if !log.shows(Level::Debug) {
                return;
            }
            let Some(unsaid) = throttles.lost.admit(clock::now()) else { return };
            let mut fields =
                stripe_fields(&session, (stripe.0, place), peer, live, wanted).to_vec();
            fields.extend([("reason", reason.to_string().into()), ("unsaid", unsaid.into())]);
            let text = format!(
                "stripe #{place} (id {stripe}) is lost{}: {reason} ({live} of {wanted} left){}",
                with(peer),
                more(unsaid, "lost")
            );
            log.debug("stripe_lost", text, &fields);
        }
        Event::StripeAdapted { session, stripe, place, peer, adapted } => {
            let level =
                if matches!(adapted, Adapted::Denied { .. }) { Level::Debug } else { Level::Info };
            if !log.shows(level) {
                return;
            }
            let Some(unsaid) = throttles.adapted.admit(clock::now()) else { return };
            let Some((text, congestion, lost)) = adaptation(&adapted) else { return };
            let fields = [
                ("session", session.to_string().into()),
                ("stripe", stripe.0.into()),
                ("place", (place as u64).into()),
                ("peer", peer.map(|peer| peer.to_string()).unwrap_or_default().into()),
                ("congestion", congestion.into()),
                ("lost", lost.into()),
                ("unsaid", unsaid.into()),
            ];
            let text = format!(
                "stripe #{place} (id {stripe}){}: {text}{}",
                with(peer),
                more(unsaid, "adapted")
            );
            log.say(level, "stripe_adapted", text, &fields);
        }
        Event::PeerUnreachable { server, cause, past, news } => {
            throttles.unreachable.unreachable(log, &server, &cause, (past, news), clock::now());
        }
        Event::PeerReached { server } => {
            if !log.shows(Level::Info) {
                return;
            }
            let Some(unsaid) = throttles.reached.admit(clock::now()) else { return };
            let fields = [("server", server.to_string().into()), ("unsaid", unsaid.into())];
            log.info(
                "peer_reached",
                format!("{server} answers{}", more(unsaid, "answers")),
                &fields,
            );
        }
        Event::MemoryShort { session, flows, ended } => {
            let Some(unsaid) = throttles.shed.admit(clock::now()) else { return };
            let how = if ended { " and it had to end" } else { "" };
            let text = format!(
                "memory is short (--limit memory): {} of session {session}, which keeps the most, had to be reset{how}{}",
                units::count(flows, "connection"),
                more(unsaid, "times")
            );
            let fields = [
                ("session", session.to_string().into()),
                ("connections", (flows as u64).into()),
                ("unsaid", unsaid.into()),
            ];
            log.warn("memory_short", text, &fields);
        }
        Event::StripeRefused { from, error } => {
            throttles.turned_away.turned_away(log, from, &error, clock::now());
        }
        Event::AcceptFailed { error } => {
            let cure = match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
                Some(rustix::io::Errno::MFILE) => "; raise the limit of open files (ulimit -n)",
                Some(rustix::io::Errno::NFILE) => {
                    "; the whole system is out of file descriptors (fs.file-max)"
                }
                _ => "",
            };
            let Some(unsaid) = throttles.not_accepted.admit(clock::now()) else { return };
            let text = format!(
                "cannot accept connections at the moment: {error}{cure}; still trying{}",
                more(unsaid, "times")
            );
            log.warn(
                "accept_failed",
                text,
                &[("error", error.to_string().into()), ("unsaid", unsaid.into())],
            );
        }
        Event::TraceStopped { path, cause } => {
            let Some(unsaid) = throttles.not_traced.admit(clock::now()) else { return };
            let text = format!(
                "the trace {} stops here: {cause}; connections go on{}",
                path.display(),
                more(unsaid, "stopped")
            );
            let fields = [
                ("path", path.display().to_string().into()),
                ("cause", cause.into()),
                ("unsaid", unsaid.into()),
            ];
            log.warn("trace_stopped", text, &fields);
        }
    }
}

/// In words, and which congestion control at which share of lost packets, if one was needed.
fn adaptation(adapted: &Adapted) -> Option<(String, String, f64)> {
    let percent = units::percent;
    let (text, congestion, lost) = match adapted {
        Adapted::Kept => return None,
        Adapted::Changed { congestion, lossy: true, lost } => {
            let text = format!(
                "{} of packets lost without a queue: {congestion} from now on",
                percent(*lost)
            );
            (text, congestion, lost)
        }
        Adapted::Changed { congestion, lossy: false, lost } => {
            let text = format!("{} of packets lost: {congestion} from now on", percent(*lost));
            (text, congestion, lost)
        }
        Adapted::Denied { congestion, lost, cause } => {
            let cause = congestion::cause(&(*cause).into());
            let text = format!(
                "{} of packets lost without a queue, and {congestion} can't be had: {cause}",
                percent(*lost)
            );
            (text, congestion, lost)
        }
    };
    Some((text, congestion.to_string(), *lost))
}

fn session_fields(session: &SessionTag, flows: usize, unsaid: u64) -> [(&'static str, Value); 3] {
    [
        ("session", session.to_string().into()),
        ("connections", (flows as u64).into()),
        ("unsaid", unsaid.into()),
    ]
}

fn whose_fields(
    session: &SessionTag,
    from: Option<SocketAddr>,
    peer: Option<PeerName>,
) -> [(&'static str, Value); 3] {
    [
        ("session", session.to_string().into()),
        ("peer", from.map(|from| from.to_string()).unwrap_or_default().into()),
        ("key", peer.as_deref().unwrap_or_default().to_owned().into()),
    ]
}

fn stripe_fields(
    session: &SessionTag,
    (stripe, place): (u64, usize),
    peer: Option<SocketAddr>,
    live: usize,
    wanted: usize,
) -> [(&'static str, Value); 6] {
    [
        ("session", session.to_string().into()),
        ("stripe", stripe.into()),
        ("place", (place as u64).into()),
        ("peer", peer.map(|peer| peer.to_string()).unwrap_or_default().into()),
        ("live", (live as u64).into()),
        ("wanted", (wanted as u64).into()),
    ]
}

fn with(peer: Option<SocketAddr>) -> String {
    peer.map(|peer| format!(" with {peer}")).unwrap_or_default()
}

/// The other end of a session: its address and its key.
fn with_key(from: Option<SocketAddr>, peer: Option<&PeerName>) -> String {
    with(from) + &key(peer)
}

/// The name of the key at the other end, in brackets, if one is needed.
pub fn key(peer: Option<&PeerName>) -> String {
    peer.map(|peer| format!(" (key {peer})")).unwrap_or_default()
}

/// Whether others than this machine can reach an address.
pub fn is_public(address: IpAddr) -> bool {
    !address.to_canonical().is_loopback()
}
