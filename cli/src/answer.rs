//! Answers a flow that the other side has opened: connects it to its target, or says why not.

use crate::events::{self, Named};
use crate::granted::Kept;
use crate::reach::{Reached, Unreached};
use crate::service::Entry;
use smol::future::or;
use std::future::Future;
use striper_runtime::local::Incoming;
use striper_runtime::{DialError, Pipe};

/// A flow without an answer, and its name in the log.
pub(crate) struct Asked {
    pub told: events::Connections,
    pub incoming: Incoming,
    pub named: Named,
}

/// Carries the flow once `dial` has reached its target. The dial is in a box that goes with it: an
/// idle connection must not keep the room for that.
pub(crate) fn answer(
    asked: Asked,
    entry: Entry,
    dial: impl Future<Output = Result<Reached, Unreached>>,
) -> impl Future<Output = ()> {
    let told = asked.told.clone();
    let begun = Box::pin(begin(asked, dial));
    async move {
        let Some((incoming, pipe, named, kept)) = begun.await else { return };
        let report = incoming.carry(pipe).await;
        drop(kept);
        told.ended(&named, &report);
        drop(entry);
    }
}

/// Reaches the target: gives the flow, its pipe and its name. If nothing comes of it, the other
/// side and the log know why.
async fn begin(
    Asked { told, mut incoming, named }: Asked,
    dial: impl Future<Output = Result<Reached, Unreached>>,
) -> Option<(Incoming, Box<dyn Pipe>, Named, Option<Kept>)> {
    let dialled = match incoming.ensure_room() {
        Ok(()) => {
            let gone = async {
                incoming.unwanted().await;
                None
            };
            or(gone, async { Some(dial.await) }).await
        }
        Err(error) => Some(Err(Unreached::Dial(DialError::from(error)))),
    };
    let rule = match &dialled {
        Some(Ok(reached)) => reached.rule.as_deref(),
        Some(Err(why)) => why.rule(),
        None => None,
    };
    match &dialled {
        None => {
            let text = format!("{named}: the other side gave it up before the target answered");
            told.unwanted(&named, text);
        }
        Some(Ok(_)) => told.opened(&named, rule),
        Some(Err(why)) => {
            let cure = match why {
                Unreached::Dial(error) => events::lack_of_files(error),
                _ => "",
            };
            let text = format!("{named} failed: {why}{cure}");
            told.failed(text, &named, rule, &why.to_string());
        }
    }
    match dialled? {
        Ok(Reached { pipe, grant, .. }) => {
            let kept = grant.map(|grant| grant.keep(incoming.handle()));
            Some((incoming, pipe, named, kept))
        }
        Err(why) => {
            incoming.refuse(why.reason());
            None
        }
    }
}
