//! A keyed pair with configuration files, and a route between its proxies that resets stripes.

use std::net::SocketAddr;
use striper_tests::{Origin, Proxy, Route, TempDir, run};

/// The options that stand in both files.
const COMMON: &str = "key = \"soak.key\"\n";

pub struct Site {
    folder: TempDir,
    route: Route,
    origin: Option<Origin>,
    client: Proxy,
    server: Proxy,
    /// The files differ from one reading to the next by the way that is there only at odd times.
    reloads: usize,
    upgrades: usize,
    resets: usize,
}

impl Site {
    pub fn start() -> Site {
        let (folder, route, origin) = (TempDir::create(), Route::start(), Origin::start());
        run(&["keygen", &folder.text("soak.key")], &[]).success();
        let target = origin.addr();
        // The port of a file must stay the same from one reading to the next.
        let [stripes, forward] = [(); 2].map(|()| striper_tests::Vacant::reserve());
        let text = format!("[server]\nlisten = \"{}\"\ntarget = \"{target}\"\n", stripes.addr());
        let file = folder.write("server.toml", text + COMMON);
        let server = Proxy::start_with(&["run", "-f", &file], &[]);
        route.lead_to(server.addr());
        let text = client_file(route.addr(), forward.addr(), false);
        let client = Proxy::start_with(&["run", "-f", &folder.write("client.toml", text)], &[]);
        let (reloads, upgrades, resets) = (0, 0, 0);
        let origin = Some(origin);
        Site { folder, route, origin, client, server, reloads, upgrades, resets }
    }

    /// The address that local programs connect to.
    pub fn forward(&self) -> SocketAddr {
        self.client.addr()
    }

    pub fn origin(&mut self) -> Origin {
        self.origin.take().expect("it is taken once")
    }

    pub fn sides(&self) -> [&Proxy; 2] {
        [&self.client, &self.server]
    }

    pub fn reset_a_stripe(&mut self) {
        self.resets += usize::from(self.route.try_reset_one());
    }

    /// Another way in comes or goes, and the level of the log changes.
    pub fn reload(&mut self) {
        self.reloads += 1;
        let text = client_file(self.route.addr(), self.forward(), self.reloads % 2 == 1);
        self.folder.write("client.toml", text);
        for proxy in [&self.client, &self.server] {
            let before = proxy.count("reloaded");
            proxy.hang_up();
            proxy.wait_for_some("reloaded", before + 1);
        }
    }

    pub fn upgrade(&mut self) {
        self.server.upgrade();
        self.client.upgrade();
        self.upgrades += 1;
    }

    pub fn summary(&self) -> String {
        let Site { reloads, upgrades, resets, .. } = self;
        format!("{resets} stripes reset, {reloads} reloads, {upgrades} upgrades of both sides")
    }
}

fn client_file(server: SocketAddr, forward: SocketAddr, more: bool) -> String {
    let level = if more { "verbose" } else { "normal" };
    let another = "[[client.proxy]]\nlisten = \"127.0.0.1:0\"\n";
    format!(
        "[client]\nserver = \"{server}\"\n{COMMON}\n[[client.forward]]\nlisten = \"{forward}\"\n{}\
         \n[log]\nlevel = \"{level}\"\n",
        if more { another } else { "" }
    )
}
