//! Connections that nftables redirected. The test runs itself again in a network namespace of its
//! own, where it is root and changes nothing outside.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::process::Command;
use striper_tests::{Finished, Origin, Program, Proxy, expect_reset_at, skip};

const SELF: &str = "transparent::redirected_connections_reach_the_address_that_they_were_meant_for";

/// An address that stands for one elsewhere (RFC 5737).
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);

/// The user whose connections are redirected: nobody. The proxies run as root.
const USER: u32 = 65534;

#[test]
fn redirected_connections_reach_the_address_that_they_were_meant_for() {
    if std::env::var_os("STRIPER_TEST_NAMESPACE").is_some() {
        return in_a_namespace();
    }
    let Some([unshare, ..]) = Program::find(["unshare", "ip", "nft", "curl"]) else { return };
    if !rustix::process::geteuid().is_root() {
        return skip("a network namespace needs root");
    }
    let test = std::env::current_exe().expect("a test");
    let mut command = unshare.command();
    command.arg("--net").arg(test).args(["--exact", SELF]);
    let finished = Finished::of(command.env("STRIPER_TEST_NAMESPACE", "1"));
    assert_eq!(finished.code, Some(0), "{}\n{}", finished.stdout, finished.stderr);
}

fn run(line: &str) {
    let mut words = line.split(' ');
    let mut command = Command::new(words.next().expect("a program"));
    Finished::of(command.args(words)).success();
}

fn in_a_namespace() {
    run("ip link set lo up");
    run(&format!("ip address add {ELSEWHERE}/32 dev lo"));
    let origin = Origin::on(IpAddr::V4(ELSEWHERE));
    let server = Proxy::start(&["server", "127.0.0.1:0", "--allow", &format!("{ELSEWHERE}/32:*")]);
    let client = Proxy::start(&["client", &server.addr().to_string(), "-T", "0"]);
    redirect(origin.addr(), client.addr().port());

    let url = format!("http://{}/", origin.addr());
    let answering = std::thread::spawn(move || {
        let mut target = origin.accept();
        assert!(target.read(&mut [0; 1000]).is_ok_and(|read| read > 0));
        target.write_all(b"HTTP/1.0 200 OK\r\n\r\nhere it is").expect("an answer");
    });
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--max-time", "20", &url]).uid(USER).env("HOME", "/");
    assert_eq!(Finished::of(&mut curl).success(), "here it is");
    answering.join().expect("a request");
    let opened = client.wait_for("connection_opened");
    assert_eq!(format!("http://{}/", opened.text("target")), url);

    // A connection that was not redirected would come back to the client for ever.
    expect_reset_at(client.addr());
    assert!(client.wait_for("connection_refused").text("from").starts_with("127.0.0.1:"));
}

/// Redirects connections of one user to the client's port, as docs/transparent.md shows.
fn redirect(from: SocketAddr, to: u16) {
    run("nft add table ip striper");
    let chain = "{ type nat hook output priority -100; }";
    let mut nft = Command::new("nft");
    nft.args(["add", "chain", "ip", "striper", "output", chain]);
    Finished::of(&mut nft).success();
    let (address, port) = (from.ip(), from.port());
    run(&format!(
        "nft add rule ip striper output ip daddr {address} tcp dport {port} meta skuid {USER} \
         redirect to :{to}"
    ));
}
