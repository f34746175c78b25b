//! Sessions whose peer is another session or the test.

mod copies;
mod custody;
mod flows;
mod frames;
mod life;
mod limits;
mod linger;
mod memory;
mod stripes;

use super::*;
use crate::error::{Reason, Violation};
use crate::id::FlowId;
use crate::stripe::Token;
use crate::stripe::estimator::Latest;
use crate::testing::{Over, Pair, Pattern, SERVER, Scripted};
use crate::wire::frame::Frame;
use crate::wire::hello::HelloKind;
use alloc::vec;
use bytes::Bytes;
use core::time::Duration;

/// The client's first flow.
const FLOW: FlowId = FlowId(1);

/// The peer's OPEN of it.
fn open() -> Frame {
    Frame::Open { flow: FLOW, early: 0, credit: 1 << 20, opaque: Bytes::from_static(b"target") }
}

/// A scripted peer's session with so many stripes, which awaits nothing. Its local side consumes
/// nothing unless it is told to.
fn alone(role: Role, stripes: u64, config: Config) -> Scripted {
    let mut alone = Scripted::new(role, config);
    (alone.answers, alone.habits.consumes) = (true, false);
    let mut alone = alone.with(stripes);
    (0..stripes).for_each(|stripe| alone.acknowledge(stripe));
    alone.said.clear();
    alone.told.clear();
    alone
}

fn client(stripes: u64) -> Scripted {
    alone(Role::Client, stripes, Config { stripes: 0, ..Config::default() })
}

fn server(stripes: u64) -> Scripted {
    alone(SERVER, stripes, Config::default())
}

fn round_robin(stripes: usize) -> Config {
    Config { stripes, scheduler: crate::SchedulerKind::RoundRobin, ..Config::default() }
}

fn live(alone: &Scripted, stripe: u64) -> &Stripe {
    alone.end.session.stripes.get(StripeId(stripe)).unwrap()
}

fn live_mut(alone: &mut Scripted, stripe: u64) -> &mut Stripe {
    alone.end.session.stripes.get_mut(StripeId(stripe)).unwrap()
}

/// The end of the last entry of a live stripe's ledger that stands for this.
fn end_of(alone: &Scripted, stripe: u64, token: Token) -> u64 {
    let ledger = live(alone, stripe).ledger().iter();
    ledger.filter(|entry| entry.token == token).last().expect("an entry").end
}

/// A pair with so many stripes, and a flow that both sides know.
fn opened(stripes: usize) -> (Pair, FlowId) {
    let mut pair = Pair::new(Config { stripes, ..Config::default() });
    let flow = pair.open();
    pair.run();
    (pair, flow)
}

/// A stripe is measured at so many bytes per second.
fn measure(alone: &mut Scripted, stripe: u64, bytes: u64) {
    let now = alone.now;
    let rate = live_mut(alone, stripe).rate_mut();
    let mark = rate.mark(Some(0), now);
    let latest = Latest { at: now, mark, beyond: 1_000_000, queued: true };
    rate.acknowledged(bytes, 0, Some(latest), now + Duration::from_secs(1));
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn pattern(len: usize) -> Bytes {
    Pattern(0).bytes(0, len)
}
