//! Log lines about sessions: they begin, stand still, go on and end.

use super::names::{Fields, whose_fields, with_key};
use super::throttle::{Throttle, more};
use crate::clock;
use crate::log::{Level, Log};
use crate::units;
use std::net::SocketAddr;
use std::time::Duration;
use striper_core::EndReason;
use striper_runtime::keys::PeerName;
use striper_runtime::{Cut, SessionTag};

/// Tells of sessions. Each kind of line has a throttle of its own, so that no kind hides another.
pub struct Sessions {
    begun: Throttle,
    stranded: Throttle,
    resumed: Throttle,
    stopping: Throttle,
    ended: Throttle,
    broken: Throttle,
    forgotten: Throttle,
    shed: Throttle,
}

impl Sessions {
    /// So many `lines` of each kind within [`PERIOD`](super::throttle::PERIOD).
    pub fn new(lines: u32) -> Self {
        let few = || Throttle::new(lines);
        Sessions {
            begun: few(),
            stranded: few(),
            resumed: few(),
            stopping: few(),
            ended: few(),
            broken: few(),
            forgotten: few(),
            shed: few(),
        }
    }

    /// One has begun.
    pub fn begun(
        &mut self,
        log: &Log,
        session: SessionTag,
        from: Option<SocketAddr>,
        peer: Option<PeerName>,
    ) {
        // What is not shown in any case was not left out for want of room.
        if !log.shows(Level::Info) {
            return;
        }
        let Some(unsaid) = self.begun.admit(clock::now()) else { return };
        let whose = with_key(from, peer.as_ref());
        let text = format!("session {session}{whose} is up{}", more(unsaid, "begun"));
        let mut fields = whose_fields(session, from, peer);
        fields.push(("unsaid", unsaid.into()));
        log.info("session_started", text, &fields);
    }

    /// One has lost its last stripe, and its connections are kept for this long.
    pub fn stranded(
        &mut self,
        log: &Log,
        session: SessionTag,
        (from, peer): (Option<SocketAddr>, Option<PeerName>),
        flows: usize,
        wait: Duration,
    ) {
        let Some(unsaid) = self.stranded.admit(clock::now()) else { return };
        let text = format!(
            "session {session}{} has no stripe left: {} kept until {}, \
             in case the other side comes back{}",
            with_key(from, peer.as_ref()),
            units::are(flows, "connection"),
            clock::ahead(wait),
            more(unsaid, "times")
        );
        let mut fields = whose_fields(session, from, peer);
        fields.extend([
            ("connections", (flows as u64).into()),
            ("seconds", wait.as_secs_f64().into()),
            ("unsaid", unsaid.into()),
        ]);
        log.warn("session_stranded", text, &fields);
    }

    /// One has a stripe again.
    pub fn resumed(&mut self, log: &Log, session: SessionTag, flows: usize) {
        if !log.shows(Level::Info) {
            return;
        }
        let Some(unsaid) = self.resumed.admit(clock::now()) else { return };
        let go_on = match flows {
            0 => String::new(),
            1 => ": 1 connection goes on".into(),
            _ => format!(": {flows} connections go on"),
        };
        let text = format!("session {session} has a stripe again{go_on}{}", more(unsaid, "times"));
        log.info("session_resumed", text, &fields(session, flows, unsaid));
    }

    /// The other side of one stops.
    pub fn stopping(&mut self, log: &Log, session: SessionTag, flows: usize) {
        if !log.shows(Level::Info) {
            return;
        }
        let Some(unsaid) = self.stopping.admit(clock::now()) else { return };
        let text = format!(
            "session {session}: the other side is stopping and takes no new connections; \
             {} may finish{}",
            units::count(flows, "connection"),
            more(unsaid, "times")
        );
        log.info("peer_stopping", text, &fields(session, flows, unsaid));
    }

    /// One has ended.
    pub fn ended(
        &mut self,
        log: &Log,
        session: SessionTag,
        reason: EndReason,
        revoked: bool,
        flows: usize,
    ) {
        let is_ordinary = match reason {
            EndReason::Shutdown | EndReason::Aborted | EndReason::PeerClosed => true,
            // Nobody has lost anything.
            EndReason::NoStripe => flows == 0,
            EndReason::PeerComplained | EndReason::Violation(_) => false,
        };
        let (level, throttle) = if is_ordinary {
            (Level::Info, &mut self.ended)
        } else {
            (Level::Warn, &mut self.broken)
        };
        if !log.shows(level) {
            return;
        }
        let Some(unsaid) = throttle.admit(clock::now()) else { return };
        let reason = if revoked { Cut::Revoked.to_string() } else { reason.to_string() };
        let lost = match flows {
            0 => String::new(),
            _ => format!("; {} reset", units::were(flows, "connection")),
        };
        let text = format!("session {session} has ended: {reason}{lost}{}", more(unsaid, "ended"));
        let mut fields = fields(session, flows, unsaid);
        fields.push(("reason", reason.into()));
        log.say(level, "session_ended", text, &fields);
    }

    /// The server no longer knows one.
    pub fn forgotten(&mut self, log: &Log, session: SessionTag, flows: usize) {
        let Some(unsaid) = self.forgotten.admit(clock::now()) else { return };
        let lost = match flows {
            0 => String::new(),
            _ => format!(" with {}", units::count(flows, "connection")),
        };
        let text = format!(
            "the server has been restarted: session {session} is lost{lost}, a new one begins{}",
            more(unsaid, "lost")
        );
        log.warn("session_forgotten", text, &fields(session, flows, unsaid));
    }

    /// One had to let go of connections, or to end, for want of memory.
    pub fn shed(&mut self, log: &Log, session: SessionTag, flows: usize, ended: bool) {
        let Some(unsaid) = self.shed.admit(clock::now()) else { return };
        let how = if ended { " and it had to end" } else { "" };
        let text = format!(
            "memory is short (--limit memory): {} of session {session}, which keeps the most, \
             had to be reset{how}{}",
            units::count(flows, "connection"),
            more(unsaid, "times")
        );
        log.warn("memory_short", text, &fields(session, flows, unsaid));
    }
}

fn fields(session: SessionTag, flows: usize, unsaid: u64) -> Fields {
    vec![
        ("session", session.to_string().into()),
        ("connections", (flows as u64).into()),
        ("unsaid", unsaid.into()),
    ]
}
