//! Captures of TCP connections, written without a network and without root.
//!
//! The format is libpcap's with packets of raw IP (<https://www.tcpdump.org/linktypes.html>).

/// One end of a captured connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    Client,
    Server,
}

/// The bytes that the ends of a connection say, in order.
pub type Said = Vec<(End, Vec<u8>)>;

/// The port of the server in each connection.
pub const SERVER_PORT: u16 = 7650;

/// Of the clients. Wireshark knows no protocol by these ports.
const FIRST_PORT: u16 = 50_000;

const LINKTYPE_RAW: u32 = 101;
const MOST_BYTES: u32 = 256 << 10;
/// A packet of IPv4 has less than 64 KiB.
const MOST_DATA: usize = 60_000;

const SYN: u8 = 2;
const ACK: u8 = 16;

/// A capture of these connections, one after another. Each element of a connection is a packet,
/// unless it is too long for one.
pub fn capture(connections: &[Said]) -> Vec<u8> {
    let mut file = Vec::new();
    for number in [0xa1b2_c3d4, 0x0004_0002, 0, 0, MOST_BYTES, LINKTYPE_RAW] {
        file.extend_from_slice(&u32::to_le_bytes(number));
    }
    let mut packets = 0;
    for (port, said) in (FIRST_PORT..).zip(connections) {
        let mut connection = Connection { port, sent: [0, 0] };
        let mut write = |packet: Vec<u8>| {
            let length = packet.len() as u32;
            for number in [0, packets, length, length] {
                file.extend_from_slice(&u32::to_le_bytes(number));
            }
            file.extend_from_slice(&packet);
            packets += 1;
        };
        write(connection.packet(End::Client, SYN, &[]));
        write(connection.packet(End::Server, SYN | ACK, &[]));
        for (end, bytes) in said {
            bytes.chunks(MOST_DATA).for_each(|data| write(connection.packet(*end, ACK, data)));
        }
    }
    file
}

struct Connection {
    /// The client's.
    port: u16,
    /// How far the sequence numbers of the client and the server are.
    sent: [u32; 2],
}

impl Connection {
    /// A packet of IPv4 and TCP without options (RFC 9293) and without checksums.
    fn packet(&mut self, from: End, flags: u8, data: &[u8]) -> Vec<u8> {
        let (ports, is_server) = ([self.port, SERVER_PORT], from == End::Server);
        let (near, far) = (usize::from(is_server), usize::from(!is_server));
        let length = u16::try_from(40 + data.len()).expect("a packet of less than 64 KiB");
        let [high, low] = length.to_be_bytes();
        let mut packet = vec![0x45, 0, high, low, 0, 0, 0, 0, 64, 6, 0, 0];
        for end in [near, far] {
            packet.extend_from_slice(&[127, 0, 0, 1 + end as u8]);
        }
        for end in [near, far] {
            packet.extend_from_slice(&ports[end].to_be_bytes());
        }
        for end in [near, far] {
            packet.extend_from_slice(&self.sent[end].to_be_bytes());
        }
        packet.extend_from_slice(&[0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        packet.extend_from_slice(data);
        self.sent[near] += data.len() as u32 + u32::from(flags & SYN > 0);
        packet
    }
}
