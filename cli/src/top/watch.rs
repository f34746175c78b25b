//! Asks the process again and again, and brings together what happens.

use super::keys;
use super::model::{Effect, Model};
use super::screen;
use super::terminal::Terminal;
use super::tone::Palette;
use crate::clock;
use crate::control::client::{Connection, find};
use crate::control::request::{Done, Request};
use crate::failure::Failure;
use crate::state::State;
use async_signal::{Signal, Signals};
use smol::Async;
use smol::channel::{Receiver, Sender};
use smol::future::{or, zip};
use smol::stream::StreamExt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The time between two looks.
const PERIOD: Duration = Duration::from_secs(1);

/// The most flows that a look has: more would make the process and this one slow.
const FLOWS: usize = 4_096;

enum Event {
    Looked(Box<Result<State, Failure>>),
    /// The answer to a command.
    Told(String),
    Typed(Vec<u8>),
    Signalled(Signal),
    /// The terminal has gone.
    HungUp,
}

/// A process that is looked at, with the connection to it while there is one.
struct Watched {
    named: Option<PathBuf>,
    connection: Option<Connection>,
}

impl Watched {
    /// Finds it again if it has gone: after a restart its socket may have another name.
    fn with<T>(
        &mut self,
        ask: impl Fn(&mut Connection) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let env = |name: &str| std::env::var_os(name);
                Connection::open(&find(self.named.as_deref(), &env)?)?
            }
        };
        let answer = ask(&mut connection)?;
        self.connection = Some(connection);
        Ok(answer)
    }

    fn look(&mut self) -> Result<State, Failure> {
        self.with(|connection| connection.status(FLOWS))
    }

    fn close(&mut self, number: u64) -> String {
        let request = Request::Close { connection: number };
        let answer = self.with(|connection| connection.ask(&request));
        let done = answer.map(|answer| serde_json::from_value(answer).map(|done: Done| done.text));
        match done {
            Ok(Ok(text)) => text,
            Ok(Err(error)) => format!("the answer is garbled: {error}"),
            Err(failure) => failure.to_string(),
        }
    }
}

/// Shows the process until the user or a signal ends it, and returns the exit code.
pub(super) fn run(named: Option<&Path>, palette: Palette) -> Result<u8, Failure> {
    let mut watched = Watched { named: named.map(Path::to_owned), connection: None };
    let mut model = Model::new(watched.look()?);
    let failed =
        |error: io::Error| Failure::unexpected(format!("cannot use the terminal: {error}"));
    // Before the terminal changes: a signal that comes then must give it back.
    let signals = hear_signals().map_err(failed)?;
    let mut terminal = Terminal::enter().map_err(failed)?;
    let (events, happened) = smol::channel::unbounded();
    let (commands, given) = smol::channel::unbounded();
    let sources = zip(
        look_again(watched, given, events.clone()),
        zip(read_keys(events.clone()), pass_on(signals, events)),
    );
    let sources = async {
        sources.await;
        std::future::pending().await
    };
    let shown = show(&mut model, &mut terminal, palette, &happened, &commands);
    smol::block_on(or(shown, sources)).map_err(failed)
}

async fn show(
    model: &mut Model,
    terminal: &mut Terminal,
    palette: Palette,
    happened: &Receiver<Event>,
    commands: &Sender<u64>,
) -> io::Result<u8> {
    loop {
        terminal.draw(|frame| screen::draw(model, palette, frame.buffer_mut()))?;
        // A sender is always there: the tasks never end.
        let Ok(event) = happened.recv().await else { return Ok(0) };
        let effects = match event {
            Event::Looked(looked) => {
                match *looked {
                    Ok(state) => model.take(state),
                    Err(failure) => model.lose(&clock::ago(Duration::ZERO), &failure.to_string()),
                }
                Vec::new()
            }
            Event::Told(text) => {
                model.tell(text);
                Vec::new()
            }
            Event::Typed(bytes) => keys::read(&bytes)
                .into_iter()
                .filter_map(|key| keys::action(key, model.mode()).map(|action| model.act(action)))
                .collect(),
            Event::Signalled(Signal::Tstp) => vec![Effect::Suspend],
            Event::Signalled(Signal::Cont) => vec![Effect::Redraw],
            Event::Signalled(Signal::Winch) => Vec::new(),
            Event::Signalled(signal) => return Ok(128 + signal as u8),
            Event::HungUp => return Ok(128 + Signal::Hup as u8),
        };
        for effect in effects {
            match effect {
                Effect::None => {}
                Effect::Quit => return Ok(0),
                Effect::Suspend => terminal.suspend()?,
                Effect::Redraw => terminal.resume()?,
                Effect::Close(number) => {
                    let _ = commands.try_send(number);
                }
            }
        }
    }
}

async fn look_again(mut watched: Watched, commands: Receiver<u64>, events: Sender<Event>) {
    loop {
        let period = async {
            smol::Timer::after(PERIOD).await;
            None
        };
        let command = or(async { commands.recv().await.ok() }, period).await;
        // Connections block, for as long as the process takes to answer.
        let (back, event) = smol::unblock(move || {
            let event = match command {
                Some(number) => Event::Told(watched.close(number)),
                None => Event::Looked(Box::new(watched.look())),
            };
            (watched, event)
        })
        .await;
        watched = back;
        let _ = events.try_send(event);
    }
}

async fn read_keys(events: Sender<Event>) {
    // Another program may use the same terminal, so it is not set to fail instead of waiting.
    if let Ok(input) = Async::new_nonblocking(io::stdin()) {
        let mut bytes = [0; 256];
        while let Ok(()) = input.readable().await
            && let Ok(count @ 1..) = rustix::io::read(&input, &mut bytes)
        {
            let _ = events.try_send(Event::Typed(bytes[..count].to_vec()));
        }
    }
    let _ = events.try_send(Event::HungUp);
}

fn hear_signals() -> io::Result<Signals> {
    use Signal::{Cont, Hup, Int, Term, Tstp, Winch};
    Signals::new([Cont, Hup, Int, Term, Tstp, Winch])
}

async fn pass_on(mut signals: Signals, events: Sender<Event>) {
    while let Some(signal) = signals.next().await {
        if let Ok(signal) = signal {
            let _ = events.try_send(Event::Signalled(signal));
        }
    }
}
