//! Receive buffers, used again: a fresh one costs a page fault for each of its pages, an eighth of
//! all time on fast routes.

use bytes::Bytes;
use std::cell::{Cell, RefCell};

/// The size of a buffer in bytes: how much is received at once. Larger costs memory for every chunk
/// that waits, smaller costs system calls.
pub const SIZE: usize = 256 << 10;

/// Chunks up to this size are copied out of their buffer, so that a chunk never keeps more than
/// eight times its own size alive. Above it, copying would cost more than the memory is worth.
pub const COPIED: usize = SIZE / 8;

/// How many buffers a thread keeps for the next receive.
const SPARE: usize = 16;

thread_local! {
    /// The buffers of all pipes of a thread, so that idle pipes have none.
    static BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    /// How many are kept by chunks.
    static SHARED: Cell<u64> = const { Cell::new(0) };
}

/// The filled part of a buffer, which is used again when the last chunk that refers to it is
/// dropped.
struct Shared {
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
        let _ = SHARED.try_with(|shared| shared.set(shared.get() - 1));
        give_back(std::mem::take(&mut self.buffer));
    }
}

/// A buffer of [`SIZE`] bytes, with whatever was in it.
pub fn take() -> Vec<u8> {
    BUFFERS.with_borrow_mut(Vec::pop).unwrap_or_else(|| vec![0; SIZE])
}

/// Nothing of the buffer is needed any more.
pub fn give_back(buffer: Vec<u8>) {
    // While a thread ends there is nowhere to put it.
    let _ = BUFFERS.try_with(|buffers| {
        let mut buffers = buffers.borrow_mut();
        if buffers.len() < SPARE {
            buffers.push(buffer);
        }
    });
}

/// The first `len` bytes of a buffer, which comes back by itself.
pub fn share(buffer: Vec<u8>, len: usize) -> Bytes {
    if len > COPIED {
        SHARED.set(SHARED.get() + 1);
        return Bytes::from_owner(Shared { buffer, len });
    }
    let copy = Bytes::copy_from_slice(&buffer[..len]);
    give_back(buffer);
    copy
}

/// How much memory the buffers take that chunks of this thread keep, in bytes.
pub fn pinned() -> u64 {
    SHARED.get() * SIZE as u64
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
        drop(part);
        assert_eq!(pinned(), before);
        let small = share(take(), COPIED);
        assert_eq!((pinned(), small.len()), (before, COPIED));
    }
}
