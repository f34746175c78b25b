//! Inputs from the local side: flows begin, give data, take data, end.

use super::Session;
use crate::config::{FLOW_FLOOR, INITIAL_WINDOW, MAX_OPAQUE};
use crate::error::Reason;
use crate::flow::send::SendState;
use crate::flow::{ClosingFrame, Delivery, Flow, Phase};
use crate::id::FlowId;
use crate::intents::Intent;
use crate::io::Output;
use alloc::vec::Vec;
use bytes::Bytes;

impl Session {
    pub(super) fn flow_open(&mut self, request: u64, opaque: Bytes, out: &mut Vec<Output>) {
        assert!(
            opaque.len() <= MAX_OPAQUE,
            "opaque field of {} bytes, at most {MAX_OPAQUE}",
            opaque.len()
        );
        if self.life != super::Life::Running {
            out.push(Output::FlowOpenFailed { request });
            return;
        }
        self.flows.requests.push_back((request, opaque));
        self.open_waiting(out);
    }

    /// Opens flows that were asked for, as far as the peer lets us.
    pub(super) fn open_waiting(&mut self, out: &mut Vec<Output>) {
        while !self.flows.requests.is_empty() {
            let Some((flow, early)) = self.flows.next_id() else { return };
            let (request, opaque) = self.flows.requests.pop_front().expect("not empty");
            let pool = if planted!(OpenIgnoresPool) { u64::MAX } else { self.recv_pool() };
            let window = FLOW_FLOOR + (INITIAL_WINDOW - FLOW_FLOOR).min(pool / 4);
            let entry = Flow::new(Phase::Opening, FLOW_FLOOR + early, window);
            self.insert(flow, Flow { opaque, early, open: Delivery::Pending, ..entry });
            self.intents.add(Intent::Open(flow));
            out.push(Output::FlowOpened { request, flow });
            self.note_room(flow);
        }
    }

    pub(super) fn flow_accept(&mut self, flow: FlowId) {
        self.check_issued(flow);
        let accepted = self.change(flow, |entry| {
            let offered = entry.phase == Phase::Offered && entry.has_local();
            if offered {
                entry.phase = Phase::Carried;
                entry.accept = Delivery::Pending;
            }
            offered
        });
        if accepted == Some(true) {
            self.intents.add(Intent::Accept(flow));
        }
    }

    pub(super) fn flow_refuse(&mut self, flow: FlowId, reason: Reason) {
        self.check_issued(flow);
        let refused = self.change(flow, |entry| {
            let offered = entry.phase == Phase::Offered && entry.has_local();
            if offered {
                entry.closing = Some((ClosingFrame::Refuse(reason), Delivery::Pending));
                entry.send.stop();
                if planted!(RefusalWaitsForData) {
                    return offered;
                }
                entry.recv.discard();
            }
            offered
        });
        if refused == Some(true) {
            self.intents.add(Intent::Refuse(flow));
        }
    }

    pub(super) fn flow_data(&mut self, flow: FlowId, data: Bytes) {
        self.check_issued(flow);
        let room = self.send_room(flow);
        let Some(entry) = self.flows.flows.get(&flow).filter(|entry| entry.has_local()) else {
            return;
        };
        match entry.send.state {
            // The peer wants no more: an ordinary race.
            SendState::Stopped => return,
            SendState::Open => {}
            _ => panic!("data for flow {flow} after its end"),
        }
        assert!(
            data.len() as u64 <= room,
            "{} bytes for flow {flow}, which takes {room}",
            data.len()
        );
        self.change(flow, |entry| entry.send.buffer.push(data));
        self.note_room(flow);
    }

    pub(super) fn flow_consumed(&mut self, flow: FlowId, total: u64) {
        self.check_issued(flow);
        let Some(entry) = self.flows.flows.get(&flow).filter(|entry| entry.has_local()) else {
            return;
        };
        let delivered = entry.recv.assembler.next();
        assert!(total <= delivered, "{total} bytes consumed of flow {flow}, {delivered} delivered");
        let used_up = self.change(flow, |entry| {
            entry.recv.credit.consume(total);
            entry.recv.credit.outstanding() == 0
        });
        if used_up == Some(true) && planted!(FullWindowNoCredit) {
            return;
        }
        self.advance_credit(flow);
    }

    pub(super) fn flow_finish(&mut self, flow: FlowId) {
        self.check_issued(flow);
        self.change(flow, |entry| {
            if entry.phase == Phase::Opening && planted!(EarlyFinishForgotten) {
                return;
            }
            if entry.has_local() && entry.send.state == SendState::Open {
                entry.send.state = SendState::Finishing;
                entry.send.waits_for_room = false;
            }
        });
    }

    pub(super) fn flow_reset(&mut self, flow: FlowId, reason: Reason) {
        self.check_issued(flow);
        if self.flows.flows.get(&flow).is_some_and(Flow::has_local) {
            self.say_reset(flow, reason);
        }
    }

    /// Our side of a flow ends with a RESET. What was handed over is still delivered, unless the
    /// peer wants no more.
    pub(super) fn say_reset(&mut self, flow: FlowId, reason: Reason) {
        self.change(flow, |entry| {
            let end = entry.send.buffer.written();
            let end = if planted!(ResetOffsetOfSent) { entry.send.buffer.next() } else { end };
            entry.closing = Some((ClosingFrame::Reset(reason, end), Delivery::Pending));
            if entry.send.state != SendState::Stopped {
                entry.send.state = SendState::Ending;
            }
            entry.recv.discard();
        });
        self.intents.add(Intent::Reset(flow));
    }

    /// A caller may only name flows that it was told of. Those that have ended since are ordinary
    /// races.
    fn check_issued(&self, flow: FlowId) {
        let issued = match self.flows.id_state(flow) {
            Ok(crate::flow::table::IdState::Exists) => {
                self.flows.flows[&flow].phase != Phase::Early
            }
            Ok(crate::flow::table::IdState::Ended) => true,
            Ok(crate::flow::table::IdState::Free) | Err(_) => false,
        };
        assert!(issued, "flow {flow} was never issued");
    }

    /// Notes whether the local side of a flow has to wait now.
    pub(super) fn note_room(&mut self, flow: FlowId) {
        let waits_for_room = self.send_room(flow) == 0;
        let Some(entry) = self.flows.flows.get_mut(&flow) else { return };
        let open = entry.send.state == SendState::Open;
        entry.send.waits_for_room = waits_for_room && open;
        entry.send.promised =
            !waits_for_room && open && entry.send.room(0) == 0 && !planted!(PromiseForgotten);
        self.queue_for_memory(flow);
    }

    /// A flow whose local side waits although neither credit nor its queue is in the way waits for
    /// memory.
    fn queue_for_memory(&mut self, flow: FlowId) {
        let Some(entry) = self.flows.flows.get_mut(&flow) else { return };
        if entry.send.waits_for_room
            && !entry.send.queued_for_memory
            && entry.send.room(u64::MAX) > 0
        {
            entry.send.queued_for_memory = true;
            self.memory_waiters.push_back(flow);
        }
    }

    /// Tells the local side of a flow that it need not wait any more.
    pub(super) fn notify_writable(&mut self, flow: FlowId, out: &mut Vec<Output>) {
        let has_room = self.send_room(flow) > 0;
        let Some(entry) = self.flows.flows.get_mut(&flow) else { return };
        // Room of its own, which no other flow can take before the local side has seen it.
        let own = entry.has_local() && entry.send.room(0) > 0;
        if (entry.send.waits_for_room && has_room) || (entry.send.promised && own) {
            entry.send.waits_for_room = false;
            entry.send.promised = !own;
            out.push(Output::FlowWritable { flow });
        } else if entry.send.waits_for_room {
            self.queue_for_memory(flow);
        }
    }

    /// Gives memory that has become free to those who wait for it.
    pub(super) fn notify_memory_waiters(&mut self, out: &mut Vec<Output>) {
        while let Some(&flow) = self.memory_waiters.front() {
            let waits = self.flows.flows.get(&flow).is_some_and(|entry| entry.send.waits_for_room);
            if waits && self.send_room(flow) == 0 && self.send_pool() == 0 {
                return;
            }
            self.memory_waiters.pop_front();
            if let Some(entry) = self.flows.flows.get_mut(&flow) {
                entry.send.queued_for_memory = false;
            }
            self.notify_writable(flow, out);
        }
    }

    /// Gives the peer more credit for a flow if consumption calls for it.
    pub(super) fn advance_credit(&mut self, flow: FlowId) {
        let (pool, limit) = (self.recv_pool(), self.config.window_limit);
        let advanced = self.change(flow, |entry| {
            let delivered = entry.recv.assembler.next();
            entry.recv.wants_credit() && entry.recv.credit.advance(delivered, pool, limit).is_some()
        });
        if advanced == Some(true)
            && self.stripes.live.is_empty()
            && planted!(CreditForgottenWithoutStripes)
        {
            return;
        }
        if advanced == Some(true) {
            self.intents.add(Intent::Credit(flow));
        }
    }
}
