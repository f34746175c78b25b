//! The listener that hears of events, if there is one.

use crate::report::Event;
use std::rc::Rc;

#[derive(Clone, Default)]
pub(crate) struct Events(Option<Rc<dyn Fn(Event)>>);

impl Events {
    pub(crate) fn new(listener: Option<Rc<dyn Fn(Event)>>) -> Self {
        Events(listener)
    }

    pub(crate) fn tell(&self, event: Event) {
        #[cfg(feature = "tracing")]
        crate::traced::tell(&event);
        if let Some(listener) = &self.0 {
            listener(event);
        }
    }
}
