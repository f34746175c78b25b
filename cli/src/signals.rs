//! SIGTERM and SIGINT: the first one stops the program in order, the second one at once. SIGHUP:
//! keys, rules and users are read again; but if the terminal of the program is gone, and for `-W`,
//! it is as SIGTERM. SIGCONT: the shell has written over the status line, so it is drawn again.

use crate::failure::Failure;
use crate::log::Log;
use async_signal::{Signal, Signals};
use smol::stream::StreamExt;

pub(crate) struct Stop {
    signals: Signals,
    /// Whether there was a terminal at the start.
    terminal: bool,
    /// None: SIGHUP stops the program.
    reread: Option<Box<dyn Fn()>>,
    log: Log,
}

impl Stop {
    /// From now on signals come here and do not end the program by themselves.
    pub(crate) fn listen(log: &Log) -> Result<Self, Failure> {
        // SIGXFSZ would end the program when a trace reaches the limit of file sizes (ulimit -f).
        // If it is caught, the write fails instead, and only the trace stops.
        let signals = [Signal::Term, Signal::Int, Signal::Hup, Signal::Cont, Signal::Xfsz];
        let signals = Signals::new(signals)
            .map_err(|error| Failure::unexpected(format!("cannot listen to signals: {error}")))?;
        let (terminal, reread): (_, Option<Box<dyn Fn()>>) =
            (has_terminal(), Some(Box::new(|| {})));
        Ok(Stop { signals, terminal, reread, log: log.clone() })
    }

    pub(crate) fn on_reread(&mut self, reread: impl Fn() + 'static) {
        self.reread = Some(Box::new(reread));
    }

    /// From now on SIGHUP stops the program, as ssh expects of its ProxyCommand.
    pub(crate) fn on_hangup(&mut self) {
        self.reread = None;
    }

    /// Waits for the next signal to stop. Returns its name and the exit code of a program that it
    /// ends (128 plus its number).
    pub(crate) async fn next(&mut self) -> (&'static str, u8) {
        loop {
            match self.signals.next().await {
                Some(Ok(Signal::Hup)) if self.terminal && !has_terminal() => {
                    return ("SIGHUP", 129);
                }
                Some(Ok(Signal::Hup)) => match &self.reread {
                    Some(reread) => reread(),
                    None => return ("SIGHUP", 129),
                },
                Some(Ok(Signal::Cont)) => self.log.redraw_status(),
                Some(Ok(Signal::Int)) => return ("SIGINT", 130),
                Some(Ok(Signal::Term)) => return ("SIGTERM", 143),
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
