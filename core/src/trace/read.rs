//! Reads a trace back. Text that can't be read is an error that names its line.

use super::alias::session_id;
use super::{BEGIN, BEGINS, Given, Header, MAGIC, MAX_INPUT, Run, Said, Step, Trace, TraceError};
use crate::config::MAX_OPAQUE;
use crate::error::Reason;
use crate::id::{FlowId, StripeId};
use crate::io::Input;
use crate::session::follow::Choice;
use crate::wire::frame::{Frame, MAX_ACKS};
use crate::wire::hello::{Hello, HelloKind, MAX_GONE, Refusal};
use crate::wire::varint;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use bytes::Bytes;
use core::str::SplitAsciiWhitespace;
use core::time::Duration;

/// The longest pause between two inputs: a hundred years, in microseconds.
const MAX_PAUSE: u64 = 100 * 366 * 86_400 * 1_000_000;

/// The latest time, in microseconds.
const MAX_TIME: u64 = 1 << 60;

impl Trace {
    /// Reads a trace. A last line without its end is left out and noted in [`Trace::broken_off`].
    pub fn read(text: &str) -> Result<Trace, TraceError> {
        let (text, broken_off) = match text.rfind('\n') {
            Some(end) => (&text[..=end], end + 1 < text.len()),
            None => ("", !text.is_empty()),
        };
        let (header, story, steps) = (Header::empty(), String::new(), Vec::new());
        let mut trace = Trace { header, story, steps, end: None, broken_off };
        let mut part = Part::Magic;
        for (index, line) in text.lines().enumerate() {
            let at = |problem: String| TraceError { line: index + 1, problem };
            if let Some(comment) = line.strip_prefix('#') {
                trace.story += comment.trim();
                trace.story += "\n";
                continue;
            }
            part = trace.take(part, line, index + 1).map_err(at)?;
        }
        match part {
            Part::Magic | Part::Header => {
                let problem = format!(
                    "this is no trace, or only its beginning: there is no line \"{BEGIN}\""
                );
                Err(TraceError { line: text.lines().count().max(1), problem })
            }
            Part::Run | Part::Ended => Ok(trace),
        }
    }

    fn take(&mut self, part: Part, line: &str, number: usize) -> Result<Part, String> {
        match part {
            Part::Magic if line == MAGIC => return Ok(Part::Header),
            Part::Magic if line.starts_with(BEGINS) => {
                return Err(format!(
                    "\"{line}\" is another version of the format; this one reads \"{MAGIC}\""
                ));
            }
            Part::Magic => {
                return Err(format!("this is no trace: it does not begin with \"{MAGIC}\""));
            }
            Part::Header if line == BEGIN => return Ok(Part::Run),
            Part::Header => {
                self.header.read(line)?;
                return Ok(Part::Header);
            }
            Part::Ended => return Err("something follows the end".into()),
            Part::Run => {}
        }
        if let Some(output) = line.strip_prefix(' ') {
            let step = self.steps.last_mut().ok_or("an output before the first input")?;
            step.outputs.push(Said { line: number, text: output.into() });
        } else if let Some(how) = line.strip_prefix("end ") {
            self.end = Some(how.into());
            return Ok(Part::Ended);
        } else {
            let before = self.steps.last().map_or(self.header.birth, |step| step.at);
            let mut words = Words::of(line);
            let pause = words.number("a time", MAX_PAUSE)?;
            let at = before + Duration::from_micros(pause);
            if at.as_micros() > MAX_TIME {
                return Err("a time beyond all times".into());
            }
            let given = words.given()?;
            words.end()?;
            let text = line.split_once(' ').map_or("", |(_, text)| text).to_string();
            self.steps.push(Step { line: number, at, text, given, outputs: Vec::new() });
        }
        Ok(Part::Run)
    }
}

#[derive(Clone, Copy)]
enum Part {
    Magic,
    Header,
    Run,
    Ended,
}

pub(super) fn choice(line: &str) -> Result<Option<Choice>, String> {
    if !line.starts_with(|first: char| first.is_ascii_digit()) {
        return Ok(None);
    }
    let mut words = Words::of(line);
    let stripe = words.stripe()?;
    let (frame, payload) = words.frame()?;
    words.end()?;
    Ok(Some(Choice { stripe, frame, payload }))
}

pub(super) struct Words<'a>(SplitAsciiWhitespace<'a>);

impl<'a> Words<'a> {
    pub(super) fn of(line: &'a str) -> Self {
        Words(line.split_ascii_whitespace())
    }

    pub(super) fn word(&mut self, what: &str) -> Result<&'a str, String> {
        self.0.next().ok_or_else(|| format!("{what} is missing"))
    }

    pub(super) fn number(&mut self, what: &str, most: u64) -> Result<u64, String> {
        let word = self.word(what)?;
        number(word)
            .filter(|number| *number <= most)
            .ok_or_else(|| format!("\"{word}\" is not {what}"))
    }

    fn any(&mut self, what: &str) -> Result<u64, String> {
        self.number(what, u64::MAX)
    }

    fn target_length(&mut self) -> Result<usize, String> {
        self.number("the length of a target", MAX_OPAQUE as u64).map(|len| len as usize)
    }

    /// A number that fits on the wire.
    fn wire(&mut self, what: &str) -> Result<u64, String> {
        self.number(what, varint::MAX)
    }

    pub(super) fn stripe(&mut self) -> Result<StripeId, String> {
        self.wire("a stripe").map(StripeId)
    }

    pub(super) fn flow(&mut self) -> Result<FlowId, String> {
        self.wire("a flow").map(FlowId)
    }

    pub(super) fn reason(&mut self) -> Result<Reason, String> {
        self.wire("a reason").map(Reason::from_code)
    }

    pub(super) fn end(&mut self) -> Result<(), String> {
        self.0.next().map_or(Ok(()), |word| Err(format!("\"{word}\" is one word too many")))
    }

    fn given(&mut self) -> Result<Given, String> {
        let name = self.word("an input")?;
        Ok(Given::Input(match name {
            "tick" => Input::Tick,
            "shutdown" => Input::Shutdown,
            "abort" => Input::Abort,
            "up" => self.up()?,
            "written" => {
                Input::StripeWritten { stripe: self.stripe()?, total: self.any("a count")? }
            }
            "arrived" => {
                Input::StripeArrived { stripe: self.stripe()?, total: self.any("a count")? }
            }
            "control" => {
                let stripe = self.stripe()?;
                let rate_based = match self.word("a kind of control")? {
                    "rate" => true,
                    "loss" => false,
                    word => return Err(format!("\"{word}\" is not a kind of control")),
                };
                Input::StripeControl { stripe, rate_based }
            }
            "down" => Input::StripeDown { stripe: self.stripe()? },
            "accept" => Input::FlowAccept { flow: self.flow()? },
            "refuse" => Input::FlowRefuse { flow: self.flow()?, reason: self.reason()? },
            "consumed" => Input::FlowConsumed { flow: self.flow()?, total: self.any("a count")? },
            "finish" => Input::FlowFinish { flow: self.flow()? },
            "reset" => Input::FlowReset { flow: self.flow()?, reason: self.reason()? },
            "memory" => {
                Input::MemoryLimit { receive: self.any("a size")?, send: self.any("a size")? }
            }
            "bytes" => return Ok(Given::Bytes { stripe: self.stripe()?, runs: self.runs()? }),
            "data" => {
                let flow = self.flow()?;
                let len = self.number("a length up to 16 MiB", MAX_INPUT)?;
                return Ok(Given::Data { flow, len });
            }
            "open" => {
                let (request, alias) = (self.any("a request")?, self.any("an alias")?);
                return Ok(Given::Open { request, alias, len: self.target_length()? });
            }
            _ => return Err(format!("there is no input \"{name}\"")),
        }))
    }

    fn up(&mut self) -> Result<Input, String> {
        let stripe = self.stripe()?;
        let kind = match self.word("what the HELLO says")? {
            "create" => HelloKind::Create,
            "join" => HelloKind::Join,
            "welcome" => HelloKind::Accept { instance: self.any("an instance")? },
            "refusal" => HelloKind::Refuse(Refusal::from_code(self.wire("a code")?)),
            other => return Err(format!("a HELLO does not say \"{other}\"")),
        };
        if self.word("session")? != "session" {
            return Err("the session is missing".into());
        }
        let session = session_id(self.any("a session")?);
        let gone = match self.0.next() {
            None => Vec::new(),
            Some("gone") => self.counts(MAX_GONE)?,
            Some(other) => return Err(format!("\"{other}\" where the gone stripes may be")),
        };
        Ok(Input::StripeUp { stripe, hello: Hello { kind, session, stripe, gone } })
    }

    fn counts(&mut self, most: usize) -> Result<Vec<(StripeId, u64)>, String> {
        let word = self.word("STRIPE:COUNT")?;
        let count =
            |pair: &str| pair_of(pair, ':').map(|(stripe, count)| (StripeId(stripe), count));
        let counts: Option<Vec<_>> = word.split(',').map(count).collect();
        counts
            .filter(|counts| counts.len() <= most)
            .ok_or_else(|| format!("\"{word}\" is no list of STRIPE:COUNT, at most {most}"))
    }

    fn runs(&mut self) -> Result<Vec<Run>, String> {
        let mut runs = Vec::new();
        let mut sum = 0;
        for word in self.0.by_ref() {
            let run = match word.strip_prefix('+') {
                Some(len) => number(len).map(Run::Payload),
                None => hex(word).map(Run::Head),
            };
            let run =
                run.ok_or_else(|| format!("\"{word}\" is neither hexadecimal nor +LENGTH"))?;
            sum = run.len().saturating_add(sum);
            runs.push(run);
        }
        if sum > MAX_INPUT {
            return Err(format!("{sum} bytes at once, at most {MAX_INPUT}"));
        }
        Ok(runs)
    }

    fn frame(&mut self) -> Result<(Frame, u64), String> {
        let name = self.word("a frame")?;
        let frame = match name {
            "open" => {
                let (flow, early) = (self.flow()?, self.wire("early credit")?);
                let credit = self.wire("credit")?;
                let opaque = Bytes::from(alloc::vec![0; self.target_length()?]);
                return Ok((Frame::Open { flow, early, credit, opaque }, self.wire("a length")?));
            }
            "data" => return self.data(),
            "accept" => Frame::Accept { flow: self.flow()? },
            "refuse" => Frame::Refuse { flow: self.flow()?, reason: self.wire("a reason")? },
            "reset" => Frame::Reset {
                flow: self.flow()?,
                reason: self.wire("a reason")?,
                final_offset: self.wire("an offset")?,
            },
            "credit" => Frame::Credit { flow: self.flow()?, limit: self.wire("a limit")? },
            "blocked" => Frame::Blocked { flow: self.flow()?, limit: self.wire("a limit")? },
            "grant" => Frame::Grant { flows: self.wire("a count")?, early: self.wire("a size")? },
            "ack" => Frame::Ack { counts: self.counts(MAX_ACKS)? },
            "gone" => Frame::StripeGone { stripe: self.stripe()?, received: self.wire("a count")? },
            "ping" => Frame::Ping { nonce: self.wire("a number")? },
            "pong" => Frame::Pong { nonce: self.wire("a number")? },
            "drain" => Frame::Drain,
            "close" => Frame::Close { code: self.wire("a code")? },
            _ => return Err(format!("there is no frame \"{name}\"")),
        };
        Ok((frame, 0))
    }

    fn data(&mut self) -> Result<(Frame, u64), String> {
        let flow = self.flow()?;
        let word = self.word("OFFSET+LENGTH")?;
        let (offset, len) =
            pair_of(word, '+').ok_or_else(|| format!("\"{word}\" is not OFFSET+LENGTH"))?;
        let fin = match self.0.next() {
            None => false,
            Some("fin") => true,
            Some(other) => return Err(format!("\"{other}\" is one word too many")),
        };
        Ok((Frame::Data { flow, offset, fin }, len))
    }
}

impl Run {
    pub(super) fn len(&self) -> u64 {
        match self {
            Run::Head(bytes) => bytes.len() as u64,
            Run::Payload(len) => *len,
        }
    }
}

/// Digits only: no signs.
fn number(word: &str) -> Option<u64> {
    word.bytes().all(|byte| byte.is_ascii_digit()).then(|| word.parse().ok())?
}

/// Two numbers that fit on the wire.
fn pair_of(word: &str, mark: char) -> Option<(u64, u64)> {
    let fits = |text| number(text).filter(|number| *number <= varint::MAX);
    let (first, second) = word.split_once(mark)?;
    Some((fits(first)?, fits(second)?))
}

fn hex(word: &str) -> Option<Bytes> {
    let digits: Option<Vec<u8>> =
        word.chars().map(|digit| Some(digit.to_digit(16)? as u8)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}
