//! The plan of a flow: its target, how the client opens it, and the programs at its ends.

use super::{FAULTS, FaultKind};
use crate::base::{log_duration, log_range, pick};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::time::Duration;

/// The most early bytes of a request: a little more than early credit allows.
const EARLY: u64 = 300 << 10;

#[derive(Clone, Debug)]
pub struct ProgramPlan {
    pub bytes: u64,
    /// It begins when it has seen the other's FIN.
    pub answers: bool,
    pub piece: usize,
    pub pause: Duration,
    pub end: Ending,
    pub read: usize,
    pub read_pause: Duration,
    /// It stops reading after so many bytes until all faults are over.
    pub stop_after: Option<u64>,
    /// It sends its FIN at that time, in microseconds, although it has more to say.
    pub finish_at: Option<u64>,
    /// It breaks off at that time, in microseconds.
    pub reset_at: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    Finish,
    Reset,
    /// Closes its socket after its FIN, and reads no more.
    Leave,
    /// Leaves it open until all faults are over.
    Late,
}

/// How a flow names its target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Naming {
    /// Not at all: it is the server's own. At most one flow of a world has that target.
    Own,
    Host,
    Address,
    Unix,
}

/// The way in which a target treats the connection to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    Accepts,
    /// The server must not dial it.
    Denied,
    Refuses,
    /// The server drops the flow, and has not answered it.
    Unanswered,
    Never,
    /// Accepts after so many microseconds, if the server still waits.
    Late(u64),
    /// Accepts, and breaks the connection at once.
    Resets,
    /// Accepts, and ends before it has heard anything.
    Ends,
}

/// A flow that the client requests before it has a local pipe, as for SOCKS.
#[derive(Clone, Debug)]
pub struct RequestPlan {
    /// The bytes of the program that go with the request.
    pub early: u64,
    /// The local pipe follows the target's answer. Otherwise it does not wait for that.
    pub waits: bool,
    /// The time until the local pipe follows.
    pub dawdle: Duration,
    /// The request is dropped if it has no answer by then.
    pub patience: Option<Duration>,
}

/// A flow whose program is on the side of the server, at a listener that the client asks for.
#[derive(Clone, Debug)]
pub struct ReversePlan {
    /// The client, and the server, drop the listener after it has been there for so long.
    pub lives: [Option<Duration>; 2],
}

#[derive(Clone, Debug)]
pub struct FlowPlan {
    pub at: u64,
    pub naming: Naming,
    pub answer: Answer,
    pub request: Option<RequestPlan>,
    /// The first program dials the server's side.
    pub reverse: Option<ReversePlan>,
    pub programs: [ProgramPlan; 2],
    /// That side uses the library's flow and a bridge instead of letting the pump carry the socket.
    /// Has no effect on a request.
    pub bridged: [bool; 2],
}

impl FlowPlan {
    pub fn both_ways(at: u64, bytes: u64) -> Self {
        let program = ProgramPlan {
            bytes,
            answers: false,
            piece: 16 << 10,
            pause: Duration::ZERO,
            end: Ending::Finish,
            read: 64 << 10,
            read_pause: Duration::ZERO,
            stop_after: None,
            finish_at: None,
            reset_at: None,
        };
        FlowPlan {
            at,
            naming: Naming::Host,
            answer: Answer::Accepts,
            request: None,
            reverse: None,
            programs: [program.clone(), program],
            bridged: [false; 2],
        }
    }
}

/// Draws a flow, which takes its bytes from the budget. `own` says that the server's own target is
/// still free, and `listens` that another listener may be asked for.
pub(super) fn draw_flow(
    rng: &mut ChaCha8Rng,
    kinds: &[FaultKind],
    budget: &mut u64,
    [own, listens]: [bool; 2],
) -> FlowPlan {
    let at = match rng.random() {
        true => rng.random_range(0..FAULTS),
        false => rng.random_range(0..FAULTS / 10),
    };
    let mut programs = [(); 2].map(|()| draw_program(rng, kinds, at, budget));
    if programs.iter().all(|program| program.answers) {
        programs[0].answers = false;
    }
    let naming = match *pick(rng, &[Naming::Own, Naming::Host, Naming::Address, Naming::Unix]) {
        Naming::Own if !own => Naming::Host,
        naming => naming,
    };
    let answer = draw_answer(rng, kinds);
    match answer {
        Answer::Resets => programs[1].reset_at = Some(0),
        Answer::Ends => {
            let end = *pick(rng, &[Ending::Finish, Ending::Leave]);
            programs[1] = ProgramPlan { bytes: 0, answers: false, end, ..programs[1].clone() };
            programs[0].answers = rng.random();
        }
        _ => {}
    }
    let request = (rng.random_range(0..3) == 0).then(|| draw_request(rng, kinds, &programs[0]));
    let bridged = [rng.random_range(0..3) == 0, rng.random_range(0..3) == 0];
    let reverse = (listens && rng.random_range(0..4) == 0).then(|| draw_reverse(rng, kinds));
    let naming = if reverse.is_some() { Naming::Host } else { naming };
    FlowPlan { at, naming, answer, request, reverse, programs, bridged }
}

fn draw_reverse(rng: &mut ChaCha8Rng, kinds: &[FaultKind]) -> ReversePlan {
    let drops = kinds.contains(&FaultKind::ListenerDropped);
    let mut life = || (drops && rng.random()).then(|| log_duration(rng, 1_000, 10_000_000));
    ReversePlan { lives: [life(), life()] }
}

fn draw_program(
    rng: &mut ChaCha8Rng,
    kinds: &[FaultKind],
    at: u64,
    budget: &mut u64,
) -> ProgramPlan {
    let bytes = match rng.random_range(0..8) {
        0 => 0,
        1 => 1,
        _ => log_range(rng, 1, (*budget / 3).max(2)),
    };
    *budget = budget.saturating_sub(bytes);
    let trickles = rng.random_range(0..6) == 0 && bytes < 2_000;
    let slow = kinds.contains(&FaultKind::SlowReader) && rng.random();
    let resets = kinds.contains(&FaultKind::LocalReset);
    let finishes = kinds.contains(&FaultKind::HalfClose);
    let read = if slow {
        *pick(rng, &[1, 1, 100, 4_096])
    } else {
        *pick(rng, &[4_096, 64 << 10, 1 << 20])
    };
    let mut sometime = |may| match rng.random_range(0..6) {
        0 if may => Some(rng.random_range(0..FAULTS)),
        1 if may => Some(at + log_range(rng, 10, FAULTS)),
        _ => None,
    };
    let (finish_at, reset_at) = (sometime(finishes), sometime(resets));
    ProgramPlan {
        bytes,
        answers: rng.random_range(0..4) == 0,
        piece: if trickles { 1 } else { *pick(rng, &[100, 1_448, 16 << 10, 1 << 20]) },
        pause: match rng.random_range(0..3) {
            0 => log_duration(rng, 10, 100_000),
            _ => Duration::ZERO,
        },
        end: match rng.random_range(0..8) {
            0 => Ending::Late,
            1 if resets => Ending::Reset,
            2 if resets => Ending::Leave,
            _ => Ending::Finish,
        },
        read,
        read_pause: if slow { log_duration(rng, 10, 100_000) } else { Duration::ZERO },
        stop_after: match rng.random_range(0..4) {
            0 if slow => Some(0),
            1 if slow => Some(log_range(rng, 1, 256 << 10)),
            _ => None,
        },
        finish_at,
        reset_at,
    }
}

fn draw_answer(rng: &mut ChaCha8Rng, kinds: &[FaultKind]) -> Answer {
    let late = log_range(rng, 1_000, 20_000_000);
    let gone = *pick(rng, &[Answer::Resets, Answer::Ends]);
    let mut answers = vec![Answer::Accepts; 2];
    for (kind, answer) in [
        (FaultKind::TargetRefused, Answer::Refuses),
        (FaultKind::TargetDenied, Answer::Denied),
        (FaultKind::TargetMute, Answer::Never),
        (FaultKind::TargetLate, Answer::Late(late)),
        (FaultKind::TargetGone, gone),
    ] {
        if kinds.contains(&kind) {
            answers.push(answer);
        }
    }
    match *pick(rng, &answers) {
        Answer::Refuses if rng.random_range(0..3) == 0 => Answer::Unanswered,
        answer => answer,
    }
}

fn draw_request(rng: &mut ChaCha8Rng, kinds: &[FaultKind], program: &ProgramPlan) -> RequestPlan {
    let most = if program.answers { 0 } else { program.bytes.min(EARLY) };
    let gives_up = kinds.contains(&FaultKind::RequestDropped) && rng.random();
    RequestPlan {
        early: match rng.random_range(0..4) {
            0 => 0,
            1 => most,
            _ => log_range(rng, 1, most.max(2)).min(most),
        },
        waits: rng.random_range(0..4) > 0,
        dawdle: match rng.random_range(0..3) {
            0 => log_duration(rng, 10, 3_000_000),
            _ => Duration::ZERO,
        },
        patience: gives_up.then(|| log_duration(rng, 10, 12_000_000)),
    }
}
