//! The process's knowledge of the routes of its stripes, for each pair of addresses. So what one
//! stripe has found out need not be found out by the others, nor by later ones.
//!
//! A client or a server owns one [`Routes`]. A stripe has a [`Seat`] at its route while it is up.

mod verdict;

use crate::pipe::{Carrier, Losses};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;
use striper_core::Instant;
use verdict::Verdict;

/// How many pairs are known at most. Each costs about 200 bytes, and 100 more for each stripe. A
/// peer that comes from many addresses displaces what has been unused for longest.
const MOST: usize = 1_024;

/// How long a route is known after its last use. By then it may be another one.
const LIFETIME: Duration = Duration::from_secs(10 * 60);

/// The addresses of both ends. Ports don't matter to a route.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Pair {
    local: IpAddr,
    peer: IpAddr,
}

impl Pair {
    /// The addresses of a connection, if it has any.
    pub(crate) fn of(carrier: &dyn Carrier) -> Option<Pair> {
        let (local, peer) = (carrier.local_addr()?.ip(), carrier.peer_addr()?.ip());
        Some(Pair { local: local.to_canonical(), peer: peer.to_canonical() })
    }
}

#[derive(Default)]
pub(crate) struct Routes {
    known: RefCell<BTreeMap<Pair, Rc<RefCell<Route>>>>,
}

struct Route {
    verdict: Verdict,
    /// The next number of a stripe.
    next: u64,
    used: Instant,
}

impl Routes {
    /// A seat for one more stripe between these addresses.
    pub(crate) fn join(&self, pair: Pair, now: Instant) -> Seat {
        let mut known = self.known.borrow_mut();
        known.retain(|_, route| {
            Rc::strong_count(route) > 1 || now.since(route.borrow().used) < LIFETIME
        });
        if known.len() >= MOST && !known.contains_key(&pair) {
            let oldest = known.iter().min_by_key(|(_, route)| route.borrow().used);
            if let Some(oldest) = oldest.map(|(pair, _)| *pair) {
                known.remove(&oldest);
            }
        }
        let fresh = || Route { verdict: Verdict::default(), next: 0, used: now };
        let route = known.entry(pair).or_insert_with(|| Rc::new(RefCell::new(fresh()))).clone();
        let number = {
            let mut route = route.borrow_mut();
            (route.used, route.next) = (now, route.next + 1);
            route.next
        };
        Seat { pair, route, number }
    }
}

/// The part of a stripe in what is known of its route.
pub(crate) struct Seat {
    pair: Pair,
    route: Rc<RefCell<Route>>,
    number: u64,
}

impl Seat {
    pub(crate) fn pair(&self) -> Pair {
        self.pair
    }

    /// Whether the route loses packets without a queue.
    pub(crate) fn is_lossy(&self) -> bool {
        self.route.borrow().verdict.is_lossy()
    }

    /// The share of packets that were lost when that was found, from 0 to 1.
    pub(crate) fn lost(&self) -> f64 {
        self.route.borrow().verdict.lost()
    }

    /// Adds what the stripe has found. The route may be another one by that.
    pub(crate) fn hear(&self, losses: Losses, now: Instant) {
        let mut route = self.route.borrow_mut();
        route.used = now;
        route.verdict.hear(self.number, losses, now);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.route.borrow_mut().verdict.leave(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipe::SentPackets;

    fn pair(peer: u32) -> Pair {
        Pair { local: [10, 0, 0, 1].into(), peer: IpAddr::V4(peer.into()) }
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    /// Has the stripe lose one of a hundred packets until that is a verdict. Says until when.
    fn lose(seat: &Seat, mut now: Instant) -> Instant {
        while !seat.is_lossy() {
            now = now + Duration::from_millis(250);
            let (busy, min_rtt) = (Duration::from_millis(250), Duration::from_millis(40));
            let sent = SentPackets { packets: 200, lost: 2, setbacks: 2, busy, min_rtt };
            seat.hear(Losses::Sent(sent), now);
        }
        now
    }

    #[test]
    fn a_verdict_holds_for_all_stripes_of_its_pair_and_for_later_ones() {
        let routes = Routes::default();
        let [one, two] = [(); 2].map(|()| routes.join(pair(1), at(0)));
        let other = routes.join(pair(2), at(0));
        let now = lose(&one, at(0));
        assert!(two.is_lossy() && two.lost() == 0.01 && !other.is_lossy());
        drop([one, two]);
        assert!(routes.join(pair(1), now).is_lossy());
    }

    #[test]
    fn a_route_is_forgotten_ten_minutes_after_its_last_use() {
        let routes = Routes::default();
        let now = lose(&routes.join(pair(1), at(0)), at(0));
        let almost = now + (LIFETIME - Duration::from_secs(1));
        let seat = routes.join(pair(1), almost);
        assert!(seat.is_lossy());
        assert!(routes.join(pair(1), almost + LIFETIME * 2).is_lossy(), "it has a stripe");
        drop(seat);
        assert!(!routes.join(pair(1), almost + LIFETIME * 3).is_lossy());
    }

    #[test]
    fn no_more_than_a_bounded_number_of_routes_is_known() {
        let routes = Routes::default();
        let seats: Vec<_> = (0..MOST as u32).map(|n| routes.join(pair(n), at(n.into()))).collect();
        let now = lose(&seats[0], at(MOST as u64));
        lose(&seats[1], now);
        seats[1].hear(Losses::Unknown, at(1));
        assert_eq!(routes.known.borrow().len(), MOST);
        let _one_more = routes.join(pair(MOST as u32), now);
        assert_eq!(routes.known.borrow().len(), MOST);
        assert!(routes.join(pair(0), now).is_lossy(), "it has been used of late");
        assert!(!routes.join(pair(1), now).is_lossy(), "it was unused for longest");
        assert!(seats[1].is_lossy(), "its stripe still has what it knew");
    }

    #[test]
    fn an_address_is_the_same_in_both_families() {
        let mapped = |address: &str| Some(address.parse().unwrap());
        let pair = |local, peer| Pair::of(&At(mapped(local), mapped(peer)));
        let v4 = pair("10.0.0.1:1", "10.0.0.2:2");
        assert_eq!(v4, pair("[::ffff:10.0.0.1]:3", "[::ffff:10.0.0.2]:4"));
        assert_ne!(v4, pair("10.0.0.1:1", "10.0.0.3:2"));
        assert_eq!(Pair::of(&At(None, mapped("10.0.0.2:2"))), None);
    }

    struct At(Option<std::net::SocketAddr>, Option<std::net::SocketAddr>);

    impl Carrier for At {
        fn flushed(&self) -> bool {
            true
        }

        fn local_addr(&self) -> Option<std::net::SocketAddr> {
            self.0
        }

        fn peer_addr(&self) -> Option<std::net::SocketAddr> {
            self.1
        }
    }
}
