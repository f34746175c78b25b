//! Stripes and flows over TCP: sockets as pipes, dials, listeners, the kernel's congestion control.

pub(crate) mod congestion;
pub(crate) mod dial;
pub(crate) mod listen;
mod losses;
pub(crate) mod pipe;
#[cfg(target_os = "linux")]
mod tcp_info;
/// Elsewhere there is no such option, or one of another form.
#[cfg(not(target_os = "linux"))]
mod tcp_info {
    use super::losses::Counts;
    use crate::pipe::{TcpTimes, Unacknowledged};
    use std::net::TcpStream;

    pub fn read(_socket: &TcpStream) -> Option<Counts> {
        None
    }

    pub fn unacknowledged(_socket: &TcpStream) -> Option<Unacknowledged> {
        None
    }

    pub fn read_all(_socket: &TcpStream) -> Option<(Counts, TcpTimes)> {
        None
    }
}
#[cfg(all(test, target_os = "linux"))]
mod tests;
