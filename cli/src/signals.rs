//! SIGTERM and SIGINT: the first asks for an orderly end, the second ends the program at once.

use crate::failure::Failure;
use async_signal::{Signal, Signals};
use smol::stream::StreamExt;

/// The signals that stop the program.
pub struct Stop(Signals);

impl Stop {
    /// From now on signals come here and no longer end the program by themselves.
    pub fn listen() -> Result<Self, Failure> {
        Signals::new([Signal::Term, Signal::Int])
            .map(Stop)
            .map_err(|error| Failure::unexpected(format!("cannot listen to signals: {error}")))
    }

    /// Waits for the next signal and returns its name and the exit code of a program that it ends (128 plus its number).
    pub async fn next(&mut self) -> (&'static str, u8) {
        loop {
            match self.0.next().await {
                Some(Ok(Signal::Int)) => return ("SIGINT", 130),
                Some(Ok(_)) => return ("SIGTERM", 143),
                // An interrupted read of the signal pipe; the next one tells more.
                Some(Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }
}
