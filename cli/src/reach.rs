//! The targets that a server connects flows to: its own, and those that clients may name.

use crate::clock;
use std::fmt;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;
use striper_core::Reason;
use striper_runtime::{
    Denied, DialError, HostPort, Rules, Target, TcpPipe, dial_addresses, dial_tcp, resolve_host,
};

/// The targets that a server may reach, and the time that this may take.
#[derive(Clone)]
pub(crate) struct Reach {
    /// The target of flows that name none.
    pub own: Option<HostPort>,
    pub rules: Rules,
    pub limit: Duration,
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
            Unreached::NoTarget => f.write_str("the client names no target, and there is no other"),
            Unreached::Denied(denied) => write!(f, "not allowed: {denied}"),
            Unreached::Dial(error) => error.fmt(f),
        }
    }
}

impl Unreached {
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

    /// Connects to the target of a flow. The rules decide on the address that is then dialled, so a
    /// name can't change its meaning between the decision and the dial.
    pub(crate) async fn dial(&self, target: &Target) -> Result<TcpPipe, Unreached> {
        let asked = match (target, &self.own) {
            (Target::Default, Some(own)) => {
                return dial_tcp(own, self.limit).await.map_err(Unreached::Dial);
            }
            (Target::Host(asked), _) => asked,
            _ => return Err(Unreached::NoTarget),
        };
        self.rules.may_resolve(asked).map_err(Unreached::Denied)?;
        let begun = clock::now();
        let addresses = resolve_host(asked, self.limit).await.map_err(Unreached::Dial)?;
        let allowed = self.allowed(asked, &addresses)?;
        let left = self.limit.saturating_sub(clock::now().duration_since(begun));
        dial_addresses(allowed, left).await.map_err(Unreached::Dial)
    }

    fn allowed(
        &self,
        asked: &HostPort,
        addresses: &[SocketAddr],
    ) -> Result<Vec<SocketAddr>, Unreached> {
        let (mut allowed, mut denied) = (Vec::new(), None);
        for address in addresses {
            let own = own_address(address.ip());
            match self.rules.check(asked, *address, own.as_slice()) {
                Ok(_) => allowed.push(*address),
                Err(why) => denied = Some(why),
            }
        }
        match denied {
            Some(denied) if allowed.is_empty() => Err(Unreached::Denied(denied)),
            _ => Ok(allowed),
        }
    }
}

/// The address, if it is one of this machine: only such an address can be bound.
fn own_address(address: IpAddr) -> Option<IpAddr> {
    UdpSocket::bind((address, 0)).ok().map(|_| address)
}
