//! Events as events of the crate `tracing`, each with the name of its session.

use crate::report::{Event, SessionTag};
use tracing::{debug, info, warn};

pub(crate) fn tell(event: &Event) {
    let session = session(event).map(tracing::field::display);
    match event {
        Event::SessionStranded { .. }
        | Event::SessionForgotten { .. }
        | Event::PeerUnreachable { news: true, .. }
        | Event::MemoryShort { .. }
        | Event::AcceptFailed { .. }
        | Event::TraceStopped { .. } => warn!(session, ?event),
        // Strangers must not fill a log.
        Event::StripeRefused { .. } | Event::PeerUnreachable { news: false, .. } => {
            debug!(session, ?event);
        }
        _ => info!(session, ?event),
    }
}

fn session(event: &Event) -> Option<SessionTag> {
    match *event {
        Event::SessionStarted { session, .. }
        | Event::SessionStranded { session, .. }
        | Event::SessionResumed { session, .. }
        | Event::PeerStopping { session, .. }
        | Event::SessionEnded { session, .. }
        | Event::SessionForgotten { session, .. }
        | Event::StripeUp { session, .. }
        | Event::StripeLost { session, .. }
        | Event::StripesAdapted { session, .. }
        | Event::MemoryShort { session, .. } => Some(session),
        Event::PeerUnreachable { .. }
        | Event::PeerReached { .. }
        | Event::StripeRefused { .. }
        | Event::AcceptFailed { .. }
        | Event::TraceStopped { .. } => None,
    }
}
