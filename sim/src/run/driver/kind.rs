//! The kinds of faults that a scenario draws, and that take effect.

use crate::base::listed;

listed! {
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
    FaultKind {
        /// A stripe's connection is reset, both ends told.
        Reset,
        /// A connection breaks by a reset after so many bytes.
        ResetAfter,
        /// A reset comes while bytes are unread.
        ResetUnread,
        /// A connection ends with a FIN in the middle of the bytes sent.
        FinMidFrame,
        /// A route carries nothing in either direction.
        Silence,
        /// A route carries nothing in one direction.
        OneWay,
        /// A route carries nothing for a while.
        Stall,
        /// Present connections carry nothing more, new ones do.
        Forget,
        /// Only one side is told of a reset.
        HalfDead,
        /// Dials of stripes are refused.
        Refuse,
        /// Stripes are closed by somebody on the way as soon as they have been accepted.
        AcceptClose,
        /// A stranger calls at the stripe port.
        Stranger,
        /// The server's process ends and another one starts in its place.
        ServerRestart,
        /// The client's process ends and another one starts in its place.
        ClientRestart,
        /// A machine loses power: its sockets vanish without a word.
        Crash,
        Pause,
        /// A process's clock jumps forward.
        ClockJump,
        /// A program breaks its connection off.
        LocalReset,
        TargetRefused,
        /// A proxy is told to stop and drains.
        Shutdown,
        /// A proxy has no file descriptor to dial with.
        DialNoFiles,
        /// A proxy has no file descriptor to accept with.
        AcceptNoFiles,
        Loss,
        /// Programs read slowly, a byte at a time, or not at all.
        SlowReader,
        /// A route gets faster or slower.
        Change,
    }
}
