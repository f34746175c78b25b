//! A server that answers flows itself: the target names what the client wants to hear.

use smol::io::{AsyncReadExt, AsyncWriteExt};
use std::error::Error;
use std::net::SocketAddr;
use striper_core::Reason;
use striper_runtime::{Client, HostPort, Incoming, Server, Target};

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::builder(SocketAddr::from(([127, 0, 0, 1], 0))).bind()?;
    let client = Client::builder([server.local_addr()]).start()?;
    smol::spawn(serve(server)).detach();
    smol::block_on(async {
        for name in ["alice", "bob"] {
            let mut flow = client.open(Target::Host(HostPort::new(name, 1))).await?;
            let mut text = String::new();
            flow.read_to_string(&mut text).await?;
            assert_eq!(text, format!("hello {name}"));
        }
        let mut flow = client.open(Target::Default).await?;
        assert!(flow.read_to_string(&mut String::new()).await.is_err());
        Ok(())
    })
}

/// Answers flows until the server stops. Any executor can run it.
async fn serve(server: Server) {
    while let Some(incoming) = server.accept().await {
        smol::spawn(greet(incoming)).detach();
    }
}

async fn greet(incoming: Incoming) -> std::io::Result<()> {
    let Target::Host(HostPort { host, .. }) = incoming.target().clone() else {
        incoming.refuse(Reason::NotAllowed);
        return Ok(());
    };
    let mut flow = incoming.accept();
    flow.write_all(format!("hello {host}").as_bytes()).await?;
    flow.close().await?;
    flow.read_to_end(&mut Vec::new()).await.map(drop)
}
