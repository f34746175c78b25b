//! `-s`, the server: stripes in, plain TCP out.

mod changes;

use crate::answer::{Asked, answer};
use crate::args::{Command, Invocation, KeyOptions, Options};
use crate::control::{Proxy, Subject};
use crate::events::{self, EventLog, Named, Tally};
use crate::failure::Failure;
use crate::keys::Reading;
use crate::listeners::{Listeners, Open};
use crate::log::Log;
use crate::lookups::Lookups;
use crate::policy::Policy;
use crate::reach::{Reach, Terms};
use crate::records::Records;
use crate::reload::Reload;
use crate::service::{self, Connections, Ends, Entry};
use crate::signals::Stop;
use crate::sockets::Sockets;
use crate::state::{About, Role, Running};
use crate::trace::Tracing;
use crate::{congestion, control, http_status, keys, live, upgrade};
use changes::Changing;
use std::future::pending;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use striper_core::Config;
use striper_runtime::keys::Keys;
use striper_runtime::local::{Executor, Incoming, Server, ServerOptions};
use striper_runtime::{CongestionChoice, Event, HostPort, Listener, Target};

pub(crate) async fn run(
    ex: &Executor,
    log: &Log,
    sockets: &Sockets,
    options: &Options,
    listen: SocketAddr,
    target: Option<&HostPort>,
) -> Result<u8, Failure> {
    let mut stop = Stop::listen(log)?;
    let (keys, policy, congestion) = prepare(log, options, listen, target)?;
    let name = congestion::name(&congestion, log);
    let described = options.keys.describe(keys.as_ref());
    let reading = Reading::new(keys.as_ref());
    let event_log = EventLog::new(log, options.limits.log_lines);
    let events = event_log.listener();
    let listener = bind(listen, None, sockets, &events, &congestion).await?;
    let page = http_status::listen(options.http_status, sockets, &events).await?;
    let socket = control::Socket::bind(&options.control, Role::Server, sockets, log)?;
    sockets.ensure_all_taken()?;
    let records = Records::begin(log, options, sockets)?;
    let tracing = records.tracing();
    let mut server_options = server_options(options);
    server_options.keys = keys;
    server_options.key_log = records.key_log();
    server_options.traces = tracing.traces();
    server_options.congestion = congestion.clone();
    let server = Server::on(ex, listener, server_options, Some(events.clone()));
    let server = server.map_err(|error| Failure::setting(&error))?;
    keep(sockets, listen, &server);
    let reach = Reach::new(Terms::of(options, target), policy, Lookups::new(ex));
    announce(log, &options.keys, server.local_addr(), &reach, [name, described]);
    let connections = Connections::draining(options.drain_timeout);
    let told = event_log.connections(options.limits.log_lines);
    let listeners = Listeners {
        ex: ex.clone(),
        told: told.clone(),
        events,
        reach: Rc::new(reach),
        connections: connections.clone(),
        open: Open::default(),
    };
    let running = running(options, &server, &listeners, (event_log.tally(), tracing));
    if let Some(page) = page {
        sockets.hold(page.serve(ex, log, &told, &running, &connections));
    }
    let changing = Changing::new(&server, &listeners, sockets, (reading, congestion));
    let now = invocation(options, listen, target);
    stop.on_reread(Reload::new(log, now, sockets, (&running, &connections), changing).hook());
    let proxy = Proxy::Server(server.clone());
    let subject = Subject::new(log, options, &stop, &running, proxy, tracing);
    let _control = socket.map(|socket| socket.serve(ex, sockets, subject));
    let shown = server.clone();
    let line = live::of_stripes(move || shown.status(), connections.clone());
    let _status = live::show(ex, log, line);
    // This goes on while connections finish: the library's server takes no new ones then.
    let _attending = ex.spawn(attend(server.clone(), listeners));
    let counting = ex.spawn(event_log.clone().write_counts());
    let predecessor = upgrade::follow(ex, sockets, &server);
    let end = async |drain, is_replaced| {
        upgrade::end(&server, &predecessor, drain, is_replaced).await;
        told.write_last_counts();
        event_log.write_last_counts();
    };
    let run = service::run(log, sockets, &mut stop, &connections, Some(&server), pending(), end);
    let code = run.await;
    drop(counting);
    records.finish(log);
    Ok(code)
}

fn invocation(options: &Options, listen: SocketAddr, target: Option<&HostPort>) -> Invocation {
    let command = Command::Server { listen, target: target.cloned() };
    Invocation { command, options: options.clone() }
}

/// A process that replaces this one goes on with the port.
fn keep(sockets: &Sockets, listen: SocketAddr, server: &Server) {
    if let Some(port) = server.port() {
        sockets.keep(listen.to_string(), &port);
    }
}

/// Listens, maybe beside a port that will be closed.
async fn bind(
    listen: SocketAddr,
    leaving: Option<&Listener>,
    sockets: &Sockets,
    events: &Rc<dyn Fn(Event)>,
    congestion: &CongestionChoice,
) -> Result<Listener, Failure> {
    let unbound = |error| Failure::bind(listen, &error);
    let mut listener = sockets.listen(listen, leaving, events).await?;
    listener.choose(congestion).map_err(unbound)?;
    Ok(listener)
}

/// The failure if any machine could name targets.
fn ensure_key(options: &Options, listen: SocketAddr) -> Result<(), Failure> {
    if options.rules.allow_any() && !listen.ip().is_loopback() {
        keys::ensure_key_for_rules(&options.keys, listen)?;
    }
    Ok(())
}

type Prepared = (Option<Keys>, Policy, CongestionChoice);

/// Reads and checks what a start needs, but touches nothing.
pub(crate) fn prepare(
    log: &Log,
    options: &Options,
    listen: SocketAddr,
    target: Option<&HostPort>,
) -> Result<Prepared, Failure> {
    let prepared = check(options, listen, target)?;
    options.keys.begin(log, prepared.0.as_ref())?;
    Ok(prepared)
}

/// The failure of settings that are wrong, or do not go together.
fn check(
    options: &Options,
    listen: SocketAddr,
    target: Option<&HostPort>,
) -> Result<Prepared, Failure> {
    ensure_key(options, listen)?;
    let keys = options.keys.read()?;
    let policy = Policy::new(options.rules.clone(), keys.as_ref());
    policy.ensure_useful(target, &options.keys)?;
    Ok((keys, policy, congestion::begin(options.congestion.as_deref())?))
}

/// The state, for those who ask.
fn running(
    options: &Options,
    server: &Server,
    listeners: &Listeners,
    (tally, tracing): (Tally, &Tracing),
) -> Running {
    let reach = &listeners.reach;
    let about = About {
        role: Role::Server,
        listening: vec![server.local_addr().to_string()],
        targets: reach.terms().own.iter().map(HostPort::to_string).collect(),
        key: Some(options.keys.names()).filter(|names| !names.is_empty()),
        memory_limit: Some(options.limits.engine.memory_limit),
        ..About::default()
    };
    let (looked_at, listed) = (server.clone(), server.clone());
    let count = move || (tally.now(), Vec::new());
    Running::new(about, listeners.connections.clone(), move || looked_at.status(), count)
        .with_sessions(tracing.clone(), move |most| listed.flows(most))
}

pub(crate) fn server_options(options: &Options) -> ServerOptions {
    let mut server = ServerOptions::default();
    server.session = Config { scheduler: options.scheduler, ..options.limits.engine };
    server.limits = options.limits.server.clone();
    server
}

/// Connects the flows of clients, and listens for clients.
pub(crate) async fn attend(server: Server, listeners: Listeners) {
    loop {
        let incoming = server.accept().await;
        let Listeners { ex, told, reach, connections, .. } = &listeners;
        if matches!(incoming.target(), Target::Listen { .. }) {
            ex.spawn(listeners.clone().begin(incoming)).detach();
            continue;
        }
        let entry = connections.begin();
        ex.spawn(connect(told.clone(), incoming, reach.clone(), connections, entry)).detach();
    }
}

fn connect(
    told: events::Connections,
    incoming: Incoming,
    reach: Rc<Reach>,
    connections: &Connections,
    entry: Entry,
) -> impl Future<Output = ()> + use<> {
    let (peer, key, opening) = (incoming.peer(), incoming.key(), incoming.opening().clone());
    let (number, target) = (entry.number(), reach.name(&opening.target));
    incoming.label(number);
    let from = opening.program.map(|program| program.source().to_string());
    connections.describe(number, Ends { from: from.clone(), target: Some(target.clone()) });
    let named = Named::new(number).of(peer).from(from).to(target);
    answer(Asked { told, incoming, named }, entry, async move {
        reach.connect(&opening, key.as_ref()).await
    })
}

/// The targets that clients may reach, in the log.
fn targets(reach: &Reach) -> String {
    let own = reach.terms().own.as_ref().map(HostPort::to_string);
    let named = reach.policy.allows_some().then(|| "targets that clients name".to_owned());
    own.into_iter().chain(named).collect::<Vec<_>>().join(" and ")
}

/// Warns if any machine can reach the targets.
fn warn_of_public(log: &Log, options: &KeyOptions, here: SocketAddr, reach: &Reach) {
    if !events::is_public(here.ip()) || !options.files.is_empty() || options.plain {
        return;
    }
    let target = targets(reach);
    let text = format!(
        "there is no key: any machine that can reach {here} can reach {target}, and the stripes \
         are not encrypted; {}",
        keys::CURE
    );
    let fields = [("listen", here.to_string().into()), ("target", target.into())];
    log.warn("no_key", text, &fields);
}

fn announce(
    log: &Log,
    options: &KeyOptions,
    here: SocketAddr,
    reach: &Reach,
    [congestion, key]: [String; 2],
) {
    let target = targets(reach);
    let mut text = format!("ready: listening on {here} for stripes ({congestion}, {key})");
    if !target.is_empty() {
        text += &format!(", connecting to {target}");
    }
    if reach.policy.allows_listeners() {
        text += ", listening for clients (-R)";
    }
    let fields = [
        ("listen", here.to_string().into()),
        ("target", target.clone().into()),
        ("congestion", congestion.into()),
        ("key", options.names().into()),
    ];
    log.info("ready", text, &fields);
    warn_of_public(log, options, here, reach);
    if !events::is_public(here.ip()) {
        let all = SocketAddr::new(unspecified(here.ip()), here.port());
        let text = format!(
            "only this machine can reach {here}; to let other machines in, name an address: {all} \
             instead of {here}"
        );
        log.info("loopback_only", text, &fields[..2]);
    }
}

fn unspecified(like: IpAddr) -> IpAddr {
    if like.is_ipv6() { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::{any, room};

    #[test]
    fn an_idle_connection_does_not_keep_the_room_that_its_dial_took() {
        let room = room(|| connect(any(), any(), any(), any(), any()));
        assert!(room <= 400, "{room}");
    }
}
