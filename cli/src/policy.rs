//! The rules that hold for each client: those of the command line, and its own in the list of
//! peers. They are found by key, because several keys may have one name.

use crate::args::KeyOptions;
use crate::failure::Failure;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use std::rc::Rc;
use striper_runtime::keys::{Keys, PublicKey};
use striper_runtime::{HostPort, Rules, Target};

/// Clones are the same.
#[derive(Clone)]
pub(crate) struct Policy {
    now: Rc<RefCell<Now>>,
}

#[derive(Default)]
struct Now {
    common: Rc<Rules>,
    /// The rules for each client in the list; none for one that was removed.
    single: BTreeMap<PublicKey, Option<Rc<Rules>>>,
}

/// The target that a client has named and was allowed, and the address that it led to.
pub(crate) struct Question {
    pub client: Option<PublicKey>,
    pub target: Target,
    pub address: Option<SocketAddr>,
}

impl Policy {
    pub(crate) fn new(common: Rules, keys: Option<&Keys>) -> Policy {
        let policy = Policy { now: Rc::default() };
        policy.set_common(common);
        if let Some(keys) = keys {
            policy.set(keys);
        }
        policy
    }

    /// Takes other rules for all. Those of single clients follow at the next [`Policy::set`].
    pub(crate) fn set_common(&self, common: Rules) {
        self.now.borrow_mut().common = Rc::new(common);
    }

    /// Takes the rules of clients from a list that was read again. A client that is no longer in it
    /// may reach nothing: its sessions end in a moment, and the rules for all are not its rules.
    pub(crate) fn set(&self, keys: &Keys) {
        let Now { common, single } = &mut *self.now.borrow_mut();
        let joined = |own: &Rules| match *own == Rules::default() {
            true => common.clone(),
            false => Rc::new(common.with_own(own)),
        };
        let mut next: BTreeMap<_, _> =
            keys.listed().iter().map(|peer| (peer.key, Some(joined(&peer.rules)))).collect();
        // Clients that were removed earlier have ended.
        for (key, _) in single.iter().filter(|(_, rules)| rules.is_some()) {
            next.entry(*key).or_default();
        }
        *single = next;
    }

    /// Whether an open connection is still allowed. That of a removed client ends with its session.
    pub(crate) fn still_allows(&self, question: &Question) -> bool {
        let Question { client, target, address } = question;
        if let Some(None) = client.and_then(|key| self.now.borrow().single.get(&key).cloned()) {
            return true;
        }
        let rules = self.of(client.as_ref());
        match (target, address) {
            (Target::Host(asked), Some(address)) => rules.check(asked, *address, is_own).is_ok(),
            (Target::Unix(path), _) => rules.check_unix(Path::new(path)).is_ok(),
            _ => true,
        }
    }

    /// The rules for the client with this key. A shared key has those for all.
    pub(crate) fn of(&self, key: Option<&PublicKey>) -> Rc<Rules> {
        let now = self.now.borrow();
        match key.and_then(|key| now.single.get(key)) {
            Some(rules) => rules.clone().unwrap_or_default(),
            None => now.common.clone(),
        }
    }

    /// Whether some client may name a target.
    pub(crate) fn allows_some(&self) -> bool {
        self.now.borrow().all().any(|rules| !rules.is_empty())
    }

    /// Whether some client may have this side listen.
    pub(crate) fn allows_listeners(&self) -> bool {
        self.now.borrow().all().any(|rules| rules.allow_listeners())
    }

    /// The option of the command line that does nothing, because nothing is allowed by it or, with
    /// `--deny`, to any client.
    fn idle_option(&self) -> Option<&'static str> {
        let common = self.now.borrow().common.clone();
        match common.is_empty() {
            true if common.allows_private() => Some("--allow-private"),
            true if common.deny_some() && !self.allows_some() => Some("--deny"),
            _ => None,
        }
    }

    /// The failure if nothing could be reached, or an option of the command line does nothing.
    pub(crate) fn ensure_useful(
        &self,
        target: Option<&HostPort>,
        keys: &KeyOptions,
    ) -> Result<(), Failure> {
        if let Some(option) = self.idle_option() {
            let cause = format!("{option} does nothing without --allow");
            return Err(Failure::usage(cause, "add --allow RULE, or leave it out"));
        }
        if target.is_some() || self.allows_some() || self.allows_listeners() {
            return Ok(());
        }
        let (list, or_list) = match &keys.peers {
            Some(list) => {
                let list = format!(", and no allow is in {}", list.display());
                (list, ", or indented below a key in that file: allow RULE")
            }
            None => (String::new(), ""),
        };
        Err(Failure::usage(
            format!("this server would reach nothing: it has no TARGET and no --allow{list}"),
            format!(
                "name a TARGET behind LISTEN, such as localhost:22, or let clients name theirs: \
                 --allow RULE{or_list}"
            ),
        ))
    }
}

impl Now {
    fn all(&self) -> impl Iterator<Item = &Rc<Rules>> {
        [&self.common].into_iter().chain(self.single.values().flatten())
    }
}

/// Whether an address is one of this machine: no other can be bound.
pub(crate) fn is_own(address: IpAddr) -> bool {
    let bound = UdpSocket::bind((address, 0));
    !bound.is_err_and(|error| error.kind() == ErrorKind::AddrNotAvailable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use striper_runtime::keys::{Key, KeyKind, Listed};

    fn rules(allow: &[&str], deny: &[&str]) -> Rules {
        let mut rules = Rules::default();
        allow.iter().for_each(|rule| rules.allow(rule.parse().unwrap()));
        deny.iter().for_each(|rule| rules.deny(rule.parse().unwrap()));
        rules
    }

    /// Keys with the peers 1, 2 and so on, which have these rules and all the same name.
    fn keys(listed: &[Rules]) -> Keys {
        let peer = |(number, rules): (u8, &Rules)| {
            let mut peer = Listed::new("same".into(), PublicKey([number; 32]));
            peer.rules = rules.clone();
            peer
        };
        let own = ("own".into(), Key::generate(KeyKind::Private).unwrap());
        Keys::new(vec![own], (1..).zip(listed).map(peer).collect()).unwrap()
    }

    #[test]
    fn each_key_has_its_rules_even_if_names_are_the_same() {
        let (common, own) = (rules(&["a:1"], &["b:1"]), rules(&["c:1"], &[]));
        let policy = Policy::new(common.clone(), Some(&keys(&[own, Rules::default()])));
        let of = |number| (*policy.of(Some(&PublicKey([number; 32])))).clone();
        assert_eq!([of(1), of(2), of(3)], [rules(&["c:1"], &["b:1"]), common.clone(), common]);
        policy.clone().set(&keys(&[rules(&[], &["d:1"])]));
        assert_eq!(of(1), rules(&["a:1"], &["b:1", "d:1"]));
        assert_eq!(*policy.of(None), rules(&["a:1"], &["b:1"]));
    }

    #[test]
    fn a_key_that_is_no_longer_listed_reaches_nothing() {
        let policy = Policy::new(rules(&["a:1"], &[]), Some(&keys(&[rules(&["b:1"], &[])])));
        policy.set(&keys(&[]));
        assert!(policy.of(Some(&PublicKey([1; 32]))).is_empty());
        policy.set(&keys(&[]));
        assert!(policy.now.borrow().single.is_empty(), "it is forgotten in the end");
    }

    #[test]
    fn an_open_connection_is_allowed_by_the_rules_of_now_and_ends_with_a_removed_key() {
        let policy = Policy::new(rules(&["192.0.2.1:1"], &[]), Some(&keys(&[rules(&[], &[])])));
        let question = |client: Option<u8>, target: &str| Question {
            client: client.map(|number| PublicKey([number; 32])),
            target: Target::Host(target.parse().unwrap()),
            address: target.parse().ok(),
        };
        let [listed, other] = [Some(1), None].map(|client| question(client, "192.0.2.1:1"));
        let default = Question { target: Target::Default, address: None, ..question(None, "a:1") };
        assert!([&listed, &other, &default].iter().all(|asked| policy.still_allows(asked)));
        assert!(!policy.still_allows(&question(None, "192.0.2.1:2")));
        policy.set_common(rules(&["192.0.2.2:1"], &[]));
        policy.set(&keys(&[rules(&["192.0.2.1:1"], &[])]));
        assert!(policy.still_allows(&listed) && !policy.still_allows(&other));
        assert!(policy.still_allows(&default), "no rule is about it");
        policy.set(&keys(&[]));
        assert!(policy.still_allows(&listed), "its session ends, with a reason of its own");
        policy.set(&keys(&[rules(&[], &["192.0.2.1:1"])]));
        assert!(!policy.still_allows(&listed));
    }

    #[test]
    fn options_without_an_effect_are_found() {
        let mut private = rules(&[], &[]);
        private.allow_private();
        let deny = || rules(&[], &["b:1"]);
        for (common, own, some, idle) in [
            (rules(&[], &[]), rules(&[], &[]), false, None),
            (rules(&["a:1"], &["b:1"]), rules(&[], &[]), true, None),
            (rules(&[], &[]), rules(&["a:1"], &[]), true, None),
            (deny(), rules(&["a:1"], &[]), true, None),
            (deny(), deny(), false, Some("--deny")),
            (private.clone(), rules(&["a:1"], &[]), true, Some("--allow-private")),
        ] {
            let policy = Policy::new(common, Some(&keys(&[own])));
            assert_eq!((policy.allows_some(), policy.idle_option()), (some, idle));
        }
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
