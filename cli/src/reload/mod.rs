//! SIGHUP: the settings are read again and applied, without an end of connections that are still
//! allowed. Either all of them are applied or none.
//!
//! [`mod@plan`] says what differs. A role then opens and reads all that can fail, and only after
//! that changes anything.

mod plan;

pub(crate) use plan::{Change, Plan};

use crate::args::{Invocation, of_file};
use crate::failure::{Failure, code};
use crate::log::{Level, Log};
use crate::service::Connections;
use crate::sockets::Sockets;
use crate::state::Running;
use crate::upgrade;
use plan::plan;
use smol::future::FutureExt;
use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

/// The program that runs: a server, a client or a relay.
pub(crate) trait Role {
    /// Without a file of settings: reads the files of keys and users, each for itself, and logs
    /// that.
    fn reread(&self, log: &Log, now: &Invocation) -> Result<String, Failure>;

    /// The failure of settings that are wrong by themselves, as at a start.
    fn check(&self, _new: &Invocation) -> Result<(), Failure> {
        Ok(())
    }

    /// Opens and reads all that can fail. Nothing has changed before [`Ready::commit`].
    fn prepare<'a>(&'a self, log: &'a Log, plan: &'a Plan) -> Later<'a, Result<Ready, Failure>>;

    /// Where it listens now, and the targets that it connects to by itself.
    fn places(&self) -> (Vec<String>, Vec<String>);
}

pub(crate) type Later<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// All that can fail has been done.
pub(crate) struct Ready {
    /// Changes of the content of files, in words.
    pub content: Vec<String>,
    /// The level of the line about it: some content deserves a warning.
    pub level: Level,
    pub commit: Later<'static, Places>,
}

/// Where this side listens now and did not before, and the other way round.
#[derive(Default)]
pub(crate) struct Places {
    pub opened: Vec<String>,
    pub closed: Vec<String>,
}

/// Reads settings again. Clones are the same.
#[derive(Clone)]
pub(crate) struct Reload(Rc<Inner>);

struct Inner {
    log: Log,
    /// The settings of now.
    now: RefCell<Invocation>,
    sockets: Sockets,
    connections: Connections,
    running: Running,
    role: Box<dyn Role>,
    /// One reload at a time.
    turn: smol::lock::Mutex<()>,
}

impl Reload {
    pub(crate) fn new(
        log: &Log,
        now: Invocation,
        sockets: &Sockets,
        (running, connections): (&Running, &Connections),
        role: impl Role + 'static,
    ) -> Reload {
        let (log, now, role) = (log.clone(), RefCell::new(now), Box::new(role));
        let (running, connections) = (running.clone(), connections.clone());
        let sockets = sockets.clone();
        let turn = smol::lock::Mutex::new(());
        Reload(Rc::new(Inner { log, now, sockets, connections, running, role, turn }))
    }

    /// The hook for SIGHUP.
    pub(crate) fn hook(self) -> crate::signals::Reread {
        Rc::new(move || {
            let reload = self.clone();
            async move {
                let reloaded = reload.now().await?;
                upgrade::pass_on_reload(&reload.0.sockets).await;
                Ok(reloaded)
            }
            .boxed_local()
        })
    }

    /// Reads the file with the settings again, and all files that it names. The result has been
    /// logged. After an error the old settings hold.
    async fn now(&self) -> Result<String, Failure> {
        let inner = &self.0;
        let _turn = inner.turn.lock().await;
        let now = inner.now.borrow().clone();
        let Some(file) = &now.options.file else {
            return inner.role.reread(&inner.log, &now);
        };
        let applied = self.apply(&now).await;
        let applied = applied.map_err(|failure| of_file(file, now.command.role(), failure));
        if let Err(failure) = &applied {
            let text = format!("not reloaded, and the old settings stay: {failure}");
            inner.log.warn("not_reloaded", text, failure.excerpt_field().as_slice());
            inner.log.below(failure.excerpt.as_deref());
        }
        applied
    }

    async fn apply(&self, now: &Invocation) -> Result<String, Failure> {
        let inner = &self.0;
        if inner.connections.may_finish_within().is_some() {
            let cure = "start it again: it reads its file then";
            return Err(Failure::config("this program is stopping", cure));
        }
        let new = crate::args::of_process()?;
        let mut plan = plan(now, &new);
        if !plan.fixed.is_empty() {
            inner.role.check(&new)?;
        }
        if inner.sockets.is_replaced() {
            plan.listen_nowhere();
        }
        let ready = inner.role.prepare(&inner.log, &plan).await;
        let ready = ready.map_err(|failure| until_restart(failure, &plan.fixed));
        let Ready { content, level, commit } = ready?;
        let places = commit.await;
        let (listening, targets) = inner.role.places();
        inner.running.set_places(listening, targets);
        let options = &plan.next.options;
        inner.log.set_verbosity(options.verbosity);
        inner.log.set_format(options.log);
        inner.connections.set_drain(options.drain_timeout);
        let text = tell(&inner.log, level, &plan, &content, &places);
        *inner.now.borrow_mut() = plan.next;
        Ok(text)
    }
}

/// The failure of new settings together with old ones that need a restart.
fn until_restart(failure: Failure, fixed: &[&str]) -> Failure {
    if failure.code != code::USAGE || fixed.is_empty() {
        return failure;
    }
    let names = fixed.join(", ");
    let cause = format!("{}; these settings need a restart: {names}", failure.cause);
    Failure::usage(cause, "restart the program: with all new settings it can begin")
}

/// Says in one line what has changed, and what needs a restart.
fn tell(log: &Log, level: Level, plan: &Plan, content: &[String], places: &Places) -> String {
    let Places { opened, closed } = places;
    let closing = closed.iter().map(|place| format!("-listening on {place}"));
    let opening = opened.iter().map(|place| format!("+listening on {place}"));
    let others = plan.changes.iter().map(Change::to_string).filter(|text| !text.is_empty());
    let changed = closing.chain(opening).chain(others).chain(content.iter().cloned());
    let changed = changed.collect::<Vec<_>>().join(", ");
    let fixed = plan.fixed.join(", ");
    let mut text = match changed.is_empty() {
        true => "reloaded: nothing changed".to_owned(),
        false => format!("reloaded: {changed}"),
    };
    if !fixed.is_empty() {
        text += &format!("; these settings need a restart: {fixed}");
    }
    let level = if fixed.is_empty() { level } else { Level::Warn };
    let fields = [
        ("changed", changed.into()),
        ("needs_restart", fixed.into()),
        ("opened", opened.join(", ").into()),
        ("closed", closed.join(", ").into()),
    ];
    log.say(level, "reloaded", &text, &fields);
    text
}
