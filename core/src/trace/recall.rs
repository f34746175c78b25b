//! Tells what a trace says, without a session: what was done then, whatever the code does today.
//!
//! Invariant: what is given to the observer is bounded by what the trace's inputs brought, so a
//! trace written by hand can't ask for all memory.

use super::play::zeros;
use super::read::{Words, choice};
use super::{Observer, Said, Trace, TraceError};
use crate::config::MAX_CHUNK;
use crate::error::StripeClose;
use crate::io::{Input, Output};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;

/// With the feature `testing`: for simulators and tests, without a promise of stability.
impl Trace {
    /// Gives the observer each input and those of its outputs that tell of frames, stripes that are
    /// closed, and of what reaches the local consumer. Payload is zeros.
    pub fn recall(&self, observer: Observer<'_>) -> Result<(), TraceError> {
        let mut outputs = Vec::new();
        // Payload that came in and was not delivered yet, or less than that.
        let mut there = 0;
        for step in &self.steps {
            let input = step.input();
            if let Input::StripeBytes { data, .. } = &input {
                there += data.len() as u64;
            }
            outputs.clear();
            for Said { line, text } in &step.outputs {
                recall(text, &mut there, &mut outputs)
                    .map_err(|problem| TraceError { line: *line, problem })?;
            }
            observer(step.at, &input, &outputs);
        }
        Ok(())
    }
}

fn recall(line: &str, there: &mut u64, out: &mut Vec<Output>) -> Result<(), String> {
    if let Some(choice) = choice(line)? {
        if choice.payload > MAX_CHUNK as u64 {
            return Err(format!("no frame has {} bytes", choice.payload));
        }
        let header = choice.frame.encode(choice.payload as usize);
        let (stripe, payload) = (choice.stripe, zeros(choice.payload));
        out.push(Output::Transmit { stripe, header, payload });
        return Ok(());
    }
    let mut words = Words::of(line);
    let output = match words.word("an output")? {
        "deliver" => {
            let (flow, len) = (words.flow()?, words.number("a length", u64::MAX)?);
            *there = there.checked_sub(len).ok_or("more is delivered than has come in")?;
            let parts =
                (0..len).step_by(MAX_CHUNK).map(|at| zeros((len - at).min(MAX_CHUNK as u64)));
            out.extend(parts.map(|data| Output::FlowData { flow, data }));
            return words.end();
        }
        "close" => {
            Output::CloseStripe { stripe: words.stripe()?, reason: close(words.word("a reason")?)? }
        }
        "opened" => {
            let request = words.number("a request", u64::MAX)?;
            Output::FlowOpened { request, flow: words.flow()? }
        }
        "incoming" => Output::FlowIncoming { flow: words.flow()?, opaque: Bytes::new() },
        "refused" => Output::FlowRefused { flow: words.flow()?, reason: words.reason()? },
        "finished" => Output::FlowFinished { flow: words.flow()? },
        "reset" => Output::FlowReset { flow: words.flow()?, reason: words.reason()? },
        "ended" => Output::FlowEnded { flow: words.flow()? },
        _ => return Ok(()),
    };
    out.push(output);
    Ok(())
}

fn close(name: &str) -> Result<StripeClose, String> {
    match name {
        "stalled" => Ok(StripeClose::Stalled),
        "peer-gone" => Ok(StripeClose::PeerGone),
        "session-ended" => Ok(StripeClose::SessionEnded),
        _ => Err(format!("no stripe is closed for \"{name}\"")),
    }
}
