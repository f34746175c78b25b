//! Carries out requests.

use super::request::{Done, Request};
use crate::args::Options;
use crate::failure::{Failure, code};
use crate::log::Log;
use crate::signals::{Remote, Stop};
use crate::state::{Phase, Running};
use crate::trace::Tracing;
use crate::units;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use striper_runtime::Traces;
use striper_runtime::local::{Client, Server};

/// The proxy of this process.
pub(crate) enum Proxy {
    Client(Client),
    Server(Server),
    /// It has no sessions.
    Relay,
}

/// The parts of a process that requests are about.
pub(crate) struct Subject {
    log: Log,
    pub(super) running: Running,
    proxy: Proxy,
    remote: Remote,
    tracing: Tracing,
    drain_timeout: Duration,
}

impl Subject {
    /// `stop` has its hooks already.
    pub(crate) fn new(
        log: &Log,
        options: &Options,
        stop: &Stop,
        running: &Running,
        proxy: Proxy,
        tracing: &Tracing,
    ) -> Self {
        Subject {
            log: log.clone(),
            running: running.clone(),
            proxy,
            remote: stop.remote(),
            tracing: tracing.clone(),
            drain_timeout: options.drain_timeout,
        }
    }

    /// Carries out a request that does not ask for the state. The part that comes after the answer
    /// is for [`Subject::follow`].
    pub(super) async fn perform(&self, request: &Request) -> Result<Done, Failure> {
        let done = match request {
            Request::Status { .. } => String::new(),
            Request::Drain => self.drain()?,
            Request::Reload => self.remote.reload().await?,
            Request::Close { connection } => self.close(*connection)?,
            Request::Trace { file } => self.trace(file.as_deref())?,
        };
        Ok(Done { text: done })
    }

    /// Does what would keep the answer from being sent.
    pub(super) fn follow(&self, request: &Request) {
        if *request == Request::Drain {
            self.remote.drain();
        }
    }

    fn drain(&self) -> Result<String, Failure> {
        let state = self.running.state();
        if let (Phase::Draining, Some(left)) = (state.state, state.drain_seconds) {
            let left = units::duration(Duration::from_secs_f64(left));
            let cause = format!("it is draining already, for {left} at most");
            return Err(Failure::usage(cause, "wait, or stop it at once: send it SIGTERM"));
        }
        Ok(match state.connections.open {
            0 => "it stops: no connection is open".to_owned(),
            open => format!(
                "no new connections; {} may finish within {}",
                units::count(open, "connection"),
                units::duration(self.drain_timeout)
            ),
        })
    }

    fn close(&self, connection: u64) -> Result<String, Failure> {
        let closed = match &self.proxy {
            Proxy::Client(client) => client.close_flow(connection),
            Proxy::Server(server) => server.close_flow(connection),
            Proxy::Relay => {
                let cause = "a relay does not close single connections";
                return Err(Failure::usage(cause, "use striper-cli -s and -c, or stop it"));
            }
        };
        if closed {
            self.log.info(
                "control",
                format!("control socket: close connection {connection}"),
                &[("connection", connection.into())],
            );
            return Ok(format!("connection {connection} is reset"));
        }
        let cause = format!("no connection {connection} is open");
        Err(Failure::usage(cause, "striper-cli status lists the open ones with their numbers"))
    }

    fn trace(&self, file: Option<&Path>) -> Result<String, Failure> {
        let set: Box<dyn Fn(Option<Arc<Traces>>)> = match &self.proxy {
            Proxy::Client(client) => Box::new(|traces| client.set_traces(traces)),
            Proxy::Server(server) => Box::new(|traces| server.set_traces(traces)),
            Proxy::Relay => {
                let cause = "a relay has no sessions to record";
                return Err(Failure::usage(cause, "use striper-cli -s and -c"));
            }
        };
        let text = match file {
            Some(file) if !file.is_absolute() => {
                let cause = format!("{} is no absolute path", file.display());
                return Err(Failure::usage(cause, "name the file from the root folder on"));
            }
            Some(file) => {
                let traces = self.tracing.begin(file)?;
                // Recordings to an earlier file end.
                set(None);
                set(Some(traces));
                let file = file.display();
                match self.proxy {
                    Proxy::Client(_) => format!(
                        "the next session is recorded to {file}; it begins when no connection is \
                         open"
                    ),
                    _ => format!("sessions that begin from now on are recorded to {file}"),
                }
            }
            None if self.tracing.path().is_none() => {
                return Err(Failure {
                    code: code::USAGE,
                    ..Failure::unexpected("there is no trace")
                });
            }
            None => {
                set(None);
                self.tracing.end();
                "nothing is recorded any more".to_owned()
            }
        };
        self.log.info("control", format!("control socket: {text}"), &[]);
        Ok(text)
    }
}
