//! The sending half of a flow.
//!
//! ```text
//!   Open ──finish──▶ Finishing ──FIN sent──▶ FinSent ──all acknowledged──▶ done
//!     │                  ▲───────lost───────────┘
//!     ├──local reset──▶ Ending (what was handed over is still delivered) ──all acknowledged──▶ done
//!     └──peer's RESET or REFUSE──▶ Stopped, done
//! ```

use crate::config::FLOW_FLOOR;
use crate::flow::send_buffer::SendBuffer;
use bytes::Bytes;
use core::ops::Range;

/// How much may wait unsent in a flow; it takes more once less than half of that waits. Enough to keep fast stripes
/// busy between two visits of the local socket, small beside the memory limit.
const MAX_UNSENT: u64 = 1 << 20;

/// Where the half stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SendState {
    Open,
    Finishing,
    FinSent,
    FinDone,
    Ending,
    Stopped,
}

/// The sending half of a flow.
#[derive(Clone, Debug)]
pub(crate) struct Send {
    pub buffer: SendBuffer,
    pub state: SendState,
    /// The peer's credit, as an offset.
    pub limit: u64,
    /// The local side has been told to wait.
    pub starved: bool,
}

/// A piece of a flow to be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Chunk {
    pub offset: u64,
    pub data: Bytes,
    pub fin: bool,
}

impl Send {
    pub fn new(limit: u64) -> Self {
        Send { buffer: SendBuffer::default(), state: SendState::Open, limit, starved: false }
    }

    /// How much the local side may hand over, with `pool` bytes left for all flows.
    pub fn room(&self, pool: u64) -> u64 {
        if self.state != SendState::Open {
            return 0;
        }
        let unsent = self.buffer.unsent();
        let queue = if unsent >= MAX_UNSENT / 2 { 0 } else { MAX_UNSENT - unsent };
        let held = self.buffer.held();
        let memory = FLOW_FLOOR.saturating_sub(held).saturating_add(pool);
        self.limit.saturating_sub(self.buffer.written()).min(queue).min(memory)
    }

    /// Bytes that could go out now if a stripe took them.
    pub fn sendable(&self) -> u64 {
        self.buffer.lost() + self.limit.min(self.buffer.written()).saturating_sub(self.buffer.next())
    }

    /// Bytes that are likely to follow what could go out now: all that the credit allows if the local side keeps up with it.
    pub fn backlog(&self) -> u64 {
        if self.state == SendState::Open && self.buffer.unsent() >= MAX_UNSENT / 4 {
            self.buffer.lost() + self.limit.saturating_sub(self.buffer.next())
        } else {
            self.sendable()
        }
    }

    /// Whether there is something to send: data, or a bare FIN.
    pub fn wants_to_send(&self) -> bool {
        self.sendable() > 0 || (self.state == SendState::Finishing && self.buffer.unsent() == 0)
    }

    /// The next piece to send, at most `max` bytes of data.
    pub fn take(&mut self, max: usize) -> Option<Chunk> {
        let finishing = self.state == SendState::Finishing;
        let (offset, data) = match self.buffer.take(max, self.limit) {
            Some(piece) => piece,
            None if finishing && self.buffer.unsent() == 0 => (self.buffer.written(), Bytes::new()),
            None => return None,
        };
        let fin = finishing && offset + data.len() as u64 == self.buffer.written();
        if fin {
            self.state = SendState::FinSent;
        }
        Some(Chunk { offset, data, fin })
    }

    /// The peer has this piece.
    pub fn acknowledge(&mut self, range: Range<u64>, fin: bool) {
        if self.state == SendState::Stopped {
            return;
        }
        self.buffer.acknowledge(range);
        if fin && matches!(self.state, SendState::Finishing | SendState::FinSent) {
            self.state = SendState::FinDone;
        }
    }

    /// The stripe that carried this piece is gone.
    pub fn lose(&mut self, range: Range<u64>, fin: bool) {
        if self.state == SendState::Stopped {
            return;
        }
        self.buffer.lose(range);
        if fin && self.state == SendState::FinSent {
            self.state = SendState::Finishing;
        }
    }

    /// The peer wants no more.
    pub fn stop(&mut self) {
        self.state = SendState::Stopped;
        self.buffer.clear();
    }

    /// Whether nothing is left to be delivered.
    pub fn is_done(&self) -> bool {
        match self.state {
            SendState::Open | SendState::Finishing | SendState::FinSent => false,
            SendState::FinDone | SendState::Ending => self.buffer.is_empty(),
            SendState::Stopped => true,
        }
    }
}
