//! The kinds of faults that a scenario draws, and that take effect.

use crate::base::listed;

listed! {
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
    FaultKind {
        Reset,
        ResetAfter,
        ResetUnread,
        /// A connection ends with a FIN in the middle of the bytes sent.
        FinMidFrame,
        Silence,
        OneWay,
        Stall,
        /// Present connections carry nothing more, new ones do.
        Forget,
        HalfDead,
        Refuse,
        /// Stripes are closed by somebody on the way as soon as they have been accepted.
        AcceptClose,
        Stranger,
        ServerRestart,
        ClientRestart,
        /// A machine loses power: its sockets vanish without a word.
        Crash,
        Pause,
        ClockJump,
        LocalReset,
        TargetRefused,
        Shutdown,
        DialNoFiles,
        AcceptNoFiles,
        Loss,
        SlowReader,
        Change,
        /// The rules of the server do not allow a target.
        TargetDenied,
        TargetMute,
        /// A target answers after a while, perhaps too late.
        TargetLate,
        /// A target accepts, and ends or breaks the connection at once.
        TargetGone,
        /// A requested flow is dropped before it has a local pipe.
        RequestDropped,
        /// A program ends its direction in the middle of what it had to say.
        HalfClose,
        /// A side drops a listener of the server that it still wants.
        ListenerDropped,
    }
}
