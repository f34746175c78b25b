//! The tasks of one simulated process, stepped one at a time in an order that the caller draws.
//!
//! Nothing runs but in [`Executor::step`]. A process that is not stepped stands still, and a
//! process that is dropped is gone with all that its tasks held.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};
use striper_runtime::local::Spawn;

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// A task, unless it is being polled, and its waker.
type Place = (Option<Task>, Arc<TaskWaker>);

#[derive(Clone, Default)]
pub struct Executor(Rc<Inner>);

#[derive(Default)]
struct Inner {
    tasks: RefCell<BTreeMap<u64, Place>>,
    next: Cell<u64>,
    ready: Arc<Mutex<Vec<u64>>>,
}

struct TaskWaker {
    number: u64,
    ready: Arc<Mutex<Vec<u64>>>,
    listed: AtomicBool,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.listed.swap(true, Ordering::Relaxed) {
            self.ready.lock().unwrap_or_else(PoisonError::into_inner).push(self.number);
        }
    }
}

impl Inner {
    fn spawn(&self, task: Task) {
        let number = self.next.get() + 1;
        self.next.set(number);
        let (ready, listed) = (self.ready.clone(), AtomicBool::new(false));
        let waker = Arc::new(TaskWaker { number, ready, listed });
        waker.wake_by_ref();
        self.tasks.borrow_mut().insert(number, (Some(task), waker));
    }
}

impl Executor {
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.0.spawn(Box::pin(task));
    }

    pub fn spawner(&self) -> Spawn {
        let inner: Weak<Inner> = Rc::downgrade(&self.0);
        Rc::new(move |task| {
            if let Some(inner) = inner.upgrade() {
                inner.spawn(task);
            }
        })
    }

    pub fn tasks(&self) -> usize {
        self.0.tasks.borrow().len()
    }

    pub fn ready(&self) -> usize {
        self.lock().len()
    }

    pub fn wake_all(&self) {
        for (_, waker) in self.0.tasks.borrow().values() {
            waker.wake_by_ref();
        }
    }

    /// Wakes one task for no reason; `draw` gives a number below its argument.
    pub fn wake_one(&self, draw: impl FnOnce(usize) -> usize) {
        let tasks = self.0.tasks.borrow();
        if !tasks.is_empty()
            && let Some((_, waker)) = tasks.values().nth(draw(tasks.len()))
        {
            waker.wake_by_ref();
        }
    }

    /// Polls one of the ready tasks, and returns its number.
    pub fn step(&self, draw: impl FnOnce(usize) -> usize) -> Option<u64> {
        let number = {
            let mut ready = self.lock();
            if ready.is_empty() {
                return None;
            }
            let index = draw(ready.len());
            ready.remove(index)
        };
        let (mut task, waker) = {
            let mut tasks = self.0.tasks.borrow_mut();
            // A task that has ended may still be woken.
            let Some((task, waker)) = tasks.get_mut(&number) else { return Some(number) };
            waker.listed.store(false, Ordering::Relaxed);
            let Some(task) = task.take() else { return Some(number) };
            (task, waker.clone())
        };
        let waker = Waker::from(waker);
        if task.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            let ended = self.0.tasks.borrow_mut().remove(&number);
            drop(ended);
        } else if let Some((place, _)) = self.0.tasks.borrow_mut().get_mut(&number) {
            *place = Some(task);
        }
        Some(number)
    }

    pub fn kill(&self) {
        loop {
            let tasks = self.0.tasks.take();
            if tasks.is_empty() {
                break;
            }
            drop(tasks);
        }
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<u64>> {
        self.0.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::task::Poll;

    #[test]
    fn tasks_run_in_the_order_that_is_drawn_and_only_when_stepped() {
        let executor = Executor::default();
        let order = Rc::new(RefCell::new(Vec::new()));
        for number in 0..3 {
            let order = order.clone();
            executor.spawn(async move { order.borrow_mut().push(number) });
        }
        assert_eq!((executor.tasks(), order.borrow().len()), (3, 0));
        while executor.step(|count| count - 1).is_some() {}
        assert_eq!(*order.borrow(), [2, 1, 0]);
        assert_eq!(executor.tasks(), 0);
    }

    #[test]
    fn a_killed_process_drops_the_values_of_its_tasks() {
        let executor = Executor::default();
        let held = Rc::new(Cell::new(0));
        let inside = held.clone();
        executor.spawn(poll_fn(move |_| {
            inside.set(inside.get() + 1);
            Poll::Pending
        }));
        executor.step(|_| 0);
        assert_eq!((held.get(), Rc::strong_count(&held), executor.ready()), (1, 2, 0));
        executor.kill();
        assert_eq!(Rc::strong_count(&held), 1);
    }
}
