//! The facts of TCP about a connection, for its user.

use super::Congestion;
use std::time::Duration;

/// The facts of TCP about a connection.
#[derive(Clone, PartialEq, Debug)]
pub struct TcpStatus {
    /// Its congestion control, if the operating system says so.
    pub congestion: Option<Congestion>,
    /// Packets with data that were sent so far, if the system says so.
    pub packets: Option<u32>,
    /// Packets that were sent again so far, if the system says so.
    pub retransmitted: Option<u32>,
    /// The share of packets with data that were sent again so far, 0 to 1, if the system says so.
    /// A packet that had arrived the first time does not count, if the peer has said so by DSACK.
    pub resent: Option<f64>,
    /// The times in which it has sent so far, if the system says so.
    pub times: Option<TcpTimes>,
}

/// The times in which a connection has sent since it began.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct TcpTimes {
    /// For how long there was something under way or to be sent (`tcpi_busy_time`).
    pub busy: Duration,
    /// For how long of that the peer's receive window was full (`tcpi_rwnd_limited`).
    pub receiver: Duration,
}

/// The bytes that the peer's system has not acknowledged in order, as estimated from packets.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Unacknowledged {
    /// All of them, the unsent ones included.
    pub bytes: u64,
    /// Those of them that have arrived behind a lost packet (`tcpi_sacked`, RFC 2018).
    pub out_of_order: u64,
}

impl TcpTimes {
    /// Whether the peer's receive window was the limit since `before`, earlier times of the same
    /// connection. At least half of the time is what a user would call the limit.
    pub fn are_of_receiver(&self, before: &TcpTimes) -> bool {
        let busy = self.busy.saturating_sub(before.busy);
        !busy.is_zero() && self.receiver.saturating_sub(before.receiver) * 2 >= busy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_receiver_limits_a_connection_if_it_took_half_of_its_time_since_the_last_look() {
        let at = |busy, receiver| TcpTimes {
            busy: Duration::from_millis(busy),
            receiver: Duration::from_millis(receiver),
        };
        let before = at(1_000, 900);
        for (now, limits) in [
            (at(1_500, 900), false),
            (at(1_500, 1_149), false),
            (at(1_500, 1_150), true),
            (at(1_000, 900), false),
        ] {
            assert_eq!(now.are_of_receiver(&before), limits, "{now:?}");
        }
    }
}
