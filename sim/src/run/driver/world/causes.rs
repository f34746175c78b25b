//! The causes that may break a flow, with their times.
//!
//! A session may end only for a cause that is known:
//! - its process was ended or told to stop;
//! - the other side's end of it is over;
//! - it has had no stripe for the whole resume limit, by its own process's clock.

use super::*;
use striper_runtime::SessionTag;

/// Core's limit on gone stripes that are not settled: a session may end over it.
const MANY_STRIPES: u64 = 64;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Cause {
    pub process: usize,
    pub from: u64,
    /// `u64::MAX` while it lasts.
    pub until: u64,
}

#[derive(Debug, Default)]
struct Stripes {
    lost: u64,
    bare_since: Option<u64>,
}

#[derive(Default)]
pub(super) struct Causes {
    ended: Vec<Cause>,
    bare: Vec<Cause>,
    sessions: BTreeMap<(usize, SessionTag), Stripes>,
    pub lost: [u64; 2],
}

impl Causes {
    /// A process has ended, or has been told to, and serves nobody until [`Causes::started`].
    pub fn stopped(&mut self, process: usize, now: u64) {
        self.ended.push(Cause { process, from: now, until: u64::MAX });
    }

    pub fn started(&mut self, process: usize, now: u64) {
        self.ended
            .iter_mut()
            .filter(|cause| cause.process == process && cause.until == u64::MAX)
            .for_each(|cause| cause.until = now);
        if process == CLIENT {
            self.bare_from(now);
        }
    }

    /// `clock` is the proxy's time. No event may say that the other side broke the protocol.
    pub fn hear(
        &mut self,
        process: usize,
        event: &Told,
        now: u64,
        clock: u64,
        resume_limit: Duration,
    ) {
        match *event {
            Told::StripeUp { session, .. } => {
                let stripes = self.sessions.entry((process, session)).or_default();
                stripes.bare_since = None;
                if process == CLIENT {
                    self.bare.iter_mut().for_each(|cause| cause.until = cause.until.min(now));
                }
            }
            Told::StripeLost { session, live, .. } => {
                self.lost[process] += 1;
                let stripes = self.sessions.entry((process, session)).or_default();
                stripes.lost += 1;
                if live == 0 {
                    stripes.bare_since = Some(clock);
                    if process == CLIENT {
                        self.bare_from(now);
                    }
                }
            }
            Told::SessionForgotten { session, .. } => {
                assert!(self.has_ended(SERVER), "a server has forgotten a session without a cause");
                self.session_over(process, session, now);
            }
            Told::SessionEnded { session, reason, .. } => {
                let other = CLIENT + SERVER - process;
                let stripes = self.sessions.get(&(process, session));
                let cause = match reason {
                    // A session that has never had a stripe carries no flow.
                    EndReason::NoStripe => stripes.is_none_or(|stripes| {
                        let limit = resume_limit.as_micros() as u64;
                        stripes.bare_since.is_some_and(|since| clock - since >= limit)
                            || stripes.lost >= MANY_STRIPES
                    }),
                    EndReason::Aborted => {
                        let now =
                            |cause: &Cause| cause.process == process && cause.until == u64::MAX;
                        self.ended.iter().any(now)
                    }
                    // A peer that stops lets this side's end of the session drain as well.
                    EndReason::Shutdown => self.has_ended(process) || self.has_ended(other),
                    EndReason::PeerClosed => self.has_ended(other),
                    EndReason::Violation(Violation::InstanceChanged) => self.has_ended(SERVER),
                    EndReason::PeerComplained => process == SERVER && self.has_ended(SERVER),
                    _ => false,
                };
                assert!(
                    cause,
                    "at process {process}: a session ended by {reason:?} without a cause: \
                     {stripes:?}"
                );
                self.session_over(process, session, now);
            }
            _ => {}
        }
    }

    pub fn any_ended(&self, from: u64, until: u64) -> bool {
        meets(&self.ended, from, until)
    }

    /// Whether the client was without a stripe at any time between two.
    pub fn any_bare(&self, from: u64, until: u64) -> bool {
        meets(&self.bare, from, until)
    }

    /// Whether the client was without a stripe before one time, and all the time until another.
    pub fn is_bare_throughout(&self, from: u64, until: u64) -> bool {
        self.bare.iter().any(|cause| cause.from < from && cause.until >= until)
    }

    fn has_ended(&self, process: usize) -> bool {
        self.ended.iter().any(|cause| cause.process == process)
    }

    fn bare_from(&mut self, now: u64) {
        self.bare.push(Cause { process: CLIENT, from: now, until: u64::MAX });
    }

    fn session_over(&mut self, process: usize, session: SessionTag, now: u64) {
        self.ended.push(Cause { process, from: now, until: now });
        self.sessions.remove(&(process, session));
        if process == CLIENT {
            self.bare_from(now);
        }
    }
}

fn meets(causes: &[Cause], from: u64, until: u64) -> bool {
    causes.iter().any(|cause| cause.from <= until && cause.until >= from)
}
