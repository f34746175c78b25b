//! Tells the log what the runtime reports, with the cure where there is a cause.

mod callers;
mod connections;
mod repeats;
mod servers;
mod strangers;
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

/// A listener to events that writes them to the log: within [`throttle::PERIOD`] so many `lines` for one cause.
pub fn events(log: &Log, lines: u32) -> Rc<dyn Fn(Event)> {
    let log = log.clone();
    let throttles = RefCell::new(Throttles::new(lines));
    Rc::new(move |event| tell(&log, &mut throttles.borrow_mut(), event))
}

/// One for each kind of line that strangers and peers can cause as often as they like, so that no kind hides another.
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
        let [few, many] = [lines, lines.saturating_mul(ORDINARY)].map(|lines| move || Throttle::new(lines));
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
            let Some(unsaid) = throttles.resumed.admit(clock::now()) else { return };
            let flows_text = match flows {
                0 => String::new(),
                1 => ": 1 connection goes on".into(),
                _ => format!(": {flows} connections go on"),
            };
            let text = format!("session {session} has a stripe again{flows_text}{}", more(unsaid, "times"));
            log.info("session_resumed", text, &session_fields(&session, flows, unsaid));
        }
        Event::PeerStopping { session, flows } => {
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
                EndReason::PeerComplained | EndReason::NoStripe | EndReason::Violation(_) => Level::Warn,
            };
            if !log.shows(level) {
                return;
            }
            let throttle = if level == Level::Warn { &mut throttles.broken } else { &mut throttles.ended };
            let Some(unsaid) = throttle.admit(clock::now()) else { return };
            let mut fields = session_fields(&session, flows, unsaid).to_vec();
            fields.push(("reason", reason.to_string().into()));
            let lost = match flows {
                0 => String::new(),
                _ => format!("; {} reset", units::were(flows, "connection")),
            };
            let text = format!("session {session} has ended: {reason}{lost}{}", more(unsaid, "ended"));
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
            let mut fields = stripe_fields(&session, (stripe.0, place), peer, live, wanted).to_vec();
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
            let mut fields = stripe_fields(&session, (stripe.0, place), peer, live, wanted).to_vec();
            fields.extend([("reason", reason.to_string().into()), ("unsaid", unsaid.into())]);
            let text = format!(
                "stripe #{place} (id {stripe}) is lost{}: {reason} ({live} of {wanted} left){}",
                with(peer),
                more(unsaid, "lost")
            );
            log.debug("stripe_lost", text, &fields);
        }
        Event::StripeAdapted { session, stripe, place, peer, adapted } => {
            let level = if matches!(adapted, Adapted::Denied { .. }) { Level::Debug } else { Level::Info };
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
            let text =
                format!("stripe #{place} (id {stripe}){}: {text}{}", with(peer), more(unsaid, "adapted"));
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
            log.info("peer_reached", format!("{server} answers{}", more(unsaid, "answers")), &fields);
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
            let text =
                format!("{} of packets lost without a queue: {congestion} from now on", percent(*lost));
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

#[cfg(test)]
mod tests {
    use super::*;
    use striper_runtime::{Congestion, DialError, Past, StripeRefusal};

    #[test]
    fn a_flood_of_sessions_is_summed_up_and_hides_no_violation() {
        let (log, paper) = Log::on_paper();
        let listener = events(&log, LINES);
        let session = SessionTag([7; 4]);
        for _ in 0..100 {
            listener(Event::SessionStarted { session, peer: None, from: None });
            listener(Event::SessionEnded { session, reason: EndReason::PeerClosed, flows: 0 });
        }
        listener(Event::SessionEnded { session, reason: EndReason::PeerComplained, flows: 0 });
        let written = paper.take(&log);
        assert_eq!(written.lines().filter(|line| line.contains("is up")).count(), 20, "{written}");
        assert_eq!(written.lines().filter(|line| line.contains("has ended")).count(), 21, "{written}");
        assert!(written.lines().last().unwrap().contains("warn"), "{written}");
    }

    #[test]
    fn no_kind_of_event_fills_the_log_however_often_it_is_caused() {
        let session = SessionTag([7; 4]);
        let (stripe, from) = (striper_core::StripeId(3), "192.0.2.1:7".parse().unwrap());
        let (live, wanted, peer, place, flows) = (1, 1, Some(from), 1, 2);
        let server = || striper_runtime::HostPort { host: "there".into(), port: 1 };
        type Cause<'a> = (&'a str, u32, &'a dyn Fn() -> Event);
        let callers = std::cell::Cell::new(0);
        let causes: [Cause<'_>; 16] = [
            ("session_started", 1, &|| Event::SessionStarted { session, peer: None, from: Some(from) }),
            ("session_stranded", 1, &|| {
                let wait = std::time::Duration::from_secs(60);
                Event::SessionStranded { session, peer: None, from: Some(from), flows, wait }
            }),
            ("session_resumed", 1, &|| Event::SessionResumed { session, flows }),
            ("peer_stopping", 1, &|| Event::PeerStopping { session, flows }),
            ("session_ended", 1, &|| Event::SessionEnded { session, reason: EndReason::PeerClosed, flows }),
            ("session_ended", 1, &|| Event::SessionEnded { session, reason: EndReason::NoStripe, flows }),
            ("session_forgotten", 1, &|| Event::SessionForgotten { session, flows }),
            ("stripe_up", ORDINARY, &|| Event::StripeUp { session, stripe, place, peer, live, wanted }),
            ("stripe_lost", ORDINARY, &|| {
                let reason = striper_runtime::StripeLoss::ClosedByPeer;
                Event::StripeLost { session, stripe, place, peer, live, wanted, reason }
            }),
            ("stripe_adapted", 1, &|| {
                let adapted = Adapted::Changed { congestion: Congestion::lossy(), lossy: true, lost: 0.1 };
                Event::StripeAdapted { session, stripe, place, peer, adapted }
            }),
            ("peer_unreachable", 1, &|| Event::PeerUnreachable {
                server: server(),
                cause: DialError::Refused,
                past: Past::Unmet,
                news: true,
            }),
            ("peer_reached", 1, &|| Event::PeerReached { server: server() }),
            ("memory_short", 1, &|| Event::MemoryShort { session, flows: 3, ended: true }),
            ("stripe_refused", 1, &|| {
                // Each from another address: one alone gets a single line.
                let address = std::net::Ipv4Addr::from_bits(callers.replace(callers.get() + 1));
                let from = (address, 1).into();
                Event::StripeRefused { from, error: StripeRefusal::Stalled }
            }),
            ("accept_failed", 1, &|| Event::AcceptFailed { error: std::io::ErrorKind::Other.into() }),
            ("trace_stopped", 1, &|| Event::TraceStopped { path: "t".into(), cause: "full".into() }),
        ];
        for (name, times, event) in causes {
            let (log, paper) = Log::on_paper_with(crate::args::Verbosity::Verbose);
            let listener = events(&log, 3);
            for _ in 0..4 * ORDINARY {
                listener(event());
            }
            assert_eq!(paper.take(&log).lines().count(), 3 * times as usize, "{name}");
        }
    }

    #[test]
    fn a_session_says_with_whom_it_is() {
        let (log, paper) = Log::on_paper();
        let listener = events(&log, LINES);
        let (session, from) = (SessionTag([7; 4]), Some("192.0.2.1:7".parse().unwrap()));
        listener(Event::SessionStarted { session, peer: Some("site".into()), from });
        listener(Event::SessionStarted { session, peer: None, from });
        let written = paper.take(&log);
        let expected = "session 07070707 with 192.0.2.1:7 (key site) is up";
        assert!(written.lines().next().unwrap().ends_with(expected), "{written}");
        assert!(written.ends_with("session 07070707 with 192.0.2.1:7 is up\n"), "{written}");
    }

    #[test]
    fn connections_that_stand_still_are_told_of_until_they_go_on_or_are_given_up() {
        let (log, paper) = Log::on_paper();
        let listener = events(&log, LINES);
        let (session, from) = (SessionTag([7; 4]), Some("192.0.2.1:7".parse().unwrap()));
        let wait = std::time::Duration::from_secs(60);
        listener(Event::SessionStranded { session, peer: None, from, flows: 3, wait });
        listener(Event::SessionResumed { session, flows: 1 });
        listener(Event::SessionEnded { session, reason: EndReason::NoStripe, flows: 3 });
        listener(Event::SessionEnded { session, reason: EndReason::NoStripe, flows: 0 });
        let written = paper.take(&log);
        let lines: Vec<&str> = written.lines().collect();
        let kept =
            "warn  session 07070707 with 192.0.2.1:7 has no stripe left: 3 connections are kept until ";
        assert!(lines[0].contains(kept), "{written}");
        assert!(lines[0].ends_with("Z, in case the other side comes back"), "{written}");
        assert!(lines[1].ends_with("has a stripe again: 1 connection goes on"), "{written}");
        assert!(lines[2].contains("warn") && lines[2].ends_with("3 connections were reset"), "{written}");
        assert!(lines[3].contains("info") && lines[3].ends_with("came back in time"), "{written}");
    }

    #[test]
    fn loopback_is_not_public_in_any_disguise() {
        for address in ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        for address in ["0.0.0.0", "::", "192.168.1.1"] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn a_stripe_that_changes_its_control_says_why() {
        let text = |adapted| adaptation(&adapted).map(|(text, ..)| text);
        let (congestion, lost) = (Congestion::lossy(), 0.0123);
        assert_eq!(
            text(Adapted::Changed { congestion: congestion.clone(), lossy: true, lost }).unwrap(),
            "1.2% of packets lost without a queue: bbr from now on"
        );
        assert_eq!(
            text(Adapted::Changed { congestion: Congestion::calm(), lossy: false, lost: 0.0 }).unwrap(),
            "0.0% of packets lost: cubic from now on"
        );
        let cause = std::io::ErrorKind::PermissionDenied;
        assert_eq!(
            text(Adapted::Denied { congestion, lost, cause }).unwrap(),
            "1.2% of packets lost without a queue, and bbr can't be had: only root may choose that"
        );
        assert_eq!(text(Adapted::Kept), None);
    }
}
