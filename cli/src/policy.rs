//! The rules that hold for each client: those of the command line, and its own in the list of
//! peers. They are found by key, because several keys may have one name.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use striper_runtime::Rules;
use striper_runtime::keys::{Keys, PublicKey};

/// Clones are the same.
#[derive(Clone)]
pub(crate) struct Policy {
    common: Rc<Rules>,
    /// The rules for each client in the list.
    single: Rc<RefCell<BTreeMap<PublicKey, Rc<Rules>>>>,
}

impl Policy {
    pub(crate) fn new(common: Rules, keys: Option<&Keys>) -> Policy {
        let policy = Policy { common: Rc::new(common), single: Rc::default() };
        if let Some(keys) = keys {
            policy.set(keys);
        }
        policy
    }

    /// Takes the rules of clients from a list that was read again. A client that is no longer in it
    /// may reach nothing: its sessions end in a moment, and the rules for all are not its rules.
    pub(crate) fn set(&self, keys: &Keys) {
        let joined = |own: &Rules| match *own == Rules::default() {
            true => self.common.clone(),
            false => Rc::new(self.common.with_own(own)),
        };
        let mut next: BTreeMap<_, _> =
            keys.listed().iter().map(|peer| (peer.key, joined(&peer.rules))).collect();
        let mut single = self.single.borrow_mut();
        // Clients that were removed earlier have ended.
        let removed = single.iter().filter(|(_, rules)| ***rules != Rules::default());
        for (key, _) in removed {
            next.entry(*key).or_default();
        }
        *single = next;
    }

    /// The rules for the client with this key. A shared key has those for all.
    pub(crate) fn of(&self, key: Option<&PublicKey>) -> Rc<Rules> {
        let single = self.single.borrow();
        key.and_then(|key| single.get(key)).unwrap_or(&self.common).clone()
    }

    /// Whether some client may name a target.
    pub(crate) fn allows_some(&self) -> bool {
        !self.common.is_empty() || self.single.borrow().values().any(|rules| !rules.is_empty())
    }

    /// Whether some client may have this side listen.
    pub(crate) fn allows_listeners(&self) -> bool {
        self.common.allow_listeners()
            || self.single.borrow().values().any(|rules| rules.allow_listeners())
    }

    /// The option of the command line that does nothing, because nothing is allowed by it or, with
    /// `--deny`, to any client.
    pub(crate) fn idle_option(&self) -> Option<&'static str> {
        match self.common.is_empty() {
            true if self.common.allows_private() => Some("--allow-private"),
            true if self.common.deny_some() && !self.allows_some() => Some("--deny"),
            _ => None,
        }
    }
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
        assert!(policy.single.borrow().is_empty(), "it is forgotten in the end");
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
}
