//! `-R`: a listener of the server, whose connections this side takes to a target of its own.

use super::Inside;
use crate::answer::{Asked, answer};
use crate::events::{Named, Whose};
use crate::reach;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;
use striper_core::Reason;
use striper_runtime::local::{Incoming, RemoteListener};
use striper_runtime::{FlowEnd, FlowReport, Target};

/// The time until a listener is asked for again after it has failed. It doubles with each failure
/// in a row, up to the second value.
const RETRY: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];

/// A listener of the server, and the target of the connections to it.
pub(crate) struct RemoteDoor {
    pub address: SocketAddr,
    pub target: Target,
}

impl RemoteDoor {
    /// Has the server listen again and again.
    pub(super) async fn attend(self, inside: Inside) {
        let (mut wait, mut told) = (RETRY[0], None);
        loop {
            // Without a session there is nothing to say: the log has lines about that.
            if inside.client.ready().await.is_err() {
                smol::Timer::after(RETRY[0]).await;
                continue;
            }
            let ended = match inside.client.listen(self.address).await {
                Ok(listener) => {
                    (wait, told) = (RETRY[0], None);
                    self.take(&inside, listener).await
                }
                Err(report) => report,
            };
            // A cause that stays has one line.
            if told.replace(ended.end.clone()).as_ref() != Some(&ended.end) {
                self.tell_end(&inside, &ended.end);
            }
            smol::Timer::after(wait).await;
            wait = (2 * wait).min(RETRY[1]);
        }
    }

    /// Takes connections until the server listens no more.
    async fn take(&self, inside: &Inside, mut listener: RemoteListener) -> FlowReport {
        let there = listener.address();
        let text = format!("the server is listening on {there} for {}", self.target);
        inside.told.listening(text, &self.fields(there));
        loop {
            match listener.accept().await {
                Ok(incoming) => {
                    inside.ex.spawn(self.connect(inside, incoming, there)).detach();
                }
                Err(report) => return report,
            }
        }
    }

    fn connect(
        &self,
        inside: &Inside,
        incoming: Incoming,
        there: SocketAddr,
    ) -> impl Future<Output = ()> + use<> {
        let (entry, target) = (inside.connections.begin(), self.target.clone());
        let limit = inside.terms.limit();
        let (number, lookups) = (entry.number(), inside.lookups.clone());
        let from = incoming.opening().program.map(|program| program.source().to_string());
        incoming.label(number);
        let ends = super::ends(from.clone().unwrap_or_default(), &self.target);
        inside.connections.describe(number, ends);
        let named = Named::new(number).from(from).at(Whose::OfTheServer, there);
        let named = named.to(target.to_string());
        let asked = Asked { told: inside.told.clone(), incoming, named };
        answer(asked, entry, async move { reach::dial_own(&target, &lookups, limit).await })
    }

    fn fields(&self, there: SocketAddr) -> Vec<(&'static str, crate::log::Value)> {
        vec![("listen", there.to_string().into()), ("target", self.target.to_string().into())]
    }

    fn tell_end(&self, inside: &Inside, end: &FlowEnd) {
        let there = self.address;
        let why = match end {
            FlowEnd::Refused(Reason::NotAllowed) => "no --allow-listen of it allows that".into(),
            FlowEnd::Refused(_) => "it can't, and its log says why".into(),
            FlowEnd::Reset(_) => "it has closed that listener".into(),
            FlowEnd::Cut(cut) => cut.to_string(),
            end => end.to_string(),
        };
        let text = format!(
            "the server is not listening on {there} for {}: {why}; it is asked again, at least \
             once a minute",
            self.target
        );
        let fields = [self.fields(there), vec![("reason", end.to_string().into())]].concat();
        inside.told.listener_refused(text, &fields);
    }
}
