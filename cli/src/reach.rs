//! The targets that a server connects flows to: its own, and those that clients may name.

use crate::clock;
use crate::lookups::Lookups;
use crate::policy::Policy;
use crate::service::within;
use async_net::unix::UnixStream;
use std::fmt;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;
use striper_core::Reason;
use striper_runtime::keys::PublicKey;
use striper_runtime::ways::proxy_protocol::{self, Version};
use striper_runtime::{
    Denied, DialError, HostPort, Opening, Pipe, PipeExt, StreamPipe, Target, dial_addresses,
};

/// The targets that a server may reach, and the time that this may take.
pub(crate) struct Reach {
    /// The target of flows that name none.
    pub own: Option<HostPort>,
    pub policy: Policy,
    pub limit: Duration,
    pub lookups: Lookups,
    /// Connections to targets begin with a header of this version.
    pub proxy_protocol: Option<Version>,
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
    /// The name of the target in the log.
    pub(crate) fn name(&self, target: &Target) -> String {
        match (target, &self.own) {
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
        self.own.as_ref().is_some_and(|own| own.port == here.port() && is_here(own))
    }

    /// Connects to the target of a flow, and tells it whose connection that is.
    pub(crate) async fn connect(
        &self,
        opening: &Opening,
        client: Option<&PublicKey>,
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
    async fn dial(
        &self,
        target: &Target,
        client: Option<&PublicKey>,
    ) -> Result<Reached, Unreached> {
        let asked = match (target, &self.own) {
            (Target::Default, Some(own)) => {
                return dial_host(own, &self.lookups, client.copied(), self.limit).await;
            }
            (Target::Unix(path), _) => return self.dial_unix(path, client).await,
            (Target::Host(asked), _) => asked,
            _ => return Err(Unreached::NoTarget),
        };
        self.policy.of(client).may_resolve(asked).map_err(Unreached::Denied)?;
        let begun = clock::now();
        let addresses = self.lookups.resolve(asked, client.copied(), self.limit).await;
        let addresses = addresses.map_err(Unreached::Dial)?;
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

    async fn dial_unix(
        &self,
        path: &str,
        client: Option<&PublicKey>,
    ) -> Result<Reached, Unreached> {
        let rules = self.policy.of(client);
        let rule = rules.check_unix(Path::new(path)).map_err(Unreached::Denied)?.to_string();
        let pipe = dial_path(path, self.limit).await.map_err(Unreached::Dial)?;
        Ok(Reached { pipe, rule: Some(rule) })
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
            Ok(Reached { pipe, rule: None })
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
    Ok(Reached { pipe: Box::new(pipe), rule: None })
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
