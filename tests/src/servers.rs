//! Servers of the system: ssh, and what starts them.

use crate::{LIMIT, Origin, Process, Program, TempDir, skip};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

/// A server that is started anew for each connection, with the connection as its standard input and
/// output.
pub struct Inetd {
    running: Arc<Mutex<Vec<Process>>>,
}

impl Inetd {
    pub fn serve(origin: Origin, mut command: Command) -> Inetd {
        let inetd = Inetd { running: Arc::default() };
        let running = Arc::downgrade(&inetd.running);
        thread::spawn(move || {
            // Nobody may call for longer than a test waits: the program is built meanwhile.
            while running.strong_count() > 0 {
                let Some(stream) = origin.incoming().next() else { continue };
                let Some(running) = running.upgrade() else { return };
                stream.set_read_timeout(None).expect("a socket");
                stream.set_write_timeout(None).expect("a socket");
                let input = OwnedFd::from(stream.try_clone().expect("a socket"));
                command.stdin(input).stdout(OwnedFd::from(stream)).stderr(Stdio::null());
                running.lock().expect("a list").push(Process::start(&mut command));
                // The command keeps the handles, which would keep the connection open.
                command.stdin(Stdio::null()).stdout(Stdio::null());
            }
        });
        inetd
    }
}

impl Drop for Inetd {
    fn drop(&mut self) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Starts a server that writes to one of its outputs, and waits until it has written this.
pub fn start_until(command: &mut Command, says: &str) -> Process {
    let mut process = Process::start(command.stdin(Stdio::null()));
    let output: Box<dyn Read + Send> =
        match (process.child().stdout.take(), process.child().stderr.take()) {
            (Some(stdout), _) => Box::new(stdout),
            (_, Some(stderr)) => Box::new(stderr),
            _ => panic!("an output to listen to"),
        };
    let (said, heard) = mpsc::channel();
    thread::spawn(move || {
        // Reads on after that: the server must not be held up.
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let _ = said.send(line);
        }
    });
    let mut before = Vec::new();
    loop {
        match heard.recv_timeout(LIMIT) {
            Ok(line) if line.contains(says) => return process,
            Ok(line) => before.push(line),
            Err(_) => panic!("{command:?} does not say {says:?}: {before:#?}"),
        }
    }
}

/// A web server on `listen`, an address, of the existing folder `root` of `files`, where it also
/// stores what is put. `more` is the rest of its configuration.
pub fn nginx(nginx: &Program, files: &TempDir, listen: &str, more: &str) -> Process {
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    let config = format!(
        "daemon off; master_process off; {user} pid {pid}; error_log stderr notice;
         events {{ worker_connections 64; }}
         http {{
           access_log off; client_max_body_size 0;
           client_body_temp_path {body}; proxy_temp_path {body}; fastcgi_temp_path {body};
           uwsgi_temp_path {body}; scgi_temp_path {body};
           server {{ listen {listen}; {more} location / {{ root {root}; dav_methods PUT; }} }}
         }}",
        pid = files.text("pid"),
        body = files.text("body"),
        root = files.text("root"),
    );
    fs::create_dir(files.join("body")).expect("a folder");
    let config = files.write("nginx.conf", config);
    let mut server = nginx.command();
    server.args(["-p", &files.text("root"), "-c", &config, "-e", "stderr"]).stderr(Stdio::piped());
    start_until(&mut server, "OS: ")
}

/// An ssh server with keys that nobody else has.
pub struct Sshd {
    pub files: TempDir,
    address: SocketAddr,
    _inetd: Inetd,
}

impl Sshd {
    /// None if it can't run here.
    pub fn start(sshd: &Program, keygen: &Program) -> Option<Sshd> {
        let files = TempDir::create();
        let privileged = rustix::process::geteuid().is_root();
        if privileged && fs::create_dir_all("/run/sshd").is_err() {
            skip("sshd needs /run/sshd");
            return None;
        }
        for key in ["host", "user"] {
            keygen.run(["-q", "-t", "ed25519", "-N", "", "-f", &files.text(key)]);
        }
        fs::copy(files.join("user.pub"), files.join("authorized")).expect("a public key");
        let [host, authorized] = ["host", "authorized"].map(|name| files.text(name));
        let config = format!(
            "HostKey {host}\nAuthorizedKeysFile {authorized}\nStrictModes no\n\
             PermitRootLogin yes\nPasswordAuthentication no\nUsePAM no\nPidFile none\n\
             Subsystem sftp internal-sftp\n"
        );
        let config = files.write("config", config);
        let origin = Origin::start();
        let address = origin.addr();
        let mut command = sshd.command();
        command.args(["-i", "-e", "-f", &config]);
        Some(Sshd { files, address, _inetd: Inetd::serve(origin, command) })
    }

    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Options of ssh and scp that log in here, whatever the server's name.
    pub fn options(&self) -> Vec<String> {
        let options = "-o IdentitiesOnly=yes -o StrictHostKeyChecking=no -o BatchMode=yes \
                       -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR";
        let user = self.files.text("user");
        let options = ["-F", "none", "-i", &user].into_iter().chain(options.split_whitespace());
        options.map(str::to_owned).collect()
    }

    /// The line of a file of known hosts that says that `names` have this server's key.
    pub fn known_as(&self, names: &str) -> String {
        let key = String::from_utf8(self.files.read("host.pub")).expect("a public key");
        format!("{names} {key}")
    }
}
