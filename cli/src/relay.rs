//! `relay`: plain TCP in, plain TCP out, no stripes. What the program is measured against, and the original's first mode.

use crate::args::Options;
use crate::clock;
use crate::failure::Failure;
use crate::log::{Level, Log};
use crate::narrate;
use crate::service::{self, Connections, Entry};
use crate::signals::Stop;
use crate::units;
use smol::channel::{self, Receiver};
use std::net::SocketAddr;
use std::time::Duration;
use striper_runtime::{BridgeReport, Executor, HostPort, Listener, Pipe, TcpPipe, bridge, dial_tcp};

/// Runs it until a signal comes, and returns the exit code.
pub async fn run(
    ex: &Executor,
    log: &Log,
    options: &Options,
    listen: SocketAddr,
    target: &HostPort,
) -> Result<u8, Failure> {
    let mut stop = Stop::listen()?;
    let listener = Listener::bind(listen, narrate::events(log)).await;
    let listener = listener.map_err(|error| Failure::bind(listen, &error))?;
    let here = listener.local_addr();
    let fields = [("listen", here.to_string().into()), ("target", target.to_string().into())];
    log.info("ready", format!("ready: listening on {here}, connecting to {target}"), &fields);
    let connections = Connections::default();
    // Nothing is ever sent: closing it tells every connection that time is up.
    let (closer, closed) = channel::bounded::<()>(1);
    let begun = &connections;
    // Owns the listener, so that the port is closed when no more are accepted.
    let accepting = async move {
        loop {
            let (pipe, from) = listener.accept().await;
            let relay = Relay {
                log: log.clone(),
                target: target.clone(),
                limit: options.connect_timeout,
                closed: closed.clone(),
                entry: begun.begin(),
            };
            ex.spawn(relay.carry(pipe, from)).detach();
        }
    };
    let end = async |drain| {
        service::within(drain, connections.idle()).await;
        closer.close();
    };
    Ok(service::run(log, &mut stop, options, &connections, accepting, end).await)
}

/// One relayed connection.
struct Relay {
    log: Log,
    target: HostPort,
    limit: Duration,
    closed: Receiver<()>,
    entry: Entry,
}

impl Relay {
    async fn carry(self, mut near: TcpPipe, from: SocketAddr) {
        let begin = clock::now();
        let name = format!("connection {} from {from}", self.entry.number);
        let fields = [("connection", self.entry.number.into()), ("from", from.to_string().into())];
        let mut far = match dial_tcp(&self.target, self.limit).await {
            Ok(far) => far,
            Err(error) => {
                near.abort();
                let text = format!("{name} failed: {}: {error}", self.target);
                let fields =
                    fields.into_iter().chain([("error", error.to_string().into())]).collect::<Vec<_>>();
                self.log.warn("connection_refused", text, &fields);
                return;
            }
        };
        self.log.info("connection_opened", format_args!("{name} opened"), &fields);
        let passing = async { Some(bridge(&mut near, &mut far).await) };
        let cut = async {
            let _ = self.closed.recv().await;
            None
        };
        let report = smol::future::or(passing, cut).await;
        if report.is_none() {
            // The bridge was dropped: an end that looks clean would pass for success.
            near.abort();
            far.abort();
        }
        self.tell(&name, report, begin.elapsed());
    }

    fn tell(&self, name: &str, report: Option<BridgeReport>, time: Duration) {
        if !self.log.shows(Level::Info) {
            return;
        }
        let Some(BridgeReport { forth, back, broken }) = report else {
            let fields = [("connection", self.entry.number.into()), ("end", "cut".to_owned().into())];
            self.log.info("connection_ended", format!("{name} cut"), &fields);
            return;
        };
        let how = broken.map_or("ended".to_owned(), |kind| format!("broke: {kind}"));
        let rate = units::mean_rate(forth.bytes + back.bytes, time);
        let text = format!(
            "{name} {how}, {} sent, {} received in {}, {}, congested {}/{} times",
            units::bytes(forth.bytes),
            units::bytes(back.bytes),
            units::duration(time),
            units::rate(rate.unwrap_or_default()),
            forth.congestions,
            back.congestions,
        );
        let fields = [
            ("connection", self.entry.number.into()),
            ("end", if broken.is_none() { "finished" } else { "reset" }.to_owned().into()),
            ("sent", forth.bytes.into()),
            ("received", back.bytes.into()),
            ("seconds", time.as_secs_f64().into()),
            ("congestions_sending", forth.congestions.into()),
            ("congestions_receiving", back.congestions.into()),
        ];
        self.log.info("connection_ended", text, &fields);
    }
}
