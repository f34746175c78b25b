//! The session's stripes: up, received from, written to, lost and closed, and their events.

use super::adaptation;
use super::agenda::{Agenda, Kind};
use super::attempt::Greeted;
use super::base::Base;
use super::engine::Engine;
use super::ready::Token;
use super::stripe_end::{StripeEnd, StripeFacts};
use crate::admission::shedding::unpinned;
use crate::pipe::{Peer, PeerName, TcpStatus};
use crate::report::{Cut, Event, StripeLoss};
use crate::routes::Routes;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use striper_core::{EndReason, Input, StripeClose, StripeId};

/// Chunks received from one stripe before the other pipes get their turn.
const BUDGET: usize = 4;

#[derive(Default)]
pub(crate) struct Stripes {
    /// Stripes that the session has closed stay among them while they have something to send.
    ends: BTreeMap<Token, Box<StripeEnd>>,
    /// The stripes that carry data.
    live: BTreeMap<StripeId, Token>,
    /// Client: how many there are meant to be.
    wanted: Option<usize>,
    pub(super) established: bool,
    /// The session has lost its last stripe and has flows.
    stranded: bool,
    /// The peer, if it had to prove its key.
    peer: Option<Peer>,
    /// The knowledge of the routes that they go.
    routes: Rc<Routes>,
}

impl Stripes {
    /// A client knows how many are wanted; a server knows before the first who the peer is.
    pub(crate) fn new(wanted: Option<usize>, peer: Option<Peer>) -> Self {
        Stripes { wanted, peer, ..Stripes::default() }
    }

    /// The session has ended, maybe `forgotten` by the server; another one may come.
    pub(crate) fn end_session(
        &mut self,
        reason: EndReason,
        forgotten: bool,
        cut: Cut,
        flows: usize,
        engine: &mut Engine,
    ) {
        let session = engine.tag();
        engine.end();
        self.stranded = false;
        if std::mem::take(&mut self.established) | self.wanted.is_none() | forgotten {
            engine.tell(match forgotten {
                true => Event::SessionForgotten { session, flows },
                false => {
                    let revoked = cut == Cut::Revoked;
                    Event::SessionEnded { session, reason, revoked, flows }
                }
            });
        }
    }

    /// Has them learn of routes, and tell of them, here.
    pub(crate) fn share_routes(&mut self, routes: Rc<Routes>) {
        self.routes = routes;
    }

    pub(crate) fn peer(&self) -> Option<&Peer> {
        self.peer.as_ref()
    }

    pub(super) fn peer_name(&self) -> Option<PeerName> {
        self.peer.as_ref().map(|peer| peer.name.clone())
    }

    /// How many there are meant to be; a server doesn't know and takes those that there are.
    fn wanted(&self) -> usize {
        self.wanted.unwrap_or(self.live.len())
    }

    /// How long so many flows will yet be kept, if they stand still because there is no stripe.
    pub(crate) fn kept_for(&self, flows: usize, engine: &Engine) -> Option<Duration> {
        let stands_still = self.live.is_empty() && flows > 0;
        let until = engine.session().gives_up_at().filter(|_| stands_still)?;
        Some(until.since(engine.now()))
    }

    pub(crate) fn len(&self) -> usize {
        self.live.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.live.is_empty()
    }

    fn live(&self) -> impl Iterator<Item = &StripeEnd> {
        self.live.values().map(|token| &*self.ends[token])
    }

    fn live_mut(&mut self, stripe: StripeId) -> Option<(Token, &mut StripeEnd)> {
        let token = *self.live.get(&stripe)?;
        self.ends.get_mut(&token).map(|end| (token, &mut **end))
    }

    /// The bytes that each has carried so far, both ways.
    pub(crate) fn carried(&self) -> impl Iterator<Item = (StripeId, u64)> {
        self.live().map(|end| (end.facts.id, end.carried()))
    }

    /// The place of each among the session's stripes, from 1.
    pub(crate) fn places(&self) -> BTreeMap<StripeId, usize> {
        self.live().map(|end| (end.facts.id, end.facts.place)).collect()
    }

    /// The other end of each that has an address.
    pub(crate) fn peers(&self) -> BTreeMap<StripeId, SocketAddr> {
        self.live().filter_map(|end| Some((end.facts.id, end.facts.peer?))).collect()
    }

    /// The facts of TCP about those that it carries.
    pub(crate) fn tcp(&self) -> BTreeMap<StripeId, TcpStatus> {
        self.live().filter_map(|end| Some((end.facts.id, end.info().carrier?.tcp()?))).collect()
    }

    pub(crate) fn memory(&self) -> u64 {
        self.live().map(|end| end.info().memory as u64).sum()
    }

    pub(crate) fn all_lead_to(&self, is_accepted: impl Fn(&Peer) -> bool) -> bool {
        self.live().all(|end| end.info().peer.is_some_and(&is_accepted))
    }

    /// One more, to that address of the server; `greeting` is still to be sent on it.
    pub(crate) fn add(
        &mut self,
        greeted: Greeted,
        server: usize,
        greeting: Bytes,
        flows: usize,
        base: &mut Base,
    ) -> Token {
        let Greeted { pipe, hello, rest } = greeted;
        let (id, peer) = (hello.stripe, pipe.info().peer_addr());
        let holder = pipe.info().peer.cloned();
        let taken: BTreeSet<usize> = self.places().into_values().collect();
        let place = (1..).find(|place| !taken.contains(place)).unwrap_or(1);
        let facts = StripeFacts { id, place, server, peer, since: base.engine.now() };
        let (token, waker) = base.agenda.register(Kind::Stripe);
        let mut end = Box::new(StripeEnd::new(facts, pipe, greeting, waker));
        end.take_seat(&self.routes);
        let rate_based = end.is_rate_based();
        self.ends.insert(token, end);
        self.live.insert(id, token);
        let session = base.engine.tag();
        if !std::mem::replace(&mut self.established, true) {
            self.peer = holder;
            let holder = self.peer_name();
            base.engine.tell(Event::SessionStarted { session, peer: holder, from: peer });
        } else if std::mem::take(&mut self.stranded) {
            base.engine.tell(Event::SessionResumed { session, flows });
        }
        base.engine.input(Input::StripeUp { stripe: id, hello });
        if rate_based {
            base.engine.input(Input::StripeControl { stripe: id, rate_based });
        }
        if !rest.is_empty() {
            base.engine.input(Input::StripeBytes { stripe: id, data: rest });
        }
        let (live, wanted) = (self.live.len(), self.wanted());
        base.engine.tell(Event::StripeUp { session, stripe: id, place, peer, live, wanted });
        token
    }

    /// Receives and writes. Gives its facts if it has broken. The session has `flows` flows.
    pub(crate) fn step(
        &mut self,
        token: Token,
        flows: usize,
        base: &mut Base,
    ) -> Option<StripeFacts> {
        let end = self.ends.get_mut(&token)?;
        let mut begin = base.engine.now();
        for round in 0..BUDGET {
            if end.is_closing() || (round > 0 && base.agenda.is_slice_over(begin)) {
                break;
            }
            match end.recv() {
                Some(Ok(data)) => {
                    let (len, stripe) = (data.len(), end.facts.id);
                    for data in unpinned(data, base.engine.config().memory_limit) {
                        base.engine.input(Input::StripeBytes { stripe, data });
                    }
                    let now = base.engine.now();
                    end.took(len, now.since(begin));
                    begin = now;
                }
                Some(Err(loss)) => return self.broken(token, loss, flows, base),
                None => return self.write(token, flows, base),
            }
        }
        let lost = self.write(token, flows, base);
        if self.ends.get(&token).is_some_and(|end| !end.is_closing()) {
            base.agenda.again(token);
        }
        lost
    }

    /// Writes what there is. Gives its facts if it has broken. The session has so many flows.
    pub(crate) fn write(
        &mut self,
        token: Token,
        flows: usize,
        base: &mut Base,
    ) -> Option<StripeFacts> {
        let end = self.ends.get_mut(&token)?;
        if end.is_closing() {
            if end.poll_close(base.engine.now()) {
                self.ends.remove(&token);
                base.agenda.release(token);
            }
            return None;
        }
        match end.send() {
            Ok(total) => {
                if let Some(total) = total {
                    base.engine.input(Input::StripeWritten { stripe: end.facts.id, total });
                }
                self.look_if_due(token, base);
                None
            }
            Err(loss) => self.broken(token, loss, flows, base),
        }
    }

    /// Looks at what the system says about its connection. A new control of its route holds for all
    /// stripes that go there.
    fn look_if_due(&mut self, token: Token, base: &mut Base) {
        let now = base.engine.now();
        let Some(end) = self.ends.get_mut(&token) else { return };
        let Some(look) = end.look(now) else { return };
        let (facts, pair) = (end.facts, end.pair());
        if let Some(total) = look.arrived {
            base.engine.input(Input::StripeArrived { stripe: facts.id, total });
        }
        if let Some(next) = look.next {
            base.agenda.at(next, token);
        }
        let Some(found) = look.route else { return };
        // A stripe that is closing has nothing to adapt for.
        let ends = self.ends.values_mut().filter(|end| !end.is_closing() && end.pair() == pair);
        adaptation::adapt(facts, found, ends, &mut base.engine);
    }

    fn broken(
        &mut self,
        token: Token,
        loss: StripeLoss,
        flows: usize,
        base: &mut Base,
    ) -> Option<StripeFacts> {
        let facts = self.ends.remove(&token)?.facts;
        base.agenda.release(token);
        self.live.remove(&facts.id);
        self.tell_loss(facts, loss, &mut base.engine);
        base.engine.input(Input::StripeDown { stripe: facts.id });
        self.note_stranding(facts, flows, &mut base.engine);
        Some(facts)
    }

    /// The session has closed it: only the rest is still sent. The session has `flows` flows.
    pub(crate) fn close(
        &mut self,
        stripe: StripeId,
        reason: StripeClose,
        flows: usize,
        base: &mut Base,
    ) -> Option<StripeFacts> {
        let (token, end) = self.live_mut(stripe)?;
        let facts = end.facts;
        base.agenda.at(end.close(base.engine.now()), token);
        base.agenda.unwritten(token);
        self.live.remove(&stripe);
        self.tell_loss(facts, StripeLoss::Closed(reason), &mut base.engine);
        self.note_stranding(facts, flows, &mut base.engine);
        Some(facts)
    }

    fn tell_loss(&self, facts: StripeFacts, reason: StripeLoss, engine: &mut Engine) {
        let StripeFacts { id: stripe, place, peer, .. } = facts;
        let (session, live, wanted) = (engine.tag(), self.live.len(), self.wanted());
        engine.tell(Event::StripeLost { session, stripe, place, peer, live, wanted, reason });
    }

    fn note_stranding(&mut self, lost: StripeFacts, flows: usize, engine: &mut Engine) {
        let Some(wait) = self.kept_for(flows, engine) else { return };
        self.stranded = true;
        let (session, peer, from) = (engine.tag(), self.peer_name(), lost.peer);
        engine.tell(Event::SessionStranded { session, peer, from, flows, wait });
    }

    /// A frame, or the first part of one and its payload, goes on this stripe.
    pub(crate) fn transmit(
        &mut self,
        stripe: StripeId,
        header: Bytes,
        payload: Bytes,
        agenda: &mut Agenda,
    ) {
        let Some((token, end)) = self.live_mut(stripe) else { return };
        if end.push(header, payload) {
            agenda.unwritten(token);
        }
    }

    /// This stripe holds at most about so many bytes unsent from now on.
    pub(crate) fn pace(&mut self, stripe: StripeId, unsent: u64) {
        if let Some((_, end)) = self.live_mut(stripe) {
            end.set_unsent_low_water(unsent);
        }
    }

    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn check_invariants(&self, agenda: &Agenda) -> usize {
        for (id, token) in &self.live {
            let end = &self.ends[token];
            assert!(end.facts.id == *id && !end.is_closing(), "stripe {id} is not what it was");
        }
        let live = self.ends.values().filter(|end| !end.is_closing()).count();
        assert_eq!(live, self.live.len(), "stripes that no table knows");
        let all_known = self.ends.keys().all(|token| agenda.kind(*token) == Some(Kind::Stripe));
        assert!(all_known, "a stripe's token belongs to something else");
        self.ends.len()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{greeted, server};
    use super::*;
    use crate::pipe::Pipe;
    use std::task::Context;

    /// Adds one, and says where its token is and what is at its other end.
    fn add(stripes: &mut Stripes, stripe: u64, base: &mut Base) -> (Token, impl Pipe + use<>) {
        let (greeted, far) = greeted(stripe);
        (stripes.add(greeted, 0, Bytes::new(), 0, base), far)
    }

    #[test]
    fn a_stripe_takes_the_first_place_that_is_free() {
        let (mut stripes, mut base) = (Stripes::default(), server());
        let _far: Vec<_> = (0..3).map(|stripe| add(&mut stripes, stripe, &mut base)).collect();
        let closed = stripes.close(StripeId(1), StripeClose::Stalled, 0, &mut base);
        assert_eq!(closed.map(|facts| facts.place), Some(2));
        assert_eq!((stripes.len(), stripes.check_invariants(&base.agenda)), (2, 3));
        let _fourth = add(&mut stripes, 3, &mut base);
        let places = [(0, 1), (2, 3), (3, 2)].map(|(stripe, place)| (StripeId(stripe), place));
        assert_eq!(stripes.places(), BTreeMap::from(places));
    }

    #[test]
    fn a_stripe_that_has_been_closed_goes_when_both_sides_have_finished() {
        let (mut stripes, mut base) = (Stripes::default(), server());
        let (token, mut far) = add(&mut stripes, 0, &mut base);
        stripes.close(StripeId(0), StripeClose::Stalled, 0, &mut base);
        assert_eq!(stripes.write(token, 0, &mut base), None);
        assert_eq!(base.agenda.kind(token), Some(Kind::Stripe));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(far.poll_finish(&mut cx).is_ready());
        assert_eq!(stripes.write(token, 0, &mut base), None);
        assert_eq!((base.agenda.kind(token), stripes.check_invariants(&base.agenda)), (None, 0));
    }

    #[test]
    fn a_stripe_that_breaks_is_told_to_the_session_and_to_the_user() {
        let (mut stripes, mut base) = (Stripes::new(Some(4), None), server());
        let (token, mut far) = add(&mut stripes, 0, &mut base);
        base.engine.take_events();
        far.abort();
        let lost = stripes.step(token, 0, &mut base).expect("it is broken");
        assert_eq!((lost.id, stripes.len(), base.agenda.len()), (StripeId(0), 0, 0));
        assert_eq!(base.engine.session().stats().stripes.len(), 0);
        let events = base.engine.take_events();
        assert!(matches!(events[..], [Event::StripeLost { live: 0, wanted: 4, .. }]));
        assert_eq!(stripes.step(token, 0, &mut base), None, "it is gone");
    }
}
