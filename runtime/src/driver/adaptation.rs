//! Gives stripes the congestion control that their route needs.

use super::engine::Engine;
use super::stripe_end::{StripeEnd, StripeFacts};
use crate::pipe::Adapted;
use crate::report::Event;
use striper_core::Input;

/// A stripe has found that its route is lossy, or no longer, with this share of lost packets. All
/// `ends` that go there adapt, and the user is told once.
pub(super) fn adapt<'a>(
    found_by: StripeFacts,
    (lossy, lost): (bool, f64),
    ends: impl Iterator<Item = &'a mut Box<StripeEnd>>,
    engine: &mut Engine,
) {
    let (mut stripes, mut outcome) = (0, Adapted::Kept);
    for end in ends {
        let adapted = end.adapt();
        if matches!(adapted, Adapted::Changed { .. }) {
            let (stripe, rate_based) = (end.facts.id, end.is_rate_based());
            engine.input(Input::StripeControl { stripe, rate_based });
        }
        if adapted != Adapted::Kept {
            (stripes, outcome) = (stripes + 1, adapted);
        }
    }
    let StripeFacts { id: stripe, place, peer, .. } = found_by;
    let (session, adapted) = (engine.tag(), outcome);
    engine.tell(Event::StripesAdapted {
        session,
        stripe,
        place,
        peer,
        stripes,
        lossy,
        lost,
        adapted,
    });
}

#[cfg(test)]
mod tests {
    use super::super::attempt::Greeted;
    use super::super::base::Base;
    use super::super::ready::Token;
    use super::super::stripes::Stripes;
    use super::super::testing::{ID, Still, greeted};
    use super::*;
    use crate::files::tests::Folder;
    use crate::pipe::testing::Source;
    use crate::pipe::{
        Carrier, Congestion, Losses, Pipe, PipeInfo, Received, SentPackets, Unacknowledged,
    };
    use crate::record::Traces;
    use bytes::{Buf, Bytes};
    use std::cell::Cell;
    use std::io;
    use std::net::SocketAddr;
    use std::rc::Rc;
    use std::sync::Arc;
    use std::task::{Context, Poll};
    use std::time::Duration;
    use striper_core::wire::frame::Frame;
    use striper_core::{Config, Output, Role, StripeId};

    /// A connection that loses one packet of a hundred, or none.
    struct Losing {
        losing: Rc<Cell<bool>>,
        /// How often that was looked at.
        looks: Rc<Cell<usize>>,
        behind: Rc<Cell<Option<Unacknowledged>>>,
        /// Its answer to a lossy route.
        adapted: Adapted,
        lossy: Rc<Cell<bool>>,
        peer: SocketAddr,
        below: Source<fn(usize) -> Bytes>,
    }

    impl Pipe for Losing {
        fn poll_recv(&mut self, cx: &mut Context<'_>, max: usize) -> Poll<io::Result<Received>> {
            self.below.poll_recv(cx, max)
        }

        fn poll_send(
            &mut self,
            cx: &mut Context<'_>,
            data: &mut dyn Buf,
        ) -> Poll<io::Result<usize>> {
            self.below.poll_send(cx, data)
        }

        fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.below.poll_finish(cx)
        }

        fn abort(&mut self) {}

        fn check(&mut self) -> io::Result<()> {
            Ok(())
        }

        fn info(&self) -> PipeInfo<'_> {
            PipeInfo::of(self)
        }
    }

    impl Carrier for Losing {
        fn flushed(&self) -> bool {
            true
        }

        fn losses(&self) -> Option<Losses> {
            self.looks.set(self.looks.get() + 1);
            let lost = u32::from(self.losing.get());
            let busy = Duration::from_millis(100);
            let min_rtt = Duration::from_millis(10);
            let sent = SentPackets { packets: 100, lost, setbacks: lost, busy, min_rtt };
            Some(Losses::Sent(sent))
        }

        fn unacknowledged(&self) -> Option<Unacknowledged> {
            self.behind.get()
        }

        fn adapt(&self, lossy: bool) -> Adapted {
            match self.lossy.replace(lossy) == lossy {
                true => Adapted::Kept,
                false => self.adapted.clone(),
            }
        }

        fn is_rate_based(&self) -> bool {
            self.lossy.get()
        }

        fn local_addr(&self) -> Option<SocketAddr> {
            Some(([10, 0, 0, 1], 7).into())
        }

        fn peer_addr(&self) -> Option<SocketAddr> {
            Some(self.peer)
        }
    }

    /// Stripes that send something each 10 ms.
    struct Sending {
        clock: Rc<Still>,
        base: Base,
        stripes: Stripes,
        tokens: Vec<Token>,
        /// Whether each has the control for a lossy route.
        lossy: Vec<Rc<Cell<bool>>>,
        losing: Rc<Cell<bool>>,
        looks: Rc<Cell<usize>>,
        behind: Rc<Cell<Option<Unacknowledged>>>,
    }

    impl Sending {
        fn new() -> Self {
            Sending::recorded(None)
        }

        fn recorded(traces: Option<Arc<Traces>>) -> Self {
            let clock = Rc::new(Still(Cell::new(1)));
            let role = Role::Server { instance: 1 };
            let engine = Engine::new(clock.clone(), Config::default(), ID, role, traces);
            Sending {
                clock,
                base: Base::new(engine),
                stripes: Stripes::default(),
                tokens: Vec::new(),
                lossy: Vec::new(),
                losing: Rc::new(Cell::new(true)),
                looks: Rc::default(),
                behind: Rc::default(),
            }
        }

        /// One more stripe, to the address with this last byte.
        fn add(&mut self, to: u8, adapted: &Adapted) {
            let lossy = Rc::<Cell<bool>>::default();
            self.lossy.push(lossy.clone());
            let pipe = Box::new(Losing {
                losing: self.losing.clone(),
                looks: self.looks.clone(),
                behind: self.behind.clone(),
                adapted: adapted.clone(),
                lossy,
                peer: ([10, 0, 0, to], 7).into(),
                below: Source(|_| Bytes::new()),
            });
            let greeted = Greeted { pipe, ..greeted(self.tokens.len() as u64).0 };
            let token = self.stripes.add(greeted, 0, Bytes::new(), 0, &mut self.base);
            self.tokens.push(token);
            self.base.engine.take_events();
        }

        /// Sends, or not, for a second. Gives the adaptations that were told.
        fn go_on(&mut self, sends: bool) -> Vec<(usize, bool, Adapted)> {
            for _ in 0..100 {
                for number in (0..self.tokens.len()).filter(|_| sends) {
                    let data = Frame::Ping { nonce: 1 }.encode(0);
                    let stripe = StripeId(number as u64);
                    self.base.engine.input(Input::StripeBytes { stripe, data });
                }
                let outputs = self.base.engine.take_outputs();
                for output in &outputs {
                    if let Output::Transmit { stripe, header, payload } = output.clone() {
                        self.stripes.transmit(stripe, header, payload, &mut self.base.agenda);
                    }
                }
                self.base.engine.performed(outputs);
                for token in self.tokens.clone() {
                    self.stripes.write(token, 0, &mut self.base);
                }
                self.clock.0.set(self.clock.0.get() + 10_000);
            }
            let told = self.base.engine.take_events().into_iter();
            told.filter_map(|event| match event {
                Event::StripesAdapted { stripes, lossy, adapted, .. } => {
                    Some((stripes, lossy, adapted))
                }
                _ => None,
            })
            .collect()
        }

        fn lossy(&self) -> Vec<bool> {
            self.lossy.iter().map(|lossy| lossy.get()).collect()
        }
    }

    fn bbr() -> Adapted {
        Adapted::Changed { congestion: Congestion::lossy() }
    }

    #[test]
    fn a_stripe_looks_at_its_losses_while_it_sends_and_rests_when_it_does_not() {
        let mut sending = Sending::new();
        sending.losing.set(false);
        sending.add(2, &bbr());
        sending.looks.set(0);
        // Each 30 ms: it sends each 10 ms.
        assert_eq!((sending.go_on(true), sending.looks.get()), (Vec::new(), 34));
        assert_eq!((sending.go_on(false), sending.looks.get()), (Vec::new(), 34));
    }

    #[test]
    fn a_stripe_with_bytes_in_flight_is_looked_at_again_though_nothing_is_sent() {
        let mut sending = Sending::new();
        sending.losing.set(false);
        sending.add(2, &bbr());
        sending.go_on(true);
        assert_eq!(sending.base.agenda.next_time(), None);
        sending.behind.set(Some(Unacknowledged { bytes: 9, out_of_order: 0 }));
        sending.go_on(true);
        assert!(sending.base.agenda.next_time().is_some());
        sending.looks.set(0);
        sending.go_on(false);
        assert_eq!(sending.looks.get(), 33, "each 30 ms, as all the pump's turns are 10 ms apart");
    }

    #[test]
    fn stripes_between_the_same_addresses_adapt_together_and_tell_once() {
        let mut sending = Sending::new();
        [2, 2, 3, 2].into_iter().for_each(|to| sending.add(to, &bbr()));
        let told = sending.go_on(true);
        assert_eq!(told, [(3, true, bbr()), (1, true, bbr())]);
        assert_eq!(sending.lossy(), [true; 4]);
    }

    #[test]
    fn the_session_hears_which_kind_of_control_a_stripe_has() {
        let folder = Folder::new("stripes-control");
        let path = folder.0.join("t");
        let traces = Traces::create(&path, "test").unwrap();
        let mut sending = Sending::recorded(Some(traces.clone()));
        [2, 2, 3].into_iter().for_each(|to| sending.add(to, &bbr()));
        sending.go_on(true);
        sending.add(2, &bbr());
        drop(sending);
        assert!(traces.flush(Duration::from_secs(10)));
        let trace = std::fs::read_to_string(&path).unwrap();
        let told: Vec<_> = trace.lines().filter_map(|line| line.split_once(" control ")).collect();
        let told: Vec<_> = told.into_iter().map(|(_, told)| told).collect();
        assert_eq!(told, ["0 rate", "1 rate", "2 rate", "3 rate"]);
    }

    #[test]
    fn a_later_stripe_begins_with_what_its_route_needs_and_does_not_tell() {
        let mut sending = Sending::new();
        sending.add(2, &bbr());
        assert_eq!(sending.go_on(true), [(1, true, bbr())]);
        [2, 3].into_iter().for_each(|to| sending.add(to, &bbr()));
        assert_eq!(sending.lossy(), [true, true, false]);
        sending.losing.set(false);
        assert_eq!(sending.go_on(true), []);
    }

    #[test]
    fn a_stripe_that_can_not_have_what_it_needs_looks_no_more() {
        let mut sending = Sending::new();
        let (congestion, cause) = (Congestion::lossy(), io::ErrorKind::PermissionDenied);
        let denied = Adapted::Denied { congestion, cause };
        sending.add(2, &denied);
        assert_eq!(sending.go_on(true), [(1, true, denied)]);
        sending.looks.set(0);
        assert_eq!((sending.go_on(true), sending.looks.get()), (Vec::new(), 0));
    }
}
