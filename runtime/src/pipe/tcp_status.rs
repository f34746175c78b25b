//! The facts of TCP about a connection, for its user.

use super::Congestion;

/// The facts of TCP about a connection.
#[derive(Clone, PartialEq, Debug)]
pub struct TcpStatus {
    /// Its congestion control, if the operating system says so.
    pub congestion: Option<Congestion>,
    /// The share of packets with data that were sent again so far, 0 to 1, if the system says so.
    /// A packet that had arrived the first time does not count, if the peer has said so by DSACK.
    pub resent: Option<f64>,
}
