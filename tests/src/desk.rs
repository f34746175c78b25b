//! A user's machine, on which tests run the lines of documents.
//!
//! A line is changed only where it must be:
//!
//! | in a document | here |
//! | --- | --- |
//! | the addresses and ports of proxies | vacant ports of 127.0.0.1 |
//! | addresses of targets, such as `localhost:22`, `https://example.org/` | servers of the test |
//! | `there.example:`, `there:` (scp, rsync, backups) | a folder of the test |
//! | `FILES` | another folder of the test |
//!
//! The home folder is one of the test. Scripts stand for ssh, scp, curl and chromium. They call the
//! real programs with what a user has set up before: an account, known hosts, a screen.

use crate::{Finished, Process, Program, Sshd, TempDir, Vacant, binary, servers, start_until};
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Stdio};

pub struct Desk {
    pub files: TempDir,
    running: Vec<Process>,
}

impl Desk {
    pub fn new() -> Desk {
        let files = TempDir::create();
        for folder in ["bin", "home/target/release", "there"] {
            fs::create_dir_all(files.join(folder)).expect("a folder");
        }
        for program in ["bin/striper-cli", "home/target/release/striper-cli"] {
            symlink(binary::path(), files.join(program)).expect("a link");
        }
        Desk { files, running: Vec::new() }
    }

    /// With the key that this line makes in the home folder, also on the other machine.
    pub fn with_key(keygen: &str) -> Desk {
        let desk = Desk::new();
        desk.run(keygen);
        let [here, there] = ["home", "there"].map(|at| desk.files.join(at).join("striper.key"));
        fs::copy(here, there).expect("a key");
        desk
    }

    /// From now on `name` calls a program with more arguments.
    pub fn wrap(&self, name: &str, program: &Program, arguments: &str) {
        let script = format!("#!/bin/sh\nexec {} {arguments} \"$@\"\n", program.path().display());
        let script = self.files.write(&format!("bin/{name}"), script);
        fs::set_permissions(script, fs::Permissions::from_mode(0o755)).expect("a script");
    }

    /// ssh and scp have an account at this server. They know it as `there.example`, and as this
    /// machine. `config` is the rest of the user's `~/.ssh/config`.
    pub fn log_in(&self, [ssh, scp]: [&Program; 2], sshd: &Sshd, config: &str) {
        let known = sshd.known_as(&format!("there.example,[127.0.0.1]:{}", sshd.addr().port()));
        let known = self.files.write("known", known);
        let user = sshd.files.text("user");
        let config = format!(
            "{config}\nHost *\n  IdentityFile {user}\n  IdentitiesOnly yes\n  BatchMode yes\n  \
             UserKnownHostsFile {known}\n  StrictHostKeyChecking yes\n  LogLevel ERROR\n"
        );
        let config = format!("-F {}", self.files.write("config", config));
        self.wrap("ssh", ssh, &config);
        self.wrap("scp", scp, &config);
    }

    /// A shell's command in the folder of a machine.
    pub fn command(&self, machine: &str, line: &str) -> Command {
        let mut command = Command::new("sh");
        let path = std::env::var("PATH").unwrap_or_default();
        command.args(["-c", line]).current_dir(self.files.join(machine));
        command.env("HOME", self.files.join("home"));
        command.env_remove("no_proxy").env_remove("NO_PROXY");
        command.env("PATH", format!("{}:{path}:/usr/sbin", self.files.text("bin")));
        command
    }

    /// Runs lines at home, which must go well. Returns what they print.
    pub fn run(&self, lines: &str) -> String {
        let finished = Finished::of(&mut self.command("home", lines));
        assert_eq!(finished.code, Some(0), "{lines}\n{}{}", finished.stdout, finished.stderr);
        finished.stdout
    }

    /// Runs a line. A user types this into the program.
    pub fn type_into(&self, line: &str, typed: &str) -> String {
        let typed = self.files.write("typed", typed);
        self.run(&format!("{line} <{typed}"))
    }

    /// Starts a side of a pair in the folder of a machine. It has said that it is ready.
    pub fn start(&mut self, machine: &str, line: &str) {
        self.start_until(machine, line, "ready: listening on");
    }

    /// The same, and it has said this.
    pub fn start_until(&mut self, machine: &str, line: &str, said: &str) {
        let mut command = self.command(machine, &format!("exec {line}"));
        self.running.push(start_until(command.stderr(Stdio::piped()), said));
    }

    /// Ends what was started last with a signal to stop, and waits for its end.
    pub fn stop(&mut self) {
        let mut process = self.running.pop().expect("a process");
        process.signal(rustix::process::Signal::TERM);
        assert!(process.wait(crate::LIMIT).is_some_and(|status| status.success()));
    }
}

impl Default for Desk {
    fn default() -> Self {
        Self::new()
    }
}

/// An address for a side of a pair, and its port.
pub fn vacant() -> (Vacant, String, String) {
    let vacant = Vacant::reserve();
    let (address, port) = (vacant.addr().to_string(), vacant.addr().port().to_string());
    (vacant, address, port)
}

/// How programs of the test are named.
pub fn localhost(address: SocketAddr) -> String {
    format!("localhost:{}", address.port())
}

/// A web server with one page.
pub fn web(files: &TempDir, text: &str) -> Option<(Process, Vacant)> {
    let [nginx] = Program::find(["nginx"])?;
    let port = Vacant::reserve();
    let root = files.text("root");
    fs::create_dir_all(&root).expect("a folder");
    files.write("root/index.html", text);
    Some((servers::nginx(&nginx, files, &port.addr().to_string(), ""), port))
}
