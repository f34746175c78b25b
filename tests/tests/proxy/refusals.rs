//! Why a target was not reached, in the words of the user's program: curl, git and ssh.

use std::net::SocketAddr;
use std::process::Command;
use std::thread;
use striper_tests::{Finished, Program, Proxy, TempDir, Vacant, binary, connect, pair, run};

const SOON: [&str; 2] = ["--connect-timeout", "1s"];

/// A proxy whose client can't reach a target, and what programs say about it.
struct Case<'a> {
    client: &'a Proxy,
    server: SocketAddr,
    key: &'a str,
    target: String,
    /// The reply of SOCKS5, and the status code of HTTP.
    codes: [&'static str; 2],
    /// The text of the proxy's answer, and a part of what `-W` says.
    texts: [&'static str; 2],
}

/// Runs all at once, since some wait for a timeout. Gives all that each prints.
fn told(commands: Vec<Command>) -> Vec<String> {
    thread::scope(|scope| {
        let run = |mut command: Command| scope.spawn(move || Finished::of(&mut command));
        let running: Vec<_> = commands.into_iter().map(run).collect();
        let finished = running.into_iter().map(|thread| thread.join().expect("a finished command"));
        finished
            .map(|Finished { code, stdout, stderr }| format!("{code:?} {stdout}{stderr}"))
            .collect()
    })
}

fn ask([curl, git, ssh]: &[Program; 3], case: &Case<'_>) -> Vec<Command> {
    let (proxy, target) = (case.client.addr(), &case.target);
    let url = format!("http://{target}/");
    let by_curl = |words: &[&str]| {
        let mut command = curl.command();
        command.args(["-sS", "-w", " %{http_code} %{http_connect}", &url]).args(words);
        command
    };
    let by_git = |scheme: &str, url: &str| {
        let mut command = git.command();
        command.args(["-c", &format!("http.proxy={scheme}://{proxy}"), "ls-remote", url]);
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        command
    };
    let (host, port) = target.rsplit_once(':').expect("a port");
    let own = format!(
        "ProxyCommand={} client {} -k {} --connect-timeout 1s -W %h:%p",
        binary::path().display(),
        case.server,
        case.key
    );
    let mut by_ssh = ssh.command();
    by_ssh.args(["-F", "none", "-o", "BatchMode=yes", "-o", &own, "-p", port, host]);
    let [socks4, http] = ["socks4a", "http"].map(|scheme| format!("{scheme}://{proxy}"));
    vec![
        by_curl(&["-x", &format!("socks5h://{proxy}")]),
        by_git("socks5h", &url),
        by_curl(&["-x", &http]),
        by_git("http", &url),
        by_curl(&["-p", "-x", &http]),
        by_git("http", &format!("https://{target}/")),
        by_curl(&["-x", &socks4]),
        by_ssh,
    ]
}

fn check(programs: &[Program; 3], case: &Case<'_>) {
    let ([socks, http], [answer, own]) = (case.codes, case.texts);
    let parts = [socks, socks, answer, answer, http, http, "(91)", own];
    let mut commands = ask(programs, case);
    for command in &mut commands {
        command.env_remove("no_proxy").env_remove("NO_PROXY");
    }
    for (told, part) in told(commands).iter().zip(parts) {
        assert!(
            told.contains(part),
            "{} by {:?}: not {part}: {told}",
            case.target,
            case.client.addr()
        );
    }
}

#[test]
fn programs_say_what_was_wrong_with_their_target_or_the_pair() {
    let Some(programs) = Program::find(["curl", "git", "ssh"]) else { return };
    let folder = TempDir::create();
    let [key, wrong] = ["key", "wrong"].map(|name| {
        run(&["keygen", &folder.text(name)], &[]).success();
        folder.text(name)
    });
    let rules = ["--allow", "127.0.0.1:*", "--allow", "*.invalid:80", "-k", &key, SOON[0], SOON[1]];
    let (server, client) = pair(&rules, &["-D", "0", "-k", &key]);
    let (nobody, vacant, full) = (Vacant::reserve(), Vacant::reserve(), Vacant::reserve());
    let full = full.listen_to_one();
    let _waiting = connect(full.addr());
    let start = |server: SocketAddr, key: &str| {
        Proxy::start(&["client", &server.to_string(), "-D", "0", "-k", key, SOON[0], SOON[1]])
    };
    let (lost, stranger) = (start(nobody.addr(), &key), start(server.addr(), &wrong));
    let refused = vacant.addr().to_string();
    let case = |target: &str, codes, texts| {
        let (server, target) = (server.addr(), target.to_owned());
        check(&programs, &Case { client: &client, server, key: &key, target, codes, texts });
    };
    case(
        &refused,
        ["(5)", "502"],
        ["the target refused the connection", "refused: connection to the target refused"],
    );
    case(
        "192.0.2.1:80",
        ["(2)", "403"],
        ["the server does not allow this target", "refused: target not allowed"],
    );
    case(
        "nowhere.invalid:80",
        ["(4)", "502"],
        ["the target's name is unknown", "refused: target's name unknown"],
    );
    case(
        &full.addr().to_string(),
        ["(6)", "504"],
        ["the target did not answer in time", "refused: connection to the target timed out"],
    );
    let (codes, target) = (["(1)", "503"], refused);
    for (client, server, key, texts) in [
        (
            &lost,
            nobody.addr(),
            &key,
            ["the proxy can't reach its server", "server unreachable: connection refused"],
        ),
        (
            &stranger,
            server.addr(),
            &wrong,
            ["don't accept each other's keys", "shows a key that is not accepted here"],
        ),
    ] {
        let target = target.clone();
        check(&programs, &Case { client, server, key, target, codes, texts });
    }
}
