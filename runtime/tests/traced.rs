//! Events of the crate `tracing`.

mod common;

use common::{Log, run, start_client, start_server, vacant_port};
use std::fmt::{self, Write};
use std::sync::{Arc, Mutex};
use striper_runtime::Event;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

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
        let mut text = event.metadata().level().to_string();
        event.record(&mut Text(&mut text));
        self.0.lock().unwrap().push(text);
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
    tracing::subscriber::with_default(lines.clone(), || {
        run(|ex| async move {
            let log = Log::default();
            let server = start_server(&ex, &log).await;
            let _client = start_client(&ex, server.local_addr(), &log);
            let _lost = start_client(&ex, vacant_port(), &log);
            log.wait_for(|event| matches!(event, Event::SessionStarted { .. })).await;
            log.wait_for(|event| matches!(event, Event::PeerUnreachable { .. })).await;
        });
    });
    let lines = lines.0.lock().unwrap();
    let has = |beginning: &str| lines.iter().any(|line| line.starts_with(beginning));
    assert!(has("WARN event=PeerUnreachable {"), "{lines:?}");
    let started = lines.iter().find(|line| line.contains("event=SessionStarted {"));
    let name = started.and_then(|line| line.strip_prefix("INFO session=")).expect("a name");
    assert!(name.as_bytes()[..8].iter().all(u8::is_ascii_hexdigit), "{name}");
}
