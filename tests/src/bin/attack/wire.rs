//! The key of attackers and honest clients, and a tunnel through TLS for attacks.

use smol::{Async, LocalExecutor};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::rc::Rc;
use std::thread;
use std::time::Duration;
use striper_runtime::keys::{Keys, read_key};
use striper_runtime::{ClientTls, TcpPipe, TlsPipe, bridge, dial_tcp};
use striper_tests::{TempDir, run};

const PATIENCE: Duration = Duration::from_secs(10);

pub struct KeyFile {
    _folder: TempDir,
    path: String,
}

impl KeyFile {
    pub fn generate() -> KeyFile {
        let folder = TempDir::create();
        let path = folder.text("attack.key");
        run(&["keygen", &path], &[]).success();
        KeyFile { _folder: folder, path }
    }

    pub fn options(&self) -> [&str; 2] {
        ["-k", &self.path]
    }

    pub fn tls(&self) -> ClientTls {
        let key = read_key(Path::new(&self.path), false).expect("a key");
        ClientTls::new(&Keys::shared("attack", key).expect("keys"))
    }
}

/// A port that passes bytes on to `to` within TLS. It passes an end or a reset on as such.
pub fn tunnel(to: SocketAddr, tls: ClientTls) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = listener.local_addr().expect("a listener");
    thread::spawn(move || {
        let executor = Rc::new(LocalExecutor::new());
        smol::block_on(executor.run(async {
            let listener = Async::new(listener).expect("a listener");
            while let Ok((caller, _)) = listener.accept().await {
                executor.spawn(carry(caller, to, tls.clone())).detach();
            }
        }));
    });
    port
}

async fn carry(caller: Async<std::net::TcpStream>, to: SocketAddr, tls: ClientTls) {
    let Ok(mut near) = TcpPipe::new(caller) else { return };
    let Ok(below) = dial_tcp(&to.into(), PATIENCE).await else { return };
    let Ok(mut far) = TlsPipe::client(below, &tls) else { return };
    bridge(&mut near, &mut far).await;
}
