use super::*;
use crate::base::{Agenda, Rate, seed};
use std::time::Duration;

struct Bench {
    link: Link,
    agenda: Agenda<LinkEvent>,
    now: u64,
    silent: bool,
    got: Vec<u8>,
    finished: Option<u64>,
    pieces: usize,
}

impl Bench {
    fn new(spec: LinkSpec) -> Self {
        let link = Link::new(spec, seed::stream(7, "link", 0));
        let (agenda, got) = (Agenda::new(), Vec::new());
        Bench { link, agenda, now: 0, silent: false, got, finished: None, pieces: 0 }
    }

    fn of(mbit: u64, millis: u64) -> Self {
        Bench::new(LinkSpec::new(Rate::mbit(mbit), Duration::from_millis(millis)))
    }

    fn write_link(&mut self) {
        let mut later = Later::new();
        self.link.write(self.now, self.silent, &mut later);
        self.plan(later);
    }

    fn write(&mut self, data: &[u8]) {
        self.link.push(Bytes::copy_from_slice(data));
        self.write_link();
    }

    fn plan(&mut self, later: Later) {
        later.into_iter().for_each(|(at, event)| self.agenda.add(at, event));
    }

    fn run_until(&mut self, end: u64) {
        while self.agenda.next_time().is_some_and(|at| at <= end) {
            let (at, event) = self.agenda.pop().unwrap();
            assert!(at >= self.now);
            self.now = at;
            let mut later = Later::new();
            if self.silent && matches!(event, LinkEvent::Acknowledge(..)) {
                continue;
            }
            let back = Some(at + self.link.spec.delay_micros());
            let read = self.link.happen(at, event, self.silent, back, &mut later);
            if let Some((pieces, fin)) = read {
                self.pieces += pieces.len();
                pieces.iter().for_each(|piece| self.got.extend_from_slice(piece));
                if fin {
                    assert_eq!(self.finished.replace(at), None, "one FIN");
                }
            }
            self.plan(later);
        }
        self.now = end;
    }

    fn transfer(&mut self, len: usize) -> u64 {
        let data = pattern(len);
        self.link.push(Bytes::from(data.clone()));
        self.link.close();
        self.write_link();
        self.run_until(1 << 40);
        assert!(self.got == data, "the bytes of the pattern, in order and once");
        assert!(self.link.is_idle());
        self.finished.expect("a FIN")
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 + i / 256) as u8).collect()
}

#[test]
fn a_long_transfer_takes_its_size_over_the_rate() {
    for (mbit, delay) in [(1, 20_000), (10, 0), (1_000, 5)] {
        let spec = LinkSpec::new(Rate::mbit(mbit), Duration::from_micros(delay));
        let len = spec.rate.as_bytes() as usize;
        let took = Bench::new(spec).transfer(len);
        assert!(took >= 1_000_000 + delay, "{mbit}: {took}");
        assert!(took < 1_050_000 + delay, "{mbit}: {took}");
    }
}

#[test]
fn a_short_transfer_takes_the_delay_and_a_round_trip_per_doubling() {
    assert_eq!(Bench::of(8, 20).transfer(1_000), 21_000);
    // 100 packets at 10 Gbit/s: 10, 20, 40, the rest: four times one way and three back.
    let took = Bench::of(10_000, 50).transfer(100 * MSS as usize);
    assert_eq!(took / 1_000, 350);
}

#[test]
fn losses_and_a_tiny_queue_delay_but_never_harm() {
    let clean = LinkSpec::new(Rate::mbit(10), Duration::from_millis(20));
    let took = Bench::new(clean.clone()).transfer(1 << 20);
    for loss in [20_000, 100_000, 500_000] {
        assert!(Bench::new(LinkSpec { loss, ..clean.clone() }).transfer(1 << 20) > took);
    }
    Bench::new(LinkSpec { queue: 4 << 10, ..clean }).transfer(1 << 20);
}

#[test]
fn a_lost_packet_comes_a_round_trip_later_and_holds_up_the_rest() {
    let mut bench = Bench::of(80, 10);
    bench.silent = true;
    bench.write(&pattern(1_448));
    bench.silent = false;
    bench.write(&pattern(1_448));
    bench.run_until(11_000);
    assert_eq!(bench.got.len(), 0, "the second waits behind the first");
    bench.run_until(31_000);
    assert_eq!(bench.got.len(), 2_896);
}

#[test]
fn the_system_takes_a_whole_buffer_while_less_is_unsent_than_the_low_water_mark() {
    let mut bench = Bench::of(1, 20);
    bench.link.pace(16 << 10);
    bench.write(&pattern(1 << 20));
    // Linux takes whole buffers.
    let buffer = 44 * MSS;
    assert_eq!((bench.link.taken(), bench.link.unsent()), (buffer, buffer - 10 * MSS));
    for ms in 0..2_000 {
        bench.run_until(ms * 1_000);
        assert!(bench.link.unsent() <= buffer);
    }
    assert!(bench.link.taken() > 200_000);
}

#[test]
fn choppy_links_cut_anywhere_and_lose_nothing() {
    let mut bench = Bench::of(10, 5);
    bench.link.spec.choppy = true;
    bench.transfer(300_000);
    assert!(bench.pieces > 300_000 / MSS as usize);
}

#[test]
fn after_silence_all_arrives() {
    let mut bench = Bench::of(10, 5);
    bench.write(&pattern(100_000));
    bench.run_until(20_000);
    bench.silent = true;
    bench.run_until(5_000_000);
    let during = bench.got.len();
    bench.run_until(6_000_000);
    assert_eq!(bench.got.len(), during);
    bench.silent = false;
    bench.run_until(30_000_000);
    assert!(bench.got == pattern(100_000));
}

#[test]
fn a_killed_link_yields_nothing_more() {
    let mut bench = Bench::of(10, 5);
    bench.write(&pattern(100_000));
    bench.run_until(20_000);
    bench.link.kill();
    let before = bench.got.len();
    bench.run_until(10_000_000);
    assert_eq!(bench.got.len(), before);
    assert_eq!(bench.finished, None);
}

#[test]
fn nothing_goes_beyond_the_limit_of_the_reader() {
    let mut bench = Bench::of(10, 1);
    bench.link.limit = 2_000;
    assert_eq!(bench.link.room(), 2 * 44 * MSS, "more than 64 KiB, in buffers");
    bench.write(&[0; 5_000]);
    assert_eq!((bench.link.taken(), bench.link.unsent()), (5_000, 3_000));
    bench.link.limit = 10_000;
    bench.write_link();
    assert_eq!(bench.link.unsent(), 0);
}
