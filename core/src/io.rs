//! Inputs and outputs of a session.

use crate::error::{EndReason, Reason, StripeClose};
use crate::id::{FlowId, StripeId};
use crate::wire::hello::Hello;
use bytes::Bytes;

/// Something that happened. Inputs for flows and stripes that have already ended are ordinary races
/// and ignored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Input {
    /// A stripe has finished its handshake. Ask [`crate::Session::may_join`] first.
    StripeUp {
        /// Its number, from the client's HELLO.
        stripe: StripeId,
        /// The peer's HELLO.
        hello: Hello,
    },
    /// Bytes came in on a stripe, in order, after the handshake.
    StripeBytes {
        /// The stripe.
        stripe: StripeId,
        /// Any cut of the byte stream.
        data: Bytes,
    },
    /// The operating system has taken this many frame bytes of a stripe so far.
    StripeWritten {
        /// The stripe.
        stripe: StripeId,
        /// Cumulative count of transmitted bytes (headers and payloads); never more than were given
        /// out.
        total: u64,
    },
    /// Bytes of a stripe have arrived at the peer's system behind a lost packet, as selective
    /// acknowledgements say (RFC 2018). The peer's session gets them when the packet has been sent
    /// again. An estimate does: it serves only to send as much as the route carries meanwhile.
    StripeArrived {
        /// The stripe.
        stripe: StripeId,
        /// Cumulative count of transmitted bytes, less those that are missing at the peer's
        /// system.
        total: u64,
    },
    /// Which kind of congestion control a stripe's connection has from now on. Until this is said
    /// it is taken to be loss-based.
    StripeControl {
        /// The stripe.
        stripe: StripeId,
        /// It measures the route's rate and keeps the queue short itself, as BBR does. Such a
        /// control needs a connection that always has something to send. So the stripe has no
        /// window. A loss-based control fills the queue, and has one.
        rate_based: bool,
    },
    /// A stripe has broken, or the peer has closed it. Either end of it is of no more use.
    StripeDown {
        /// The stripe.
        stripe: StripeId,
    },
    /// The local side wants a flow. Answered by [`Output::FlowOpened`] at once, or later if the
    /// peer's grant is used up.
    FlowOpen {
        /// Comes back in the answer. Chosen by the caller.
        request: u64,
        /// At most [`crate::config::MAX_OPAQUE`] bytes for the other side, such as the target.
        /// Never read here.
        opaque: Bytes,
    },
    /// The local side has reached the target of a flow that the peer opened.
    FlowAccept {
        /// The flow.
        flow: FlowId,
    },
    /// The local side can't or won't reach the target of a flow that the peer opened.
    FlowRefuse {
        /// The flow.
        flow: FlowId,
        /// The cause.
        reason: Reason,
    },
    /// The local side has data for a flow: at most [`crate::Session::send_room`] bytes.
    FlowData {
        /// The flow.
        flow: FlowId,
        /// The next bytes.
        data: Bytes,
    },
    /// The local consumer of a flow has taken this many bytes so far.
    FlowConsumed {
        /// The flow.
        flow: FlowId,
        /// Cumulative count; never more than were delivered.
        total: u64,
    },
    /// The local side has no more data for a flow (its FIN).
    FlowFinish {
        /// The flow.
        flow: FlowId,
    },
    /// The local side of a flow is broken. Data that it gave before is still delivered to the peer,
    /// then the peer sees a reset.
    FlowReset {
        /// The flow.
        flow: FlowId,
        /// The cause.
        reason: Reason,
    },
    /// From now on the session may use this much memory beyond its floors, for sessions that share
    /// a limit. It starts with half of [`crate::Config::memory_limit`] for each. Memory in use
    /// beyond it is not taken back, but nothing is added.
    MemoryLimit {
        /// For what the peer may send and local consumers have not taken yet, in bytes.
        receive: u64,
        /// For local data held until the peer acknowledges it, in bytes.
        send: u64,
    },
    /// Open no more flows; end when those there are have ended.
    Shutdown,
    /// End now; flows are reset.
    Abort,
    /// The time of [`crate::Session::deadline`] has come.
    Tick,
}

/// Something to do. To be performed in order.
///
/// A driver must know all of them, so a new one is a breaking change and the enum is exhaustive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// Write these bytes to a stripe, after all earlier ones.
    Transmit {
        /// The stripe.
        stripe: StripeId,
        /// Frame header, or a whole control frame.
        header: Bytes,
        /// Payload that follows, maybe empty.
        payload: Bytes,
    },
    /// How much a stripe should hold unsent in the operating system (`TCP_NOTSENT_LOWAT`), in
    /// bytes. Follows its rate.
    StripePace {
        /// The stripe.
        stripe: StripeId,
        /// 8 KiB–512 KiB.
        unsent: u64,
    },
    /// Write out what was transmitted before, as far as possible without waiting long, then close
    /// the stripe.
    CloseStripe {
        /// The stripe.
        stripe: StripeId,
        /// The cause.
        reason: StripeClose,
    },
    /// This many stripes are missing now (client only; said whenever it changes). It holds until
    /// the next one: a stripe that is closed at once as it comes up is missing as before.
    StripesWanted {
        /// How many to dial.
        count: usize,
    },
    /// Answers [`Input::FlowOpen`].
    FlowOpened {
        /// From the input.
        request: u64,
        /// The new flow's id.
        flow: FlowId,
    },
    /// An [`Input::FlowOpen`] can't be answered any more: the session is draining or has ended.
    FlowOpenFailed {
        /// From the input.
        request: u64,
    },
    /// The peer opened a flow; answer with `FlowAccept` or `FlowRefuse`. Its data may follow at
    /// once.
    FlowIncoming {
        /// The flow.
        flow: FlowId,
        /// The opener's bytes, for the local side to read.
        opaque: Bytes,
    },
    /// The other side has reached its target. Its data may come before this, or even its FIN.
    FlowAccepted {
        /// The flow.
        flow: FlowId,
    },
    /// The other side has refused this flow. Nothing follows.
    FlowRefused {
        /// The flow.
        flow: FlowId,
        /// The cause.
        reason: Reason,
    },
    /// [`crate::Session::send_room`] was zero after the last input for this flow, and no longer is.
    FlowWritable {
        /// The flow.
        flow: FlowId,
    },
    /// The next bytes of a flow, for the local consumer. Report what it took with
    /// [`Input::FlowConsumed`].
    FlowData {
        /// The flow.
        flow: FlowId,
        /// In order, without gaps.
        data: Bytes,
    },
    /// The peer's data of this flow ends here (FIN). Its consumption must still be reported.
    FlowFinished {
        /// The flow.
        flow: FlowId,
    },
    /// This flow ends with a reset, after what was delivered before. Nothing follows.
    FlowReset {
        /// The flow.
        flow: FlowId,
        /// The cause.
        reason: Reason,
    },
    /// Both directions of this flow are done and acknowledged. Nothing follows. Not said after a
    /// refusal or reset by the peer.
    FlowEnded {
        /// The flow.
        flow: FlowId,
    },
    /// The peer opens no more flows and wants us to open none.
    Draining,
    /// The session is over. Nothing follows, and later inputs are ignored.
    Ended {
        /// The cause.
        reason: EndReason,
    },
}
