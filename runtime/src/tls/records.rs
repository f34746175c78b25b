//! Bytes on their way through TLS: ciphertext that has come in, its plaintext, ciphertext to send.

use crate::pipe::buffers;
use bytes::Bytes;
use std::collections::VecDeque;

/// The bytes of a record beside its payload: header, type and tag (RFC 8446, section 5.2).
pub(super) const OVERHEAD: usize = 22;

/// The most payload of a record in bytes (RFC 8446, section 5.1).
pub(super) const MAX_RECORD: usize = 16 << 10;

/// Ciphertext that is not done with: between calls less than a record, and little memory.
#[derive(Default)]
pub(super) struct Incoming {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Incoming {
    pub(super) fn append(&mut self, chunk: &[u8]) {
        let len = self.end - self.start;
        if len + chunk.len() > self.buffer.len() || self.start > 0 {
            let needed = len + chunk.len();
            let buffer = grown(&self.buffer[self.start..self.end], needed);
            replace(&mut self.buffer, buffer);
            (self.start, self.end) = (0, len);
        }
        self.buffer[self.end..self.end + chunk.len()].copy_from_slice(chunk);
        self.end += chunk.len();
    }

    pub(super) fn rest(&mut self) -> &mut [u8] {
        &mut self.buffer[self.start..self.end]
    }

    pub(super) fn discard(&mut self, count: usize) {
        self.start += count;
    }

    pub(super) fn memory(&self) -> usize {
        self.buffer.len()
    }

    pub(super) fn shrink(&mut self) {
        let rest = self.rest().to_vec();
        (self.start, self.end) = (0, rest.len());
        replace(&mut self.buffer, rest);
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        replace(&mut self.buffer, Vec::new());
    }
}

/// Plaintext in the making.
#[derive(Default)]
pub(super) struct Plain {
    chunks: Vec<Bytes>,
    buffer: Option<Vec<u8>>,
    len: usize,
}

impl Plain {
    pub(super) fn append(&mut self, payload: &[u8]) {
        if self.len + payload.len() > buffers::SIZE {
            self.close();
        }
        let buffer = self.buffer.get_or_insert_with(buffers::take);
        buffer[self.len..self.len + payload.len()].copy_from_slice(payload);
        self.len += payload.len();
    }

    fn close(&mut self) {
        if let Some(buffer) = self.buffer.take() {
            let chunk = buffers::share(buffer, std::mem::take(&mut self.len));
            if !chunk.is_empty() {
                self.chunks.push(chunk);
            }
        }
    }

    pub(super) fn finish(mut self) -> Vec<Bytes> {
        self.close();
        self.chunks
    }
}

/// Ciphertext to be sent, and how much plaintext each record stands for.
#[derive(Default)]
pub(super) struct Outgoing {
    /// One of those that are used again, unless it has to wait.
    buffer: Vec<u8>,
    /// How much of it is in use.
    len: usize,
    /// How much of that has been sent.
    sent: usize,
    /// For each record of data that has not been sent whole: where it ends, and its payload.
    records: VecDeque<(usize, usize)>,
    /// Payload of all these.
    held: usize,
}

impl Outgoing {
    pub(super) fn held(&self) -> usize {
        self.held
    }

    pub(super) fn memory(&self) -> usize {
        self.buffer.len()
    }

    pub(super) fn rest(&self) -> &[u8] {
        &self.buffer[self.sent..self.len]
    }

    /// Whether a whole record fits in beside what is there, at no cost.
    pub(super) fn has_room(&self) -> bool {
        self.len + MAX_RECORD + OVERHEAD <= buffers::SIZE
    }

    /// So many bytes of [`Outgoing::rest`] have been sent.
    pub(super) fn sent(&mut self, count: usize) {
        self.sent += count;
        while let Some((end, payload)) = self.records.front().copied()
            && end <= self.sent
        {
            self.records.pop_front();
            self.held -= payload;
        }
        if self.sent == self.len {
            self.clear();
        }
    }

    /// The rest has to wait: it is to cost no more memory than it needs.
    pub(super) fn wait(&mut self) {
        if self.buffer.len() == buffers::SIZE {
            let rest = self.rest().to_vec();
            self.records.iter_mut().for_each(|(end, _)| *end -= self.sent);
            (self.sent, self.len) = (0, rest.len());
            replace(&mut self.buffer, rest);
        }
    }

    /// Appends bytes that need no encryption, for whom does not speak TLS.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.make_room(bytes.len());
        self.buffer[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    pub(super) fn clear(&mut self) {
        replace(&mut self.buffer, Vec::new());
        self.records.clear();
        (self.len, self.sent, self.held) = (0, 0, 0);
    }

    /// Appends what `fill` writes into room for `size` bytes; it says how much that was.
    pub(super) fn fill<E>(
        &mut self,
        size: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<(), E> {
        self.make_room(size);
        self.len += fill(&mut self.buffer[self.len..self.len + size])?;
        Ok(())
    }

    /// The bytes that were appended last end a record with so many bytes of data.
    pub(super) fn record(&mut self, payload: usize) {
        if payload > 0 {
            self.records.push_back((self.len, payload));
            self.held += payload;
        }
    }

    fn make_room(&mut self, size: usize) {
        let needed = self.len + size;
        if needed > self.buffer.len() {
            let buffer = grown(&self.buffer[..self.len], needed);
            replace(&mut self.buffer, buffer);
        }
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        replace(&mut self.buffer, Vec::new());
    }
}

/// A buffer with room for `needed` bytes that begins with `rest`.
fn grown(rest: &[u8], needed: usize) -> Vec<u8> {
    let mut buffer = if needed <= buffers::SIZE { buffers::take() } else { vec![0; needed] };
    buffer[..rest.len()].copy_from_slice(rest);
    buffer
}

/// Puts a buffer in the place of another one, which is used again if it is one of those.
fn replace(buffer: &mut Vec<u8>, new: Vec<u8>) {
    let old = std::mem::replace(buffer, new);
    if old.len() == buffers::SIZE {
        buffers::give_back(old);
    }
}
