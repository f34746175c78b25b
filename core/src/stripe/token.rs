//! The meaning of an entry in a stripe's ledger.

use crate::id::FlowId;
use crate::intents::Intent;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Token {
    /// Bytes of a flow; `requeued` once they have been put up for sending elsewhere.
    Data { flow: FlowId, offset: u64, len: u64, fin: bool, requeued: bool },
    /// Control that is owed again if the stripe dies.
    Control(Intent),
    /// Acknowledgements of whatever stripes; if they are lost, all are owed again.
    Acknowledgements,
    /// Of no use elsewhere: PING, PONG.
    Local,
}

impl Token {
    pub(crate) fn is_data(&self) -> bool {
        matches!(self, Token::Data { .. })
    }
}
