//! A pipe over any two byte streams: standard input and output, or a Unix socket.

use crate::admission::descriptors::Counted;
use crate::pipe::{Pipe, PipeInfo, Received, buffers};
use bytes::Buf;
use smol::io::{AsyncRead, AsyncWrite};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// A pipe that receives from one stream and sends to another one. Ends of streams are FINs.
///
/// Closing the writer is the FIN. A stream knows no reset, so an abort drops both. It counts as one
/// file descriptor, as a socket has.
#[derive(Debug)]
pub struct StreamPipe<R, W> {
    /// None once aborted.
    streams: Option<(R, W)>,
    /// As long as there are streams.
    counted: Option<Counted>,
    finished: bool,
    broken: Option<io::ErrorKind>,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> StreamPipe<R, W> {
    /// Receives from `reader` and sends to `writer`.
    pub fn new(reader: R, writer: W) -> Self {
        StreamPipe {
            streams: Some((reader, writer)),
            counted: Some(Counted::new()),
            finished: false,
            broken: None,
        }
    }

    fn streams(&mut self) -> io::Result<&mut (R, W)> {
        if let Some(kind) = self.broken {
            return Err(kind.into());
        }
        self.streams.as_mut().ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }

    fn noting<T>(&mut self, done: io::Result<T>) -> Poll<io::Result<T>> {
        if let Err(error) = &done {
            self.broken = Some(error.kind());
        }
        Poll::Ready(done)
    }
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Pipe for StreamPipe<R, W> {
    fn poll_recv(&mut self, cx: &mut Context<'_>, max: usize) -> Poll<io::Result<Received>> {
        let (reader, _) = self.streams()?;
        let mut buffer = buffers::take();
        let room = max.min(buffer.len());
        match Pin::new(reader).poll_read(cx, &mut buffer[..room]) {
            Poll::Pending => {
                buffers::give_back(buffer);
                Poll::Pending
            }
            Poll::Ready(Ok(0)) => {
                buffers::give_back(buffer);
                Poll::Ready(Ok(Received::Fin))
            }
            Poll::Ready(Ok(count)) => {
                Poll::Ready(Ok(Received::Chunk(buffers::share(buffer, count))))
            }
            Poll::Ready(Err(error)) => {
                buffers::give_back(buffer);
                self.noting(Err(error))
            }
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, data: &mut dyn Buf) -> Poll<io::Result<usize>> {
        if self.finished {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let mut taken = 0;
        let done = loop {
            let (_, writer) = self.streams()?;
            match Pin::new(writer).poll_write(cx, data.chunk()) {
                Poll::Ready(Ok(0)) => break Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => {
                    data.advance(count);
                    taken += count;
                    if !data.has_remaining() {
                        break Ok(taken);
                    }
                }
                Poll::Ready(Err(error)) => break Err(error),
                Poll::Pending if taken > 0 => break Ok(taken),
                Poll::Pending => return Poll::Pending,
            }
        };
        self.noting(done)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.finished {
            return Poll::Ready(Ok(()));
        }
        let (_, writer) = self.streams()?;
        let done = ready!(Pin::new(writer).poll_flush(cx));
        self.noting(done)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.finished {
            return Poll::Ready(Ok(()));
        }
        let (_, writer) = self.streams()?;
        let done = ready!(Pin::new(writer).poll_close(cx));
        self.finished = done.is_ok();
        self.noting(done)
    }

    fn abort(&mut self) {
        (self.streams, self.counted) = (None, None);
    }

    /// A stream that nobody reads or writes does not tell whether it has broken.
    fn check(&mut self) -> io::Result<()> {
        self.streams().map(|_| ())
    }

    fn info(&self) -> PipeInfo<'_> {
        PipeInfo::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PipeExt;
    use crate::admission::descriptors::connections;
    use async_net::unix::UnixStream;
    use bytes::Bytes;

    fn pipe(socket: UnixStream) -> StreamPipe<UnixStream, UnixStream> {
        StreamPipe::new(socket.clone(), socket)
    }

    #[test]
    fn a_socket_of_two_halves_carries_bytes_and_each_fin_for_itself() {
        smol::block_on(async {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let (mut ours, mut theirs) = (pipe(ours), pipe(theirs));
            ours.send(b"a request").await.unwrap();
            ours.finish().await.unwrap();
            let chunk = |bytes| Received::Chunk(Bytes::from_static(bytes));
            assert_eq!(theirs.recv().await.unwrap(), chunk(b"a request"));
            assert_eq!(theirs.recv().await.unwrap(), Received::Fin);
            theirs.send(b"an answer").await.unwrap();
            assert_eq!(ours.recv().await.unwrap(), chunk(b"an answer"));
            assert!(ours.send(b"more").await.is_err(), "it has finished");
        });
    }

    #[test]
    fn an_aborted_pipe_says_that_it_is_broken() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let before = connections();
        let mut pipe = pipe(ours);
        assert!(pipe.check().is_ok());
        assert_eq!(connections(), before + 1, "it counts as a file descriptor");
        pipe.abort();
        assert_eq!(connections(), before);
        assert!(pipe.check().is_err() && smol::block_on(pipe.recv()).is_err());
    }
}
