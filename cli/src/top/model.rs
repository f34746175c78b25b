//! The knowledge of `top`, and the choices of the user. Nothing here draws or waits.

use super::history::{History, Id};
use super::table::{Row, Step, Table};
use super::why::{self, Reason};
use super::{flows, stripes};
use crate::state::{Flow, Session, State, Stripe};

/// The use of the keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Mode {
    Tables,
    Help,
    /// A filter is being typed.
    Filter,
    /// The question whether to close this flow.
    Close(Id),
}

/// The request of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Action {
    Quit,
    Suspend,
    Redraw,
    Help,
    Select(Step),
    OtherTable,
    Sort(Step),
    Reverse,
    Filter,
    Type(char),
    Erase,
    Explain,
    Close,
    Pause,
    /// Enter, or yes.
    Accept,
    /// Escape, or no.
    Leave,
}

/// The work that is to be done outside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Effect {
    None,
    Quit,
    Suspend,
    Redraw,
    /// The process is to close the connection of this number.
    Close(u64),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Which {
    Stripes,
    Flows,
}

/// The subject of an explanation.
#[derive(Clone, Copy)]
pub(super) enum Subject<'a> {
    Flow(&'a Session, &'a Flow),
    Stripe(usize, &'a Session, &'a Stripe),
}

#[derive(Debug)]
pub(super) struct Model {
    state: State,
    history: History,
    stripes: Table,
    flows: Table,
    focus: Which,
    mode: Mode,
    explains: bool,
    /// The latest state, which is shown when the screen moves again.
    held: Option<State>,
    paused: bool,
    /// Since when and why there is no answer from the process, if so.
    lost: Option<(String, String)>,
    /// The answer to the last command.
    notice: Option<String>,
}

impl Model {
    /// With the first look at a process.
    pub(super) fn new(state: State) -> Model {
        let mut history = History::default();
        history.add(&state);
        Model {
            state,
            history,
            stripes: Table::new(stripes::COLUMNS, "STRIPE"),
            flows: Table::new(flows::COLUMNS, "RATES"),
            focus: Which::Flows,
            mode: Mode::Tables,
            explains: false,
            held: None,
            paused: false,
            lost: None,
            notice: None,
        }
    }

    pub(super) fn state(&self) -> &State {
        &self.state
    }

    pub(super) fn history(&self) -> &History {
        &self.history
    }

    pub(super) fn mode(&self) -> &Mode {
        &self.mode
    }

    pub(super) fn focus(&self) -> Which {
        self.focus
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused
    }

    pub(super) fn explains(&self) -> bool {
        self.explains
    }

    /// Since when there is no answer, and why.
    pub(super) fn lost(&self) -> Option<(&str, &str)> {
        self.lost.as_ref().map(|(since, why)| (since.as_str(), why.as_str()))
    }

    pub(super) fn notice(&self) -> Option<&str> {
        self.notice.as_deref()
    }

    pub(super) fn table(&self, which: Which) -> &Table {
        match which {
            Which::Stripes => &self.stripes,
            Which::Flows => &self.flows,
        }
    }

    fn focused(&mut self) -> &mut Table {
        match self.focus {
            Which::Stripes => &mut self.stripes,
            Which::Flows => &mut self.flows,
        }
    }

    /// The rows of a table as they are shown.
    pub(super) fn rows(&self, which: Which) -> Vec<Row> {
        let rows = match which {
            Which::Stripes => stripes::rows(&self.state, &self.history),
            Which::Flows => flows::rows(&self.state, &self.history),
        };
        self.table(which).arrange(rows)
    }

    /// The subject of the explanation of the selected row, and its paragraphs.
    pub(super) fn explanation(&self) -> Option<(String, Vec<Reason>)> {
        Some(match self.subject()? {
            Subject::Flow(session, flow) => {
                let meter = self.history.meter(&Id::of_flow(session, flow));
                (why::title(flow), why::flow(&self.state, session, flow, meter))
            }
            Subject::Stripe(index, session, stripe) => {
                let meter = self.history.meter(&Id::of_stripe(session, stripe));
                let name = stripes::name(&self.state, index, session, stripe);
                (format!("stripe {name}"), why::stripe(stripe, meter))
            }
        })
    }

    /// The selected row of the table with the keys.
    fn subject(&self) -> Option<Subject<'_>> {
        let rows = self.rows(self.focus);
        let place = self.table(self.focus).selected(&rows)?;
        self.find(&rows[place].id)
    }

    pub(super) fn find(&self, id: &Id) -> Option<Subject<'_>> {
        self.state.sessions.iter().enumerate().find_map(|(index, session)| {
            let is_flow = |flow: &&Flow| Id::of_flow(session, flow) == *id;
            let is_stripe = |stripe: &&Stripe| Id::of_stripe(session, stripe) == *id;
            let flow = session.flows.iter().find(is_flow);
            let stripe = session.stripes.iter().find(is_stripe);
            let flow = flow.map(|flow| Subject::Flow(session, flow));
            flow.or_else(|| stripe.map(|stripe| Subject::Stripe(index, session, stripe)))
        })
    }

    /// The process has told its state.
    pub(super) fn take(&mut self, state: State) {
        self.lost = None;
        if self.paused {
            self.held = Some(state);
        } else {
            self.history.add(&state);
            self.state = state;
        }
    }

    /// The process does not answer. `now` is the time of day.
    pub(super) fn lose(&mut self, now: &str, why: &str) {
        let since = self.lost.take().map_or_else(|| now.to_owned(), |(since, _)| since);
        self.lost = Some((since, why.to_owned()));
    }

    /// The answer to a command.
    pub(super) fn tell(&mut self, notice: String) {
        self.notice = Some(notice);
    }

    pub(super) fn act(&mut self, action: Action) -> Effect {
        self.notice = None;
        match action {
            Action::Quit => return Effect::Quit,
            Action::Suspend => return Effect::Suspend,
            Action::Redraw => return Effect::Redraw,
            Action::Help => self.mode = Mode::Help,
            Action::Select(step) => {
                let rows = self.rows(self.focus);
                self.focused().step(&rows, step);
            }
            Action::OtherTable => {
                self.focus = match self.focus {
                    Which::Stripes => Which::Flows,
                    Which::Flows => Which::Stripes,
                }
            }
            Action::Sort(step) => self.focused().sort_by_next(step),
            Action::Reverse => self.focused().reverse(),
            Action::Filter => self.mode = Mode::Filter,
            Action::Type(letter) => {
                let filter = format!("{}{letter}", self.focused().filter());
                self.focused().set_filter(filter);
            }
            Action::Erase => {
                let mut filter = self.focused().filter().to_owned();
                filter.pop();
                self.focused().set_filter(filter);
            }
            Action::Explain => {
                self.hold_selection();
                self.explains = !self.explains;
            }
            Action::Close => self.ask_to_close(),
            Action::Pause => {
                self.paused = !self.paused;
                if let Some(state) = self.held.take() {
                    self.take(state);
                }
            }
            Action::Accept => return self.accept(),
            Action::Leave => self.leave(),
        }
        Effect::None
    }

    /// From now on the selection follows its row.
    fn hold_selection(&mut self) {
        let rows = self.rows(self.focus);
        self.focused().step(&rows, Step::On(0));
    }

    fn ask_to_close(&mut self) {
        self.hold_selection();
        match self.subject() {
            Some(Subject::Flow(session, flow)) if flow.number.is_some() => {
                self.mode = Mode::Close(Id::of_flow(session, flow));
            }
            Some(Subject::Flow(..)) => {
                self.tell("this flow belongs to no connection of a program".to_owned());
            }
            Some(Subject::Stripe(..)) => {
                self.tell("only flows can be closed: press Tab".to_owned())
            }
            None => self.tell("no flow is selected".to_owned()),
        }
    }

    fn accept(&mut self) -> Effect {
        match std::mem::replace(&mut self.mode, Mode::Tables) {
            Mode::Close(Id::Connection(number)) => Effect::Close(number),
            _ => Effect::None,
        }
    }

    /// Leaves one thing at a time: a question, the help, a filter, an explanation.
    fn leave(&mut self) {
        match std::mem::replace(&mut self.mode, Mode::Tables) {
            Mode::Tables if self.explains => self.explains = false,
            Mode::Tables | Mode::Filter => self.focused().set_filter(String::new()),
            Mode::Help | Mode::Close(_) => {}
        }
    }
}
