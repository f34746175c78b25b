//! Small worlds, enumerated completely: every order of events, every point of death, every choice
//! of a stripe for data.
//!
//! Two real sessions with programs ([`end`], [`program`]) answer inputs ([`ends`]). Stripes that
//! are queues of frames join them ([`state`]); [`world`] has the events that can happen next. Time
//! stands still: a timer that is set may go off at any time, which is a choice like all others. So
//! a state is the fingerprints of the sessions, and each world is a finite graph. [`breadth`] goes
//! through all of it with every oracle. [`depth`] goes again in another order and in another way;
//! both must count the same. [`worlds`] lists the worlds.
//!
//! Oracles in every state:
//! - the sessions' own invariants, and the rules of [`striper_core::testing::Endpoint`];
//! - bytes equal the pattern;
//! - FIN comes once, last, and only if the other end has finished;
//! - no reset without a cause, and nothing after the end;
//! - no violation between honest peers;
//! - delivered ≤ given; acknowledged ≤ processed ≤ sent.

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
