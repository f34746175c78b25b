//! Writes a trace while a session runs.

use super::alias::{Aliases, session_id};
use super::framing::Framing;
use super::write::write_outputs;
use super::{Given, Header, Run};
use crate::id::{Role, StripeId};
use crate::io::{Input, Output};
use crate::session::Session;
use crate::time::Instant;
use crate::wire::hello::HelloKind;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt::{self, Write};

/// Watches one session and writes down what it is given and what it does. It changes nothing.
///
/// ```
#[doc = include_str!("../../examples/record_a_session.rs")]
/// ```
#[derive(Clone, Debug)]
pub struct Recorder {
    /// The time of the latest input.
    at: Instant,
    aliases: Aliases,
    stripes: BTreeMap<StripeId, Framing>,
    /// The session has ended: what still comes changes nothing.
    over: bool,
}

impl Recorder {
    /// Begins a trace of a session that has had no input yet.
    pub fn begin(
        session: &Session,
        header: &Header,
        to: &mut dyn Write,
    ) -> Result<Recorder, fmt::Error> {
        header.write(to)?;
        let mut aliases = Aliases::default();
        aliases.session(session.id());
        if let Role::Server { instance } = session.role() {
            aliases.instance(instance);
        }
        Ok(Recorder { at: session.now(), aliases, stripes: BTreeMap::new(), over: false })
    }

    /// Records the input that the session is about to be given.
    pub fn input(&mut self, now: Instant, input: &Input, to: &mut dyn Write) -> fmt::Result {
        if self.over {
            return Ok(());
        }
        let given = self.given(input);
        let now = now.max(self.at);
        writeln!(to, "{} {given}", now.since(self.at).as_micros())?;
        self.at = now;
        Ok(())
    }

    /// Records the outputs of this input, without those of inputs before.
    pub fn outputs(&mut self, outputs: &[Output], to: &mut dyn Write) -> fmt::Result {
        if self.over {
            return Ok(());
        }
        for output in outputs {
            match output {
                Output::CloseStripe { stripe, .. } => drop(self.stripes.remove(stripe)),
                Output::Ended { .. } => self.over = true,
                _ => {}
            }
        }
        write_outputs(outputs, |line| writeln!(to, " {line}"))
    }

    /// Says that all is recorded, or why the rest is not. One line.
    pub fn end(&self, how: &str, to: &mut dyn Write) -> fmt::Result {
        writeln!(to, "end {how}")
    }

    /// Whether the session has ended, so that nothing more will be recorded.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// An input without what is private or payload.
    fn given(&mut self, input: &Input) -> Given {
        match input {
            Input::StripeUp { stripe, hello } => {
                let mut hello = hello.clone();
                hello.session = session_id(self.aliases.session(hello.session));
                if let HelloKind::Accept { instance } = &mut hello.kind {
                    *instance = self.aliases.instance(*instance);
                }
                self.stripes.insert(*stripe, Framing::new());
                Given::Input(Input::StripeUp { stripe: *stripe, hello })
            }
            Input::StripeBytes { stripe, data } => {
                let runs = match self.stripes.get_mut(stripe) {
                    Some(framing) => framing.split(data, &mut self.aliases),
                    // The session does not listen to it.
                    None if data.is_empty() => Vec::new(),
                    None => Vec::from([Run::Payload(data.len() as u64)]),
                };
                Given::Bytes { stripe: *stripe, runs }
            }
            Input::FlowOpen { request, opaque } => Given::Open {
                request: *request,
                alias: self.aliases.target(opaque),
                len: opaque.len(),
            },
            Input::FlowData { flow, data } => Given::Data { flow: *flow, len: data.len() as u64 },
            Input::StripeDown { stripe } => {
                self.stripes.remove(stripe);
                Given::Input(input.clone())
            }
            _ => Given::Input(input.clone()),
        }
    }
}
