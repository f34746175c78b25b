//! One direction of one stripe: its frames, from hand-over to acknowledgement, and the times when
//! it was blocked or in doubt.
//!
//! A stripe keeps order, so the name of a frame is its end among the stripe's bytes. The frames
//! that have arrived or are acknowledged up to some count are a prefix of all.

use striper_core::FlowId;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Carries {
    /// Bytes of a flow. With `again` all of them had been sent before.
    Data { flow: FlowId, offset: u64, len: u64, again: bool },
    /// No bytes of a flow. `asks` says that the other side acknowledges it soon.
    Control { asks: bool },
}

/// Times are in microseconds; `None` for an event that is unknown or has not happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// Its end among the stripe's frame bytes.
    pub end: u64,
    pub size: u64,
    pub carries: Carries,
    pub sent: Option<u64>,
    pub arrived: Option<u64>,
    pub acknowledged: Option<u64>,
}

#[derive(Clone, Debug, Default)]
pub struct Lane {
    pub frames: Vec<Frame>,
    /// The times when the operating system held less than was handed over, in microseconds.
    pub blocked: Vec<(u64, u64)>,
    /// From the PING that asks for overdue acknowledgements until one came, in microseconds.
    pub doubts: Vec<(u64, u64)>,
    /// The time of each acknowledgement, and the time since its frame's hand-over, in microseconds.
    pub round_trips: Vec<(u64, u64)>,
    sent: u64,
    written: u64,
    blocked_since: Option<u64>,
    doubted_since: Option<u64>,
    /// Frames before this one have arrived.
    arrived: usize,
    acknowledged: usize,
    acknowledged_bytes: u64,
    /// Frames that ask for an acknowledgement and have none.
    awaited: usize,
    /// PINGs without an answer: nonce and end.
    pings: Vec<(u64, u64)>,
}

impl Lane {
    pub fn moved_before(&self, time: u64) -> Option<u64> {
        self.frames.iter().filter_map(|frame| frame.acknowledged).filter(|at| *at < time).max()
    }

    pub fn transmit(&mut self, at: u64, size: u64, carries: Carries) {
        self.sent += size;
        self.awaited += usize::from(carries != Carries::Control { asks: false });
        self.frames.push(Frame {
            end: self.sent,
            size,
            carries,
            sent: Some(at),
            arrived: None,
            acknowledged: None,
        });
        self.blocked_since.get_or_insert(at);
    }

    /// A PING was just handed over. If another frame awaits its acknowledgement, there is doubt.
    pub fn ping(&mut self, at: u64, nonce: u64) {
        self.pings.push((nonce, self.sent));
        // The PING itself is awaited too.
        if self.awaited > 1 {
            self.doubted_since.get_or_insert(at);
        }
    }

    /// The end of the frame that a PONG answers.
    pub fn pinged(&mut self, nonce: u64) -> Option<u64> {
        let place = self.pings.iter().position(|(known, _)| *known == nonce)?;
        self.pings.drain(..=place).next_back().map(|(_, end)| end)
    }

    /// The operating system has taken so many frame bytes in all.
    pub fn written(&mut self, at: u64, total: u64) {
        self.written = total;
        if total >= self.sent {
            close(&mut self.blocked, &mut self.blocked_since, at);
        }
    }

    /// So many frame bytes in all have arrived.
    pub fn arrive(&mut self, at: u64, count: u64) {
        while let Some(frame) = self.frames.get_mut(self.arrived).filter(|frame| frame.end <= count)
        {
            frame.arrived = Some(at);
            self.arrived += 1;
        }
    }

    /// A frame has arrived whose hand-over nobody saw; it may grow while it does.
    pub fn arrive_unseen(&mut self, at: u64, end: u64, size: u64, carries: Carries, grows: bool) {
        if let Some(last) = self.frames.last_mut().filter(|_| grows)
            && let (Carries::Data { len, .. }, Carries::Data { len: more, .. }) =
                (&mut last.carries, carries)
        {
            *len += more;
            (last.end, last.size, last.arrived) = (end, last.size + size, Some(at));
            return;
        }
        self.frames.push(Frame {
            end,
            size,
            carries,
            sent: None,
            arrived: Some(at),
            acknowledged: None,
        });
        self.arrived = self.frames.len();
    }

    /// Returns the frames that were not acknowledged before. `timed` says that the answer came when
    /// it was asked for, so it tells a round trip.
    pub fn acknowledge(&mut self, at: u64, count: u64, timed: bool) -> &[Frame] {
        let first = self.acknowledged;
        let mut sample = None;
        while let Some(frame) =
            self.frames.get_mut(self.acknowledged).filter(|frame| frame.end <= count)
        {
            frame.acknowledged = Some(at);
            if frame.carries != (Carries::Control { asks: false }) {
                self.awaited -= 1;
                sample = frame.sent;
            }
            self.acknowledged += 1;
        }
        if count > self.acknowledged_bytes {
            self.acknowledged_bytes = count;
            close(&mut self.doubts, &mut self.doubted_since, at);
        }
        if let Some(sent) = sample.filter(|_| timed) {
            self.round_trips.push((at, at.saturating_sub(sent)));
        }
        &self.frames[first..self.acknowledged]
    }

    /// Flow, offset and length of the acknowledged part of a frame that is not whole.
    pub fn partly_acknowledged(&self) -> Option<(FlowId, u64, u64)> {
        let Frame { end, carries, .. } = self.frames.get(self.acknowledged)?;
        let Carries::Data { flow, offset, len, .. } = *carries else { return None };
        let begin = end - len;
        (begin < self.acknowledged_bytes).then(|| (flow, offset, self.acknowledged_bytes - begin))
    }

    pub fn in_doubt(&self) -> bool {
        self.doubted_since.is_some()
    }

    /// The stripe is of no more use to its sender, or the observation ends.
    pub fn stop(&mut self, at: u64) {
        close(&mut self.blocked, &mut self.blocked_since, at);
        close(&mut self.doubts, &mut self.doubted_since, at);
    }
}

/// Ends a span that is open, unless it has no length.
fn close(spans: &mut Vec<(u64, u64)>, since: &mut Option<u64>, at: u64) {
    if let Some(from) = since.take().filter(|from| *from < at) {
        spans.push((from, at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATA: Carries = Carries::Data { flow: FlowId(1), offset: 0, len: 90, again: false };
    const QUIET: Carries = Carries::Control { asks: false };
    const PING: Carries = Carries::Control { asks: true };

    #[test]
    fn a_lane_is_blocked_while_the_system_holds_less_than_was_handed_over() {
        let mut lane = Lane::default();
        lane.transmit(10, 100, DATA);
        lane.written(10, 100);
        lane.transmit(20, 100, DATA);
        lane.written(25, 150);
        lane.transmit(30, 100, DATA);
        lane.written(40, 300);
        lane.transmit(50, 100, DATA);
        lane.stop(70);
        assert_eq!(lane.blocked, [(20, 40), (50, 70)]);
    }

    #[test]
    fn acknowledgements_cover_whole_frames_and_time_the_latest() {
        let mut lane = Lane::default();
        lane.transmit(10, 100, DATA);
        lane.transmit(20, 100, DATA);
        lane.transmit(30, 10, QUIET);
        for (at, count, frames) in [(60, 150, 1), (70, 210, 2), (80, 210, 0)] {
            assert_eq!(lane.acknowledge(at, count, true).len(), frames);
        }
        assert_eq!(lane.round_trips, [(60, 50), (70, 50)]);
    }

    #[test]
    fn an_acknowledgement_may_cover_a_part_of_a_payload() {
        let mut lane = Lane::default();
        lane.transmit(10, 100, DATA);
        for (count, part) in [(10, None), (25, Some((FlowId(1), 0, 15))), (100, None)] {
            lane.acknowledge(60, count, true);
            assert_eq!(lane.partly_acknowledged(), part);
        }
    }

    #[test]
    fn a_ping_throws_doubt_only_on_a_stripe_that_owes_an_answer() {
        let mut lane = Lane::default();
        lane.transmit(0, 3, PING);
        lane.ping(0, 1);
        assert_eq!(lane.pinged(1), Some(3));
        assert_eq!(lane.pinged(1), None);
        lane.acknowledge(5, 3, true);
        lane.transmit(10, 100, DATA);
        lane.transmit(50, 3, PING);
        lane.ping(50, 2);
        assert!(lane.in_doubt());
        lane.acknowledge(90, 50, true);
        assert_eq!(lane.doubts, [(50, 90)]);
    }

    #[test]
    fn frames_arrive_in_the_order_of_their_stripe() {
        let mut lane = Lane::default();
        lane.transmit(10, 100, DATA);
        lane.transmit(11, 100, DATA);
        lane.arrive(30, 199);
        assert_eq!((lane.frames[0].arrived, lane.frames[1].arrived), (Some(30), None));
        lane.arrive(40, 200);
        assert_eq!(lane.frames[1].arrived, Some(40));
    }
}
