//! `striper-cli` as a long-running process, and its log.

use crate::binary::striper;
use crate::event::Event;
use crate::process::Process;
use crate::route::Route;
use crate::{LIMIT, Origin, UP, connect};
use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, pidfd_open, pidfd_send_signal, prlimit,
};
use std::fmt::Write;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{ChildStderr, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// A running `striper-cli`. It has said that it is ready.
pub struct Proxy {
    process: Process,
    /// The processes that have taken over one after another.
    successors: Vec<Successor>,
    log: Arc<Log>,
    /// None if it listens nowhere itself.
    listen: Option<SocketAddr>,
    args: String,
}

impl Proxy {
    /// Starts it with these arguments; `-v` and those for a JSON log are added.
    pub fn start(args: &[&str]) -> Proxy {
        Proxy::start_with(&[args, &["-v"]].concat(), &[])
    }

    /// Starts it with these arguments; only those for a JSON log are added.
    pub fn start_with(args: &[&str], variables: &[(&str, &str)]) -> Proxy {
        let mut command = striper(args);
        command.envs(variables.iter().copied()).args(["--log", "json"]).stdin(Stdio::null());
        Proxy::start_as(&mut command, args.join(" "))
    }

    /// Starts it by this command, which has the arguments for a JSON log. `args` name it.
    pub fn start_as(command: &mut Command, args: String) -> Proxy {
        let mut process = Process::start(command.stdout(Stdio::null()).stderr(Stdio::piped()));
        let log = Arc::new(Log::default());
        let stderr = process.child().stderr.take().expect("a pipe");
        thread::spawn({
            let log = log.clone();
            move || log.follow(stderr)
        });
        let mut proxy = Proxy { process, successors: Vec::new(), log, listen: None, args };
        let ready = proxy.wait_for("ready");
        let mut addresses = ready.text("listen").split(", ");
        proxy.listen = addresses.find_map(|address| address.parse().ok());
        proxy
    }

    /// A server in front of a target, on the target's loopback address and a free port.
    pub fn server(target: SocketAddr, options: &[&str]) -> Proxy {
        Proxy::start(&[&["-s", &free_port(target), &target.to_string()], options].concat())
    }

    pub fn client(server: SocketAddr, options: &[&str]) -> Proxy {
        Proxy::start(&[&["-c", &free_port(server), &server.to_string()], options].concat())
    }

    pub fn relay(target: SocketAddr, options: &[&str]) -> Proxy {
        Proxy::start(&[&["relay", &free_port(target), &target.to_string()], options].concat())
    }

    /// The side `-c` or `-s` of a datagram proxy, in front of a target.
    pub fn datagram(side: &str, target: SocketAddr, options: &[&str]) -> Proxy {
        let words = ["datagram", side, &free_port(target), &target.to_string()];
        Proxy::start(&[&words, options].concat())
    }

    pub fn connect(&self) -> TcpStream {
        connect(self.addr())
    }

    /// A new connection through it, with both ends. A few bytes have passed.
    pub fn open(&self, origin: &Origin) -> (TcpStream, TcpStream) {
        let (mut local, mut target) = (self.connect(), origin.accept());
        UP.send(&mut local, 0..10);
        UP.expect(&mut target, 0..10);
        (local, target)
    }

    /// A new connection through it reaches the origin. Others may wait there.
    pub fn assert_works(&self, origin: &Origin) {
        let mut local = self.connect();
        UP.send(&mut local, 0..1000);
        while origin.accept().read(&mut [0; 1000]).ok() != Some(1000) {}
    }

    pub fn addr(&self) -> SocketAddr {
        self.listen.expect("an address in its log")
    }

    /// Waits for an event of this name; earlier ones count too.
    pub fn wait_for(&self, name: &str) -> Event {
        self.wait_for_any(name, |event| event.is(name))
    }

    /// Waits for an event; earlier ones count too. `what` names it if none comes.
    pub fn wait_for_any(&self, what: &str, found: impl Fn(&Event) -> bool) -> Event {
        self.wait(what, 1, found).swap_remove(0)
    }

    /// Waits until there have been so many events of this name, and returns the first ones.
    pub fn wait_for_some(&self, name: &str, count: usize) -> Vec<Event> {
        self.wait(name, count, |event| event.is(name))
    }

    fn wait(&self, what: &str, count: usize, found: impl Fn(&Event) -> bool) -> Vec<Event> {
        let pick = |lines: &Lines| {
            lines.events.iter().filter(|event| found(event)).take(count).cloned().collect()
        };
        let is_missing = |lines: &mut Lines| {
            !lines.over && lines.events.iter().filter(|event| found(event)).count() < count
        };
        let lines = self.log.more.wait_timeout_while(self.log.lines(), LIMIT, is_missing);
        let picked: Vec<Event> = pick(&lines.unwrap_or_else(PoisonError::into_inner).0);
        assert_eq!(picked.len(), count, "waiting for {what} in the log of {}", self.args);
        picked
    }

    pub fn events(&self) -> Vec<Event> {
        self.log.lines().events.clone()
    }

    /// Errors in its log so far are as the test means them.
    pub fn forgive_errors(&self) {
        self.log.lines().events.retain(|event| !event.is_error());
    }

    pub fn count(&self, name: &str) -> usize {
        self.log.lines().events.iter().filter(|event| event.is(name)).count()
    }

    pub fn wait_for_all_stripes(&self) {
        self.wait_for_any("all stripes", |event| {
            event.is("stripe_up") && event.number("live") == event.number("wanted")
        });
    }

    pub fn terminate(&self) {
        self.process.signal(Signal::TERM);
    }

    /// Asks it to read its keys again.
    pub fn hang_up(&self) {
        match self.successors.last() {
            Some(last) => last.signal(Signal::HUP),
            None => self.process.signal(Signal::HUP),
        }
    }

    /// Asks the last process for another one that takes over.
    pub fn signal_upgrade(&self) {
        match self.successors.last() {
            Some(last) => last.signal(Signal::USR2),
            None => self.process.signal(Signal::USR2),
        }
    }

    /// Has another process of the program take over, and waits until it has.
    pub fn upgrade(&mut self) {
        let before = self.successors.len();
        self.signal_upgrade();
        let replaced = self.wait_for_some("replaced", before + 1);
        let pid = replaced.last().map_or(0, |event| event.number("successor"));
        self.successors.push(Successor::of(pid));
    }

    /// Stops the last process that has taken over.
    pub fn stop_last(&self) {
        self.successors.last().expect("an upgrade").signal(Signal::TERM);
    }

    /// Waits until the first process has ended, and returns its exit code. Others may go on.
    pub fn first_ended(&mut self) -> Option<i32> {
        let status = self.process.wait(LIMIT);
        status.unwrap_or_else(|| panic!("{} does not end", self.args)).code()
    }

    /// The resources of each of its processes that still runs, the first one first.
    pub fn usage(&self) -> Vec<Usage> {
        let later = self.successors.iter().map(|successor| successor.pid);
        std::iter::once(self.pid()).chain(later).filter_map(Usage::of).collect()
    }

    pub fn pid(&self) -> i32 {
        self.process.pid().as_raw_nonzero().get()
    }

    pub fn stop(&mut self) {
        self.terminate();
        assert_eq!(self.exit_code(), Some(0), "the exit code of {}", self.args);
    }

    /// Ends it at once, without a signal that it could notice.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Waits for its end and for the rest of its log, and returns its exit code.
    pub fn exit_code(&mut self) -> Option<i32> {
        let status = self.process.wait(LIMIT);
        let status = status.unwrap_or_else(|| panic!("{} does not end", self.args));
        drop(self.log.ended());
        status.code()
    }

    /// Memory that it has in RAM now, and the most that it has ever had, in bytes
    /// (`/proc/PID/status`).
    pub fn memory(&self) -> (u64, u64) {
        let path = format!("/proc/{}/status", self.process.pid().as_raw_nonzero());
        let status = std::fs::read_to_string(path).expect("a running process");
        let field = |name: &str| {
            let line =
                status.lines().find_map(|line| line.strip_prefix(name)).expect("a field of status");
            let kilobytes =
                line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number of kB");
            kilobytes << 10
        };
        (field("VmRSS:"), field("VmHWM:"))
    }

    /// Processor time that it has used so far (`/proc/PID/stat`; in steps of a hundredth of a
    /// second).
    pub fn cpu(&self) -> Duration {
        let path = format!("/proc/{}/stat", self.process.pid().as_raw_nonzero());
        let stat = std::fs::read_to_string(path).expect("a running process");
        let (_, fields) = stat.rsplit_once(')').expect("a name in brackets");
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks = ticks.map(|field| field.parse::<u64>().expect("a number"));
        Duration::from_millis(10 * ticks.sum::<u64>())
    }

    pub fn files(&self) -> usize {
        let path = format!("/proc/{}/fd", self.process.pid().as_raw_nonzero());
        std::fs::read_dir(path).expect("a running process").count()
    }

    pub fn limit_files(&self, files: u64) {
        self.limit(Resource::Nofile, files);
    }

    /// Limits the size of its files from now on, in bytes.
    pub fn limit_file_size(&self, bytes: u64) {
        self.limit(Resource::Fsize, bytes);
    }

    fn limit(&self, resource: Resource, most: u64) {
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        prlimit(Some(self.process.pid()), resource, limit).expect("a lower limit");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.process.kill();
        self.successors.clear();
        let lines = self.log.ended();
        let mut text = format!("log of {}\n", self.args);
        lines.events.iter().for_each(|event| _ = writeln!(text, "{event}"));
        if thread::panicking() {
            eprintln!("{text}");
        } else if lines.events.iter().any(Event::is_error) {
            drop(lines);
            panic!("there is an error in the {text}");
        }
    }
}

/// The resources of a process.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Bytes in RAM.
    pub memory: u64,
    /// Open file descriptors.
    pub files: usize,
}

impl Usage {
    /// None once the process has ended.
    fn of(pid: i32) -> Option<Usage> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
        let files = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count();
        Some(Usage { memory: kilobytes << 10, files })
    }
}

/// A process that is not our child. It is killed when this is dropped.
struct Successor {
    pid: i32,
    handle: OwnedFd,
}

impl Successor {
    fn of(pid: u64) -> Successor {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("the id of a process");
        let handle = pidfd_open(pid, PidfdFlags::empty()).expect("a running process");
        Successor { pid: pid.as_raw_nonzero().get(), handle }
    }

    fn signal(&self, signal: Signal) {
        pidfd_send_signal(&self.handle, signal).expect("a running process");
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        // It may have ended.
        let _ = pidfd_send_signal(&self.handle, Signal::KILL);
    }
}

fn free_port(like: SocketAddr) -> String {
    SocketAddr::new(like.ip(), 0).to_string()
}

#[derive(Default)]
struct Log {
    lines: Mutex<Lines>,
    more: Condvar,
}

#[derive(Default)]
struct Lines {
    events: Vec<Event>,
    /// The process has closed it.
    over: bool,
}

impl Log {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn follow(&self, stderr: ChildStderr) {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            self.lines().events.push(Event::read(&line));
            self.more.notify_all();
        }
        self.lines().over = true;
        self.more.notify_all();
    }

    fn ended(&self) -> MutexGuard<'_, Lines> {
        let lines = self.more.wait_timeout_while(self.lines(), LIMIT, |lines| !lines.over);
        lines.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// A server that allows what the rules say, and a client with these ways.
pub fn pair(rules: &[&str], ways: &[&str]) -> (Proxy, Proxy) {
    let server = Proxy::start(&[&["server", "127.0.0.1:0"], rules].concat());
    let address = server.addr().to_string();
    let client = Proxy::start(&[&["client", &address], ways].concat());
    (server, client)
}

/// A client and a server in front of a target. All stripes are up.
pub struct Pair {
    pub client: Proxy,
    pub server: Proxy,
}

impl Pair {
    pub fn to(target: SocketAddr) -> Pair {
        Pair::with(None, target, &[], &[])
    }

    pub fn over(route: &Route, target: SocketAddr) -> Pair {
        Pair::with(Some(route), target, &[], &[])
    }

    pub fn with(
        route: Option<&Route>,
        target: SocketAddr,
        client: &[&str],
        server: &[&str],
    ) -> Pair {
        let server = Proxy::server(target, server);
        let port = route.map_or(server.addr(), |route| {
            route.lead_to(server.addr());
            route.addr()
        });
        let client = Proxy::client(port, client);
        client.wait_for_all_stripes();
        Pair { client, server }
    }
}

/// The proxies between a local program and a target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    Stripes,
    Datagrams,
    Relay,
}

impl Way {
    pub const ALL: [Way; 3] = [Way::Stripes, Way::Datagrams, Way::Relay];

    /// Starts its proxies, all with these options. The first one dials the target, and the last one
    /// takes connections.
    pub fn start(self, target: SocketAddr, options: &[&str]) -> Vec<Proxy> {
        match self {
            Way::Stripes => {
                let Pair { client, server } = Pair::with(None, target, options, options);
                vec![server, client]
            }
            Way::Datagrams => {
                let server = Proxy::datagram("-s", target, options);
                let client = Proxy::datagram("-c", server.addr(), options);
                vec![server, client]
            }
            Way::Relay => vec![Proxy::relay(target, options)],
        }
    }
}
