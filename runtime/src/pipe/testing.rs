//! Asynchronous spellings of the pipe methods, for tests.

use super::{Pipe, Received};
use std::future::poll_fn;
use std::io;

pub async fn recv(pipe: &mut dyn Pipe) -> io::Result<Received> {
    poll_fn(|cx| pipe.poll_recv(cx, 1 << 20)).await
}

pub async fn send(pipe: &mut dyn Pipe, mut data: &[u8]) -> io::Result<()> {
    while !data.is_empty() {
        poll_fn(|cx| pipe.poll_send(cx, &mut data)).await?;
    }
    Ok(())
}

pub async fn finish(pipe: &mut dyn Pipe) -> io::Result<()> {
    poll_fn(|cx| pipe.poll_finish(cx)).await
}

/// Everything up to the FIN.
pub async fn recv_all(pipe: &mut dyn Pipe) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    while let Received::Chunk(chunk) = recv(pipe).await? {
        all.extend_from_slice(&chunk);
    }
    Ok(all)
}
