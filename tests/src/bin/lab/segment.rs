//! The fields of a TCP segment in an IPv4 packet, and resets.

/// Address and port, in the order of the packet.
type End = ([u8; 4], [u8; 2]);

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

pub struct Segment {
    from: End,
    to: End,
    sequence: [u8; 4],
    acknowledged: [u8; 4],
    flags: u8,
}

impl Segment {
    /// Reads an IPv4 packet; `None` if it is not TCP.
    pub fn read(packet: &[u8]) -> Option<Segment> {
        let header = usize::from(packet.first()? & 15) * 4;
        let tcp = packet.get(header..header + 20)?;
        if packet[9] != 6 || header < 20 {
            return None;
        }
        Some(Segment {
            from: (part(packet, 12), part(tcp, 0)),
            to: (part(packet, 16), part(tcp, 2)),
            sequence: part(tcp, 4),
            acknowledged: part(tcp, 8),
            flags: tcp[13],
        })
    }

    /// Addresses and ports, with the sender first or last, so that they are the same for both
    /// directions.
    pub fn ends_of_flow(&self, sender_first: bool) -> [u8; 12] {
        let (first, last) = if sender_first { (self.from, self.to) } else { (self.to, self.from) };
        let mut ends = [0; 12];
        ends[..4].copy_from_slice(&first.0);
        ends[4..6].copy_from_slice(&first.1);
        ends[6..10].copy_from_slice(&last.0);
        ends[10..].copy_from_slice(&last.1);
        ends
    }

    pub fn begins(&self) -> bool {
        self.flags & (SYN | ACK) == SYN
    }

    pub fn ends(&self) -> bool {
        self.flags & (FIN | RST) != 0
    }

    pub fn is_reset(&self) -> bool {
        self.flags & RST != 0
    }

    /// A reset for its sender, as from the other end: its number is the one that the sender waits
    /// for.
    pub fn reset_to_sender(&self) -> Vec<u8> {
        reset(self.to, self.from, self.acknowledged, [0; 4], RST)
    }

    /// A reset for its receiver, as from its sender.
    pub fn reset_to_receiver(&self) -> Vec<u8> {
        reset(self.from, self.to, self.sequence, self.acknowledged, RST | ACK)
    }
}

fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    std::array::from_fn(|index| bytes[at + index])
}

fn reset(from: End, to: End, sequence: [u8; 4], acknowledged: [u8; 4], flags: u8) -> Vec<u8> {
    let mut ip = [0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0].to_vec();
    ip.extend([from.0, to.0].concat());
    let sum = checksum(&ip);
    ip[10..12].copy_from_slice(&sum);
    let mut tcp = [from.1, to.1].concat();
    tcp.extend([sequence, acknowledged].concat());
    tcp.extend([0x50, flags, 0, 0, 0, 0, 0, 0]);
    // TCP's checksum covers the addresses, the protocol and the length too (RFC 9293, section 3.1).
    let sum = checksum(&[&ip[12..20], &[0, 6, 0, 20], &tcp[..]].concat());
    tcp[16..18].copy_from_slice(&sum);
    [ip, tcp].concat()
}

/// The checksum of RFC 1071, of an even number of bytes.
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let mut sum: u32 =
        bytes.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    (!(sum as u16)).to_be_bytes()
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A packet of this length from a client's port, or to it if not `up`; flags are `S`, `F` or
    /// `.` for an acknowledgement.
    pub fn segment(up: bool, port: u8, flags: u8, len: usize) -> Vec<u8> {
        let flags = match flags {
            b'S' => SYN,
            b'F' => FIN | ACK,
            _ => ACK,
        };
        let (client, server) = (([10, 0, 0, 1], [200, port]), ([10, 0, 0, 2], [1, 1]));
        let (from, to) = if up { (client, server) } else { (server, client) };
        let mut packet = reset(from, to, [1, 2, 3, 4], [5, 6, 7, 8], flags);
        packet.resize(len, 0);
        packet
    }

    #[test]
    fn both_directions_name_the_same_flow() {
        let there = Segment::read(&segment(true, 7, b'.', 40)).unwrap();
        let back = Segment::read(&there.reset_to_sender()).unwrap();
        assert_eq!(there.ends_of_flow(true), back.ends_of_flow(false));
        assert_ne!(there.ends_of_flow(true), back.ends_of_flow(true));
    }

    #[test]
    fn a_made_reset_fits_the_sequence_numbers_and_sums_up_to_nothing() {
        let there = Segment::read(&segment(true, 7, b'.', 40)).unwrap();
        let back = there.reset_to_sender();
        assert_eq!((back[24..28].to_vec(), back[33]), (vec![5, 6, 7, 8], RST));
        let on = there.reset_to_receiver();
        assert_eq!((on[24..28].to_vec(), on[33]), (vec![1, 2, 3, 4], RST | ACK));
        for packet in [back, on] {
            assert_eq!(checksum(&packet[..20]), [0, 0]);
            let covered = [&packet[12..20], &[0, 6, 0, 20], &packet[20..]].concat();
            assert_eq!(checksum(&covered), [0, 0]);
        }
    }

    #[test]
    fn a_packet_that_is_cut_or_no_tcp_is_no_segment() {
        let mut packet = segment(true, 7, b'.', 40);
        for len in 0..40 {
            assert!(Segment::read(&packet[..len]).is_none(), "{len}");
        }
        packet[9] = 17;
        assert!(Segment::read(&packet).is_none());
    }
}
