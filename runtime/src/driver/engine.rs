//! The session, with the one place that gives it inputs, its trace, and the events that come of it.

use crate::ports::clock::{Clock, Timer};
use crate::record::{Recording, TraceStop, Traces};
use crate::report::{EndedSessions, Event, SessionTag};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use striper_core::{Config, EndReason, Input, Instant, Output, Role, Session, SessionId};

pub(crate) struct Engine {
    clock: Rc<dyn Clock>,
    config: Config,
    session: Session,
    traces: Option<Arc<Traces>>,
    recording: Option<Recording>,
    /// Traces were set since the session began, which is not recorded.
    wants_trace: bool,
    outputs: Vec<Output>,
    /// Inputs that came up while outputs were performed.
    deferred: VecDeque<Input>,
    /// Why the session ends, while the outputs of its end are performed.
    ending: Option<EndReason>,
    events: Vec<Event>,
    /// Client: the sums of earlier sessions.
    earlier: EndedSessions,
}

impl Engine {
    pub(crate) fn new(
        clock: Rc<dyn Clock>,
        config: Config,
        id: SessionId,
        role: Role,
        traces: Option<Arc<Traces>>,
    ) -> Self {
        let mut engine = Engine {
            session: Session::new(role, id, config, clock.now()),
            clock,
            config,
            traces,
            recording: None,
            wants_trace: false,
            outputs: Vec::new(),
            deferred: VecDeque::new(),
            ending: None,
            events: Vec::new(),
            earlier: EndedSessions::default(),
        };
        engine.begin_recording();
        engine
    }

    /// Client: another session in place of this one, which has ended.
    pub(crate) fn renew(&mut self, id: SessionId) {
        self.earlier.add(&self.session.stats());
        self.session = Session::new(Role::Client, id, self.config, self.clock.now());
        self.begin_recording();
    }

    /// Sessions that begin from now on are recorded there; without, the present recording ends too.
    pub(crate) fn set_traces(&mut self, traces: Option<Arc<Traces>>) {
        if traces.is_none() {
            self.recording = None;
        }
        self.wants_trace = traces.is_some();
        self.traces = traces;
    }

    /// Whether only another session would be recorded.
    pub(crate) fn wants_trace(&self) -> bool {
        self.wants_trace
    }

    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    pub(crate) fn timer(&self) -> Box<dyn Timer> {
        self.clock.timer()
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// The session, to be asked. Only [`Engine::input`] changes it.
    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// Client: the sums of the sessions before this one.
    pub(crate) fn earlier(&self) -> EndedSessions {
        self.earlier
    }

    pub(crate) fn tag(&self) -> SessionTag {
        SessionTag::of(self.session.id())
    }

    pub(crate) fn ending(&self) -> Option<EndReason> {
        self.ending
    }

    pub(crate) fn tell(&mut self, event: Event) {
        self.events.push(event);
    }

    pub(crate) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Gives an input. Not to be called while outputs are performed: see [`Engine::defer`].
    pub(crate) fn input(&mut self, input: Input) {
        let now = self.clock.now();
        let before = self.outputs.len();
        if let Some(recording) = &mut self.recording {
            recording.input(now, &input);
        }
        self.session.handle(now, input, &mut self.outputs);
        let outputs = &self.outputs[before..];
        if let Some(Output::Ended { reason }) = outputs.last() {
            self.ending = Some(*reason);
        }
        let recorded = self.recording.as_mut().map(|recording| recording.outputs(outputs));
        if let Some(Err(TraceStop { path, cause })) = recorded {
            self.recording = None;
            self.events.push(Event::TraceStopped { path, cause });
        }
    }

    /// Gives the session an input once the outputs that are there have been performed.
    pub(crate) fn defer(&mut self, input: Input) {
        self.deferred.push_back(input);
    }

    /// Whether there is neither an output to be performed nor an input to be given.
    pub(crate) fn is_settled(&self) -> bool {
        self.outputs.is_empty() && self.deferred.is_empty()
    }

    /// [`Engine::performed`] takes the list back.
    pub(crate) fn take_outputs(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.outputs)
    }

    /// All of these have been performed. Gives the inputs that came up meanwhile.
    pub(crate) fn performed(&mut self, mut outputs: Vec<Output>) {
        debug_assert!(self.outputs.is_empty(), "an input was given while outputs were performed");
        // Its memory is used again.
        outputs.clear();
        self.outputs = outputs;
        while let Some(input) = self.deferred.pop_front() {
            self.input(input);
        }
    }

    /// Drops inputs that came up, which mean nothing now.
    pub(crate) fn end(&mut self) {
        self.deferred.clear();
        self.ending = None;
    }

    fn begin_recording(&mut self) {
        (self.recording, self.wants_trace) = (None, false);
        match self.traces.as_ref().and_then(|traces| traces.begin(&self.session)) {
            Some(Ok(recording)) => self.recording = Some(recording),
            Some(Err(TraceStop { path, cause })) => {
                self.events.push(Event::TraceStopped { path, cause })
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::server;
    use super::*;
    use crate::files::tests::Folder;
    use std::time::Duration;

    #[test]
    fn an_input_that_comes_up_while_outputs_are_performed_is_given_after_them() {
        let mut engine = server().engine;
        engine.defer(Input::Abort);
        assert!(!engine.is_settled());
        let outputs = engine.take_outputs();
        assert!(outputs.is_empty(), "it waits");
        engine.performed(outputs);
        let ended = [Output::Ended { reason: EndReason::Aborted }];
        assert_eq!(engine.take_outputs(), ended);
        assert!(engine.is_settled());
    }

    #[test]
    fn a_trace_begins_with_the_next_session_and_can_end_before_it() {
        let folder = Folder::new("engine-trace");
        let path = folder.0.join("trace");
        let traces = Traces::create(&path, "test").unwrap();
        let mut engine = server().engine;
        engine.set_traces(Some(traces.clone()));
        assert!(engine.wants_trace() && engine.recording.is_none());
        engine.renew(SessionId([1; 16]));
        assert!(!engine.wants_trace() && engine.recording.is_some());
        engine.input(Input::Tick);
        engine.set_traces(None);
        assert!(!engine.wants_trace() && engine.recording.is_none());
        assert!(traces.flush(Duration::from_secs(10)));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("stopped"), "{text}");
    }

    #[test]
    fn inputs_of_a_session_that_has_ended_are_not_given_to_the_next() {
        let mut engine = server().engine;
        engine.defer(Input::Abort);
        engine.end();
        assert!(engine.is_settled());
    }
}
