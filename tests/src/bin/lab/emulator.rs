//! A wide-area route in virtual time.
//!
//! A packet may be lost. Then it passes the cap of its TCP connection ("flow") with a bounded
//! queue, and then the delay. A flow is a pair of addresses and ports on a path, from its SYN on.
//! Rates count the bytes of IP packets, so TCP's goodput is at most 1448/1500 of them. The packets
//! of a flow keep their order in each direction. Packets other than TCP have only delay and loss;
//! packets other than IPv4 are dropped.

use crate::segment::Segment;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

/// A queue holds at least this many packets of full size, however low its rate.
const QUEUE_AT_LEAST: u64 = 8 * 1500;

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
}

/// A path between client and server, the same in both directions.
#[derive(Clone, Debug)]
pub struct Path {
    pub delay: Duration,
    /// Bits a second of the first flow, the second and so on, in turn; empty means no cap.
    pub rates: Vec<u64>,
    /// The longest wait of a packet for its flow's cap.
    pub queue: Duration,
    pub loss: f64,
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
    rate: Option<u64>,
    reset: bool,
    silent: bool,
    /// The times at which the cap has let through all earlier packets, up and down.
    free: [Duration; 2],
}

pub struct Emulator {
    paths: Vec<Path>,
    /// The number of flows that each path has had.
    begun: Vec<usize>,
    flows: Vec<Flow>,
    /// The latest flow of each pair of addresses and ports on a path.
    places: HashMap<(usize, [u8; 12]), usize>,
    travelling: BinaryHeap<Reverse<Packet>>,
    count: u64,
    silent: bool,
    dice: ChaCha8Rng,
}

impl Emulator {
    /// Paths without packets. Loss is the same in each run.
    pub fn new(paths: Vec<Path>) -> Emulator {
        Emulator {
            begun: vec![0; paths.len()],
            paths,
            flows: Vec::new(),
            places: HashMap::new(),
            travelling: BinaryHeap::new(),
            count: 0,
            silent: false,
            dice: ChaCha8Rng::seed_from_u64(1),
        }
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
        let flow = segment.as_ref().map(|segment| self.flow_of(now, path, way, segment));
        if let (Some(index), Some(segment)) = (flow, &segment) {
            let flow = &mut self.flows[index];
            flow.live &= !segment.ends();
            if flow.reset && !segment.is_reset() {
                self.travel(now, path, way.back(), &segment.reset_to_sender());
                let due = self.flows[index].free[way as usize].max(now) + self.paths[path].delay;
                self.travel(due, path, way, &segment.reset_to_receiver());
                return;
            }
        }
        if self.silent || flow.is_some_and(|flow| self.flows[flow].silent) || self.lost(path) {
            return;
        }
        let mut free = now;
        if let Some(flow) = flow {
            match self.flows[flow].queue(now, way, bytes.len() as u64, self.paths[path].queue) {
                Some(time) => free = time,
                None => return,
            }
        }
        self.travel(free + self.paths[path].delay, path, way, bytes);
    }

    fn lost(&mut self, path: usize) -> bool {
        let loss = self.paths[path].loss;
        loss > 0.0 && self.dice.random_bool(loss)
    }

    fn travel(&mut self, due: Duration, path: usize, way: Way, bytes: &[u8]) {
        self.count += 1;
        let packet = Packet { due, number: self.count, path, way, bytes: bytes.to_vec() };
        self.travelling.push(Reverse(packet));
    }

    fn flow_of(&mut self, now: Duration, path: usize, way: Way, segment: &Segment) -> usize {
        let key = (path, segment.ends_of_flow(way == Way::Up));
        match self.places.get(&key) {
            Some(flow) if self.flows[*flow].live || !segment.begins() => *flow,
            _ => {
                let rates = &self.paths[path].rates;
                let rate = (!rates.is_empty()).then(|| rates[self.begun[path] % rates.len()]);
                self.begun[path] += 1;
                self.flows.push(Flow {
                    carried: [0; 2],
                    live: true,
                    rate,
                    reset: false,
                    silent: false,
                    free: [now; 2],
                });
                self.places.insert(key, self.flows.len() - 1);
                self.flows.len() - 1
            }
        }
    }
}

impl Flow {
    /// The time at which the cap has let this packet through; `None` if the queue is full.
    fn queue(&mut self, now: Duration, way: Way, len: u64, queue: Duration) -> Option<Duration> {
        let free = &mut self.free[way as usize];
        let start = now.max(*free);
        if let Some(rate) = self.rate {
            if start - now > queue.max(time(QUEUE_AT_LEAST, rate)) {
                return None;
            }
            *free = start + time(len, rate);
        }
        self.carried[way as usize] += len;
        Some((*free).max(now))
    }
}

/// The time for these bytes at a rate in bits a second.
fn time(bytes: u64, rate: u64) -> Duration {
    Duration::from_nanos(bytes * 8 * 1_000_000_000 / rate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::tests::segment;

    const MS: Duration = Duration::from_millis(1);
    /// 1,500 bytes take 1.2 ms.
    const RATE: u64 = 10_000_000;

    fn path() -> Path {
        Path { delay: 20 * MS, rates: vec![RATE], queue: 100 * MS, loss: 0.0 }
    }

    fn arrivals(route: &mut Emulator) -> Vec<Packet> {
        std::iter::from_fn(|| route.depart(Duration::MAX)).collect()
    }

    #[test]
    fn an_idle_flow_delays_by_cap_and_path() {
        let mut route = Emulator::new(vec![path()]);
        route.arrive(5 * MS, 0, Way::Up, &segment(true, 1, b'S', 1500));
        assert_eq!(route.deadline(), Some(5 * MS + MS * 6 / 5 + 20 * MS));
        assert!(route.depart(26 * MS).is_none());
        let packet = route.depart(27 * MS).unwrap();
        assert_eq!((packet.path, packet.way), (0, Way::Up));
        assert_eq!(packet.bytes, segment(true, 1, b'S', 1500));
    }

    #[test]
    fn a_full_queue_drops_and_the_cap_holds() {
        let mut route = Emulator::new(vec![path()]);
        for _ in 0..200 {
            route.arrive(Duration::ZERO, 0, Way::Up, &segment(true, 1, b'.', 1500));
        }
        // Packets that begin to pass within 100 ms: at 0, 1.2, ... 99.6 ms.
        let packets = arrivals(&mut route);
        assert_eq!(packets.len(), 84);
        assert_eq!(packets[83].due, 84 * MS * 6 / 5 + 20 * MS);
        assert_eq!(route.flows()[0].carried, [84 * 1500, 0]);
    }

    #[test]
    fn flows_directions_and_paths_have_caps_of_their_own() {
        let mut route = Emulator::new(vec![path(), path()]);
        for (path, port) in [(0, 1), (0, 2), (1, 1)] {
            route.arrive(Duration::ZERO, path, Way::Up, &segment(true, port, b'S', 1500));
            route.arrive(Duration::ZERO, path, Way::Down, &segment(false, port, b'.', 1500));
        }
        assert_eq!(route.flows().len(), 3);
        assert!(arrivals(&mut route).iter().all(|packet| packet.due == MS * 6 / 5 + 20 * MS));
    }

    #[test]
    fn the_first_flow_takes_the_first_rate() {
        let rates = vec![RATE, RATE / 2];
        let mut route = Emulator::new(vec![Path { rates, delay: Duration::ZERO, ..path() }]);
        for port in 1..=3 {
            route.arrive(Duration::ZERO, 0, Way::Up, &segment(true, port, b'S', 1500));
        }
        let due: Vec<_> = arrivals(&mut route).iter().map(|packet| packet.due).collect();
        assert_eq!(due, [MS * 6 / 5, MS * 6 / 5, MS * 12 / 5]);
    }

    #[test]
    fn a_port_used_again_is_a_new_flow() {
        let mut route = Emulator::new(vec![path()]);
        for flags in [b'S', b'.', b'F', b'.', b'S'] {
            route.arrive(Duration::ZERO, 0, Way::Up, &segment(true, 1, flags, 100));
        }
        assert_eq!(route.flows().iter().map(|flow| flow.live).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn a_silent_flow_loses_all_and_is_healed() {
        let mut route = Emulator::new(vec![path()]);
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
        let mut route = Emulator::new(vec![path()]);
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

    #[test]
    fn loss_is_as_often_as_asked_for() {
        let mut route = Emulator::new(vec![Path { loss: 0.01, rates: Vec::new(), ..path() }]);
        for _ in 0..100_000 {
            route.arrive(Duration::ZERO, 0, Way::Up, &segment(true, 1, b'.', 40));
        }
        let lost = 100_000 - arrivals(&mut route).len();
        assert!((900..1100).contains(&lost), "{lost}");
    }
}
