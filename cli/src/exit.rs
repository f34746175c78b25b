//! `-s`, the server-facing side: stripes in, plain TCP out.

use crate::args::Options;
use crate::congestion;
use crate::failure::Failure;
use crate::live;
use crate::log::Log;
use crate::narrate::{self, Throttle};
use crate::record;
use crate::service::{self, Connections, Entry};
use crate::signals::Stop;
use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;
use striper_core::{Config, Reason};
use striper_runtime::{Executor, HostPort, Incoming, Server, ServerOptions, Target, dial_tcp};

/// Runs it until a signal comes, and returns the exit code.
pub async fn run(
    ex: &Executor,
    log: &Log,
    options: &Options,
    listen: SocketAddr,
    target: &HostPort,
) -> Result<u8, Failure> {
    let mut stop = Stop::listen()?;
    let traces = record::begin(options)?;
    let congestion = congestion::begin(options.congestion.as_deref())?;
    let name = congestion::name(&congestion, log);
    let server_options = ServerOptions { traces: traces.clone(), congestion, ..server_options(options) };
    let server = Server::bind(ex, listen, server_options, narrate::events(log));
    let server = server.await.map_err(|error| Failure::bind(listen, &error))?;
    announce(log, server.local_addr(), target, name);
    let connections = Connections::default();
    let _status = live::show(ex, log, options, {
        let (server, connections) = (server.clone(), connections.clone());
        live::of_stripes(move || (server.status(), connections.live()))
    });
    // Goes on while connections finish: the server itself takes no new ones then.
    let _attending = ex.spawn(attend(
        ex.clone(),
        log.clone(),
        server.clone(),
        target.clone(),
        options.connect_timeout,
        connections.clone(),
    ));
    let accepting = std::future::pending();
    let code = service::run(log, &mut stop, options, &connections, accepting, async |drain| {
        server.shutdown(drain).await
    })
    .await;
    record::finish(log, traces.as_deref());
    Ok(code)
}

/// The library's view of the command line.
pub fn server_options(options: &Options) -> ServerOptions {
    ServerOptions {
        session: Config { scheduler: options.scheduler, ..Config::default() },
        ..ServerOptions::default()
    }
}

/// Connects each flow that a client opens to the target, for ever.
pub async fn attend(
    ex: Executor,
    log: Log,
    server: Server,
    target: HostPort,
    limit: Duration,
    connections: Connections,
) {
    // A client that opens connections faster than the target takes them must not fill the log.
    let failures = Rc::new(RefCell::new(Throttle::default()));
    loop {
        let incoming = server.accept().await;
        let entry = connections.begin();
        ex.spawn(connect(log.clone(), incoming, target.clone(), limit, entry, failures.clone())).detach();
    }
}

async fn connect(
    log: Log,
    incoming: Incoming,
    target: HostPort,
    limit: Duration,
    entry: Entry,
    failures: Rc<RefCell<Throttle>>,
) {
    let name = format!("connection {} to {target}", entry.number);
    let fields = [("connection", entry.number.into()), ("target", target.to_string().into())];
    if let Target::Host(host) = incoming.target() {
        let text = format!(
            "connection {} refused: the client asks for {host}, but only {target} is offered",
            entry.number
        );
        log.warn("connection_refused", text, &fields);
        incoming.refuse(Reason::NotAllowed);
        return;
    }
    match dial_tcp(&target, limit).await {
        Ok(pipe) => {
            log.info("connection_opened", format_args!("{name} opened"), &fields);
            let report = incoming.carry(Box::new(pipe)).await;
            narrate::ended(&log, &name, entry.number, &report);
        }
        Err(error) => {
            if let Some(unsaid) = failures.borrow_mut().admit(crate::clock::now()) {
                let more = [("error", error.to_string().into()), ("unsaid", unsaid.into())];
                let fields = fields.into_iter().chain(more).collect::<Vec<_>>();
                let others = if unsaid > 0 {
                    format!(" ({unsaid} more failed since the last such line)")
                } else {
                    String::new()
                };
                log.warn("connection_refused", format!("{name} failed: {error}{others}"), &fields);
            }
            incoming.refuse(error.reason());
        }
    }
}

fn announce(log: &Log, here: SocketAddr, target: &HostPort, congestion: String) {
    let text = format!("ready: listening on {here} for stripes ({congestion}), connecting to {target}");
    let fields = [
        ("listen", here.to_string().into()),
        ("target", target.to_string().into()),
        ("congestion", congestion.into()),
    ];
    log.info("ready", text, &fields);
    if narrate::is_public(here.ip()) {
        let text = format!(
            "there is no key: whoever reaches {here} reaches {target}, and the stripes are not encrypted; let only trusted networks reach it"
        );
        log.warn("no_key", text, &fields);
    } else {
        let all = SocketAddr::new(unspecified(here.ip()), here.port());
        let text = format!(
            "only this machine can reach {here}; to let others in, name an address: -s {all} {target}"
        );
        log.info("loopback_only", text, &fields);
    }
}

/// The address that stands for all of a machine's addresses of a family.
fn unspecified(like: IpAddr) -> IpAddr {
    if like.is_ipv6() { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() }
}
