//! The command lines of docs/QUICKSTART.md do what it says. The module `striper_tests::desk` says
//! which parts of a line are changed here.

use std::fs;
use std::net::Ipv4Addr;
use std::process::Stdio;
use striper_tests::desk::{Desk, localhost, vacant, web};
use striper_tests::document::{Document, with};
use striper_tests::{
    Finished, Origin, Pattern, Process, Program, Sshd, Vacant, connect, exchange, servers, skip,
    start_until,
};

/// A part of each block, by which the tests find it.
const BLOCKS: [&str; 16] = [
    "keygen",
    "--allow localhost:22",
    "ProxyCommand",
    "ssh there\n",
    "rsync ",
    "tar ",
    "restic",
    "borg",
    "--allow '*:80,443'",
    "-D 1080",
    "chromium",
    "--allow-listen 8000",
    "-R 8000",
    "-T 192.168.1.1:7700",
    "nft add table",
    "nft delete table",
];

fn document() -> Document {
    Document::new(include_str!("../../../docs/QUICKSTART.md"))
}

fn lines<const N: usize>(with: &str) -> [String; N] {
    document().lines(with)
}

fn desk_with_key() -> Desk {
    let [keygen, _] = lines("keygen");
    Desk::with_key(&keygen)
}

#[test]
fn each_block_is_run_by_a_test() {
    document().assert_has(&BLOCKS);
}

/// A user who has done what the section *ssh* says, and a folder `from` with files.
struct Login {
    desk: Desk,
    _server: Vacant,
    _target: Sshd,
}

fn log_in() -> Option<Login> {
    let [sshd, ssh, scp, keygen] = Program::find(["sshd", "ssh", "scp", "ssh-keygen"])?;
    let target = Sshd::start(&sshd, &keygen)?;
    let mut desk = Desk::new();
    let at = format!("Host there.example\n  HostName 127.0.0.1\n  Port {}", target.addr().port());
    desk.log_in([&ssh, &scp], &target, &at);
    let [make_key, copy] = lines("keygen");
    desk.run(&make_key);
    let there = format!("there.example:{}/", desk.files.text("there"));
    desk.run(&with(&copy, &[("there.example:", &there)]));
    let (name, (server, address, _)) = (localhost(target.addr()), vacant());
    let [serve] = lines("--allow localhost:22");
    desk.start("there", &with(&serve, &[("0.0.0.0:7650", &address), ("localhost:22", &name)]));
    let config = document().block("ProxyCommand").join("\n");
    let config = with(&config, &[("there.example:7650", &address), ("localhost:22", &name)]);
    desk.log_in([&ssh, &scp], &target, &config);
    fs::create_dir(desk.files.join("home/from")).unwrap();
    desk.files.write("home/from/file", Pattern(1).bytes(0..3_000_000));
    Some(Login { desk, _server: server, _target: target })
}

/// Panics unless this folder of the test has the files.
fn assert_copied(desk: &Desk, folder: &str) {
    let copy = desk.files.read(&format!("{folder}/from/file"));
    assert!(copy == desk.files.read("home/from/file"), "{folder}");
}

#[test]
fn a_key_and_three_lines_of_configuration_end_in_an_ssh_login() {
    let Some(login) = log_in() else { return };
    let desk = &login.desk;
    let [connect] = lines("ssh there\n");
    let said = desk.type_into(&connect, "echo logged in\n");
    assert!(said.contains("logged in"), "{said}");
}

#[test]
fn rsync_copies_files() {
    let Some([_rsync]) = Program::find(["rsync"]) else { return };
    let Some(login) = log_in() else { return };
    let desk = &login.desk;
    let [copy] = lines("rsync ");
    let there = format!("there:{}/", desk.files.text("there"));
    desk.run(&with(&copy, &[("FILES", "from"), ("there:", &there)]));
    assert_copied(desk, "there");
}

#[test]
fn tar_makes_a_backup() {
    let Some([_tar]) = Program::find(["tar"]) else { return };
    let Some(login) = log_in() else { return };
    let desk = &login.desk;
    let [back_up] = lines("tar ");
    let file = desk.files.text("there/backup.tar");
    desk.run(&with(&back_up, &[("FILES", "from"), ("backup.tar", &file)]));
    desk.run(&format!("tar -x -f {file} -C {}", desk.files.text("there")));
    assert_copied(desk, "there");
}

/// Runs a block of a backup program, and then another line. The block's last lines make a backup.
fn back_up(desk: &Desk, program: &str, restore: &str) {
    desk.files.write(&format!("home/{program}.password"), "secret");
    let repository = format!("there:{}", desk.files.text("there/backup"));
    let block = document().block(program).join("\n");
    let block = with(&block, &[("FILES", "from"), ("there:backup", &repository)]);
    let password = format!("/{program}.password");
    assert!(block.contains(&password), "{block}");
    desk.run(&format!("set -e\n{block}\n{restore}"));
}

#[test]
fn restic_makes_a_backup_that_can_be_restored() {
    let Some([_restic]) = Program::find(["restic"]) else { return };
    let Some(login) = log_in() else { return };
    let desk = &login.desk;
    back_up(desk, "restic", "restic restore latest --target ../there");
    assert_copied(desk, "there");
}

#[test]
fn borg_makes_a_backup_that_can_be_restored() {
    let Some([_borg]) = Program::find(["borg"]) else { return };
    let Some(login) = log_in() else { return };
    let desk = &login.desk;
    back_up(desk, "borg", "cd ../there && borg extract ::$(borg list --short)");
    assert_copied(desk, "there");
}

#[test]
fn browsers_get_a_page_through_the_proxy() {
    let Some([curl, _wget]) = Program::find(["curl", "wget"]) else { return };
    let mut desk = desk_with_key();
    let page = "<p>a page of the other side</p>";
    let Some((_nginx, web)) = web(&desk.files, page) else { return };
    let site = localhost(web.addr());
    let ((_held, server, _), (_kept, _, entry)) = (vacant(), vacant());
    let [serve] = lines("--allow '*:80,443'");
    desk.start("there", &with(&serve, &[("0.0.0.0:7650", &server), ("'*:80,443'", &site)]));
    let [begin] = lines("-D 1080");
    desk.start("home", &with(&begin, &[("there.example:7650", &server), ("1080", &entry)]));
    let url = format!("http://{site}/");
    let table = [("1080", &*entry), ("https://example.org/", &url)];
    let [browse, get, fetch] = lines("chromium").map(|line| with(&line, &table));
    desk.wrap("curl", &curl, "-sS");
    assert!(desk.run(&get).contains(page));
    desk.run(&with(&fetch, &[("https_proxy", "http_proxy")]));
    assert!(desk.files.read("home/page") == page.as_bytes());
    let Some([chromium]) = Program::find(["chromium"]) else { return };
    // Otherwise it reaches this machine without a proxy.
    let screen = format!(
        "--headless --no-sandbox --disable-gpu --dump-dom --user-data-dir={} \
         '--proxy-bypass-list=<-loopback>'",
        desk.files.text("profile")
    );
    desk.wrap("chromium", &chromium, &screen);
    assert!(desk.run(&browse).contains(page));
}

#[test]
fn two_sites_reach_servers_of_each_other_over_one_client() {
    let mut desk = desk_with_key();
    let (database, intranet, ours) = (Origin::start(), Origin::start(), Origin::start());
    let names = [&database, &intranet, &ours].map(|origin| localhost(origin.addr()));
    let (_held, server, _) = vacant();
    let entries = [vacant(), vacant(), vacant()];
    let ports = entries.each_ref().map(|(_, _, port)| &**port);
    let [serve] = lines("--allow-listen 8000");
    let table = [
        ("0.0.0.0:7650", &*server),
        ("db:5432", &names[0]),
        ("intranet:80", &names[1]),
        ("8000", ports[2]),
    ];
    desk.start("there", &with(&serve, &table));
    let forwards = [0, 1, 2].map(|nth| format!("{}:{}", ports[nth], names[nth]));
    let table = [
        ("there.example:7650", &*server),
        ("5432:db:5432", &forwards[0]),
        ("8080:intranet:80", &forwards[1]),
        ("8000:localhost:80", &forwards[2]),
    ];
    let [begin] = lines("-R 8000");
    desk.start_until("home", &with(&begin, &table), "the server is listening on");
    for (origin, (entry, ..)) in [database, intranet, ours].iter().zip(&entries) {
        exchange(&connect(entry.addr()), &origin.accept(), 0..100_000);
    }
}

const ROUTER: &str = "quickstart::a_router_carries_the_connections_of_the_machines_behind_it";

/// An address that stands for one elsewhere (RFC 5737).
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);

#[test]
fn a_router_carries_the_connections_of_the_machines_behind_it() {
    if std::env::var_os("STRIPER_TEST_NAMESPACE").is_some() {
        return in_a_namespace();
    }
    let programs = ["unshare", "nsenter", "ip", "nft", "curl", "nginx"];
    let Some([unshare, ..]) = Program::find(programs) else { return };
    if !rustix::process::geteuid().is_root() {
        return skip("a network namespace needs root");
    }
    let test = std::env::current_exe().expect("a test");
    let mut command = unshare.command();
    command.arg("--net").arg(test).args(["--exact", ROUTER]);
    let finished = Finished::of(command.env("STRIPER_TEST_NAMESPACE", "1"));
    assert_eq!(finished.code, Some(0), "{}\n{}", finished.stdout, finished.stderr);
}

/// The first namespace of the test is the world outside. Two others are the router, and a machine
/// behind it.
fn in_a_namespace() {
    let mut desk = desk_with_key();
    let [router, machine] = [(); 2].map(|()| Namespace::new(&desk));
    lay_cables(&desk, &router, &machine);
    let page = "<p>a page of the other side</p>";
    fs::create_dir_all(desk.files.join("root")).unwrap();
    desk.files.write("root/index.html", page);
    let Some([nginx]) = Program::find(["nginx"]) else { return };
    let _nginx = servers::nginx(&nginx, &desk.files, &format!("{ELSEWHERE}:80"), "");
    let [serve] = lines("--allow '*:80,443'");
    let allowed = format!("{ELSEWHERE}:80");
    desk.start("there", &with(&serve, &[("'*:80,443'", &allowed)]));
    let [begin] = lines("-T 192.168.1.1:7700");
    let begin = with(&begin, &[("there.example:7650", "10.9.0.1:7650")]);
    desk.start("home", &router.enter(&begin));
    let get = machine.enter(&format!("curl -sS --max-time 2 http://{ELSEWHERE}/"));
    let gets = |desk: &Desk| Finished::of(&mut desk.command("home", &get)).stdout;
    assert_eq!(gets(&desk), "", "there is no other way");
    let rules = desk.files.write("rules", document().block("nft add table").join("\n"));
    desk.run(&router.enter(&format!("sh -e {rules}")));
    assert_eq!(gets(&desk), page);
    let [end] = lines("nft delete table");
    desk.run(&router.enter(&end));
    assert_eq!(gets(&desk), "", "the rules are gone");
}

/// A network namespace, as long as a process in it runs.
struct Namespace(Process);

impl Namespace {
    fn new(desk: &Desk) -> Namespace {
        let line = "exec unshare --net sh -c 'echo up; exec sleep 1000'";
        Namespace(start_until(desk.command("home", line).stdout(Stdio::piped()), "up"))
    }

    fn pid(&self) -> String {
        self.0.pid().as_raw_nonzero().to_string()
    }

    fn enter(&self, line: &str) -> String {
        format!("nsenter --net=/proc/{}/ns/net {line}", self.pid())
    }
}

/// Lays a cable from here to the router, and one from its `lan0` to the machine.
fn lay_cables(desk: &Desk, router: &Namespace, machine: &Namespace) {
    let ip = |line: &str| _ = desk.run(&format!("ip {line}"));
    let at = |place: &Namespace, line: &str| _ = desk.run(&place.enter(&format!("ip {line}")));
    ip("link set lo up");
    ip(&format!("address add {ELSEWHERE}/32 dev lo"));
    ip(&format!("link add wan1 type veth peer name wan0 netns {}", router.pid()));
    ip("address add 10.9.0.1/24 dev wan1");
    ip("link set wan1 up");
    at(router, "address add 10.9.0.2/24 dev wan0");
    at(router, "link set wan0 up");
    at(router, &format!("link add lan0 type veth peer name host0 netns {}", machine.pid()));
    at(router, "address add 192.168.1.1/24 dev lan0");
    at(router, "link set lan0 up");
    at(machine, "address add 192.168.1.2/24 dev host0");
    at(machine, "link set host0 up");
    at(machine, "route add default via 192.168.1.1");
}
