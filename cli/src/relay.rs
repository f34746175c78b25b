//! `relay` and `datagram`: one connection in, one out, no stripes. Both are a bridge of two pipes;
//! a datagram proxy has a datagram pipe on one side. Measurements compare striper with `relay`.

mod changes;
mod port;

use crate::args::{Command, Framing, Invocation, Options};
use crate::control::{Proxy, Subject};
use crate::events::{self, EventLog, Named, Tally};
use crate::failure::Failure;
use crate::log::{Level, Log};
use crate::reload::Reload;
use crate::service::{self, Connections, Entry};
use crate::signals::Stop;
use crate::sockets::Sockets;
use crate::state::{About, Role, Running};
use crate::status::{self, LegsView};
use crate::trace::Tracing;
use crate::{clock, control, http_status, live, state, units};
use changes::Changing;
use port::{Carrier, Port, Terms};
use smol::channel::{self, Receiver};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use striper_core::datagram::DatagramError;
use striper_runtime::clock::SystemClock;
use striper_runtime::local::Executor;
use striper_runtime::{
    Break, BridgeReport, Cut, DatagramPipe, FlowEnd, HostPort, Leg, Legs, Passed, Pipe, Status,
    TcpPipe, bridge_in, dial_tcp,
};

#[derive(Default)]
struct Traffic {
    /// The legs of the connections under way, by their numbers.
    under: BTreeMap<u64, Rc<Legs>>,
    /// The bytes of earlier connections, to the target and from it.
    past: (Passed, Passed),
}

pub(crate) async fn run(
    ex: &Executor,
    log: &Log,
    sockets: &Sockets,
    options: &Options,
    listen: SocketAddr,
    target: &HostPort,
    framing: Framing,
) -> Result<u8, Failure> {
    let mut stop = Stop::listen(log)?;
    let event_log = EventLog::new(log, events::LINES);
    let events = event_log.listener();
    let listener = port::bind(listen, None, sockets, &events).await?;
    let page = http_status::listen(options.http_status, sockets, &events).await?;
    let socket = control::Socket::bind(&options.control, Role::Relay, sockets, log)?;
    sockets.ensure_all_taken()?;
    announce(log, listener.local_addr(), target, framing);
    let connections = Connections::draining(options.drain_timeout);
    let traffic = Rc::<RefCell<Traffic>>::default();
    let _status = live::show(ex, log, {
        let (traffic, connections) = (traffic.clone(), connections.clone());
        move |columns| {
            let mut view = traffic.borrow().view();
            view.limits.extend(live::finishing(&connections));
            status::legs_line(&view, columns)
        }
    });
    let told = event_log.connections(events::LINES);
    let about = About {
        role: Role::Relay,
        listening: vec![listener.local_addr().to_string()],
        targets: vec![target.to_string()],
        ..About::default()
    };
    let running = running(about, &connections, &traffic, event_log.tally());
    if let Some(page) = page {
        sockets.hold(page.serve(ex, log, &told, &running, &connections));
    }
    let subject = Subject::new(log, options, &stop, &running, Proxy::Relay, &Tracing::default());
    let _control = socket.map(|socket| socket.serve(ex, sockets, subject));
    // Nothing is ever sent: when the channel closes, every connection ends.
    let (closer, closed) = channel::bounded::<()>(1);
    let last = told.clone();
    let carrier =
        Carrier { ex: ex.clone(), told, closed, traffic, connections: connections.clone() };
    let terms = Terms { target: target.clone(), framing, limit: options.connect_timeout };
    let port = Port::new(carrier, terms, sockets.clone(), events);
    port.move_to(listen, listener).await;
    let command = Command::Relay { listen, target: target.clone(), framing };
    let now = Invocation { command, options: options.clone() };
    let changing = Changing { port: port.clone() };
    let reload = Reload::new(log, now, sockets, (&running, &connections), changing);
    stop.on_reread(reload.hook());
    let closing = port.closing();
    let accepting = async move {
        let _closing = closing;
        std::future::pending().await
    };
    let end = async |drain, _| {
        service::within(drain, connections.idle()).await;
        closer.close();
        last.write_last_counts();
    };
    Ok(service::run(log, sockets, &mut stop, &connections, None, accepting, end).await)
}

/// The state, for those who ask.
fn running(
    about: About,
    connections: &Connections,
    traffic: &Rc<RefCell<Traffic>>,
    tally: Tally,
) -> Running {
    let traffic = traffic.clone();
    let count = move || {
        let LegsView { near, far, .. } = traffic.borrow().view();
        let legs = [("near", near), ("far", far)].map(|(name, leg)| state::Leg {
            leg: name.to_owned(),
            sent_bytes: leg.sent,
            received_bytes: leg.received,
            congestions: leg.congestions,
        });
        (tally.now(), legs.into())
    };
    Running::new(about, connections.clone(), Status::default, count)
}

fn announce(log: &Log, here: SocketAddr, target: &HostPort, framing: Framing) {
    let (near, far) = match framing {
        Framing::Plain => ("", ""),
        Framing::Near => (" for datagrams", ""),
        Framing::Far => ("", " with datagrams"),
    };
    let fields = [("listen", here.to_string().into()), ("target", target.to_string().into())];
    log.info(
        "ready",
        format!("ready: listening on {here}{near}, connecting to {target}{far}"),
        &fields,
    );
    warn_of_public(log, here, target);
}

fn warn_of_public(log: &Log, here: SocketAddr, target: &HostPort) {
    if events::is_public(here.ip()) {
        let text = format!(
            "any machine that can reach {here} can reach {target}; listen on a bare port to keep \
             it to this machine"
        );
        let fields = [("listen", here.to_string().into()), ("target", target.to_string().into())];
        log.warn("public", text, &fields);
    }
}

impl Traffic {
    fn end(&mut self, number: u64) {
        if let Some(legs) = self.under.remove(&number) {
            for (past, passed) in
                [(&mut self.past.0, legs.forth.get()), (&mut self.past.1, legs.back.get())]
            {
                past.bytes += passed.bytes;
                past.congestions += passed.congestions;
            }
        }
    }

    fn view(&self) -> LegsView {
        let mut view = LegsView { connections: self.under.len(), ..LegsView::default() };
        let present = self.under.values().map(|legs| (legs.forth.get(), legs.back.get()));
        for (forth, back) in present.chain([self.past]) {
            view.half_closed += usize::from(forth.finished || back.finished);
            for (leg, inward, outward) in
                [(&mut view.near, forth, back), (&mut view.far, back, forth)]
            {
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
}

struct Relay {
    told: events::Connections,
    target: HostPort,
    framing: Framing,
    limit: Duration,
    closed: Receiver<()>,
    traffic: Rc<RefCell<Traffic>>,
    entry: Entry,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.traffic.borrow_mut().end(self.entry.number());
    }
}

impl Relay {
    async fn carry(self, near: TcpPipe, from: SocketAddr) {
        let begin = clock::now();
        let named = Named::new(self.entry.number()).from(Some(from.to_string()));
        let named = named.to(self.target.to_string());
        let mut near = framed(near, self.framing == Framing::Near);
        let mut far = match dial_tcp(&self.target, self.limit).await {
            Ok(far) => framed(far, self.framing == Framing::Far),
            Err(error) => {
                near.abort();
                let cure = events::lack_of_files(&error);
                let text = format!("{named} failed: {error}{cure}");
                return self.told.failed(text, &named, None, &error.to_string());
            }
        };
        self.told.opened(&named, None);
        let legs = Rc::<Legs>::default();
        self.traffic.borrow_mut().under.insert(self.entry.number(), legs.clone());
        let clock = SystemClock::new();
        let passing = async { Some(bridge_in(&clock, &mut near, &mut far, &legs).await) };
        let cut = async {
            let _ = self.closed.recv().await;
            None
        };
        let report = smol::future::or(passing, cut).await;
        if report.is_none() {
            // The bridge was dropped: an end without a reset would look like success.
            near.abort();
            far.abort();
        }
        self.tell(&named, report, begin.elapsed());
    }

    fn tell(&self, named: &Named, report: Option<BridgeReport>, time: Duration) {
        let Some(BridgeReport { forth, back, broken }) = report else {
            let reason = format!("reset: {}", Cut::Stopped);
            let (text, end) = (format!("{named} {reason}"), ("end", "reset".into()));
            let fields = [end, ("reason", reason.into())];
            return self.told.gone(Level::Info, text, named, &fields);
        };
        let garbled = broken.as_ref().and_then(|broken| self.explain(broken));
        let how = match (&garbled, &broken) {
            (Some(garbled), _) => format!("reset: {garbled}"),
            (None, Some(broken)) => format!("broke at {}: {}", self.name(broken.leg), broken.error),
            (None, None) => "ended".to_owned(),
        };
        let reason = match &broken {
            Some(broken) => format!("reset: {}", broken.error),
            None => FlowEnd::Finished.to_string(),
        };
        let rate = units::mean_rate(forth.bytes + back.bytes, time);
        let text = format!(
            "{named} {how}, {} sent, {} received in {}, {}, congested {}/{} times",
            units::bytes(forth.bytes),
            units::bytes(back.bytes),
            units::duration(time),
            units::rate(rate.unwrap_or_default()),
            forth.congestions,
            back.congestions,
        );
        let mut fields = vec![
            ("end", if broken.is_none() { "finished" } else { "reset" }.into()),
            ("reason", reason.into()),
            ("sent_bytes", forth.bytes.into()),
            ("received_bytes", back.bytes.into()),
            ("duration_seconds", time.as_secs_f64().into()),
            ("congestions_sending", forth.congestions.into()),
            ("congestions_receiving", back.congestions.into()),
        ];
        fields.extend(rate.map(|rate| ("bytes_per_second", rate.into())));
        if let Some(Break { leg, .. }) = &broken {
            fields.push(("leg", if *leg == Leg::First { "near" } else { "far" }.into()));
        }
        let level = if garbled.is_some() { Level::Warn } else { Level::Info };
        self.told.gone(level, text, named, &fields);
    }

    fn name(&self, leg: Leg) -> String {
        match leg {
            Leg::First => "the program that connected".to_owned(),
            Leg::Second => self.target.to_string(),
        }
    }

    fn explain(&self, broken: &Break) -> Option<String> {
        broken.error.get_ref()?.downcast_ref::<DatagramError>()?;
        let other = if broken.leg == Leg::First { "-c" } else { "-s" };
        let who = self.name(broken.leg);
        Some(format!(
            "{}; does {who} speak datagrams, as striper-cli datagram {other} does?",
            broken.error
        ))
    }
}

fn framed(pipe: TcpPipe, datagrams: bool) -> Box<dyn Pipe> {
    if datagrams { Box::new(DatagramPipe::new(pipe)) } else { Box::new(pipe) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(bytes: u64, congestions: u64, finished: bool) -> Passed {
        Passed { bytes, congestions, finished, ..Passed::default() }
    }

    #[test]
    fn the_bytes_of_an_ended_connection_still_count_and_its_state_does_not() {
        let mut traffic = Traffic::default();
        for number in [1, 2] {
            let legs = Legs::default();
            legs.forth.set(passed(100 * number, number, true));
            legs.back.set(passed(7, 0, false));
            traffic.under.insert(number, Rc::new(legs));
        }
        let before = traffic.view();
        assert_eq!((before.connections, before.half_closed, before.near.received), (2, 2, 300));
        traffic.end(1);
        let after = traffic.view();
        assert_eq!((after.connections, after.half_closed, after.near.ended), (1, 1, 1));
        assert_eq!((after.near.received, after.far.sent, after.near.sent), (300, 300, 14));
        assert_eq!((after.near.congestions, after.far.congestions), (0, 3));
    }

    #[test]
    fn connections_that_are_half_closed_from_either_side_are_counted() {
        let mut traffic = Traffic::default();
        for (number, forth, back) in [(1, true, false), (2, false, true), (3, false, false)] {
            let legs = Legs::default();
            legs.forth.set(passed(0, 0, forth));
            legs.back.set(passed(0, 0, back));
            traffic.under.insert(number, Rc::new(legs));
        }
        assert_eq!(traffic.view().half_closed, 2);
    }
}
