//! What an entry of a stripe's ledger stands for.

use crate::id::FlowId;
use crate::intents::Intent;

/// Something that was put on a stripe.
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
    /// Whether it stands for bytes of a flow, or its FIN.
    pub fn is_data(&self) -> bool {
        matches!(self, Token::Data { .. })
    }
}
