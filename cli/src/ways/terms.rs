//! The settings of the connections that come in now. They may change while others are open.

use super::ProxyUsers;
use ipnet::IpNet;
use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use striper_runtime::ways::Users;

/// Clones are the same.
#[derive(Clone)]
pub(crate) struct Terms(Rc<Now>);

struct Now {
    users: RefCell<Option<ProxyUsers>>,
    proxies: RefCell<Vec<IpNet>>,
    limit: Cell<Duration>,
}

impl Terms {
    /// With the users of `-D`, if it has a list of them, the proxies whose connections begin with a
    /// header, and the time for a target of this side to answer.
    pub(crate) fn new(users: Option<ProxyUsers>, proxies: Vec<IpNet>, limit: Duration) -> Terms {
        Terms(Rc::new(Now {
            users: RefCell::new(users),
            proxies: RefCell::new(proxies),
            limit: Cell::new(limit),
        }))
    }

    pub(crate) fn set(&self, users: Option<ProxyUsers>, proxies: Vec<IpNet>, limit: Duration) {
        *self.0.users.borrow_mut() = users;
        *self.0.proxies.borrow_mut() = proxies;
        self.0.limit.set(limit);
    }

    /// The list of users, if there is one.
    pub(crate) fn list(&self) -> Option<ProxyUsers> {
        self.0.users.borrow().clone()
    }

    /// The users of now. A handshake keeps them to its end.
    pub(super) fn users(&self) -> Option<Arc<Users>> {
        self.0.users.borrow().as_ref().map(ProxyUsers::now)
    }

    /// Whether connections from this address begin with a header of the PROXY protocol.
    pub(super) fn has_proxy(&self, from: IpAddr) -> bool {
        self.0.proxies.borrow().iter().any(|block| block.contains(&from.to_canonical()))
    }

    /// The time for a target of this side to answer.
    pub(super) fn limit(&self) -> Duration {
        self.0.limit.get()
    }
}
