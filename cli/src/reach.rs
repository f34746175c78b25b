//! The targets that a server connects flows to: its own, and those that clients may name.

use crate::clock;
use crate::policy::Policy;
use crate::service::within;
use async_net::unix::UnixStream;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use striper_core::Reason;
use striper_runtime::keys::PublicKey;
use striper_runtime::local::Executor;
use striper_runtime::ways::proxy_protocol::{self, Version};
use striper_runtime::{
    Denied, DialError, HostPort, Opening, Pipe, PipeExt, StreamPipe, Target, dial_addresses,
    dial_tcp, resolve_host,
};

/// The most look-ups of names at a time, and of these for one key. Each keeps a thread busy until
/// the resolver has answered, and the system has 500 of these for all.
const LOOKUPS: usize = 256;
const LOOKUPS_OF_A_KEY: usize = 64;

/// The targets that a server may reach, and the time that this may take.
pub(crate) struct Reach {
    pub ex: Executor,
    /// The target of flows that name none.
    pub own: Option<HostPort>,
    pub policy: Policy,
    pub limit: Duration,
    pub lookups: Lookups,
    /// Connections to targets begin with a header of this version.
    pub proxy_protocol: Option<Version>,
}

/// The look-ups under way, of each key. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Lookups(Rc<RefCell<BTreeMap<String, usize>>>);

/// One look-up, until this is dropped.
struct Lookup {
    all: Lookups,
    whose: String,
}

impl Lookups {
    fn begin(&self, whose: &str) -> Option<Lookup> {
        let mut keys = self.0.borrow_mut();
        let own = keys.get(whose).copied().unwrap_or_default();
        if own >= LOOKUPS_OF_A_KEY || keys.values().sum::<usize>() >= LOOKUPS {
            return None;
        }
        keys.insert(whose.to_owned(), own + 1);
        Some(Lookup { all: self.clone(), whose: whose.to_owned() })
    }
}

impl Drop for Lookup {
    fn drop(&mut self) {
        let mut keys = self.all.0.borrow_mut();
        let left = keys.remove(&self.whose).unwrap_or_default().saturating_sub(1);
        if left > 0 {
            keys.insert(std::mem::take(&mut self.whose), left);
        }
    }
}

/// The client that asks for a target.
#[derive(Clone, Copy)]
pub(crate) struct Asking<'a> {
    /// The name of its key, or nothing.
    pub name: &'a str,
    pub key: Option<&'a PublicKey>,
}

/// A target that was reached, and the rule that allows it. The default target has none.
pub(crate) struct Reached {
    pub pipe: Box<dyn Pipe>,
    pub rule: Option<String>,
}

/// Why a target was not reached.
#[derive(Clone, Debug)]
pub(crate) enum Unreached {
    /// The server has no target of its own.
    NoTarget,
    Denied(Denied),
    /// Too many names are being looked up.
    Crowded,
    Dial(DialError),
}

impl fmt::Display for Unreached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreached::NoTarget => f.write_str("the client names no target, and there is no other"),
            Unreached::Denied(denied) => write!(f, "not allowed: {denied}"),
            Unreached::Crowded => f.write_str("too many names are being looked up for this client"),
            Unreached::Dial(error) => error.fmt(f),
        }
    }
}

impl Unreached {
    /// The rule that denied it.
    pub(crate) fn rule(&self) -> Option<&str> {
        match self {
            Unreached::Denied(Denied::By(rule)) => Some(rule),
            _ => None,
        }
    }

    pub(crate) fn reason(&self) -> Reason {
        match self {
            Unreached::NoTarget | Unreached::Denied(_) => Reason::NotAllowed,
            Unreached::Crowded => Reason::Unavailable,
            Unreached::Dial(error) => error.reason(),
        }
    }
}

impl Reach {
    /// The name of the target in the log.
    pub(crate) fn name(&self, target: &Target) -> String {
        match (target, &self.own) {
            (Target::Default, Some(own)) => own.to_string(),
            (target, _) => target.to_string(),
        }
    }

    /// Connects to the target of a flow, and tells it whose connection that is.
    pub(crate) async fn connect(
        &self,
        opening: &Opening,
        client: Asking<'_>,
    ) -> Result<Reached, Unreached> {
        let mut reached = self.dial(&opening.target, client).await?;
        if let Some(version) = self.proxy_protocol {
            let header = proxy_protocol::write(version, opening.program);
            let sent = within(self.limit, reached.pipe.send(&header)).await;
            let sent = sent.unwrap_or_else(|| Err(ErrorKind::TimedOut.into()));
            sent.map_err(|error| Unreached::Dial(DialError::from(error)))?;
        }
        Ok(reached)
    }

    /// Connects to the target of a flow. The rules decide on the address that is then dialled, so a
    /// name can't change its meaning between the decision and the dial. Rules that change during a
    /// look-up count.
    async fn dial(&self, target: &Target, client: Asking<'_>) -> Result<Reached, Unreached> {
        let asked = match (target, &self.own) {
            (Target::Default, Some(own)) => {
                let pipe = dial_tcp(own, self.limit).await.map_err(Unreached::Dial)?;
                return Ok(Reached { pipe: Box::new(pipe), rule: None });
            }
            (Target::Unix(path), _) => return self.dial_unix(path, client).await,
            (Target::Host(asked), _) => asked,
            _ => return Err(Unreached::NoTarget),
        };
        self.policy.of(client.key).may_resolve(asked).map_err(Unreached::Denied)?;
        let begun = clock::now();
        let addresses = self.look_up(asked, client.name).await?;
        let (allowed, rules) = self.allowed(asked, &addresses, client)?;
        let left = self.limit.saturating_sub(clock::now().duration_since(begun));
        let pipe = dial_addresses(allowed.clone(), left).await.map_err(Unreached::Dial)?;
        // A socket that was reset already has no address any more.
        let only = (allowed.len() == 1).then(|| allowed[0]);
        let to = pipe.info().peer_addr().or(only).map(|to| to.ip());
        let rule = allowed.iter().zip(rules).find(|(address, _)| Some(address.ip()) == to);
        let rule = rule.map(|(_, rule)| rule);
        Ok(Reached { pipe: Box::new(pipe), rule })
    }

    async fn dial_unix(&self, path: &str, client: Asking<'_>) -> Result<Reached, Unreached> {
        let rules = self.policy.of(client.key);
        let rule = rules.check_unix(Path::new(path)).map_err(Unreached::Denied)?.to_string();
        let pipe = dial_path(path, self.limit).await.map_err(Unreached::Dial)?;
        Ok(Reached { pipe, rule: Some(rule) })
    }

    /// A look-up goes on when its time is over, and counts until it has ended.
    async fn look_up(&self, asked: &HostPort, whose: &str) -> Result<Vec<SocketAddr>, Unreached> {
        if let Ok(address) = asked.host.parse() {
            return Ok(vec![SocketAddr::new(address, asked.port)]);
        }
        let lookup = self.lookups.begin(whose).ok_or(Unreached::Crowded)?;
        let (found, addresses) = smol::channel::bounded(1);
        let asked = asked.clone();
        let look_up = async move {
            let _ = found.try_send(resolve_host(&asked).await);
            drop(lookup);
        };
        self.ex.spawn(look_up).detach();
        let addresses = within(self.limit, addresses.recv()).await.and_then(Result::ok);
        addresses.unwrap_or(Err(DialError::TimedOut)).map_err(Unreached::Dial)
    }

    /// The addresses that are allowed, and the rule for each.
    fn allowed(
        &self,
        asked: &HostPort,
        addresses: &[SocketAddr],
        client: Asking<'_>,
    ) -> Result<(Vec<SocketAddr>, Vec<String>), Unreached> {
        let rules = self.policy.of(client.key);
        let (mut allowed, mut denied) = ((Vec::new(), Vec::new()), None);
        for address in addresses {
            match rules.check(asked, *address, is_own) {
                Ok(rule) => {
                    allowed.0.push(*address);
                    allowed.1.push(rule.to_string());
                }
                Err(why) => denied = Some(why),
            }
        }
        match denied {
            Some(denied) if allowed.0.is_empty() => Err(Unreached::Denied(denied)),
            _ => Ok(allowed),
        }
    }
}

/// Connects to a target that this side's user has named. No rule is about it.
pub(crate) async fn dial_own(target: &Target, limit: Duration) -> Result<Reached, Unreached> {
    let pipe = match target {
        Target::Host(host) => {
            dial_tcp(host, limit).await.map(|pipe| Box::new(pipe) as Box<dyn Pipe>)
        }
        Target::Unix(path) => dial_path(path, limit).await,
        _ => return Err(Unreached::NoTarget),
    };
    Ok(Reached { pipe: pipe.map_err(Unreached::Dial)?, rule: None })
}

async fn dial_path(path: &str, limit: Duration) -> Result<Box<dyn Pipe>, DialError> {
    let connected = within(limit, UnixStream::connect(path)).await;
    let socket = connected.unwrap_or_else(|| Err(ErrorKind::TimedOut.into()))?;
    Ok(Box::new(StreamPipe::new(socket.clone(), socket)))
}

/// Whether an address is one of this machine: no other can be bound.
fn is_own(address: IpAddr) -> bool {
    let bound = UdpSocket::bind((address, 0));
    !bound.is_err_and(|error| error.kind() == ErrorKind::AddrNotAvailable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_leaves_look_ups_to_others() {
        let lookups = Lookups::default();
        let mut kept: Vec<_> = (0..LOOKUPS_OF_A_KEY).filter_map(|_| lookups.begin("a")).collect();
        assert_eq!((kept.len(), lookups.begin("a").is_none()), (LOOKUPS_OF_A_KEY, true));
        for key in ["b", "c", "d"] {
            kept.extend((0..LOOKUPS_OF_A_KEY).filter_map(|_| lookups.begin(key)));
        }
        assert_eq!((kept.len(), lookups.begin("e").is_none()), (LOOKUPS, true));
        kept.remove(0);
        assert!(lookups.begin("a").is_some());
        drop(kept);
        assert!(lookups.0.borrow().is_empty());
    }

    #[test]
    fn the_addresses_of_this_machine_are_known() {
        for (address, own) in [("127.0.0.1", true), ("192.0.2.1", false), ("2001:db8::1", false)] {
            // Without IPv6 none of its addresses is ours, but the system's error is another one.
            let has_v6 = UdpSocket::bind("[::1]:0").is_ok();
            if has_v6 || !address.contains(':') {
                assert_eq!(is_own(address.parse().unwrap()), own, "{address}");
            }
        }
    }
}
