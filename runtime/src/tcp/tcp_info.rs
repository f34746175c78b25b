//! The counts of the kernel's TCP for a connection (Linux, `TCP_INFO`). Only this file of the
//! workspace has unsafe code, because no safe crate offers this socket option.
//!
//! The kernel writes into an array of bytes, of which each pattern is valid. No byte is read beyond
//! the length that it says. A reading is one system call, about a microsecond.

use super::losses::Counts;
use crate::pipe::{TcpTimes, Unacknowledged};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::Duration;

/// The counts so far; `None` if the system doesn't say, or is older than Linux 4.10.
pub(super) fn read(socket: &TcpStream) -> Option<Counts> {
    read_all(socket).map(|(counts, _)| counts)
}

/// The same, and the times in which the connection has sent.
pub(super) fn read_all(socket: &TcpStream) -> Option<(Counts, TcpTimes)> {
    let mut info = [0; LEN];
    let len = fetch(socket, &mut info)?;
    let info = info.get(..len)?;
    Some((decode(info)?, times(info)?))
}

/// The bytes that the peer's system has not acknowledged; `None` as in [`read`].
pub(super) fn unacknowledged(socket: &TcpStream) -> Option<Unacknowledged> {
    let mut info = [0; LEN];
    let len = fetch(socket, &mut info)?;
    decode_unacknowledged(info.get(..len)?)
}

/// The beginning of `struct tcp_info` in linux/tcp.h, up to and with `tcpi_dsack_dups`. The struct
/// only ever grows at its end, so offsets are stable; a kernel gives as much of it as it has and as
/// fits.
const LEN: usize = DSACK_DUPS + 4;

const CA_STATE: usize = 1;
const SND_MSS: usize = 16;
const UNACKED: usize = 24;
const SACKED: usize = 28;
const RTT: usize = 68;
const TOTAL_RETRANS: usize = 100;
const NOTSENT_BYTES: usize = 144;
const MIN_RTT: usize = 148;
const DATA_SEGS_OUT: usize = 156;
const BUSY_TIME: usize = 168;
const RWND_LIMITED: usize = 176;
const DSACK_DUPS: usize = 216;

/// `TCP_CA_Loss` in linux/tcp.h: packets under way at a retransmission timeout are unacknowledged.
const TIMED_OUT: u8 = 4;

/// `TCP_CA_Recovery`: the same after a loss that duplicate acknowledgements have shown.
const RECOVERING: u8 = 3;

#[allow(unsafe_code, reason = "no safe crate reads TCP_INFO; the proof stands at the block")]
fn fetch(socket: &TcpStream, info: &mut [u8; LEN]) -> Option<usize> {
    let mut len = libc::socklen_t::try_from(info.len()).ok()?;
    // SAFETY: the descriptor is open while `socket` is borrowed. The kernel writes at most `len`
    // bytes to `info`, which is that long and borrowed exclusively, and one `socklen_t` to `len`.
    // Neither pointer outlives the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    (result == 0).then_some(usize::try_from(len).ok()?)
}

fn word(info: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(info.get(at..at + 4)?.try_into().ok()?))
}

/// Microseconds.
fn time(info: &[u8], at: usize) -> Option<Duration> {
    let micros = u64::from_ne_bytes(info.get(at..at + 8)?.try_into().ok()?);
    Some(Duration::from_micros(micros))
}

fn times(info: &[u8]) -> Option<TcpTimes> {
    Some(TcpTimes { busy: time(info, BUSY_TIME)?, receiver: time(info, RWND_LIMITED)? })
}

fn decode_unacknowledged(info: &[u8]) -> Option<Unacknowledged> {
    let word = |at| word(info, at).map(u64::from);
    let packet = word(SND_MSS)?;
    let out_of_order = word(SACKED)? * packet;
    let bytes = word(UNACKED)? * packet + word(NOTSENT_BYTES)?;
    Some(Unacknowledged { bytes, out_of_order })
}

fn decode(info: &[u8]) -> Option<Counts> {
    let word = |at| word(info, at);
    let micros = |word: u32| Duration::from_micros(word.into());
    Some(Counts {
        packets: word(DATA_SEGS_OUT)?,
        retransmitted: word(TOTAL_RETRANS)?,
        // Linux says it since 4.19.
        spurious: word(DSACK_DUPS).unwrap_or(0),
        rtt: micros(word(RTT)?),
        // All ones until there is a sample.
        min_rtt: micros(word(MIN_RTT).map(|rtt| if rtt == u32::MAX { 0 } else { rtt })?),
        busy: time(info, BUSY_TIME)?,
        timed_out: *info.get(CA_STATE)? == TIMED_OUT,
        recovering: *info.get(CA_STATE)? == RECOVERING,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    #[test]
    fn a_connection_counts_what_it_sends() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        let before = read(&near).unwrap();
        assert_eq!((before.packets, before.retransmitted, before.timed_out), (0, 0, false));
        for _ in 0..3 {
            // An answer to each: three packets, and all of them acknowledged.
            near.write_all(&[7; 100]).unwrap();
            far.read_exact(&mut [0; 100]).unwrap();
            far.write_all(&[1]).unwrap();
            near.read_exact(&mut [0]).unwrap();
        }
        let (after, times) = read_all(&near).unwrap();
        assert_eq!(times.receiver, Duration::ZERO);
        assert_eq!((after.packets, after.retransmitted), (3, 0));
        assert!(after.min_rtt > Duration::ZERO && after.min_rtt <= after.rtt);
        assert!(after.rtt < Duration::from_secs(1));
    }

    #[test]
    fn each_figure_is_read_where_the_kernel_puts_it() {
        let mut info = [0; LEN];
        // `offsetof` tcpi_ca_state, rtt, total_retrans, min_rtt, data_segs_out, busy_time and
        // dsack_dups in C.
        let figures: [(usize, &[u8]); 7] = [
            (1, &[4]),
            (68, &41_000u32.to_ne_bytes()),
            (100, &12u32.to_ne_bytes()),
            (148, &40_000u32.to_ne_bytes()),
            (156, &1_000u32.to_ne_bytes()),
            (168, &5_000_000_000u64.to_ne_bytes()),
            (216, &9u32.to_ne_bytes()),
        ];
        for (at, bytes) in figures {
            info[at..at + bytes.len()].copy_from_slice(bytes);
        }
        let counts = Counts {
            packets: 1_000,
            retransmitted: 12,
            spurious: 9,
            rtt: Duration::from_millis(41),
            min_rtt: Duration::from_millis(40),
            busy: Duration::from_secs(5_000),
            timed_out: true,
            recovering: false,
        };
        assert_eq!(decode(&info), Some(counts));
        // snd_mss, unacked, sacked, notsent_bytes
        for (at, word) in [(16, 1_000u32), (24, 20), (28, 7), (144, 300)] {
            info[at..at + 4].copy_from_slice(&word.to_ne_bytes());
        }
        let behind = Unacknowledged { bytes: 20_300, out_of_order: 7_000 };
        assert_eq!(decode_unacknowledged(&info), Some(behind));
        info[148..152].fill(0xff);
        assert_eq!(decode(&info).unwrap().min_rtt, Duration::ZERO, "not yet known");
        info[1] = 3;
        let state = decode(&info).map(|counts| (counts.timed_out, counts.recovering));
        assert_eq!(state, Some((false, true)));
        // rwnd_limited
        info[176..184].copy_from_slice(&7_000u64.to_ne_bytes());
        let (busy, receiver) = (Duration::from_secs(5_000), Duration::from_millis(7));
        assert_eq!(times(&info), Some(TcpTimes { busy, receiver }));
    }

    #[test]
    fn an_old_kernel_gives_what_it_has_or_nothing_if_that_is_too_little() {
        assert!(decode(&[0; LEN]).is_some());
        assert_eq!(decode(&[0xff; LEN - 1]).unwrap().spurious, 0);
        assert!(decode(&[0; BUSY_TIME + 8]).is_some());
        assert_eq!(decode(&[0; BUSY_TIME + 7]), None);
        assert!(times(&[0; RWND_LIMITED + 8]).is_some());
        assert_eq!(times(&[0; RWND_LIMITED + 7]), None);
        assert_eq!(decode_unacknowledged(&[0; NOTSENT_BYTES + 3]), None);
        assert_eq!(decode(&[]), None);
    }
}
