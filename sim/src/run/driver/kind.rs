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
    }
}
