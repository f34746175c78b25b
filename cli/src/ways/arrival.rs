//! TCP connections of local programs, and `--accept-proxy-protocol`: some come through another
//! proxy, which names their program in a header.

use super::terms::Terms;
use std::future::poll_fn;
use std::net::SocketAddr;
use striper_runtime::ways::proxy_protocol::{self, Found};
use striper_runtime::{Addresses, Carrier, Listener, Pipe, Received, TcpPipe};

/// A connection of a local program.
pub(super) struct Arrival {
    pub pipe: TcpPipe,
    /// Its addresses; once its header has been read, those that the header names.
    pub addresses: Addresses,
    /// It must begin with a header.
    pub is_proxied: bool,
}

impl Arrival {
    /// The next connection. Those from proxies in the `terms` must begin with a header, and no
    /// others may.
    pub(super) async fn next(listener: &Listener, terms: Option<&Terms>) -> Arrival {
        let (pipe, from) = listener.accept().await;
        let to = pipe.local_addr().unwrap_or(listener.local_addr());
        let addresses = Addresses::new(from, to);
        let is_proxied = terms.is_some_and(|terms| terms.has_proxy(from.ip()));
        Arrival { pipe, addresses, is_proxied }
    }

    /// The program, in the log.
    pub(super) fn from(&self) -> SocketAddr {
        self.addresses.source()
    }

    /// Reads its header, if there must be one, and no byte behind that. The error is the cause.
    pub(super) async fn read_header(&mut self) -> Result<(), String> {
        let mut input = Vec::new();
        while self.is_proxied {
            match proxy_protocol::read(&input).map_err(|error| error.to_string())? {
                Found::Part { missing } => {
                    match poll_fn(|cx| self.pipe.poll_recv(cx, missing)).await {
                        Ok(Received::Chunk(chunk)) => input.extend_from_slice(&chunk),
                        Ok(Received::Fin) | Err(_) => {
                            return Err("it ended in its PROXY header".to_owned());
                        }
                    }
                }
                Found::Whole { addresses, .. } => {
                    self.addresses = addresses.unwrap_or(self.addresses);
                    break;
                }
            }
        }
        Ok(())
    }
}
