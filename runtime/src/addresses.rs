//! The addresses of a connection, and their form in bytes. OPEN and version 2 of the PROXY protocol
//! have the same one.

use std::net::{IpAddr, SocketAddr};

/// The addresses of both ends of a TCP connection, in one family.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Addresses {
    source: SocketAddr,
    destination: SocketAddr,
}

impl Addresses {
    /// Of a connection from `source` to `destination`, without flow labels and scopes. An
    /// IPv4-mapped IPv6 address counts as the IPv4 address. If only one is an IPv4 address after
    /// that, it is mapped to IPv6.
    pub fn new(source: SocketAddr, destination: SocketAddr) -> Addresses {
        let mut ips = [source, destination].map(|end| end.ip().to_canonical());
        if ips[0].is_ipv4() != ips[1].is_ipv4() {
            ips = ips.map(|ip| match ip {
                IpAddr::V4(v4) => v4.to_ipv6_mapped().into(),
                v6 => v6,
            });
        }
        Addresses {
            source: SocketAddr::new(ips[0], source.port()),
            destination: SocketAddr::new(ips[1], destination.port()),
        }
    }

    /// The end that has connected.
    pub fn source(&self) -> SocketAddr {
        self.source
    }

    /// The end that was connected to.
    pub fn destination(&self) -> SocketAddr {
        self.destination
    }

    /// Source and destination address, then source and destination port, big-endian: 12 bytes for
    /// IPv4, 36 for IPv6.
    pub(crate) fn to_block(self) -> Vec<u8> {
        let mut block = Vec::new();
        for end in [self.source, self.destination] {
            match end.ip() {
                IpAddr::V4(v4) => block.extend_from_slice(&v4.octets()),
                IpAddr::V6(v6) => block.extend_from_slice(&v6.octets()),
            }
        }
        for end in [self.source, self.destination] {
            block.extend_from_slice(&end.port().to_be_bytes());
        }
        block
    }

    /// Reads what [`to_block`](Addresses::to_block) gives. `None` for any other length.
    pub(crate) fn from_block(block: &[u8]) -> Option<Addresses> {
        read::<4>(block).or_else(|| read::<16>(block))
    }
}

/// Reads a block whose IP addresses have `N` bytes.
fn read<const N: usize>(block: &[u8]) -> Option<Addresses>
where
    IpAddr: From<[u8; N]>,
{
    let (source, rest) = block.split_first_chunk::<N>()?;
    let (destination, ports) = rest.split_first_chunk::<N>()?;
    let &[from_high, from_low, to_high, to_low] = ports else { return None };
    let end = |ip: &[u8; N], port| SocketAddr::new((*ip).into(), u16::from_be_bytes(port));
    Some(Addresses::new(end(source, [from_high, from_low]), end(destination, [to_high, to_low])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use quickcheck::quickcheck;

    fn addresses(source: &str, destination: &str) -> Addresses {
        Addresses::new(source.parse().unwrap(), destination.parse().unwrap())
    }

    #[test]
    fn both_addresses_have_one_family() {
        for (given, kept) in [
            (["1.2.3.4:5", "6.7.8.9:10"], ["1.2.3.4:5", "6.7.8.9:10"]),
            (["[::ffff:1.2.3.4]:5", "[::ffff:6.7.8.9]:10"], ["1.2.3.4:5", "6.7.8.9:10"]),
            (["[::ffff:1.2.3.4]:5", "[2001:db8::1]:1"], ["[::ffff:1.2.3.4]:5", "[2001:db8::1]:1"]),
            (["[2001:db8::1]:1", "1.2.3.4:5"], ["[2001:db8::1]:1", "[::ffff:1.2.3.4]:5"]),
            (["[fe80::1%3]:1", "[::1]:2"], ["[fe80::1]:1", "[::1]:2"]),
        ] {
            let both = addresses(given[0], given[1]);
            assert_eq!([both.source(), both.destination()].map(|end| end.to_string()), kept);
        }
    }

    #[test]
    fn a_block_has_the_addresses_then_the_ports() {
        let block = addresses("1.2.3.4:258", "6.7.8.9:65535").to_block();
        assert_eq!(block, [1, 2, 3, 4, 6, 7, 8, 9, 1, 2, 255, 255]);
        let block = addresses("[::1]:258", "[::2]:3").to_block();
        assert_eq!(
            (block.len(), block[15], block[31], &block[32..]),
            (36, 1, 2, &[1, 2, 0, 3][..])
        );
    }

    #[test]
    fn only_blocks_of_12_and_36_bytes_have_addresses() {
        for length in 0..64 {
            let is_one = Addresses::from_block(&vec![9; length]).is_some();
            assert_eq!(is_one, [12, 36].contains(&length), "{length}");
        }
    }

    quickcheck! {
        fn addresses_survive_a_block(source: SocketAddr, destination: SocketAddr) -> bool {
            let both = Addresses::new(source, destination);
            Addresses::from_block(&both.to_block()) == Some(both)
        }
    }
}
