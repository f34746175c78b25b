//! What tests do with pipes.

use super::{Pipe, PipeExt, Received};
use std::io;

/// Everything up to the FIN.
pub async fn recv_all(pipe: &mut dyn Pipe) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    while let Received::Chunk(chunk) = pipe.recv().await? {
        all.extend_from_slice(&chunk);
    }
    Ok(all)
}
