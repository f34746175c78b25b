//! A file of settings that is read again while connections are open.

use std::net::SocketAddr;
use std::thread;
use striper_tests::listed::{keygen, pubkey};
use striper_tests::{
    Event, Origin, Proxy, TempDir, UP, Vacant, connect, exchange, expect_reset, expect_reset_at,
    try_connect,
};

/// A program with a file of settings.
struct Filed {
    folder: TempDir,
    proxy: Proxy,
}

impl Filed {
    fn start(text: &str) -> Filed {
        Filed::start_in(TempDir::create(), text)
    }

    fn start_in(folder: TempDir, text: &str) -> Filed {
        let file = folder.write("striper.toml", text);
        Filed { folder, proxy: Proxy::start_with(&["run", "-f", &file], &[]) }
    }

    /// Writes the file anew, has it read, and returns what the log says about that.
    fn reload(&self, text: &str, event: &str) -> Event {
        let earlier = self.proxy.count(event);
        self.folder.write("striper.toml", text);
        self.proxy.hang_up();
        self.proxy.wait_for_some(event, earlier + 1).swap_remove(earlier)
    }

    /// The changes of a reload that goes well.
    fn changed(&self, text: &str) -> String {
        let told = self.reload(text, "reloaded");
        assert_eq!(told.text("needs_restart"), "", "{told}");
        told.text("changed").to_owned()
    }

    /// The address where a reload has opened a listener.
    fn opened(&self, text: &str) -> SocketAddr {
        let told = self.reload(text, "reloaded");
        let place = told.text("opened").split(' ').next().unwrap_or_default();
        place.parse().unwrap_or_else(|_| panic!("no new address in {told}"))
    }

    /// A reload changes nothing, for a cause with these parts.
    fn fails(&self, text: &str, parts: &[&str]) -> Event {
        let told = self.reload(text, "not_reloaded");
        assert_eq!(told.text("level"), "warn");
        for part in [&["the old settings stay"], parts].concat() {
            assert!(told.text("message").contains(part), "{part} is not in {told}");
        }
        told
    }
}

/// A server without a file, whose clients may name each target of this machine.
fn server() -> Proxy {
    Proxy::start(&["server", "127.0.0.1:0", "--allow", "127.0.0.0/8:*", "--allow-listen", "*"])
}

fn forward(listen: SocketAddr, target: &Origin) -> String {
    let target = target.addr();
    format!("[[client.forward]]\nlisten = \"{listen}\"\ntarget = \"{target}\"\n")
}

fn client(server: &Proxy, more: &str) -> String {
    format!("[client]\nserver = \"{}\"\n{more}", server.addr())
}

/// Both ends of a new connection that is carried.
fn open(at: SocketAddr, target: &Origin) -> (std::net::TcpStream, std::net::TcpStream) {
    let (mut local, mut there) = (connect(at), target.accept());
    UP.send(&mut local, 0..10);
    UP.expect(&mut there, 0..10);
    (local, there)
}

#[test]
fn ways_come_and_go_and_lead_elsewhere_while_connections_are_open() {
    let ([one, other], server) = ([(); 2].map(|()| Origin::start()), server());
    let [first, second] = [(); 2].map(|()| Vacant::reserve());
    let (a, b) = (first.addr(), second.addr());
    let filed = Filed::start(&client(&server, &forward(a, &one)));
    let (local, target) = open(a, &one);
    let both = client(&server, &(forward(b, &one) + &forward(a, &one)));
    assert_eq!(filed.changed(&both), format!("+listening on {b} for {}", one.addr()));
    let (of_b, target_of_b) = open(b, &one);
    exchange(&local, &target, 10..100_000);
    let changed = filed.changed(&client(&server, &forward(a, &other)));
    let (old, new) = (one.addr(), other.addr());
    assert_eq!(
        changed,
        format!(
            "-listening on {a} for {old}, -listening on {b} for {old}, +listening on {a} for {new}"
        )
    );
    assert!(try_connect(b).is_err(), "its listener is closed");
    let (of_other, target_of_other) = open(a, &other);
    exchange(&of_other, &target_of_other, 10..100_000);
    exchange(&of_b, &target_of_b, 10..100_000);
    exchange(&local, &target, 100_000..200_000);
    let told = filed.reload(&client(&server, &forward(a, &other)), "reloaded");
    assert_eq!(told.text("message"), "reloaded: nothing changed");
    assert_eq!(filed.proxy.count("session_ended"), 0);
}

#[test]
fn a_port_that_is_taken_leaves_everything_as_it_was() {
    let ([origin, program], server) = ([(); 2].map(|()| Origin::start()), server());
    let [first, second] = [(); 2].map(|()| Vacant::reserve());
    let (a, b) = (first.addr(), second.addr());
    let text = client(&server, &forward(a, &origin));
    let filed = Filed::start(&text);
    let (local, target) = open(a, &origin);
    let more = format!("{}{}", forward(b, &origin), forward(program.addr(), &origin));
    let wrong = client(&server, &more) + "[log]\nlevel = \"verbose\"\n";
    let taken = format!("cannot listen on {}: another program listens there", program.addr());
    filed.fails(&wrong, &[&taken, "choose another port"]);
    assert!(try_connect(b).is_err(), "a port that was free is not open either");
    exchange(&local, &target, 10..100_000);
    open(a, &origin);
    assert_eq!(filed.changed(&text), "", "nothing was left half done");
}

#[test]
fn a_file_with_a_mistake_leaves_everything_as_it_was() {
    let (origin, server, port) = (Origin::start(), server(), Vacant::reserve());
    let text = client(&server, &forward(port.addr(), &origin));
    let filed = Filed::start(&text);
    let (local, target) = open(port.addr(), &origin);
    for (wrong, part) in [
        ("", "it is empty"),
        ("[client]\nserver = \n", "striper.toml"),
        ("[client]\nserver = \"127.0.0.1:1\"\nelephants = 3\n", "elephants"),
        ("[client]\nserver = \"127.0.0.1:1\"\n", "client needs at least one way in"),
    ] {
        filed.fails(wrong, &[part]);
    }
    std::fs::remove_file(filed.folder.join("striper.toml")).unwrap();
    filed.proxy.hang_up();
    let told = filed.proxy.wait_for_some("not_reloaded", 5).swap_remove(4);
    assert!(told.text("message").contains("No such file"), "{told}");
    exchange(&local, &target, 10..100_000);
    open(port.addr(), &origin);
    assert_eq!(filed.changed(&text), "");
}

#[test]
fn what_needs_a_restart_is_named_and_the_rest_is_applied() {
    let (origin, server, port) = (Origin::start(), server(), Vacant::reserve());
    let ways = forward(port.addr(), &origin);
    let filed = Filed::start(&client(&server, &ways));
    open(port.addr(), &origin);
    let text =
        client(&server, "stripes = 7\nscheduler = \"rr\"\nconnect-timeout = \"3s\"\n") + &ways;
    let told = filed.reload(&text, "reloaded");
    let message = "reloaded: connect-timeout 3s; these settings need a restart: stripes, scheduler";
    assert_eq!((told.text("message"), told.text("level")), (message, "warn"), "{told}");
    let told = filed.reload(&text, "reloaded");
    let message = "reloaded: nothing changed; these settings need a restart: stripes, scheduler";
    assert_eq!(told.text("message"), message, "until that it is said each time");
    open(port.addr(), &origin);
}

#[test]
fn a_file_is_checked_by_itself_and_with_the_settings_that_need_a_restart() {
    let folder = TempDir::create();
    let key = keygen(&folder, "own.key", &[]);
    let listen = "[[client.forward]]\nlisten = \"127.0.0.1:0\"\n";
    // Nobody answers there.
    let elsewhere = |more: &str| format!("[client]\nserver = \"192.0.2.1:1\"\n{more}\n{listen}");
    let filed = Filed::start(&elsewhere(""));
    let proxy = "[[client.proxy]]\nlisten = \"127.0.0.1:0\"\n";
    for (more, parts) in [
        ("congestion = \"nosuch\"", ["striper.toml: congestion nosuch", "there is no"]),
        ("key = \"missing\"", ["missing", "No such file"]),
    ] {
        filed.fails(&elsewhere(more), &parts);
    }
    let keyed = elsewhere(&format!("key = \"{key}\"")) + proxy;
    filed.fails(&keyed, &["need a key", "these settings need a restart: key; restart the program"]);
    let told = filed.reload(&elsewhere(&format!("key = \"{key}\"")), "reloaded");
    assert_eq!(told.text("needs_restart"), "key");
    let here = filed.folder.write("striper.toml", elsewhere("").replace("192.0.2.1", "127.0.0.1"));
    let local = Proxy::start_with(&["run", "-f", &here], &[]);
    let wrong = elsewhere("") + proxy;
    std::fs::write(&here, &wrong).expect("a file");
    local.hang_up();
    let told = local.wait_for("not_reloaded");
    assert!(told.text("message").contains("need a key: 192.0.2.1:1"), "{told}");
}

#[test]
fn a_file_for_another_command_changes_nothing() {
    let ([own, named], port) = ([(); 2].map(|()| Origin::start()), Vacant::reserve());
    let filed = Filed::start(&serving(port.addr(), &own, &[&named], ""));
    let way = format!("127.0.0.1:0:{}", named.addr());
    let client = Proxy::start(&["client", &port.addr().to_string(), "-L", &way]);
    let (local, target) = client.open(&named);
    let other = format!("[relay]\nlisten = \"127.0.0.1:0\"\nconnect = \"{}\"\n", own.addr());
    filed.fails(&other, &["the file is for a relay now, and this is a server"]);
    exchange(&local, &target, 10..100_000);
}

#[test]
fn a_changed_level_and_format_hold_for_the_log_at_once() {
    let (origin, server, port) = (Origin::start(), server(), Vacant::reserve());
    let text = client(&server, &forward(port.addr(), &origin));
    let filed = Filed::start(&(text.clone() + "[log]\nlevel = \"normal\"\n"));
    open(port.addr(), &origin);
    assert_eq!(filed.proxy.count("stripe_up"), 0);
    let verbose = text.clone() + "[log]\nlevel = \"verbose\"\n";
    assert_eq!(filed.changed(&verbose), "log level verbose");
    let mut server = server;
    server.kill();
    filed.proxy.wait_for("stripe_lost");
}

/// A server with a file: its address, its own target, and the rules for others.
fn serving(listen: SocketAddr, target: &Origin, allow: &[&Origin], more: &str) -> String {
    let rules: Vec<String> = allow.iter().map(|origin| format!("\"{}\"", origin.addr())).collect();
    let (target, rules) = (target.addr(), rules.join(", "));
    format!("[server]\nlisten = \"{listen}\"\ntarget = \"{target}\"\nallow = [{rules}]\n{more}")
}

#[test]
fn changed_rules_reset_what_they_no_longer_allow_and_spare_the_rest() {
    let [own, kept, denied] = [(); 3].map(|()| Origin::start());
    let port = Vacant::reserve();
    let filed = Filed::start(&serving(port.addr(), &own, &[&kept, &denied], ""));
    let ways = [&own, &kept, &denied].map(|origin| format!("127.0.0.1:0:{}", origin.addr()));
    let address = port.addr().to_string();
    let client =
        Proxy::start(&["client", &address, "-L", "127.0.0.1:0", "-L", &ways[1], "-L", &ways[2]]);
    let ready = client.wait_for("ready");
    let places: Vec<SocketAddr> =
        ready.text("listen").split(", ").map(|place| place.parse().unwrap()).collect();
    let (local, target) = open(places[0], &own);
    let (of_kept, target_of_kept) = open(places[1], &kept);
    let (mut of_denied, mut target_of_denied) = open(places[2], &denied);
    assert_eq!(filed.changed(&serving(port.addr(), &own, &[&kept], "")), "rules");
    assert!(expect_reset(&mut of_denied).is_empty());
    assert!(expect_reset(&mut target_of_denied).is_empty());
    let ended = filed.proxy.wait_for("connection_ended");
    assert_eq!(ended.text("reason"), "reset: the rules no longer allow its target", "{ended}");
    let told = client.wait_for("connection_ended");
    assert!(told.text("reason").contains("not allowed"), "{told}");
    expect_reset_at(places[2]);
    exchange(&of_kept, &target_of_kept, 10..100_000);
    exchange(&local, &target, 10..100_000);
    // Another target of its own is for new connections.
    assert_eq!(filed.changed(&serving(port.addr(), &denied, &[&kept], "")), "target");
    open(places[0], &denied);
    exchange(&local, &target, 100_000..200_000);
    filed.fails(&serving(port.addr(), &own, &[], "").replace("target", "# target"), &["no target"]);
}

#[test]
fn a_server_and_a_relay_that_move_keep_their_connections() {
    let (origin, other) = (Origin::start(), Origin::start());
    let [first, second] = [(); 2].map(|()| Vacant::reserve());
    let filed = Filed::start(&serving(first.addr(), &origin, &[], ""));
    let client = Proxy::client(first.addr(), &[]);
    client.wait_for_all_stripes();
    let (local, target) = client.open(&origin);
    let at_all = SocketAddr::from(([0, 0, 0, 0], second.addr().port()));
    for (listen, limits) in [
        (second.addr(), ""),
        // The same number, at all addresses.
        (at_all, "[limits]\nsessions = 3\n"),
        (second.addr(), ""),
    ] {
        let opened = filed.opened(&serving(listen, &origin, &[], limits));
        assert_eq!(opened, listen);
        Proxy::client(second.addr(), &[]).open(&origin);
        exchange(&local, &target, 10..100_000);
    }
    assert!(try_connect(first.addr()).is_err());
    assert_eq!(client.count("stripe_lost"), 0);
    let relay = |port: SocketAddr, target: &Origin| {
        format!("[relay]\nlisten = \"{port}\"\nconnect = \"{}\"\n", target.addr())
    };
    let third = Vacant::reserve();
    let filed = Filed::start(&relay(first.addr(), &origin));
    let (local, target) = open(first.addr(), &origin);
    assert_eq!(filed.opened(&relay(third.addr(), &other)), third.addr());
    open(third.addr(), &other);
    assert!(try_connect(first.addr()).is_err());
    exchange(&local, &target, 10..100_000);
}

#[test]
fn a_client_gets_its_first_listener_of_the_server_and_loses_it_again() {
    let (origin, server, port) = (Origin::start(), server(), Vacant::reserve());
    let (way, there) = (forward(port.addr(), &origin), Vacant::reserve());
    let filed = Filed::start(&client(&server, &way));
    open(port.addr(), &origin);
    let remote = format!(
        "[[client.remote]]\nlisten = \"{}\"\ntarget = \"{}\"\n",
        there.addr(),
        origin.addr()
    );
    filed.changed(&client(&server, &(way.clone() + &remote)));
    filed.proxy.wait_for("listening");
    let (local, target) = open(there.addr(), &origin);
    filed.changed(&client(&server, &way));
    server.wait_for("listener_ended");
    assert!(try_connect(there.addr()).is_err());
    exchange(&local, &target, 10..100_000);
}

#[test]
fn keys_and_peers_of_a_file_are_read_again_and_a_wrong_one_changes_nothing() {
    let (folder, origin, port) = (TempDir::create(), Origin::start(), Vacant::reserve());
    let own = keygen(&folder, "own.key", &["--pair"]);
    let keys = ["ann", "bob"].map(|name| keygen(&folder, &format!("{name}.key"), &["--pair"]));
    let servers = folder.write("servers", pubkey(&own));
    let peer = |name: &str, key: &str| {
        let public = pubkey(key);
        let public = public.split(' ').next().unwrap_or_default();
        format!("[[peers]]\nkey = \"{public}\"\nname = \"{name}\"\n")
    };
    let [ann, bob] = [peer("ann", &keys[0]), peer("bob", &keys[1])];
    let text =
        |peers: &str| serving(port.addr(), &origin, &[], &format!("key = \"{own}\"\n{peers}"));
    let filed = Filed::start(&text(&ann));
    let start = |key: &str| Proxy::client(port.addr(), &["-k", key, "--peers", &servers]);
    let (of_ann, of_bob) = (start(&keys[0]), start(&keys[1]));
    let (mut local, _target) = of_ann.open(&origin);
    of_bob.wait_for("peer_unreachable");
    let changed = filed.changed(&text(&(ann.clone() + &bob)));
    assert_eq!(changed, "keys (key own, 2 peers)");
    let keeper = start(&keys[1]);
    let (kept, kept_target) = keeper.open(&origin);
    filed.fails(&text("[[peers]]\nkey = \"nonsense\"\nname = \"ann\"\n"), &["striper.toml"]);
    assert_eq!(filed.changed(&text(&(ann + &bob))), "");
    assert_eq!(filed.changed(&text(&bob)), "keys (key own, 1 peer)");
    assert!(expect_reset(&mut local).is_empty());
    exchange(&kept, &kept_target, 10..100_000);
    let told = filed.reload(&serving(port.addr(), &origin, &[], ""), "reloaded");
    assert_eq!(told.text("needs_restart"), "key", "stripes stay encrypted: {told}");
    exchange(&kept, &kept_target, 100_000..200_000);
}

#[test]
fn a_hundred_reloads_under_a_transfer_cut_nothing_and_leave_no_descriptor_open() {
    const RELOADS: usize = 100;
    let (origin, server) = (Origin::start(), server());
    let [first, second] = [(); 2].map(|()| Vacant::reserve());
    let few = client(&server, &forward(first.addr(), &origin));
    let many =
        client(&server, &(forward(first.addr(), &origin) + &forward(second.addr(), &origin)));
    let filed = Filed::start(&few);
    let (local, target) = open(first.addr(), &origin);
    filed.changed(&many);
    filed.changed(&few);
    let files = filed.proxy.files();
    thread::scope(|scope| {
        let transfer = scope.spawn(|| exchange(&local, &target, 10..50_000_000));
        for number in 0..RELOADS {
            let text = if number % 2 == 0 { &many } else { &few };
            assert!(filed.changed(text).contains("listening on"));
        }
        transfer.join().expect("a transfer");
    });
    assert_eq!(filed.proxy.files(), files);
    exchange(&local, &target, 50_000_000..50_100_000);
}
