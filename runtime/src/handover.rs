//! Hand-overs between tasks: a value for one waiter on any thread, and a queue within a thread.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

struct Slot<T> {
    value: Option<T>,
    sender_gone: bool,
    waker: Option<Waker>,
}

/// Gives one value.
pub(crate) struct Sender<T>(Arc<Mutex<Slot<T>>>);

/// Waits for the value; `None` if there will be none.
pub(crate) struct Receiver<T>(Arc<Mutex<Slot<T>>>);

pub(crate) fn oneshot<T>() -> (Sender<T>, Receiver<T>) {
    let slot = Arc::new(Mutex::new(Slot { value: None, sender_gone: false, waker: None }));
    (Sender(slot.clone()), Receiver(slot))
}

fn lock<T>(slot: &Mutex<Slot<T>>) -> MutexGuard<'_, Slot<T>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T> Sender<T> {
    pub(crate) fn send(self, value: T) {
        lock(&self.0).value = Some(value);
    }

    /// Whether somebody may still take the value.
    pub(crate) fn is_awaited(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let waker = {
            let mut slot = lock(&self.0);
            slot.sender_gone = true;
            slot.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Receiver<T> {
    pub(crate) fn try_take(&mut self) -> Option<T> {
        lock(&self.0).value.take()
    }
}

impl<T> Future for Receiver<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut slot = lock(&self.0);
        if slot.value.is_some() || slot.sender_gone {
            return Poll::Ready(slot.value.take());
        }
        slot.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// A queue that many tasks of one thread may wait for. The caller bounds it.
pub(crate) struct Queue<T> {
    items: RefCell<VecDeque<T>>,
    waiting: RefCell<Vec<Waker>>,
}

impl<T> Queue<T> {
    pub(crate) fn new() -> Self {
        Queue { items: RefCell::new(VecDeque::new()), waiting: RefCell::new(Vec::new()) }
    }

    pub(crate) fn push(&self, item: T) {
        self.items.borrow_mut().push_back(item);
        for waker in self.waiting.take() {
            waker.wake();
        }
    }

    pub(crate) fn take(&self) -> VecDeque<T> {
        self.items.take()
    }

    pub(crate) fn poll_pop(&self, cx: &mut Context<'_>) -> Poll<T> {
        match self.items.borrow_mut().pop_front() {
            Some(item) => Poll::Ready(item),
            None => {
                let mut waiting = self.waiting.borrow_mut();
                if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                    waiting.push(cx.waker().clone());
                }
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_sender_ends_the_wait() {
        let (sender, receiver) = oneshot::<u8>();
        drop(sender);
        assert_eq!(smol::block_on(receiver), None);
        let (sender, receiver) = oneshot();
        sender.send(7);
        assert_eq!(smol::block_on(receiver), Some(7));
    }
}
