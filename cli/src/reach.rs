//! The targets that a server connects flows to: its own, and those that clients may name.

use crate::clock;
use crate::granted::{Grant, Granted};
use crate::lookups::Lookups;
use crate::policy::{Policy, Question, is_own};
use crate::service::within;
use async_net::unix::UnixStream;
use std::cell::RefCell;
use std::fmt;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use striper_core::Reason;
use striper_runtime::keys::PublicKey;
use striper_runtime::ways::proxy_protocol::{self, Version};
use striper_runtime::{
    Denied, DialError, HostPort, Opening, Pipe, PipeExt, StreamPipe, Target, dial_addresses,
};

/// The targets that a server may reach, and the open connections to them.
pub(crate) struct Reach {
    terms: RefCell<Rc<Terms>>,
    pub policy: Policy,
    pub granted: Granted,
    lookups: Lookups,
}

/// The settings of connections to targets that begin now.
pub(crate) struct Terms {
    /// The target of flows that name none.
    pub own: Option<HostPort>,
    /// The time for a target to answer.
    pub limit: Duration,
    /// Connections to targets begin with a header of this version.
    pub proxy_protocol: Option<Version>,
}

/// A target that was reached, the rule that allows it, and what that has been asked. The default
/// target has neither.
pub(crate) struct Reached {
    pub pipe: Box<dyn Pipe>,
    pub rule: Option<String>,
    pub grant: Option<Grant>,
}

/// Why a target was not reached.
#[derive(Clone, Debug)]
pub(crate) enum Unreached {
    /// The server has no target of its own.
    NoTarget,
    Denied(Denied),
    Dial(DialError),
}

impl fmt::Display for Unreached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreached::NoTarget => f.write_str(
                "the client names no target (-L PORT:HOST:PORT does), and this side has none",
            ),
            Unreached::Denied(denied @ Denied::Special { .. }) => {
                write!(f, "not allowed: {denied}; to allow it, name the address in a rule")
            }
            Unreached::Denied(denied) => write!(f, "not allowed: {denied}"),
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
            Unreached::Dial(error) => error.reason(),
        }
    }
}

impl Reach {
    pub(crate) fn new(terms: Terms, policy: Policy, lookups: Lookups) -> Reach {
        let terms = RefCell::new(Rc::new(terms));
        Reach { terms, policy, granted: Granted::default(), lookups }
    }

    pub(crate) fn terms(&self) -> Rc<Terms> {
        self.terms.borrow().clone()
    }

    /// Connections that begin from now on have these.
    pub(crate) fn set_terms(&self, terms: Terms) {
        *self.terms.borrow_mut() = Rc::new(terms);
    }

    /// The name of the target in the log.
    pub(crate) fn name(&self, target: &Target) -> String {
        match (target, &self.terms().own) {
            (Target::Default, Some(own)) => own.to_string(),
            (target, _) => target.to_string(),
        }
    }

    /// Whether a listener here could get the connections for this side's own target: that may start
    /// again, or have a second address such as `::1`.
    pub(crate) fn may_lead_to(&self, here: SocketAddr) -> bool {
        let is_here = |own: &HostPort| match own.host.parse::<IpAddr>() {
            Ok(address) => is_own(address),
            Err(_) => own.host.trim_end_matches('.').eq_ignore_ascii_case("localhost"),
        };
        self.terms().own.as_ref().is_some_and(|own| own.port == here.port() && is_here(own))
    }

    /// Connects to the target of a flow, and tells it whose connection that is.
    pub(crate) async fn connect(
        &self,
        opening: &Opening,
        client: Option<&PublicKey>,
    ) -> Result<Reached, Unreached> {
        let terms = self.terms();
        let mut reached = self.dial(&opening.target, client, &terms).await?;
        if let Some(version) = terms.proxy_protocol {
            let header = proxy_protocol::write(version, opening.program);
            let sent = within(terms.limit, reached.pipe.send(&header)).await;
            let sent = sent.unwrap_or_else(|| Err(ErrorKind::TimedOut.into()));
            sent.map_err(|error| Unreached::Dial(DialError::from(error)))?;
        }
        match &reached.grant {
            // The rules may have changed meanwhile.
            Some(grant) if !grant.holds(&self.policy) => Err(Unreached::Denied(Denied::NoRule)),
            _ => Ok(reached),
        }
    }

    /// Connects to the target of a flow. The rules decide on the address that is then dialled, so a
    /// name can't change its meaning between the decision and the dial. Rules that change during a
    /// look-up count.
    async fn dial(
        &self,
        target: &Target,
        client: Option<&PublicKey>,
        Terms { own, limit, .. }: &Terms,
    ) -> Result<Reached, Unreached> {
        let asked = match (target, own) {
            (Target::Default, Some(own)) => {
                return dial_host(own, &self.lookups, client.copied(), *limit).await;
            }
            (Target::Unix(path), _) => return self.dial_unix(path, client, *limit).await,
            (Target::Host(asked), _) => asked,
            _ => return Err(Unreached::NoTarget),
        };
        self.policy.of(client).may_resolve(asked).map_err(Unreached::Denied)?;
        let begun = clock::now();
        let addresses = self.lookups.resolve(asked, client.copied(), *limit).await;
        let addresses = addresses.map_err(Unreached::Dial)?;
        let (allowed, rules) = self.allowed(asked, &addresses, client)?;
        let left = limit.saturating_sub(clock::now().duration_since(begun));
        let pipe = dial_addresses(allowed.clone(), left).await.map_err(Unreached::Dial)?;
        // A socket that was reset already has no address any more.
        let only = (allowed.len() == 1).then(|| allowed[0]);
        let to = pipe.info().peer_addr().or(only);
        let is_this = |address: &SocketAddr| Some(address.ip()) == to.map(|to| to.ip());
        let rule = allowed.iter().zip(rules).find(|(address, _)| is_this(address));
        let rule = rule.map(|(_, rule)| rule);
        let grant = Some(self.grant(target, to, client));
        Ok(Reached { pipe: Box::new(pipe), rule, grant })
    }

    async fn dial_unix(
        &self,
        path: &str,
        client: Option<&PublicKey>,
        limit: Duration,
    ) -> Result<Reached, Unreached> {
        let rules = self.policy.of(client);
        let rule = rules.check_unix(Path::new(path)).map_err(Unreached::Denied)?.to_string();
        let pipe = dial_path(path, limit).await.map_err(Unreached::Dial)?;
        let grant = Some(self.grant(&Target::Unix(path.to_owned()), None, client));
        Ok(Reached { pipe, rule: Some(rule), grant })
    }

    fn grant(
        &self,
        target: &Target,
        address: Option<SocketAddr>,
        client: Option<&PublicKey>,
    ) -> Grant {
        let client = client.copied();
        self.granted.grant(Question { client, target: target.clone(), address })
    }

    /// The addresses that are allowed, and the rule for each.
    fn allowed(
        &self,
        asked: &HostPort,
        addresses: &[SocketAddr],
        client: Option<&PublicKey>,
    ) -> Result<(Vec<SocketAddr>, Vec<String>), Unreached> {
        let rules = self.policy.of(client);
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
pub(crate) async fn dial_own(
    target: &Target,
    lookups: &Lookups,
    limit: Duration,
) -> Result<Reached, Unreached> {
    match target {
        Target::Host(host) => dial_host(host, lookups, None, limit).await,
        Target::Unix(path) => {
            let pipe = dial_path(path, limit).await.map_err(Unreached::Dial)?;
            Ok(Reached { pipe, rule: None, grant: None })
        }
        _ => Err(Unreached::NoTarget),
    }
}

async fn dial_host(
    host: &HostPort,
    lookups: &Lookups,
    whose: Option<PublicKey>,
    limit: Duration,
) -> Result<Reached, Unreached> {
    let begun = clock::now();
    let addresses = lookups.resolve(host, whose, limit).await.map_err(Unreached::Dial)?;
    let left = limit.saturating_sub(clock::now().duration_since(begun));
    let pipe = dial_addresses(addresses, left).await.map_err(Unreached::Dial)?;
    Ok(Reached { pipe: Box::new(pipe), rule: None, grant: None })
}

async fn dial_path(path: &str, limit: Duration) -> Result<Box<dyn Pipe>, DialError> {
    let connected = within(limit, UnixStream::connect(path)).await;
    let socket = connected.unwrap_or_else(|| Err(ErrorKind::TimedOut.into()))?;
    Ok(Box::new(StreamPipe::new(socket.clone(), socket)))
}
