//! `-c`, the client: plain TCP in, stripes out.

mod changes;

use crate::args::{Command, Invocation, Options, Way};
use crate::control::{Proxy, Subject};
use crate::events::{EventLog, Tally};
use crate::failure::{Failure, code};
use crate::keys::Reading;
use crate::log::Log;
use crate::lookups::Lookups;
use crate::records::Records;
use crate::reload::Reload;
use crate::service::{self, Connections};
use crate::signals::Stop;
use crate::sockets::Sockets;
use crate::state::{About, Role, Running};
use crate::trace::Tracing;
use crate::ways::{Door, Doors, Inside, Opened, ProxyUsers, Terms, stdio};
use crate::{congestion, control, events, http_status, keys, live, units};
use changes::Changing;
use std::time::Duration;
use striper_runtime::keys::Keys;
use striper_runtime::local::{Client, ClientOptions, Executor};
use striper_runtime::{CongestionChoice, FlowEnd, HostPort, Target};

pub(crate) async fn run(
    ex: &Executor,
    log: &Log,
    sockets: &Sockets,
    options: &Options,
    ways: &[Way],
    servers: &[HostPort],
) -> Result<u8, Failure> {
    let mut stop = Stop::listen(log)?;
    let (users, keys, congestion) = prepare(log, options, ways, servers)?;
    let event_log = EventLog::new(log, events::LINES);
    let events = event_log.listener();
    let opened = Opened::open(ways, Vec::new(), sockets, &events).await?;
    let page = http_status::listen(options.http_status, sockets, &events).await?;
    let name = congestion::name(&congestion, log);
    let socket = control::Socket::bind(&options.control, Role::Client, sockets, log)?;
    sockets.ensure_all_taken()?;
    let records = Records::begin(log, options, sockets)?;
    let tracing = records.tracing();
    let listening = opened.doors().map(Door::address).collect();
    let described = options.keys.describe(keys.as_ref());
    let reading = Reading::new(keys.as_ref());
    let mut client_options = client_options(options, servers);
    client_options.keys = keys;
    client_options.key_log = records.key_log();
    client_options.traces = tracing.traces();
    client_options.congestion = congestion;
    // A file may get such a way later.
    let may_listen = ways.iter().any(|way| matches!(way, Way::Remote { .. }));
    client_options.listens = may_listen || options.file.is_some();
    let client = Client::start(ex, client_options, Some(events.clone()));
    let client = client.map_err(|error| Failure::setting(&error))?;
    announce(log, options, &opened, servers, [name, described]);
    keys::warn_of_plain(log, &options.keys, servers);
    let stdio = ways.iter().find_map(of_stdio);
    let connections = Connections::draining(options.drain_timeout);
    // With -W the terminal is another program's.
    let _status = stdio.is_none().then(|| {
        let (client, connections) = (client.clone(), connections.clone());
        live::show(ex, log, live::of_stripes(move || client.status(), connections))
    });
    let told = event_log.connections(events::LINES);
    let counted = (&connections, event_log.tally());
    let running = running(options, (listening, servers), &client, counted, tracing);
    let proxy = Proxy::Client(client.clone());
    let subject = Subject::new(log, options, &stop, &running, proxy, tracing);
    let _control = socket.map(|socket| socket.serve(ex, sockets, subject));
    if let Some(page) = page {
        sockets.hold(page.serve(ex, log, &told, &running, &connections));
    }
    let inside = inside(ex, options, told, (client, connections), users);
    let code = match stdio {
        Some(target) => {
            stop.on_hangup();
            carry_stdio(log, &mut stop, &inside.client, target).await?
        }
        None => {
            let doors = Doors::new(inside.clone(), sockets.clone(), events);
            doors.attend(opened);
            let changing = Changing::new(&inside, &doors, reading);
            let now = invocation(options, ways, servers);
            let state = (&running, &inside.connections);
            stop.on_reread(Reload::new(log, now, sockets, state, changing).hook());
            serve(log, sockets, &mut stop, &doors, inside).await
        }
    };
    records.finish(log);
    Ok(code)
}

fn inside(
    ex: &Executor,
    options: &Options,
    told: events::Connections,
    (client, connections): (Client, Connections),
    users: Option<ProxyUsers>,
) -> Inside {
    let (lookups, proxies) = (Lookups::new(ex), options.accept_proxy_protocol.clone());
    let terms = Terms::new(users, proxies, options.connect_timeout);
    Inside { ex: ex.clone(), told, client, connections, lookups, terms }
}

/// The target of standard input and output.
fn of_stdio(way: &Way) -> Option<&Target> {
    match way {
        Way::Stdio { target } => Some(target),
        _ => None,
    }
}

fn invocation(options: &Options, ways: &[Way], servers: &[HostPort]) -> Invocation {
    let command = Command::Client { ways: ways.to_vec(), servers: servers.to_vec() };
    Invocation { command, options: options.clone() }
}

type Prepared = (Option<ProxyUsers>, Option<Keys>, CongestionChoice);

/// Reads and checks what a start needs, but touches nothing.
pub(crate) fn prepare(
    log: &Log,
    options: &Options,
    ways: &[Way],
    servers: &[HostPort],
) -> Result<Prepared, Failure> {
    let prepared = check(options, ways, servers)?;
    options.keys.begin(log, prepared.1.as_ref())?;
    Ok(prepared)
}

/// The failure of settings that are wrong, or do not go together.
fn check(options: &Options, ways: &[Way], servers: &[HostPort]) -> Result<Prepared, Failure> {
    if ways.iter().any(Way::names_targets) {
        keys::ensure_key(&options.keys, servers)?;
    }
    let users = options.proxy_users.as_deref().map(ProxyUsers::read).transpose()?;
    Ok((users, options.keys.read()?, congestion::begin(options.congestion.as_deref())?))
}

/// The state, for those who ask.
fn running(
    options: &Options,
    (listening, servers): (Vec<String>, &[HostPort]),
    client: &Client,
    (connections, tally): (&Connections, Tally),
    tracing: &Tracing,
) -> Running {
    let about = About {
        role: Role::Client,
        listening,
        servers: servers.iter().map(HostPort::to_string).collect(),
        key: Some(options.keys.names()).filter(|names| !names.is_empty()),
        memory_limit: Some(client_options(options, servers).session.memory_limit),
        ..About::default()
    };
    let (looked_at, listed) = (client.clone(), client.clone());
    let count = move || (tally.now(), Vec::new());
    Running::new(about, connections.clone(), move || looked_at.status(), count)
        .with_sessions(tracing.clone(), move |most| listed.flows(most))
}

/// Runs until a signal.
async fn serve(log: &Log, sockets: &Sockets, stop: &mut Stop, doors: &Doors, inside: Inside) -> u8 {
    let closing = doors.closing();
    let accepting = async move {
        let _closing = closing;
        std::future::pending().await
    };
    let end = async |drain, _| {
        inside.client.shutdown(drain).await;
        inside.told.write_last_counts();
    };
    service::run(log, sockets, stop, &inside.connections, None, accepting, end).await
}

/// Runs until the connection of standard input and output has ended, or until a signal.
async fn carry_stdio(
    log: &Log,
    stop: &mut Stop,
    client: &Client,
    target: &Target,
) -> Result<u8, Failure> {
    let trouble = stdio::Trouble::default();
    let pipe = stdio::take(&trouble);
    let pipe = pipe.map_err(|error| Failure::unexpected(format!("standard input: {error}")))?;
    let carried = async {
        let report = client.carry(target.clone(), pipe).await;
        if let Some(trouble) = trouble.take() {
            log.error("failed", trouble, &[]);
            return (code::UNEXPECTED, Duration::ZERO);
        }
        if report.end != FlowEnd::Finished {
            let text = format!("the connection to {target} failed: {}", report.end);
            log.error("failed", text, &[("target", target.to_string().into())]);
        }
        (stdio::code(&report.end), Duration::from_secs(1))
    };
    let stopped = async { (stop.next().await.1, Duration::ZERO) };
    let (code, drain) = smol::future::or(carried, stopped).await;
    client.shutdown(drain).await;
    Ok(code)
}

pub(crate) fn client_options(options: &Options, servers: &[HostPort]) -> ClientOptions {
    let mut client = ClientOptions::new(servers.to_vec());
    client.session.stripes = options.stripes;
    client.session.scheduler = options.scheduler;
    client.connect_timeout = options.connect_timeout;
    client
}

fn announce(
    log: &Log,
    options: &Options,
    opened: &Opened,
    servers: &[HostPort],
    [congestion, key]: [String; 2],
) {
    let list = |addresses: Vec<String>| addresses.join(", ");
    let here = list(opened.doors().map(Door::place).collect());
    let there = list(servers.iter().map(HostPort::to_string).collect());
    let stripes = units::count(options.stripes, "stripe");
    let fields = [
        ("listen", list(opened.doors().map(Door::address).collect()).into()),
        ("stripes", options.stripes.into()),
        ("peer", there.clone().into()),
        ("congestion", congestion.clone().into()),
        ("key", options.keys.names().into()),
    ];
    let here = if here.is_empty() { here } else { format!("listening on {here}, ") };
    log.info("ready", format!("ready: {here}{stripes} to {there} ({congestion}, {key})"), &fields);
    warn_of_public(log, opened.doors());
}

fn warn_of_public<'a>(log: &Log, doors: impl Iterator<Item = &'a Door>) {
    for address in doors.filter_map(Door::public) {
        let text = format!(
            "any machine that can reach {address} can reach the server's targets; listen on a \
             bare port to keep it to this machine"
        );
        log.warn("public", text, &[("listen", address.to_string().into())]);
    }
}
