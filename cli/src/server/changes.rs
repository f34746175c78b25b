//! The changes of a running server.

use super::{bind, ensure_key, keep, server_options, warn_of_public};
use crate::args::{Command, Invocation, Options};
use crate::failure::Failure;
use crate::keys::{self, Read, Reading};
use crate::listeners::Listeners;
use crate::log::Log;
use crate::policy::Policy;
use crate::reach::Terms;
use crate::reload::{Change, Later, Places, Plan, Ready, Role};
use crate::sockets::Sockets;
use smol::future::FutureExt;
use striper_runtime::keys::Keys;
use striper_runtime::local::{Server, ServerOptions};
use striper_runtime::{CongestionChoice, HostPort};

pub(super) struct Changing {
    server: Server,
    listeners: Listeners,
    sockets: Sockets,
    keys: Reading,
    congestion: CongestionChoice,
}

impl Changing {
    pub(super) fn new(
        server: &Server,
        listeners: &Listeners,
        sockets: &Sockets,
        (keys, congestion): (Reading, CongestionChoice),
    ) -> Changing {
        let (server, listeners) = (server.clone(), listeners.clone());
        Changing { server, listeners, sockets: sockets.clone(), keys, congestion }
    }
}

impl Terms {
    pub(super) fn of(options: &Options, target: Option<&HostPort>) -> Terms {
        Terms {
            own: target.cloned(),
            limit: options.connect_timeout,
            proxy_protocol: options.proxy_protocol,
        }
    }
}

impl Role for Changing {
    fn reread(&self, log: &Log, now: &Invocation) -> Result<String, Failure> {
        let set = |keys: &Keys| set_keys(&self.server, &self.listeners, keys);
        keys::reread(log, &now.options.keys, set)
    }

    fn check(&self, new: &Invocation) -> Result<(), Failure> {
        match &new.command {
            Command::Server { listen, target } => {
                super::check(&new.options, *listen, target.as_ref()).map(drop)
            }
            _ => Ok(()),
        }
    }

    fn prepare<'a>(&'a self, log: &'a Log, plan: &'a Plan) -> Later<'a, Result<Ready, Failure>> {
        self.ready(log, plan).boxed_local()
    }

    fn places(&self) -> (Vec<String>, Vec<String>) {
        let terms = self.listeners.reach.terms();
        let own = terms.own.iter();
        (vec![self.server.local_addr().to_string()], own.map(HostPort::to_string).collect())
    }
}

impl Changing {
    async fn ready(&self, log: &Log, plan: &Plan) -> Result<Ready, Failure> {
        let Command::Server { listen, target } = &plan.next.command else {
            return Err(plan.of_another("server"));
        };
        let options = &plan.next.options;
        ensure_key(options, *listen)?;
        let Read { keys, news, level } = self.keys.read(log, &options.keys)?;
        if plan.changes.iter().any(|change| matches!(change, Change::Rules | Change::Target)) {
            let policy = Policy::new(options.rules.clone(), keys.as_ref());
            policy.ensure_useful(target.as_ref(), &options.keys)?;
        }
        let limits = server_options(options);
        limits.check().map_err(|error| Failure::setting(&error))?;
        let listener = match plan.moves_to() {
            Some(address) => {
                let (port, events) = (self.server.port(), &self.listeners.events);
                let port = port.as_deref();
                Some((address, bind(address, port, &self.sockets, events, &self.congestion).await?))
            }
            None => None,
        };
        let (server, listeners) = (self.server.clone(), self.listeners.clone());
        let sockets = self.sockets.clone();
        let (terms, rules) = (Terms::of(options, target.as_ref()), options.rules.clone());
        let ServerOptions { session, limits, .. } = limits;
        let (seen, log, own_keys) = (self.keys.clone(), log.clone(), options.keys.clone());
        let commit = async move {
            // It has been checked.
            let _ = server.set_limits(session, limits);
            listeners.reach.set_terms(terms);
            listeners.reach.policy.set_common(rules);
            match &keys {
                Some(keys) => set_keys(&server, &listeners, keys),
                None => listeners.recheck(),
            }
            seen.keep(keys);
            listener.map_or_else(Places::default, |(address, listener)| {
                let opened = vec![listener.local_addr().to_string()];
                let closed = vec![server.local_addr().to_string()];
                server.move_to(listener);
                keep(&sockets, address, &server);
                warn_of_public(&log, &own_keys, server.local_addr(), &listeners.reach);
                Places { opened, closed }
            })
        };
        Ok(Ready { content: news.into_iter().collect(), level, commit: commit.boxed_local() })
    }
}

fn set_keys(server: &Server, listeners: &Listeners, keys: &Keys) {
    server.set_keys(keys.clone());
    listeners.reach.policy.set(keys);
    listeners.recheck();
}
