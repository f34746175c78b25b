//! Inputs and outputs as lines.

use super::framing::frame;
use super::{Given, Run};
use crate::error::{EndReason, StripeClose};
use crate::id::StripeId;
use crate::io::{Input, Output};
use crate::wire::frame::Frame;
use crate::wire::hello::{Hello, HelloKind};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Display, Formatter, Write};

impl Display for Given {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Given::Input(input) => write_input(input, f),
            Given::Bytes { stripe, runs } => {
                write!(f, "bytes {stripe}")?;
                runs.iter().try_for_each(|run| write!(f, " {run}"))
            }
            Given::Data { flow, len } => write!(f, "data {flow} {len}"),
            Given::Open { request, alias, len } => write!(f, "open {request} {alias} {len}"),
        }
    }
}

impl Display for Run {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Run::Head(bytes) => bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
            Run::Payload(len) => write!(f, "+{len}"),
        }
    }
}

/// Of those inputs that are recorded as they are.
fn write_input(input: &Input, f: &mut Formatter<'_>) -> fmt::Result {
    match input {
        Input::StripeUp { stripe, hello } => write_up(*stripe, hello, f),
        Input::StripeBytes { stripe, data } => write!(f, "bytes {stripe} +{}", data.len()),
        Input::StripeWritten { stripe, total } => write!(f, "written {stripe} {total}"),
        Input::StripeArrived { stripe, total } => write!(f, "arrived {stripe} {total}"),
        Input::StripeControl { stripe, rate_based } => {
            write!(f, "control {stripe} {}", if *rate_based { "rate" } else { "loss" })
        }
        Input::StripeDown { stripe } => write!(f, "down {stripe}"),
        Input::FlowOpen { request, opaque } => write!(f, "open {request} 0 {}", opaque.len()),
        Input::FlowAccept { flow } => write!(f, "accept {flow}"),
        Input::FlowRefuse { flow, reason } => write!(f, "refuse {flow} {}", reason.code()),
        Input::FlowData { flow, data } => write!(f, "data {flow} {}", data.len()),
        Input::FlowConsumed { flow, total } => write!(f, "consumed {flow} {total}"),
        Input::FlowFinish { flow } => write!(f, "finish {flow}"),
        Input::FlowReset { flow, reason } => write!(f, "reset {flow} {}", reason.code()),
        Input::MemoryLimit { receive, send } => write!(f, "memory {receive} {send}"),
        Input::Shutdown => f.write_str("shutdown"),
        Input::Abort => f.write_str("abort"),
        Input::Tick => f.write_str("tick"),
    }
}

fn write_up(stripe: StripeId, hello: &Hello, f: &mut Formatter<'_>) -> fmt::Result {
    write!(f, "up {stripe} ")?;
    match hello.kind {
        HelloKind::Create => f.write_str("create")?,
        HelloKind::Join => f.write_str("join")?,
        HelloKind::Accept { instance } => write!(f, "welcome {instance}")?,
        HelloKind::Refuse(refusal) => write!(f, "refusal {}", refusal.code())?,
    }
    // An alias: see the recorder.
    write!(f, " session {}", u128::from_be_bytes(hello.session.0))?;
    if !hello.gone.is_empty() {
        f.write_str(" gone ")?;
        write_counts(&hello.gone, f)?;
    }
    Ok(())
}

fn write_counts(counts: &[(StripeId, u64)], f: &mut dyn Write) -> fmt::Result {
    for (index, (stripe, count)) in counts.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        write!(f, "{comma}{stripe}:{count}")?;
    }
    Ok(())
}

/// The lines of one input. Neighbouring deliveries of a flow are one: cuts follow how they came.
pub(super) fn write_outputs(
    outputs: &[Output],
    mut line: impl FnMut(&str) -> fmt::Result,
) -> fmt::Result {
    let mut text = String::new();
    let mut delivered = None;
    for output in outputs {
        match (output, &mut delivered) {
            (Output::FlowData { flow, data }, Some((same, len))) if same == flow => {
                *len += data.len() as u64;
                continue;
            }
            _ => {}
        }
        flush(&mut delivered, &mut text, &mut line)?;
        if let Output::FlowData { flow, data } = output {
            delivered = Some((*flow, data.len() as u64));
            continue;
        }
        text.clear();
        write_output(output, &mut text)?;
        line(&text)?;
    }
    flush(&mut delivered, &mut text, &mut line)
}

fn flush(
    delivered: &mut Option<(crate::id::FlowId, u64)>,
    text: &mut String,
    line: &mut impl FnMut(&str) -> fmt::Result,
) -> fmt::Result {
    let Some((flow, len)) = delivered.take() else { return Ok(()) };
    text.clear();
    write!(text, "deliver {flow} {len}")?;
    line(text)
}

pub(super) fn output_lines(outputs: &[Output]) -> Vec<String> {
    let mut lines = Vec::new();
    // Writing to a String does not fail.
    let _ = write_outputs(outputs, |line| {
        lines.push(line.into());
        Ok(())
    });
    lines
}

fn write_output(output: &Output, f: &mut String) -> fmt::Result {
    match output {
        Output::Transmit { stripe, header, .. } => {
            write!(f, "{stripe} ")?;
            match frame(header) {
                Some((frame, payload)) => write_frame(&frame, payload, f),
                None => header.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
            }
        }
        Output::StripePace { stripe, unsent } => write!(f, "pace {stripe} {unsent}"),
        Output::CloseStripe { stripe, reason } => {
            write!(f, "close {stripe} {}", close_name(*reason))
        }
        Output::StripesWanted { count } => write!(f, "wanted {count}"),
        Output::FlowOpened { request, flow } => write!(f, "opened {request} {flow}"),
        Output::FlowOpenFailed { request } => write!(f, "open-failed {request}"),
        Output::FlowIncoming { flow, opaque } => write!(f, "incoming {flow} {}", opaque.len()),
        Output::FlowAccepted { flow } => write!(f, "accepted {flow}"),
        Output::FlowRefused { flow, reason } => write!(f, "refused {flow} {}", reason.code()),
        Output::FlowWritable { flow } => write!(f, "writable {flow}"),
        Output::FlowData { flow, data } => write!(f, "deliver {flow} {}", data.len()),
        Output::FlowFinished { flow } => write!(f, "finished {flow}"),
        Output::FlowReset { flow, reason } => write!(f, "reset {flow} {}", reason.code()),
        Output::FlowEnded { flow } => write!(f, "ended {flow}"),
        Output::Draining => f.write_str("draining"),
        Output::Ended { reason } => match reason {
            EndReason::Shutdown => f.write_str("over shutdown"),
            EndReason::Aborted => f.write_str("over aborted"),
            EndReason::PeerClosed => f.write_str("over peer-closed"),
            EndReason::PeerComplained => f.write_str("over peer-complained"),
            EndReason::NoStripe => f.write_str("over no-stripe"),
            EndReason::Violation(violation) => write!(f, "over violation {violation:?}"),
        },
    }
}

fn close_name(reason: StripeClose) -> &'static str {
    match reason {
        StripeClose::Stalled => "stalled",
        StripeClose::PeerGone => "peer-gone",
        StripeClose::SessionEnded => "session-ended",
    }
}

fn write_frame(frame: &Frame, payload: u64, f: &mut String) -> fmt::Result {
    match frame {
        Frame::Open { flow, early, credit, opaque } => {
            write!(f, "open {flow} {early} {credit} {} {payload}", opaque.len())
        }
        Frame::Accept { flow } => write!(f, "accept {flow}"),
        Frame::Refuse { flow, reason } => write!(f, "refuse {flow} {reason}"),
        Frame::Data { flow, offset, fin } => {
            write!(f, "data {flow} {offset}+{payload}{}", if *fin { " fin" } else { "" })
        }
        Frame::Reset { flow, reason, final_offset } => {
            write!(f, "reset {flow} {reason} {final_offset}")
        }
        Frame::Credit { flow, limit } => write!(f, "credit {flow} {limit}"),
        Frame::Blocked { flow, limit } => write!(f, "blocked {flow} {limit}"),
        Frame::Grant { flows, early } => write!(f, "grant {flows} {early}"),
        Frame::Ack { counts } => {
            f.write_str("ack ")?;
            write_counts(counts, f)
        }
        Frame::StripeGone { stripe, received } => write!(f, "gone {stripe} {received}"),
        Frame::Ping { nonce } => write!(f, "ping {nonce}"),
        Frame::Pong { nonce } => write!(f, "pong {nonce}"),
        Frame::Drain => f.write_str("drain"),
        Frame::Close { code } => write!(f, "close {code}"),
    }
}
