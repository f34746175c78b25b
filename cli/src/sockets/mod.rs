//! The listening sockets of a command. Some may be open before it starts: those of the service
//! manager (`LISTEN_FDS`), or those of the process that this one replaces.

pub(crate) mod channel;

use crate::failure::Failure;
use channel::Channel;
use listenfd::ListenFd;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::net::sockopt::socket_acceptconn;
use rustix::process::{Resource, getrlimit};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};
use striper_runtime::{Event, Listener};

/// The process that this one replaces. The value is its id.
pub(crate) const PREDECESSOR: &str = "REPLACED_STRIPER";

/// The beginning of a message about a socket of the service manager.
const OF_MANAGER: &str = "LISTEN_FDS ";

/// The message after the last socket.
const ALL: &str = "that is all";

/// Clones are the same.
#[derive(Clone)]
pub(crate) struct Sockets(Rc<State>);

struct State {
    /// Open sockets that are not yet in use.
    given: RefCell<Vec<Named>>,
    /// Where this command listens.
    places: RefCell<Vec<String>>,
    /// The sockets in use, for a process that replaces this one. Some may be closed by now.
    kept: RefCell<Vec<(String, Weak<dyn Open>)>>,
    /// Tasks that answer at these sockets, which another process may take over.
    held: RefCell<Vec<Box<dyn Any>>>,
    predecessor: RefCell<Option<Rc<Channel>>>,
    stage: Cell<Stage>,
}

/// The time in the life of a process, seen by those before and after it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Starting,
    /// It has told its predecessor that it serves, if it has one.
    Serving,
    Replaced,
}

/// The opener of a socket, which also removes the file of a Unix socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Opener {
    This,
    /// The process that this one replaces. Once this one serves, the socket is its own.
    Predecessor,
    /// The service manager.
    Manager,
}

/// A socket by the place to listen on, as the command names it.
struct Named {
    place: String,
    socket: OwnedFd,
    opener: Opener,
}

/// A socket that listens, and is closed when this is dropped.
pub(crate) trait Open {
    fn socket(&self) -> BorrowedFd<'_>;

    fn opener(&self) -> Opener;
}

impl Open for Listener {
    fn socket(&self) -> BorrowedFd<'_> {
        self.socket()
    }

    /// It makes no difference: a TCP listener has no file.
    fn opener(&self) -> Opener {
        Opener::This
    }
}

impl Sockets {
    /// Takes what the service manager has opened. No other thread may run yet.
    pub(crate) fn begin() -> Result<Sockets, Failure> {
        check_count()?;
        let (mut all, mut given) = (ListenFd::from_env(), Vec::new());
        for nth in 0..all.len() {
            given.extend(of_manager(&mut all, nth).map_err(|error| unusable(&error))?);
        }
        Ok(Sockets(Rc::new(State {
            given: RefCell::new(given),
            places: RefCell::default(),
            kept: RefCell::default(),
            held: RefCell::default(),
            predecessor: RefCell::default(),
            stage: Cell::new(Stage::Starting),
        })))
    }

    /// Takes what the process that this one replaces has opened, if there is such a process: our
    /// parent, at the other end of standard input.
    pub(crate) async fn inherit(&self) -> Result<(), Failure> {
        let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().to_string());
        if parent.is_none() || std::env::var(PREDECESSOR).ok() != parent {
            return Ok(());
        }
        let receive = async {
            let channel = Channel::of(io::stdin().as_fd().try_clone_to_owned()?)?;
            self.take_from(&channel).await?;
            io::Result::Ok(channel)
        };
        let channel = receive.await;
        let channel =
            channel.map_err(|error| Failure::unexpected(format!("{PREDECESSOR}: {error}")))?;
        self.0.predecessor.replace(Some(Rc::new(channel)));
        Ok(())
    }

    async fn take_from(&self, predecessor: &Channel) -> io::Result<()> {
        loop {
            let (text, socket) = match predecessor.receive().await? {
                Some((text, None)) if text == ALL => return Ok(()),
                Some((text, socket)) => (text, socket),
                None => return Ok(()),
            };
            let (opener, place) = match text.strip_prefix(OF_MANAGER) {
                Some(place) => (Opener::Manager, place.to_owned()),
                None => (Opener::Predecessor, text),
            };
            // The system drops a socket for which there is no file descriptor.
            let socket = socket.ok_or_else(|| {
                io::Error::other(format!("the socket of {place} is lost: too many open files"))
            })?;
            self.0.given.borrow_mut().push(Named { place, socket, opener });
        }
    }

    /// Listens on an address, on an open socket if there is one for it. Ports in `leaving` may have
    /// the same number, since they will be closed.
    pub(crate) async fn listen<'a>(
        &self,
        address: SocketAddr,
        leaving: impl IntoIterator<Item = &'a Listener>,
        events: &Rc<dyn Fn(Event)>,
    ) -> Result<Listener, Failure> {
        let listener = match self.take(&address.to_string()) {
            Some(named) => Listener::on(TcpListener::from(named.socket), Some(events.clone())),
            None => Listener::bind_beside(address, leaving, Some(events.clone())).await,
        };
        listener.map_err(|error| self.unbound(address, &error))
    }

    /// The open socket for a path, if there is one.
    pub(crate) fn unix(&self, path: &Path) -> Option<(UnixListener, Opener)> {
        let named = self.take(&path.display().to_string())?;
        Some((named.socket.into(), named.opener))
    }

    /// Why there is no listener. An open socket that is not for this address may have the port.
    fn unbound(&self, address: SocketAddr, error: &io::Error) -> Failure {
        if error.kind() != io::ErrorKind::AddrInUse {
            return Failure::bind(address, error);
        }
        let unused = self.0.given.borrow().iter().find_map(|named| {
            let other: SocketAddr = named.place.parse().ok()?;
            (other.port() == address.port()).then_some((other, named.opener))
        });
        match unused {
            Some((other, Opener::Manager)) => self.unused(&other.to_string()),
            Some((other, _)) => Failure::config(
                format!("cannot listen on {address}: this process replaces one that has {other}"),
                "let that one change its address first (SIGHUP), or stop it",
            ),
            None => Failure::bind(address, error),
        }
    }

    /// The process that replaces this one goes on with a socket, unless it is closed by then.
    pub(crate) fn keep(&self, place: String, socket: &Rc<impl Open + 'static>) {
        let socket: Weak<dyn Open> = Rc::downgrade(&(socket.clone() as Rc<dyn Open>));
        let mut kept = self.0.kept.borrow_mut();
        // Several sockets have one place if that leaves the port to the system.
        let is_same = |open: &Weak<dyn Open>| std::ptr::addr_eq(open.as_ptr(), socket.as_ptr());
        kept.retain(|(_, open)| open.strong_count() > 0 && !is_same(open));
        kept.push((place, socket));
    }

    /// Drops this when another process listens.
    pub(crate) fn hold(&self, answering: impl Any) {
        self.0.held.borrow_mut().push(Box::new(answering));
    }

    fn take(&self, place: &str) -> Option<Named> {
        self.0.places.borrow_mut().push(place.to_owned());
        let mut given = self.0.given.borrow_mut();
        let nth = given.iter().position(|named| named.place == place)?;
        Some(given.remove(nth))
    }

    /// The command listens everywhere by now. Fails if the service manager has opened a socket that
    /// nobody serves.
    pub(crate) fn ensure_all_taken(&self) -> Result<(), Failure> {
        let given = self.0.given.take();
        match given.iter().find(|named| named.opener == Opener::Manager) {
            Some(named) => Err(self.unused(&named.place)),
            None => Ok(()),
        }
    }

    /// The service manager's socket for this place is not used.
    fn unused(&self, place: &str) -> Failure {
        let places = self.0.places.borrow().join(", ");
        Failure::config(
            format!("LISTEN_FDS: systemd listens on {place}, and this command on {places}"),
            "write the same address in ListenStream= of the .socket unit and in the command",
        )
    }

    /// Whether the file of a Unix socket is for this process to remove.
    pub(crate) fn owns(&self, opener: Opener) -> bool {
        match (opener, self.0.stage.get()) {
            (Opener::Manager, _) | (_, Stage::Replaced) => false,
            (Opener::Predecessor, stage) => stage == Stage::Serving,
            (Opener::This, _) => true,
        }
    }

    /// This process serves.
    pub(crate) fn serve(&self) {
        self.0.stage.set(Stage::Serving);
    }

    /// Another process listens from now on.
    pub(crate) fn hand_over(&self) {
        self.0.stage.set(Stage::Replaced);
        self.release();
    }

    /// Whether another process listens in place of this one.
    pub(crate) fn is_replaced(&self) -> bool {
        self.0.stage.get() == Stage::Replaced
    }

    /// The name for a file that this process writes. The process that it replaces goes on with its
    /// own file.
    pub(crate) fn own_file(&self, path: &Path) -> PathBuf {
        if self.predecessor().is_none() {
            return path.to_owned();
        }
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}", std::process::id()));
        name.into()
    }

    /// Drops what is held.
    pub(crate) fn release(&self) {
        self.0.held.take();
    }

    /// Sends all sockets to the process that replaces this one.
    pub(crate) async fn send_to(&self, successor: &Channel) -> io::Result<()> {
        let copy = |(place, open): &(String, Weak<dyn Open>)| {
            let open = open.upgrade()?;
            let of = if open.opener() == Opener::Manager { OF_MANAGER } else { "" };
            Some(open.socket().try_clone_to_owned().map(|socket| (format!("{of}{place}"), socket)))
        };
        let kept: io::Result<Vec<_>> = self.0.kept.borrow().iter().filter_map(copy).collect();
        for (place, socket) in kept? {
            successor.send(&place, Some(socket.as_fd())).await?;
        }
        successor.send(ALL, None).await
    }

    /// The process that this one replaces, if there is one.
    pub(crate) fn predecessor(&self) -> Option<Rc<Channel>> {
        self.0.predecessor.borrow().clone()
    }
}

/// The failure if there can't be as many sockets as the service manager has opened. Each of them
/// takes memory.
fn check_count() -> Result<(), Failure> {
    let count = std::env::var("LISTEN_FDS").ok().and_then(|count| count.parse::<u64>().ok());
    match (count, getrlimit(Resource::Nofile).current) {
        (Some(count), Some(most)) if count > most => Err(Failure::config(
            format!("LISTEN_FDS={count}: this process has at most {most} open files"),
            "unset LISTEN_FDS; a service manager sets it to the number of its sockets",
        )),
        _ => Ok(()),
    }
}

fn of_manager(all: &mut ListenFd, nth: usize) -> io::Result<Option<Named>> {
    let opener = Opener::Manager;
    if let Ok(Some(listener)) = all.take_tcp_listener(nth) {
        let place = listener.local_addr()?.to_string();
        return ensure_listening(Named { place, socket: listener.into(), opener }).map(Some);
    }
    let Some(listener) = all.take_unix_listener(nth)? else { return Ok(None) };
    let address = listener.local_addr()?;
    let path = address.as_pathname().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let place = path.display().to_string();
    ensure_listening(Named { place, socket: listener.into(), opener }).map(Some)
}

fn ensure_listening(named: Named) -> io::Result<Named> {
    match socket_acceptconn(&named.socket)? {
        true => Ok(named),
        false => Err(io::Error::other(format!("{} does not listen", named.place))),
    }
}

fn unusable(error: &io::Error) -> Failure {
    Failure::config(
        format!("LISTEN_FDS: a socket of systemd is no TCP or Unix listener: {error}"),
        "use ListenStream= with an address or a path in the .socket unit",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_sockets_of_one_place_are_handed_over_once_and_closed_ones_are_not() {
        smol::block_on(async {
            let sockets = Sockets::begin().unwrap();
            let events: Rc<dyn Fn(Event)> = Rc::new(|_| {});
            let bind = async || {
                let address = "127.0.0.1:0".parse().unwrap();
                Rc::new(sockets.listen(address, None, &events).await.unwrap())
            };
            let (one, other) = (bind().await, bind().await);
            for socket in [&one, &other, &one] {
                sockets.keep("127.0.0.1:0".to_owned(), socket);
            }
            let open = || sockets.0.kept.borrow().iter().filter_map(|it| it.1.upgrade()).count();
            assert_eq!((sockets.0.kept.borrow().len(), open()), (2, 2));
            drop(one);
            assert_eq!(open(), 1);
        });
    }

    #[test]
    fn a_message_whose_socket_is_lost_is_an_error_and_not_the_end() {
        smol::block_on(async {
            let (ours, theirs) = Channel::pair().unwrap();
            let theirs = Channel::of(theirs).unwrap();
            for text in ["127.0.0.1:1", "127.0.0.1:2", ALL] {
                let file = (text == "127.0.0.1:1").then(io::stdin);
                ours.send(text, file.as_ref().map(|file| file.as_fd())).await.unwrap();
            }
            let taken = Sockets::begin().unwrap().take_from(&theirs).await;
            let text = "the socket of 127.0.0.1:2 is lost: too many open files";
            assert_eq!(taken.unwrap_err().to_string(), text);
        });
    }
}
