//! Log lines about stripes: they come, go, and change what controls congestion on them.

use super::names::{Fields, address, with};
use super::throttle::{ORDINARY, Throttle, more};
use crate::clock;
use crate::congestion;
use crate::log::{Level, Log};
use crate::units;
use std::net::SocketAddr;
use striper_core::StripeId;
use striper_runtime::{Adapted, SessionTag, StripeLoss};

/// Tells of stripes. Each kind of line has a throttle of its own, so that no kind hides another.
pub struct Stripes {
    up: Throttle,
    lost: Throttle,
    adapted: Throttle,
}

/// One stripe, as its lines name it.
pub struct Named {
    /// Of which session.
    pub session: SessionTag,
    /// Its number.
    pub stripe: StripeId,
    /// Its place among the session's stripes, from 1.
    pub place: usize,
    /// The other end.
    pub peer: Option<SocketAddr>,
}

impl Named {
    fn name(&self) -> String {
        format!("stripe #{} (id {})", self.place, self.stripe)
    }

    fn fields(&self) -> Fields {
        vec![
            ("session", self.session.to_string().into()),
            ("stripe", self.stripe.0.into()),
            ("place", (self.place as u64).into()),
            ("peer", address(self.peer)),
        ]
    }
}

impl Stripes {
    /// So many `lines` of changes within [`PERIOD`](super::throttle::PERIOD), and more of stripes
    /// that come and go.
    pub fn new(lines: u32) -> Self {
        let many = || Throttle::new(lines.saturating_mul(ORDINARY));
        Stripes { up: many(), lost: many(), adapted: Throttle::new(lines) }
    }

    /// One has come.
    pub fn up(&mut self, log: &Log, named: &Named, live: usize, wanted: usize) {
        if !log.shows(Level::Debug) {
            return;
        }
        let Some(unsaid) = self.up.admit(clock::now()) else { return };
        let text = format!(
            "{} is up{} ({live} of {wanted}){}",
            named.name(),
            with(named.peer),
            more(unsaid, "up")
        );
        let mut fields = counted(named, live, wanted);
        fields.push(("unsaid", unsaid.into()));
        log.debug("stripe_up", text, &fields);
    }

    /// One has gone.
    pub fn lost(
        &mut self,
        log: &Log,
        named: &Named,
        live: usize,
        wanted: usize,
        reason: &StripeLoss,
    ) {
        if !log.shows(Level::Debug) {
            return;
        }
        let Some(unsaid) = self.lost.admit(clock::now()) else { return };
        let text = format!(
            "{} is lost{}: {reason} ({live} of {wanted} left){}",
            named.name(),
            with(named.peer),
            more(unsaid, "lost")
        );
        let mut fields = counted(named, live, wanted);
        fields.extend([("reason", reason.to_string().into()), ("unsaid", unsaid.into())]);
        log.debug("stripe_lost", text, &fields);
    }

    /// What controls congestion on one has changed, or could not.
    pub fn adapted(&mut self, log: &Log, named: &Named, adapted: &Adapted) {
        let is_denied = matches!(adapted, Adapted::Denied { .. });
        let level = if is_denied { Level::Debug } else { Level::Info };
        if !log.shows(level) {
            return;
        }
        let Some(unsaid) = self.adapted.admit(clock::now()) else { return };
        let Some((how, congestion, lost)) = adaptation(adapted) else { return };
        let (name, peer) = (named.name(), with(named.peer));
        let text = format!("{name}{peer}: {how}{}", more(unsaid, "adapted"));
        let mut fields = named.fields();
        fields.extend([
            ("congestion", congestion.into()),
            ("lost", lost.into()),
            ("unsaid", unsaid.into()),
        ]);
        log.say(level, "stripe_adapted", text, &fields);
    }
}

fn counted(named: &Named, live: usize, wanted: usize) -> Fields {
    let mut fields = named.fields();
    fields.extend([("live", (live as u64).into()), ("wanted", (wanted as u64).into())]);
    fields
}

/// In words, and which congestion control at which share of lost packets, if one was needed.
pub fn adaptation(adapted: &Adapted) -> Option<(String, String, f64)> {
    let percent = units::percent;
    let (text, congestion, lost) = match adapted {
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
        _ => return None,
    };
    Some((text, congestion.to_string(), *lost))
}
