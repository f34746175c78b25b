//! When to dial which of the server's addresses.
//!
//! Each address has its own backoff, and each gets its even share of the stripes. The waiting time
//! doubles with each failure up to 30 s, and is cut to one second while flows wait and no stripe
//! lives. Half of it is drawn at random, so that clients that lost the same server do not come back
//! in step.

use crate::ports::DialError;
use crate::report::Past;
use crate::target::HostPort;
use std::time::Duration;
use striper_core::Instant;

/// The waiting time after the first failure.
const FIRST: Duration = Duration::from_millis(100);

/// The longest waiting time.
const LONGEST: Duration = Duration::from_secs(30);

/// The same while flows wait and no stripe lives. A dial that hangs longer gets another beside it.
const URGENT: Duration = Duration::from_secs(1);

/// A stripe that lived for less counts as a failed dial: something behind the handshake is wrong.
const PROVEN: Duration = Duration::from_secs(1);

/// One address of the server.
struct Server {
    address: HostPort,
    /// In a row.
    failures: u32,
    failed: Option<Instant>,
    /// The earliest next dial.
    next: Instant,
    last_dial: Instant,
    dialling: usize,
    live: usize,
    /// Why the last dial failed, if it did.
    error: Option<DialError>,
    /// In which ways dials have failed since it was last reached.
    known: Vec<DialError>,
    /// It has taken a stripe or has said why it takes none.
    met: bool,
}

pub(crate) struct Dialler {
    servers: Vec<Server>,
    entropy: Box<dyn FnMut() -> u64>,
    /// Stripes that the session misses.
    wanted: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Plan {
    Dial(usize),
    Wait(Instant),
    Rest,
}

impl Dialler {
    /// Knows these addresses, at least one. `entropy` gives random numbers.
    pub(crate) fn new(addresses: Vec<HostPort>, entropy: Box<dyn FnMut() -> u64>) -> Self {
        let server = |address| Server {
            address,
            failures: 0,
            failed: None,
            next: Instant::ZERO,
            last_dial: Instant::ZERO,
            dialling: 0,
            live: 0,
            error: None,
            known: Vec::new(),
            met: false,
        };
        Dialler { servers: addresses.into_iter().map(server).collect(), entropy, wanted: 0 }
    }

    pub(crate) fn address(&self, server: usize) -> &HostPort {
        &self.servers[server].address
    }

    pub(crate) fn want(&mut self, stripes: usize) {
        self.wanted = stripes;
    }

    pub(crate) fn wants_any(&self) -> bool {
        self.wanted > 0
    }

    /// The next step. `urgent`: flows wait and no stripe lives.
    pub(crate) fn plan(&self, now: Instant, urgent: bool) -> Plan {
        let dialling: usize = self.servers.iter().map(|server| server.dialling).sum();
        if self.wanted == 0 {
            return Plan::Rest;
        }
        let Some((index, server)) =
            self.servers.iter().enumerate().min_by_key(|(_, server)| server.live + server.dialling)
        else {
            return Plan::Rest;
        };
        let at = match (dialling < self.wanted, urgent) {
            (true, false) => server.next,
            (true, true) => {
                server.next.min(server.failed.map_or(server.next, |failed| failed + URGENT))
            }
            (false, true) => {
                let hanging = self.servers.iter().map(|server| server.last_dial).max();
                hanging.unwrap_or(now) + URGENT
            }
            (false, false) => return Plan::Rest,
        };
        if at <= now { Plan::Dial(index) } else { Plan::Wait(at) }
    }

    pub(crate) fn dialled(&mut self, server: usize, now: Instant) {
        let server = &mut self.servers[server];
        server.dialling += 1;
        server.last_dial = now;
    }

    /// A dial was given up for another reason than a failure.
    pub(crate) fn dropped(&mut self, server: usize) {
        self.servers[server].dialling -= 1;
    }

    /// A dial has become a stripe. Says whether there had been a failure before.
    pub(crate) fn succeeded(&mut self, server: usize) -> bool {
        let server = &mut self.servers[server];
        server.dialling -= 1;
        server.live += 1;
        server.met = true;
        server.known.clear();
        server.error.take().is_some()
    }

    /// A dial that was begun at `begun` has failed. Returns the address's past, and whether no dial
    /// has failed alike since the address was last reached. If the server has `stopped`, all ways
    /// in which a stopped server can fail are alike, but not at an address where none has run.
    pub(crate) fn failed(
        &mut self,
        server: usize,
        begun: Instant,
        error: &DialError,
        stopped: bool,
        now: Instant,
    ) -> (Past, bool) {
        self.servers[server].dialling -= 1;
        self.back_off(server, begun, now);
        let server = &mut self.servers[server];
        server.error = Some(error.clone());
        server.met |= matches!(error, DialError::Refusal(_));
        let past = match server.met {
            true if stopped => Past::Stopped,
            true => Past::Met,
            false => Past::Unmet,
        };
        let gone = past == Past::Stopped && error.is_absence();
        let is_known = |known: &DialError| known.is_alike(error) || (gone && known.is_absence());
        let news = !server.known.iter().any(is_known);
        if news {
            server.known.push(error.clone());
        }
        (past, news)
    }

    /// A stripe that came up at `since` is no more.
    pub(crate) fn lost(&mut self, server: usize, since: Instant, now: Instant) {
        self.servers[server].live -= 1;
        if now.since(since) >= PROVEN {
            let server = &mut self.servers[server];
            server.failures = 0;
            server.failed = None;
            server.next = now;
        } else {
            self.back_off(server, since, now);
        }
    }

    /// Dials under way and stripes that live, over all addresses.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn counts(&self) -> (usize, usize) {
        let sum = |of: fn(&Server) -> usize| self.servers.iter().map(of).sum();
        (sum(|server| server.dialling), sum(|server| server.live))
    }

    /// Dials at the next opportunity, unless an address has just failed.
    pub(crate) fn hurry(&mut self, now: Instant) {
        for server in &mut self.servers {
            if server.failed.is_none_or(|failed| now.since(failed) >= URGENT) {
                server.next = server.next.min(now);
            }
        }
    }

    /// Why no address is of use: each has failed for good in the last second and is not dialled.
    pub(crate) fn refusal(&self, now: Instant) -> Option<&DialError> {
        let refused = self.servers.iter().all(|server| {
            server.dialling == 0
                && server.error.as_ref().is_some_and(DialError::is_definite)
                && server.failed.is_some_and(|failed| now.since(failed) < URGENT)
        });
        if refused { self.error() } else { None }
    }

    /// Why the last dial failed, if the last dial to every address did.
    pub(crate) fn error(&self) -> Option<&DialError> {
        if self.servers.iter().any(|server| server.error.is_none()) {
            return None;
        }
        self.servers.iter().max_by_key(|server| server.failed)?.error.as_ref()
    }

    /// Several dials that were under way together count as one failure.
    fn back_off(&mut self, server: usize, begun: Instant, now: Instant) {
        let random = (self.entropy)();
        let server = &mut self.servers[server];
        if server.failed.is_some_and(|failed| begun < failed) {
            return;
        }
        server.failed = Some(now);
        server.next = now + backoff(server.failures, random);
        server.failures = server.failures.saturating_add(1);
    }
}

/// The waiting time after so many failures before the last one.
fn backoff(failures: u32, random: u64) -> Duration {
    let full = FIRST.saturating_mul(1 << failures.min(16)).min(LONGEST);
    let half = full.as_micros() as u64 / 2;
    Duration::from_micros(half + random % (half + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_micros(millis * 1000)
    }

    fn dialler(servers: usize) -> Dialler {
        let addresses = (0..servers).map(|i| HostPort::new("host", i as u16)).collect();
        let mut dialler = Dialler::new(addresses, Box::new(|| 0));
        dialler.wanted = 4;
        dialler
    }

    fn dial_all(dialler: &mut Dialler, now: Instant, urgent: bool) -> Vec<usize> {
        let mut dialled = Vec::new();
        while let Plan::Dial(server) = dialler.plan(now, urgent) {
            dialler.dialled(server, now);
            dialled.push(server);
        }
        dialled
    }

    #[test]
    fn waiting_doubles_up_to_the_limit_and_keeps_its_random_half() {
        assert_eq!(backoff(0, 0), FIRST / 2);
        assert_eq!(backoff(1, 0), FIRST);
        for failures in 0..100 {
            for random in [0, 1, u64::MAX, 123_456_789] {
                let wait = backoff(failures, random);
                assert!(wait >= FIRST / 2 && wait <= LONGEST);
            }
        }
        assert_eq!(backoff(40, 0), LONGEST / 2);
    }

    #[test]
    fn stripes_are_spread_evenly_over_addresses() {
        assert_eq!(dial_all(&mut dialler(1), at(0), false), [0, 0, 0, 0]);
        assert_eq!(dial_all(&mut dialler(2), at(0), false), [0, 1, 0, 1]);
        assert_eq!(dial_all(&mut dialler(3), at(0), false), [0, 1, 2, 0]);
    }

    #[test]
    fn dials_that_fail_together_count_once_and_only_a_new_cause_is_told() {
        let mut dialler = dialler(1);
        dial_all(&mut dialler, at(5), false);
        let mut fail = |_| dialler.failed(0, at(5), &DialError::Refused, false, at(10)).1;
        assert_eq!([0; 4].map(&mut fail), [true, false, false, false]);
        assert_eq!(dialler.plan(at(10), false), Plan::Wait(at(60)));
        assert_eq!(dialler.refusal(at(11)), Some(&DialError::Refused));
        assert_eq!(dialler.refusal(at(1011)), None);
        dialler.dialled(0, at(60));
        assert!(dialler.failed(0, at(60), &DialError::TimedOut, false, at(5000)).1);
    }

    fn fail(
        dialler: &mut Dialler,
        server: usize,
        error: &DialError,
        stopped: bool,
    ) -> (Past, bool) {
        dialler.dialled(server, at(0));
        dialler.failed(server, at(0), error, stopped, at(1))
    }

    fn reach(dialler: &mut Dialler, server: usize) {
        dialler.dialled(server, at(2));
        dialler.succeeded(server);
    }

    #[test]
    fn only_a_new_kind_of_failure_is_news_until_the_server_is_reached() {
        let mut dialler = dialler(1);
        let banner = |first: &[u8]| {
            DialError::Handshake(striper_core::HandshakeError::NotStriper { first: first.to_vec() })
        };
        for (error, news) in [
            (banner(b"one"), true),
            (DialError::Closed, true),
            (banner(b"other"), false),
            (DialError::Closed, false),
        ] {
            assert_eq!(fail(&mut dialler, 0, &error, false), (Past::Unmet, news));
        }
        reach(&mut dialler, 0);
        assert_eq!(fail(&mut dialler, 0, &DialError::Closed, false), (Past::Met, true));
    }

    #[test]
    fn a_server_that_has_stopped_stays_away_in_one_way_and_only_where_it_has_run() {
        let mut dialler = dialler(2);
        let draining = DialError::Refusal(striper_core::Refusal::Draining);
        for (server, error, stopped, told) in [
            (0, DialError::TimedOut, false, (Past::Unmet, true)),
            // It has said so itself.
            (0, draining, true, (Past::Stopped, true)),
            (0, DialError::Closed, true, (Past::Stopped, false)),
            (0, DialError::Refused, true, (Past::Stopped, false)),
            // That is another trouble.
            (0, DialError::UnknownHost, true, (Past::Stopped, true)),
            // Another address.
            (1, DialError::Refused, true, (Past::Unmet, true)),
            (1, DialError::Closed, true, (Past::Unmet, true)),
        ] {
            assert_eq!(fail(&mut dialler, server, &error, stopped), told, "{error:?}");
        }
        reach(&mut dialler, 1);
        assert_eq!(fail(&mut dialler, 1, &DialError::TimedOut, false), (Past::Met, true));
    }

    #[test]
    fn while_flows_wait_there_is_a_dial_every_second() {
        let mut dialler = dialler(1);
        let mut now = at(0);
        for _ in 0..20 {
            dial_all(&mut dialler, now, true);
            while dialler.servers[0].dialling > 0 {
                dialler.failed(0, now, &DialError::Refused, false, now);
            }
            let Plan::Wait(next) = dialler.plan(now, true) else { panic!() };
            assert!(next.since(now) <= URGENT);
            now = next;
        }
        let Plan::Wait(relaxed) = dialler.plan(now, false) else { panic!() };
        assert!(relaxed.since(now) > URGENT);
    }

    #[test]
    fn a_dial_that_hangs_gets_another_beside_it_only_while_flows_wait() {
        let mut dialler = dialler(1);
        assert_eq!(dial_all(&mut dialler, at(0), true).len(), 4);
        assert_eq!(dialler.plan(at(999), true), Plan::Wait(at(1000)));
        assert_eq!(dialler.plan(at(1000), true), Plan::Dial(0));
        assert_eq!(dialler.plan(at(1000), false), Plan::Rest);
    }

    #[test]
    fn stripes_that_die_young_are_not_redialled_at_once() {
        let mut dialler = dialler(1);
        dialler.wanted = 1;
        dial_all(&mut dialler, at(0), false);
        dialler.succeeded(0);
        dialler.lost(0, at(1), at(2));
        assert!(matches!(dialler.plan(at(2), false), Plan::Wait(_)));
        dialler.dialled(0, at(100));
        dialler.succeeded(0);
        dialler.lost(0, at(100), at(5000));
        assert_eq!(dialler.plan(at(5000), false), Plan::Dial(0));
    }
}
