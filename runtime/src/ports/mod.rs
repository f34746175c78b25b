//! The runtime's surroundings: time, outgoing and incoming connections, and tasks. None of it names
//! a socket, so all of it can be simulated.

pub(crate) mod clock;
mod dial;
mod listen;

pub use dial::{Dial, DialError, Dialling};
pub use listen::{Accepting, Listen};

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

/// Begins a task. It runs until it is ready or what runs it is dropped.
pub type Spawn = Rc<dyn Fn(Pin<Box<dyn Future<Output = ()>>>)>;
