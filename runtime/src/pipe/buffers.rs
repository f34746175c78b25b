//! Receive buffers, used again: page faults of fresh ones are an eighth of all time on fast routes.

use bytes::Bytes;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The size of a buffer in bytes: how much is received at once. Larger costs memory for every chunk
/// that waits, smaller costs system calls.
pub(crate) const SIZE: usize = 256 << 10;

/// Chunks up to this size are copied out of their buffer, so that a chunk never keeps more than
/// eight times its own size alive. Above it, copying would cost more than the memory is worth.
pub(crate) const COPIED: usize = SIZE / 8;

/// How many buffers a thread keeps for the next receive.
const SPARE: usize = 16;

#[derive(Default)]
struct Pool {
    spare: Mutex<Vec<Vec<u8>>>,
    /// How many are kept by chunks.
    shared: AtomicU64,
}

thread_local! {
    /// The buffers of all pipes of a thread, so that idle pipes have none.
    static POOL: Arc<Pool> = Arc::default();
}

impl Pool {
    /// No invariant spans a panic, so a poisoned lock is as good as another.
    fn spare(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_back(&self, buffer: Vec<u8>) {
        let mut spare = self.spare();
        if spare.len() < SPARE {
            spare.push(buffer);
        }
    }
}

/// The filled part of a buffer. When the last chunk that refers to it is dropped, on whatever
/// thread, the thread that received it uses it again.
struct Shared {
    pool: Arc<Pool>,
    buffer: Vec<u8>,
    len: usize,
}

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.len]
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.pool.shared.fetch_sub(1, Ordering::Relaxed);
        self.pool.give_back(std::mem::take(&mut self.buffer));
    }
}

/// A buffer of [`SIZE`] bytes, with the bytes that were in it before.
pub(crate) fn take() -> Vec<u8> {
    POOL.with(|pool| pool.spare().pop()).unwrap_or_else(|| vec![0; SIZE])
}

/// Nothing of the buffer is needed any more.
pub(crate) fn give_back(buffer: Vec<u8>) {
    POOL.with(|pool| pool.give_back(buffer));
}

/// The first `len` bytes of a buffer, which comes back by itself.
pub(crate) fn share(buffer: Vec<u8>, len: usize) -> Bytes {
    if len > COPIED {
        let pool = POOL.with(Arc::clone);
        pool.shared.fetch_add(1, Ordering::Relaxed);
        return Bytes::from_owner(Shared { pool, buffer, len });
    }
    let copy = Bytes::copy_from_slice(&buffer[..len]);
    give_back(buffer);
    copy
}

/// How much memory the buffers take that chunks received on this thread keep, in bytes.
pub(crate) fn pinned() -> u64 {
    POOL.with(|pool| pool.shared.load(Ordering::Relaxed)) * SIZE as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_pinned_until_the_last_part_of_its_chunk_is_dropped() {
        let before = pinned();
        let mut chunk = share(take(), SIZE);
        let part = chunk.split_off(SIZE - 1);
        drop(chunk);
        assert_eq!((pinned() - before, part.len()), (SIZE as u64, 1));
        std::thread::spawn(|| drop(part)).join().unwrap();
        assert_eq!(pinned(), before);
        let small = share(take(), COPIED);
        assert_eq!((pinned(), small.len()), (before, COPIED));
    }
}
