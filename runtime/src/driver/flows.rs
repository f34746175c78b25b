//! The session's flows: asked for or answered, carried, and ended in one of many ways.
//!
//! A flow that is over is [concluded](Flows::conclude): only there does it leave the tables.

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
use crate::report::{Cut, FlowEnd, FlowReport, OpenError};
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

    /// Client: there is no session for it now. It waits for one until then.
    pub(crate) fn wait(&mut self, token: Token, until: Instant, base: &mut Base) {
        let Some(end) = self.ends.get_mut(&token) else { return };
        end.stage = Stage::Waiting(until);
        self.waiting.insert(token);
        self.sweep.need();
        base.agenda.at(until, token);
    }

    /// Client: there will be no session for those that wait for one.
    pub(crate) fn fail_waiting(&mut self, error: &OpenError, stripes: &Stripes, base: &mut Base) {
        for token in std::mem::take(&mut self.waiting) {
            self.conclude(token, FlowEnd::NoSession(error.clone()), stripes, base);
        }
    }

    /// Asks the session for it.
    pub(crate) fn ask_for(&mut self, token: Token, engine: &mut Engine) {
        let Some(end) = self.ends.get_mut(&token) else { return };
        let request = self.next_request;
        let opaque = end.ask(request);
        self.next_request += 1;
        self.sweep.need();
        self.opening.insert(request, token);
        engine.input(Input::FlowOpen { request, opaque });
    }

    pub(crate) fn ask_for_waiting(&mut self, engine: &mut Engine) {
        for token in std::mem::take(&mut self.waiting) {
            self.ask_for(token, engine);
        }
    }

    /// Requests that have no answer yet, in their order.
    pub(crate) fn requests(&self) -> Vec<u64> {
        let mut requests: Vec<u64> = self.opening.keys().copied().collect();
        requests.sort_unstable();
        requests
    }

    /// The session has said no to a request. Gives the request's flow, if it still exists.
    pub(crate) fn take_request(&mut self, request: u64) -> Option<Token> {
        let token = self.opening.remove(&request)?;
        let end = self.ends.get(&token)?;
        matches!(end.stage, Stage::Opening(asked) if asked == request).then_some(token)
    }

    /// The session knows it now.
    pub(crate) fn opened(&mut self, request: u64, id: FlowId, base: &mut Base) {
        let token = self.take_request(request);
        let Some((token, end)) = token.and_then(|token| Some((token, self.ends.get_mut(&token)?)))
        else {
            // Its local pipe has broken meanwhile.
            return base.engine.defer(Input::FlowReset { flow: id, reason: Reason::Aborted });
        };
        end.open(id);
        self.open.insert(id, token);
        base.agenda.again(token);
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

    /// It is over: it leaves all tables, and those who wait hear how it ended.
    pub(crate) fn conclude(
        &mut self,
        token: Token,
        how: FlowEnd,
        stripes: &Stripes,
        base: &mut Base,
    ) {
        let Some(end) = self.ends.remove(&token) else { return };
        base.agenda.release(token);
        self.listeners.remove(&token);
        self.lingering -= end.lingering;
        match end.stage {
            Stage::Open(id) => {
                self.open.remove(&id);
            }
            Stage::Waiting(_) => {
                self.waiting.remove(&token);
            }
            _ => {}
        }
        end.conclude(how, base.engine.now(), stripes.carried());
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

    /// Lets go of those that the session has ended with a reset, with all that waits for them.
    pub(crate) fn drop_lingering(&mut self, stripes: &Stripes, base: &mut Base) {
        let ends = self.ends.iter();
        let lingering: Vec<(Token, FlowEnd)> =
            ends.filter_map(|(token, end)| Some((*token, end.lingering_end()?))).collect();
        for (token, how) in lingering {
            self.conclude(token, how, stripes, base);
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

    /// The session has ended it before its time.
    pub(crate) fn cut(&mut self, id: FlowId, how: FlowEnd, base: &mut Base) {
        let Some((token, end)) = self.open_mut(id) else { return };
        self.lingering += end.linger(base.engine.now(), how);
        self.open.remove(&id);
        base.agenda.unwritten(token);
    }

    /// The session has reset it; `cut` is why it ends, if it does.
    pub(crate) fn reset(&mut self, id: FlowId, reason: Reason, cut: Option<Cut>, base: &mut Base) {
        // The peer may have reset others just before.
        let lost = cut.filter(|_| reason == Reason::SessionLost);
        let is_connection = |token| !self.listeners.contains(token);
        if lost.is_some() && self.open.get(&id).is_some_and(is_connection) {
            self.lost += 1;
        }
        self.cut(id, lost.map_or(FlowEnd::Reset(reason), FlowEnd::Cut), base);
    }

    /// How many connections the end of the session has reset since the last call.
    pub(crate) fn take_lost(&mut self) -> usize {
        std::mem::take(&mut self.lost)
    }

    /// The session has ended and has no more use for any.
    pub(crate) fn cut_all(&mut self, why: Cut, base: &mut Base) {
        for id in self.open.keys().copied().collect::<BTreeSet<_>>() {
            self.cut(id, FlowEnd::Cut(why), base);
        }
    }

    /// Local pipes of flows that the session has done with get a last chance to take their bytes.
    pub(crate) fn stop_closing(&mut self, how: FlowEnd, base: &mut Base) {
        for (token, end) in &mut self.ends {
            if matches!(end.stage, Stage::Closing) {
                self.lingering += end.linger(base.engine.now(), how.clone());
                base.agenda.unwritten(*token);
            }
        }
    }

    /// The session has done with it.
    pub(crate) fn close(&mut self, id: FlowId, base: &mut Base) {
        if let Some((token, end)) = self.open_mut(id) {
            end.stage = Stage::Closing;
            self.open.remove(&id);
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
mod tests {
    use super::super::testing::{base, server};
    use super::*;
    use crate::pipe::Received;
    use crate::pipe::memory::memory_pipe;
    use std::task::Poll;
    use std::time::Duration;
    use striper_core::Role;

    /// Adds a flow from here. Where its token is, and how it ends once it has.
    fn add(flows: &mut Flows, base: &mut Base) -> (Token, impl FnMut() -> Option<FlowEnd> + use<>) {
        let (local, _) = memory_pipe();
        let (report, mut reported) = oneshot();
        let wanted = Wanted { from: Origin::Local(Box::new(local)), opened: None, report };
        let token = flows.add(&Target::Default.into(), wanted, &Stripes::default(), base);
        (token, move || reported.try_take().map(|report: FlowReport| report.end))
    }

    #[test]
    fn a_flow_waits_for_a_session_until_its_time_is_over() {
        let (mut flows, mut base) = (Flows::default(), base(Role::Client));
        let stripes = Stripes::default();
        let (token, mut end) = add(&mut flows, &mut base);
        let (now, second) = (base.engine.now(), Duration::from_secs(1));
        flows.wait(token, now + second, &mut base);
        assert!(flows.needs_stripe() && flows.carry_nothing());
        assert_eq!(base.agenda.next_time(), Some(now + second));
        flows.step(token, OpenError::TimedOut, &stripes, &mut base);
        assert_eq!((flows.check_invariants(&base.agenda), end()), (1, None));
        flows.wait(token, now, &mut base);
        flows.step(token, OpenError::TimedOut, &stripes, &mut base);
        assert_eq!(end(), Some(FlowEnd::NoSession(OpenError::TimedOut)));
        assert_eq!((flows.check_invariants(&base.agenda), base.agenda.len()), (0, 0));
        assert!(!flows.needs_stripe());
    }

    #[test]
    fn a_flow_sends_its_first_bytes_before_it_has_a_local_pipe() {
        let (mut flows, mut base) = (Flows::default(), base(Role::Client));
        let stripes = Stripes::default();
        let ((accepted, mut is_accepted), (report, reported)) = (oneshot(), oneshot());
        let from = Origin::Early(Bytes::from_static(b"early"), accepted);
        let token = flows.add(
            &Target::Default.into(),
            Wanted { from, opened: None, report },
            &stripes,
            &mut base,
        );
        flows.ask_for(token, &mut base.engine);
        flows.opened(0, FlowId(1), &mut base);
        flows.deliver(FlowId(1), Bytes::from_static(b"answer"), &mut base);
        let now = base.engine.now();
        let end = flows.ends.get_mut(&token).unwrap();
        assert!(matches!(end.recv(3), Given::Chunk(chunk) if chunk == "ear"), "as far as it may");
        assert!(matches!(end.recv(10), Given::Chunk(chunk) if chunk == "ly"));
        assert!(matches!(end.recv(10), Given::Nothing));
        assert_eq!(is_accepted.try_take(), None);
        flows.accepted(FlowId(1));
        assert_eq!(is_accepted.try_take(), Some(()));
        let (local, mut program) = memory_pipe();
        flows.join(token, Box::new(local), &mut base);
        let written = flows.ends.get_mut(&token).unwrap().write(now);
        assert!(matches!(written, Written::Total(FlowId(1), 6)));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let got = program.poll_recv(&mut cx, 100);
        assert!(matches!(got, Poll::Ready(Ok(Received::Chunk(chunk))) if chunk == "answer"));
        drop(reported);
    }

    #[test]
    fn a_local_pipe_that_joins_while_its_flow_waits_is_asked_whether_it_has_broken() {
        let (mut flows, mut base) = (Flows::default(), base(Role::Client));
        let ((accepted, _accepted), (report, mut reported)) = (oneshot(), oneshot());
        let from = Origin::Early(Bytes::new(), accepted);
        let (wanted, stripes) = (Wanted { from, opened: None, report }, Stripes::default());
        let token = flows.add(&Target::Default.into(), wanted, &stripes, &mut base);
        let now = base.engine.now();
        flows.wait(token, now + Duration::from_secs(10), &mut base);
        let first = flows.next_sweep(now).unwrap();
        flows.sweep(first, &stripes, &mut base);
        let (local, program) = memory_pipe();
        flows.join(token, Box::new(local), &mut base);
        drop(program);
        let next = flows.next_sweep(first).expect("it is asked");
        flows.sweep(next, &stripes, &mut base);
        let end = reported.try_take().map(|report: FlowReport| report.end);
        assert_eq!(end, Some(FlowEnd::Reset(Reason::Aborted)));
    }

    #[test]
    fn a_flow_without_a_local_pipe_may_be_given_up_while_it_waits() {
        let (mut flows, mut base) = (Flows::default(), base(Role::Client));
        let ((accepted, mut is_accepted), (report, mut reported)) = (oneshot(), oneshot());
        let from = Origin::Early(Bytes::new(), accepted);
        let wanted = Wanted { from, opened: None, report };
        let token = flows.add(&Target::Default.into(), wanted, &Stripes::default(), &mut base);
        flows.abandon(token, &Stripes::default(), &mut base);
        let report: FlowReport = reported.try_take().unwrap();
        assert_eq!(report.end, FlowEnd::Reset(Reason::Aborted));
        assert_eq!((is_accepted.try_take(), base.agenda.len()), (None, 0));
    }

    #[test]
    fn an_answer_that_comes_after_the_end_of_its_flow_opens_nothing() {
        let (mut flows, mut base) = (Flows::default(), base(Role::Client));
        let [(ended, _), (other, _)] = [(); 2].map(|()| add(&mut flows, &mut base));
        for token in [ended, other] {
            flows.ask_for(token, &mut base.engine);
        }
        assert_eq!((flows.requests(), flows.carry_nothing()), (vec![0, 1], false));
        let end = FlowEnd::Reset(Reason::Aborted);
        flows.conclude(ended, end, &Stripes::default(), &mut base);
        let (next, _) = add(&mut flows, &mut base);
        assert_eq!(next, ended, "it has the same token");
        flows.opened(0, FlowId(4), &mut base);
        assert!(!flows.carries(FlowId(4)));
        assert_eq!(flows.take_request(1), Some(other));
    }

    #[test]
    fn a_flow_that_asks_for_a_listener_is_no_connection() {
        let (mut flows, mut base) = (Flows::default(), server());
        let stripes = Stripes::default();
        let listen = Target::Listen { number: 1, address: ([127, 0, 0, 1], 0).into() };
        flows.arrive(FlowId(1), listen.into(), &stripes, &mut base);
        assert_eq!((flows.len(), flows.carry_nothing(), flows.needs_stripe()), (0, true, true));
        flows.arrive(FlowId(3), Target::Listener(1).into(), &stripes, &mut base);
        assert_eq!((flows.len(), flows.carry_nothing()), (1, false));
        let listener = flows.token(FlowId(1)).unwrap();
        flows.conclude(listener, FlowEnd::Finished, &stripes, &mut base);
        assert_eq!((flows.len(), flows.check_invariants(&base.agenda)), (1, 1));
    }

    #[test]
    fn a_session_that_ends_counts_the_connections_that_it_has_reset() {
        let (mut flows, mut base) = (Flows::default(), server());
        let listen = Target::Listen { number: 1, address: ([127, 0, 0, 1], 0).into() };
        let targets = [listen, Target::Listener(1), Target::Default];
        for (flow, target) in (1..).step_by(2).zip(targets) {
            flows.arrive(FlowId(flow), target.into(), &Stripes::default(), &mut base);
        }
        flows.reset(FlowId(5), Reason::Aborted, Some(Cut::Stopped), &mut base);
        for flow in [1, 3] {
            flows.reset(FlowId(flow), Reason::SessionLost, Some(Cut::Stopped), &mut base);
        }
        assert_eq!((flows.take_lost(), flows.take_lost()), (1, 0));
    }

    #[test]
    fn bytes_of_a_flow_that_was_reset_count_until_its_local_pipe_has_them() {
        let (mut flows, mut base) = (Flows::default(), server());
        let (stripes, end) = (Stripes::default(), FlowEnd::Reset(Reason::Aborted));
        for flow in [FlowId(1), FlowId(3)] {
            flows.arrive(flow, Opening::default(), &stripes, &mut base);
            flows.deliver(flow, Bytes::from_static(b"bytes"), &mut base);
            flows.cut(flow, end.clone(), &mut base);
        }
        assert_eq!((flows.len(), flows.lingering()), (0, 10));
        assert_eq!(flows.check_invariants(&base.agenda), 2);
        // Nobody has answered it, so nothing will take its bytes.
        let first = base.agenda.next_unwritten().unwrap();
        flows.write(first, &stripes, &mut base);
        assert_eq!(flows.lingering(), 5);
        flows.drop_lingering(&stripes, &mut base);
        assert_eq!((flows.lingering(), base.agenda.len()), (0, 0));
    }
}
