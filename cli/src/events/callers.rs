//! Lines about callers that a server refuses: one for each cause and address, then counts. A count
//! comes with a later caller of the same kind, or a while after the last one, or at the stop. With
//! -v each caller has a line: first a warning, then debug lines instead of counts.
//!
//! A crowd of addresses costs neither memory nor many lines. The number of known pairs is bounded,
//! and so is the number of lines for a cause. Addresses from which a session has begun have lines
//! of their own, so no crowd hides their first mistake.

use super::cures::{Cause, visitor};
use super::repeats::{Due, Repeat};
use super::throttle::{Throttle, more};
use crate::log::{Level, Log};
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Instant;
use striper_runtime::StripeRefusal;

/// The most pairs of an address and a cause that are known; each takes about 100 bytes.
const MOST: usize = 1_024;

/// The most addresses with a session that are known: the default limit of sessions.
const FRIENDS: usize = 256;

/// Callers whose lines share a throttle. All of these lines have one level.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    is_friend: bool,
    cause: Cause,
}

impl Kind {
    fn level(self) -> Level {
        match self.cause {
            // A client that stops gives up the dials that are under way.
            Cause::Gone if self.is_friend => Level::Debug,
            // This side stops or has been restarted, and its clients come back.
            Cause::Returned => Level::Info,
            _ => Level::Warn,
        }
    }
}

struct Known {
    repeat: Repeat,
    from: SocketAddr,
    error: StripeRefusal,
}

/// First callers of addresses, for one cause.
struct First {
    throttle: Throttle,
    /// The latest caller that has no line, for want of room.
    unsaid: Option<(SocketAddr, StripeRefusal)>,
}

pub(super) struct Callers {
    /// Addresses from which sessions have begun, the latest last.
    friends: VecDeque<IpAddr>,
    known: BTreeMap<(IpAddr, Kind), Known>,
    first: BTreeMap<Kind, First>,
    counts: Throttle,
    further: BTreeMap<Kind, Throttle>,
    lines: u32,
}

impl Callers {
    pub(super) fn new(lines: u32) -> Self {
        Callers {
            friends: VecDeque::new(),
            known: BTreeMap::new(),
            first: BTreeMap::new(),
            counts: Throttle::new(lines),
            further: BTreeMap::new(),
            lines,
        }
    }

    pub(super) fn welcomed(&mut self, from: SocketAddr) {
        let network = network(from.ip());
        self.friends.retain(|friend| *friend != network);
        if self.friends.len() == FRIENDS {
            self.friends.pop_front();
        }
        self.friends.push_back(network);
    }

    pub(super) fn refused(
        &mut self,
        log: &Log,
        from: SocketAddr,
        error: &StripeRefusal,
        now: Instant,
    ) {
        let network = network(from.ip());
        let kind = Kind { is_friend: self.friends.contains(&network), cause: Cause::of(error) };
        let mut level = kind.level();
        if !log.shows(level) {
            return;
        }
        let new_throttle = || Throttle::new(self.lines);
        let (times, count) = match self.known.get_mut(&(network, kind)) {
            // Each has a line or is in the count of the next one, so no other count is needed.
            Some(_) if log.shows(Level::Debug) => {
                level = Level::Debug;
                let further = self.further.entry(kind).or_insert_with(new_throttle);
                let Some(unsaid) = further.admit(now) else { return };
                (unsaid, more(unsaid, "refused"))
            }
            Some(known) => {
                (known.from, known.error) = (from, error.clone());
                let counts = &mut self.counts;
                let again = known.repeat.again(now, || counts.admit(now).is_some());
                let Some(again) = again else { return };
                (again.times, again.text())
            }
            None => {
                let new_first = || First { throttle: new_throttle(), unsaid: None };
                let first = self.first.entry(kind).or_insert_with(new_first);
                let Some(unsaid) = first.throttle.admit(now) else {
                    first.unsaid = Some((from, error.clone()));
                    return;
                };
                first.unsaid = None;
                if self.known.len() == MOST
                    && let Some(oldest) =
                        self.known.iter().min_by_key(|(_, known)| known.repeat.said)
                {
                    let (pair, unsaid) = (*oldest.0, oldest.1.repeat.unsaid);
                    self.known.remove(&pair);
                    self.first.entry(pair.1).or_insert_with(new_first).throttle.unsaid += unsaid;
                }
                let repeat = Repeat::begin(now);
                self.known.insert((network, kind), Known { repeat, from, error: error.clone() });
                (unsaid, more(unsaid, "refused"))
            }
        };
        say(log, level, (from, error), times, &count);
    }

    /// Writes how many more callers there were of the known kinds, where that is due.
    pub(super) fn write_counts(&mut self, log: &Log, due: Due, now: Instant) {
        let counts = &mut self.counts;
        for ((_, kind), known) in &mut self.known {
            let again = known.repeat.due(now, due, || counts.admit(now).is_some());
            if let Some(again) = again {
                let caller = (known.from, &known.error);
                say(log, kind.level(), caller, again.times, &again.text());
            }
        }
        for (kind, first) in &mut self.first {
            let Some((from, error)) = first.unsaid.take() else { continue };
            match first.throttle.release(now, due == Due::Now) {
                // The caller that is named is one of them itself.
                Some(unsaid) => {
                    let unsaid = unsaid.saturating_sub(1);
                    let count = more(unsaid, "refused");
                    say(log, kind.level(), (from, &error), unsaid, &count);
                }
                None => first.unsaid = Some((from, error)),
            }
        }
    }
}

fn say(
    log: &Log,
    level: Level,
    (from, error): (SocketAddr, &StripeRefusal),
    times: u64,
    count: &str,
) {
    let fields = [
        ("from", from.to_string().into()),
        ("reason", error.to_string().into()),
        ("unsaid", times.into()),
    ];
    let text = format!("refused the caller {from}: {error}{}{count}", visitor(error));
    log.say(level, "stripe_refused", text, &fields);
}

/// The address of one caller; for IPv6 the /64 network, since one customer has all of that.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::throttle::PERIOD;
    use crate::log::{Paper, Verbosity};
    use std::net::Ipv4Addr;
    use std::time::Duration;
    use striper_core::{HandshakeError, Refusal};
    use striper_runtime::TlsError;

    const WRONG_KEY: StripeRefusal = StripeRefusal::Tls(TlsError::UnknownKey);
    const SECOND: Duration = Duration::from_secs(1);

    fn caller(number: u32) -> SocketAddr {
        SocketAddr::new(Ipv4Addr::from_bits(0x0a00_0000 + number).into(), 1)
    }

    fn not_striper(first: &[u8]) -> StripeRefusal {
        StripeRefusal::Handshake(HandshakeError::NotStriper { first: first.to_vec() })
    }

    struct Scene {
        callers: Callers,
        log: Log,
        paper: Paper,
        begin: Instant,
    }

    impl Scene {
        fn new(verbosity: Verbosity, lines: u32) -> Scene {
            let (log, paper) = Log::on_paper_with(verbosity);
            Scene { callers: Callers::new(lines), log, paper, begin: crate::clock::now() }
        }

        fn refuse(&mut self, from: SocketAddr, error: &StripeRefusal, after: Duration) {
            self.callers.refused(&self.log, from, error, self.begin + after);
        }

        fn counts(&mut self, due: Due, after: Duration) -> String {
            self.callers.write_counts(&self.log, due, self.begin + after);
            self.taken()
        }

        fn taken(&mut self) -> String {
            self.paper.take(&self.log)
        }
    }

    fn normal() -> Scene {
        Scene::new(Verbosity::Normal, 20)
    }

    #[test]
    fn a_caller_with_a_wrong_key_has_one_line_and_then_counts() {
        let mut scene = normal();
        for tenth in 0..7_200_u32 {
            scene.refuse(caller(1), &WRONG_KEY, tenth * SECOND / 10);
        }
        let written = scene.taken();
        let lines: Vec<&str> = written.lines().collect();
        assert_eq!(lines.len(), 4, "at 0, 1, 3 and 7 minutes: {written}");
        assert!(!lines[0].contains("more"), "{written}");
        assert!(lines[1].contains("(600 more times since "), "{written}");
        assert!(lines[2].contains("(1,200 more times since "), "{written}");
    }

    #[test]
    fn a_count_is_written_when_it_is_due_though_nobody_calls_again() {
        let mut scene = normal();
        for port in 1..=8 {
            scene.refuse(SocketAddr::new(caller(1).ip(), port), &WRONG_KEY, Duration::ZERO);
        }
        scene.taken();
        assert_eq!(scene.counts(Due::InTime, 59 * SECOND), "", "it is early");
        let written = scene.counts(Due::InTime, 60 * SECOND);
        assert!(written.contains("refused the caller 10.0.0.1:8"), "the latest: {written}");
        assert!(written.contains(" (7 more times since "), "{written}");
        assert_eq!(scene.counts(Due::Now, 61 * SECOND), "", "there is no more to tell");
    }

    #[test]
    fn a_crowd_beyond_the_bound_has_a_line_when_there_is_room_or_at_the_end() {
        let mut scene = normal();
        let crowd = |scene: &mut Scene, first: u32, after| {
            (first..first + 25).for_each(|number| scene.refuse(caller(number), &WRONG_KEY, after));
            assert_eq!(scene.taken().lines().count(), 20);
            assert_eq!(scene.counts(Due::InTime, after), "", "there is no room");
        };
        crowd(&mut scene, 0, Duration::ZERO);
        let written = scene.counts(Due::InTime, PERIOD);
        assert!(written.contains("refused the caller 10.0.0.24:1"), "the latest: {written}");
        assert!(written.contains(" (4 more refused since "), "{written}");
        assert_eq!(scene.counts(Due::InTime, 2 * PERIOD), "", "it is written already");
        crowd(&mut scene, 100, 3 * PERIOD);
        assert!(scene.counts(Due::Now, 3 * PERIOD).contains(" (4 more refused since "));
    }

    #[test]
    fn a_verbose_log_has_a_line_for_each_caller_and_no_counts() {
        let mut scene = Scene::new(Verbosity::Verbose, 20);
        for second in 0..600 {
            scene.refuse(caller(1), &WRONG_KEY, second * SECOND);
        }
        let written = scene.taken();
        let count = |level: &str| written.lines().filter(|line| line.contains(level)).count();
        assert_eq!((count(" warn "), count(" debug ")), (1, 599), "{written}");
        assert!(!written.contains("more"), "{written}");
    }

    #[test]
    fn a_verbose_log_warns_in_the_same_cases_as_a_terse_one() {
        let mut scene = Scene::new(Verbosity::Verbose, 20);
        let now = Duration::ZERO;
        scene.callers.welcomed(caller(1));
        scene.refuse(caller(1), &StripeRefusal::Closed, now);
        scene.refuse(caller(1), &StripeRefusal::Stalled, now);
        scene.refuse(caller(2), &StripeRefusal::Closed, now);
        scene.callers.welcomed(caller(2));
        scene.refuse(caller(2), &StripeRefusal::Closed, now);
        let written = scene.taken();
        let words = written.lines().map(str::split_whitespace);
        let levels: Vec<_> = words.filter_map(|mut words| words.nth(1)).collect();
        assert_eq!(levels, ["debug", "warn", "warn", "debug"], "{written}");
    }

    #[test]
    fn each_cause_and_each_kind_of_program_behind_an_address_has_a_line() {
        let mut scene = normal();
        let said = [&b"?"[..], b"GET / HTTP/1.1", b"SSH-2.0-x", b"?", b"SSH-2.0-y"];
        let others = [WRONG_KEY, StripeRefusal::Stalled, WRONG_KEY];
        for error in others.into_iter().chain(said.map(not_striper)) {
            scene.refuse(caller(1), &error, Duration::ZERO);
        }
        let written = scene.taken();
        assert_eq!(written.lines().count(), 5, "{written}");
    }

    #[test]
    fn a_crowd_takes_bounded_memory_and_hides_no_first_mistake() {
        let mut scene = normal();
        let other = |number: u8| SocketAddr::from(([192, 0, 2, number], 1));
        scene.callers.welcomed(other(7));
        for number in 0..50_000 {
            scene.refuse(caller(number), &StripeRefusal::Stalled, SECOND / 10 * number);
            assert!(scene.callers.known.len() <= MOST);
        }
        assert!(scene.taken().lines().count() <= 20 * 501);
        let now = 5_000 * SECOND - Duration::from_millis(1);
        for (number, error, after, why) in [
            (7, &StripeRefusal::Stalled, now, "it has had a session"),
            (8, &WRONG_KEY, now, "its cause is another one"),
            (9, &StripeRefusal::Stalled, now + PERIOD, "there is room again"),
        ] {
            scene.refuse(other(number), error, after);
            let part = format!("refused the caller {}", other(number));
            assert!(scene.taken().contains(&part), "{why}");
        }
    }

    #[test]
    fn callers_that_are_forgotten_are_counted_for_their_own_cause() {
        let mut scene = Scene::new(Verbosity::Normal, u32::MAX);
        (0..8).for_each(|_| scene.refuse(caller(0), &WRONG_KEY, Duration::ZERO));
        // These callers displace it.
        for number in 1..=MOST as u32 {
            scene.refuse(caller(number), &StripeRefusal::Stalled, SECOND);
        }
        let written = scene.taken();
        assert!(!written.contains("more refused"), "{written}");
        scene.refuse(caller(0), &StripeRefusal::Stalled, Duration::ZERO);
        assert!(!scene.taken().contains("more refused"), "that is another cause");
        scene.refuse(caller(0), &WRONG_KEY, Duration::ZERO);
        assert!(scene.taken().contains("(7 more refused since "), "that is its cause");
    }

    #[test]
    fn a_known_crowd_leaves_room_for_newcomers() {
        let mut scene = normal();
        for round in 0..200_u32 {
            (0..100).for_each(|number| scene.refuse(caller(number), &WRONG_KEY, round * SECOND));
        }
        scene.taken();
        scene.refuse(caller(200), &WRONG_KEY, 199 * SECOND);
        assert!(scene.taken().contains("refused the caller 10.0.0.200:1"));
    }

    #[test]
    fn an_ordinary_stop_of_either_side_is_no_reason_to_warn() {
        for (error, is_friend, level) in [
            (StripeRefusal::Refused(Refusal::Draining), true, Level::Info),
            (StripeRefusal::Closed, true, Level::Debug),
            (StripeRefusal::Closed, false, Level::Warn),
            (WRONG_KEY, true, Level::Warn),
        ] {
            assert_eq!(Kind { is_friend, cause: Cause::of(&error) }.level(), level, "{error}");
        }
    }

    #[test]
    fn all_addresses_of_one_ipv6_network_are_one_caller() {
        let of = |address: &str| network(address.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
