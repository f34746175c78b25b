//! A wide-area route in virtual time.
//!
//! A packet may be lost. Then it passes the cap of its path's link and that of its TCP connection
//! ("flow"), and then the delay. A flow is a pair of addresses and ports on a path, from its SYN
//! on. Caps count the bytes of IP packets, so TCP's goodput is at most 1448/1500 of them. The
//! packets of a flow keep their order in each direction. Packets other than TCP have no cap but the
//! link's; packets other than IPv4 are dropped.

use crate::route::{Path, Route};
use crate::segment::Segment;
use crate::shaper::Gate;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Way {
    /// From the client to the server.
    Up,
    Down,
}

impl Way {
    pub fn back(self) -> Way {
        match self {
            Way::Up => Way::Down,
            Way::Down => Way::Up,
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Way::Up => "up",
            Way::Down => "down",
        }
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Packet {
    due: Duration,
    /// Orders packets that are due at the same time.
    number: u64,
    pub path: usize,
    pub way: Way,
    pub bytes: Vec<u8>,
}

#[derive(Clone, Debug)]
pub struct Flow {
    /// The bytes of its IP packets up and down.
    pub carried: [u64; 2],
    /// It is neither finished nor reset.
    pub live: bool,
    /// Its number among the stripes, if all connections are stripes.
    stripe: usize,
    reset: bool,
    silent: bool,
    /// Its caps, up and down.
    gates: [Gate; 2],
    /// The times at which its latest packets arrive, up and down.
    arrival: [Duration; 2],
}

/// The state of a path.
#[derive(Clone, Default)]
struct State {
    /// The number of flows that it has had.
    begun: usize,
    /// Whether its last packet was lost, up and down.
    is_lost: [bool; 2],
    /// The caps of its link, up and down.
    link: [Gate; 2],
}

pub struct Emulator {
    route: Route,
    paths: Vec<State>,
    flows: Vec<Flow>,
    /// The latest flow of each pair of addresses and ports on a path.
    places: HashMap<(usize, [u8; 12]), usize>,
    travelling: BinaryHeap<Reverse<Packet>>,
    count: u64,
    silent: bool,
    load_begin: Option<Duration>,
    dice: ChaCha8Rng,
}

impl Emulator {
    /// A route without packets. Loss and jitter are the same in each run.
    pub fn new(route: Route) -> Emulator {
        Emulator {
            paths: vec![State::default(); route.paths.len()],
            route,
            flows: Vec::new(),
            places: HashMap::new(),
            travelling: BinaryHeap::new(),
            count: 0,
            silent: false,
            load_begin: None,
            dice: ChaCha8Rng::seed_from_u64(1),
        }
    }

    /// Starts the clock of the route's dips.
    pub fn begin_load(&mut self, now: Duration) {
        self.load_begin = Some(now);
    }

    /// The flows in their order of arrival; a flow keeps its place.
    pub fn flows(&self) -> &[Flow] {
        &self.flows
    }

    /// Both ends of this flow get a reset, now or in answer to their next packet.
    pub fn reset(&mut self, flow: usize) {
        self.flows[flow].reset = true;
        self.flows[flow].live = false;
    }

    pub fn silence(&mut self, flow: usize, silent: bool) {
        self.flows[flow].silent = silent;
    }

    pub fn silence_all(&mut self, silent: bool) {
        self.silent = silent;
    }

    pub fn deadline(&self) -> Option<Duration> {
        self.travelling.peek().map(|Reverse(packet)| packet.due)
    }

    pub fn depart(&mut self, now: Duration) -> Option<Packet> {
        if self.deadline()? > now {
            return None;
        }
        self.travelling.pop().map(|Reverse(packet)| packet)
    }

    pub fn arrive(&mut self, now: Duration, path: usize, way: Way, bytes: &[u8]) {
        if bytes.len() < 20 || bytes[0] >> 4 != 4 {
            return;
        }
        let segment = Segment::read(bytes);
        let flow = segment.as_ref().map(|segment| self.flow_of(path, way, segment));
        if let (Some(index), Some(segment)) = (flow, &segment) {
            let flow = &mut self.flows[index];
            flow.live &= !segment.ends();
            if flow.reset && !segment.is_reset() {
                let due = (now + self.route.paths[path].delay).max(flow.arrival[way as usize]);
                self.travel(now, path, way.back(), &segment.reset_to_sender());
                self.travel(due, path, way, &segment.reset_to_receiver());
                return;
            }
        }
        if self.silent || flow.is_some_and(|flow| self.flows[flow].silent) || self.lost(path, way) {
            return;
        }
        if let Some(due) = self.due(now, path, way, flow, bytes.len() as u64) {
            self.travel(due, path, way, bytes);
        }
    }

    /// The time at which a packet arrives; `None` if a cap drops it.
    fn due(
        &mut self,
        now: Duration,
        path: usize,
        way: Way,
        flow: Option<usize>,
        len: u64,
    ) -> Option<Duration> {
        let at = way as usize;
        let Path { link, delay, jitter, .. } = self.route.paths[path];
        let mut passed = now;
        if let Some(link) = link {
            passed = self.paths[path].link[at].pass(passed, len, link)?;
        }
        let late = jitter.mul_f64(if jitter.is_zero() { 0.0 } else { self.dice.random() });
        let Some(flow) = flow.map(|flow| &mut self.flows[flow]) else {
            return Some(passed + delay + late);
        };
        let load_time = self.load_begin.map(|begin| now.saturating_sub(begin));
        if let Some(cap) = self.route.cap(flow.stripe, load_time) {
            passed = flow.gates[at].pass(passed, len, cap)?;
        }
        flow.carried[at] += len;
        flow.arrival[at] = flow.arrival[at].max(passed + delay + late);
        Some(flow.arrival[at])
    }

    fn lost(&mut self, path: usize, way: Way) -> bool {
        let loss = self.route.paths[path].loss;
        if loss.is_none() {
            return false;
        }
        let is_lost = &mut self.paths[path].is_lost[way as usize];
        *is_lost = self.dice.random_bool(loss.after(*is_lost));
        *is_lost
    }

    fn travel(&mut self, due: Duration, path: usize, way: Way, bytes: &[u8]) {
        self.count += 1;
        let packet = Packet { due, number: self.count, path, way, bytes: bytes.to_vec() };
        self.travelling.push(Reverse(packet));
    }

    fn flow_of(&mut self, path: usize, way: Way, segment: &Segment) -> usize {
        let key = (path, segment.ends_of_flow(way == Way::Up));
        match self.places.get(&key) {
            Some(flow) if self.flows[*flow].live || !segment.begins() => *flow,
            _ => {
                let begun = &mut self.paths[path].begun;
                self.flows.push(Flow {
                    carried: [0; 2],
                    live: true,
                    stripe: *begun * self.route.paths.len() + path,
                    reset: false,
                    silent: false,
                    gates: Default::default(),
                    arrival: [Duration::ZERO; 2],
                });
                *begun += 1;
                self.places.insert(key, self.flows.len() - 1);
                self.flows.len() - 1
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::tests::segment;

    const MS: Duration = Duration::from_millis(1);
    /// 1,500 bytes take 1.2 ms.
    const ROUTE: &str = "rtt=40ms,rate=10m";

    fn emulator(route: &str) -> Emulator {
        Emulator::new(Route::parse(route).unwrap())
    }

    fn arrivals(route: &mut Emulator) -> Vec<Packet> {
        std::iter::from_fn(|| route.depart(Duration::MAX)).collect()
    }

    #[test]
    fn an_idle_flow_delays_by_cap_and_path() {
        let mut route = emulator(ROUTE);
        route.arrive(5 * MS, 0, Way::Up, &segment(true, 1, b'S', 1500));
        assert_eq!(route.deadline(), Some(5 * MS + MS * 6 / 5 + 20 * MS));
        assert!(route.depart(26 * MS).is_none());
        let packet = route.depart(27 * MS).unwrap();
        assert_eq!((packet.path, packet.way), (0, Way::Up));
        assert_eq!(packet.bytes, segment(true, 1, b'S', 1500));
    }

    #[test]
    fn flows_directions_and_paths_have_caps_of_their_own() {
        let mut route = emulator("rtt=40ms,rate=10m + rtt=40ms,rate=10m");
        for (path, port) in [(0, 1), (0, 2), (1, 1)] {
            route.arrive(Duration::ZERO, path, Way::Up, &segment(true, port, b'S', 1500));
            route.arrive(Duration::ZERO, path, Way::Down, &segment(false, port, b'.', 1500));
        }
        assert_eq!(route.flows().len(), 3);
        assert!(arrivals(&mut route).iter().all(|packet| packet.due == MS * 6 / 5 + 20 * MS));
    }

    #[test]
    fn the_first_flow_takes_the_first_rate() {
        let mut route = emulator("rate=10m/5m");
        for port in 1..=3 {
            route.arrive(Duration::ZERO, 0, Way::Up, &segment(true, port, b'S', 1500));
        }
        let due: Vec<_> = arrivals(&mut route).iter().map(|packet| packet.due).collect();
        assert_eq!(due, [MS * 6 / 5, MS * 6 / 5, MS * 12 / 5]);
    }

    #[test]
    fn a_port_used_again_is_a_new_flow() {
        let mut route = emulator(ROUTE);
        for flags in [b'S', b'.', b'F', b'.', b'S'] {
            route.arrive(Duration::ZERO, 0, Way::Up, &segment(true, 1, flags, 100));
        }
        assert_eq!(route.flows().iter().map(|flow| flow.live).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn a_silent_flow_loses_all_and_is_healed() {
        let mut route = emulator(ROUTE);
        route.arrive(Duration::ZERO, 0, Way::Up, &segment(true, 1, b'S', 100));
        route.arrive(Duration::ZERO, 0, Way::Up, &segment(true, 2, b'S', 100));
        route.silence(0, true);
        route.arrive(Duration::ZERO, 0, Way::Up, &segment(true, 1, b'.', 100));
        route.arrive(Duration::ZERO, 0, Way::Up, &segment(true, 2, b'.', 100));
        assert_eq!(arrivals(&mut route).len(), 3);
        route.silence(0, false);
        route.silence_all(true);
        route.arrive(Duration::ZERO, 0, Way::Up, &segment(true, 1, b'.', 100));
        assert_eq!(arrivals(&mut route).len(), 0);
        route.silence_all(false);
        route.arrive(Duration::ZERO, 0, Way::Up, &segment(true, 1, b'.', 100));
        assert_eq!(arrivals(&mut route).len(), 1);
    }

    #[test]
    fn a_reset_reaches_both_ends_and_the_sender_at_once() {
        let mut route = emulator(ROUTE);
        route.arrive(Duration::ZERO, 0, Way::Up, &segment(true, 1, b'S', 100));
        arrivals(&mut route);
        route.reset(0);
        assert!(!route.flows()[0].live);
        route.arrive(30 * MS, 0, Way::Up, &segment(true, 1, b'.', 100));
        let packets = arrivals(&mut route);
        let seen: Vec<_> = packets.iter().map(|packet| (packet.way, packet.due)).collect();
        assert_eq!(seen, [(Way::Down, 30 * MS), (Way::Up, 50 * MS)]);
        assert!(packets.iter().all(|packet| Segment::read(&packet.bytes).unwrap().is_reset()));
    }

    /// How many of so many small packets are lost, and how often one is lost after another.
    fn losses(route: &str, count: usize) -> (usize, usize) {
        let mut route = emulator(route);
        let mut lost = Vec::new();
        for _ in 0..count {
            route.arrive(Duration::ZERO, 0, Way::Up, &segment(true, 1, b'.', 40));
            lost.push(route.depart(Duration::MAX).is_none());
        }
        let pairs = lost.windows(2).filter(|pair| pair[0] && pair[1]);
        (lost.iter().filter(|lost| **lost).count(), pairs.count())
    }

    #[test]
    fn loss_is_as_often_as_asked_for_and_in_rows_if_asked_for() {
        let (lost, pairs) = losses("link=1000m,link-queue=100s,loss=1%", 100_000);
        assert!((900..1100).contains(&lost) && pairs < 30, "{lost}, {pairs}");
        let (lost, pairs) = losses("link=1000m,link-queue=100s,loss=1%,burst=10", 100_000);
        assert!((700..1300).contains(&lost), "{lost}");
        // The mean row is lost / (lost - pairs).
        assert!((8..12).contains(&(lost / (lost - pairs))), "{lost}, {pairs}");
    }

    #[test]
    fn a_link_is_shared_by_the_connections_of_its_path_but_not_by_directions() {
        let mut route = emulator("link=10m,rtt=40ms,link-queue=12ms + link=10m");
        for port in 1..=20 {
            route.arrive(Duration::ZERO, 0, Way::Up, &segment(true, port, b'S', 1500));
        }
        route.arrive(Duration::ZERO, 0, Way::Down, &segment(false, 1, b'.', 1500));
        route.arrive(Duration::ZERO, 1, Way::Up, &segment(true, 1, b'S', 1500));
        let mut due: Vec<_> = arrivals(&mut route).iter().map(|packet| packet.due).collect();
        // Up the first path, those that begin to pass within 12 ms: at 0, 1.2, ... 12 ms.
        let mut expected: Vec<_> = (1..=11).map(|place| place * MS * 6 / 5 + 20 * MS).collect();
        expected.extend([MS * 6 / 5 + 20 * MS, MS * 6 / 5]);
        expected.sort();
        due.sort();
        assert_eq!(due, expected);
    }

    #[test]
    fn a_connection_dips_when_its_time_has_come_since_the_load_began() {
        let line = "rate=10m,dips=3,stripes=1";
        let low = |time| Route::parse(line).unwrap().cap(0, Some(time)).unwrap().rate == 500_000;
        let begin = (0..6000).map(|ms| ms * MS).find(|time| low(*time)).unwrap();
        let mut route = emulator(line);
        route.begin_load(Duration::ZERO);
        let mut took = |now| {
            route.arrive(now, 0, Way::Up, &segment(true, 1, b'.', 1500));
            route.depart(Duration::MAX).unwrap().due - now
        };
        assert_eq!([took(begin - MS * 2), took(begin)], [MS * 6 / 5, MS * 24]);
    }

    #[test]
    fn jitter_delays_packets_but_never_reorders_them() {
        let mut route = emulator("rate=10m,jitter=10ms");
        let mut last = Duration::ZERO;
        let mut late = Vec::new();
        for number in 1..=1000 {
            let now = number * 2 * MS;
            route.arrive(now, 0, Way::Up, &segment(true, 1, b'.', 1500));
            let due = route.depart(Duration::MAX).unwrap().due;
            assert!(due >= last);
            last = due;
            late.push(due - now - MS * 6 / 5);
        }
        let (least, most) = (late.iter().min().unwrap(), late.iter().max().unwrap());
        assert!(*least < MS && (9 * MS..10 * MS).contains(most), "{least:?} {most:?}");
    }
}
