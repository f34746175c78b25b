//! What binds stripes and flows to TCP: sockets as pipes, dials and listeners, and what the kernel
//! says and is told of their congestion control.

pub(crate) mod congestion;
pub(crate) mod dial;
pub(crate) mod listen;
mod losses;
pub(crate) mod pipe;
mod tcp_info;
#[cfg(all(test, target_os = "linux"))]
mod tests;
