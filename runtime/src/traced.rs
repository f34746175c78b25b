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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::{self, Write};
    use std::sync::{Arc, Mutex};
    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Level, Metadata, Subscriber};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<String>>);

    impl Subscriber for Lines {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, event: &tracing::Event<'_>) {
            let level = if *event.metadata().level() == Level::WARN { "warn" } else { "other" };
            let mut text = level.to_owned();
            event.record(&mut Text(&mut text));
            self.0.lock().unwrap().push_str(&text);
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    struct Text<'a>(&'a mut String);

    impl Visit for Text<'_> {
        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            write!(self.0, " {}={value:?}", field.name()).unwrap();
        }
    }

    #[test]
    fn an_event_has_a_level_and_the_name_of_its_session() {
        let lines = Lines::default();
        let event = Event::SessionForgotten { session: SessionTag([1, 2, 3, 4]), flows: 5 };
        tracing::subscriber::with_default(lines.clone(), || {
            tell(&event);
        });
        let text = lines.0.lock().unwrap();
        assert!(text.starts_with("warn session=01020304 event=SessionForgotten {"), "{text}");
    }
}
