//! SIGUSR2: a new process of the program takes the listening sockets, and this one goes on with its
//! connections until they have ended.
//!
//! The new process has the same command line. It is our child, and its standard input is a channel
//! to us. We send the sockets, and it answers once it serves. From then on it sends the stripes of
//! sessions that it does not know, and tells us to read keys and rules again when it has.

use crate::log::Log;
use crate::signals::Remote;
use crate::sockets::channel::Channel;
use crate::sockets::{PREDECESSOR, Sockets};
use crate::supervisor;
use async_net::unix::UnixStream;
use rustix::fd::{AsFd, OwnedFd};
use smol::channel::Receiver;
use smol::future::or;
use smol::{Async, Timer};
use std::cell::RefCell;
use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::Duration;
use striper_runtime::local::{Calling, Executor, PassedOn, Predecessor, Server};
use striper_runtime::{Pipe, StreamPipe};

/// The answer of a process that serves.
const SERVING: &str = "serving";

/// The word to a process that has been replaced: its keys and rules have changed.
const REREAD: &str = "reread";

/// How long the new process may take until it serves: a third of the time that systemd gives a
/// service to start (DefaultTimeoutStartSec).
const LIMIT: Duration = Duration::from_secs(30);

/// The process that has taken the sockets.
pub(crate) struct Successor {
    channel: Channel,
    child: RefCell<Option<Child>>,
    pub pid: u32,
}

/// A process that does not serve yet. It ends when this is dropped.
struct Starting(Option<Child>);

impl Drop for Starting {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Starts the process that replaces this one, and waits until it serves.
pub(crate) async fn begin(log: &Log, sockets: &Sockets) -> io::Result<Successor> {
    let mut command = Command::new(program()?);
    command.args(std::env::args_os().skip(1));
    command.env(PREDECESSOR, std::process::id().to_string());
    // It is about this process.
    command.env_remove("WATCHDOG_PID");
    let (channel, child) = start(command, sockets, LIMIT).await?;
    let pid = child.as_ref().map_or(0, Child::id);
    supervisor::replaced(log, pid);
    sockets.hand_over();
    Ok(Successor { channel, child: RefCell::new(child), pid })
}

/// Starts a process with a channel to this one, sends it the sockets, and waits until it serves.
async fn start(
    mut command: Command,
    sockets: &Sockets,
    limit: Duration,
) -> io::Result<(Channel, Option<Child>)> {
    let (channel, theirs) = Channel::pair()?;
    command.stdin(Stdio::from(theirs));
    let mut starting = Starting(Some(command.spawn()?));
    // Its end of the channel is in the command too, and would keep the channel open.
    drop(command);
    let answer = async {
        sockets.send_to(&channel).await?;
        channel.receive().await
    };
    let late = async {
        Timer::after(limit).await;
        Err(io::Error::other(format!("it does not serve within {} s", limit.as_secs())))
    };
    match or(answer, late).await? {
        Some((answer, _)) if answer == SERVING => Ok((channel, starting.0.take())),
        _ => Err(io::Error::other("it has ended, and its last lines say why")),
    }
}

/// The program as it was called: an update may have put another file there. The system's own name
/// for it would be that of the old file.
fn program() -> io::Result<PathBuf> {
    let called = std::env::args_os().next().unwrap_or_default();
    if called.as_encoded_bytes().contains(&b'/') {
        return Ok(called.into());
    }
    let known = std::env::current_exe()?.into_os_string();
    let name = known.to_string_lossy();
    // Linux appends this once the file has been replaced.
    Ok(name.strip_suffix(" (deleted)").map_or(known.clone().into(), PathBuf::from))
}

impl Successor {
    /// Takes the stripes that the successor passes on, and reads keys and rules again when it has.
    /// Never ready.
    pub(crate) async fn attend(&self, log: &Log, server: Option<&Server>, remote: &Remote) {
        while let Ok(Some((text, socket))) = self.channel.receive().await {
            match (socket, server) {
                (Some(socket), Some(server)) => {
                    if let (Some(caller), Ok(pipe)) = (read(&text), pipe(socket)) {
                        server.welcome(caller, pipe);
                    }
                }
                // The log has the result.
                (None, _) if text == REREAD => _ = remote.reload().await,
                // The system drops a socket for which there is no file descriptor. The successor
                // sees its end.
                _ => {}
            }
        }
        // It passes nothing on any more, and waits for no answer.
        self.channel.close();
        if let Some(mut child) = self.child.take() {
            let ended = smol::unblock(move || child.wait()).await;
            let how = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
            let text = format!("process {}, which has taken over, has ended: {how}", self.pid);
            let fields = [("successor", u64::from(self.pid).into()), ("reason", how.into())];
            log.warn("successor_ended", text, &fields);
        }
        std::future::pending().await
    }
}

/// Tells the process that this one replaces, if it is still there, that keys and rules have
/// changed.
pub(crate) async fn pass_on_reload(sockets: &Sockets) {
    if let Some(predecessor) = sockets.predecessor() {
        say_reread(&predecessor, Duration::from_secs(1)).await;
    }
}

/// The other end may hang, with a full queue of messages. Signals to this process must not wait
/// for it longer than `limit`.
async fn say_reread(predecessor: &Channel, limit: Duration) {
    let send = async {
        // An error: it has ended.
        let _ = predecessor.send(REREAD, None).await;
    };
    let late = async { _ = Timer::after(limit).await };
    or(send, late).await;
}

/// Tells the process that this one replaces, if there is one, that this one serves. Says whether
/// there is one.
pub(crate) async fn tell_predecessor(sockets: &Sockets) -> bool {
    let Some(predecessor) = sockets.predecessor() else { return false };
    // If it has ended meanwhile, this process serves alone.
    let _ = predecessor.send(SERVING, None).await;
    sockets.serve();
    true
}

/// Has a server pass stripes on to the process that it replaces, if there is one. The result closes
/// when that has ended.
pub(crate) fn follow(ex: &Executor, sockets: &Sockets, server: &Server) -> Receiver<()> {
    let (closer, closed) = smol::channel::bounded(1);
    if let Some(channel) = sockets.predecessor() {
        server.set_predecessor(Some(Rc::new(Before(channel.clone()))));
        let server = server.clone();
        let wait = async move {
            while let Ok(Some(_)) = channel.receive().await {}
            server.set_predecessor(None);
            drop(closer);
        };
        ex.spawn(wait).detach();
    }
    closed
}

/// The process that a server replaces.
struct Before(Rc<Channel>);

impl Predecessor for Before {
    fn call(&self, caller: PassedOn) -> Calling<'_> {
        Box::pin(async move {
            let (ours, theirs) = UnixStream::pair().ok()?;
            self.0.send(&write(&caller), Some(theirs.as_fd())).await.ok()?;
            Some(Box::new(StreamPipe::new(ours.clone(), ours)) as Box<dyn Pipe>)
        })
    }
}

/// Ends a server: within `drain`, or with its last session if another process has taken over.
pub(crate) async fn end(
    server: &Server,
    predecessor: &Receiver<()>,
    drain: Duration,
    is_replaced: bool,
) {
    if !is_replaced {
        return server.shutdown(drain).await;
    }
    server.retire().await;
    // Stripes of its sessions come by way of this process.
    let _ = predecessor.recv().await;
}

fn pipe(socket: OwnedFd) -> io::Result<Box<dyn Pipe>> {
    let stream = std::os::unix::net::UnixStream::from(socket);
    let stream = UnixStream::from(Async::new(stream)?);
    Ok(Box::new(StreamPipe::new(stream.clone(), stream)))
}

/// A caller as a message: its address, and its key if callers need one.
fn write(caller: &PassedOn) -> String {
    let key = caller.key.map(|key| format!(" {key}")).unwrap_or_default();
    format!("{}{key}", caller.from)
}

fn read(message: &str) -> Option<PassedOn> {
    let (from, key) = match message.split_once(' ') {
        Some((from, key)) => (from, Some(key.parse().ok()?)),
        None => (message, None),
    };
    Some(PassedOn { from: from.parse().ok()?, key })
}

#[cfg(test)]
mod tests {
    use super::*;
    use smol::future::poll_once;
    use std::io::Read;
    use striper_runtime::keys::PublicKey;

    #[test]
    fn a_caller_is_read_as_it_was_written() {
        let from = "[::1]:7650".parse().unwrap();
        for key in [None, Some(PublicKey([7; 32]))] {
            let caller = PassedOn { from, key };
            assert_eq!(read(&write(&caller)), Some(caller));
        }
        assert_eq!(read("nobody"), None);
        assert_eq!(read("127.0.0.1:1 nonsense"), None);
    }

    #[test]
    fn a_process_that_does_not_serve_in_time_is_ended() {
        let (mut its_life, stdout) = io::pipe().unwrap();
        let mut command = Command::new("sleep");
        command.arg("1000").stdout(stdout);
        let sockets = Sockets::begin().unwrap();
        let started = smol::block_on(start(command, &sockets, Duration::from_millis(1)));
        assert_eq!(started.err().unwrap().to_string(), "it does not serve within 0 s");
        assert_eq!(its_life.read(&mut [0]).unwrap(), 0, "it holds the other end while it lives");
    }

    #[test]
    fn a_replaced_process_that_hangs_keeps_nobody_waiting() {
        smol::block_on(async {
            let (channel, _theirs) = Channel::pair().unwrap();
            while poll_once(channel.send(REREAD, None)).await.is_some() {}
            say_reread(&channel, Duration::from_millis(1)).await;
        });
    }
}
