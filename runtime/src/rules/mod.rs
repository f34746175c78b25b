//! Rules for the targets that a server connects to at the wish of its clients, and for the
//! addresses that it listens on for them.
//!
//! Names are the danger. A client may own a name, and let it lead to an address that only the
//! server reaches (DNS rebinding). So a decision is on the address that is then dialled, and a
//! rule without an address implies public addresses only, or few others.

mod listen;
mod parse;
mod rule;
mod special;

pub use listen::ListenRule;
pub use parse::RuleError;
pub use rule::Rule;
pub use special::Special;

use crate::target::HostPort;
use rule::{Subject, plain_name};
use special::{embedded, special};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

/// The targets that clients may ask for. Nothing is allowed by default, and a deny rule wins over
/// all allow rules.
///
/// A rule with an address or a block of addresses decides by address, whatever name led to it. An
/// allow rule of this kind also allows addresses that are [`Special`], but not `0.0.0.0/0` and
/// `::/0`, which count as wildcards. Other rules reach special addresses only so far:
///
/// - `*` and `*.example.org` reach none.
/// - A name reaches private addresses. The name `localhost` reaches loopback as well.
/// - After [`allow_private`](Rules::allow_private) they all reach each special address, except
///   unspecified, multicast and broadcast ones.
///
/// An IPv4-mapped IPv6 address is the IPv4 address. An address of NAT64 or 6to4 is as special as
/// the IPv4 address in it, and is denied with it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Rules {
    allow: Vec<Arc<Rule>>,
    deny: Vec<Arc<Rule>>,
    private: bool,
    listen: Vec<Arc<ListenRule>>,
}

impl Rules {
    /// Adds a rule for what is allowed.
    pub fn allow(&mut self, rule: Rule) {
        self.allow.push(Arc::new(rule));
    }

    /// Adds a rule for what is denied, whatever is allowed.
    pub fn deny(&mut self, rule: Rule) {
        self.deny.push(Arc::new(rule));
    }

    /// Lets wildcards and names reach addresses that are not public. Unspecified, multicast and
    /// broadcast addresses still need a rule with the address.
    pub fn allow_private(&mut self) {
        self.private = true;
    }

    /// Adds a rule for the addresses on which clients may have this machine listen.
    pub fn allow_listen(&mut self, rule: ListenRule) {
        self.listen.push(Arc::new(rule));
    }

    /// Whether clients may have this machine listen on some address.
    pub fn allow_listeners(&self) -> bool {
        !self.listen.is_empty()
    }

    /// The rule that lets a client have this machine listen here, if one does.
    pub fn may_listen(&self, address: SocketAddr) -> Option<&ListenRule> {
        self.listen.iter().find(|rule| rule.fits(address)).map(|rule| &**rule)
    }

    /// Whether something is denied.
    pub fn deny_some(&self) -> bool {
        !self.deny.is_empty()
    }

    /// Whether clients may name some target, or have this machine listen somewhere.
    pub fn allow_any(&self) -> bool {
        !self.is_empty() || self.allow_listeners()
    }

    /// The rules for one client that also has its `own`. If these allow any target or listener,
    /// they replace what is allowed here, with [`allow_private`](Rules::allow_private). Otherwise
    /// the client keeps that. The deny rules of both hold.
    pub fn with_own(&self, own: &Rules) -> Rules {
        let deny = self.deny.iter().chain(&own.deny).cloned().collect();
        match own.is_empty() && !own.allow_listeners() {
            true => Rules { deny, private: self.private || own.private, ..self.clone() },
            false => Rules { deny, ..own.clone() },
        }
    }

    /// Whether [`allow_private`](Rules::allow_private) was said.
    pub fn allows_private(&self) -> bool {
        self.private
    }

    /// Whether nothing is allowed, because there is no allow rule.
    pub fn is_empty(&self) -> bool {
        self.allow.is_empty()
    }

    /// Whether a name may be looked up: some rule could allow one of its addresses. A literal
    /// address needs no look-up, and is refused here if no rule allows it.
    pub fn may_resolve(&self, asked: &HostPort) -> Result<(), Denied> {
        if let Ok(address) = asked.host.parse() {
            return self.check(asked, SocketAddr::new(address, asked.port), |_| false).map(drop);
        }
        // A resolver may take other characters for an escape, and so for another name.
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if !asked.host.bytes().all(is_plain) {
            return Err(Denied::NotAName);
        }
        let name = plain_name(&asked.host);
        let fits = |rule: &&Arc<Rule>| rule.has_port(asked.port) && rule.has_name(&name);
        if let Some(rule) = self.deny.iter().find(fits) {
            return Err(Denied::by(rule));
        }
        let could = |rule: &Arc<Rule>| {
            let is_block = matches!(rule.subject(), Subject::Block(_));
            rule.has_port(asked.port) && (is_block || rule.has_name(&name))
        };
        if self.allow.iter().any(could) { Ok(()) } else { Err(Denied::NoRule) }
    }

    /// The decision on an address that is dialled next, and on its port. `asked` is what the client
    /// said, and `is_own` tells the addresses of this machine. The result is the rule that allows
    /// it.
    pub fn check(
        &self,
        asked: &HostPort,
        address: SocketAddr,
        is_own: impl Fn(IpAddr) -> bool,
    ) -> Result<&Rule, Denied> {
        let (ip, port) = (address.ip().to_canonical(), address.port());
        // A literal address is the name of no rule: those don't end in a number.
        let name = plain_name(&asked.host);
        let fits =
            |rule: &Rule, ip| rule.has_port(port) && (rule.has_name(&name) || rule.has_address(ip));
        let inside = embedded(ip).map(IpAddr::V4);
        let denies =
            |rule: &&Arc<Rule>| fits(rule, ip) || inside.is_some_and(|inside| fits(rule, inside));
        if let Some(rule) = self.deny.iter().find(denies) {
            return Err(Denied::by(rule));
        }
        let kind = special(ip, is_own);
        let mut fitting = self.allow.iter().filter(|rule| fits(rule, ip)).peekable();
        let is_known = fitting.peek().is_some();
        match (fitting.find(|rule| kind.is_none_or(|kind| self.reaches(rule, kind))), kind) {
            (Some(rule), _) => Ok(rule),
            (None, Some(kind)) if is_known => Err(Denied::Special { address: ip, kind }),
            (None, _) => Err(Denied::NoRule),
        }
    }

    /// The decision on a unix socket. Its path has to be that of a rule.
    pub fn check_unix(&self, path: &Path) -> Result<&Rule, Denied> {
        let fits = |rule: &&Arc<Rule>| rule.has_path(path);
        match self.deny.iter().find(fits) {
            Some(rule) => Err(Denied::by(rule)),
            None => self.allow.iter().find(fits).map(|rule| &**rule).ok_or(Denied::NoRule),
        }
    }

    /// Whether an allow rule that fits also allows a special address.
    fn reaches(&self, rule: &Rule, kind: Special) -> bool {
        let implied = self.private && !kind.is_never_implied();
        match rule.subject() {
            Subject::Block(block) if block.prefix_len() > 0 => true,
            Subject::Name(name) => match kind {
                Special::Private => true,
                Special::Loopback => implied || name == "localhost",
                _ => implied,
            },
            _ => implied,
        }
    }
}

/// Why a client doesn't get its target.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Denied {
    /// No allow rule fits.
    NoRule,
    /// The host is neither an address nor a name of ASCII letters, digits, hyphens, underscores and
    /// dots.
    NotAName,
    /// This deny rule fits.
    By(String),
    /// An allow rule fits, but doesn't reach an address of this kind.
    Special {
        /// The address that would have been dialled.
        address: IpAddr,
        /// The kind of the address, or of the IPv4 address in it.
        kind: Special,
    },
}

impl Denied {
    fn by(rule: &Rule) -> Denied {
        Denied::By(rule.to_string())
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Denied::NoRule => f.write_str("no rule allows it"),
            Denied::NotAName => f.write_str("it is neither a host name nor an address"),
            Denied::By(rule) => write!(f, "denied by the rule {rule}"),
            Denied::Special { address, kind } => match embedded(*address) {
                Some(v4) if *kind != Special::Own => {
                    write!(f, "{address} stands for {v4}, {kind}, and no rule names it")
                }
                _ => write!(f, "{address} is {kind}, and no rule names it"),
            },
        }
    }
}

impl std::error::Error for Denied {}

#[cfg(test)]
mod tests;
