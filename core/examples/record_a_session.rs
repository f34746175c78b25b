//! A session that does nothing but wake up once, recorded and replayed.

use std::error::Error;
use striper_core::trace::{Header, Recorder, Trace};
use striper_core::{Config, Input, Instant, Role, Session, SessionId};

/// Runs it.
pub fn main() -> Result<(), Box<dyn Error>> {
    let mut session =
        Session::new(Role::Client, SessionId([7; 16]), Config::default(), Instant::ZERO);
    let mut text = String::new();
    let mut recorder = Recorder::begin(&session, &Header::of(&session, "example 1.0"), &mut text)?;
    let mut outputs = Vec::new();
    recorder.input(Instant::ZERO, &Input::Tick, &mut text)?;
    session.handle(Instant::ZERO, Input::Tick, &mut outputs);
    recorder.outputs(&outputs, &mut text)?;
    recorder.end("done", &mut text)?;
    assert!(text.ends_with("0 tick\n wanted 4\nend done\n"));
    assert!(Trace::read(&text)?.replay().is_ok());
    Ok(())
}
