//! Fetches a page from a tokio task. `fetch.rs` has the program; here are the web server and the
//! striper server in front of it.

mod fetch;

use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use striper_runtime::Server;

pub(crate) fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let web = TcpListener::bind(any)?;
    let server = Server::builder(any).forward_to(web.local_addr()?).bind()?;
    std::thread::spawn(move || answer(&web));
    let tokio = tokio::runtime::Builder::new_current_thread().build()?;
    let page = tokio.block_on(async { tokio::spawn(fetch::fetch(server.local_addr())).await? })?;
    assert!(page.ends_with("a page"), "{page}");
    Ok(())
}

/// Answers one request with a page.
fn answer(web: &TcpListener) -> std::io::Result<()> {
    let (mut socket, _) = web.accept()?;
    socket.read_to_end(&mut Vec::new())?;
    socket.write_all(b"HTTP/1.0 200 OK\r\n\r\na page")
}
