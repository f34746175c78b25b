//! The PROXY protocol: towards targets, and from other proxies in front of a client. The addresses
//! of a program reach the target, the log and the server, and no program can lie about its own.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;
use striper_tests::{
    DOWN, Finished, LIMIT, Origin, Process, Program, Proxy, TempDir, UP, Vacant, connect,
    expect_reset, finish, try_connect,
};

const HERE: &str = "127.0.0.1:0";

/// A server with this target, which says whose connections they are, and a client with these ways.
fn pair(target: SocketAddr, version: &str, ways: &[&str]) -> (Proxy, Proxy) {
    let options =
        ["server", HERE, &target.to_string(), "--allow", "127.0.0.1:*", "--proxy-protocol"];
    let server = Proxy::start(&[&options[..], &[version]].concat());
    let address = server.addr().to_string();
    let client = Proxy::start(&[&["client", &address], ways].concat());
    (server, client)
}

/// The line that a connection begins with.
fn line(stream: &mut impl Read) -> String {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("more of a line");
        line.extend(byte);
    }
    String::from_utf8(line).expect("a line of text")
}

/// The header of version 1 for a connection of the test.
fn line_of(program: &TcpStream) -> String {
    let ends = [program.local_addr(), program.peer_addr()].map(|end| end.expect("an address"));
    let [from, to] = ends;
    format!("PROXY TCP4 {} {} {} {}\r\n", from.ip(), to.ip(), from.port(), to.port())
}

#[test]
fn a_target_hears_the_address_of_the_program_before_its_bytes() {
    let origin = Origin::start();
    let (server, client) = pair(origin.addr(), "v1", &["-L", HERE]);
    let mut program = client.connect();
    // Nothing is needed of the program: a target such as ssh's server speaks first.
    let mut target = origin.accept();
    assert_eq!(line(&mut target), line_of(&program));
    UP.send(&mut program, 0..1000);
    UP.expect(&mut target, 0..1000);
    let opened = server.wait_for("connection_opened");
    assert_eq!(opened.text("from"), program.local_addr().unwrap().to_string());
    let (_server, client) = pair(origin.addr(), "v2", &["-L", HERE]);
    let program = client.connect();
    let mut header = [0; 28];
    origin.accept().read_exact(&mut header).unwrap();
    let [from, to] = [program.local_addr(), program.peer_addr()].map(Result::unwrap);
    let ports = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
    let begin = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\x7f\0\0\x01\x7f\0\0\x01";
    assert_eq!(header[..], [&begin[..], &ports].concat());
}

#[test]
fn a_program_without_an_address_is_unknown_to_the_target() {
    let (origin, folder) = (Origin::start(), TempDir::create());
    let path = folder.text("x.sock");
    for (version, header) in
        [("v1", &b"PROXY UNKNOWN\r\n"[..]), ("v2", b"\r\n\r\n\0\r\nQUIT\n\x21\0\0\0")]
    {
        let (server, client) = pair(origin.addr(), version, &["-L", &path, "-L", HERE]);
        let mut program = UnixStream::connect(&path).unwrap();
        UP.send(&mut program, 0..10);
        let mut target = origin.accept();
        let mut got = vec![0; header.len()];
        target.read_exact(&mut got).unwrap();
        assert_eq!(got, header);
        UP.expect(&mut target, 0..10);
        drop((client, server));
    }
}

#[test]
fn a_unix_socket_as_a_target_hears_it_too() {
    let folder = TempDir::create();
    let path = folder.text("target.sock");
    let target = UnixListener::bind(&path).unwrap();
    let allow = format!("unix:{path}");
    let server = Proxy::start(&["server", HERE, "--allow", &allow, "--proxy-protocol", "v1"]);
    let forward = format!("{HERE}:{allow}");
    let client = Proxy::start(&["client", &server.addr().to_string(), "-L", &forward]);
    let program = client.connect();
    let (mut target, _) = target.accept().unwrap();
    assert_eq!(line(&mut target), line_of(&program));
}

#[test]
fn the_header_of_another_proxy_names_the_program_everywhere() {
    let origin = Origin::start();
    let ways = ["-L", HERE, "--accept-proxy-protocol", "127.0.0.0/8"];
    let (server, client) = pair(origin.addr(), "v1", &ways);
    let said = "PROXY TCP6 2001:db8::1 2001:db8::2 50000 443\r\n";
    let mut program = client.connect();
    // The bytes behind it, in the same segment, belong to the connection.
    program.write_all(&[said.as_bytes(), &UP.bytes(0..1000)].concat()).unwrap();
    let mut target = origin.accept();
    assert_eq!(line(&mut target), said);
    UP.expect(&mut target, 0..1000);
    for proxy in [&client, &server] {
        let opened = proxy.wait_for("connection_opened");
        assert_eq!(opened.text("from"), "[2001:db8::1]:50000");
    }
    // The other proxy's own connections, and those that it knows nothing of.
    for own in [&b"\r\n\r\n\0\r\nQUIT\n\x20\x11\0\x0c123456789012"[..], b"PROXY UNKNOWN x\r\n"] {
        let mut program = client.connect();
        // In two parts.
        program.write_all(&own[..7]).unwrap();
        program.write_all(&own[7..]).unwrap();
        assert_eq!(line(&mut origin.accept()), line_of(&program));
    }
}

#[test]
fn a_header_comes_before_the_handshake_of_a_proxy() {
    let origin = Origin::start();
    let ways = ["-D", HERE, "--accept-proxy-protocol", "127.0.0.1"];
    let (_server, client) = pair(origin.addr(), "v1", &ways);
    let said = "PROXY TCP4 192.0.2.1 192.0.2.2 5 6\r\n";
    let target = origin.addr();
    let connect = format!("{said}CONNECT {target} HTTP/1.1\r\n\r\n");
    let mut program = client.connect();
    program.write_all(connect.as_bytes()).unwrap();
    assert_eq!(line(&mut origin.accept()), said);
    assert_eq!(line(&mut program), "HTTP/1.1 200 Connection established\r\n");
    assert_eq!(client.wait_for("connection_opened").text("from"), "192.0.2.1:5");
}

#[test]
fn a_connection_without_its_header_is_reset_and_the_log_says_why() {
    let origin = Origin::start();
    for way in ["-L", "-D"] {
        let ways = [way, HERE, "--accept-proxy-protocol", "127.0.0.1"];
        let (_server, client) = pair(origin.addr(), "v1", &ways);
        for (said, part) in [
            ("GET http://127.0.0.1/ HTTP/1.1\r\n\r\n", "does not begin with a PROXY header"),
            ("PROXY TCP4 1.2.3.4 1.2.3.4 99999 1\r\n", "malformed: a port"),
            ("\r\n\r\n\0\r\nQUIT\n\x31\0\0\0", "its version is neither 1 nor 2"),
            ("\r\n\r\n\0\r\nQUIT\n\x21\x11\x7f\x7f", "too long"),
        ] {
            let mut program = client.connect();
            program.write_all(said.as_bytes()).unwrap();
            assert!(expect_reset(&mut program).is_empty());
            client.wait_for_any(part, |event| {
                event.is("connection_refused") && event.text("message").contains(part)
            });
        }
        let program = client.connect();
        finish(&program);
        client.wait_for_any("an end", |event| {
            event.is("connection_refused") && event.text("message").contains("ended in its PROXY")
        });
    }
}

#[test]
fn a_header_from_an_address_that_is_not_listed_is_data() {
    let origin = Origin::start();
    let ways = ["-L", HERE, "-D", HERE, "--accept-proxy-protocol", "192.0.2.0/24"];
    let (_server, client) = pair(origin.addr(), "v1", &ways);
    let said = "PROXY TCP4 192.0.2.1 192.0.2.2 5 6\r\n";
    let mut program = client.connect();
    program.write_all(said.as_bytes()).unwrap();
    let mut target = origin.accept();
    assert_eq!([line(&mut target), line(&mut target)], [line_of(&program), said.to_owned()]);
    let ready = client.wait_for("ready");
    let listens: Vec<SocketAddr> =
        ready.text("listen").split(", ").map(|address| address.parse().unwrap()).collect();
    let mut program = connect(listens[1]);
    program.write_all(said.as_bytes()).unwrap();
    assert_eq!(line(&mut program), "HTTP/1.1 400 Bad Request\r\n");
    let refused = client.wait_for("connection_refused");
    assert!(refused.text("message").contains("not accepted from this address"), "{refused}");
}

#[test]
fn headers_that_never_end_do_not_disturb_a_working_one() {
    let origin = Origin::start();
    let ways = ["-L", HERE, "--accept-proxy-protocol", "127.0.0.1"];
    let (_server, client) = pair(origin.addr(), "v2", &ways);
    let begin = |_| {
        let mut program = client.connect();
        program.write_all(b"PROXY ").unwrap();
        program
    };
    let mut slow: Vec<_> = (0..600).map(begin).collect();
    let mut program = client.connect();
    program.write_all(b"PROXY UNKNOWN\r\n").unwrap();
    UP.send(&mut program, 0..1000);
    let mut target = origin.accept();
    target.read_exact(&mut [0; 28]).unwrap();
    UP.expect(&mut target, 0..1000);
    expect_reset(&mut slow[0]);
    let refused = client.wait_for("connection_refused");
    assert!(refused.text("message").contains("too many others"), "{refused}");
}

/// A process that listens at this address by now.
#[expect(clippy::disallowed_methods, reason = "a program of the system starts in real time")]
fn start_at(command: &mut Command, address: SocketAddr) -> Process {
    let mut process = Process::start(command.stdin(Stdio::null()).stdout(Stdio::null()));
    let begun = Instant::now();
    while try_connect(address).is_err() {
        let is_running = process.child().try_wait().unwrap().is_none();
        assert!(is_running && begun.elapsed() < LIMIT, "{command:?} does not listen");
        thread::yield_now();
    }
    process
}

/// haproxy with this configuration behind its defaults.
fn haproxy(haproxy: &Program, folder: &TempDir, port: &Vacant, config: &str) -> Process {
    let times = ["connect", "client", "server"].map(|which| format!(" timeout {which} 30s\n"));
    let config = format!("defaults\n mode tcp\n{}{config}", times.concat());
    let file = folder.write("haproxy", config);
    start_at(haproxy.command().args(["-q", "-db", "-f", &file]).stderr(Stdio::null()), port.addr())
}

/// The answer to a request of curl.
fn curl(curl: &Program, words: &[&str]) -> String {
    let mut command = curl.command();
    command.args(["-sS", "--noproxy", "127.0.0.1", "--max-time", "25"]);
    Finished::of(command.args(words)).success()
}

#[test]
fn haproxy_and_nginx_as_targets_see_the_program() {
    let Some([proxy, nginx, program]) = Program::find(["haproxy", "nginx", "curl"]) else { return };
    let folder = TempDir::create();
    let ports = [Vacant::reserve(), Vacant::reserve()];
    let config = format!(
        "frontend f\n mode http\n bind {} accept-proxy\n http-request return status 200 \
         content-type text/plain lf-string \"%[src]:%[src_port] %[dst]:%[dst_port]\"\n",
        ports[0].addr()
    );
    let _haproxy = haproxy(&proxy, &folder, &ports[0], &config);
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    let text = |name| folder.text(name);
    let config = format!(
        "daemon off; master_process off; {user} pid {pid}; error_log stderr error;
         events {{ worker_connections 64; }}
         http {{
           access_log off; client_body_temp_path {body}; proxy_temp_path {body};
           fastcgi_temp_path {body}; uwsgi_temp_path {body}; scgi_temp_path {body};
           server {{
             listen {address} proxy_protocol;
             return 200 '$proxy_protocol_addr:$proxy_protocol_port \
                $proxy_protocol_server_addr:$proxy_protocol_server_port';
           }}
         }}",
        pid = text("pid"),
        body = text("body"),
        address = ports[1].addr(),
    );
    fs::create_dir(folder.join("body")).unwrap();
    let config = folder.write("nginx", config);
    let mut command = nginx.command();
    command.args(["-p", &text("."), "-c", &config, "-e", "stderr"]).stderr(Stdio::null());
    let _nginx = start_at(&mut command, ports[1].addr());
    for port in &ports {
        for version in ["v1", "v2"] {
            let (_server, client) = pair(port.addr(), version, &["-L", HERE]);
            let url = format!("http://{}/", client.addr());
            let told = curl(&program, &["-w", " %{local_ip}:%{local_port}", &url]);
            let words: Vec<&str> = told.split_whitespace().collect();
            assert_eq!(words, [words[2], &client.addr().to_string(), words[2]], "{version}");
        }
    }
}

#[test]
fn haproxy_in_front_of_a_client_names_the_program() {
    let Some([proxy]) = Program::find(["haproxy"]) else { return };
    let (folder, origin) = (TempDir::create(), Origin::start());
    let ways = ["-L", HERE, "--accept-proxy-protocol", "127.0.0.1"];
    let (_server, client) = pair(origin.addr(), "v1", &ways);
    for send in ["send-proxy", "send-proxy-v2", "send-proxy-v2-ssl-cn"] {
        let port = Vacant::reserve();
        let config =
            format!("listen l\n bind {}\n server s {} {send}\n", port.addr(), client.addr());
        let _haproxy = haproxy(&proxy, &folder, &port, &config);
        // The first connections were those by which it was seen to listen.
        let mut program = connect(port.addr());
        let said = line_of(&program);
        let mut target = origin.incoming().find(|target| line(&mut &*target) == said).unwrap();
        UP.send(&mut program, 0..1000);
        UP.expect(&mut target, 0..1000);
        DOWN.send(&mut target, 0..1000);
        DOWN.expect(&mut program, 0..1000);
    }
}

#[test]
fn curl_names_itself_in_a_header() {
    let Some([program]) = Program::find(["curl"]) else { return };
    let origin = Origin::start();
    let ways = ["-L", HERE, "--accept-proxy-protocol", "127.0.0.1"];
    let (_server, client) = pair(origin.addr(), "v1", &ways);
    let url = format!("http://{}/", client.addr());
    let words = ["--haproxy-protocol", "-w", " %{local_ip} %{local_port}", &url].map(String::from);
    let asking = thread::spawn(move || curl(&program, &words.each_ref().map(|word| &**word)));
    let mut target = origin.accept();
    let header = line(&mut target);
    while line(&mut target) != "\r\n" {}
    target.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").unwrap();
    let told = asking.join().unwrap();
    let (ip, port) = (&told[3..], client.addr().port());
    let (ip, from) = ip.split_once(' ').unwrap();
    assert_eq!(header, format!("PROXY TCP4 {ip} 127.0.0.1 {from} {port}\r\n"), "{told}");
}
