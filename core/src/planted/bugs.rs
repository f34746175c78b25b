//! The list of planted bugs: what each does wrong and what a user would suffer.

/// Where a bug comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Chosen for this engine.
    Own,
    /// Modelled on a bug that another implementation had; says which.
    Modelled(&'static str),
}

macro_rules! bugs {
    ($($bug:ident $name:literal $origin:expr, $faults:literal, $text:literal;)*) => {
        /// A bug that is planted in the engine.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Bug {
            $(#[doc = $text] $bug,)*
        }

        impl Bug {
            /// All of them.
            pub const ALL: &'static [Bug] = &[$(Bug::$bug,)*];

            /// Its name on a command line.
            pub fn name(self) -> &'static str {
                match self { $(Bug::$bug => $name,)* }
            }

            /// What it does wrong, and what a user would suffer.
            pub fn describe(self) -> &'static str {
                match self { $(Bug::$bug => $text,)* }
            }

            /// Where it comes from.
            pub fn origin(self) -> Origin {
                match self { $(Bug::$bug => $origin,)* }
            }

            /// How many faults it takes to show: stripes that die, fall silent or overtake each
            /// other for long. Zero says that cuts of reads, unequal stripes, small limits or what
            /// the local side does are enough.
            pub fn faults(self) -> u8 {
                match self { $(Bug::$bug => $faults,)* }
            }
        }
    };
}

impl Bug {
    /// The bug of this name.
    pub fn from_name(name: &str) -> Option<Bug> {
        Bug::ALL.iter().copied().find(|bug| bug.name() == name)
    }
}

bugs! {
    VarintBitLost "varint-bit-lost" Origin::Own, 0,
        "An integer of three bytes loses its highest bit: beyond 1 MiB offsets and counts are wrong, data lands in the wrong place or the session ends.";
    FrameAtChunkEndWaits "frame-at-chunk-end-waits" Origin::Own, 0,
        "A control frame that ends where a read ends waits for the next read: acknowledgements, resets and ends are late by one frame, or for ever.";
    FinOnEveryPart "fin-on-every-part" Origin::Own, 0,
        "Each part of a DATA frame with FIN is taken for the end: a transfer whose last frame is cut by a read is truncated or ends the session.";
    MiddleReadForgotten "middle-read-forgotten" Origin::Own, 0,
        "A frame's head that comes in three reads loses the middle one: the stripe's bytes make no sense any more.";
    HelloGoneOffByOne "hello-gone-off-by-one" Origin::Own, 1,
        "HELLO reports one byte too many as received on a gone stripe: that byte is never sent again and its flow hangs, or the session ends.";
    LeftoverDropped "leftover-dropped" Origin::Own, 0,
        "Frames that come in one read with the HELLO are dropped: what they said is lost and all later counts are wrong.";
    ResendRestForgotten "resend-rest-forgotten" Origin::Own, 1,
        "Of a lost range longer than a chunk only the first chunk is sent again: the flow hangs.";
    JoinedBeyondCredit "joined-beyond-credit" Origin::Own, 0,
        "Small writes are joined to more bytes than asked for: the sender exceeds its credit or sends what it has forgotten.";
    AckMergeOffByOne "ack-merge-off-by-one" Origin::Own, 0,
        "Bytes acknowledged early that touch those acknowledged now are not released: memory is held for ever and the flow never ends.";
    ResendSkippedAfterLateAck "resend-skipped-after-late-ack" Origin::Own, 2,
        "A lost copy whose first bytes were acknowledged late, from the first loss, is taken for acknowledged whole: its rest is never sent again.";
    OldBytesAgain "old-bytes-again" Origin::Own, 1,
        "A piece that overlaps what was delivered delivers the old bytes a second time: the transfer is corrupt.";
    GapClosed "gap-closed" Origin::Own, 0,
        "A small piece behind a gap is joined to the piece before the gap: the transfer is corrupt or hangs.";
    CreditIgnoresPool "credit-ignores-pool" Origin::Own, 0,
        "Credit is raised beyond the shared memory limit: slow consumers cost any amount of memory.";
    TurnForgotten "turn-forgotten" Origin::Own, 0,
        "A flow that pauses with its turn used up loses its place for good: what it writes afterwards is never sent.";
    TurnKept "turn-kept" Origin::Modelled("h2 CHANGELOG 0.4.1: assigning connection capacity could starve streams in some instances"), 0,
        "A flow that has had its turn keeps it: others starve beside a bulk transfer.";
    RoomIgnoresMemory "room-ignores-memory" Origin::Own, 0,
        "Local data is taken without regard to the memory limit: fast producers on slow stripes cost any amount of memory.";
    FinOnResend "fin-on-resend" Origin::Modelled("neqo #486: FIN was set on retransmitted data that does not end the stream"), 1,
        "Data sent again after the FIN carries a FIN too: the peer sees two ends, or a truncated transfer.";
    FinAckBeforeData "fin-ack-before-data" Origin::Modelled("neqo #989: a FIN acknowledged before all data never counted"), 0,
        "The acknowledgement of a FIN that comes before that of all data is forgotten: the flow never ends.";
    BareFinNotResent "bare-fin-not-resent" Origin::Modelled("dquic 0.2.2, #507: an empty stream frame with FIN was not retransmitted"), 1,
        "A FIN that carried no data and was lost is not sent again: the peer waits for the end for ever.";
    ResetForgetsData "reset-forgets-data" Origin::Own, 0,
        "A flow that is reset is forgotten once the RESET has arrived, though data before it has not: the peer never sees the reset.";
    FinOvertakesData "fin-overtakes-data" Origin::Own, 0,
        "The end is passed on as soon as it is known, before the data that is still missing: a truncated transfer looks complete.";
    OneFlowTooMany "one-flow-too-many" Origin::Modelled("h2 CHANGELOG 0.3.21: new streams were opened over the peer's max concurrent limit"), 0,
        "One flow more than granted is opened: the session ends when exactly all granted flows are in use.";
    LateGrantTakesBack "late-grant-takes-back" Origin::Own, 0,
        "A GRANT that was overtaken by a later one takes early credit back: new flows crash the engine or wait without need.";
    LateFrameIsViolation "late-frame-is-violation" Origin::Modelled("yamux CHANGELOG 0.8.1: late frames of closed streams caused resets; quinn #262 likewise"), 0,
        "A late frame for a flow of ours that has ended is taken for a violation: the session ends.";
    OvertakenOpenRevives "overtaken-open-revives" Origin::Own, 1,
        "A RESET that overtakes its OPEN does not consume the id: the OPEN brings a dead flow to life that never ends.";
    OpenAgainCountsAgain "open-again-counts-again" Origin::Own, 1,
        "An OPEN that arrives twice takes early credit twice: the session ends for credit that nobody took.";
    EarlyDataCountedTwice "early-data-counted-twice" Origin::Own, 1,
        "Data that overtakes its OPEN in several pieces is counted from the start for each: the session ends for credit that nobody took.";
    EndedFlowNotCounted "ended-flow-not-counted" Origin::Own, 0,
        "Flows that have ended are not made up for: after as many as the limit allows at once no more can be opened.";
    EarlyCreditBeyondPool "early-credit-beyond-pool" Origin::Own, 0,
        "Early credit is granted although memory is used up: stuck consumers cost any amount of memory.";
    AckNeverSettled "ack-never-settled" Origin::Own, 0,
        "An acknowledgement that went out stays due: both sides send acknowledgements for ever and never fall silent.";
    LedgerMergesDifferent "ledger-merges-different" Origin::Own, 1,
        "Frames that ask for no acknowledgement share a ledger entry whatever they say: credit is forgotten when the stripe dies, and its flow hangs.";
    AllowanceDoubled "allowance-doubled" Origin::Own, 0,
        "A stripe is given twice its allowance: data is bound to a slow stripe too early.";
    ProgressNotRestarted "progress-not-restarted" Origin::Own, 0,
        "What is sent after a pause is overdue at once: an idle stripe is doubted when it is used again.";
    DoubtNeverEnds "doubt-never-ends" Origin::Own, 1,
        "A doubted stripe that answers stays in doubt: it gets no data and is closed although it is well.";
    UnknownNeverDoubted "unknown-never-doubted" Origin::Own, 1,
        "A stripe that has never answered is never doubted: what was put on one that died at once is never sent again.";
    RetiredStripeForgotten "retired-stripe-forgotten" Origin::Own, 2,
        "A stripe on whose end both sides have agreed is forgotten: a late or repeated word of it ends the session.";
    RoundRobinEnds "round-robin-ends" Origin::Own, 0,
        "Round robin stops at the last stripe (scheduler rr): the transfer hangs.";
    CongestionIgnored "congestion-ignored" Origin::Own, 0,
        "Until-congested stays on a stripe that takes no more (scheduler uc): its allowance is exceeded without bound.";
    ResetsShareASlot "resets-share-a-slot" Origin::Own, 1,
        "Of several flows reset while nothing can be sent only the last RESET is said: the others hang at the peer.";
    TimerExactlyDueWaits "timer-exactly-due-waits" Origin::Own, 0,
        "A timer that is due at this very instant does not go off: the caller is told to tick at once, again and again.";
    DrainCutsPeerFlows "drain-cuts-peer-flows" Origin::Modelled("h2 CHANGELOG 0.4.14: receiving GOAWAY closed peer-initiated streams"), 0,
        "A draining session waits only for flows that it has opened itself: those of the peer are cut.";
    ResetKeepsCharge "reset-keeps-charge" Origin::Modelled("h2 CHANGELOG 0.1.14, #334: closed streams did not return window capacity; quiche #2158, s2n-quic #3093 likewise"), 0,
        "A flow that the peer has reset does not return its memory: in time all others are left with the floor.";
    ChargeNeverFalls "charge-never-falls" Origin::Own, 0,
        "The sum of credit outstanding only grows: in time all flows are left with the floor.";
    DrainForgetsWaitingOpens "drain-forgets-waiting-opens" Origin::Own, 0,
        "A session that drains while flows wait to be opened does not fail them: they wait for ever, and so does the shutdown.";
    CloseWithoutAcks "close-without-acks" Origin::Own, 0,
        "CLOSE goes out without the acknowledgements that are due: transfers that have arrived in full are reported as reset.";
    GrantWakesNobody "grant-wakes-nobody" Origin::Modelled("h2 CHANGELOG 0.1.8, #277: client bug when max streams is reached"), 0,
        "A GRANT does not open the flows that wait for it: they wait until the next one is asked for, or for ever.";
    EarlyWindowTooSmall "early-window-too-small" Origin::Own, 1,
        "A flow whose data overtakes its OPEN is held to the floor: honest data beyond 16 KiB ends the session.";
    OvertakenOpenDeliversNothing "overtaken-open-delivers-nothing" Origin::Own, 1,
        "Data that came before its OPEN is not delivered when that comes: a short request hangs.";
    ResetBecomesFin "reset-becomes-fin" Origin::Own, 0,
        "A reset is passed on as a clean end: a broken transfer looks complete.";
    AcceptedTwice "accepted-twice" Origin::Own, 1,
        "An ACCEPT that arrives twice is reported twice.";
    RefusedFlowStays "refused-flow-stays" Origin::Own, 0,
        "A flow that the peer has refused stays in the table: memory is lost and no shutdown ends.";
    ResetDropsData "reset-drops-data" Origin::Own, 0,
        "A reset is passed on at once, without the earlier data that is still on its way: the tail of an answer is lost.";
    CreditOffByOne "credit-off-by-one" Origin::Own, 0,
        "CREDIT is taken for one byte more than it says: a sender that uses it up ends the session.";
    OpenAckDropsReset "open-ack-drops-reset" Origin::Own, 2,
        "The acknowledgement of an OPEN, learnt while its RESET waits for a stripe, drops the RESET: the peer's side hangs.";
    CreditNotOwedAgain "credit-not-owed-again" Origin::Modelled("neqo #726: lost MAX_STREAM_DATA was not sent again; quiche #525, #2354 likewise"), 2,
        "CREDIT that was lost with its stripes, the repetition included, is not said again: the flow hangs.";
    FarewellNotOwedAgain "farewell-not-owed-again" Origin::Modelled("quiche #2358: lost RESET_STREAM was not sent again after the stream was collected"), 1,
        "A RESET or REFUSE that was lost with its stripe is not said again: the peer's side hangs.";
    OpenIgnoresPool "open-ignores-pool" Origin::Own, 0,
        "Flows that we open get a full window although memory is used up: many of them cost any amount of memory.";
    RefusalWaitsForData "refusal-waits-for-data" Origin::Own, 0,
        "A flow that was refused waits for data that never comes: it stays in the table and no shutdown ends.";
    FullWindowNoCredit "full-window-no-credit" Origin::Own, 0,
        "No credit is given when the consumer has taken exactly all that was granted: the flow hangs.";
    EarlyFinishForgotten "early-finish-forgotten" Origin::Own, 0,
        "A FIN before the peer has accepted is forgotten: short requests hang.";
    ResetOffsetOfSent "reset-offset-of-sent" Origin::Modelled("quiche #1444: final size of RESET_STREAM was wrong"), 0,
        "RESET names what was sent so far as the end and the rest follows: the session ends.";
    PromiseForgotten "promise-forgotten" Origin::Own, 0,
        "A producer that counted on memory which another flow has taken is never told when there is room again: it hangs.";
    CreditForgottenWithoutStripes "credit-forgotten-without-stripes" Origin::Own, 2,
        "Credit that falls due while every stripe is down is never said: the flow hangs after the resumption.";
    ResentOpenWithoutEarly "resent-open-without-early" Origin::Own, 1,
        "An OPEN that is sent again names no early credit: the data behind it ends the session.";
    ReinjectionForgotten "reinjection-forgotten" Origin::Own, 2,
        "A piece is marked as sent again elsewhere and is not: when its slow stripe dies, it is lost.";
    StaleCandidate "stale-candidate" Origin::Own, 0,
        "What has just been put on a stripe is not considered for the next piece: one stripe gets all of a burst, beyond its allowance.";
    ResentFinNotRecorded "resent-fin-not-recorded" Origin::Own, 1,
        "Data with FIN that is sent again is noted without the FIN: the flow never ends.";
    DoubtTimerForgotten "doubt-timer-forgotten" Origin::Own, 1,
        "No timer watches for overdue acknowledgements: what a silent stripe holds is never sent again.";
    CopyLosesFin "copy-loses-fin" Origin::Own, 2,
        "The copy of a last piece that is stuck on a slow stripe has no FIN: when that stripe dies, the peer waits for the end for ever.";
    LedgerOrderSwapped "ledger-order-swapped" Origin::Own, 0,
        "OPEN and the data that rides with it are noted in the wrong order: the data counts as arrived when its header has, and is lost with the stripe.";
    ResumeTimerRunsOn "resume-timer-runs-on" Origin::Own, 0,
        "The timer for a session without stripes goes on when one comes up: the session ends in the middle of its work.";
    DeathDuringDoubtLoses "death-during-doubt-loses" Origin::Own, 2,
        "What a stripe held is not sent again if it dies while another is in doubt: flows hang.";
    OldestControlForgotten "oldest-control-forgotten" Origin::Own, 1,
        "The oldest frame on a lost stripe is not owed again: an OPEN, ACCEPT or RESET is lost and its flow hangs.";
    ResendRefundsCredit "resend-refunds-credit" Origin::Modelled("quiche #373: retransmission gave back connection credit"), 1,
        "Bytes that are sent again are refunded as credit: the sender exceeds it and the session ends.";
    GoneAcksMixedUp "gone-acks-mixed-up" Origin::Own, 2,
        "With two stripes gone at a time, what the peer has of one counts for all of it: the rest is never sent again.";
    AckTakenAsCumulative "ack-taken-as-cumulative" Origin::Own, 1,
        "An acknowledged piece counts for everything before it in its flow: what a slower stripe holds is lost when that dies.";
    PongIsNoAck "pong-is-no-ack" Origin::Own, 0,
        "A PONG acknowledges nothing: idle stripes are taken for dead.";
    LastStripesKept "last-stripes-kept" Origin::Own, 2,
        "When every stripe is in doubt none is given up: if all of them are dead, nothing is dialed and all flows hang.";
    PartialAckOffByOne "partial-ack-off-by-one" Origin::Own, 1,
        "A piece that is acknowledged in part counts for one byte more: that byte is never sent again when the stripe dies.";
    PartAckDropsCustody "part-ack-drops-custody" Origin::Own, 1,
        "A piece that is acknowledged in part counts for all of it: the rest is lost when the stripe dies in mid-frame.";
}
