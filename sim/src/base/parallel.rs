//! Work that is done on several threads.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// As many threads as there are cores.
pub fn all_cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Does `count` things, some at a time; the answers are in their order.
pub fn each<T: Send>(count: usize, threads: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.min(count) {
            scope.spawn(|| {
                loop {
                    let nth = next.fetch_add(1, Ordering::Relaxed);
                    if nth >= count {
                        break;
                    }
                    let answer = work(nth);
                    done.lock().expect("no thread panics while it is held").push((nth, answer));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("no thread panics while it is held");
    done.sort_unstable_by_key(|(nth, _)| *nth);
    done.into_iter().map(|(_, answer)| answer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_in_order_whoever_was_faster() {
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
