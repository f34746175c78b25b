//! The command lines of README's section "Use it" do what it says. Each fenced block is taken out
//! of README and run with the real programs, all on this machine.
//!
//! A line is changed only where it must be:
//!
//! | in README | here |
//! | --- | --- |
//! | the addresses and ports of proxies | vacant ports of 127.0.0.1 |
//! | `localhost:22`, `127.0.0.1:22`, `db:5432`, `intranet:80` | servers of the test |
//! | `'*:80,443'`, `https://example.org/` | a web server of the test |
//! | `there.example:`, `there:` (scp, rsync) | a folder of the test |
//! | `FILES` | another folder of the test |
//! | `ssh -t there.example` | nothing: the test runs that command itself |
//! | `cargo build` | nothing: the program has been built |
//!
//! The home folder is one of the test. Scripts stand for ssh, scp, curl and chromium. They call the
//! real programs with what a user has set up before: an account, known hosts, a screen.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Stdio};
use striper_tests::{
    Finished, Origin, Pattern, Process, Program, Sshd, TempDir, Vacant, binary, connect, exchange,
    servers, start_until,
};

/// A part of each block, by which the tests find it.
const BLOCKS: [&str; 13] = [
    "cargo build",
    "scp ",
    "ssh -t ",
    "-c 2222 ",
    "ssh -p 2222 ",
    "--allow '*:80,443'",
    "-D 1080",
    "ProxyCommand",
    "rsync ",
    "db:5432",
    "--allow-listen",
    "datagram -s",
    "datagram -c",
];
const LAST_BLOCK: &str = "ssh -p 11111";

/// The lines of each fenced block of the section.
fn blocks() -> Vec<String> {
    let readme = include_str!("../../README.md");
    let (_, section) = readme.split_once("\n## Use it\n").expect("a section");
    let (section, _) = section.split_once("\n## ").expect("a section after it");
    section.split("\n```\n").skip(1).step_by(2).map(str::to_owned).collect()
}

/// The lines of the only block that has this in it.
fn block(with: &str) -> Vec<String> {
    let blocks = blocks();
    let mut found = blocks.iter().filter(|block| block.contains(with));
    let (Some(block), None) = (found.next(), found.next()) else {
        panic!("not exactly one block has {with:?} in it");
    };
    block.lines().map(str::to_owned).collect()
}

fn lines<const N: usize>(with: &str) -> [String; N] {
    let lines = block(with);
    lines.try_into().unwrap_or_else(|lines| panic!("not {N} lines: {lines:?}"))
}

/// A user's machine, on which the lines run.
struct Desk {
    files: TempDir,
    running: Vec<Process>,
}

impl Desk {
    fn new() -> Desk {
        let files = TempDir::create();
        for folder in ["bin", "home/target/release", "there"] {
            fs::create_dir_all(files.join(folder)).unwrap();
        }
        for program in ["bin/striper-cli", "home/target/release/striper-cli"] {
            symlink(binary::path(), files.join(program)).unwrap();
        }
        Desk { files, running: Vec::new() }
    }

    /// With a key on both sides, as in the first steps.
    fn with_key() -> Desk {
        let desk = Desk::new();
        let [_, keygen] = lines("cargo build");
        desk.run(&keygen);
        fs::copy(desk.files.join("home/striper.key"), desk.files.join("there/striper.key"))
            .unwrap();
        desk
    }

    /// From now on `name` calls a program with more arguments.
    fn wrap(&self, name: &str, program: &Program, arguments: &str) {
        let script = format!("#!/bin/sh\nexec {} {arguments} \"$@\"\n", program.path().display());
        let script = self.files.write(&format!("bin/{name}"), script);
        fs::set_permissions(script, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// ssh and scp have an account at this server. They know it as `there.example`, and as this
    /// machine. `config` is the rest of the user's `~/.ssh/config`.
    fn log_in(&self, [ssh, scp]: [&Program; 2], sshd: &Sshd, config: &str) {
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

    fn command(&self, folder: &str, line: &str) -> Command {
        let mut command = Command::new("sh");
        let path = std::env::var("PATH").unwrap_or_default();
        command.args(["-c", line]).current_dir(self.files.join(folder));
        command.env("HOME", self.files.join("home"));
        command.env_remove("no_proxy").env_remove("NO_PROXY");
        command.env("PATH", format!("{}:{path}", self.files.text("bin")));
        command
    }

    fn run(&self, line: &str) -> String {
        let finished = Finished::of(&mut self.command("home", line));
        assert_eq!(finished.code, Some(0), "{line}\n{}{}", finished.stdout, finished.stderr);
        finished.stdout
    }

    /// Runs a line. A user types this into the program.
    fn type_into(&self, line: &str, typed: &str) -> String {
        let typed = self.files.write("typed", typed);
        self.run(&format!("{line} <{typed}"))
    }

    /// Starts a side of a pair in the folder of a machine. It has said that it is ready.
    fn start(&mut self, machine: &str, line: &str) {
        self.start_until(machine, line, "ready: listening on");
    }

    /// The same, and it has said this.
    fn start_until(&mut self, machine: &str, line: &str, said: &str) {
        let mut command = self.command(machine, &format!("exec {line}"));
        self.running.push(start_until(command.stderr(Stdio::piped()), said));
    }
}

/// Replaces each part of a line. All must be there.
fn with(line: &str, table: &[(&str, &str)]) -> String {
    table.iter().fold(line.to_owned(), |line, (from, to)| {
        assert!(line.contains(from), "{line} has no {from}");
        line.replace(from, to)
    })
}

/// An address for a side of a pair, and its port.
fn vacant() -> (Vacant, String, String) {
    let vacant = Vacant::reserve();
    let (address, port) = (vacant.addr().to_string(), vacant.addr().port().to_string());
    (vacant, address, port)
}

/// How programs of the test are named.
fn localhost(address: SocketAddr) -> String {
    format!("localhost:{}", address.port())
}

#[test]
fn each_block_is_run_by_a_test() {
    for name in BLOCKS.into_iter().chain([LAST_BLOCK]) {
        block(name);
    }
    assert_eq!(blocks().len(), BLOCKS.len() + 1);
}

#[test]
fn the_first_steps_end_in_an_ssh_login() {
    let Some([sshd, ssh, scp, keygen]) = Program::find(["sshd", "ssh", "scp", "ssh-keygen"]) else {
        return;
    };
    let Some(target) = Sshd::start(&sshd, &keygen) else { return };
    let mut desk = Desk::new();
    let at = format!("Host there.example\n  HostName 127.0.0.1\n  Port {}", target.addr().port());
    desk.log_in([&ssh, &scp], &target, &at);
    let ((_held, server, _), (_kept, _, entry)) = (vacant(), vacant());
    let [build, make_key] = lines("cargo build");
    assert_eq!(build, "cargo build --release -p striper-cli");
    desk.run(&make_key);
    let [copy] = lines("scp ");
    let there = format!("there.example:{}/", desk.files.text("there"));
    desk.run(&with(&copy, &[("there.example:", &there)]));
    assert_eq!(desk.files.read("there/striper.key"), desk.files.read("home/striper.key"));
    let [serve] = lines("ssh -t ");
    let target = localhost(target.addr());
    let table =
        [("ssh -t there.example ", ""), ("0.0.0.0:7650", &server), ("localhost:22", &target)];
    desk.start("there", &with(&serve, &table));
    let [begin] = lines("-c 2222 ");
    desk.start("home", &with(&begin, &[("there.example:7650", &server), ("2222", &entry)]));
    let [connect] = lines("ssh -p 2222 ");
    let said = desk.type_into(&with(&connect, &[("2222", &entry)]), "echo logged in\n");
    assert!(said.contains("logged in"), "{said}");
}

/// The server of many targets, for clients here.
fn serve_many(desk: &mut Desk, (web, ssh): (&str, &str)) -> (Vacant, String) {
    let (held, server, _) = vacant();
    let [serve] = lines("--allow '*:80,443'");
    let table = [("0.0.0.0:7650", &*server), ("'*:80,443'", web), ("localhost:22", ssh)];
    desk.start("there", &with(&serve, &table));
    (held, server)
}

/// A web server with one page.
fn web(files: &TempDir, text: &str) -> Option<(Process, Vacant)> {
    let [nginx] = Program::find(["nginx"])?;
    let port = Vacant::reserve();
    let root = files.text("root");
    fs::create_dir_all(&root).unwrap();
    files.write("root/index.html", text);
    Some((servers::nginx(&nginx, files, &port.addr().to_string(), ""), port))
}

#[test]
fn curl_and_a_browser_get_a_page_through_the_proxy() {
    let Some([curl]) = Program::find(["curl"]) else { return };
    let mut desk = Desk::with_key();
    let page = "<p>a page of the other side</p>";
    let Some((_nginx, web)) = web(&desk.files, page) else { return };
    let site = localhost(web.addr());
    let (_held, server) = serve_many(&mut desk, (&site, "localhost:22"));
    let (_kept, _, entry) = vacant();
    let [begin, get, browse] = lines("-D 1080");
    desk.start("home", &with(&begin, &[("there.example:7650", &server), ("1080", &entry)]));
    desk.wrap("curl", &curl, "-sS");
    let url = format!("http://{site}/");
    let table = [("1080", &*entry), ("https://example.org/", &url)];
    assert!(desk.run(&with(&get, &table)).contains(page));
    let Some([chromium]) = Program::find(["chromium"]) else { return };
    // Otherwise it reaches this machine without a proxy.
    let profile = desk.files.text("profile");
    let screen = format!(
        "--headless --no-sandbox --disable-gpu --dump-dom --user-data-dir={profile} \
         '--proxy-bypass-list=<-loopback>'"
    );
    desk.wrap("chromium", &chromium, &screen);
    assert!(desk.run(&with(&browse, &table)).contains(page));
}

#[test]
fn ssh_and_rsync_reach_a_host_of_the_configuration() {
    let Some([sshd, ssh, scp, keygen, _rsync]) =
        Program::find(["sshd", "ssh", "scp", "ssh-keygen", "rsync"])
    else {
        return;
    };
    let Some(target) = Sshd::start(&sshd, &keygen) else { return };
    let mut desk = Desk::with_key();
    let name = localhost(target.addr());
    let (_held, server) = serve_many(&mut desk, ("192.0.2.1:80", &name));
    let config = block("ProxyCommand").join("\n");
    let config = with(&config, &[("there.example:7650", &server), ("localhost:22", &name)]);
    desk.log_in([&ssh, &scp], &target, &config);
    let [log_in, copy] = lines("rsync ");
    let said = desk.type_into(&log_in, "echo logged in\n");
    assert!(said.contains("logged in"), "{said}");
    fs::create_dir(desk.files.join("home/from")).unwrap();
    desk.files.write("home/from/file", Pattern(1).bytes(0..3_000_000));
    let there = format!("there:{}/", desk.files.text("there"));
    desk.run(&with(&copy, &[("FILES", "from"), ("there:", &there)]));
    assert!(desk.files.read("there/from/file") == desk.files.read("home/from/file"));
}

/// One direction of the two sites: a client at one of them, and what it reaches at the other.
struct Direction {
    database: Origin,
    web: Origin,
    entries: [(Vacant, String, String); 2],
}

fn join_sites(desk: &mut Desk, [from, to]: [&str; 2]) -> Direction {
    let (database, web) = (Origin::start(), Origin::start());
    let ((_held, server, _), entries) = (vacant(), [vacant(), vacant()]);
    let names = [localhost(database.addr()), localhost(web.addr())];
    let [serve, begin] = lines("db:5432");
    let table = [("0.0.0.0:7650", &*server), ("db:5432", &names[0]), ("intranet:80", &names[1])];
    desk.start(to, &with(&serve, &table));
    let forwards = [0, 1].map(|nth| format!("{}:{}", entries[nth].2, names[nth]));
    let table = [
        ("there.example:7650", &*server),
        ("5432:db:5432", &forwards[0]),
        ("8080:intranet:80", &forwards[1]),
    ];
    desk.start(from, &with(&begin, &table));
    Direction { database, web, entries }
}

#[test]
fn two_sites_reach_servers_of_each_other() {
    let mut desk = Desk::with_key();
    let directions = [["home", "there"], ["there", "home"]];
    let directions = directions.map(|sites| join_sites(&mut desk, sites));
    for Direction { database, web, entries } in &directions {
        for (origin, (entry, ..)) in [database, web].into_iter().zip(entries) {
            exchange(&connect(entry.addr()), &origin.accept(), 0..100_000);
        }
    }
}

#[test]
fn the_other_site_reaches_a_server_of_this_one() {
    let (mut desk, origin) = (Desk::with_key(), Origin::start());
    let ((_held, server, _), (there, _, port)) = (vacant(), vacant());
    let [serve, begin] = lines("--allow-listen");
    desk.start("there", &with(&serve, &[("0.0.0.0:7650", &server), ("8000", &port)]));
    let table = [
        ("there.example:7650", &*server),
        ("8000:localhost:80", &format!("{port}:{}", localhost(origin.addr()))),
    ];
    desk.start_until("home", &with(&begin, &table), "the server is listening on");
    exchange(&connect(there.addr()), &origin.accept(), 0..100_000);
}

#[test]
fn ssh_logs_in_through_datagrams() {
    let Some([sshd, ssh, scp, keygen]) = Program::find(["sshd", "ssh", "scp", "ssh-keygen"]) else {
        return;
    };
    let Some(target) = Sshd::start(&sshd, &keygen) else { return };
    let mut desk = Desk::new();
    let ((_held, server, middle), (_kept, _, entry)) = (vacant(), vacant());
    let [serve] = lines("datagram -s");
    let address = target.addr().to_string();
    desk.start("home", &with(&serve, &[("22222", &middle), ("127.0.0.1:22", &address)]));
    let [begin] = lines("datagram -c");
    desk.start("home", &with(&begin, &[("127.0.0.1:22222", &server), ("11111", &entry)]));
    desk.log_in([&ssh, &scp], &target, "HostKeyAlias there.example");
    let [log_in] = lines(LAST_BLOCK);
    let said = desk.type_into(&with(&log_in, &[("11111", &entry)]), "echo logged in\n");
    assert!(said.contains("logged in"), "{said}");
}
