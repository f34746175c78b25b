//! Log lines about callers that a server turns away: one for each cause and address, then counts.
//! A count comes with a later such caller, or a while after the last one, or at the stop.
//! With -v each caller has a line: first a warning, then debug lines instead of counts.
//!
//! A crowd of addresses costs neither memory nor more lines than one: how many pairs are known is
//! bounded, and so is how many lines a cause gets. Addresses from which a session has begun have
//! lines of their own, so no crowd hides their first mistake.

use super::repeats::{Due, Repeat};
use super::strangers::{Cause, visitor};
use super::throttle::{Throttle, more};
use crate::log::{Level, Log};
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Instant;
use striper_runtime::StripeRefusal;

/// How many pairs of an address and a cause are known at most; each takes about 100 bytes.
const MOST: usize = 1_024;

/// How many addresses with a session are known at most: as many as there are sessions unless told
/// otherwise.
const FRIENDS: usize = 256;

/// Callers whose lines share a throttle. All of these lines have one level.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    /// Whether a session has begun from the caller's address.
    is_friend: bool,
    cause: Cause,
}

impl Kind {
    /// The level of a line about such a caller.
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

/// Callers of one address that have been turned away for one cause.
struct Known {
    repeat: Repeat,
    /// The latest of them.
    from: SocketAddr,
    /// Its refusal.
    error: StripeRefusal,
}

/// First callers of addresses, for one cause.
struct First {
    throttle: Throttle,
    /// The latest that has no line, for want of room.
    unsaid: Option<(SocketAddr, StripeRefusal)>,
}

impl First {
    fn new(lines: u32) -> Self {
        First { throttle: Throttle::new(lines), unsaid: None }
    }
}

/// Callers that have been turned away.
pub struct Callers {
    /// Addresses from which sessions have begun, the latest last.
    friends: VecDeque<IpAddr>,
    known: BTreeMap<(IpAddr, Kind), Known>,
    /// For first lines.
    first: BTreeMap<Kind, First>,
    /// For counts.
    counts: Throttle,
    /// For each further time.
    further: BTreeMap<Kind, Throttle>,
    /// How many lines a throttle lets through.
    lines: u32,
}

impl Callers {
    /// So many `lines` for one cause within [`PERIOD`](super::throttle::PERIOD).
    pub fn new(lines: u32) -> Self {
        Callers {
            friends: VecDeque::new(),
            known: BTreeMap::new(),
            first: BTreeMap::new(),
            counts: Throttle::new(lines),
            further: BTreeMap::new(),
            lines,
        }
    }

    /// A session has begun from this address.
    pub fn welcomed(&mut self, from: SocketAddr) {
        let network = network(from.ip());
        self.friends.retain(|friend| *friend != network);
        if self.friends.len() == FRIENDS {
            self.friends.pop_front();
        }
        self.friends.push_back(network);
    }

    /// A caller has been turned away.
    pub fn turned_away(
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
                (unsaid, more(unsaid, "turned away"))
            }
            Some(known) => {
                (known.from, known.error) = (from, error.clone());
                let counts = &mut self.counts;
                let again = known.repeat.again(now, || counts.admit(now).is_some());
                let Some(again) = again else { return };
                (again.times, again.text())
            }
            None => {
                let new_first = || First::new(self.lines);
                let first = self.first.entry(kind).or_insert_with(new_first);
                let Some(unsaid) = first.throttle.admit(now) else {
                    first.unsaid = Some((from, error.clone()));
                    return;
                };
                first.unsaid = None;
                if self.known.len() == MOST
                    && let Some(oldest) =
                        self.known.iter().min_by_key(|(_, known)| known.repeat.said())
                {
                    let (pair, unsaid) = (*oldest.0, oldest.1.repeat.unsaid());
                    self.known.remove(&pair);
                    self.first.entry(pair.1).or_insert_with(new_first).throttle.add(unsaid);
                }
                let repeat = Repeat::begin(now);
                self.known.insert((network, kind), Known { repeat, from, error: error.clone() });
                (unsaid, more(unsaid, "turned away"))
            }
        };
        say(log, level, (from, error), times, &count);
    }

    /// Tells how many more there were of callers that have been told of, where that is due.
    pub fn tell_counts(&mut self, log: &Log, due: Due, now: Instant) {
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
                // It is one of them itself.
                Some(unsaid) => {
                    let unsaid = unsaid.saturating_sub(1);
                    let count = more(unsaid, "turned away");
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
        ("error", error.to_string().into()),
        ("unsaid", times.into()),
    ];
    let text = format!("turned {from} away: {error}{}{count}", visitor(error));
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
    use crate::narrate::throttle::PERIOD;
    use std::net::Ipv4Addr;
    use std::time::Duration;
    use striper_core::{HandshakeError, Refusal};
    use striper_runtime::TlsError;

    const WRONG_KEY: StripeRefusal = StripeRefusal::Tls(TlsError::UnknownKey);

    fn caller(number: u32) -> SocketAddr {
        SocketAddr::new(Ipv4Addr::from_bits(0x0a00_0000 + number).into(), 1)
    }

    #[test]
    fn a_caller_with_a_wrong_key_is_told_of_once_and_then_counted() {
        let (log, paper) = Log::on_paper();
        let (mut callers, begin) = (Callers::new(20), crate::clock::now());
        for tenth in 0..7_200_u32 {
            callers.turned_away(
                &log,
                caller(1),
                &WRONG_KEY,
                begin + tenth * Duration::from_millis(100),
            );
        }
        let written = paper.take(&log);
        let lines: Vec<&str> = written.lines().collect();
        assert_eq!(lines.len(), 4, "at 0, 1, 3 and 7 minutes: {written}");
        assert!(!lines[0].contains("more"), "{written}");
        assert!(lines[1].contains("(600 more times since "), "{written}");
        assert!(lines[2].contains("(1,200 more times since "), "{written}");
    }

    #[test]
    fn what_was_counted_is_told_when_it_is_due_though_nobody_calls_again() {
        let (log, paper) = Log::on_paper();
        let (mut callers, begin) = (Callers::new(20), crate::clock::now());
        for port in 1..=8 {
            let from = SocketAddr::new(caller(1).ip(), port);
            callers.turned_away(&log, from, &WRONG_KEY, begin);
        }
        paper.take(&log);
        callers.tell_counts(&log, Due::InTime, begin + Duration::from_secs(59));
        assert_eq!(paper.take(&log), "", "it is early");
        callers.tell_counts(&log, Due::InTime, begin + Duration::from_secs(60));
        let written = paper.take(&log);
        assert!(written.contains("turned 10.0.0.1:8 away"), "the latest: {written}");
        assert!(written.contains(" (7 more times since "), "{written}");
        callers.tell_counts(&log, Due::Now, begin + Duration::from_secs(61));
        assert_eq!(paper.take(&log), "", "there is no more to tell");
    }

    #[test]
    fn a_crowd_without_lines_is_told_of_when_there_is_room_or_at_the_end() {
        let (log, paper) = Log::on_paper();
        let (mut callers, begin) = (Callers::new(20), crate::clock::now());
        let crowd = |callers: &mut Callers, first: u32, now| {
            (0..25).for_each(|number| {
                callers.turned_away(&log, caller(first + number), &WRONG_KEY, now);
            });
            assert_eq!(paper.take(&log).lines().count(), 20);
            callers.tell_counts(&log, Due::InTime, now);
            assert_eq!(paper.take(&log), "", "there is no room");
        };
        crowd(&mut callers, 0, begin);
        callers.tell_counts(&log, Due::InTime, begin + PERIOD);
        let written = paper.take(&log);
        assert!(written.contains("turned 10.0.0.24:1 away"), "the latest: {written}");
        assert!(written.contains(" (4 more turned away since "), "{written}");
        callers.tell_counts(&log, Due::InTime, begin + 2 * PERIOD);
        assert_eq!(paper.take(&log), "", "they have been told of");
        crowd(&mut callers, 100, begin + 3 * PERIOD);
        callers.tell_counts(&log, Due::Now, begin + 3 * PERIOD);
        assert!(paper.take(&log).contains(" (4 more turned away since "));
    }

    #[test]
    fn a_verbose_log_tells_of_each_caller() {
        let (log, paper) = Log::on_paper_with(crate::log::Verbosity::Verbose);
        let mut callers = Callers::new(20);
        for _ in 0..3 {
            callers.turned_away(&log, caller(1), &WRONG_KEY, crate::clock::now());
        }
        let written = paper.take(&log);
        let count = |level: &str| written.lines().filter(|line| line.contains(level)).count();
        assert_eq!((count(" warn "), count(" debug ")), (1, 2), "{written}");
    }

    #[test]
    fn a_verbose_log_tells_of_each_caller_once() {
        let (log, paper) = Log::on_paper_with(crate::log::Verbosity::Verbose);
        let (mut callers, begin) = (Callers::new(20), crate::clock::now());
        for second in 0..600 {
            callers.turned_away(&log, caller(1), &WRONG_KEY, begin + Duration::from_secs(second));
        }
        let written = paper.take(&log);
        assert_eq!(written.lines().count(), 600, "{written}");
        assert!(!written.contains("more"), "{written}");
    }

    #[test]
    fn a_verbose_log_warns_of_what_a_terse_one_warns_of() {
        let (log, paper) = Log::on_paper_with(crate::log::Verbosity::Verbose);
        let (mut callers, now) = (Callers::new(20), crate::clock::now());
        callers.welcomed(caller(1));
        for error in [StripeRefusal::Closed, StripeRefusal::Stalled] {
            callers.turned_away(&log, caller(1), &error, now);
        }
        callers.turned_away(&log, caller(2), &StripeRefusal::Closed, now);
        callers.welcomed(caller(2));
        callers.turned_away(&log, caller(2), &StripeRefusal::Closed, now);
        let written = paper.take(&log);
        let words = written.lines().map(str::split_whitespace);
        let levels: Vec<_> = words.filter_map(|mut words| words.nth(1)).collect();
        assert_eq!(levels, ["debug", "warn", "warn", "debug"], "{written}");
    }

    #[test]
    fn each_cause_of_a_caller_has_a_line() {
        let (log, paper) = Log::on_paper();
        let mut callers = Callers::new(20);
        let garbage = StripeRefusal::Handshake(HandshakeError::NotStriper { first: b"?".to_vec() });
        for error in [&WRONG_KEY, &garbage, &StripeRefusal::Stalled, &WRONG_KEY, &garbage] {
            callers.turned_away(&log, caller(1), error, crate::clock::now());
        }
        assert_eq!(paper.take(&log).lines().count(), 3);
    }

    #[test]
    fn each_kind_of_program_behind_an_address_has_a_line() {
        let (log, paper) = Log::on_paper();
        let mut callers = Callers::new(20);
        for first in [&b"GET / HTTP/1.1"[..], b"SSH-2.0-x", b"?", b"SSH-2.0-y", b"!"] {
            let error = HandshakeError::NotStriper { first: first.to_vec() };
            let error = StripeRefusal::Handshake(error);
            callers.turned_away(&log, caller(1), &error, crate::clock::now());
        }
        assert_eq!(paper.take(&log).lines().count(), 3);
    }

    #[test]
    fn a_crowd_takes_bounded_memory_and_hides_no_first_mistake() {
        let (log, paper) = Log::on_paper();
        let (mut callers, begin) = (Callers::new(20), crate::clock::now());
        let friend = "192.0.2.7:1".parse().unwrap();
        callers.welcomed(friend);
        for number in 0..50_000 {
            let now = begin + Duration::from_millis(100) * number;
            callers.turned_away(&log, caller(number), &StripeRefusal::Stalled, now);
            assert!(callers.known.len() <= MOST);
        }
        let now = begin + Duration::from_secs(5_000) - Duration::from_millis(1);
        assert!(paper.take(&log).lines().count() <= 20 * 501);
        callers.turned_away(&log, friend, &StripeRefusal::Stalled, now);
        assert!(paper.take(&log).contains("turned 192.0.2.7:1 away"), "it has been here before");
        callers.turned_away(&log, "192.0.2.8:1".parse().unwrap(), &WRONG_KEY, now);
        assert!(paper.take(&log).contains("turned 192.0.2.8:1 away"), "its cause is another one");
        let later = now + PERIOD;
        callers.turned_away(&log, "192.0.2.9:1".parse().unwrap(), &StripeRefusal::Stalled, later);
        assert!(
            paper.take(&log).contains("turned 192.0.2.9:1 away"),
            "it is told of when there is room"
        );
    }

    #[test]
    fn callers_that_are_forgotten_are_counted_for_their_own_cause() {
        let (log, paper) = Log::on_paper();
        let (mut callers, now) = (Callers::new(u32::MAX), crate::clock::now());
        for _ in 0..8 {
            callers.turned_away(&log, caller(0), &WRONG_KEY, now);
        }
        // They displace it.
        for number in 1..=MOST as u32 {
            let later = now + Duration::from_secs(1);
            callers.turned_away(&log, caller(number), &StripeRefusal::Stalled, later);
        }
        let written = paper.take(&log);
        assert!(!written.contains("more turned away"), "{written}");
        callers.turned_away(&log, caller(0), &StripeRefusal::Stalled, now);
        assert!(!paper.take(&log).contains("more turned away"), "that is another cause");
        callers.turned_away(&log, caller(0), &WRONG_KEY, now);
        assert!(paper.take(&log).contains("(7 more turned away since "), "that is its cause");
    }

    #[test]
    fn a_known_crowd_leaves_room_for_newcomers() {
        let (log, paper) = Log::on_paper();
        let (mut callers, begin) = (Callers::new(20), crate::clock::now());
        for round in 0..200_u32 {
            for number in 0..100 {
                callers.turned_away(
                    &log,
                    caller(number),
                    &WRONG_KEY,
                    begin + round * Duration::from_secs(1),
                );
            }
        }
        paper.take(&log);
        let newcomer = "192.0.2.9:1".parse().unwrap();
        callers.turned_away(&log, newcomer, &WRONG_KEY, begin + Duration::from_secs(199));
        assert!(paper.take(&log).contains("turned 192.0.2.9:1 away"));
    }

    #[test]
    fn an_ordinary_stop_of_either_side_is_no_reason_to_warn() {
        let level = |error: &StripeRefusal, is_friend| {
            let cause = Cause::of(error);
            Kind { is_friend, cause }.level()
        };
        let draining = StripeRefusal::Refused(Refusal::Draining);
        assert_eq!(level(&draining, true), Level::Info);
        assert_eq!(level(&StripeRefusal::Closed, true), Level::Debug);
        assert_eq!(level(&StripeRefusal::Closed, false), Level::Warn);
        assert_eq!(level(&WRONG_KEY, true), Level::Warn);
    }

    #[test]
    fn one_customer_is_one_caller() {
        let of = |address: &str| network(address.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
