//! The limits of each stripe of a side, as shares of its time.
//!
//! A trace does not tell them. So a session of today follows it, and is asked after each input.

use crate::base::catch;
use std::collections::BTreeMap;
use std::time::Duration;
use striper_core::trace::Trace;
use striper_core::{Instant, LimitTimes, Session, StripeId, StripeLimit};

#[derive(Debug, Default)]
pub struct Limits {
    pub stripes: BTreeMap<StripeId, LimitTimes>,
    /// The place in the trace from which no session of today can follow it, if there is one.
    pub until: Option<String>,
    /// The limits since the latest input.
    present: BTreeMap<StripeId, StripeLimit>,
    latest: Instant,
    inputs: usize,
}

impl Limits {
    pub fn of(trace: &Trace) -> Limits {
        let mut limits = Limits::default();
        let watch = &mut |now, session: &Session| limits.observe(now, session);
        // A trace of a failure may end with the input that the session dies of.
        let followed = catch(|| trace.follow_session(watch).map_err(|divergence| divergence.line));
        limits.until = match followed {
            Ok(followed) => followed.err().map(|line| format!("line {line}")),
            Err(_) => Some(format!("input {}", limits.inputs + 1)),
        };
        limits
    }

    fn observe(&mut self, now: Instant, session: &Session) {
        let time = now.since(self.latest);
        for (stripe, limit) in self.present.iter().filter(|_| !time.is_zero()) {
            self.stripes.entry(*stripe).or_default().add(*limit, time);
        }
        self.present = session.view_stripes().map(|stripe| (stripe.stripe, stripe.limit)).collect();
        self.latest = self.latest.max(now);
        self.inputs += 1;
    }
}

/// The shares in words, the largest first. Those below half a percent are left out.
pub fn shares(times: &LimitTimes) -> String {
    let all: Duration = StripeLimit::ALL.map(|limit| times.by(limit)).iter().sum();
    let share = |limit| 100.0 * times.by(limit).as_secs_f64() / all.as_secs_f64();
    let mut shares = StripeLimit::ALL.map(|limit| (limit, share(limit)));
    shares.sort_by(|one, two| two.1.total_cmp(&one.1));
    let told = shares.iter().filter(|(_, share)| *share >= 0.5);
    told.map(|(limit, share)| format!("{limit} {share:.0} %")).collect::<Vec<_>>().join(", ")
}
