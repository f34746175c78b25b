//! Look-ups of names. Each keeps a thread busy until the system's resolver has answered, and can't
//! be called off. So their number is bounded, and a key leaves some to others.

use crate::service::within;
use smol::lock::{Semaphore, SemaphoreGuardArc};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use striper_runtime::keys::PublicKey;
use striper_runtime::local::Executor;
use striper_runtime::{DialError, HostPort, resolve_host};

/// The most look-ups at a time, and of these for one key. The system has 500 threads for all work
/// of this kind.
const LOOKUPS: usize = 256;
const OF_A_KEY: usize = 64;

/// Clones are the same.
#[derive(Clone)]
pub(crate) struct Lookups {
    ex: Executor,
    all: Arc<Semaphore>,
    keys: Rc<RefCell<BTreeMap<Option<PublicKey>, Arc<Semaphore>>>>,
}

/// The place of one look-up, until this is dropped.
type Place = [SemaphoreGuardArc; 2];

impl Lookups {
    pub(crate) fn new(ex: &Executor) -> Self {
        let all = Arc::new(Semaphore::new(LOOKUPS));
        Lookups { ex: ex.clone(), all, keys: Rc::default() }
    }

    /// The addresses of a host, for a client with this key, within `limit`. It waits for a place. A
    /// look-up goes on when its time is over, and keeps its place until it has ended.
    pub(crate) async fn resolve(
        &self,
        host: &HostPort,
        whose: Option<PublicKey>,
        limit: Duration,
    ) -> Result<Vec<SocketAddr>, DialError> {
        if let Ok(address) = host.host.parse() {
            return Ok(vec![SocketAddr::new(address, host.port)]);
        }
        let addresses = within(limit, async {
            let (place, (found, addresses)) = (self.place(whose).await, smol::channel::bounded(1));
            let host = host.clone();
            let look_up = async move {
                let _ = found.try_send(resolve_host(&host).await);
                drop(place);
            };
            self.ex.spawn(look_up).detach();
            addresses.recv().await.unwrap_or(Err(DialError::TimedOut))
        });
        addresses.await.unwrap_or(Err(DialError::TimedOut))
    }

    async fn place(&self, whose: Option<PublicKey>) -> Place {
        let key = {
            let mut keys = self.keys.borrow_mut();
            // Nobody has or awaits a place of these.
            keys.retain(|_, key| Arc::strong_count(key) > 1);
            let key = keys.entry(whose);
            key.or_insert_with(|| Arc::new(Semaphore::new(OF_A_KEY))).clone()
        };
        [key.acquire_arc().await, self.all.acquire_arc().await]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    fn now<T>(future: impl Future<Output = T>) -> Option<T> {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    #[test]
    fn one_key_leaves_look_ups_to_others_and_the_rest_of_its_own_wait() {
        let lookups = Lookups::new(&Executor::default());
        let mut places = Vec::new();
        let [a, b, c, d, e] = [1, 2, 3, 4, 5].map(|byte| Some(PublicKey([byte; 32])));
        for key in [a, b, c, d] {
            places.extend((0..OF_A_KEY).filter_map(|_| now(lookups.place(key))));
            assert!(now(lookups.place(key)).is_none(), "{key:?} has its part");
        }
        assert_eq!(places.len(), LOOKUPS);
        assert!(now(lookups.place(e)).is_none(), "there are no more");
        let mut waiting = pin!(lookups.place(a));
        assert!(now(waiting.as_mut()).is_none());
        places.remove(0);
        assert!(now(waiting).is_some());
        drop(places);
        assert!(now(lookups.place(None)).is_some());
        assert_eq!(lookups.keys.borrow().len(), 1);
    }
}
