//! Both sides in one program: a flow is opened on one and answered on the other.

use smol::io::{AsyncReadExt, AsyncWriteExt};
use std::error::Error;
use striper_runtime::Target;
use striper_runtime::local::{Client, ClientOptions, Executor, Server, ServerOptions};

/// Runs it, and checks what arrives.
pub fn main() -> Result<(), Box<dyn Error>> {
    let ex = Executor::default();
    smol::block_on(ex.clone().run(async move {
        let server =
            Server::bind(&ex, "127.0.0.1:0".parse()?, ServerOptions::default(), None).await?;
        let options = ClientOptions::new(vec![server.local_addr().into()]);
        let client = Client::start(&ex, options, None)?;

        let mut here = client.open(Target::Default).await?;
        here.write_all(b"over four connections").await?;
        here.close().await?;

        let mut there = server.accept().await.into_flow();
        let mut text = String::new();
        there.read_to_string(&mut text).await?;
        assert_eq!(text, "over four connections");
        Ok(())
    }))
}
