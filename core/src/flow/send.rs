//! The sending half of a flow.
//!
//! ```text
//!   Open ──finish──▶ Finishing ──FIN sent──▶ FinSent ──acknowledged──▶ done
//!     │                  ▲───────lost───────────┘
//!     ├──local reset──▶ Ending (what is there is delivered) ──acknowledged──▶ done
//!     └──peer's RESET or REFUSE──▶ Stopped, done
//! ```

use crate::config::FLOW_FLOOR;
use crate::flow::send_buffer::SendBuffer;
use crate::stats::FlowWait;
use alloc::format;
use alloc::string::String;
use bytes::Bytes;
use core::hash::{Hash, Hasher};
use core::ops::Range;

/// How much may wait unsent in a flow; it takes more once less than half of that waits. Enough to
/// keep fast stripes busy between two visits of the local socket, small beside the memory limit.
const MAX_UNSENT: u64 = 1 << 20;

/// Credit beyond this adds nothing to a backlog: no stripe is that far behind another. A sum over
/// any number of flows does not overflow.
const MAX_BACKLOG: u64 = 1 << 32;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum SendState {
    Open,
    Finishing,
    FinSent,
    FinDone,
    Ending,
    Stopped,
}

#[derive(Clone, Debug)]
pub(crate) struct SendHalf {
    buffer: SendBuffer,
    state: SendState,
    limit: u64,
    waits_for_room: bool,
    /// The local side counts on memory that other flows may take before it does: it is told again
    /// once it has room of its own.
    promised: bool,
    queued_for_memory: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Chunk {
    pub offset: u64,
    pub data: Bytes,
    pub fin: bool,
}

impl SendHalf {
    pub(crate) fn new(limit: u64) -> Self {
        SendHalf {
            buffer: SendBuffer::default(),
            state: SendState::Open,
            limit,
            waits_for_room: false,
            promised: false,
            queued_for_memory: false,
        }
    }

    pub(crate) fn buffer(&self) -> &SendBuffer {
        &self.buffer
    }

    pub(crate) fn state(&self) -> SendState {
        self.state
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state == SendState::Open
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    pub(crate) fn raise_limit(&mut self, limit: u64) {
        self.limit = self.limit.max(limit);
    }

    pub(crate) fn is_blocked(&self) -> bool {
        self.buffer.next() == self.limit
    }

    pub(crate) fn write(&mut self, data: Bytes) {
        self.buffer.push(data);
    }

    pub(crate) fn finish(&mut self) {
        if self.state == SendState::Open {
            self.state = SendState::Finishing;
            self.waits_for_room = false;
        }
    }

    /// Where it ends if it is reset now: what was handed over is still delivered.
    pub(crate) fn final_offset(&self) -> u64 {
        self.buffer.written()
    }

    pub(crate) fn end(&mut self) {
        if self.state != SendState::Stopped {
            self.state = SendState::Ending;
        }
    }

    pub(crate) fn waits_for_room(&self) -> bool {
        self.waits_for_room
    }

    /// The local side sees so much `room`: if there is none, it waits to be told. If there is none
    /// but that of the pool, others may take it first.
    pub(crate) fn show_room(&mut self, room: u64) {
        let open = self.state == SendState::Open;
        self.waits_for_room = room == 0 && open;
        self.promised = room > 0 && open && self.room(0) == 0;
    }

    /// Whether it joins the line for memory. It does if its local side waits although neither
    /// credit nor its queue is in the way, and if it is not in line yet.
    pub(crate) fn queue_for_memory(&mut self) -> bool {
        let joins = self.waits_for_room && !self.queued_for_memory && self.room(u64::MAX) > 0;
        self.queued_for_memory |= joins;
        joins
    }

    pub(crate) fn leave_memory_queue(&mut self) {
        self.queued_for_memory = false;
    }

    /// Whether the local side, if it is there, is to be told now that it need not wait any more.
    pub(crate) fn notify_writable(&mut self, has_room: bool, has_local: bool) -> bool {
        // Room of its own, which no other flow can take before the local side has seen it.
        let own = has_local && self.room(0) > 0;
        let tell = (self.waits_for_room && has_room) || (self.promised && own);
        if tell {
            self.waits_for_room = false;
            self.promised = !own;
        }
        tell
    }

    /// How much the local side may hand over, with `pool` bytes left for all flows.
    pub(crate) fn room(&self, pool: u64) -> u64 {
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
    pub(crate) fn sendable(&self) -> u64 {
        self.buffer.lost()
            + self.limit.min(self.buffer.written()).saturating_sub(self.buffer.next())
    }

    /// Bytes that are likely to follow what could go out now: all that the credit allows if the
    /// local side keeps up with it.
    pub(crate) fn backlog(&self) -> u64 {
        if self.state == SendState::Open && self.buffer.unsent() >= MAX_UNSENT / 4 {
            self.buffer.lost() + self.limit.saturating_sub(self.buffer.next()).min(MAX_BACKLOG)
        } else {
            self.sendable()
        }
    }

    pub(crate) fn wants_to_send(&self) -> bool {
        self.sendable() > 0 || (self.state == SendState::Finishing && self.buffer.unsent() == 0)
    }

    pub(crate) fn take(&mut self, max: usize) -> Option<Chunk> {
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

    pub(crate) fn take_with_open(&mut self, max: usize) -> Option<Bytes> {
        self.buffer.take(max, self.limit).map(|(_, data)| data)
    }

    /// Exactly this range, with FIN or without, whatever of it has been sent before; or why not.
    pub(crate) fn take_range(&mut self, range: Range<u64>, fin: bool) -> Result<Bytes, String> {
        if range.end > self.limit {
            return Err(format!("the credit ends at {}", self.limit));
        }
        let ends = matches!(self.state, SendState::Finishing | SendState::FinSent);
        if fin && !(ends && range.end == self.buffer.written()) {
            return Err("the direction does not end there".into());
        }
        let data = if range.is_empty() {
            Bytes::new()
        } else {
            let (from, to) = (self.buffer.released(), self.buffer.written());
            let sent = self.buffer.next();
            let why = || format!("bytes {from} to {to} are there, {sent} were sent");
            self.buffer.take_range(range).ok_or_else(why)?
        };
        if fin {
            self.state = SendState::FinSent;
        }
        Ok(data)
    }

    pub(crate) fn acknowledge(&mut self, range: Range<u64>, fin: bool) {
        if self.state == SendState::Stopped {
            return;
        }
        self.buffer.acknowledge(range);
        if fin && matches!(self.state, SendState::Finishing | SendState::FinSent) {
            self.state = SendState::FinDone;
        }
    }

    /// This range is to be sent again, although it was handed to a stripe. The stripe is gone or in
    /// doubt, or a copy elsewhere would arrive sooner.
    pub(crate) fn lose(&mut self, range: Range<u64>, fin: bool) {
        if self.state == SendState::Stopped {
            return;
        }
        self.buffer.lose(range);
        if fin && self.state == SendState::FinSent {
            self.state = SendState::Finishing;
        }
    }

    pub(crate) fn stop(&mut self) {
        self.state = SendState::Stopped;
        self.buffer.clear();
    }

    pub(crate) fn wait(&self) -> FlowWait {
        if self.is_done() {
            FlowWait::Finished
        } else if self.wants_to_send() {
            FlowWait::Stripe
        } else if self.buffer.unsent() > 0 || (self.is_open() && self.is_blocked()) {
            FlowWait::Credit
        } else if self.queued_for_memory {
            FlowWait::Memory
        } else if self.is_open() {
            FlowWait::Program
        } else {
            FlowWait::Peer
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        match self.state {
            SendState::Open | SendState::Finishing | SendState::FinSent => false,
            SendState::FinDone | SendState::Ending => self.buffer.is_empty(),
            SendState::Stopped => true,
        }
    }
}

/// See [`crate::Session::fingerprint`].
impl Hash for SendHalf {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.buffer.hash(hasher);
        (self.state, self.limit, self.waits_for_room, self.promised, self.queued_for_memory)
            .hash(hasher);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;
    use quickcheck::quickcheck;

    fn content(len: usize) -> Bytes {
        (0..len).map(|at| at as u8).collect()
    }

    fn sender(written: usize, limit: u64) -> SendHalf {
        let mut send = SendHalf::new(limit);
        send.buffer.push(content(written));
        send
    }

    fn range(chunk: &Chunk) -> Range<u64> {
        chunk.offset..chunk.offset + chunk.data.len() as u64
    }

    quickcheck! {
        fn all_bytes_and_the_fin_arrive_whatever_is_lost_and_acknowledged_late(
            steps: Vec<(u8, u16)>
        ) -> bool {
            let (mut send, mut carried, mut lost) = (SendHalf::new(20_000), Vec::new(), Vec::new());
            let mut has = vec![false; 20_000];
            let (mut finished, mut fin_arrived) = (false, false);
            let mut arrive = |send: &mut SendHalf, chunk: Chunk| {
                send.acknowledge(range(&chunk), chunk.fin);
                has[chunk.offset as usize..][..chunk.data.len()].fill(true);
                fin_arrived |= chunk.fin;
            };
            for (kind, number) in steps {
                let index = |list: &Vec<Chunk>| usize::from(number).checked_rem(list.len());
                match kind % 8 {
                    0 if !finished => {
                        let len = send.room(u64::MAX).min(u64::from(number) % 3000);
                        send.buffer.push(content(len as usize));
                    }
                    1 if number % 8 == 0 && !finished => {
                        finished = true;
                        send.state = SendState::Finishing;
                    }
                    2..=4 => carried.extend(send.take(1 + usize::from(number) % 2000)),
                    // A range that was given up for lost may have arrived all the same.
                    5 => if let Some(index) = index(&lost) {
                        arrive(&mut send, lost.remove(index));
                    },
                    6 => if let Some(index) = index(&carried) {
                        arrive(&mut send, carried.remove(index));
                    },
                    _ => if let Some(index) = index(&carried) {
                        let chunk = carried.remove(index);
                        send.lose(range(&chunk), chunk.fin);
                        lost.push(chunk);
                    },
                }
            }
            if !finished {
                send.state = SendState::Finishing;
            }
            while send.wants_to_send() {
                carried.push(send.take(1000).expect("it wants to send"));
            }
            assert!(send.take(1000).is_none());
            carried.into_iter().for_each(|chunk| arrive(&mut send, chunk));
            let written = send.buffer.written() as usize;
            fin_arrived && send.is_done() && has[..written].iter().all(|byte| *byte)
        }
    }

    #[test]
    fn nothing_is_sent_beyond_the_credit() {
        let mut send = sender(1000, 300);
        assert_eq!((send.sendable(), send.backlog()), (300, 300));
        for (piece, limit) in [(0..300, 400), (300..400, 400)] {
            assert_eq!(send.take(1000).map(|chunk| range(&chunk)), Some(piece));
            assert!(!send.wants_to_send());
            send.limit = limit;
        }
    }

    #[test]
    fn the_fin_rides_on_the_last_bytes_and_waits_with_them_for_credit() {
        let mut send = sender(1000, 600);
        send.state = SendState::Finishing;
        for fin in [false, true] {
            assert_eq!(send.take(1000).unwrap().fin, fin);
            assert!(!send.wants_to_send());
            send.limit = 1000;
        }
    }

    #[test]
    fn a_fin_needs_no_credit_and_no_data() {
        let mut send = sender(100, 100);
        send.take(100);
        send.state = SendState::Finishing;
        for _ in 0..2 {
            send.lose(100..100, true);
            assert_eq!(send.take(100), Some(Chunk { offset: 100, data: Bytes::new(), fin: true }));
        }
        send.acknowledge(100..100, true);
        assert!(!send.is_done(), "its bytes are still missing");
        send.acknowledge(0..100, false);
        assert!(send.is_done());
    }

    #[test]
    fn an_ending_half_sends_its_bytes_and_no_fin() {
        let mut send = sender(10, 10);
        send.state = SendState::Ending;
        assert_eq!(send.room(u64::MAX), 0);
        assert_eq!(send.take(100).map(|chunk| chunk.fin), Some(false));
        assert!(!send.is_done() && !send.wants_to_send());
        send.acknowledge(0..10, false);
        assert!(send.is_done());
    }

    #[test]
    fn a_stopped_half_forgets_everything_and_ignores_late_frames() {
        let mut send = sender(100, 50);
        send.take(20);
        send.stop();
        send.lose(0..20, false);
        send.acknowledge(0..20, false);
        assert!(send.is_done() && !send.wants_to_send());
        assert_eq!((send.room(u64::MAX), send.buffer.held()), (0, 0));
    }

    #[test]
    fn credit_queue_and_memory_bound_the_room() {
        for (written, limit, pool, room) in [
            (0, 1000, u64::MAX, 1000),
            (0, u64::MAX, u64::MAX, 1 << 20),
            (0, u64::MAX, 0, FLOW_FLOOR),
            (0, u64::MAX, 10, FLOW_FLOOR + 10),
            // Half of the queue is empty before it takes more.
            (1 << 19, u64::MAX, u64::MAX, 0),
            ((1 << 19) - 1, u64::MAX, u64::MAX, (1 << 19) + 1),
        ] {
            assert_eq!(sender(written, limit).room(pool), room, "{written} of {limit}, {pool}");
        }
    }

    #[test]
    fn a_flow_that_waits_for_stripes_has_its_credit_in_the_backlog() {
        let quarter = 256 << 10;
        let backlog = |written, limit| sender(written, limit).backlog();
        assert_eq!(backlog(quarter - 1, u64::MAX), quarter as u64 - 1);
        assert_eq!(backlog(quarter, 10_000_000), 10_000_000);
        assert_eq!(backlog(quarter, u64::MAX), 4 << 30);
        let mut send = sender(quarter + 1000, 10_000_000);
        send.take(1000);
        send.lose(0..400, false);
        let sendable = quarter as u64 + 400;
        assert_eq!((send.sendable(), send.backlog()), (sendable, 10_000_000 - 1000 + 400));
        send.state = SendState::Finishing;
        assert_eq!(send.backlog(), sendable, "nothing follows");
    }

    #[test]
    fn an_acknowledged_fin_ends_only_a_half_that_has_one_and_is_not_lost() {
        let mut send = sender(10, 10);
        send.take(10);
        send.acknowledge(0..10, true);
        assert!(!send.is_done(), "it is open");
        send.state = SendState::Finishing;
        send.acknowledge(10..10, true);
        assert!(send.is_done(), "given up for lost, and there all the same");
        send.lose(0..10, true);
        assert!(send.is_done() && !send.wants_to_send());
    }

    #[test]
    fn only_the_loss_of_a_fin_makes_it_due_again() {
        let mut send = sender(10, 10);
        send.state = SendState::Finishing;
        assert!(send.take(10).unwrap().fin);
        send.lose(0..5, false);
        assert_eq!(send.state, SendState::FinSent);
        assert_eq!(send.take(10).map(|chunk| (range(&chunk), chunk.fin)), Some((0..5, false)));
        send.lose(5..10, true);
        assert_eq!(send.take(10).map(|chunk| (range(&chunk), chunk.fin)), Some((5..10, true)));
    }
}
