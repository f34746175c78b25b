//! A datagram pipe on a flow: messages keep their boundaries and travel over four connections.

use std::error::Error;
use striper_runtime::local::{Client, ClientOptions, Executor, Server, ServerOptions};
use striper_runtime::{DatagramPipe, PipeExt, Received, Target};

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let ex = Executor::default();
    smol::block_on(ex.clone().run(async move {
        let server =
            Server::bind(&ex, "127.0.0.1:0".parse()?, ServerOptions::default(), None).await?;
        let options = ClientOptions::new(vec![server.local_addr().into()]);
        let client = Client::start(&ex, options, None)?;

        let mut here = DatagramPipe::new(client.open(Target::Default).await?);
        let mut there = DatagramPipe::new(server.accept().await.into_flow());

        here.send(b"a question").await?;
        here.send(b"another").await?;
        here.finish().await?;
        for expected in ["a question", "another"] {
            assert_eq!(there.recv().await?, Received::Chunk(expected.into()));
        }
        assert_eq!(there.recv().await?, Received::Fin);

        there.send(b"one answer to both").await?;
        there.finish().await?;
        assert_eq!(here.recv().await?, Received::Chunk("one answer to both".into()));
        assert_eq!(here.recv().await?, Received::Fin);
        println!("two questions and an answer, over {} stripes", client.status().sessions[0].live);
        Ok(())
    }))
}
