//! The command lines of README's section "Use it" do what it says. Each fenced block is taken out
//! of README and run with the real programs, all on this machine.
//!
//! The module `striper_tests::desk` says which parts of a line are changed. Besides these:
//!
//! | in README | here |
//! | --- | --- |
//! | `ssh -t there.example` | nothing: the test runs that command itself |
//! | `cargo build` | nothing: the program has been built |

use std::fs;
use striper_tests::desk::{Desk, localhost, vacant, web};
use striper_tests::document::{Document, with};
use striper_tests::{Origin, Pattern, Program, Sshd, Vacant, connect, exchange};

/// A part of each block, by which the tests find it.
const BLOCKS: [&str; 14] = [
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
    LAST_BLOCK,
];
const LAST_BLOCK: &str = "ssh -p 11111";

fn document() -> Document {
    Document::section(include_str!("../../../README.md"), "Use it")
}

fn lines<const N: usize>(with: &str) -> [String; N] {
    document().lines(with)
}

/// A key on both sides, as in the first steps.
fn desk_with_key() -> Desk {
    let [_, keygen] = lines("cargo build");
    Desk::with_key(&keygen)
}

#[test]
fn each_block_is_run_by_a_test() {
    document().assert_has(&BLOCKS);
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

#[test]
fn curl_and_a_browser_get_a_page_through_the_proxy() {
    let Some([curl]) = Program::find(["curl"]) else { return };
    let mut desk = desk_with_key();
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
    let mut desk = desk_with_key();
    let name = localhost(target.addr());
    let (_held, server) = serve_many(&mut desk, ("192.0.2.1:80", &name));
    let config = document().block("ProxyCommand").join("\n");
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
    let mut desk = desk_with_key();
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
    let (mut desk, origin) = (desk_with_key(), Origin::start());
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
