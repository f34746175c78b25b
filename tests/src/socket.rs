//! Connections of a test, all with a time limit, and the two ways in which they end: FIN and RST.

use crate::LIMIT;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::SockRef;
use std::io::{self, ErrorKind, Read};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

pub fn connect(to: SocketAddr) -> TcpStream {
    try_connect(to).unwrap_or_else(|error| panic!("connecting to {to}: {error}"))
}

pub fn try_connect(to: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&to, LIMIT)?;
    limit(&stream);
    Ok(stream)
}

/// No read or write of this takes longer than [`LIMIT`].
pub(crate) fn limit(stream: &TcpStream) {
    stream.set_read_timeout(Some(LIMIT)).expect("a socket");
    stream.set_write_timeout(Some(LIMIT)).expect("a socket");
}

/// Makes the system take at most about 128 KiB before the test reads, so that a transfer is not
/// over yet. The default is the limit in `net.ipv4.tcp_rmem`, which is 32 MiB on some machines.
pub fn take_little(stream: &TcpStream) {
    // Linux doubles it.
    SockRef::from(stream).set_recv_buffer_size(64 << 10).expect("a socket");
}

/// Ends this direction. The other end must not reset the connection meanwhile.
pub fn finish(stream: &TcpStream) {
    assert!(try_finish(stream), "the connection was reset before it could be finished");
}

/// Ends this direction, unless a reset has come first. The system then reports that there is no
/// connection (ENOTCONN), even if it has taken all earlier data.
#[must_use]
pub fn try_finish(stream: &TcpStream) -> bool {
    match stream.shutdown(Shutdown::Write) {
        Ok(()) => true,
        Err(error) if error.kind() == ErrorKind::NotConnected => false,
        Err(error) => panic!("finishing a connection: {error}"),
    }
}

/// Breaks a connection with an RST. There must be no other handle to it.
pub fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a socket");
}

/// Reads until the other end resets the connection, and returns the data before that. Panics if it
/// ends otherwise.
pub fn expect_reset(stream: &mut TcpStream) -> Vec<u8> {
    let mut got = Vec::new();
    match stream.read_to_end(&mut got) {
        Err(error) if error.kind() == ErrorKind::ConnectionReset => got,
        other => panic!("{other:?} instead of a reset, after {} bytes", got.len()),
    }
}

/// Connects to an address where connections are reset at once, without a byte. The reset may come
/// before this end knows that it was connected.
pub fn expect_reset_at(to: SocketAddr) {
    match try_connect(to) {
        Ok(mut stream) => assert!(expect_reset(&mut stream).is_empty(), "data before the reset"),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "connecting to {to}: {error}")
        }
    }
}

/// Reads the end of the other direction. Panics if it is a reset or more data.
pub fn expect_fin(stream: &mut TcpStream) {
    match stream.read(&mut [0; 1]) {
        Ok(0) => {}
        other => panic!("{other:?} instead of an orderly end"),
    }
}

/// Waits until the other end's system has taken all data. A reset would destroy the rest.
pub fn flush(stream: &TcpStream) {
    SockRef::from(stream).set_tcp_notsent_lowat(1).expect("a socket");
    let limit = Timespec::try_from(LIMIT).expect("a reasonable time");
    let ready = poll(&mut [PollFd::new(stream, PollFlags::OUT)], Some(&limit)).expect("poll");
    assert_eq!(ready, 1, "the other end takes nothing");
}
