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
use crate::error::Reason;
use crate::id::FlowId;
use crate::stripe::Token;
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

/// The end of the last entry of a live stripe's ledger that stands for this.
fn end_of(alone: &Scripted, stripe: u64, token: Token) -> u64 {
    let ledger = alone.end.session.stripes.get(StripeId(stripe)).unwrap().ledger();
    ledger.iter().filter(|entry| entry.token == token).last().expect("an entry").end
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn pattern(len: usize) -> Bytes {
    Pattern(0).bytes(0, len)
}
