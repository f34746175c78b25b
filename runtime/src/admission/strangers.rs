//! Callers that have not said HELLO yet: their number in all and from one address, and the loser
//! when there are too many.
//!
//! A caller that calls often displaces itself. The loser is of an address that has its full number,
//! else of the addresses that have the most. So a crowd from few addresses can't keep out who calls
//! from another. Callers of one attacker from many addresses have no such order. But most of them
//! say nothing, since a whole ClientHello costs work. So a caller that has said one goes after all
//! that have had the time for it. Of those who are alike, chance decides: who would always take the
//! oldest would take everybody that is far away. Addresses from where somebody has said who it is
//! come last, so that a client with many stripes gets them all once it has the first.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Bits of an IPv6 address that name a network; a customer chooses those behind (RFC 6177).
const NETWORK: u32 = 64;

/// Bits that name a site, which some customers get (RFC 6177).
const SITE: u32 = 48;

/// Callers at once that are not held against an address: a client's usual stripes.
const USUAL: usize = 4;

/// The same of an IPv6 site.
const USUAL_OF_SITE: usize = 8 * USUAL;

/// The address of a caller, or its network if one may have as many addresses as it likes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Origin(IpAddr);

impl Origin {
    fn of(address: IpAddr) -> Self {
        Origin::within(address, NETWORK)
    }

    /// The network in which it is, by so many bits; IPv4 addresses stand for themselves.
    fn within(address: IpAddr, bits: u32) -> Self {
        let keep = u128::MAX << (128 - bits);
        Origin(match address.to_canonical() {
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & keep).into(),
            v4 => v4,
        })
    }

    /// The IPv6 site, if it is in one.
    fn site(self) -> Option<Self> {
        self.0.is_ipv6().then(|| Origin::within(self.0, SITE))
    }
}

/// How many addresses are remembered from where somebody has joined.
const JOINED: usize = 1024;

/// Whether a caller has said as much as makes it worth an answer. Until then it counts as silent.
pub(crate) type Spoken = Arc<AtomicBool>;

#[derive(Debug)]
struct Stranger<T> {
    from: Origin,
    spoken: Spoken,
    task: T,
}

/// Strangers in order of their calls.
#[derive(Debug)]
pub(crate) struct Strangers<T> {
    most: usize,
    most_of_one: usize,
    waiting: Vec<Stranger<T>>,
    /// From where somebody has joined, and the how manieth that was.
    joined: BTreeMap<Origin, u64>,
    joins: u64,
}

impl<T> Default for Strangers<T> {
    /// One in all.
    fn default() -> Self {
        Strangers {
            most: 1,
            most_of_one: 1,
            waiting: Vec::new(),
            joined: BTreeMap::new(),
            joins: 0,
        }
    }
}

impl<T> Strangers<T> {
    /// At most so many in all, and so many from one address. Each is at least one. Those beyond a
    /// lower bound stay until others come.
    pub(crate) fn allow(&mut self, most: usize, most_of_one: usize) {
        (self.most, self.most_of_one) = (most.max(1), most_of_one.max(1));
    }

    pub(crate) fn note_join(&mut self, from: IpAddr) {
        self.joins += 1;
        self.joined.insert(Origin::of(from), self.joins);
        if self.joined.len() > JOINED {
            let earliest =
                self.joined.iter().min_by_key(|(_, number)| **number).map(|(origin, _)| *origin);
            earliest.map(|origin| self.joined.remove(&origin));
        }
    }

    pub(crate) fn retain(&mut self, mut is_one: impl FnMut(&T) -> bool) {
        self.waiting.retain(|stranger| is_one(&stranger.task));
    }

    /// Admits one more. Gives the caller that has to go for it. `chance` decides between like ones.
    pub(crate) fn admit(
        &mut self,
        from: IpAddr,
        spoken: Spoken,
        task: T,
        chance: impl FnOnce() -> u64,
    ) -> Option<T> {
        let from = Origin::of(from);
        self.waiting.push(Stranger { from, spoken, task });
        let of_one = self.waiting.iter().filter(|stranger| stranger.from == from).count();
        if of_one <= self.most_of_one && self.waiting.len() <= self.most {
            return None;
        }
        let (mut origins, mut sites) =
            (BTreeMap::<Origin, usize>::new(), BTreeMap::<Origin, usize>::new());
        for Stranger { from, .. } in &self.waiting {
            *origins.entry(*from).or_default() += 1;
            from.site().into_iter().for_each(|site| *sites.entry(site).or_default() += 1);
        }
        // A caller that has only just come has had no time to speak.
        let newest = self.waiting.len() * 3 / 4;
        let weight = |at: usize, stranger: &Stranger<T>| {
            let origin = stranger.from;
            let beyond = origins[&origin].saturating_sub(USUAL);
            let site = origin.site().map_or(0, |site| sites[&site].saturating_sub(USUAL_OF_SITE));
            let silent = at < newest && !stranger.spoken.load(Ordering::Relaxed);
            (!self.joined.contains_key(&origin), beyond.max(site), silent)
        };
        let own_only = of_one > self.most_of_one;
        let weights = self
            .waiting
            .iter()
            .enumerate()
            .filter(|(_, stranger)| !own_only || stranger.from == from);
        let weights: Vec<_> = weights.map(|(at, stranger)| (weight(at, stranger), at)).collect();
        let heaviest = weights.iter().map(|(weight, _)| *weight).max()?;
        let alike: Vec<usize> =
            weights.iter().filter(|(weight, _)| *weight == heaviest).map(|(_, at)| *at).collect();
        let gone = alike[(chance() % alike.len() as u64) as usize];
        Some(self.waiting.remove(gone).task)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    fn v4(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn everywhere(call: u32) -> IpAddr {
        IpAddr::from((0x0a00_0000 + call).to_be_bytes())
    }

    impl<T> Strangers<T> {
        fn new(most: usize, most_of_one: usize) -> Self {
            let mut strangers = Strangers::default();
            strangers.allow(most, most_of_one);
            strangers
        }

        /// One more that is silent. Of callers that are alike the oldest has to go.
        fn hush(&mut self, from: IpAddr, task: T) -> Option<T> {
            self.admit(from, Spoken::default(), task, || 0)
        }
    }

    #[test]
    fn a_lower_bound_displaces_one_for_each_that_comes() {
        let mut strangers = Strangers::new(100, 100);
        assert!((1..=4).all(|call| strangers.hush(v4(call), call).is_none()));
        strangers.allow(2, 2);
        assert!(strangers.hush(v4(5), 5).is_some() && strangers.waiting.len() == 4);
        strangers.allow(5, 2);
        assert_eq!(strangers.hush(v4(6), 6), None);
    }

    #[test]
    fn an_address_beyond_its_number_displaces_its_own_oldest() {
        let mut strangers = Strangers::new(100, 2);
        for (call, from) in [1, 2, 2].into_iter().enumerate() {
            assert_eq!(strangers.hush(v4(from), call), None);
        }
        assert_eq!(strangers.hush(v4(2), 3), Some(1));
        assert_eq!(strangers.hush(v4(2), 4), Some(2));
        assert_eq!(strangers.hush(v4(1), 5), None);
    }

    #[test]
    fn a_full_table_displaces_one_of_the_address_that_has_the_most() {
        let mut strangers = Strangers::new(20, 20);
        for call in 0..20u8 {
            let from = if call < 6 { 3 + call } else { 1 + call % 2 };
            assert_eq!(strangers.hush(v4(from), call), None);
        }
        assert_eq!(strangers.hush(v4(100), 20), Some(6), "1 and 2 have seven each; 1 is older");
        assert_eq!(strangers.hush(v4(101), 21), Some(7));
        assert_eq!(strangers.hush(v4(1), 22), Some(8), "its own");
    }

    #[test]
    fn callers_that_say_nothing_go_first_in_a_crowd_from_everywhere() {
        let mut strangers = Strangers::new(256, 128);
        (0..256).for_each(|call| assert!(strangers.hush(everywhere(call), false).is_none()));
        let spoken = Spoken::default();
        assert_eq!(strangers.admit(v4(7), spoken.clone(), true, || 250), Some(false));
        // A few calls later its ClientHello has come.
        for call in 256..276 {
            let call = strangers.admit(everywhere(call), Spoken::default(), false, || 1 << 40);
            assert_eq!(call, Some(false));
        }
        spoken.store(true, Ordering::Relaxed);
        for call in 276..20_000u32 {
            let gone = strangers.admit(everywhere(call), Spoken::default(), false, || call.into());
            assert_eq!(gone, Some(false), "after {call} calls");
        }
    }

    #[test]
    fn callers_that_speak_do_not_go_for_being_far_away() {
        let mut strangers = Strangers::new(256, 128);
        let spoken = Spoken::new(true.into());
        let mut random = StdRng::seed_from_u64(1);
        let mut gone = Vec::new();
        for call in 0..20_000 {
            gone.extend(
                strangers.admit(everywhere(call), spoken.clone(), call, || random.random()),
            );
            if let Some(gone) = gone.last() {
                assert!(call - gone < 4_000, "some leave in the end");
            }
        }
        // Of those who need as long as 300 others take to call, about e^(-300/256) are still there.
        let early = gone.iter().zip(256..).filter(|(gone, now)| *now - **gone < 300).count();
        let share = early * 100 / gone.len();
        assert!((64..=74).contains(&share), "{share} % had to go before");
    }

    #[test]
    fn the_networks_of_one_ipv6_site_count_together() {
        let mut strangers = Strangers::new(64, 64);
        let honest: Vec<IpAddr> =
            (0..4).map(|host| format!("2001:db8:1::{host}").parse().unwrap()).collect();
        honest.iter().for_each(|from| assert_eq!(strangers.hush(*from, true), None));
        for network in 0..1000 {
            let gone = strangers.hush(format!("2001:db8:2:{network:x}::1").parse().unwrap(), false);
            assert_ne!(gone, Some(true), "{network}");
        }
    }

    #[test]
    fn a_caller_from_where_somebody_has_joined_is_displaced_last() {
        let mut strangers = Strangers::new(4, 4);
        strangers.note_join(v4(1));
        for (call, from) in [1, 1, 1, 2].into_iter().enumerate() {
            assert_eq!(strangers.hush(v4(from), call), None);
        }
        assert_eq!(strangers.hush(v4(3), 4), Some(3), "the other address, with one only");
        assert_eq!(strangers.hush(v4(1), 5), Some(4));
        assert_eq!(strangers.hush(v4(1), 6), Some(0), "nobody else is left");
    }

    #[test]
    fn of_too_many_addresses_that_have_joined_the_latest_are_remembered() {
        let mut strangers = Strangers::<()>::new(4, 4);
        let address = |number: u32| IpAddr::from(number.to_be_bytes());
        for number in 0..2000 {
            strangers.note_join(address(number));
            strangers.note_join(v4(1));
        }
        assert_eq!(strangers.joined.len(), JOINED);
        let remembers = |from: IpAddr| strangers.joined.contains_key(&Origin::of(from));
        assert!(remembers(v4(1)) && remembers(address(1999)) && !remembers(address(0)));
    }

    #[test]
    fn a_caller_that_has_joined_leaves_its_place() {
        let mut strangers = Strangers::new(2, 2);
        strangers.hush(v4(1), 0);
        strangers.hush(v4(1), 1);
        strangers.retain(|call| *call != 0);
        assert_eq!(strangers.hush(v4(1), 2), None);
        assert_eq!(strangers.hush(v4(1), 3), Some(1));
    }

    #[test]
    fn addresses_of_an_ipv6_network_are_one_and_mapped_ones_are_ipv4() {
        let same =
            |a: &str, b: &str| Origin::of(a.parse().unwrap()) == Origin::of(b.parse().unwrap());
        assert!(same("2001:db8:1:2::1", "2001:db8:1:2:ffff::7"));
        assert!(!same("2001:db8:1:2::1", "2001:db8:1:3::1"));
        assert!(same("192.0.2.1", "::ffff:192.0.2.1"));
        assert!(!same("192.0.2.1", "192.0.2.2"));
        assert!(!same("::ffff:192.0.2.1", "::ffff:192.0.2.2"));
    }
}
