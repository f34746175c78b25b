//! The terminal while `top` has it: keys come one by one, and what was on the screen comes back at
//! the end, also after a panic.

use crate::failure::Failure;
use ratatui::backend::TermionBackend;
use ratatui::termion::cursor;
use ratatui::termion::screen::{ToAlternateScreen, ToMainScreen};
use rustix::process::{Signal, getpid, kill_process};
use rustix::stdio::{stdin, stdout};
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcsetattr};
use std::io::{self, Stdout, Write};
use std::sync::{Mutex, PoisonError};

/// How the terminal was before; none while others have it. Panics of any thread restore it.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

pub(super) struct Terminal {
    screen: ratatui::Terminal<TermionBackend<Stdout>>,
}

/// The failure if `top` can't draw where it was started.
pub(super) fn check(term: Option<&str>) -> Result<(), Failure> {
    let cure = "run it in a terminal; elsewhere: striper-cli status";
    for (is_terminal, name) in
        [(isatty(stdin()), "standard input"), (isatty(stdout()), "standard output")]
    {
        if !is_terminal {
            let cause = format!("top needs a terminal, but {name} is not one");
            return Err(Failure::usage(cause, cure));
        }
    }
    if term == Some("dumb") {
        return Err(Failure::usage("top can't draw on this terminal (TERM=dumb)", cure));
    }
    Ok(())
}

impl Terminal {
    pub(super) fn enter() -> io::Result<Terminal> {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            leave();
            hook(panic);
        }));
        enter()?;
        let screen = ratatui::Terminal::new(TermionBackend::new(io::stdout()));
        screen.map(|screen| Terminal { screen }).inspect_err(|_| leave())
    }

    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut ratatui::Frame<'_>)) -> io::Result<()> {
        self.screen.draw(draw).map(|_| ())
    }

    /// Takes the terminal again after a stop of this process: others have written to it.
    pub(super) fn resume(&mut self) -> io::Result<()> {
        enter()?;
        // Unlike `clear`, this asks the terminal nothing: the answer would come among the keys.
        let size = self.screen.size()?;
        self.screen.resize(size.into())
    }

    /// Stops this process, as Ctrl-Z does elsewhere, and goes on when it is continued.
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        leave();
        kill_process(getpid(), Signal::STOP)?;
        self.resume()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        leave();
    }
}

fn enter() -> io::Result<()> {
    let mut before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
    let settings = match &*before {
        Some(settings) => settings.clone(),
        None => tcgetattr(stdin())?,
    };
    let mut raw = settings.clone();
    raw.make_raw();
    *before = Some(settings);
    tcsetattr(stdin(), OptionalActions::Now, &raw)?;
    write!(io::stdout(), "{ToAlternateScreen}{}", cursor::Hide)?;
    io::stdout().flush()
}

/// Gives the terminal back. Nothing can be done if that fails.
fn leave() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(settings) = before else { return };
    let _ = write!(io::stdout(), "{ToMainScreen}{}", cursor::Show);
    let _ = io::stdout().flush();
    let _ = tcsetattr(stdin(), OptionalActions::Now, &settings);
}
