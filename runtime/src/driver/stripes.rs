//! The pump's stripes: dialled or handed in, carried, lost and closed.

use super::attempt::{Attempt, Greeted};
use super::stripe::Stripe;
use super::{BUDGET, Pump, Slot};
use crate::admission::shedding::unpinned;
use crate::pipe::Pipe;
use crate::ports::{DialError, Dialling};
use crate::report::{Event, OpenError, SessionTag, StripeLoss};
use crate::tls::{ClientTls, PlainSpeech, TlsError, TlsPipe};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::task::Poll;
use std::time::Duration;
use striper_core::wire::hello::MAGIC;
use striper_core::{
    HandshakeError, Hello, HelloKind, Input, Instant, Refusal, StripeClose, StripeId,
};

/// TLS on what comes of a dial.
fn secured(dialling: Dialling, tls: ClientTls) -> Dialling {
    Box::pin(async move {
        let pipe = TlsPipe::client(dialling.await?, &tls).map_err(DialError::Tls)?;
        let plain = PlainSpeech { magic: MAGIC, answer: Bytes::new() };
        Ok(Box::new(pipe.answering(plain)) as Box<dyn Pipe>)
    })
}

impl Pump {
    /// Server: takes a stripe whose client has said `hello` and then `rest`, or says why not: there
    /// may be `most` at once.
    pub fn join(
        &mut self,
        pipe: Box<dyn Pipe>,
        hello: Hello,
        rest: Bytes,
        most: usize,
    ) -> Result<(), (Box<dyn Pipe>, Refusal)> {
        if self.ended.is_some() {
            return Err((pipe, Refusal::UnknownSession));
        }
        if let Err(refusal) = self.session.may_join(hello.stripe) {
            return Err((pipe, refusal));
        }
        if self.stripes.len() >= most {
            return Err((pipe, Refusal::TooMany));
        }
        let greeting = self.session.hello(hello.stripe).encode();
        self.raise(pipe, 0, hello, greeting, rest);
        self.ready.wake();
        Ok(())
    }

    /// Ends the session if it has neither stripes nor flows, and says whether it did.
    pub fn abandon(&mut self) -> bool {
        let abandoned = self.stripes.is_empty() && self.flows.is_empty();
        if abandoned {
            self.share = None;
            self.inputs.push_back(Input::Abort);
            self.ready.wake();
        }
        abandoned
    }

    /// Whether flows wait and there is no stripe to carry them.
    pub(super) fn is_urgent(&self) -> bool {
        let waiting = self.client.as_ref().is_some_and(|client| !client.waiting.is_empty());
        self.stripes.is_empty() && (waiting || !self.flows.is_empty() || !self.opening.is_empty())
    }

    /// Client: dials an address for the next stripe.
    pub(super) fn begin_dial(&mut self, server: usize, now: Instant) {
        let Some(client) = &mut self.client else { return };
        let stripe = StripeId(client.next_stripe);
        client.next_stripe += 1;
        client.dialler.dialled(server, now);
        let dialling = client.dial.dial(client.dialler.address(server), super::CONNECT_LIMIT);
        let dialling = match client.tls.clone() {
            Some(tls) => secured(dialling, tls),
            None => dialling,
        };
        let entry = self.slots.vacant_entry();
        let key = entry.key();
        let attempt = Attempt::new(server, stripe, dialling, self.ready.waker(key), now);
        entry.insert(Slot::Dial(Box::new(attempt)));
        self.again.push(key);
    }

    /// Client: goes on with a dial.
    pub(super) fn step_dial(&mut self, key: usize) {
        let now = self.clock.now();
        let (Some(client), Slot::Dial(attempt)) = (&mut self.client, &mut self.slots[key]) else {
            return;
        };
        let session = &self.session;
        let polled = attempt.poll(now, |stripe| session.hello(stripe));
        let (server, stripe, begun) = (attempt.server, attempt.stripe, attempt.begun);
        let Poll::Ready(result) = polled else {
            self.agenda.insert((attempt.until, key));
            return;
        };
        self.slots.remove(key);
        // Keys may have been replaced since the dial began.
        let result = result.and_then(|greeted| match (&client.allowed, greeted.pipe.peer()) {
            (Some(allowed), peer) if !peer.as_ref().is_some_and(|peer| allowed.has(&peer.key)) => {
                Err(DialError::Tls(TlsError::UnknownKey))
            }
            _ => Ok(greeted),
        });
        let greeted = result.and_then(|greeted| match greeted.hello.kind {
            HelloKind::Refuse(refusal) => Err(DialError::Refusal(refusal)),
            HelloKind::Accept { .. }
                if greeted.hello.session == self.id && greeted.hello.stripe == stripe =>
            {
                Ok(greeted)
            }
            _ => Err(DialError::Handshake(HandshakeError::Malformed)),
        });
        match greeted {
            Ok(_) if client.dialler.wanted == 0 => client.dialler.dropped(server),
            Ok(Greeted { pipe, hello, rest }) => {
                if client.dialler.succeeded(server) {
                    let server = client.dialler.address(server).clone();
                    self.events.push(Event::PeerReached { server });
                }
                self.raise(pipe, server, hello, Bytes::new(), rest);
            }
            Err(error) => self.dial_failed(server, begun, error, now),
        }
    }

    fn dial_failed(&mut self, server: usize, begun: Instant, error: DialError, now: Instant) {
        let Some(client) = &mut self.client else { return };
        if self.established && error == DialError::Refusal(Refusal::UnknownSession) {
            client.dialler.dropped(server);
            self.forgotten = true;
            self.inputs.push_back(Input::Abort);
            return;
        }
        self.parted |= error == DialError::Refusal(Refusal::Draining);
        let (past, news) = client.dialler.failed(server, begun, &error, self.parted, now);
        let server = client.dialler.address(server).clone();
        self.events.push(Event::PeerUnreachable { server, cause: error.clone(), past, news });
        // Our session's key may have been dropped over there, and we have been given another one
        // meanwhile.
        if client.next_tls.is_some()
            && self.stripes.is_empty()
            && error == DialError::Tls(TlsError::KeyRefused)
        {
            self.inputs.push_back(Input::Abort);
        }
        if self.stripes.is_empty()
            && let Some(refusal) = client.dialler.refusal(now).cloned()
        {
            self.fail_waiting(&OpenError::Unreachable(refusal));
        }
    }

    /// Client: gives up all dials.
    pub(super) fn drop_dials(&mut self) {
        let Some(client) = &mut self.client else { return };
        self.slots.retain(|_, slot| match slot {
            Slot::Dial(attempt) => {
                client.dialler.dropped(attempt.server);
                false
            }
            _ => true,
        });
        client.dialler.wanted = 0;
    }

    /// A stripe is up.
    fn raise(
        &mut self,
        pipe: Box<dyn Pipe>,
        server: usize,
        hello: Hello,
        greeting: Bytes,
        rest: Bytes,
    ) {
        let stripe = hello.stripe;
        let peer = pipe.peer_addr();
        let holder = pipe.peer().map(|peer| peer.name);
        let place = self.free_place();
        let now = self.clock.now();
        let entry = self.slots.vacant_entry();
        let key = entry.key();
        let waker = self.ready.waker(key);
        entry.insert(Slot::Stripe(Box::new(Stripe::new(
            stripe, place, server, pipe, greeting, waker, now,
        ))));
        self.stripes.insert(stripe, key);
        self.parted = false;
        let (session, flows) = (SessionTag::of(self.id), self.flows.len());
        if !std::mem::replace(&mut self.established, true) {
            self.peer.clone_from(&holder);
            self.events.push(Event::SessionStarted { session, peer: holder, from: peer });
        } else if std::mem::take(&mut self.stranded) {
            self.events.push(Event::SessionResumed { session, flows });
        }
        self.input(Input::StripeUp { stripe, hello });
        if !rest.is_empty() {
            self.input(Input::StripeBytes { stripe, data: rest });
        }
        let live = self.stripes.len();
        let wanted = self.wanted_stripes();
        self.events.push(Event::StripeUp { session, stripe, place, peer, live, wanted });
        for waiter in self.ready_waiters.drain(..) {
            waiter.send(Ok(()));
        }
        self.ask_for_waiting();
        self.again.push(key);
    }

    /// The place of each stripe.
    pub(super) fn places(&self) -> BTreeMap<StripeId, usize> {
        let stripes = self.stripes.values().filter_map(|key| match &self.slots[*key] {
            Slot::Stripe(stripe) => Some((stripe.id, stripe.place)),
            _ => None,
        });
        stripes.collect()
    }

    /// The first place that no stripe has.
    fn free_place(&self) -> usize {
        let taken: BTreeSet<usize> = self.places().into_values().collect();
        (1..).find(|place| !taken.contains(place)).unwrap_or(1)
    }

    /// How long flows that stand still will yet be kept.
    pub(super) fn kept_for(&self) -> Option<Duration> {
        let waiting = self.stripes.is_empty() && !self.flows.is_empty();
        let until = self.session.gives_up_at().filter(|_| waiting)?;
        Some(until.since(self.clock.now()))
    }

    /// A stripe with `from` is no more; it may have been the last one.
    fn note_stranding(&mut self, from: Option<SocketAddr>) {
        let Some(wait) = self.kept_for() else { return };
        self.stranded = true;
        self.events.push(Event::SessionStranded {
            session: SessionTag::of(self.id),
            peer: self.peer.clone(),
            from,
            flows: self.flows.len(),
            wait,
        });
    }

    /// How many stripes there are meant to be.
    fn wanted_stripes(&self) -> usize {
        if self.client.is_some() { self.config.stripes } else { self.stripes.len() }
    }

    pub(super) fn step_stripe(&mut self, key: usize) {
        let mut begin = self.clock.now();
        for round in 0..BUDGET {
            let Slot::Stripe(stripe) = &mut self.slots[key] else { return };
            if stripe.is_closing() || (round > 0 && begin >= self.slice_end) {
                break;
            }
            let id = stripe.id;
            match stripe.recv() {
                Some(Ok(data)) => {
                    let len = data.len();
                    for data in unpinned(data, self.config.memory_limit) {
                        self.input(Input::StripeBytes { stripe: id, data });
                    }
                    let now = self.clock.now();
                    if let Slot::Stripe(stripe) = &mut self.slots[key] {
                        stripe.took(len, now.since(begin));
                    }
                    begin = now;
                }
                Some(Err(loss)) => return self.stripe_broken(key, loss),
                None => return self.write_stripe(key),
            }
        }
        self.write_stripe(key);
        if matches!(self.slots.get(key), Some(Slot::Stripe(stripe)) if !stripe.is_closing()) {
            self.again.push(key);
        }
    }

    pub(super) fn write_stripe(&mut self, key: usize) {
        let Slot::Stripe(stripe) = &mut self.slots[key] else { return };
        stripe.listed = false;
        let id = stripe.id;
        if stripe.is_closing() {
            if stripe.poll_close(self.clock.now()) {
                self.slots.remove(key);
            }
            return;
        }
        match stripe.send() {
            Ok(Some(total)) => {
                self.input(Input::StripeWritten { stripe: id, total });
                self.look_if_due(key);
            }
            Ok(None) => {}
            Err(loss) => self.stripe_broken(key, loss),
        }
    }

    fn stripe_broken(&mut self, key: usize, loss: StripeLoss) {
        let Slot::Stripe(stripe) = self.slots.remove(key) else { return };
        self.stripes.remove(&stripe.id);
        self.note_loss(&stripe, loss);
        self.input(Input::StripeDown { stripe: stripe.id });
        self.note_stranding(stripe.peer);
    }

    fn note_loss(&mut self, stripe: &Stripe, reason: StripeLoss) {
        if let Some(client) = &mut self.client {
            client.dialler.lost(stripe.server, stripe.since, self.clock.now());
        }
        self.events.push(Event::StripeLost {
            session: SessionTag::of(self.id),
            stripe: stripe.id,
            place: stripe.place,
            peer: stripe.peer,
            live: self.stripes.len(),
            wanted: self.wanted_stripes(),
            reason,
        });
    }

    pub(super) fn transmit(&mut self, stripe: StripeId, header: Bytes, payload: Bytes) {
        let Some(&key) = self.stripes.get(&stripe) else { return };
        let Slot::Stripe(stripe) = &mut self.slots[key] else { return };
        stripe.push(header, payload);
        if !std::mem::replace(&mut stripe.listed, true) {
            self.unwritten.push_back(key);
        }
    }

    pub(super) fn pace(&mut self, stripe: StripeId, unsent: u64) {
        let Some(&key) = self.stripes.get(&stripe) else { return };
        let Slot::Stripe(stripe) = &mut self.slots[key] else { return };
        stripe.pipe.set_unsent_low_water(usize::try_from(unsent).unwrap_or(usize::MAX));
    }

    pub(super) fn close_stripe(&mut self, stripe: StripeId, reason: StripeClose) {
        let Some(key) = self.stripes.remove(&stripe) else { return };
        let now = self.clock.now();
        let Slot::Stripe(stripe) = std::mem::replace(&mut self.slots[key], Slot::Empty) else {
            return;
        };
        let mut stripe = stripe;
        self.note_loss(&stripe, StripeLoss::Closed(reason));
        self.note_stranding(stripe.peer);
        self.agenda.insert((stripe.close(now), key));
        self.slots[key] = Slot::Stripe(stripe);
        self.unwritten.push_back(key);
    }
}
