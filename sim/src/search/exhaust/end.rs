//! One end of an enumerated world: a real session with its programs. It is given an input and
//! returns its effects.
//!
//! Time stands still, so the effects are a function of the end's fingerprint and the input alone.

use super::program::{Act, Ending, FlowPlan, Over, Pace, Program};
use crate::base::Side;
use bytes::Bytes;
use std::hash::{Hash, Hasher};
use striper_core::testing::{Endpoint, Keep};
use striper_core::wire::frame::Frame;
use striper_core::{
    Config, EndReason, Hello, Input, Instant, Output, Reason, Role, Session, SessionId, StripeId,
    Timer,
};

const NOW: Instant = Instant::from_micros(1_000_000);

/// The settings that both ends of a world know.
#[derive(Clone, Debug)]
pub struct Plan {
    pub config: Config,
    /// The flows, which are opened in this order.
    pub flows: Vec<FlowPlan>,
    /// The operating system takes everything at once; otherwise each write is an event.
    pub writes_at_once: bool,
    /// The stripe for control is chosen, too.
    pub control_choices: bool,
    /// Acknowledgements and repetitions become due only when nothing is in flight; otherwise at any
    /// time.
    pub late_timers: bool,
    /// HELLO, PING, PONG and GRANT arrive together with the message behind them.
    pub coarse: bool,
    /// No credit beyond the floors of flows.
    pub poor: bool,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Message {
    Hello(Vec<u8>),
    /// One frame: header and payload.
    Frame(Bytes, Bytes),
}

impl Message {
    /// Whether it says nothing about flows and lost stripes (but HELLO may).
    pub fn is_light(&self) -> bool {
        match self {
            Message::Hello(_) => true,
            Message::Frame(header, _) => matches!(
                Frame::decode(header),
                Some(Frame::Ping { .. } | Frame::Pong { .. } | Frame::Grant { .. })
            ),
        }
    }

    pub fn describe(&self) -> String {
        match self {
            Message::Hello(bytes) => format!("HELLO ({} bytes)", bytes.len()),
            Message::Frame(header, payload) => match Frame::decode(header) {
                Some(frame) if payload.is_empty() => format!("{frame:?}"),
                Some(frame) => format!("{frame:?} with {} bytes", payload.len()),
                None => format!("{header:?}"),
            },
        }
    }
}

#[derive(Clone, Debug)]
pub enum EndInput {
    /// It opens its flows.
    Open,
    /// A HELLO came.
    Hello { stripe: StripeId, hello: Hello },
    /// A frame came, or with `half` only the first half of its payload.
    Frame { stripe: StripeId, header: Bytes, payload: Bytes, half: bool },
    /// A stripe has broken.
    Down { stripe: StripeId },
    /// The operating system has taken all that was transmitted.
    Written { stripe: StripeId },
    /// A timer goes off.
    Fire(Timer),
    /// A program acts.
    Act { flow: usize, act: Act },
}

/// An effect of an end on the world.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Effect {
    Send(StripeId, Message),
    /// Closes a stripe, or turns one away.
    Close(StripeId),
}

#[derive(Clone, Debug)]
pub struct End {
    side: Side,
    endpoint: Endpoint,
    programs: Vec<Program>,
}

impl End {
    pub fn new(side: Side, plan: &Plan) -> Self {
        let role = match side {
            Side::Client => Role::Client,
            Side::Server => Role::Server { instance: 7 },
        };
        let session = Session::new(role, SessionId([9; 16]), plan.config, NOW);
        let mut end = End {
            side,
            endpoint: Endpoint::new(session, Keep::Nothing),
            programs: (0..plan.flows.len()).map(|flow| Program::new(flow, side)).collect(),
        };
        let mut effects = Vec::new();
        if plan.poor {
            end.give(plan, Input::MemoryLimit { receive: 0, send: 1 << 20 }, &mut effects);
        }
        end.give(plan, Input::Tick, &mut effects);
        end
    }

    pub fn programs(&self) -> &[Program] {
        &self.programs
    }

    pub fn session(&self) -> &Session {
        &self.endpoint.session
    }

    pub fn ended(&self) -> Option<EndReason> {
        self.endpoint.ended()
    }

    /// The number of stripes that it wants to be dialed.
    pub fn wanted(&self) -> usize {
        self.endpoint.wanted()
    }

    /// Stripes that have not taken all that was transmitted.
    pub fn unwritten(&self) -> impl Iterator<Item = StripeId> + '_ {
        let unwritten =
            self.endpoint.stripes().iter().filter(|(_, totals)| totals.written < totals.sent);
        unwritten.map(|(stripe, _)| *stripe)
    }

    pub fn hello(&self, stripe: StripeId) -> Message {
        Message::Hello(self.endpoint.session.hello(stripe).encode().to_vec())
    }

    /// Hashes everything that decides its next effects.
    pub fn fingerprint(&self, hasher: &mut impl Hasher) {
        self.endpoint.session.fingerprint(hasher);
        (self.side.index(), &self.programs, self.endpoint.stripes(), self.endpoint.wanted())
            .hash(hasher);
        self.endpoint.ended().is_some().hash(hasher);
    }

    /// The acts that its programs may do as events of their own.
    pub fn acts<'a>(&'a self, plan: &'a Plan) -> impl Iterator<Item = (usize, Act)> + 'a {
        self.programs.iter().flat_map(move |program| {
            let acts = [Act::Answer, Act::Give, Act::End, Act::Read];
            acts.into_iter().filter(|act| may(program, plan, *act)).map(|act| (program.flow, act))
        })
    }

    /// Takes an input with these choices of stripes. The last result is the choices that were made,
    /// each with the number of options.
    pub fn step(
        &self,
        plan: &Plan,
        input: EndInput,
        choices: &[u8],
    ) -> (End, Vec<Effect>, Vec<(u8, u8)>) {
        let mut end = self.clone();
        let mut effects = Vec::new();
        end.endpoint.session.script(choices.to_vec(), plan.control_choices);
        end.take(plan, input, &mut effects);
        end.run_programs(plan, &mut effects);
        if end.ended().is_none() {
            end.endpoint.session.check_invariants();
            for program in end.programs.iter().filter(|program| program.over == Some(Over::Ended)) {
                assert_eq!(program.consumed, program.delivered, "ended before all was consumed");
            }
        }
        let made = end.endpoint.session.scripted().to_vec();
        end.endpoint.session.script(Vec::new(), plan.control_choices);
        (end, effects, made)
    }

    fn take(&mut self, plan: &Plan, input: EndInput, effects: &mut Vec<Effect>) {
        match input {
            EndInput::Open => {
                for (flow, flow_plan) in plan.flows.iter().enumerate() {
                    if flow_plan.opener == self.side {
                        let opaque = Bytes::copy_from_slice(&[flow as u8]);
                        self.give(plan, Input::FlowOpen { request: flow as u64, opaque }, effects);
                    }
                }
            }
            EndInput::Hello { stripe, hello } => {
                if self.side == Side::Server {
                    if self.endpoint.session.may_join(stripe).is_err() {
                        effects.push(Effect::Close(stripe));
                        return;
                    }
                    effects.push(Effect::Send(stripe, self.hello(stripe)));
                }
                if self.ended().is_some() {
                    effects.push(Effect::Close(stripe));
                    return;
                }
                self.give(plan, Input::StripeUp { stripe, hello }, effects);
            }
            EndInput::Frame { stripe, header, payload, half } => {
                self.give(plan, Input::StripeBytes { stripe, data: header }, effects);
                let payload = if half { payload.slice(..payload.len() / 2) } else { payload };
                if !payload.is_empty() {
                    self.give(plan, Input::StripeBytes { stripe, data: payload }, effects);
                }
            }
            EndInput::Down { stripe } => self.give(plan, Input::StripeDown { stripe }, effects),
            EndInput::Written { stripe } => self.write(plan, stripe, effects),
            EndInput::Fire(timer) => {
                let mut out = Vec::new();
                self.endpoint.session.fire(timer, &mut out);
                self.endpoint.note(&out);
                self.perform(plan, out, effects);
            }
            EndInput::Act { flow, act } => self.act(plan, flow, act, effects),
        }
    }

    /// Gives the session an input and performs its outputs.
    fn give(&mut self, plan: &Plan, input: Input, effects: &mut Vec<Effect>) {
        let mut out = Vec::new();
        self.endpoint.give(NOW, input, &mut out);
        self.perform(plan, out, effects);
    }

    fn write(&mut self, plan: &Plan, stripe: StripeId, effects: &mut Vec<Effect>) {
        if let Some(input) = self.endpoint.all_written(stripe) {
            self.give(plan, input, effects);
        }
    }

    fn perform(&mut self, plan: &Plan, out: Vec<Output>, effects: &mut Vec<Effect>) {
        for output in out {
            match output {
                Output::Transmit { stripe, header, payload } => {
                    effects.push(Effect::Send(stripe, Message::Frame(header, payload)));
                }
                Output::CloseStripe { stripe, .. } => effects.push(Effect::Close(stripe)),
                Output::StripesWanted { .. } | Output::StripePace { .. } => {}
                Output::Draining | Output::FlowOpenFailed { .. } => {
                    panic!("{output:?} was not asked for")
                }
                Output::Ended { reason } => {
                    assert!(
                        !matches!(reason, EndReason::Violation(_) | EndReason::PeerComplained),
                        "the session has ended: {reason:?}"
                    );
                }
                output => self.tell_program(plan, output),
            }
        }
    }

    fn tell_program(&mut self, plan: &Plan, output: Output) {
        let named = |id| self.programs.iter().position(|program| program.id == Some(id));
        let flow = match &output {
            Output::FlowOpened { request, .. } => *request as usize,
            Output::FlowIncoming { opaque, .. } => usize::from(opaque[0]),
            Output::FlowAccepted { flow }
            | Output::FlowRefused { flow, .. }
            | Output::FlowWritable { flow }
            | Output::FlowData { flow, .. }
            | Output::FlowFinished { flow }
            | Output::FlowReset { flow, .. }
            | Output::FlowEnded { flow } => named(*flow).expect("a flow that exists"),
            other => panic!("{other:?} is for no flow"),
        };
        let (program, plan) = (&mut self.programs[flow], &plan.flows[flow]);
        match output {
            Output::FlowOpened { flow, .. } | Output::FlowIncoming { flow, .. } => {
                assert!(program.id.replace(flow).is_none(), "flow {flow} begins twice");
            }
            Output::FlowAccepted { .. } => {
                program.must_be_open("acceptance");
                assert!(!std::mem::replace(&mut program.answered, true), "accepted twice");
                assert!(plan.answer.1, "accepted by nobody");
            }
            Output::FlowRefused { .. } => program.broken(plan, Over::Refused),
            Output::FlowWritable { .. } => {
                program.must_be_open("room");
                program.waiting = false;
            }
            Output::FlowData { data, .. } => program.deliver(plan, &data),
            Output::FlowFinished { .. } => program.fin(plan),
            Output::FlowReset { reason, .. } => program.broken(plan, Over::Reset(reason)),
            Output::FlowEnded { .. } => program.ended(),
            other => panic!("{other:?} is for no flow"),
        }
    }

    /// Lets the programs and the operating system do everything that they do at once.
    fn run_programs(&mut self, plan: &Plan, effects: &mut Vec<Effect>) {
        loop {
            let at_once = |program: &Program, act: &Act| {
                let flow = &plan.flows[program.flow];
                let end = &flow.ends[program.side.index()];
                let pace = match act {
                    Act::Answer => Some(flow.answer.0),
                    Act::Give => Some(end.gives),
                    Act::End => Some(end.ends),
                    Act::Read => end.reads,
                };
                pace == Some(Pace::AtOnce)
            };
            let next = self.acts(plan).find(|(flow, act)| at_once(&self.programs[*flow], act));
            if let Some((flow, act)) = next {
                self.act(plan, flow, act, effects);
                continue;
            }
            let unwritten = self.unwritten().next();
            match unwritten.filter(|_| plan.writes_at_once) {
                Some(stripe) => self.write(plan, stripe, effects),
                None => return,
            }
        }
    }

    fn act(&mut self, plan: &Plan, flow: usize, act: Act, effects: &mut Vec<Effect>) {
        let (program, flow_plan) = (&mut self.programs[flow], &plan.flows[flow]);
        let id = program.id.expect("an act of a flow that exists");
        let input = match act {
            Act::Answer => {
                program.answered = true;
                if flow_plan.answer.1 {
                    Input::FlowAccept { flow: id }
                } else {
                    program.over = Some(Over::OwnRefusal);
                    Input::FlowRefuse { flow: id, reason: Reason::ConnectionRefused }
                }
            }
            Act::Give => match program.next_piece(flow_plan, self.endpoint.session.send_room(id)) {
                Some(data) => Input::FlowData { flow: id, data },
                None => return,
            },
            Act::End if flow_plan.ends[self.side.index()].ending == Ending::Reset => {
                program.over = Some(Over::OwnReset);
                Input::FlowReset { flow: id, reason: Reason::Aborted }
            }
            Act::End => {
                program.finished = true;
                Input::FlowFinish { flow: id }
            }
            Act::Read => {
                program.consumed = program.delivered;
                Input::FlowConsumed { flow: id, total: program.consumed }
            }
        };
        self.give(plan, input, effects);
    }
}

/// Whether a program may act so now.
fn may(program: &Program, plan: &Plan, act: Act) -> bool {
    let flow = &plan.flows[program.flow];
    let end = &flow.ends[program.side.index()];
    let is_opener = flow.opener == program.side;
    if program.id.is_none() || program.over.is_some() {
        return false;
    }
    let given_all = program.given == end.total();
    match act {
        Act::Answer => !is_opener && !program.answered,
        Act::Give => {
            (is_opener || program.answered) && !given_all && !program.waiting && !program.finished
        }
        Act::End => {
            (is_opener || program.answered)
                && given_all
                && !program.finished
                && end.ending != Ending::Never
        }
        Act::Read => end.reads.is_some() && program.consumed < program.delivered,
    }
}
