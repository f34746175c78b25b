//! One end of an enumerated world: a real session with its programs. It is given an input and
//! returns its effects.
//!
//! Time stands still, so the effects are a function of the end's fingerprint and the input alone.

use super::program::{Act, Ending, FlowPlan, Over, Pace, Program};
use crate::base::Side;
use bytes::Bytes;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use striper_core::testing::{Endpoint, Keep};
use striper_core::wire::frame::Frame;
use striper_core::{
    Config, EndReason, Handshake, Hello, Input, Instant, Output, Reason, Role, Session, SessionId,
    StripeId, Timer,
};

const NOW: Instant = Instant::from_micros(1_000_000);

#[derive(Clone, Debug)]
pub struct Plan {
    pub config: Config,
    pub flows: Vec<FlowPlan>,
    /// The operating system takes everything at once; otherwise each write is an event.
    pub writes_at_once: bool,
    /// The stripe for control is chosen, too.
    pub control_choices: bool,
    /// Acknowledgements and repetitions wait until nothing is in flight; otherwise for nothing.
    pub late_timers: bool,
    /// HELLO, PING, PONG and GRANT arrive together with the message behind them.
    pub coarse: bool,
    /// No credit beyond the floors of flows.
    pub poor: bool,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Message {
    Hello(Vec<u8>),
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

/// The messages that were ever sent, each once. Its number stands for it, so that states and inputs
/// are small and comparable.
#[derive(Debug, Default)]
pub struct Messages {
    all: Vec<Message>,
    numbers: HashMap<Message, u32>,
}

impl Messages {
    pub fn number(&mut self, message: Message) -> u32 {
        *self.numbers.entry(message).or_insert_with_key(|message| {
            self.all.push(message.clone());
            self.all.len() as u32 - 1
        })
    }

    pub fn get(&self, number: u32) -> &Message {
        &self.all[number as usize]
    }
}

/// With `half` only the first half of a message's payload came. At `Written` the operating system
/// has taken all that was transmitted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Given {
    Open,
    Message { stripe: StripeId, message: u32, half: bool },
    Down(StripeId),
    Written(StripeId),
    Fire(Timer),
    Act(usize, Act),
}

#[derive(Clone, Copy, Debug)]
pub enum Effect {
    Send(StripeId, u32),
    /// Closes a stripe, or turns one away.
    Close(StripeId),
}

struct Step<'a> {
    plan: &'a Plan,
    messages: &'a mut Messages,
    effects: Vec<Effect>,
}

impl Step<'_> {
    fn send(&mut self, stripe: StripeId, message: Message) {
        self.effects.push(Effect::Send(stripe, self.messages.number(message)));
    }
}

#[derive(Clone, Debug)]
pub struct End {
    side: Side,
    pub endpoint: Endpoint,
    pub programs: Vec<Program>,
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
            programs: (0..plan.flows.len())
                .map(|flow| Program { flow, side, ..Program::default() })
                .collect(),
        };
        let mut step = Step { plan, messages: &mut Messages::default(), effects: Vec::new() };
        if plan.poor {
            end.give(&mut step, Input::MemoryLimit { receive: 0, send: 1 << 20 });
        }
        end.give(&mut step, Input::Tick);
        end
    }

    pub fn ended(&self) -> Option<EndReason> {
        self.endpoint.ended()
    }

    pub fn unwritten(&self) -> impl Iterator<Item = StripeId> + '_ {
        let unwritten =
            self.endpoint.stripes().iter().filter(|(_, totals)| totals.written < totals.sent);
        unwritten.map(|(stripe, _)| *stripe)
    }

    pub fn hello(&self, stripe: StripeId) -> Message {
        Message::Hello(self.endpoint.session.hello(stripe).encode().to_vec())
    }

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
        &mut self,
        plan: &Plan,
        messages: &mut Messages,
        given: Given,
        choices: &[u8],
    ) -> (Vec<Effect>, Vec<(u8, u8)>) {
        let mut step = Step { plan, messages, effects: Vec::new() };
        self.endpoint.session.script(choices.to_vec(), plan.control_choices);
        self.take(&mut step, given);
        self.run_programs(&mut step);
        if self.ended().is_none() {
            self.endpoint.session.check_invariants();
            let ended = |program: &&Program| program.over == Some(Over::Ended);
            for program in self.programs.iter().filter(ended) {
                assert_eq!(program.consumed, program.delivered, "ended before all was consumed");
            }
        }
        let made = self.endpoint.session.scripted().to_vec();
        self.endpoint.session.script(Vec::new(), plan.control_choices);
        (step.effects, made)
    }

    fn take(&mut self, step: &mut Step, given: Given) {
        match given {
            Given::Open => {
                for (flow, plan) in step.plan.flows.iter().enumerate() {
                    if plan.opener == self.side {
                        let opaque = Bytes::copy_from_slice(&[flow as u8]);
                        self.give(step, Input::FlowOpen { request: flow as u64, opaque });
                    }
                }
            }
            Given::Message { stripe, message, half } => match step.messages.get(message).clone() {
                Message::Hello(bytes) => {
                    let heard = Handshake::new().feed(bytes.into()).expect("a HELLO");
                    self.join(step, stripe, heard.expect("all of it").0);
                }
                Message::Frame(header, payload) => {
                    self.give(step, Input::StripeBytes { stripe, data: header });
                    let payload = if half { payload.slice(..payload.len() / 2) } else { payload };
                    if !payload.is_empty() {
                        self.give(step, Input::StripeBytes { stripe, data: payload });
                    }
                }
            },
            Given::Down(stripe) => self.give(step, Input::StripeDown { stripe }),
            Given::Written(stripe) => self.write(step, stripe),
            Given::Fire(timer) => {
                let mut out = Vec::new();
                self.endpoint.session.fire(timer, &mut out);
                self.endpoint.note(&out);
                self.perform(step, out);
            }
            Given::Act(flow, act) => self.act(step, flow, act),
        }
    }

    fn join(&mut self, step: &mut Step, stripe: StripeId, hello: Hello) {
        if self.side == Side::Server {
            if self.endpoint.session.may_join(stripe).is_err() {
                step.effects.push(Effect::Close(stripe));
                return;
            }
            step.send(stripe, self.hello(stripe));
        }
        if self.ended().is_some() {
            step.effects.push(Effect::Close(stripe));
            return;
        }
        self.give(step, Input::StripeUp { stripe, hello });
    }

    fn give(&mut self, step: &mut Step, input: Input) {
        let mut out = Vec::new();
        self.endpoint.give(NOW, input, &mut out);
        self.perform(step, out);
    }

    fn write(&mut self, step: &mut Step, stripe: StripeId) {
        if let Some(input) = self.endpoint.all_written(stripe) {
            self.give(step, input);
        }
    }

    fn perform(&mut self, step: &mut Step, out: Vec<Output>) {
        for output in out {
            match output {
                Output::Transmit { stripe, header, payload } => {
                    step.send(stripe, Message::Frame(header, payload));
                }
                Output::CloseStripe { stripe, .. } => step.effects.push(Effect::Close(stripe)),
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
                output => self.tell_program(step.plan, output),
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
    fn run_programs(&mut self, step: &mut Step) {
        let plan = step.plan;
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
                self.act(step, flow, act);
                continue;
            }
            let unwritten = self.unwritten().next();
            match unwritten.filter(|_| plan.writes_at_once) {
                Some(stripe) => self.write(step, stripe),
                None => return,
            }
        }
    }

    fn act(&mut self, step: &mut Step, flow: usize, act: Act) {
        let (program, flow_plan) = (&mut self.programs[flow], &step.plan.flows[flow]);
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
        self.give(step, input);
    }
}

fn may(program: &Program, plan: &Plan, act: Act) -> bool {
    let flow = &plan.flows[program.flow];
    let end = &flow.ends[program.side.index()];
    let is_opener = flow.opener == program.side;
    if program.id.is_none() || program.over.is_some() {
        return false;
    }
    let may_send = (is_opener || program.answered) && !program.finished;
    let given_all = program.given == end.total();
    match act {
        Act::Answer => !is_opener && !program.answered,
        Act::Give => may_send && !given_all && !program.waiting,
        Act::End => may_send && given_all && end.ending != Ending::Never,
        Act::Read => end.reads.is_some() && program.consumed < program.delivered,
    }
}
