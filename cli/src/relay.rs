//! `relay` and `datagram`: one connection in, one out, no stripes. Both are a bridge of two pipes; a datagram proxy has a datagram
//! pipe on one side. `relay` is what the program is measured against.

use crate::args::{Framing, Options};
use crate::clock;
use crate::failure::Failure;
use crate::live;
use crate::log::{Level, Log};
use crate::narrate;
use crate::service::{self, Connections, Entry};
use crate::signals::Stop;
use crate::status::{self, LegsView};
use crate::units;
use smol::channel::{self, Receiver};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use striper_core::datagram::DatagramError;
use striper_runtime::clock::SystemClock;
use striper_runtime::{
    Break, BridgeReport, DatagramPipe, Executor, HostPort, Leg, Legs, Listener, Pipe, TcpPipe, bridge_in,
    dial_tcp,
};

/// The legs of the connections under way, by their numbers.
type Under = Rc<RefCell<BTreeMap<u64, Rc<Legs>>>>;

/// Runs it until a signal comes, and returns the exit code.
pub async fn run(
    ex: &Executor,
    log: &Log,
    options: &Options,
    listen: SocketAddr,
    target: &HostPort,
    framing: Framing,
) -> Result<u8, Failure> {
    let mut stop = Stop::listen()?;
    let listener = Listener::bind(listen, narrate::events(log)).await;
    let listener = listener.map_err(|error| Failure::bind(listen, &error))?;
    announce(log, listener.local_addr(), target, framing);
    let connections = Connections::default();
    let under = Under::default();
    let _status = live::show(ex, log, options, {
        let under = under.clone();
        move |columns| status::legs_line(&view(&under.borrow()), columns)
    });
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
                framing,
                limit: options.connect_timeout,
                closed: closed.clone(),
                under: under.clone(),
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

fn announce(log: &Log, here: SocketAddr, target: &HostPort, framing: Framing) {
    let (near, far) = match framing {
        Framing::Plain => ("", ""),
        Framing::Near => (" for datagrams", ""),
        Framing::Far => ("", " with datagrams"),
    };
    let fields = [("listen", here.to_string().into()), ("target", target.to_string().into())];
    log.info("ready", format!("ready: listening on {here}{near}, connecting to {target}{far}"), &fields);
}

/// What the status line shows of these connections.
fn view(under: &BTreeMap<u64, Rc<Legs>>) -> LegsView {
    let mut view = LegsView { connections: under.len(), ..LegsView::default() };
    for legs in under.values() {
        let (forth, back) = (legs.forth.get(), legs.back.get());
        for (leg, inward, outward) in [(&mut view.near, forth, back), (&mut view.far, back, forth)] {
            leg.received += inward.bytes;
            leg.sent += outward.bytes;
            leg.congestions += outward.congestions;
            leg.congested += usize::from(outward.congested);
            leg.finished += usize::from(outward.finished);
            leg.ended += usize::from(inward.finished);
        }
    }
    view
}

/// One relayed connection.
struct Relay {
    log: Log,
    target: HostPort,
    framing: Framing,
    limit: Duration,
    closed: Receiver<()>,
    under: Under,
    entry: Entry,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.under.borrow_mut().remove(&self.entry.number);
    }
}

impl Relay {
    async fn carry(self, near: TcpPipe, from: SocketAddr) {
        let begin = clock::now();
        let name = format!("connection {} from {from}", self.entry.number);
        let fields = [("connection", self.entry.number.into()), ("from", from.to_string().into())];
        let mut near = framed(near, self.framing == Framing::Near);
        let mut far = match dial_tcp(&self.target, self.limit).await {
            Ok(far) => framed(far, self.framing == Framing::Far),
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
        let legs = Rc::<Legs>::default();
        self.under.borrow_mut().insert(self.entry.number, legs.clone());
        let clock = SystemClock::new();
        let passing = async { Some(bridge_in(&clock, &mut near, &mut far, &legs).await) };
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
        let mut fields = vec![("connection", self.entry.number.into())];
        let Some(BridgeReport { forth, back, broken }) = report else {
            fields.push(("end", "cut".to_owned().into()));
            return self.log.info("connection_ended", format!("{name} cut"), &fields);
        };
        let garbled = broken.as_ref().and_then(|broken| self.explain(broken));
        if garbled.is_none() && !self.log.shows(Level::Info) {
            return;
        }
        let how = match (&garbled, &broken) {
            (Some(garbled), _) => format!("reset: {garbled}"),
            (None, Some(broken)) => format!("broke: {}", broken.error),
            (None, None) => "ended".to_owned(),
        };
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
        fields.extend([
            ("end", if broken.is_none() { "finished" } else { "reset" }.to_owned().into()),
            ("sent", forth.bytes.into()),
            ("received", back.bytes.into()),
            ("seconds", time.as_secs_f64().into()),
            ("congestions_sending", forth.congestions.into()),
            ("congestions_receiving", back.congestions.into()),
        ]);
        if let Some(Break { error, .. }) = &broken {
            fields.push(("error", error.to_string().into()));
        }
        match garbled {
            Some(_) => self.log.warn("connection_ended", text, &fields),
            None => self.log.info("connection_ended", text, &fields),
        }
    }

    /// What to say of a leg that sent something else than datagrams.
    fn explain(&self, broken: &Break) -> Option<String> {
        broken.error.get_ref()?.downcast_ref::<DatagramError>()?;
        let (who, other) = match broken.leg {
            Leg::First => ("whoever connected".to_owned(), "-c"),
            Leg::Second => (self.target.to_string(), "-s"),
        };
        Some(format!("{}; does {who} speak datagrams, as striper-cli datagram {other} does?", broken.error))
    }
}

/// The pipe of a leg.
fn framed(pipe: TcpPipe, datagrams: bool) -> Box<dyn Pipe> {
    if datagrams { Box::new(DatagramPipe::new(pipe)) } else { Box::new(pipe) }
}
