//! Common programs talk through a pair, and some also through datagrams and a relay. Tests of
//! programs that are not installed are skipped.

use std::fs;
use std::net::SocketAddr;
use std::process::Stdio;
use striper_tests::{
    Finished, Inetd, Origin, Pair, Pattern, Program, Proxy, Sshd, TempDir, Vacant, Way, binary,
    servers, start_until,
};

const SIZE: u64 = 32 << 20;

#[test]
fn curl_gets_a_file_a_part_of_it_and_uploads_one_through_nginx() {
    let Some([curl, nginx]) = Program::find(["curl", "nginx"]) else { return };
    let (files, port) = (TempDir::create(), Vacant::reserve());
    fs::create_dir(files.join("root")).unwrap();
    let data = Pattern(1).bytes(0..SIZE);
    files.write("root/down", &data);
    let up = files.write("up", Pattern(2).bytes(0..SIZE));
    let _server = servers::nginx(&nginx, &files, &port.addr().to_string(), "");
    let pair = Pair::to(port.addr());
    let url = |name: &str| format!("http://{}/{name}", pair.client.addr());
    let got = files.text("got");
    curl.run(["-sSf", "--noproxy", "*", "-o", &got, &url("down")]);
    Pattern(1).check(0, &files.read("got"));
    assert_eq!(files.read("got").len() as u64, SIZE);
    curl.run(["-sSf", "--noproxy", "*", "-r", "1000000-2999999", "-o", &got, &url("down")]);
    assert_eq!(files.read("got"), data[1_000_000..3_000_000]);
    curl.run(["-sSf", "--noproxy", "*", "-T", &up, &url("stored")]);
    assert!(files.read("root/stored") == files.read("up"));
}

/// An ssh server at the end of a way.
struct Ssh {
    sshd: Sshd,
    proxies: Vec<Proxy>,
}

impl Ssh {
    fn start(sshd: &Program, keygen: &Program, way: Way) -> Option<Ssh> {
        let sshd = Sshd::start(sshd, keygen)?;
        let proxies = way.start(sshd.addr(), &[]);
        Some(Ssh { sshd, proxies })
    }

    fn port(&self) -> String {
        self.proxies[self.proxies.len() - 1].addr().port().to_string()
    }

    /// How other programs are told to call ssh.
    fn command(&self, ssh: &Program) -> String {
        format!("{} {} -p {}", ssh.path().display(), self.sshd.options().join(" "), self.port())
    }
}

#[test]
fn ssh_runs_a_command_and_scp_copies_both_ways() {
    let Some([sshd, ssh, scp, keygen]) = Program::find(["sshd", "ssh", "scp", "ssh-keygen"]) else {
        return;
    };
    for way in Way::ALL {
        let Some(server) = Ssh::start(&sshd, &keygen, way) else { return };
        let (files, port, options) = (&server.sshd.files, server.port(), server.sshd.options());
        let options = options.iter().map(String::as_str);
        let words = options.clone().chain(["-p", &port, "localhost", "echo first; cat; exit 7"]);
        let finished = Finished::of(ssh.command().args(words));
        assert_eq!((finished.code, &*finished.stdout), (Some(7), "first\n"), "{}", finished.stderr);
        let sent = files.write("sent", Pattern(1).bytes(0..SIZE));
        let there = files.text("there");
        let [remote, back] = [format!("localhost:{there}"), files.text("back")];
        scp.run(options.clone().chain(["-q", "-P", &port, &sent, &remote]));
        scp.run(options.chain(["-q", "-P", &port, &remote, &back]));
        for copy in ["there", "back"] {
            assert!(files.read(copy) == files.read("sent"), "{copy}");
        }
    }
}

#[test]
fn rsync_copies_a_tree_both_ways_and_then_only_what_has_changed() {
    let Some([sshd, ssh, keygen, rsync]) = Program::find(["sshd", "ssh", "ssh-keygen", "rsync"])
    else {
        return;
    };
    let Some(server) = Ssh::start(&sshd, &keygen, Way::Stripes) else { return };
    let (files, command) = (&server.sshd.files, server.command(&ssh));
    fs::create_dir_all(files.join("from/deep")).unwrap();
    files.write("from/large", Pattern(1).bytes(0..SIZE / 2));
    for number in 0..300 {
        files.write(&format!("from/deep/{number}"), Pattern(number).bytes(0..number * 20));
    }
    let (from, there, back) = (files.text("from/"), files.text("there"), files.text("back"));
    let remote = format!("localhost:{there}/");
    rsync.run(["-a", "-e", &command, &from, &remote]);
    rsync.run(["-a", "-e", &command, &remote, &back]);
    let mut changed = files.read("from/large");
    changed[12_345] ^= 1;
    files.write("from/large", changed);
    rsync.run(["-a", "-e", &command, &from, &remote]);
    assert!(files.read("there/large") == files.read("from/large"));
    for number in 0..300 {
        Pattern(number).check(0, &files.read(&format!("back/deep/{number}")));
    }
    Pattern(1).check(0, &files.read("back/large"));
}

#[test]
fn ssh_and_rsync_start_a_client_of_their_own() {
    let Some([sshd, ssh, keygen, rsync]) = Program::find(["sshd", "ssh", "ssh-keygen", "rsync"])
    else {
        return;
    };
    let Some(target) = Ssh::start(&sshd, &keygen, Way::Relay) else { return };
    let server = Proxy::start(&["server", "127.0.0.1:0", "--allow", "127.0.0.1:*"]);
    let proxy = format!("{} client {} -W %h:%p", binary::path().display(), server.addr());
    let command = format!("{} -o 'ProxyCommand={proxy}'", target.command(&ssh));
    let files = &target.sshd.files;
    let sent = files.write("sent", Pattern(1).bytes(0..SIZE));
    rsync.run(["-e", &command, &sent, &format!("127.0.0.1:{}", files.text("there"))]);
    assert!(files.read("there") == files.read("sent"));
    let (port, option) = (target.port(), format!("ProxyCommand={proxy}"));
    let options = target.sshd.options();
    let words = options.iter().map(String::as_str);
    let words = words.chain(["-o", &option, "-p", &port, "127.0.0.1", "echo first; exit 7"]);
    let finished = Finished::of(ssh.command().args(words));
    assert_eq!((finished.code, &*finished.stdout), (Some(7), "first\n"), "{}", finished.stderr);
    assert_eq!(finished.stderr, "", "the client says nothing if all is well");
}

#[test]
fn git_clones_and_pushes_through_its_daemon() {
    let Some([git]) = Program::find(["git"]) else { return };
    let files = TempDir::create();
    let run = |folder: &str, words: &[&str]| {
        let name =
            ["-c", "user.name=a", "-c", "user.email=a@localhost", "-c", "protocol.version=2"];
        let mut command = git.command();
        command.args(["-C", folder]).args(name).args(words);
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        Finished::of(&mut command).success()
    };
    for folder in ["served", "work"] {
        fs::create_dir(files.join(folder)).unwrap();
    }
    let (served, work) = (files.text("served"), files.text("work"));
    run(&work, &["init", "-q", "-b", "main"]);
    files.write("work/large", Pattern(1).bytes(0..SIZE / 2));
    (0..100).for_each(|number| {
        _ = files.write(&format!("work/{number}"), Pattern(number).bytes(0..1000))
    });
    run(&work, &["add", "."]);
    run(&work, &["commit", "-q", "-m", "one"]);
    run(&served, &["clone", "-q", "--bare", &work, "repo"]);
    for (number, way) in (0..).zip(Way::ALL) {
        let origin = Origin::start();
        let proxies = way.start(origin.addr(), &[]);
        let mut daemon = git.command();
        daemon.args(["daemon", "--inetd", "--export-all", "--enable=receive-pack"]);
        daemon.args([&format!("--base-path={served}"), &served]);
        let _daemon = Inetd::serve(origin, daemon);
        let url = format!("git://{}/repo", proxies[proxies.len() - 1].addr());
        let name = format!("clone{number}");
        run(&served, &["clone", "-q", &url, &name]);
        let clone = files.text(&format!("served/{name}"));
        run(&clone, &["fsck", "--strict"]);
        assert!(files.read(&format!("served/{name}/large")) == files.read("work/large"));
        files.write(&format!("served/{name}/new{number}"), Pattern(9 + number).bytes(0..5_000_000));
        run(&clone, &["add", "."]);
        run(&clone, &["commit", "-q", "-m", &name]);
        run(&clone, &["push", "-q"]);
        let pushed = run(&files.text("served/repo"), &["rev-parse", "main"]);
        assert_eq!(pushed, run(&clone, &["rev-parse", "HEAD"]));
    }
}

#[test]
fn iperf3_measures_forward_reverse_and_both_ways_at_once() {
    let Some([iperf3]) = Program::find(["iperf3"]) else { return };
    let port = Vacant::reserve();
    let SocketAddr::V4(address) = port.addr() else { panic!("an IPv4 address") };
    let (ip, number) = (address.ip().to_string(), address.port().to_string());
    let pair = Pair::to(port.addr());
    let port = pair.client.addr().port().to_string();
    for (direction, streams) in [(None, "1"), (Some("-R"), "1"), (Some("--bidir"), "2")] {
        // One for each run: the client may end before a server of iperf3 is ready for the next.
        let mut server = iperf3.command();
        server.args(["-s", "--forceflush", "-B", &ip, "-p", &number]);
        let _server = start_until(server.stdout(Stdio::piped()), "Server listening");
        let words = ["-c", "127.0.0.1", "-p", &port, "-n", "32M", "-P", streams, "-J"];
        let report = iperf3.run(words.into_iter().chain(direction));
        assert!(report.contains("\"sum_received\"") && !report.contains("\"error\""), "{report}");
    }
}
