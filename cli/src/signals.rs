//! SIGTERM and SIGINT: the first one stops the program in order, the second one at once. SIGHUP:
//! keys, rules and users are read again; but if the terminal of the program is gone, and for `-W`,
//! it is as SIGTERM. SIGUSR2: another process takes the place of this one. SIGCONT: the shell has
//! written over the status line, so it is drawn again.
//! The control socket can stop the program too.

use crate::failure::Failure;
use crate::log::Log;
use crate::supervisor;
use async_signal::{Signal, Signals};
use smol::channel::{Receiver, Sender, bounded};
use smol::future::or;
use smol::stream::StreamExt;
use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

/// Reads keys and settings again. The result has been logged; an error has changed nothing.
pub(crate) type Reread = Rc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<String, Failure>>>>>;

/// None: SIGHUP stops the program.
type Hook = Rc<RefCell<Option<Reread>>>;

pub(crate) struct Stop {
    signals: Signals,
    /// Whether there was a terminal at the start.
    terminal: bool,
    reread: Hook,
    asked: Receiver<()>,
    ask: Sender<()>,
    log: Log,
}

/// Does what signals do.
pub(crate) struct Remote {
    ask: Sender<()>,
    reread: Hook,
}

impl Remote {
    /// Stops the program as a first SIGTERM does.
    pub(crate) fn drain(&self) {
        // If it is full, the program has been asked already.
        let _ = self.ask.try_send(());
    }

    /// Reads again what SIGHUP reads again. Gives the line that the log has.
    pub(crate) async fn reload(&self) -> Result<String, Failure> {
        let reread = self.reread.borrow().clone();
        match reread {
            Some(reread) => reread().await,
            None => {
                let cause = "a client with -W reads nothing again";
                Err(Failure::usage(cause, "start it again"))
            }
        }
    }
}

impl Stop {
    /// From now on signals come here and do not end the program by themselves.
    pub(crate) fn listen(log: &Log) -> Result<Self, Failure> {
        // SIGXFSZ would end the program when a trace reaches the limit of file sizes (ulimit -f).
        // If it is caught, the write fails instead, and only the trace stops.
        let signals =
            [Signal::Term, Signal::Int, Signal::Hup, Signal::Cont, Signal::Xfsz, Signal::Usr2];
        let signals = Signals::new(signals)
            .map_err(|error| Failure::unexpected(format!("cannot listen to signals: {error}")))?;
        let nothing: Reread = Rc::new(|| Box::pin(async { Ok(String::new()) }));
        let reread = Rc::new(RefCell::new(Some(nothing)));
        let (ask, asked) = bounded(1);
        Ok(Stop { signals, terminal: has_terminal(), reread, asked, ask, log: log.clone() })
    }

    /// Does what signals do.
    pub(crate) fn remote(&self) -> Remote {
        Remote { ask: self.ask.clone(), reread: self.reread.clone() }
    }

    pub(crate) fn on_reread(&mut self, reread: Reread) {
        self.reread.replace(Some(reread));
    }

    /// From now on SIGHUP stops the program, as ssh expects of its ProxyCommand.
    pub(crate) fn on_hangup(&mut self) {
        self.reread.take();
    }

    /// Waits for the next signal or request to stop. Returns its name and the exit code of a
    /// program that it ends (128 plus its number).
    pub(crate) async fn next(&mut self) -> (&'static str, u8) {
        loop {
            if let Some(stop) = self.next_or_upgrade().await {
                return stop;
            }
        }
    }

    /// The same; none if another process is to take the place of this one.
    pub(crate) async fn next_or_upgrade(&mut self) -> Option<(&'static str, u8)> {
        loop {
            let asked = async {
                let _ = self.asked.recv().await;
                None
            };
            let Some(signal) = or(async { Some(self.signals.next().await) }, asked).await else {
                return Some(("drain", 143));
            };
            match signal {
                Some(Ok(Signal::Hup)) if self.terminal && !has_terminal() => {
                    return Some(("SIGHUP", 129));
                }
                Some(Ok(Signal::Hup)) => {
                    let reread = self.reread.borrow().clone();
                    match reread {
                        Some(reread) => supervisor::reloading(&self.log, reread()).await,
                        None => return Some(("SIGHUP", 129)),
                    }
                }
                Some(Ok(Signal::Usr2)) => return None,
                Some(Ok(Signal::Cont)) => self.log.redraw_status(),
                Some(Ok(Signal::Int)) => return Some(("SIGINT", 130)),
                Some(Ok(Signal::Term)) => return Some(("SIGTERM", 143)),
                // SIGXFSZ, or an interrupted read of the signal pipe.
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
    }
}

fn has_terminal() -> bool {
    rustix::termios::tcgetwinsize(std::io::stderr()).is_ok()
}
