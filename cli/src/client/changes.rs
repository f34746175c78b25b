//! The changes of a running client.

use crate::args::{Command, Invocation, Way};
use crate::failure::Failure;
use crate::keys::{self, Read, Reading};
use crate::log::Log;
use crate::reload::{Later, Places, Plan, Ready, Role};
use crate::ways::{Doors, Inside, ProxyUsers, Terms};
use smol::future::FutureExt;
use striper_runtime::local::Client;

pub(super) struct Changing {
    client: Client,
    doors: Doors,
    terms: Terms,
    keys: Reading,
}

impl Changing {
    pub(super) fn new(inside: &Inside, doors: &Doors, keys: Reading) -> Changing {
        let (client, terms) = (inside.client.clone(), inside.terms.clone());
        Changing { client, doors: doors.clone(), terms, keys }
    }
}

impl Role for Changing {
    /// The log says so if there is nothing to read.
    fn reread(&self, log: &Log, now: &Invocation) -> Result<String, Failure> {
        let options = &now.options.keys;
        let users = self.terms.list();
        let keys = (!options.files.is_empty() || users.is_none())
            .then(|| keys::reread(log, options, |keys| self.client.set_keys(keys)));
        let users = users.map(|users| users.reread(log));
        let both: Result<Vec<String>, Failure> = keys.into_iter().chain(users).collect();
        Ok(both?.join(", "))
    }

    fn check(&self, new: &Invocation) -> Result<(), Failure> {
        match &new.command {
            Command::Client { ways, servers } => {
                super::check(&new.options, ways, servers).map(drop)
            }
            _ => Ok(()),
        }
    }

    fn prepare<'a>(&'a self, log: &'a Log, plan: &'a Plan) -> Later<'a, Result<Ready, Failure>> {
        self.ready(log, plan).boxed_local()
    }

    fn places(&self) -> (Vec<String>, Vec<String>) {
        (self.doors.addresses(), Vec::new())
    }
}

impl Changing {
    async fn ready(&self, log: &Log, plan: &Plan) -> Result<Ready, Failure> {
        let Command::Client { ways, servers } = &plan.next.command else {
            return Err(plan.of_another("client"));
        };
        let options = &plan.next.options;
        if ways.iter().any(Way::names_targets) {
            keys::ensure_key(&options.keys, servers)?;
        }
        let Read { keys, news, level } = self.keys.read(log, &options.keys)?;
        let file = options.proxy_users.as_deref();
        let users = file.map(ProxyUsers::read_again).transpose()?;
        let closed = plan.closed();
        let opened = self.doors.open_for(&plan.opened(), &closed).await?;
        let mut content: Vec<String> = news.into_iter().collect();
        if let (Some(old), Some(new)) = (self.terms.list(), &users)
            && !old.is_same(new)
        {
            content.push("users of the proxy".to_owned());
        }
        let (client, doors, terms) = (self.client.clone(), self.doors.clone(), self.terms.clone());
        let (limit, proxies) = (options.connect_timeout, options.accept_proxy_protocol.clone());
        let (seen, log) = (self.keys.clone(), log.clone());
        let commit = async move {
            keys.iter().for_each(|keys| client.set_keys(keys));
            seen.keep(keys);
            // It is in its range, as each one on a command line.
            let _ = client.set_connect_timeout(limit);
            terms.set(users, proxies, limit);
            let closed = doors.close(&closed).await;
            let places = opened.doors().map(|door| door.place()).collect();
            super::warn_of_public(&log, opened.doors());
            doors.attend(opened);
            Places { opened: places, closed }
        };
        Ok(Ready { content, level, commit: commit.boxed_local() })
    }
}
