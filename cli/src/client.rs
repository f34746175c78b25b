//! `-c`, the client: plain TCP in, stripes out.

use crate::args::Options;
use crate::failure::Failure;
use crate::log::Log;
use crate::service::{self, Connections, Entry};
use crate::signals::Stop;
use crate::{congestion, events, keys, live, trace, units};
use std::net::SocketAddr;
use striper_runtime::local::{Client, ClientOptions, Executor};
use striper_runtime::{HostPort, Limits, Listener, Target, TcpPipe};

pub(crate) async fn run(
    ex: &Executor,
    log: &Log,
    options: &Options,
    listens: &[SocketAddr],
    servers: &[HostPort],
) -> Result<u8, Failure> {
    let mut stop = Stop::listen(log)?;
    let events = events::listener(log, events::LINES);
    let mut listeners = Vec::new();
    for address in listens {
        let listener = Listener::bind(*address, Some(events.clone())).await;
        let mut listener = listener.map_err(|error| Failure::bind(*address, &error))?;
        listener.keep_spare(Limits::default().spare_files);
        listeners.push(listener);
    }
    let keys = options.keys.begin(log)?;
    let congestion = congestion::begin(options.congestion.as_deref())?;
    let name = congestion::name(&congestion, log);
    // Last: a start that fails must leave an earlier trace as it is.
    let traces = trace::begin(options)?;
    let described = options.keys.describe(keys.as_ref());
    let mut client_options = client_options(options, servers);
    client_options.keys = keys;
    client_options.traces.clone_from(&traces);
    client_options.congestion = congestion;
    let client = Client::start(ex, client_options, Some(events));
    let client = client.map_err(|error| Failure::setting(&error))?;
    announce(log, options, &listeners, servers, [name, described]);
    keys::warn_of_plain(log, &options.keys, servers);
    stop.on_reread({
        let (log, options, client) = (log.clone(), options.keys.clone(), client.clone());
        move || keys::reread(&log, &options, |keys| client.set_keys(keys))
    });
    let connections = Connections::default();
    let _status = live::show(ex, log, options, {
        let client = client.clone();
        live::of_stripes(move || client.status(), connections.clone())
    });
    let told = events::Connections::new(log, events::LINES);
    let accept = |listener| {
        let (told, client) = (told.clone(), client.clone());
        ex.spawn(attend(ex.clone(), told, listener, client, connections.clone()))
    };
    let tasks: Vec<_> = listeners.into_iter().map(accept).collect();
    let accepting = async move {
        for task in tasks {
            task.await;
        }
    };
    let code = service::run(log, &mut stop, options, &connections, accepting, async |drain| {
        client.shutdown(drain).await
    })
    .await;
    trace::finish(log, traces.as_deref());
    Ok(code)
}

pub(crate) fn client_options(options: &Options, servers: &[HostPort]) -> ClientOptions {
    let mut client = ClientOptions::new(servers.to_vec());
    client.session.stripes = options.stripes;
    client.session.scheduler = options.scheduler;
    client.connect_timeout = options.connect_timeout;
    client
}

pub(crate) async fn attend(
    ex: Executor,
    told: events::Connections,
    listener: Listener,
    client: Client,
    connections: Connections,
) {
    loop {
        let (pipe, from) = listener.accept().await;
        ex.spawn(carry(told.clone(), client.clone(), pipe, from, connections.begin())).detach();
    }
}

async fn carry(
    told: events::Connections,
    client: Client,
    pipe: TcpPipe,
    from: SocketAddr,
    entry: Entry,
) {
    let name = format!("connection {} from {from}", entry.number);
    let fields = [("connection", entry.number.into()), ("from", from.to_string().into())];
    told.opened(&name, &fields);
    let report = client.carry(Target::Default, Box::new(pipe)).await;
    told.ended(&name, entry.number, &report);
}

fn announce(
    log: &Log,
    options: &Options,
    listeners: &[Listener],
    servers: &[HostPort],
    [congestion, key]: [String; 2],
) {
    let list = |addresses: Vec<String>| addresses.join(", ");
    let here = list(listeners.iter().map(|at| at.local_addr().to_string()).collect());
    let there = list(servers.iter().map(HostPort::to_string).collect());
    let stripes = units::count(options.stripes, "stripe");
    let fields = [
        ("listen", here.clone().into()),
        ("stripes", options.stripes.into()),
        ("server", there.clone().into()),
        ("congestion", congestion.clone().into()),
        ("key", options.keys.names().into()),
    ];
    log.info(
        "ready",
        format!("ready: listening on {here}, {stripes} to {there} ({congestion}, {key})"),
        &fields,
    );
    for address in listeners.iter().map(Listener::local_addr) {
        if events::is_public(address.ip()) {
            let text = format!(
                "any machine that can reach {address} can reach the server's target; listen on a \
                 bare port to keep it to this machine"
            );
            log.warn("public", text, &[("listen", address.to_string().into())]);
        }
    }
}
