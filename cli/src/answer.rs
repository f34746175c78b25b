//! Answers a flow that the other side has opened: connects it to its target, or says why not.

use crate::events;
use crate::log::{Level, Value};
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
    pub name: String,
    pub fields: Vec<(&'static str, Value)>,
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
        let Some((incoming, pipe, name)) = begun.await else { return };
        let report = incoming.carry(pipe).await;
        told.ended(&name, entry.number(), &report);
    }
}

/// Reaches the target: gives the flow, its pipe and its name. If nothing comes of it, the other
/// side and the log know why.
async fn begin(
    Asked { told, mut incoming, name, mut fields }: Asked,
    dial: impl Future<Output = Result<Reached, Unreached>>,
) -> Option<(Incoming, Box<dyn Pipe>, String)> {
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
    fields.extend(rule.map(|rule| ("rule", rule.into())));
    match dialled {
        None => {
            fields.push(("end", "unwanted".into()));
            let text = format!("{name}: the other side gave it up before the target answered");
            told.gone(Level::Info, text, &fields);
            None
        }
        Some(Ok(Reached { pipe, .. })) => {
            told.opened(&name, &fields);
            Some((incoming, pipe, name))
        }
        Some(Err(why)) => {
            fields.push(("error", why.to_string().into()));
            let cure = match &why {
                Unreached::Dial(error) => events::lack_of_files(error),
                _ => "",
            };
            told.refused(format!("{name} failed: {why}{cure}"), &fields);
            incoming.refuse(why.reason());
            None
        }
    }
}
