//! A program that blocks: an echo between two threads, with the traits of `std::io`.

use std::error::Error;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::Duration;
use striper_runtime::{Client, Server, Target};

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::builder(SocketAddr::from(([127, 0, 0, 1], 0))).bind()?;
    let client = Client::builder([server.local_addr()]).start()?;
    let echo = std::thread::spawn(move || echo(&server));

    let mut flow = client.open_blocking(Target::Default)?;
    flow.write_all(b"over four connections")?;
    flow.finish()?;
    let mut text = String::new();
    flow.read_to_string(&mut text)?;
    assert_eq!(text, "over four connections");
    client.shutdown_blocking(Duration::from_secs(5));
    echo.join().expect("the echo")?;
    Ok(())
}

/// Sends back the bytes of one flow.
fn echo(server: &Server) -> std::io::Result<()> {
    let Some(incoming) = server.accept_blocking() else { return Ok(()) };
    let mut flow = incoming.accept().into_blocking();
    let mut text = Vec::new();
    flow.read_to_end(&mut text)?;
    flow.write_all(&text)?;
    flow.finish()?;
    server.shutdown_blocking(Duration::from_secs(5));
    Ok(())
}
