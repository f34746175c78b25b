//! How long one session may keep the others waiting, and how many flows it loses at its end.

use super::agenda::SLICE;
use super::pump::Pump;
use super::testing::{ID, Never};
use super::turn::run;
use crate::admission::budget::Budget;
use crate::pipe::testing::Source;
use crate::ports::clock::{Clock, Timer};
use crate::report::Event;
use bytes::Bytes;
use std::cell::Cell;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;
use striper_core::wire::frame::Frame;
use striper_core::{Config, FlowId, Hello, HelloKind, Instant, Reason, StripeId};

/// A clock by which every look takes time, as all work does.
#[derive(Default)]
struct Working(Cell<u64>);

const LOOK: Duration = Duration::from_micros(10);

impl Clock for Working {
    fn now(&self) -> Instant {
        self.0.set(self.0.get() + LOOK.as_micros() as u64);
        Instant::from_micros(self.0.get())
    }

    fn timer(&self) -> Box<dyn Timer> {
        Box::new(Never)
    }
}

fn pump(clock: &Rc<Working>) -> Pump {
    let config = Config::default();
    let share = Budget::new(config.memory_limit, None).share(None);
    Pump::server(clock.clone(), config, ID, 1, None, share, None)
}

#[test]
fn a_peer_that_sends_without_end_delays_other_sessions_by_a_slice() {
    let clock = Rc::default();
    let mut pump = pump(&clock);
    let chunks = Rc::new(Cell::new(0));
    for stripe in (0..8).map(StripeId) {
        let kind = if stripe.0 == 0 { HelloKind::Create } else { HelloKind::Join };
        let hello = Hello { kind, session: ID, stripe, gone: Vec::new() };
        let count = chunks.clone();
        let give = move |_| {
            count.set(count.get() + 1);
            Frame::Ping { nonce: 1 }.encode(0)
        };
        let pings = Source(give);
        assert!(pump.join(Box::new(pings), hello, Bytes::new(), 64).is_ok());
    }
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..100 {
        let (before, begin) = (chunks.get(), clock.0.get());
        assert!(run(&mut pump, &mut cx).is_pending());
        assert!(chunks.get() > before, "it goes on where it was");
        let took = Duration::from_micros(clock.0.get() - begin);
        assert!(took <= SLICE * 2, "one look at this session took {took:?}");
    }
}

#[test]
fn the_end_of_a_session_counts_no_flow_that_was_reset_before() {
    let mut pump = pump(&Rc::default());
    let open = |flow| Frame::Open { flow, early: 0, credit: 0, opaque: Bytes::new() }.encode(0);
    let [kept, reset] = [1, 3].map(FlowId);
    let reason = Reason::Aborted.code();
    let said = [
        open(kept),
        open(reset),
        Frame::Reset { flow: reset, reason, final_offset: 0 }.encode(0),
        Frame::Close { code: 0 }.encode(0),
    ];
    let (kind, stripe) = (HelloKind::Create, StripeId(0));
    let hello = Hello { kind, session: ID, stripe, gone: Vec::new() };
    let silent = Source(|_| Bytes::new());
    assert!(pump.join(Box::new(silent), hello, said.concat().into(), 64).is_ok());
    let _ = run(&mut pump, &mut Context::from_waker(Waker::noop()));
    let lost = pump.take_events().into_iter().find_map(|event| match event {
        Event::SessionEnded { flows, .. } => Some(flows),
        _ => None,
    });
    assert_eq!(lost, Some(1));
}
