//! The end of a pump, when it comes, and those who wait for that or for a first stripe.

use crate::handover::Sender;
use crate::report::{Cut, OpenError};
use striper_core::{EndReason, Instant};

/// How far a pump is on its way to its end.
#[derive(Default)]
pub(super) struct Life {
    pub(super) ended: Option<EndReason>,
    /// When a shutdown stops to wait for flows.
    stop_at: Option<Instant>,
    /// The session is to end once it carries nothing.
    retiring: bool,
    /// It waits for them no more.
    impatient: bool,
    /// The session is to end, because the key of the other side is no longer accepted.
    pub(super) revoked: bool,
    ready_waiters: Vec<Sender<Result<(), OpenError>>>,
    pub(super) over: bool,
    over_waiters: Vec<Sender<()>>,
}

impl Life {
    /// Hears when there is a stripe; at once if one `is_up`.
    pub(super) fn notify_ready(&mut self, waiter: Sender<Result<(), OpenError>>, is_up: bool) {
        match is_up {
            _ if self.ended.is_some() => waiter.send(Err(OpenError::ShuttingDown)),
            true => waiter.send(Ok(())),
            false => self.ready_waiters.push(waiter),
        }
    }

    /// There is a stripe, or never will be: those who wait for one hear that.
    pub(super) fn tell_waiters(&mut self, news: &Result<(), OpenError>) {
        for waiter in self.ready_waiters.drain(..) {
            waiter.send(news.clone());
        }
    }

    /// The session has ended, and there will be no other one.
    pub(super) fn end(&mut self, reason: EndReason) {
        self.ended = Some(reason);
        self.tell_waiters(&Err(OpenError::ShuttingDown));
    }

    /// Why a session with this end resets its flows; the server may have `forgotten` it.
    pub(super) fn cut(&self, reason: EndReason, forgotten: bool) -> Cut {
        match reason {
            EndReason::Aborted if self.revoked => Cut::Revoked,
            EndReason::Aborted if forgotten => Cut::Forgotten,
            EndReason::Aborted if self.stop_at.is_some() => Cut::Stopped,
            reason => Cut::Ended(reason),
        }
    }

    /// Flows may go on until `stop_at`. `waiter` is dropped when all is over.
    pub(super) fn shut_down(&mut self, stop_at: Instant, waiter: Sender<()>) {
        self.over_waiters.push(waiter);
        (self.stop_at, self.impatient) = (Some(stop_at), false);
    }

    /// The session may go on until it carries nothing. `waiter` is dropped when all is over.
    pub(super) fn retire(&mut self, waiter: Sender<()>) {
        self.over_waiters.push(waiter);
        self.retiring = true;
    }

    /// Whether the session is to end once it carries nothing, and has not ended.
    pub(super) fn is_retiring(&self) -> bool {
        self.retiring && self.ended.is_none()
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stop_at.is_some()
    }

    pub(super) fn stops_at(&self) -> Option<Instant> {
        self.stop_at.filter(|_| !self.impatient)
    }

    /// Says once whether the time for flows is over.
    pub(super) fn loses_patience(&mut self, now: Instant) -> bool {
        let late = self.stops_at().is_some_and(|at| at <= now);
        self.impatient |= late;
        late
    }

    /// Whether the last session has ended and left nothing. Then those who wait for that hear it.
    pub(super) fn finish_if(&mut self, nothing_is_left: bool) -> bool {
        if self.ended.is_some() && nothing_is_left {
            self.over = true;
            self.over_waiters.clear();
        }
        self.over
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handover::oneshot;

    #[test]
    fn waiters_for_a_stripe_hear_of_it_or_of_the_end_of_all_sessions() {
        let mut life = Life::default();
        let wait = |life: &mut Life, is_up| {
            let (waiter, mut heard) = oneshot();
            life.notify_ready(waiter, is_up);
            move || heard.try_take()
        };
        assert_eq!(wait(&mut life, true)(), Some(Ok(())));
        let mut waiting = wait(&mut life, false);
        assert_eq!(waiting(), None);
        life.tell_waiters(&Ok(()));
        assert_eq!(waiting(), Some(Ok(())));
        let mut waiting = wait(&mut life, false);
        life.end(EndReason::Aborted);
        assert_eq!(waiting(), Some(Err(OpenError::ShuttingDown)));
        assert_eq!(wait(&mut life, true)(), Some(Err(OpenError::ShuttingDown)));
    }

    #[test]
    fn flows_hear_what_ended_their_session() {
        let mut life = Life::default();
        let aborted = |life: &Life, forgotten| life.cut(EndReason::Aborted, forgotten);
        assert_eq!(aborted(&life, false), Cut::Ended(EndReason::Aborted));
        life.shut_down(Instant::ZERO, oneshot().0);
        assert_eq!((aborted(&life, false), aborted(&life, true)), (Cut::Stopped, Cut::Forgotten));
        life.revoked = true;
        assert_eq!(aborted(&life, true), Cut::Revoked);
        let other = EndReason::NoStripe;
        assert_eq!(life.cut(other, true), Cut::Ended(other), "that came first");
        life.revoked = false;
        assert_eq!(aborted(&life, false), Cut::Stopped);
    }

    #[test]
    fn a_shutdown_waits_for_flows_for_its_time_and_for_the_end_of_the_session() {
        let mut life = Life::default();
        let (waiter, over) = oneshot();
        assert!(!life.finish_if(true), "the session goes on");
        life.shut_down(Instant::from_micros(7), waiter);
        assert_eq!(life.stops_at(), Some(Instant::from_micros(7)));
        assert!(!life.loses_patience(Instant::from_micros(6)));
        assert!(life.loses_patience(Instant::from_micros(7)));
        assert!(!life.loses_patience(Instant::from_micros(8)), "once");
        assert_eq!((life.stops_at(), life.is_stopping()), (None, true));
        life.end(EndReason::Aborted);
        assert!(!life.finish_if(false) && !life.over);
        assert!(life.finish_if(true) && life.over);
        assert_eq!(smol::block_on(over), None);
    }
}
