//! The list of pipes that are worth a try.
//!
//! Each pipe has a waker of its own, which notes the pipe's token and wakes the pump once, however
//! many follow. So a wake costs what is ready and not what is there.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

/// A pipe or a dial, among all that the pump has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Token(pub usize);

#[derive(Debug, Default)]
pub(super) struct ReadyList(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    woken: Vec<Arc<Mark>>,
    pump: Option<Waker>,
}

#[derive(Debug)]
struct Mark {
    token: Token,
    listed: AtomicBool,
    list: Arc<Mutex<Inner>>,
}

impl ReadyList {
    /// A waker that puts `token` on the list.
    pub(super) fn waker(&self, token: Token) -> Waker {
        let listed = AtomicBool::new(false);
        Waker::from(Arc::new(Mark { token, listed, list: self.0.clone() }))
    }

    /// Sets the waker for new entries of the list and for [`ReadyList::wake`].
    pub(super) fn register(&self, pump: &Waker) {
        let mut inner = lock(&self.0);
        if !inner.pump.as_ref().is_some_and(|known| known.will_wake(pump)) {
            inner.pump = Some(pump.clone());
        }
    }

    pub(super) fn wake(&self) {
        let pump = lock(&self.0).pump.clone();
        if let Some(pump) = pump {
            pump.wake();
        }
    }

    /// Moves the list to the end of `tokens`, each pipe once.
    pub(super) fn take(&self, tokens: &mut impl Extend<Token>) {
        let mut inner = lock(&self.0);
        tokens.extend(inner.woken.drain(..).map(|mark| {
            // From here on a wake counts again: the pipe is tried only after this.
            mark.listed.store(false, Ordering::Release);
            mark.token
        }));
    }
}

/// Nothing in here panics while it holds the lock.
fn lock(list: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Wake for Mark {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.listed.swap(true, Ordering::AcqRel) {
            return;
        }
        let pump = {
            let mut inner = lock(&self.list);
            inner.woken.push(self.clone());
            if inner.woken.len() == 1 { inner.pump.clone() } else { None }
        };
        if let Some(pump) = pump {
            pump.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn many_wakes_wake_the_pump_once_and_list_each_pipe_once() {
        let count = Arc::new(Count::default());
        let list = ReadyList::default();
        list.register(&Waker::from(count.clone()));
        let (one, two) = (list.waker(Token(1)), list.waker(Token(2)));
        one.wake_by_ref();
        two.wake_by_ref();
        one.wake_by_ref();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        let mut tokens = Vec::new();
        list.take(&mut tokens);
        assert_eq!(tokens, [1, 2].map(Token));
        two.wake_by_ref();
        assert_eq!(count.0.load(Ordering::Relaxed), 2);
        list.take(&mut tokens);
        assert_eq!(tokens, [1, 2, 2].map(Token));
    }

    #[test]
    fn a_wake_from_another_thread_is_seen() {
        let list = ReadyList::default();
        let waker = list.waker(Token(7));
        std::thread::spawn(move || waker.wake()).join().unwrap();
        let mut tokens = Vec::new();
        list.take(&mut tokens);
        assert_eq!(tokens, [Token(7)]);
    }
}
