//! Two engines that talk over a wire, for tests.

use super::*;
use crate::tls::keys::{Key, Keys};

pub(super) const CLIENT: usize = 0;
pub(super) const SERVER: usize = 1;

pub(super) fn keys(digit: char) -> Keys {
    let line = format!("striper-shared-key:{}", digit.to_string().repeat(64));
    Keys::shared("k", line.parse::<Key>().unwrap()).unwrap()
}

/// One end, the records that it says after the handshake before it finishes, and its fate.
pub(super) struct Side {
    pub(super) engine: Engine,
    pub(super) says: Vec<Vec<u8>>,
    spoke: bool,
    pub(super) heard: Vec<u8>,
    pub(super) error: Option<TlsError>,
    pub(super) was_open: bool,
    pub(super) flights: usize,
}

impl Side {
    fn new(engine: Engine, mark: u8) -> Side {
        let says = (0..4).map(|at| vec![mark + at; 5 + usize::from(at)]).collect();
        let (spoke, heard, error, was_open, flights) = (false, Vec::new(), None, false, 0);
        Side { engine, says, spoke, heard, error, was_open, flights }
    }

    fn hear(&mut self, chunk: &[u8]) {
        if self.error.is_some() || self.engine.has_ended() {
            return;
        }
        let received = self.engine.receive(chunk);
        self.after(received);
    }

    fn after(&mut self, result: Result<(), TlsError>) {
        match result {
            Err(error) => self.error = Some(error),
            Ok(()) => {
                self.was_open |= self.engine.is_open();
                while let Some(plain) = self.engine.take_plain(3) {
                    self.heard.extend_from_slice(&plain);
                }
            }
        }
    }

    fn speak(&mut self) -> Vec<u8> {
        if !self.spoke && self.error.is_none() && self.engine.is_open() {
            self.spoke = true;
            for record in &self.says {
                self.engine.encrypt(record).unwrap();
            }
            self.engine.finish().unwrap();
        }
        let out = drain(&mut self.engine);
        self.flights += usize::from(!out.is_empty());
        out
    }

    pub(super) fn has_all_of(&self, other: &Side) -> bool {
        self.error.is_none() && self.engine.has_ended() && self.heard == other.says.concat()
    }
}

pub(super) fn drain(engine: &mut Engine) -> Vec<u8> {
    let out = engine.out().rest().to_vec();
    engine.out().sent(out.len());
    out
}

/// Lets two talk over a wire. The wire is given each side's bytes and returns those that arrive.
pub(super) fn talk(
    client: &ClientTls,
    server: &ServerTls,
    mut wire: impl FnMut(usize, Vec<u8>) -> Vec<Vec<u8>>,
) -> [Side; 2] {
    let client = Engine::client(client).unwrap();
    let server = Engine::server(server).unwrap();
    let mut sides = [Side::new(client, b'a'), Side::new(server, b'A')];
    let first = sides[CLIENT].engine.advance();
    sides[CLIENT].after(first);
    for _ in 0..16 {
        let mut quiet = true;
        for from in [CLIENT, SERVER] {
            let bytes = sides[from].speak();
            if !bytes.is_empty() {
                quiet = false;
                for chunk in wire(from, bytes) {
                    sides[1 - from].hear(&chunk);
                }
            }
        }
        if quiet {
            return sides;
        }
    }
    panic!("they talk for ever");
}

/// With the same key on both sides.
pub(super) fn talk_honestly(wire: impl FnMut(usize, Vec<u8>) -> Vec<Vec<u8>>) -> [Side; 2] {
    talk(&ClientTls::new(&keys('1')), &ServerTls::new(&keys('1')), wire)
}

pub(super) fn straight(_from: usize, bytes: Vec<u8>) -> Vec<Vec<u8>> {
    vec![bytes]
}

/// Two engines after the handshake, with nothing on the way.
pub(super) fn open_pair() -> [Engine; 2] {
    open_pair_of(&ClientTls::new(&keys('1')), &ServerTls::new(&keys('1')))
}

pub(super) fn open_pair_of(client: &ClientTls, server: &ServerTls) -> [Engine; 2] {
    let mut client = Engine::client(client).unwrap();
    let mut server = Engine::server(server).unwrap();
    client.advance().unwrap();
    server.receive(&drain(&mut client)).unwrap();
    client.receive(&drain(&mut server)).unwrap();
    server.receive(&drain(&mut client)).unwrap();
    assert!(client.is_open() && server.is_open());
    [client, server]
}

impl Engine {
    pub(super) fn refresh(&mut self) {
        fn refresh<D>(state: ConnectionState<'_, '_, D>) {
            let ConnectionState::WriteTraffic(traffic) = state else { panic!("not open") };
            traffic.refresh_traffic_keys().unwrap();
        }
        match &mut self.connection {
            Connection::Client(client) => {
                refresh(client.process_tls_records(&mut []).state.unwrap())
            }
            Connection::Server(server) => {
                refresh(server.process_tls_records(&mut []).state.unwrap())
            }
        }
    }
}
