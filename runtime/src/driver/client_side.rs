//! The client's side of a session: dials, keys, and what it knows of its server.

use super::agenda::Agenda;
use super::base::Base;
use super::dialler::Dialler;
use super::dials::{Dialled, Dials, Failed};
use super::engine::Engine;
use super::ready::Token;
use super::stripes::Stripes;
use crate::ports::{Dial, DialError};
use crate::report::Event;
use crate::target::HostPort;
use crate::tls::{Accepted, ClientTls, TlsError};
use std::rc::Rc;
use std::time::Duration;
use striper_core::{Input, Instant, Refusal, SessionId};

/// What dials, and for how long flows wait for it.
pub struct Dialling {
    pub dial: Rc<dyn Dial>,
    pub servers: Vec<HostPort>,
    /// How long a flow waits for a first stripe.
    pub connect_timeout: Duration,
    pub entropy: Rc<dyn Fn() -> u64>,
    pub tls: Option<ClientTls>,
}

/// What only the client's end of a session has.
pub struct ClientSide {
    dials: Dials,
    connect_timeout: Duration,
    entropy: Rc<dyn Fn() -> u64>,
    /// What the stripes of this session need, if they are encrypted, and what those of the next one
    /// will.
    tls: Option<ClientTls>,
    next_tls: Option<ClientTls>,
    /// Who is accepted now, if stripes are encrypted.
    allowed: Option<Accepted>,
    /// The server has said that it stops, or has ended the last session.
    server_stopped: bool,
    /// The server has said that it doesn't know the session.
    forgotten: bool,
}

impl ClientSide {
    pub fn new(dialling: Dialling) -> Self {
        let Dialling { dial, servers, connect_timeout, entropy, tls } = dialling;
        let for_dials = entropy.clone();
        ClientSide {
            dials: Dials::new(dial, servers, Box::new(move || for_dials())),
            connect_timeout,
            entropy,
            allowed: tls.as_ref().map(ClientTls::accepted),
            tls,
            next_tls: None,
            server_stopped: false,
            forgotten: false,
        }
    }

    pub fn fresh_id(&self) -> SessionId {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&(self.entropy)().to_be_bytes());
        id[8..].copy_from_slice(&(self.entropy)().to_be_bytes());
        SessionId(id)
    }

    pub fn is_secured(&self) -> bool {
        self.tls.is_some()
    }

    /// What stripes need from the next session on; from now on if the server is shown the same key.
    pub fn set_tls(&mut self, tls: ClientTls) {
        self.allowed = Some(tls.accepted());
        let same = self.tls.as_ref().is_some_and(|now| now.shown() == tls.shown());
        (self.next_tls, self.tls) =
            if same { (None, Some(tls)) } else { (Some(tls), self.tls.take()) };
    }

    pub fn has_new_keys(&self) -> bool {
        self.next_tls.is_some()
    }

    pub fn dialler(&self) -> &Dialler {
        &self.dials.dialler
    }

    pub fn dialler_mut(&mut self) -> &mut Dialler {
        &mut self.dials.dialler
    }

    /// A flow waits for a session from now on. Until when.
    pub fn hurry(&mut self, now: Instant) -> Instant {
        self.dials.dialler.hurry(now);
        now + self.connect_timeout
    }

    /// Dials what is missing. Says when to look again.
    pub fn dial(&mut self, now: Instant, urgent: bool, agenda: &mut Agenda) -> Option<Instant> {
        self.dials.begin(now, urgent, self.tls.as_ref(), agenda)
    }

    /// Goes on with a dial. What became of it once it is over, unless nobody wants that any more.
    pub fn step_dial(&mut self, token: Token, base: &mut Base) -> Option<Dialled> {
        let dialled = self.dials.step(token, self.allowed.as_ref(), base)?;
        if let Ok((server, _)) = dialled {
            let dialler = &mut self.dials.dialler;
            if !dialler.wants_any() {
                dialler.dropped(server);
                return None;
            }
            if dialler.succeeded(server) {
                base.engine.tell(Event::PeerReached { server: dialler.address(server).clone() });
            }
        }
        Some(dialled)
    }

    /// A dial has failed. Why flows need not wait for a session, if they need not.
    pub fn dial_failed(
        &mut self,
        failed: Failed,
        stripes: &Stripes,
        engine: &mut Engine,
    ) -> Option<DialError> {
        let Failed { server, begun, cause } = failed;
        let dialler = &mut self.dials.dialler;
        if stripes.is_established() && cause == DialError::Refusal(Refusal::UnknownSession) {
            dialler.dropped(server);
            self.forgotten = true;
            engine.defer(Input::Abort);
            return None;
        }
        let now = engine.now();
        self.server_stopped |= cause == DialError::Refusal(Refusal::Draining);
        let (past, news) = dialler.failed(server, begun, &cause, self.server_stopped, now);
        let is_up = !stripes.is_empty();
        let refusal = dialler.refusal(now).filter(|_| !is_up).cloned();
        // Our session's key may have been dropped over there, and we have been given another one
        // meanwhile.
        if self.next_tls.is_some() && !is_up && cause == DialError::Tls(TlsError::KeyRefused) {
            engine.defer(Input::Abort);
        }
        let server = dialler.address(server).clone();
        engine.tell(Event::PeerUnreachable { server, cause, past, news });
        refusal
    }

    pub fn stripe_up(&mut self) {
        self.server_stopped = false;
    }

    /// The server lets flows finish and takes no more, or has ended the session.
    pub fn server_stops(&mut self) {
        self.server_stopped = true;
    }

    pub fn is_forgotten(&self) -> bool {
        self.forgotten
    }

    /// Whether the server has said that it doesn't know the session; that is forgotten now.
    pub fn take_forgotten(&mut self) -> bool {
        std::mem::take(&mut self.forgotten)
    }

    pub fn drop_dials(&mut self, agenda: &mut Agenda) {
        self.dials.drop_all(agenda);
    }

    /// Another session begins, with the keys that were set meanwhile. Its id.
    pub fn begin_session(&mut self) -> SessionId {
        if self.next_tls.is_some() {
            self.tls = self.next_tls.take();
        }
        self.fresh_id()
    }

    #[cfg(feature = "testing")]
    pub fn check_invariants(&self, stripes: usize, agenda: &Agenda) -> usize {
        self.dials.check_invariants(stripes, agenda)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports;
    use crate::tls::keys::{Key, KeyKind, Keys};

    struct Silent;

    impl Dial for Silent {
        fn dial(&self, _: &HostPort, _: Duration) -> ports::Dialling {
            Box::pin(std::future::pending())
        }
    }

    fn tls(key: &Key) -> ClientTls {
        ClientTls::new(&Keys::shared("key", key.clone()).unwrap())
    }

    #[test]
    fn a_new_key_is_for_the_next_session_and_the_same_key_for_this_one() {
        let [old, new] = [(); 2].map(|()| Key::generate(KeyKind::Shared).unwrap());
        let mut client = ClientSide::new(Dialling {
            dial: Rc::new(Silent),
            servers: vec![HostPort::new("server", 1)],
            connect_timeout: Duration::from_secs(1),
            entropy: Rc::new(|| 7),
            tls: Some(tls(&old)),
        });
        let shown = |client: &ClientSide| client.tls.as_ref().map(ClientTls::shown);
        client.set_tls(tls(&new));
        assert_eq!(shown(&client), Some(tls(&old).shown()));
        assert!(client.has_new_keys());
        client.set_tls(tls(&old));
        assert!(!client.has_new_keys(), "it goes back to the key of this session");
        client.set_tls(tls(&new));
        client.begin_session();
        assert_eq!(shown(&client), Some(tls(&new).shown()));
        assert!(!client.has_new_keys());
    }
}
