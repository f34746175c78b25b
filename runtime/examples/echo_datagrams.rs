//! An echo over datagrams: what is sent as 3, 123 and 4 bytes comes back as 3, 123 and 4 bytes.

use std::error::Error;
use std::time::Duration;
use striper_runtime::{DatagramPipe, Listener, PipeExt, Received, dial_tcp};

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    smol::block_on(async {
        let listener = Listener::bind("127.0.0.1:0".parse()?, None).await?;
        let addr = listener.local_addr();
        smol::future::try_zip(serve(listener), call(addr.into())).await?;
        Ok(())
    })
}

/// Sends back what one caller sends, and ends when that does.
async fn serve(listener: Listener) -> Result<(), Box<dyn Error>> {
    let (socket, _) = listener.accept().await;
    let mut pipe = DatagramPipe::new(socket);
    while let Received::Chunk(datagram) = pipe.recv().await? {
        pipe.send(&datagram).await?;
    }
    Ok(pipe.finish().await?)
}

async fn call(addr: striper_runtime::HostPort) -> Result<(), Box<dyn Error>> {
    let mut pipe = DatagramPipe::new(dial_tcp(&addr, Duration::from_secs(10)).await?);
    for len in [3, 123, 4] {
        pipe.send(&vec![len as u8; len]).await?;
    }
    pipe.finish().await?;
    let mut lengths = Vec::new();
    while let Received::Chunk(datagram) = pipe.recv().await? {
        lengths.push(datagram.len());
    }
    println!("sent 3, 123 and 4 bytes, received {lengths:?}");
    assert_eq!(lengths, [3, 123, 4]);
    Ok(())
}
