//! The pump's next work: pipes that are ready, are worth another try, have something to be written,
//! or whose time has come.
//!
//! Each pipe and each dial has a token, of one series for all kinds. A released token is given out
//! again, so an entry may outlive its meaning; whoever takes it up finds nothing to do.

use super::ready::{ReadyList, Token};
use crate::ports::clock::Timer;
use slab::Slab;
use std::collections::{BTreeSet, VecDeque};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use striper_core::Instant;

/// How long turns go on before the executor looks for ready sockets, and about how long one chunk
/// may take. A peer's bytes may be much work, and other sessions wait meanwhile.
pub(super) const SLICE: Duration = Duration::from_millis(1);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Stripe,
    Flow,
    Dial,
}

pub(crate) struct Agenda {
    kinds: Slab<Kind>,
    ready: ReadyList,
    /// To be tried in this turn. The rest of a turn that took too long comes first in the next.
    work: VecDeque<Token>,
    /// To be tried in the next turn without having been woken.
    again: Vec<Token>,
    unwritten: VecDeque<Token>,
    times: BTreeSet<(Instant, Token)>,
    timer: Box<dyn Timer>,
    slice_end: Instant,
}

impl Agenda {
    pub(crate) fn new(timer: Box<dyn Timer>) -> Self {
        Agenda {
            kinds: Slab::new(),
            ready: ReadyList::default(),
            work: VecDeque::new(),
            again: Vec::new(),
            unwritten: VecDeque::new(),
            times: BTreeSet::new(),
            timer,
            slice_end: Instant::ZERO,
        }
    }

    /// A token, and the waker that has it tried in the next turn.
    pub(crate) fn register(&mut self, kind: Kind) -> (Token, Waker) {
        let token = Token(self.kinds.insert(kind));
        (token, self.ready.waker(token))
    }

    pub(crate) fn release(&mut self, token: Token) {
        self.kinds.remove(token.0);
    }

    pub(crate) fn kind(&self, token: Token) -> Option<Kind> {
        self.kinds.get(token.0).copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.kinds.len()
    }

    pub(crate) fn wake_from_now_on(&self, pump: &Waker) {
        self.ready.register(pump);
    }

    /// Wakes the pump for another reason than a pipe.
    pub(crate) fn wake(&self) {
        self.ready.wake();
    }

    /// Tries this one in the next turn.
    pub(crate) fn again(&mut self, token: Token) {
        self.again.push(token);
    }

    pub(crate) fn has_again(&self) -> bool {
        !self.again.is_empty()
    }

    pub(crate) fn unwritten(&mut self, token: Token) {
        self.unwritten.push_back(token);
    }

    pub(crate) fn next_unwritten(&mut self) -> Option<Token> {
        self.unwritten.pop_front()
    }

    /// Tries this one at that time.
    pub(crate) fn at(&mut self, time: Instant, token: Token) {
        self.times.insert((time, token));
    }

    pub(crate) fn next_time(&self) -> Option<Instant> {
        self.times.first().map(|(time, _)| *time)
    }

    pub(crate) fn next_due(&mut self, now: Instant) -> Option<Token> {
        self.next_time().filter(|time| *time <= now)?;
        self.times.pop_first().map(|(_, token)| token)
    }

    /// Begins a turn: collects what is to be tried in it. Says whether that is anything.
    pub(crate) fn gather(&mut self) -> bool {
        self.work.extend(self.again.drain(..));
        self.ready.take(&mut self.work);
        !self.work.is_empty()
    }

    pub(crate) fn next(&mut self) -> Option<Token> {
        self.work.pop_front()
    }

    pub(crate) fn begin_slice(&mut self, now: Instant) {
        self.slice_end = now + SLICE;
    }

    pub(crate) fn is_slice_over(&self, now: Instant) -> bool {
        now >= self.slice_end
    }

    /// Ready at that time. The last call counts.
    pub(crate) fn poll_until(&mut self, cx: &mut Context<'_>, time: Instant) -> Poll<()> {
        self.timer.poll_until(cx, time)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Never;
    use super::*;

    fn agenda() -> Agenda {
        Agenda::new(Box::new(Never))
    }

    fn at(millis: u64) -> Instant {
        Instant::from_micros(millis * 1000)
    }

    fn rest_of(agenda: &mut Agenda) -> Vec<Token> {
        std::iter::from_fn(|| agenda.next()).collect()
    }

    #[test]
    fn the_rest_of_a_turn_goes_before_retries_and_ready_pipes() {
        let mut agenda = agenda();
        let [left, again, woken] = [Kind::Stripe, Kind::Flow, Kind::Dial].map(|kind| {
            let (token, waker) = agenda.register(kind);
            waker.wake();
            token
        });
        assert!(agenda.gather());
        assert_eq!(rest_of(&mut agenda), [left, again, woken]);
        let (late, waker) = agenda.register(Kind::Flow);
        agenda.again(left);
        agenda.gather();
        waker.wake();
        agenda.again(again);
        assert!(agenda.has_again());
        agenda.gather();
        assert_eq!(rest_of(&mut agenda), [left, again, late]);
        assert!(!agenda.has_again() && !agenda.gather());
    }

    #[test]
    fn times_come_in_order_and_each_once() {
        let mut agenda = agenda();
        let [one, two] = [Kind::Flow; 2].map(|kind| agenda.register(kind).0);
        agenda.at(at(7), one);
        agenda.at(at(5), two);
        agenda.at(at(5), one);
        assert_eq!(agenda.next_time(), Some(at(5)));
        assert_eq!(agenda.next_due(at(4)), None);
        assert_eq!([(); 3].map(|()| agenda.next_due(at(6))), [Some(one), Some(two), None]);
        assert_eq!(agenda.next_due(at(7)), Some(one));
    }

    #[test]
    fn a_released_token_stands_for_what_has_it_next() {
        let mut agenda = agenda();
        let (flow, _) = agenda.register(Kind::Flow);
        agenda.release(flow);
        assert_eq!((agenda.kind(flow), agenda.len()), (None, 0));
        assert_eq!(agenda.register(Kind::Dial).0, flow);
        assert_eq!(agenda.kind(flow), Some(Kind::Dial));
    }
}
