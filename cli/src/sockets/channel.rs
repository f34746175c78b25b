//! Messages between a process and the one that replaces it. Each may bring an open file.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, Shutdown, SocketFlags, SocketType,
    recvmsg, sendmsg, shutdown, socketpair,
};
use smol::Async;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;

/// The longest message, in bytes: a word and the path of a Unix socket.
const LONGEST: usize = 512;

/// One end of a pair. A message arrives whole.
pub(crate) struct Channel(Async<OwnedFd>);

impl Channel {
    /// A new pair: this side's end, and the other one.
    pub(crate) fn pair() -> io::Result<(Channel, OwnedFd)> {
        let kind = SocketType::SEQPACKET;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?;
        Ok((Channel::of(ours)?, theirs))
    }

    pub(crate) fn of(end: OwnedFd) -> io::Result<Channel> {
        Async::new(end).map(Channel)
    }

    /// Both sides see the end from now on.
    pub(crate) fn close(&self) {
        let _ = shutdown(self.0.as_fd(), Shutdown::Both);
    }

    pub(crate) async fn send(&self, text: &str, file: Option<BorrowedFd<'_>>) -> io::Result<()> {
        self.0.write_with(|end| send(end.as_fd(), text, file)).await
    }

    /// The next message; none once the other end has closed.
    pub(crate) async fn receive(&self) -> io::Result<Option<(String, Option<OwnedFd>)>> {
        match self.0.read_with(|end| receive(end.as_fd())).await {
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(None),
            received => received,
        }
    }
}

fn send(end: BorrowedFd<'_>, text: &str, file: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut with = SendAncillaryBuffer::new(&mut space);
    let files: Vec<BorrowedFd<'_>> = file.into_iter().collect();
    if !files.is_empty() {
        with.push(SendAncillaryMessage::ScmRights(&files));
    }
    // Without a signal if the other end has gone.
    sendmsg(end, &[IoSlice::new(text.as_bytes())], &mut with, SendFlags::NOSIGNAL)?;
    Ok(())
}

fn receive(end: BorrowedFd<'_>) -> io::Result<Option<(String, Option<OwnedFd>)>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let (mut with, mut text) = (RecvAncillaryBuffer::new(&mut space), [0; LONGEST]);
    let flags = RecvFlags::CMSG_CLOEXEC;
    let received = recvmsg(end, &mut [IoSliceMut::new(&mut text)], &mut with, flags)?;
    let files = with.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(files) => Some(files),
        _ => None,
    });
    let file = files.flatten().next();
    if received.flags.contains(ReturnFlags::TRUNC) {
        return Err(Errno::MSGSIZE.into());
    }
    if received.bytes == 0 {
        return Ok(None);
    }
    let text = std::str::from_utf8(&text[..received.bytes]).map_err(io::Error::other)?;
    Ok(Some((text.to_owned(), file)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_message_arrives_whole_with_its_file_and_the_end_is_seen() {
        smol::block_on(async {
            let (ours, theirs) = Channel::pair().unwrap();
            let theirs = Channel::of(theirs).unwrap();
            let (read, write) = rustix::pipe::pipe().unwrap();
            rustix::io::write(&write, b"x").unwrap();
            drop(write);
            ours.send("one", Some(read.as_fd())).await.unwrap();
            ours.send("two", None).await.unwrap();
            drop((ours, read));
            let (text, file) = theirs.receive().await.unwrap().unwrap();
            let mut content = String::new();
            std::fs::File::from(file.unwrap()).read_to_string(&mut content).unwrap();
            assert_eq!((text.as_str(), content.as_str()), ("one", "x"));
            let (text, file) = theirs.receive().await.unwrap().unwrap();
            assert!(text == "two" && file.is_none());
            assert!(theirs.receive().await.unwrap().is_none());
        });
    }
}
