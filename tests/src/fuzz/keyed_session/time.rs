//! Time that passes only when it is told to.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use striper_core::Instant;
use striper_runtime::clock::{Clock, Timer};

#[derive(Clone)]
pub struct Virtual(Rc<State>);

struct State {
    now: Cell<Instant>,
    timers: Cell<usize>,
    armed: RefCell<BTreeMap<usize, (Instant, Waker)>>,
}

impl Virtual {
    pub fn new() -> Self {
        let now = Cell::new(Instant::from_micros(1));
        Virtual(Rc::new(State { now, timers: Cell::default(), armed: RefCell::default() }))
    }

    /// Moves on to the next alarm, if there is one until then, and else to then. Whether there was
    /// one.
    pub fn advance(&self, until: Instant) -> bool {
        let first = self.0.armed.borrow().iter().map(|(number, (at, _))| (*at, *number)).min();
        let Some((at, number)) = first.filter(|(at, _)| *at <= until) else {
            self.0.now.set(until);
            return false;
        };
        self.0.now.set(at.max(self.0.now.get()));
        let armed = self.0.armed.borrow_mut().remove(&number);
        armed.into_iter().for_each(|(_, waker)| waker.wake());
        true
    }
}

impl Clock for Virtual {
    fn now(&self) -> Instant {
        self.0.now.get()
    }

    fn timer(&self) -> Box<dyn Timer> {
        let number = self.0.timers.get();
        self.0.timers.set(number + 1);
        Box::new(Alarm { time: self.clone(), number })
    }
}

struct Alarm {
    time: Virtual,
    number: usize,
}

impl Timer for Alarm {
    fn poll_until(&mut self, cx: &mut Context<'_>, at: Instant) -> Poll<()> {
        let mut armed = self.time.0.armed.borrow_mut();
        if self.time.now() >= at {
            armed.remove(&self.number);
            return Poll::Ready(());
        }
        armed.insert(self.number, (at, cx.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let armed = self.time.0.armed.borrow_mut().remove(&self.number);
        drop(armed);
    }
}
