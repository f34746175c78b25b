//! The session's flows: asked for or answered, carried, and ended in one of many ways.
//!
//! A flow that is over is [concluded](Flows::conclude): only there does it leave the tables.

mod ending;
mod opening;
mod requests;

use super::agenda::Kind;
use super::base::Base;
use super::engine::Engine;
use super::local_end::{Given, LocalEnd, Stage, Written};
use super::ready::Token;
use super::stripes::Stripes;
use super::sweep::Sweep;
use crate::admission::shedding;
use crate::handover::{Receiver, Sender, oneshot};
use crate::pipe::Pipe;
use crate::report::{FlowEnd, FlowReport, OpenError};
use crate::target::{Opening, Target};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use striper_core::{FlowId, Input, Instant, Reason};

/// Chunks received from one local pipe before the others get their turn.
const BUDGET: usize = 4;

/// A flow that the peer has opened, and what is ready once it is over.
pub(super) type Opened = (FlowId, Opening, Receiver<()>);

/// A flow that this side is to open.
pub(crate) struct Wanted {
    pub from: Origin,
    /// Hears when the session knows it.
    pub opened: Option<Sender<Result<(), OpenError>>>,
    /// Hears how it ends.
    pub report: Sender<FlowReport>,
}

/// Where the bytes of a flow that this side opens come from.
pub(crate) enum Origin {
    Local(Box<dyn Pipe>),
    /// First these bytes. The local pipe follows once the sender has said that the peer has reached
    /// the target.
    Early(Bytes, Sender<()>),
}

#[derive(Default)]
pub(crate) struct Flows {
    ends: BTreeMap<Token, Box<LocalEnd>>,
    open: HashMap<FlowId, Token>,
    /// The flows that the session has been asked for, by request.
    opening: HashMap<u64, Token>,
    next_request: u64,
    /// Client: those that wait for a session.
    waiting: BTreeSet<Token>,
    /// The flows that ask for a listener, and carry no connection.
    listeners: BTreeSet<Token>,
    /// Connections that the session has reset because it ends.
    lost: usize,
    lingering: u64,
    /// For local pipes that are not being received from.
    sweep: Sweep,
    incoming: Vec<Opened>,
}

impl Flows {
    /// How many connections the session knows.
    pub(crate) fn len(&self) -> usize {
        let is_open = |token: &&Token| self.ends[*token].id().is_some();
        self.open.len() - self.listeners.iter().filter(is_open).count()
    }

    /// Whether the session knows no connection and has been asked for none.
    pub(crate) fn carry_nothing(&self) -> bool {
        let mut known = self.open.values().chain(self.opening.values());
        known.all(|token| self.listeners.contains(token))
    }

    pub(crate) fn needs_stripe(&self) -> bool {
        !(self.open.is_empty() && self.opening.is_empty() && self.waiting.is_empty())
    }

    #[cfg(feature = "testing")]
    pub(crate) fn count(&self) -> usize {
        self.open.len() + self.opening.len() + self.waiting.len()
    }

    pub(crate) fn carries(&self, id: FlowId) -> bool {
        self.open.contains_key(&id)
    }

    pub(crate) fn token(&self, id: FlowId) -> Option<Token> {
        self.open.get(&id).copied()
    }

    /// How many the session knows or has been asked for. A request keeps memory until the peer
    /// lets it be opened, even if its local pipe has gone.
    pub(crate) fn kept(&self) -> usize {
        self.open.len() + self.opening.len()
    }

    /// How many local pipes there are.
    pub(crate) fn connections(&self) -> usize {
        self.ends.values().filter(|end| end.is_attached()).count()
    }

    /// Bytes for local pipes of flows that the session has reset: credit accounts for them no more.
    pub(crate) fn lingering(&self) -> u64 {
        self.lingering
    }

    pub(crate) fn take_incoming(&mut self) -> Vec<Opened> {
        std::mem::take(&mut self.incoming)
    }

    /// The local ends of connections, at least one for each that the session knows.
    pub(super) fn ends(&self) -> impl Iterator<Item = (Token, &LocalEnd)> {
        let ends = self.ends.iter().filter(|(token, _)| !self.listeners.contains(token));
        ends.map(|(token, end)| (*token, &**end))
    }

    /// One more, which the session is to be asked for.
    pub(crate) fn add(
        &mut self,
        opening: &Opening,
        wanted: Wanted,
        stripes: &Stripes,
        base: &mut Base,
    ) -> Token {
        let (token, waker) = base.agenda.register(Kind::Flow);
        self.note_listener(token, &opening.target);
        let (now, carried) = (base.engine.now(), stripes.carried().collect());
        let Wanted { from, opened, report } = wanted;
        let mut end = LocalEnd::new(Stage::Waiting(now), opened, None, waker, carried, now);
        end.label = opening.label;
        match from {
            Origin::Local(local) => end.attach(local, report),
            Origin::Early(early, accepted) => end.begin(early, accepted, report),
        }
        self.ends.insert(token, Box::new(end));
        token
    }

    fn note_listener(&mut self, token: Token, target: &Target) {
        if matches!(target, Target::Listen { .. }) {
            self.listeners.insert(token);
        }
    }

    /// Client: the peer has reached its target.
    pub(crate) fn accepted(&mut self, id: FlowId) {
        if let Some((_, end)) = self.open_mut(id) {
            end.accept();
        }
    }

    /// Sets the opaque field of its OPEN.
    pub(crate) fn set_opaque(&mut self, token: Token, opaque: Bytes) {
        if let Some(end) = self.ends.get_mut(&token) {
            end.opaque = opaque;
        }
    }

    /// The peer has opened one.
    pub(crate) fn arrive(
        &mut self,
        id: FlowId,
        opening: Opening,
        stripes: &Stripes,
        base: &mut Base,
    ) {
        let (wanted, unwanted) = oneshot();
        let (token, waker) = base.agenda.register(Kind::Flow);
        let carried = stripes.carried().collect();
        let (stage, now) = (Stage::Open(id), base.engine.now());
        let end = LocalEnd::new(stage, None, Some(wanted), waker, carried, now);
        self.ends.insert(token, Box::new(end));
        self.open.insert(id, token);
        self.note_listener(token, &opening.target);
        self.incoming.push((id, opening, unwanted));
    }

    /// The local pipe of a flow that the peer has opened. It breaks if that has ended.
    pub(crate) fn attach(
        &mut self,
        id: FlowId,
        local: Box<dyn Pipe>,
        report: Sender<FlowReport>,
        base: &mut Base,
    ) {
        let Some((token, end)) = self.open_mut(id) else {
            let (waker, now) = (std::task::Waker::noop().clone(), base.engine.now());
            let stage = Stage::Waiting(now);
            let mut end = LocalEnd::new(stage, None, None, waker, Box::default(), now);
            end.attach(local, report);
            return end.conclude(FlowEnd::Reset(Reason::Aborted), now, None);
        };
        end.attach(local, report);
        base.engine.input(Input::FlowAccept { flow: id });
        base.agenda.again(token);
        base.agenda.wake();
    }

    /// `late` is the cause if the flow has waited too long for a session.
    pub(crate) fn step(
        &mut self,
        token: Token,
        late: OpenError,
        stripes: &Stripes,
        base: &mut Base,
    ) {
        if let Some(how) = self.try_step(token, late, base) {
            self.conclude(token, how, stripes, base);
        }
    }

    /// How it has ended, if that has come of it.
    fn try_step(&mut self, token: Token, late: OpenError, base: &mut Base) -> Option<FlowEnd> {
        let part = shedding::part(base.engine.config().memory_limit) as u64;
        let end = self.ends.get_mut(&token)?;
        for _ in 0..BUDGET {
            match end.stage {
                Stage::Open(flow) => {
                    match end.recv(base.engine.session().send_room(flow).min(part)) {
                        Given::Chunk(data) => base.engine.input(Input::FlowData { flow, data }),
                        Given::Empty => {}
                        Given::Fin => {
                            self.sweep.need();
                            base.engine.input(Input::FlowFinish { flow });
                        }
                        Given::Nothing => {
                            if end.is_unwatched() {
                                self.sweep.need();
                            }
                            return write(token, end, base);
                        }
                        Given::Broken => return Some(broken(end, &mut base.engine)),
                    }
                }
                Stage::Waiting(until) if base.engine.now() >= until => {
                    return Some(FlowEnd::NoSession(late));
                }
                Stage::Waiting(_) | Stage::Opening(_) => return None,
                Stage::Closing | Stage::Lingering(..) => return write(token, end, base),
            }
        }
        let ended = write(token, end, base);
        base.agenda.again(token);
        ended
    }

    pub(crate) fn write(&mut self, token: Token, stripes: &Stripes, base: &mut Base) {
        let Some(end) = self.ends.get_mut(&token) else { return };
        if let Some(how) = write(token, end, base) {
            self.conclude(token, how, stripes, base);
        }
    }

    /// Local pipes that nobody receives from are to be asked whether they have broken. Says when.
    pub(crate) fn next_sweep(&mut self, now: Instant) -> Option<Instant> {
        self.sweep.next(now)
    }

    /// Asks those local pipes, if it is time.
    pub(crate) fn sweep(&mut self, now: Instant, stripes: &Stripes, base: &mut Base) {
        if !self.sweep.is_due(now) {
            return;
        }
        let ends = self.ends.iter();
        let unwatched: Vec<Token> =
            ends.filter(|(_, end)| end.is_unwatched()).map(|(token, _)| *token).collect();
        if !unwatched.is_empty() {
            self.sweep.need();
        }
        for token in unwatched {
            let Some(end) = self.ends.get_mut(&token) else { continue };
            if end.check().is_err() {
                let how = broken(end, &mut base.engine);
                self.conclude(token, how, stripes, base);
            }
        }
    }

    pub(crate) fn resume(&mut self, id: FlowId, base: &mut Base) {
        if let Some((token, end)) = self.open_mut(id)
            && end.resume()
        {
            base.agenda.again(token);
        }
    }

    pub(crate) fn deliver(&mut self, id: FlowId, data: Bytes, base: &mut Base) {
        if let Some((token, end)) = self.open_mut(id)
            && end.deliver(data)
        {
            base.agenda.unwritten(token);
        }
    }

    pub(crate) fn deliver_fin(&mut self, id: FlowId, base: &mut Base) {
        if let Some((token, end)) = self.open_mut(id)
            && end.deliver_fin()
        {
            base.agenda.unwritten(token);
        }
    }

    fn open_mut(&mut self, id: FlowId) -> Option<(Token, &mut LocalEnd)> {
        let token = *self.open.get(&id)?;
        self.ends.get_mut(&token).map(|end| (token, &mut **end))
    }

    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn check_invariants(&self, agenda: &super::agenda::Agenda) -> usize {
        for (id, token) in &self.open {
            assert_eq!(self.ends[token].id(), Some(*id), "flow {id} is another one or not open");
        }
        let (mut open, mut lingering) = (0, 0);
        for (token, end) in &self.ends {
            assert_eq!(agenda.kind(*token), Some(Kind::Flow), "a flow's token is not its own");
            lingering += end.lingering;
            match &end.stage {
                Stage::Open(_) => open += 1,
                Stage::Waiting(_) => {
                    assert!(self.waiting.contains(token), "nobody will wake a waiting flow");
                }
                Stage::Opening(request) => {
                    let asked = self.opening.get(request);
                    assert_eq!(asked, Some(token), "a request has been forgotten");
                }
                Stage::Closing => assert!(!end.is_forgotten(), "ended and not been freed"),
                Stage::Lingering(..) => {}
            }
        }
        assert_eq!(open, self.open.len(), "flows that no table knows");
        assert_eq!(lingering, self.lingering, "bytes that wait for local pipes");
        self.ends.len()
    }
}

fn write(token: Token, end: &mut LocalEnd, base: &mut Base) -> Option<FlowEnd> {
    match end.write(base.engine.now()) {
        Written::Nothing => return None,
        Written::Total(flow, total) => base.engine.input(Input::FlowConsumed { flow, total }),
        Written::Later(time) => base.agenda.at(time, token),
        Written::Broken => return Some(broken(end, &mut base.engine)),
        Written::Ended(how) => return Some(how),
    }
    None
}

/// The local pipe is of no more use, and the session hears that. How the flow has ended.
fn broken(end: &LocalEnd, engine: &mut Engine) -> FlowEnd {
    if let Some(flow) = end.id() {
        engine.input(Input::FlowReset { flow, reason: Reason::Aborted });
    }
    FlowEnd::Reset(Reason::Aborted)
}

#[cfg(test)]
mod tests;
