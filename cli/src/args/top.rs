//! `top`: a live view of a running proxy.

use super::asking::Asked;
use super::given::Given;
use super::invocation::Command;
use clap::Args;

/// stripes and flows of a running proxy, live
///
/// Shows the stripes and flows of a running client, server or relay, once a second: rates, round
/// trips, what limits each now, data out of order, doubts. The key ? lists the keys: they sort,
/// filter, close a flow, and explain a slow one. SOCKET is the control socket of the proxy or its
/// name, and is needed if several run.
#[derive(Args)]
#[command(
    override_usage = "striper-cli top [--no-color] [SOCKET]",
    after_help = "\
EXAMPLES
  striper-cli top
  striper-cli top --no-color client-4242"
)]
pub(super) struct Top {
    /// no colours, as with NO_COLOR=1
    #[arg(long)]
    no_color: bool,
    #[command(flatten)]
    asked: Asked,
}

impl Top {
    pub(super) fn read(self) -> (Command, Given) {
        let Top { no_color, asked } = self;
        (Command::Top { socket: asked.socket, no_color }, Given::default())
    }
}
