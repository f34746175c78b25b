//! Addresses that are not public: what a name must not lead to by surprise.
//!
//! The blocks are those of IANA's registries of special-purpose addresses (RFC 6890).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address is not public.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Special {
    /// `0.0.0.0/8` and `::`. Systems take them for the machine itself.
    Unspecified,
    /// `127.0.0.0/8` and `::1`.
    Loopback,
    /// RFC 1918, `100.64.0.0/10` of providers, and unique local addresses of IPv6.
    Private,
    /// `169.254.0.0/16`, where clouds have their credentials, and `fe80::/10`.
    LinkLocal,
    /// `224.0.0.0/4` and `ff00::/8`.
    Multicast,
    /// `255.255.255.255`.
    Broadcast,
    /// Documentation, benchmarks, protocols, and blocks without a use.
    Reserved,
    /// An address of this machine.
    Own,
}

impl Special {
    /// Whether no wildcard and no name implies such an address.
    pub(super) fn is_never_implied(self) -> bool {
        matches!(self, Special::Unspecified | Special::Multicast | Special::Broadcast)
    }
}

impl fmt::Display for Special {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Special::Unspecified => "an unspecified address",
            Special::Loopback => "a loopback address",
            Special::Private => "a private address",
            Special::LinkLocal => "a link-local address",
            Special::Multicast => "a multicast address",
            Special::Broadcast => "a broadcast address",
            Special::Reserved => "a reserved address",
            Special::Own => "an address of this machine",
        })
    }
}

/// Whether an address is special. `is_own` tells the addresses of this machine.
pub(super) fn special(address: IpAddr, is_own: impl Fn(IpAddr) -> bool) -> Option<Special> {
    let address = address.to_canonical();
    let inside = embedded(address);
    let kind = match (address, inside) {
        (IpAddr::V4(v4), _) | (_, Some(v4)) => v4_kind(v4),
        (IpAddr::V6(v6), None) => v6_kind(v6),
    };
    match kind {
        Some(kind) if kind == Special::Loopback || kind.is_never_implied() => Some(kind),
        _ if is_own(address) || inside.is_some_and(|inside| is_own(inside.into())) => {
            Some(Special::Own)
        }
        _ => kind,
    }
}

/// The IPv4 address to which a gateway passes on what is sent to this address: NAT64 (RFC 6052)
/// and 6to4 (RFC 3056).
pub(super) fn embedded(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(v6) = address else { return None };
    let (high, low) = match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => (high, low),
        _ => return None,
    };
    Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
}

fn v4_kind(address: Ipv4Addr) -> Option<Special> {
    Some(match address.octets() {
        [0, ..] => Special::Unspecified,
        [127, ..] => Special::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Special::Private,
        [169, 254, ..] => Special::LinkLocal,
        [224..=239, ..] => Special::Multicast,
        [255, 255, 255, 255] => Special::Broadcast,
        // Documentation: RFC 5737. Benchmarks: RFC 2544. A cloud has its credentials in 192.0.0/24.
        [192, 0, 0 | 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Special::Reserved,
        [198, 18..=19, ..] | [192, 88, 99, _] | [240..=255, ..] => Special::Reserved,
        _ => return None,
    })
}

fn v6_kind(address: Ipv6Addr) -> Option<Special> {
    Some(match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Special::Unspecified,
        [0, 0, 0, 0, 0, 0, 0, 1] => Special::Loopback,
        // Also the site-local addresses that came before the unique local ones (RFC 3879).
        [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] => Special::Private,
        [0xfe80..=0xfebf, ..] => Special::LinkLocal,
        [0xff00..=0xffff, ..] => Special::Multicast,
        // Protocols such as Teredo, and documentation (RFC 3849, RFC 9637).
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Special::Reserved,
        // Global unicast is within 2000::/3 (RFC 4291, section 2.4).
        [0x2000..=0x3fff, ..] => return None,
        _ => Special::Reserved,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(address: &str) -> Option<Special> {
        special(address.parse().unwrap(), |_| false)
    }

    #[test]
    fn the_first_and_last_address_of_each_block_is_special_and_its_neighbours_are_not() {
        for (kind, ends, neighbours) in [
            (Special::Unspecified, "0.0.0.0 0.255.255.255", "1.0.0.0"),
            (Special::Private, "10.0.0.0 10.255.255.255", "9.255.255.255 11.0.0.0"),
            (Special::Private, "100.64.0.0 100.127.255.255", "100.63.255.255 100.128.0.0"),
            (Special::Loopback, "127.0.0.0 127.255.255.255", "126.255.255.255 128.0.0.0"),
            (Special::LinkLocal, "169.254.0.0 169.254.255.255", "169.253.255.255 169.255.0.0"),
            (Special::Private, "172.16.0.0 172.31.255.255", "172.15.255.255 172.32.0.0"),
            (Special::Private, "192.168.0.0 192.168.255.255", "192.167.255.255 192.169.0.0"),
            (Special::Reserved, "198.18.0.0 198.19.255.255", "198.17.255.255 198.20.0.0"),
            (Special::Multicast, "224.0.0.0 239.255.255.255", "223.255.255.255"),
            (Special::Reserved, "240.0.0.0 255.255.255.254", ""),
            (Special::Private, "fc00:: fdff::ffff", ""),
            (Special::LinkLocal, "fe80:: febf::ffff", ""),
            (Special::Private, "fec0:: feff::1", ""),
            (Special::Multicast, "ff00:: ffff::1", ""),
            (Special::Reserved, "2001:: 2001:1ff::1", "2000::1 2001:200::"),
            (Special::Reserved, "2001:db8:: 2001:db8:ffff::", "2001:db7:: 2001:db9::"),
            (Special::Reserved, "3fff:: 3fff:fff::1", "3ffe::1 3fff:1000::"),
            (Special::Reserved, "4000:: fbff::1", ""),
        ] {
            for end in ends.split(' ') {
                assert_eq!(of(end), Some(kind), "{end}");
            }
            for neighbour in neighbours.split_whitespace() {
                assert_eq!(of(neighbour), None, "{neighbour}");
            }
        }
    }

    #[test]
    fn single_addresses_have_their_kind() {
        for (address, kind) in [
            ("255.255.255.255", Some(Special::Broadcast)),
            ("192.0.0.192", Some(Special::Reserved)),
            ("192.0.1.1", None),
            ("192.0.2.1", Some(Special::Reserved)),
            ("198.51.100.1", Some(Special::Reserved)),
            ("203.0.113.1", Some(Special::Reserved)),
            ("192.88.99.1", Some(Special::Reserved)),
            ("::", Some(Special::Unspecified)),
            ("::1", Some(Special::Loopback)),
            ("::2", Some(Special::Reserved)),
            ("::127.0.0.1", Some(Special::Reserved)),
            ("64:ff9b:1::7f00:1", Some(Special::Reserved)),
            ("8.8.8.8", None),
            ("2606:4700::1111", None),
        ] {
            assert_eq!(of(address), kind, "{address}");
        }
    }

    #[test]
    fn an_address_that_holds_an_ipv4_address_has_its_kind() {
        for (v4, kind) in [
            ("127.0.0.1", Some(Special::Loopback)),
            ("10.1.2.3", Some(Special::Private)),
            ("169.254.169.254", Some(Special::LinkLocal)),
            ("255.255.255.255", Some(Special::Broadcast)),
            ("8.8.8.8", None),
        ] {
            let [a, b, c, d] = v4.parse::<Ipv4Addr>().unwrap().octets();
            for address in [
                format!("::ffff:{v4}"),
                format!("64:ff9b::{v4}"),
                format!("2002:{a:02x}{b:02x}:{c:02x}{d:02x}::1"),
            ] {
                assert_eq!(of(&address), kind, "{address}");
            }
        }
    }

    #[test]
    fn an_own_address_is_found_in_each_of_its_forms() {
        let own: Vec<IpAddr> = ["::ffff:8.8.4.4", "2606:4700::1", "192.168.0.2", "127.0.0.1"]
            .map(|own| own.parse().unwrap())
            .into();
        for (address, kind) in [
            ("8.8.4.4", Some(Special::Own)),
            ("::ffff:8.8.4.4", Some(Special::Own)),
            ("64:ff9b::8.8.4.4", Some(Special::Own)),
            ("2002:808:404::", Some(Special::Own)),
            ("2606:4700::1", Some(Special::Own)),
            ("192.168.0.2", Some(Special::Own)),
            ("192.168.0.3", Some(Special::Private)),
            ("127.0.0.1", Some(Special::Loopback)),
            ("8.8.8.8", None),
        ] {
            assert_eq!(
                special(address.parse().unwrap(), |at| {
                    own.iter().any(|own| own.to_canonical() == at)
                }),
                kind,
                "{address}"
            );
        }
    }
}
