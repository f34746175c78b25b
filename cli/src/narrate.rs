//! Tells the log what the runtime reports: events, and the ends of connections. Causes get their cure here.

use crate::congestion;
use crate::log::{Level, Log, Value};
use crate::units;
use std::cell::RefCell;
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};
use striper_core::{EndReason, HandshakeError, Refusal};
use striper_runtime::{Adapted, DialError, Event, FlowEnd, FlowReport, SessionTag, StripeRefusal, TlsError};

/// Log lines for one cause within [`PERIOD`], unless told otherwise.
pub const LINES: u32 = 20;

/// How long those are all.
pub const PERIOD: Duration = Duration::from_secs(10);

/// So many times that of what is said of each connection and each stripe: that is what such lines are for.
const ORDINARY: u32 = 50;

/// A listener to events that writes them to the log: within [`PERIOD`] so many `lines` for one cause.
pub fn events(log: &Log, lines: u32) -> Rc<dyn Fn(Event)> {
    let log = log.clone();
    let throttles = RefCell::new(Throttles::new(lines));
    Rc::new(move |event| tell(&log, &mut throttles.borrow_mut(), event))
}

/// One for each kind of line that strangers and peers can cause as often as they like, so that no kind hides another.
struct Throttles {
    begun: Throttle,
    ended: Throttle,
    broken: Throttle,
    forgotten: Throttle,
    up: Throttle,
    lost: Throttle,
    adapted: Throttle,
    unreachable: Throttle,
    reached: Throttle,
    shed: Throttle,
    /// One for each [`cause`].
    turned_away: [Throttle; CAUSES],
    not_accepted: Throttle,
    not_traced: Throttle,
}

impl Throttles {
    fn new(lines: u32) -> Self {
        let [few, many] = [lines, lines.saturating_mul(ORDINARY)].map(|lines| move || Throttle::new(lines));
        Throttles {
            begun: few(),
            ended: few(),
            broken: few(),
            forgotten: few(),
            up: many(),
            lost: many(),
            adapted: few(),
            unreachable: few(),
            reached: few(),
            shed: few(),
            turned_away: std::array::from_fn(|_| few()),
            not_accepted: few(),
            not_traced: few(),
        }
    }
}

fn tell(log: &Log, throttles: &mut Throttles, event: Event) {
    match event {
        Event::SessionStarted { session, peer } => {
            // What is not shown in any case was not left out for want of room.
            if !log.shows(Level::Info) {
                return;
            }
            let Some(unsaid) = throttles.begun.admit(crate::clock::now()) else { return };
            let whose = peer.as_ref().map(|peer| format!(" with {peer}")).unwrap_or_default();
            let text = format!("session {session}{whose} is up{}", more(unsaid, "begun"));
            let fields = [
                ("session", session.to_string().into()),
                ("key", peer.as_deref().unwrap_or_default().to_owned().into()),
                ("unsaid", unsaid.into()),
            ];
            log.info("session_started", text, &fields);
        }
        Event::SessionEnded { session, reason } => {
            let level = match reason {
                EndReason::Shutdown | EndReason::Aborted | EndReason::PeerClosed => Level::Info,
                EndReason::PeerComplained | EndReason::NoStripe | EndReason::Violation(_) => Level::Warn,
            };
            if !log.shows(level) {
                return;
            }
            let throttle = if level == Level::Warn { &mut throttles.broken } else { &mut throttles.ended };
            let Some(unsaid) = throttle.admit(crate::clock::now()) else { return };
            let fields = [
                ("session", session.to_string().into()),
                ("reason", reason.to_string().into()),
                ("unsaid", unsaid.into()),
            ];
            let text = format!("session {session} has ended: {reason}{}", more(unsaid, "ended"));
            log.say(level, "session_ended", text, &fields);
        }
        Event::SessionForgotten { session } => {
            let Some(unsaid) = throttles.forgotten.admit(crate::clock::now()) else { return };
            let text = format!(
                "the server has been restarted: session {session} is lost, a new one begins{}",
                more(unsaid, "lost")
            );
            let fields = [("session", session.to_string().into()), ("unsaid", unsaid.into())];
            log.warn("session_forgotten", text, &fields);
        }
        Event::StripeUp { session, stripe, peer, live, wanted } => {
            if !log.shows(Level::Debug) {
                return;
            }
            let Some(unsaid) = throttles.up.admit(crate::clock::now()) else { return };
            let mut fields = stripe_fields(&session, stripe.0, peer, live, wanted).to_vec();
            fields.push(("unsaid", unsaid.into()));
            let text =
                format!("stripe {stripe} is up{} ({live} of {wanted}){}", with(peer), more(unsaid, "up"));
            log.debug("stripe_up", text, &fields);
        }
        Event::StripeLost { session, stripe, peer, live, wanted, reason } => {
            if !log.shows(Level::Debug) {
                return;
            }
            let Some(unsaid) = throttles.lost.admit(crate::clock::now()) else { return };
            let mut fields = stripe_fields(&session, stripe.0, peer, live, wanted).to_vec();
            fields.extend([("reason", reason.to_string().into()), ("unsaid", unsaid.into())]);
            let text = format!(
                "stripe {stripe} is lost{}: {reason} ({live} of {wanted} left){}",
                with(peer),
                more(unsaid, "lost")
            );
            log.debug("stripe_lost", text, &fields);
        }
        Event::StripeAdapted { session, stripe, peer, adapted } => {
            let level = if matches!(adapted, Adapted::Denied { .. }) { Level::Debug } else { Level::Info };
            if !log.shows(level) {
                return;
            }
            let Some(unsaid) = throttles.adapted.admit(crate::clock::now()) else { return };
            let Some((text, congestion, lost)) = adaptation(&adapted) else { return };
            let fields = [
                ("session", session.to_string().into()),
                ("stripe", stripe.0.into()),
                ("peer", peer.map(|peer| peer.to_string()).unwrap_or_default().into()),
                ("congestion", congestion.into()),
                ("lost", lost.into()),
                ("unsaid", unsaid.into()),
            ];
            let text = format!("stripe {stripe}{}: {text}{}", with(peer), more(unsaid, "adapted"));
            log.say(level, "stripe_adapted", text, &fields);
        }
        Event::PeerUnreachable { server, cause } => {
            let Some(unsaid) = throttles.unreachable.admit(crate::clock::now()) else { return };
            let text = format!(
                "no stripe to {server}: {cause}{}; still trying{}",
                cure(&cause),
                more(unsaid, "failed")
            );
            let fields = [
                ("server", server.to_string().into()),
                ("cause", cause.to_string().into()),
                ("unsaid", unsaid.into()),
            ];
            log.warn("peer_unreachable", text, &fields);
        }
        Event::PeerReached { server } => {
            if !log.shows(Level::Info) {
                return;
            }
            let Some(unsaid) = throttles.reached.admit(crate::clock::now()) else { return };
            let fields = [("server", server.to_string().into()), ("unsaid", unsaid.into())];
            log.info("peer_reached", format!("{server} answers{}", more(unsaid, "answers")), &fields);
        }
        Event::MemoryShort { session, flows, ended } => {
            let Some(unsaid) = throttles.shed.admit(crate::clock::now()) else { return };
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
            let Some(unsaid) = throttles.turned_away[cause(&error)].admit(crate::clock::now()) else {
                return;
            };
            let text =
                format!("turned {from} away: {error}{}{}", visitor(&error), more(unsaid, "turned away"));
            let fields = [
                ("from", from.to_string().into()),
                ("error", error.to_string().into()),
                ("unsaid", unsaid.into()),
            ];
            log.warn("stripe_refused", text, &fields);
        }
        Event::AcceptFailed { error } => {
            let cure = match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
                Some(rustix::io::Errno::MFILE) => "; raise the limit of open files (ulimit -n)",
                Some(rustix::io::Errno::NFILE) => {
                    "; the whole system is out of file descriptors (fs.file-max)"
                }
                _ => "",
            };
            let Some(unsaid) = throttles.not_accepted.admit(crate::clock::now()) else { return };
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
            let Some(unsaid) = throttles.not_traced.admit(crate::clock::now()) else { return };
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

/// What a throttle held back before this line.
fn more(unsaid: u64, what: &str) -> String {
    if unsaid > 0 { format!(" ({unsaid} more {what} since the last such line)") } else { String::new() }
}

fn stripe_fields(
    session: &SessionTag,
    stripe: u64,
    peer: Option<SocketAddr>,
    live: usize,
    wanted: usize,
) -> [(&'static str, Value); 5] {
    [
        ("session", session.to_string().into()),
        ("stripe", stripe.into()),
        ("peer", peer.map(|peer| peer.to_string()).unwrap_or_default().into()),
        ("live", (live as u64).into()),
        ("wanted", (wanted as u64).into()),
    ]
}

fn with(peer: Option<SocketAddr>) -> String {
    peer.map(|peer| format!(" with {peer}")).unwrap_or_default()
}

/// What to do when the server can't be reached.
fn cure(cause: &DialError) -> &'static str {
    match cause {
        DialError::UnknownHost => " (check its name)",
        DialError::Refused => {
            " (is striper-cli -s running there, and listening on this address and not only on loopback?)"
        }
        DialError::Unreachable => " (check the address and the routes)",
        DialError::TimedOut => " (check the address; or a firewall drops the packets)",
        DialError::Closed => " (the port may belong to another program, or a firewall is in between)",
        DialError::NoHello => {
            " (the port may belong to another program: it must be where striper-cli -s listens)"
        }
        DialError::Handshake(HandshakeError::NotStriper { first })
        | DialError::Tls(TlsError::NotTls { first }) => match recognise(first) {
            Some(Protocol::Ssh) => " (an ssh server; CONNECT must be the port where striper-cli -s listens)",
            Some(Protocol::Http) => " (a web server; CONNECT must be the port where striper-cli -s listens)",
            _ => " (CONNECT must be the port where striper-cli -s listens)",
        },
        DialError::Handshake(HandshakeError::Malformed | HandshakeError::TooLong) => {
            " (CONNECT must be the port where striper-cli -s listens)"
        }
        DialError::Refusal(Refusal::TooMany) => " (use fewer stripes: -n)",
        // Their own words say already what to do.
        DialError::Handshake(
            HandshakeError::Tls | HandshakeError::Version { .. } | HandshakeError::UnknownOption,
        ) => "",
        DialError::Tls(TlsError::Other(_)) => {
            " (the port may belong to another program: it must be where striper-cli -s listens)"
        }
        DialError::Tls(_) | DialError::Refusal(_) | DialError::Other(_) => "",
    }
}

/// How many causes [`cause`] tells apart.
const CAUSES: usize = 8;

/// Why a caller was turned away, coarsely: garbage must not hide an honest caller's mistake.
fn cause(error: &StripeRefusal) -> usize {
    match error {
        StripeRefusal::Handshake(HandshakeError::NotStriper { .. })
        | StripeRefusal::Tls(TlsError::NotTls { .. } | TlsError::Other(_)) => 0,
        StripeRefusal::Handshake(_) => 1,
        StripeRefusal::Tls(TlsError::Plain) => 2,
        StripeRefusal::Tls(TlsError::UnknownKey | TlsError::KeyRefused) => 3,
        StripeRefusal::Tls(_) => 4,
        StripeRefusal::Refused(_) => 5,
        StripeRefusal::Crowded => 6,
        StripeRefusal::Stalled | StripeRefusal::Closed | StripeRefusal::Broken(_) => 7,
    }
}

/// Who probably called a stripe port, when it was no striper.
fn visitor(error: &StripeRefusal) -> &'static str {
    let protocol = match error {
        StripeRefusal::Handshake(HandshakeError::NotStriper { first })
        | StripeRefusal::Tls(TlsError::NotTls { first }) => recognise(first),
        StripeRefusal::Handshake(HandshakeError::Tls) => Some(Protocol::Tls),
        _ => return "",
    };
    match protocol {
        Some(Protocol::Http) => {
            " (a browser or another HTTP client: it should connect to the -c side's port)"
        }
        Some(Protocol::Ssh) => " (an ssh client: it should connect to the -c side's port)",
        Some(Protocol::Tls) => " (such as a browser with https: that should connect to the -c side's port)",
        None => " (programs should connect to the -c side's port; this one is for stripes)",
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Protocol {
    Http,
    Ssh,
    Tls,
}

/// Knows common protocols by their first bytes.
fn recognise(first: &[u8]) -> Option<Protocol> {
    const METHODS: [&[u8]; 9] = [
        b"GET ",
        b"HEAD ",
        b"POST ",
        b"PUT ",
        b"DELETE ",
        b"OPTIONS ",
        b"CONNECT ",
        b"PRI * HTTP",
        b"HTTP/1.",
    ];
    if METHODS.iter().any(|method| first.starts_with(method)) {
        Some(Protocol::Http)
    } else if first.starts_with(b"SSH-") {
        Some(Protocol::Ssh)
    } else {
        None
    }
}

/// Tells of connections. Clones share what they let through.
#[derive(Clone)]
pub struct Connections {
    log: Log,
    throttles: Rc<RefCell<[Throttle; 4]>>,
}

/// What is told of a connection, each with a throttle of its own.
#[derive(Clone, Copy)]
enum Told {
    Opened,
    Ended,
    Failed,
    Refused,
}

impl Connections {
    /// Within [`PERIOD`] it says of so many `lines` connections that they failed or were refused, and of more that they began and ended.
    pub fn new(log: &Log, lines: u32) -> Self {
        let many = || Throttle::new(lines.saturating_mul(ORDINARY));
        let throttles = [many(), many(), Throttle::new(lines), Throttle::new(lines)];
        Connections { log: log.clone(), throttles: Rc::new(RefCell::new(throttles)) }
    }

    /// A connection has been opened. `name` is how it is introduced.
    pub fn opened(&self, name: &str, fields: &[(&str, Value)]) {
        self.say(Level::Info, Told::Opened, "connection_opened", format!("{name} opened"), fields, "opened");
    }

    /// A connection has not come about.
    pub fn refused(&self, text: String, fields: &[(&str, Value)]) {
        self.say(Level::Warn, Told::Refused, "connection_refused", text, fields, "failed");
    }

    /// A connection has ended.
    pub fn ended(&self, name: &str, number: u64, report: &FlowReport) {
        let level = match report.end {
            FlowEnd::Finished | FlowEnd::Reset(_) => Level::Info,
            FlowEnd::Refused(_) | FlowEnd::NoSession(_) => Level::Warn,
        };
        let (text, fields) = end(name, number, report);
        self.gone(level, text, &fields);
    }

    /// A connection has ended in a way that `text` tells.
    pub fn gone(&self, level: Level, text: String, fields: &[(&str, Value)]) {
        let told = if level == Level::Warn { Told::Failed } else { Told::Ended };
        self.say(level, told, "connection_ended", text, fields, "ended");
    }

    fn say(&self, level: Level, told: Told, event: &str, text: String, fields: &[(&str, Value)], what: &str) {
        if !self.log.shows(level) {
            return;
        }
        let unsaid = self.throttles.borrow_mut()[told as usize].admit(crate::clock::now());
        let Some(unsaid) = unsaid else { return };
        let fields: Vec<_> = fields.iter().cloned().chain([("unsaid", unsaid.into())]).collect();
        self.log.say(level, event, text + &more(unsaid, what), &fields);
    }
}

/// How a connection has ended. `name` is how it was introduced.
fn end(name: &str, number: u64, report: &FlowReport) -> (String, Vec<(&'static str, Value)>) {
    let total = report.sent + report.received;
    let rate = units::mean_rate(total, report.duration);
    let ratio = (report.best_stripe > 0).then(|| total as f64 / report.best_stripe as f64);
    let mut fields = vec![
        ("connection", number.into()),
        ("end", end_key(&report.end).to_owned().into()),
        ("reason", report.end.to_string().into()),
        ("sent", report.sent.into()),
        ("received", report.received.into()),
        ("seconds", report.duration.as_secs_f64().into()),
        ("best_stripe", report.best_stripe.into()),
    ];
    fields.extend(rate.map(|rate| ("bytes_per_second", rate.into())));
    fields.extend(ratio.map(|ratio| ("of_best_stripe", ratio.into())));
    (end_text(name, report, rate, ratio), fields)
}

/// Below this a rate relative to the best stripe says more about frame headers than about stripes, in bytes.
const TELLING: u64 = 256 << 10;

fn end_text(name: &str, report: &FlowReport, rate: Option<f64>, ratio: Option<f64>) -> String {
    let how = match &report.end {
        FlowEnd::Finished => "ended".to_owned(),
        FlowEnd::NoSession(error) => format!("failed: {error}"),
        end => end.to_string(),
    };
    let mut text = format!("{name} {how}");
    if matches!(report.end, FlowEnd::NoSession(_) | FlowEnd::Refused(_)) {
        let _ = write!(text, ", after {}", units::duration(report.duration));
        return text;
    }
    let (sent, received) = (units::bytes(report.sent), units::bytes(report.received));
    let _ = write!(text, ", {sent} sent, {received} received in {}", units::duration(report.duration));
    if let Some(rate) = rate.filter(|rate| *rate > 0.0) {
        let _ = write!(text, ", {}", units::rate(rate));
    }
    if let Some(ratio) = ratio.filter(|_| report.sent + report.received >= TELLING) {
        let _ = write!(text, " ({ratio:.1}× the best stripe)");
    }
    text
}

fn end_key(end: &FlowEnd) -> &'static str {
    match end {
        FlowEnd::Finished => "finished",
        FlowEnd::Reset(_) => "reset",
        FlowEnd::Refused(_) => "refused",
        FlowEnd::NoSession(_) => "no_session",
    }
}

/// Whether others than this machine can reach an address.
pub fn is_public(address: IpAddr) -> bool {
    !address.to_canonical().is_loopback()
}

/// Lets so many lines through within [`PERIOD`] and counts the rest, so that a port scan does not fill the disk.
pub struct Throttle {
    lines: u32,
    since: Option<Instant>,
    said: u32,
    unsaid: u64,
}

impl Throttle {
    /// That many.
    pub fn new(lines: u32) -> Self {
        Throttle { lines, since: None, said: 0, unsaid: 0 }
    }

    /// Whether to say something now: `Some` with the number of times that it was not said before.
    pub fn admit(&mut self, now: Instant) -> Option<u64> {
        if self.since.is_none_or(|since| now.duration_since(since) >= PERIOD) {
            self.since = Some(now);
            self.said = 0;
        }
        if self.said == self.lines {
            self.unsaid += 1;
            return None;
        }
        self.said += 1;
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use striper_core::Reason;
    use striper_runtime::{Congestion, OpenError};

    fn report(end: FlowEnd) -> FlowReport {
        FlowReport {
            sent: 1_000,
            received: 4_000_000,
            duration: Duration::from_secs(2),
            end,
            best_stripe: 1_000_250,
        }
    }

    fn text(report: &FlowReport) -> String {
        let total = report.sent + report.received;
        let rate = units::mean_rate(total, report.duration);
        end_text("connection 7", report, rate, Some(total as f64 / report.best_stripe as f64))
    }

    #[test]
    fn a_finished_connection_tells_bytes_time_rate_and_gain() {
        assert_eq!(
            text(&report(FlowEnd::Finished)),
            "connection 7 ended, 1.00 kB sent, 4.00 MB received in 2.00 s, 16.0 Mbit/s (4.0× the best stripe)"
        );
    }

    #[test]
    fn a_small_connection_claims_no_gain() {
        let small = FlowReport { received: 10, ..report(FlowEnd::Finished) };
        assert!(text(&small).ends_with("kbit/s"), "{}", text(&small));
    }

    #[test]
    fn a_broken_connection_tells_why() {
        assert!(
            text(&report(FlowEnd::Reset(Reason::SessionLost)))
                .starts_with("connection 7 reset: session lost, ")
        );
        let refused = report(FlowEnd::Refused(Reason::ConnectionRefused));
        assert_eq!(text(&refused), "connection 7 refused: connection to the target refused, after 2.00 s");
        assert_eq!(
            text(&report(FlowEnd::NoSession(OpenError::Unreachable(DialError::Refused)))),
            "connection 7 failed: server unreachable: connection refused, after 2.00 s"
        );
    }

    #[test]
    fn callers_of_the_wrong_port_are_recognised() {
        let seen = |first: &[u8]| {
            visitor(&StripeRefusal::Handshake(HandshakeError::NotStriper { first: first.to_vec() }))
        };
        assert!(seen(b"GET / HTTP/1.1\r\n").contains("browser"));
        assert!(seen(b"SSH-2.0-OpenSSH_9.9\r\n").contains("ssh client"));
        assert!(visitor(&StripeRefusal::Handshake(HandshakeError::Tls)).contains("browser with https"));
        assert!(seen(b"\0\0\0").contains("for stripes"));
        assert_eq!(visitor(&StripeRefusal::Stalled), "");
    }

    #[test]
    fn the_wrong_server_is_recognised() {
        let wrong =
            |first: &[u8]| cure(&DialError::Handshake(HandshakeError::NotStriper { first: first.to_vec() }));
        assert!(wrong(b"SSH-2.0-OpenSSH_9.9\r\n").contains("an ssh server"));
        assert!(wrong(b"HTTP/1.1 400 Bad Request").contains("a web server"));
    }

    #[test]
    fn a_server_whose_hello_makes_no_sense_is_probably_the_wrong_port() {
        for error in [HandshakeError::Malformed, HandshakeError::TooLong] {
            assert!(cure(&DialError::Handshake(error)).contains("where striper-cli -s listens"));
        }
        for error in [HandshakeError::Version { theirs: 2 }, HandshakeError::UnknownOption] {
            assert!(error.to_string().contains("update"), "{error}");
            assert_eq!(cure(&DialError::Handshake(error)), "");
        }
    }

    #[test]
    fn a_flood_of_sessions_is_summed_up_and_hides_no_violation() {
        let (log, paper) = Log::on_paper();
        let listener = events(&log, LINES);
        let session = SessionTag([7; 4]);
        for _ in 0..100 {
            listener(Event::SessionStarted { session, peer: None });
            listener(Event::SessionEnded { session, reason: EndReason::PeerClosed });
        }
        listener(Event::SessionEnded { session, reason: EndReason::PeerComplained });
        let written = paper.take(&log);
        assert_eq!(written.lines().filter(|line| line.contains("is up")).count(), 20, "{written}");
        assert_eq!(written.lines().filter(|line| line.contains("has ended")).count(), 21, "{written}");
        assert!(written.lines().last().unwrap().contains("warn"), "{written}");
        assert_eq!(more(80, "begun"), " (80 more begun since the last such line)");
        assert_eq!(more(0, "begun"), "");
    }

    #[test]
    fn no_kind_of_event_fills_the_log_however_often_it_is_caused() {
        let session = SessionTag([7; 4]);
        let (stripe, from) = (striper_core::StripeId(3), "192.0.2.1:7".parse().unwrap());
        let (live, wanted, peer) = (1, 1, Some(from));
        let server = || striper_runtime::HostPort { host: "there".into(), port: 1 };
        type Cause<'a> = (&'a str, u32, &'a dyn Fn() -> Event);
        let causes: [Cause<'_>; 13] = [
            ("session_started", 1, &|| Event::SessionStarted { session, peer: None }),
            ("session_ended", 1, &|| Event::SessionEnded { session, reason: EndReason::PeerClosed }),
            ("session_ended", 1, &|| Event::SessionEnded { session, reason: EndReason::NoStripe }),
            ("session_forgotten", 1, &|| Event::SessionForgotten { session }),
            ("stripe_up", ORDINARY, &|| Event::StripeUp { session, stripe, peer, live, wanted }),
            ("stripe_lost", ORDINARY, &|| {
                let reason = striper_runtime::StripeLoss::ClosedByPeer;
                Event::StripeLost { session, stripe, peer, live, wanted, reason }
            }),
            ("stripe_adapted", 1, &|| {
                let adapted = Adapted::Changed { congestion: Congestion::lossy(), lossy: true, lost: 0.1 };
                Event::StripeAdapted { session, stripe, peer, adapted }
            }),
            ("peer_unreachable", 1, &|| Event::PeerUnreachable {
                server: server(),
                cause: DialError::Refused,
            }),
            ("peer_reached", 1, &|| Event::PeerReached { server: server() }),
            ("memory_short", 1, &|| Event::MemoryShort { session, flows: 3, ended: true }),
            ("stripe_refused", 1, &|| Event::StripeRefused { from, error: StripeRefusal::Stalled }),
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
    fn a_flood_of_connections_is_summed_up_and_their_failures_have_lines_of_their_own() {
        let (log, paper) = Log::on_paper();
        let told = Connections::new(&log, 2);
        let refused = report(FlowEnd::Refused(Reason::ConnectionRefused));
        for _ in 0..1000 {
            told.opened("connection 7", &[]);
            told.ended("connection 7", 7, &report(FlowEnd::Finished));
        }
        for _ in 0..10 {
            told.ended("connection 7", 7, &refused);
            told.refused("connection 7 failed".into(), &[]);
        }
        let written = paper.take(&log);
        let count = |what: &str| written.lines().filter(|line| line.contains(what)).count();
        assert_eq!((count("opened"), count("ended, ")), (100, 100), "{written}");
        assert_eq!((count("7 refused:"), count("7 failed")), (2, 2), "{written}");
    }

    #[test]
    fn a_flood_of_strangers_is_summed_up() {
        let (mut throttle, now) = (Throttle::new(LINES), crate::clock::now());
        let admitted = (0..100).filter(|_| throttle.admit(now).is_some()).count();
        assert_eq!(admitted, 20);
        assert_eq!(throttle.admit(now + PERIOD), Some(80));
        assert_eq!(throttle.admit(now + PERIOD), Some(0));
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
