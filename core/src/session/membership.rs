//! The session's id, the other side's HELLOs about it, and how many stripes the client has asked
//! for.

use crate::error::{Verdict, Violation};
use crate::id::{Role, SessionId, StripeId};
use crate::io::Output;
use crate::wire::hello::{Hello, HelloKind, MAX_GONE};
use core::hash::{Hash, Hasher};

#[derive(Clone, Debug)]
pub(super) struct Membership {
    role: Role,
    id: SessionId,
    /// Client: the server has welcomed a stripe.
    confirmed: bool,
    /// The server's state that the first stripe met.
    instance: Option<u64>,
    /// How many stripes the last `StripesWanted` asked for.
    wanted: usize,
}

impl Membership {
    pub(super) fn new(role: Role, id: SessionId) -> Self {
        Membership { role, id, confirmed: false, instance: None, wanted: 0 }
    }

    pub(super) fn role(&self) -> Role {
        self.role
    }

    pub(super) fn id(&self) -> SessionId {
        self.id
    }

    /// The HELLO to say on a new stripe. `gone` are stripes of which the peer does not know how
    /// many bytes have arrived here.
    pub(super) fn hello(
        &self,
        stripe: StripeId,
        gone: impl Iterator<Item = (StripeId, u64)>,
    ) -> Hello {
        let kind = match self.role {
            Role::Client if self.confirmed => HelloKind::Join,
            Role::Client => HelloKind::Create,
            Role::Server { instance } => HelloKind::Accept { instance },
        };
        Hello { kind, session: self.id, stripe, gone: gone.take(MAX_GONE).collect() }
    }

    /// An error if the server has lost its state: this is another session of the same name.
    pub(super) fn hear(&mut self, hello: &Hello) -> Verdict {
        if let HelloKind::Accept { instance } = hello.kind {
            if *self.instance.get_or_insert(instance) != instance {
                return Err(Violation::InstanceChanged);
            }
            self.confirmed = true;
        }
        Ok(())
    }

    /// So many stripes are missing: what a client asks for, if that is news.
    pub(super) fn want(&mut self, missing: usize) -> Option<Output> {
        let news = missing != self.wanted && matches!(self.role, Role::Client);
        news.then(|| {
            self.wanted = missing;
            Output::StripesWanted { count: missing }
        })
    }
}

/// The state that decides its HELLOs. See [`crate::Session::fingerprint`].
impl Hash for Membership {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (self.confirmed, self.instance, self.wanted).hash(hasher);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(instance: u64) -> Hello {
        let id = SessionId([7; 16]);
        Membership::new(Role::Server { instance }, id).hello(StripeId(1), [].into_iter())
    }

    #[test]
    fn a_client_creates_until_it_is_welcomed_and_joins_from_then_on() {
        let mut client = Membership::new(Role::Client, SessionId([7; 16]));
        let kind = |client: &Membership| client.hello(StripeId(0), [].into_iter()).kind;
        assert_eq!(kind(&client), HelloKind::Create);
        client.hear(&accept(9)).unwrap();
        assert_eq!(kind(&client), HelloKind::Join);
    }

    #[test]
    fn a_server_that_has_lost_its_state_is_another_session() {
        let mut client = Membership::new(Role::Client, SessionId([7; 16]));
        assert_eq!(client.hear(&accept(9)), Ok(()));
        assert_eq!(client.hear(&accept(9)), Ok(()));
        assert_eq!(client.hear(&accept(8)), Err(Violation::InstanceChanged));
    }

    #[test]
    fn a_hello_lists_no_more_gone_stripes_than_fit() {
        let client = Membership::new(Role::Client, SessionId([7; 16]));
        let gone = (0..2 * MAX_GONE as u64).map(|id| (StripeId(id), id));
        let hello = client.hello(StripeId(1 << 40), gone);
        assert_eq!(hello.gone.len(), MAX_GONE);
        assert_eq!(hello.gone[5], (StripeId(5), 5));
    }

    #[test]
    fn only_a_client_asks_for_stripes_and_only_when_the_number_changes() {
        let mut client = Membership::new(Role::Client, SessionId([7; 16]));
        assert_eq!(client.want(0), None);
        assert_eq!(client.want(3), Some(Output::StripesWanted { count: 3 }));
        assert_eq!(client.want(3), None);
        assert_eq!(client.want(0), Some(Output::StripesWanted { count: 0 }));
        let mut server = Membership::new(Role::Server { instance: 1 }, SessionId([7; 16]));
        assert_eq!(server.want(3), None);
    }
}
