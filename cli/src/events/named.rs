//! The name of a connection in the log: the same in each of its lines, as text and as fields.

use super::sessions::key;
use crate::log::Value;
use std::fmt;
use std::net::SocketAddr;
use striper_runtime::keys::PeerName;

/// Kept as long as the connection, so it is small.
pub(crate) struct Named {
    number: u64,
    key: Option<PeerName>,
    from: Option<Box<str>>,
    listen: Option<(Whose, SocketAddr)>,
    target: Option<Box<str>>,
}

/// The side that has a listener.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    Ours,
    OfTheServer,
}

impl Named {
    /// By its number alone.
    pub(crate) fn new(number: u64) -> Self {
        Named { number, key: None, from: None, listen: None, target: None }
    }

    /// The name of the key of the peer that opened it.
    pub(crate) fn of(self, key: Option<PeerName>) -> Self {
        Named { key, ..self }
    }

    /// The program that connected.
    pub(crate) fn from(self, from: Option<String>) -> Self {
        Named { from: from.map(Into::into), ..self }
    }

    /// The listener of `-R` that it came to.
    pub(crate) fn at(self, whose: Whose, listen: SocketAddr) -> Self {
        Named { listen: Some((whose, listen)), ..self }
    }

    pub(crate) fn to(self, target: impl Into<Option<String>>) -> Self {
        Named { target: target.into().map(Into::into), ..self }
    }

    pub(super) fn fields(&self) -> Vec<(&'static str, Value)> {
        let mut fields = vec![("connection", self.number.into())];
        fields.extend(self.key.as_deref().map(|key| ("key", key.into())));
        fields.extend(self.from.as_deref().map(|from| ("from", from.into())));
        fields.extend(self.listen.map(|(_, listen)| ("listen", listen.to_string().into())));
        fields.extend(self.target.as_deref().map(|target| ("target", target.into())));
        fields
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection {}{}", self.number, key(self.key.as_ref()))?;
        if let Some(from) = &self.from {
            write!(f, " from {from}")?;
        }
        match &self.listen {
            Some((Whose::Ours, listen)) => write!(f, " at {listen}")?,
            Some((Whose::OfTheServer, listen)) => write!(f, " at the server's {listen}")?,
            None => {}
        }
        match &self.target {
            Some(target) => write!(f, " to {target}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_the_parts_that_are_known_in_the_text_and_as_fields() {
        let alone = Named::new(7);
        assert_eq!((alone.to_string(), alone.fields().len()), ("connection 7".into(), 1));
        let all = Named::new(7).of(Some("site".into())).from(Some("192.0.2.1:5".into()));
        let all = all.at(Whose::OfTheServer, "[::1]:80".parse().unwrap()).to("db:1".to_owned());
        let text = "connection 7 (key site) from 192.0.2.1:5 at the server's [::1]:80 to db:1";
        assert_eq!(all.to_string(), text);
        let names = all.fields().into_iter().map(|(name, _)| name);
        assert_eq!(names.collect::<Vec<_>>(), ["connection", "key", "from", "listen", "target"]);
    }
}
