//! Common programs talk through a pair, and some also through datagrams and a relay. Tests of
//! programs that are not installed are skipped.

use sha2::{Digest, Sha256};
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use striper_tests::{
    Finished, Inetd, LIMIT, Origin, Pair, Pattern, Program, Proxy, Sshd, TempDir, Vacant, Way,
    binary, pair, servers, start_until,
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
        Finished::of(git_in(&git, folder).args(["-c", "protocol.version=2"]).args(words)).success()
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

/// Git without the user's settings, and with a name for commits.
fn git_in(git: &Program, folder: &str) -> Command {
    let mut command = git.command();
    command.args(["-C", folder, "-c", "user.name=a", "-c", "user.email=a@localhost"]);
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    command
}

#[test]
fn git_clones_and_pushes_over_an_ssh_that_starts_a_client() {
    let Some([sshd, ssh, keygen, git]) = Program::find(["sshd", "ssh", "ssh-keygen", "git"]) else {
        return;
    };
    let Some(sshd) = Sshd::start(&sshd, &keygen) else { return };
    let server = Proxy::start(&["server", "127.0.0.1:0", "--allow", "127.0.0.1:*"]);
    let proxy = format!("{} client {} -W %h:%p", binary::path().display(), server.addr());
    let options = sshd.options().join(" ");
    let ssh = format!("{} {options} -o 'ProxyCommand={proxy}'", ssh.path().display());
    let files = &sshd.files;
    let (root, clone) = (files.text(""), files.text("clone"));
    let run = |folder: &str, words: &[&str]| {
        let mut command = git_in(&git, folder);
        Finished::of(command.env("GIT_SSH_COMMAND", &ssh).args(words)).success()
    };
    run(&root, &["init", "-q", "--bare", "-b", "main", "repo"]);
    let url = format!("ssh://{}{}", sshd.addr(), files.text("repo"));
    run(&root, &["clone", "-q", &url, "clone"]);
    files.write("clone/large", Pattern(1).bytes(0..SIZE / 4));
    run(&clone, &["add", "."]);
    run(&clone, &["commit", "-q", "-m", "one"]);
    run(&clone, &["push", "-q", "origin", "HEAD:main"]);
    run(&root, &["clone", "-q", &url, "again"]);
    assert!(files.read("again/large") == files.read("clone/large"));
}

#[test]
fn git_and_wget_speak_tls_to_a_web_server_through_the_proxy() {
    let Some([git, wget, nginx, openssl]) = Program::find(["git", "wget", "nginx", "openssl"])
    else {
        return;
    };
    let (files, port) = (TempDir::create(), Vacant::reserve());
    for folder in ["root", "work"] {
        fs::create_dir(files.join(folder)).unwrap();
    }
    let (key, certificate) = (files.text("key"), files.text("certificate"));
    let words = "req -x509 -nodes -newkey rsa:2048 -days 2 -subj /CN=localhost \
                 -addext subjectAltName=DNS:localhost";
    openssl.run(words.split_whitespace().chain(["-keyout", &key, "-out", &certificate]));
    let tls = format!("ssl_certificate {certificate}; ssl_certificate_key {key};");
    let _nginx = servers::nginx(&nginx, &files, &format!("{} ssl", port.addr()), &tls);
    let (work, root) = (files.text("work"), files.text("root"));
    let run = |folder: &str, words: &[&str]| {
        let mut command = git_in(&git, folder);
        command.env("GIT_SSL_CAINFO", &certificate).env_remove("no_proxy").env_remove("NO_PROXY");
        Finished::of(command.args(words)).success()
    };
    run(&work, &["init", "-q", "-b", "main"]);
    files.write("work/large", Pattern(1).bytes(0..SIZE / 4));
    run(&work, &["add", "."]);
    run(&work, &["commit", "-q", "-m", "one"]);
    run(&root, &["clone", "-q", "--bare", &work, "repo"]);
    run(&files.text("root/repo"), &["update-server-info"]);
    let (_server, client) = pair(&["--allow", "localhost:*"], &["-D", "0"]);
    let url = format!("https://localhost:{}/repo", port.addr().port());
    for scheme in ["http", "socks5h"] {
        let proxy = format!("http.proxy={scheme}://{}", client.addr());
        run(&root, &["-c", &proxy, "clone", "-q", &url, &files.text(scheme)]);
        assert!(files.read(&format!("{scheme}/large")) == files.read("work/large"));
    }
    let proxy = format!("https_proxy=http://{}", client.addr());
    let got = files.text("got");
    wget.run([
        "--no-config",
        "-q",
        "-e",
        "use_proxy=yes",
        "-e",
        &proxy,
        "-e",
        "no_proxy=",
        "-O",
        &got,
        "--ca-certificate",
        &certificate,
        &format!("{url}/HEAD"),
    ]);
    assert_eq!(files.read("got"), files.read("root/repo/HEAD"));
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

/// The user that a database runs as, since it refuses to run as root: `nobody`.
const NOBODY: u32 = 65534;

#[test]
fn psql_loads_a_table_and_reads_it_back_over_tcp_and_a_unix_socket() {
    let Some([psql, postgres, initdb]) = Program::find(["psql", "postgres", "initdb"]) else {
        return;
    };
    let (files, port) = (TempDir::create(), Vacant::reserve());
    let (data, address) = (files.text("data"), port.addr());
    let as_nobody = |program: &Program| {
        let mut command = program.command();
        command.current_dir(files.join(""));
        if rustix::process::geteuid().is_root() {
            chown(files.join(""), Some(NOBODY), Some(NOBODY)).unwrap();
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    };
    let words = ["-D", &data, "-U", "me", "-A", "trust", "-N", "--locale=C", "-E", "UTF8"];
    Finished::of(as_nobody(&initdb).args(words)).success();
    let mut server = as_nobody(&postgres);
    server.args([
        "-D",
        &data,
        "-F",
        "-k",
        "",
        "-h",
        "127.0.0.1",
        "-p",
        &address.port().to_string(),
    ]);
    let mut server = start_until(server.stderr(Stdio::piped()), "ready to accept connections");
    let ways =
        [format!("127.0.0.1:0:{address}"), format!("{}:{address}", files.text(".s.PGSQL.1"))];
    let (_server, client) = pair(&["--allow", "127.0.0.1:*"], &["-L", &ways[0], "-L", &ways[1]]);
    let row = |number: usize| format!("{number}\t{}\n", "x".repeat(number % 200));
    let rows: String = (0..100_000).map(row).collect();
    let (table, back) = (files.write("rows", &rows), files.text("back"));
    let port = client.addr().port().to_string();
    for [host, port] in [["127.0.0.1", &port], [&files.text(""), "1"]] {
        let ask = |question: &str| {
            let mut command = psql.command();
            command.args(["-Xq", "-v", "ON_ERROR_STOP=1", "-U", "me", "-d", "postgres"]);
            Finished::of(command.args(["-h", host, "-p", port, "-c", question]))
        };
        ask("drop table if exists t; create table t (number int, text text)").success();
        ask(&format!("\\copy t from '{table}'")).success();
        ask(&format!("\\copy (select * from t order by number) to '{back}'")).success();
        assert!(files.read("back") == rows.as_bytes(), "{host}");
        let failed = ask("select 1/0");
        assert!(failed.stderr.contains("division by zero"), "{failed:?}");
    }
    server.signal(rustix::process::Signal::INT);
    assert!(server.wait(LIMIT).is_some_and(|status| status.success()));
}

#[test]
fn apt_gets_a_package_from_a_mirror_through_the_proxy() {
    let Some([apt, dpkg, nginx]) = Program::find(["apt-get", "dpkg-deb", "nginx"]) else { return };
    let (files, port) = (TempDir::create(), Vacant::reserve());
    for folder in ["root", "package/DEBIAN", "apt/etc/apt", "apt/var/lib/apt", "got"] {
        fs::create_dir_all(files.join(folder)).unwrap();
    }
    let about = "Package: striper-sample\nVersion: 1\nArchitecture: all\n\
                 Maintainer: a <a@localhost>\nDescription: a sample\n";
    files.write("package/DEBIAN/control", about);
    files.write("package/content", Pattern(1).bytes(0..SIZE / 8));
    dpkg.run(["-Znone", "-b", &files.text("package"), &files.text("root/sample.deb")]);
    let package = files.read("root/sample.deb");
    let hash: String = Sha256::digest(&package).iter().map(|byte| format!("{byte:02x}")).collect();
    let size = package.len();
    let index = format!("{about}Filename: ./sample.deb\nSize: {size}\nSHA256: {hash}\n");
    files.write("root/Packages", index);
    let _nginx = servers::nginx(&nginx, &files, &port.addr().to_string(), "");
    let (server, client) = pair(&["--allow", "localhost:*"], &["-D", "0"]);
    let mirror = format!("deb [trusted=yes] http://localhost:{} ./\n", port.addr().port());
    files.write("apt/etc/apt/sources.list", mirror);
    // Nothing of the system's apt is read or changed.
    let config = format!(
        "Dir \"{}\";\nDir::State::status \"/dev/null\";\nAPT::Sandbox::User \"root\";\n\
         Acquire::http::Proxy \"http://{}\";\nAcquire::Languages \"none\";\n",
        files.text("apt/"),
        client.addr(),
    );
    let config = files.write("apt.conf", config);
    for words in [&["update"][..], &["download", "striper-sample"]] {
        let mut command = apt.command();
        command.env("APT_CONFIG", &config).env_remove("no_proxy").current_dir(files.join("got"));
        Finished::of(command.args(words)).success();
    }
    assert!(files.read("got/striper-sample_1_all.deb") == package);
    server.wait_for("connection_opened");
}
