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
    pub fn read(_socket: &std::net::TcpStream) -> Option<super::losses::Counts> {
        None
    }
}
#[cfg(all(test, target_os = "linux"))]
mod tests;
