use super::*;

/// A sender whose packets are acknowledged in order, each after the same round trip.
struct Sender {
    congestion: Congestion,
    flying: std::collections::VecDeque<(u64, Stamp)>,
    now: u64,
    sent: u64,
}

const RTT: u64 = 40_000;

impl Sender {
    fn new(control: Control) -> Self {
        let mut congestion = Congestion::new(control, 10 * MSS, 1);
        congestion.handshake_took(0, RTT);
        Sender { congestion, flying: Default::default(), now: 0, sent: 0 }
    }

    fn out(&self) -> Outstanding {
        Outstanding { packets: self.flying.len() as u64, next_tx: self.sent, next_place: self.sent }
    }

    /// Sends at most so many packets, as far as the window allows.
    fn send(&mut self, most: u64) {
        let in_flight = self.flying.len() as u64;
        let count = most.min(self.congestion.window().saturating_sub(in_flight));
        for nth in 0..count {
            let stamp = self.congestion.send(self.now, in_flight + nth);
            self.flying.push_back((self.sent, stamp));
            self.sent += 1;
        }
        let is_full = self.flying.len() as u64 >= self.congestion.window();
        self.congestion.sent(self.now, self.out(), is_full, 300_000, false);
    }

    /// Acknowledges the oldest packet, which showed so many before it to be lost.
    fn acknowledge(&mut self, losses: u64) {
        for _ in 0..losses {
            self.flying.pop_front();
        }
        let (tx, stamp) = self.flying.pop_front().expect("a packet in flight");
        let in_flight = self.flying.len() as u64;
        let ack = Ack {
            now: self.now,
            rtt: RTT,
            tx,
            next_tx: self.sent,
            place: tx,
            losses,
            lost_out: losses,
            prior_in_flight: in_flight + 1 + losses,
            in_flight,
            ..Ack::default()
        };
        // A lost packet is outstanding until it is sent again.
        let out = Outstanding { packets: in_flight + losses, ..self.out() };
        self.congestion.acknowledged(ack, &stamp, out);
    }

    /// Round trips in which at most so many packets are in flight.
    fn rounds(&mut self, count: u64, most: u64) {
        for _ in 0..count {
            self.send(most.saturating_sub(self.flying.len() as u64));
            self.now += RTT;
            for _ in 0..self.flying.len() {
                self.acknowledge(0);
            }
        }
    }
}

#[test]
fn a_full_window_doubles_each_round_trip() {
    let mut sender = Sender::new(Control::Cubic);
    sender.rounds(3, u64::MAX);
    assert_eq!(sender.congestion.window(), 80);
}

#[test]
fn a_window_that_is_not_filled_grows_to_twice_what_was_in_flight_at_most() {
    let mut sender = Sender::new(Control::Cubic);
    sender.rounds(20, 8);
    assert_eq!(sender.congestion.window(), 16);
    // After slow start it does not grow at all.
    sender.congestion.window.ssthresh = 16;
    sender.rounds(20, 15);
    assert_eq!(sender.congestion.window(), 16);
    sender.rounds(20, 16);
    assert!(sender.congestion.window() > 16);
}

#[test]
fn a_window_of_which_little_is_used_is_taken_back_once_a_timeout() {
    let mut sender = Sender::new(Control::Cubic);
    sender.rounds(4, u64::MAX);
    assert_eq!(sender.congestion.window(), 160);
    // Not filled for 8 round trips of 40 ms, which is more than 300 ms: halfway to what is used.
    sender.congestion.window.ssthresh = 100;
    sender.rounds(9, 20);
    assert_eq!(sender.congestion.window(), 90);
    assert_eq!(sender.congestion.window.ssthresh, 120, "three quarters of the window before");
    // Below the threshold it may be twice what is in flight.
    sender.rounds(100, 20);
    assert!(sender.congestion.window() <= 40);
}

#[test]
fn a_program_that_waits_for_room_is_not_what_limits() {
    let mut sender = Sender::new(Control::Cubic);
    sender.rounds(4, u64::MAX);
    sender.congestion.window.ssthresh = 100;
    for _ in 0..20 {
        sender.now += RTT;
        sender.congestion.sent(sender.now, sender.out(), false, 300_000, true);
    }
    assert_eq!(sender.congestion.window(), 160);
}

#[test]
fn idle_timeouts_halve_the_window_down_to_the_initial_one() {
    for (idle, window) in [(300_000, 160), (300_001, 80), (600_001, 40), (60_000_000, 10)] {
        let mut sender = Sender::new(Control::Cubic);
        sender.rounds(4, u64::MAX);
        let now = sender.congestion.last_sent + idle;
        sender.congestion.restart_after_idle(now, 300_000);
        assert_eq!(sender.congestion.window(), window, "{idle}");
    }
    let mut sender = Sender::new(Control::Bbr);
    sender.rounds(4, u64::MAX);
    let window = sender.congestion.window();
    sender.congestion.restart_after_idle(60_000_000, 300_000);
    assert_eq!(sender.congestion.window(), window, "BBR paces instead");
}

#[test]
fn losses_of_one_window_cut_it_once_and_in_step_with_deliveries() {
    let mut sender = Sender::new(Control::Cubic);
    sender.rounds(3, u64::MAX);
    sender.send(u64::MAX);
    sender.now += RTT;
    sender.acknowledge(2);
    // 80 · 717 / 1,024 = 56; one packet may leave at once.
    assert_eq!(sender.congestion.window.ssthresh, 56);
    assert_eq!(sender.congestion.window(), 78);
    for _ in 0..30 {
        sender.send(1);
        sender.acknowledge(0);
    }
    assert_eq!(sender.congestion.window.ssthresh, 56);
    assert!((60..78).contains(&sender.congestion.window()), "{}", sender.congestion.window());
}

#[test]
fn a_timeout_leaves_one_packet_and_slow_start_up_to_the_cut() {
    let mut sender = Sender::new(Control::Cubic);
    sender.rounds(2, u64::MAX);
    sender.send(u64::MAX);
    let lost = sender.flying.len() as u64;
    let out = sender.out();
    sender.flying.clear();
    sender.congestion.timed_out(sender.now, lost, out);
    assert_eq!((sender.congestion.window(), sender.congestion.window.ssthresh), (1, 28));
}

#[test]
fn a_sender_with_too_little_data_says_so_with_its_samples() {
    let mut sender = Sender::new(Control::Bbr);
    sender.rounds(10, u64::MAX);
    assert!(!sender.congestion.delivery.is_limited());
    sender.congestion.limited_by_program(sender.flying.len() as u64);
    assert!(sender.congestion.delivery.is_limited());
    // The mark goes when a packet that was sent later is delivered.
    sender.rounds(1, u64::MAX);
    assert!(!sender.congestion.delivery.is_limited());
}
