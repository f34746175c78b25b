//! A server that accepts clients with a key each, from a list.

use crate::event::Event;
use crate::{Proxy, TempDir, run};
use std::fs;
use std::net::SocketAddr;

/// Makes a key, and returns its file.
pub fn keygen(folder: &TempDir, name: &str, options: &[&str]) -> String {
    let file = folder.text(name);
    run(&[&["keygen", &file], options].concat(), &[]).success();
    file
}

/// The line of a key in a list.
pub fn pubkey(file: &str) -> String {
    run(&["pubkey", file], &[]).success()
}

/// The server, and the files of both sides.
pub struct Listed {
    _folder: TempDir,
    pub server: Proxy,
    /// The list of accepted clients.
    clients: String,
    servers: String,
}

impl Listed {
    /// Starts a server with these arguments and clients, each with a name and the lines below its
    /// key. Also returns the files of the clients' keys.
    pub fn start<const N: usize>(
        args: &[&str],
        clients: [(&str, &str); N],
    ) -> (Listed, [String; N]) {
        let folder = TempDir::create();
        let own = keygen(&folder, "own.key", &["--pair"]);
        let keys = clients.map(|(name, _)| keygen(&folder, &format!("{name}.key"), &["--pair"]));
        let rules = clients.map(|(_, rules)| rules);
        let list = format!("# accepted\n{}", lines(&keys, rules));
        let clients = folder.write("clients", list);
        let servers = folder.write("servers", pubkey(&own));
        let server = Proxy::start(&[args, &["-k", &own, "--peers", &clients]].concat());
        (Listed { _folder: folder, server, clients, servers }, keys)
    }

    /// The options with which a client uses its key.
    pub fn keys<'a>(&'a self, key: &'a str) -> [&'a str; 4] {
        ["-k", key, "--peers", &self.servers]
    }

    /// A client that forwards to one target.
    pub fn forward(&self, key: &str, target: SocketAddr) -> Proxy {
        let (server, way) = (self.server.addr().to_string(), format!("127.0.0.1:0:{target}"));
        Proxy::start(&[&["client", &server, "-L", &way], &self.keys(key)[..]].concat())
    }

    /// Writes the list of clients anew and has the server read it.
    pub fn list(&self, content: &str, event: &str) -> Event {
        let earlier = self.server.count(event);
        fs::write(&self.clients, content).expect("a list");
        self.server.hang_up();
        self.server.wait_for_some(event, earlier + 1).swap_remove(earlier)
    }
}

/// A list of clients: their keys, each with the lines below it.
pub fn lines<const N: usize>(keys: &[String; N], rules: [&str; N]) -> String {
    keys.iter().zip(rules).map(|(key, rules)| pubkey(key) + rules).collect()
}
