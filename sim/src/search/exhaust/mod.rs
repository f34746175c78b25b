//! Small worlds, enumerated completely: every order of events, every point of death, every choice
//! of a stripe for data. No sampling.
//!
//! Two real sessions with programs ([`end`], [`program`]) answer inputs ([`answers`]) and are
//! joined by stripes that are queues of frames ([`state`]); [`world`] says what can happen next.
//! Time stands still: a timer that is set may go off, and when is a choice like all others. So a
//! state is what the sessions' fingerprints say, and each world is a finite graph. [`breadth`] goes
//! through all of it with every oracle, [`depth`] goes again in another order and in another way;
//! both must count the same. [`worlds`] says which there are.
//!
//! Oracles in every state: the sessions' own invariants; bytes equal the pattern; FIN once, last,
//! and only if the other end has finished; no reset without one; nothing after the end; no
//! violation between honest peers; no frame on a dead stripe; delivered ≤ given; acknowledged ≤
//! processed ≤ sent. Where nothing is left to happen unless something goes wrong: everything is
//! complete, or there is a cause why it isn't. And such a state is reached from every other.

pub mod answers;
pub mod breadth;
mod check;
pub mod depth;
pub mod end;
pub mod ends;
pub mod program;
pub mod retrace;
pub mod state;
pub mod world;
pub mod worlds;
