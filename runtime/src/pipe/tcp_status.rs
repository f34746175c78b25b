//! The facts of TCP about a connection, for its user.

use super::Congestion;
use std::time::Duration;

/// The facts of TCP about a connection.
#[derive(Clone, PartialEq, Debug)]
pub struct TcpStatus {
    /// Its congestion control, if the operating system says so.
    pub congestion: Option<Congestion>,
    /// The share of packets with data that were sent again so far, 0 to 1, if the system says so.
    /// A packet that had arrived the first time does not count, if the peer has said so by DSACK.
    pub resent: Option<f64>,
    /// The things that have limited it so far, if the system says so.
    pub limits: Option<TcpLimits>,
}

/// The things that have limited a connection since it began, and now.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct TcpLimits {
    /// For how long there was something under way or to be sent (`tcpi_busy_time`).
    pub busy: Duration,
    /// For how long of that the peer's receive window was full (`tcpi_rwnd_limited`).
    pub receiver: Duration,
    /// For how long of that the send buffer was too small (`tcpi_sndbuf_limited`).
    pub send_buffer: Duration,
    /// The bytes that have not been sent even once (`tcpi_notsent_bytes`).
    pub unsent: u32,
    /// The last measured rate was the rate of the program and not of the route
    /// (`tcpi_delivery_rate_app_limited`).
    pub app_limited: bool,
}

/// The one thing that keeps a connection from sending faster.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum TcpLimit {
    /// The route, as its congestion control sees it.
    Route,
    /// The peer's receive window.
    Receiver,
    /// This end: it has too little to send, or too small a send buffer.
    Application,
}

impl TcpStatus {
    /// The limit of the connection since `before`, an earlier status of it. `None` if the operating
    /// system does not say.
    pub fn limited_by(&self, before: &TcpStatus) -> Option<TcpLimit> {
        let (now, before) = (self.limits?, before.limits?);
        let busy = now.busy.saturating_sub(before.busy);
        // At least half of the time is what a user would call the limit.
        let is_most = |now: Duration, before: Duration| now.saturating_sub(before) * 2 >= busy;
        Some(if busy.is_zero() {
            TcpLimit::Application
        } else if is_most(now.receiver, before.receiver) {
            TcpLimit::Receiver
        } else if is_most(now.send_buffer, before.send_buffer)
            || (now.app_limited && now.unsent == 0)
        {
            TcpLimit::Application
        } else {
            TcpLimit::Route
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(busy: u64, receiver: u64, send_buffer: u64) -> TcpLimits {
        let [busy, receiver, send_buffer] =
            [busy, receiver, send_buffer].map(Duration::from_millis);
        TcpLimits { busy, receiver, send_buffer, unsent: 1, app_limited: false }
    }

    fn limited_by(before: Option<TcpLimits>, now: Option<TcpLimits>) -> Option<TcpLimit> {
        let status = |limits| TcpStatus { congestion: None, resent: None, limits };
        status(now).limited_by(&status(before))
    }

    #[test]
    fn a_connection_is_limited_by_what_took_half_of_its_time_since_the_last_look() {
        let before = at(1_000, 900, 50);
        for (now, limit) in [
            (at(1_500, 900, 50), TcpLimit::Route),
            (at(1_500, 1_149, 299), TcpLimit::Route),
            (at(1_500, 1_150, 50), TcpLimit::Receiver),
            (at(1_500, 900, 300), TcpLimit::Application),
            (at(1_000, 900, 50), TcpLimit::Application),
        ] {
            assert_eq!(limited_by(Some(before), Some(now)), Some(limit), "{now:?}");
        }
    }

    #[test]
    fn a_connection_with_nothing_to_send_is_limited_by_its_program() {
        let (before, now) = (at(0, 0, 0), TcpLimits { app_limited: true, ..at(500, 0, 0) });
        assert_eq!(limited_by(Some(before), Some(now)), Some(TcpLimit::Route), "one byte waits");
        let now = TcpLimits { unsent: 0, ..now };
        assert_eq!(limited_by(Some(before), Some(now)), Some(TcpLimit::Application));
        let now = TcpLimits { app_limited: false, ..now };
        assert_eq!(limited_by(Some(before), Some(now)), Some(TcpLimit::Route));
    }

    #[test]
    fn a_system_that_does_not_say_names_no_limit() {
        assert_eq!(limited_by(None, Some(at(1, 0, 0))), None);
        assert_eq!(limited_by(Some(at(1, 0, 0)), None), None);
    }
}
