//! Work that is done on several threads, with results in order.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

pub fn all_cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// `done` gets the results in their order, each as soon as those before it are there.
pub fn in_order<T: Send>(
    count: u64,
    threads: usize,
    work: impl Fn(u64) -> T + Sync,
    done: impl FnMut(T) + Send,
) {
    let next = AtomicU64::new(0);
    let state = Mutex::new((0, BTreeMap::new(), done));
    let run = || {
        loop {
            let nth = next.fetch_add(1, Ordering::Relaxed);
            if nth >= count {
                return;
            }
            let result = work(nth);
            let (expected, waiting, done) = &mut *state.lock().expect("no thread panics");
            waiting.insert(nth, result);
            while let Some(result) = waiting.remove(expected) {
                *expected += 1;
                done(result);
            }
        }
    };
    let threads = count.min(threads as u64);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(run))));
}

pub fn each<T: Send>(count: usize, threads: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let mut all = Vec::new();
    in_order(count as u64, threads, |nth| work(nth as usize), |result| all.push(result));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_however_fast_each_is() {
        let work = |nth: usize| {
            if nth.is_multiple_of(7) {
                std::thread::yield_now();
            }
            nth * 2
        };
        assert_eq!(each(1_000, 4, work), (0..1_000).map(|nth| nth * 2).collect::<Vec<_>>());
        assert_eq!(each(0, 4, work), []);
    }
}
