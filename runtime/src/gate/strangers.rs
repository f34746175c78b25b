//! Who has called and has not yet said who it is: so many in all, so many from one address, and who has to go when there are too many.
//!
//! Whoever calls often displaces itself: first the oldest of an address that has its full number, else the oldest of the
//! address that has the most. So a crowd from few addresses can't keep out who calls from another. Addresses from where
//! somebody has said who it is come last, so that a client with many stripes gets them all once it has the first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};

/// Bits of an IPv6 address that name a network: behind them one customer may choose what it likes (RFC 6177).
const NETWORK: u32 = 64;

/// Where a caller is from: its address, or the network if one may have as many addresses as it likes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Place(IpAddr);

impl Place {
    fn of(address: IpAddr) -> Self {
        Place(match address.to_canonical() {
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> NETWORK << NETWORK).into(),
            v4 => v4,
        })
    }
}

/// How many addresses are remembered from where somebody has said who it is.
const FRIENDS: usize = 1024;

/// Strangers in order of their calls.
#[derive(Debug)]
pub struct Strangers<T> {
    most: usize,
    most_of_one: usize,
    waiting: VecDeque<(Place, T)>,
    /// From where somebody has said who it is, and the how manieth it was.
    friends: BTreeMap<Place, u64>,
    trusted: u64,
}

impl<T> Strangers<T> {
    /// At most so many in all, and so many from one address. Each is at least one.
    pub fn new(most: usize, most_of_one: usize) -> Self {
        Strangers {
            most: most.max(1),
            most_of_one: most_of_one.max(1),
            waiting: VecDeque::new(),
            friends: BTreeMap::new(),
            trusted: 0,
        }
    }

    /// Somebody from there has said who it is.
    pub fn trust(&mut self, from: IpAddr) {
        self.trusted += 1;
        self.friends.insert(Place::of(from), self.trusted);
        if self.friends.len() > FRIENDS {
            let earliest = self.friends.iter().min_by_key(|(_, number)| **number).map(|(place, _)| *place);
            earliest.map(|place| self.friends.remove(&place));
        }
    }

    /// Forgets those who are strangers no longer.
    pub fn retain(&mut self, mut is_one: impl FnMut(&T) -> bool) {
        self.waiting.retain(|(_, stranger)| is_one(stranger));
    }

    /// One more, and who has to go for it.
    pub fn admit(&mut self, from: IpAddr, stranger: T) -> Option<T> {
        let from = Place::of(from);
        self.waiting.push_back((from, stranger));
        let mut counts = BTreeMap::<Place, usize>::new();
        for (place, _) in &self.waiting {
            *counts.entry(*place).or_default() += 1;
        }
        let place = if counts[&from] > self.most_of_one {
            from
        } else if self.waiting.len() > self.most {
            // Of several that have as many, that of the oldest.
            let weight = |(at, (place, _)): &(usize, &(Place, T))| {
                (!self.friends.contains_key(place), counts[place], Reverse(*at))
            };
            self.waiting.iter().enumerate().max_by_key(weight)?.1.0
        } else {
            return None;
        };
        let oldest = self.waiting.iter().position(|(known, _)| *known == place)?;
        self.waiting.remove(oldest).map(|(_, stranger)| stranger)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn below_both_limits_nobody_has_to_go() {
        let mut strangers = Strangers::new(4, 2);
        assert!(
            [1, 1, 2, 2]
                .into_iter()
                .enumerate()
                .all(|(call, from)| strangers.admit(v4(from), call).is_none())
        );
    }

    #[test]
    fn an_address_beyond_its_number_displaces_its_own_oldest() {
        let mut strangers = Strangers::new(100, 2);
        for (call, from) in [1, 2, 2].into_iter().enumerate() {
            assert_eq!(strangers.admit(v4(from), call), None);
        }
        assert_eq!(strangers.admit(v4(2), 3), Some(1));
        assert_eq!(strangers.admit(v4(2), 4), Some(2));
        assert_eq!(strangers.admit(v4(1), 5), None);
    }

    #[test]
    fn a_full_table_displaces_the_oldest_of_the_address_that_has_the_most() {
        let mut strangers = Strangers::new(5, 5);
        for (call, from) in [1, 2, 3, 2, 3].into_iter().enumerate() {
            assert_eq!(strangers.admit(v4(from), call), None);
        }
        assert_eq!(strangers.admit(v4(4), 5), Some(1), "2 and 3 have as many, and 2 has the oldest");
        assert_eq!(strangers.admit(v4(5), 6), Some(2));
        assert_eq!(strangers.admit(v4(6), 7), Some(0), "now all have one");
    }

    #[test]
    fn where_a_friend_called_from_is_displaced_last() {
        let mut strangers = Strangers::new(4, 4);
        strangers.trust(v4(1));
        for (call, from) in [1, 1, 1, 2].into_iter().enumerate() {
            assert_eq!(strangers.admit(v4(from), call), None);
        }
        assert_eq!(strangers.admit(v4(3), 4), Some(3), "the other address, although it has one only");
        assert_eq!(strangers.admit(v4(1), 5), Some(4));
        assert_eq!(strangers.admit(v4(1), 6), Some(0), "now there are friends only");
    }

    #[test]
    fn of_too_many_friends_the_latest_are_remembered() {
        let mut strangers = Strangers::<()>::new(4, 4);
        for number in 0..2000u32 {
            strangers.trust(IpAddr::from(number.to_be_bytes()));
            strangers.trust(v4(1));
        }
        assert_eq!(strangers.friends.len(), FRIENDS);
        assert!(strangers.friends.contains_key(&Place::of(v4(1))));
    }

    #[test]
    fn who_is_no_stranger_any_more_leaves_its_place() {
        let mut strangers = Strangers::new(2, 2);
        strangers.admit(v4(1), 0);
        strangers.admit(v4(1), 1);
        strangers.retain(|call| *call != 0);
        assert_eq!(strangers.admit(v4(1), 2), None);
        assert_eq!(strangers.admit(v4(1), 3), Some(1));
    }

    #[test]
    fn all_addresses_of_an_ipv6_network_are_one_and_mapped_ones_are_their_ipv4_address() {
        let same = |a: &str, b: &str| Place::of(a.parse().unwrap()) == Place::of(b.parse().unwrap());
        assert!(same("2001:db8:1:2::1", "2001:db8:1:2:ffff::7"));
        assert!(!same("2001:db8:1:2::1", "2001:db8:1:3::1"));
        assert!(same("192.0.2.1", "::ffff:192.0.2.1"));
        assert!(!same("192.0.2.1", "192.0.2.2"));
        assert!(!same("::ffff:192.0.2.1", "::ffff:192.0.2.2"));
    }

    #[test]
    fn a_crowd_from_four_addresses_never_displaces_an_honest_caller() {
        let mut strangers = Strangers::new(256, 128);
        let mut honest = Vec::new();
        for call in 0..10_000 {
            let gone = strangers.admit(v4(1 + (call % 4) as u8), (call, false));
            honest.extend(gone.filter(|(_, honest)| *honest));
            if call % 250 == 0 && call < 64 * 250 {
                honest.extend(strangers.admit(v4(9), (call, true)).filter(|(_, honest)| *honest));
            }
        }
        assert_eq!(honest, []);
    }
}
