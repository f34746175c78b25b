//! Lines of a client about servers that it can't reach: one for each cause and server, then
//! counts. A count comes with a later such failure; after the last one there is none.

use super::cures::cure;
use super::repeats::Repeat;
use super::throttle::{Throttle, more};
use crate::log::{Level, Log};
use std::time::Instant;
use striper_core::Refusal;
use striper_runtime::{DialError, HostPort, Past};

/// Servers that can't be reached. The number of entries is bounded by the kinds of causes.
pub(super) struct Servers {
    known: Vec<(HostPort, DialError, Repeat)>,
    first: Throttle,
    counts: Throttle,
}

impl Servers {
    pub(super) fn new(lines: u32) -> Self {
        Servers { known: Vec::new(), first: Throttle::new(lines), counts: Throttle::new(lines) }
    }

    /// A dial has failed; `news` if no other has failed alike since the server was last reached.
    pub(super) fn unreachable(
        &mut self,
        log: &Log,
        server: &HostPort,
        cause: &DialError,
        (past, news): (Past, bool),
        now: Instant,
    ) {
        let has_stopped = past == Past::Stopped && cause.is_absence();
        let level = if has_stopped { Level::Info } else { Level::Warn };
        if !log.shows(level) {
            return;
        }
        let (times, count) = match self.known_as(server, cause) {
            Some(index) if !news => {
                let counts = &mut self.counts;
                let again = self.known[index].2.again(now, || counts.admit(now).is_some());
                let Some(again) = again else { return };
                (again.times, again.text())
            }
            _ => {
                let Some(mut unsaid) = self.first.admit(now) else { return };
                self.known.retain(|(host, known, repeat)| {
                    let is_replaced = host == server && known.is_alike(cause);
                    unsaid += if is_replaced { repeat.unsaid } else { 0 };
                    !is_replaced
                });
                self.known.push((server.clone(), cause.clone(), Repeat::begin(now)));
                (unsaid, more(unsaid, "failed"))
            }
        };
        let text = match cause {
            DialError::Refusal(Refusal::Draining) => {
                format!("the server {server} is stopping; trying until it is back{count}")
            }
            _ if has_stopped => {
                format!("the server {server} has stopped: {cause}; trying until it is back{count}")
            }
            _ => {
                format!("no stripe to {server}: {cause}{}; still trying{count}", cure(cause, past))
            }
        };
        let fields = [
            ("peer", server.to_string().into()),
            ("reason", cause.to_string().into()),
            ("unsaid", times.into()),
        ];
        log.say(level, "peer_unreachable", text, &fields);
    }

    /// The entry that counts a failure: one of the same kind, else the latest of the same server.
    fn known_as(&self, server: &HostPort, cause: &DialError) -> Option<usize> {
        let alike =
            self.known.iter().rposition(|(host, known, _)| host == server && known.is_alike(cause));
        alike.or_else(|| self.known.iter().rposition(|(host, ..)| host == server))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use striper_core::HandshakeError;

    /// The lines about failures, each of them a second after the one before.
    fn written<'a>(past: Past, dials: impl IntoIterator<Item = (&'a DialError, bool)>) -> String {
        let (log, paper) = Log::on_paper();
        let (mut servers, begin) = (Servers::new(20), crate::clock::now());
        let server = HostPort { host: "there".into(), port: 22 };
        for (second, (cause, news)) in (0..).zip(dials) {
            let now = begin + Duration::from_secs(second);
            servers.unreachable(&log, &server, cause, (past, news), now);
        }
        paper.take(&log)
    }

    #[test]
    fn a_server_that_always_fails_alike_has_one_line_and_then_counts() {
        let says = [&b"SSH-2.0-OpenSSH_9.9\r\n"[..], b"Exceeded MaxStartups\r\n", b"SSH"];
        let not_striper = |first: &[u8]| HandshakeError::NotStriper { first: first.to_vec() };
        let causes = says.map(|first| DialError::Handshake(not_striper(first)));
        let dials = (0..100).map(|second| (&causes[second % 3], second == 0));
        let written = written(Past::Unmet, dials);
        let lines: Vec<&str> = written.lines().collect();
        assert_eq!(lines.len(), 2, "at once and after a minute: {written}");
        assert!(lines[0].contains("an ssh server") && !lines[0].contains("more"), "{written}");
        assert!(lines[1].contains("(60 more times since "), "{written}");
    }

    #[test]
    fn a_cause_has_a_line_again_after_the_server_was_reached() {
        let both = [&DialError::Refused, &DialError::TimedOut];
        let dials =
            [true, false, true].into_iter().flat_map(|news| both.map(|cause| (cause, news)));
        assert_eq!(written(Past::Unmet, dials).lines().count(), 4);
    }

    #[test]
    fn failures_before_the_server_was_reached_are_counted_in_the_next_line() {
        let (refused, late) = (&DialError::Refused, &DialError::TimedOut);
        let first = [(refused, true), (late, true), (refused, false), (late, false)];
        let written =
            written(Past::Met, first.into_iter().chain([(refused, false), (refused, true)]));
        assert_eq!(written.lines().count(), 3, "{written}");
        assert!(written.ends_with(" (2 more failed since the last such line)\n"), "{written}");
    }

    #[test]
    fn a_server_that_has_stopped_in_order_is_no_reason_to_warn() {
        let draining = &DialError::Refusal(Refusal::Draining);
        let dials =
            [(draining, true), (&DialError::Refused, false), (&DialError::UnknownHost, true)];
        let written = written(Past::Stopped, dials);
        let lines: Vec<&str> = written.lines().collect();
        assert_eq!(lines.len(), 2, "a refusal belongs to the same stop: {written}");
        assert!(lines[0].contains("info  the server there:22 is stopping; trying until"));
        assert!(lines[1].contains("warn"), "{written}");
    }
}
