//! A run as a picture: one self-contained page with inline SVG.
//!
//! [`Timeline`] collects the history of a session from nothing but its inputs and outputs: of both
//! sides in the simulator, of one side from a trace. [`render`] draws it together with a
//! [`Summary`]. Neither knows where the run came from. `examples/transfer.rs` draws a small run,
//! `examples/picture.rs` the run in the documentation.

pub mod coverage;
pub mod lane;
pub mod page;
mod panels;
mod plot;
pub(crate) mod scale;
mod scene;
mod series;
#[cfg(test)]
pub(crate) mod tests;
pub mod timeline;

pub use page::{Figure, Oracle, PAGE, Summary, render};
pub use timeline::Timeline;

use crate::base::Side;
use crate::run::World;
use std::cell::RefCell;
use std::rc::Rc;

/// The timeline of a world from now on. Right after [`World::new`], it misses nothing.
pub fn watch(world: &mut World) -> Rc<RefCell<Timeline>> {
    watch_only(world, None)
}

fn watch_only(world: &mut World, side: Option<Side>) -> Rc<RefCell<Timeline>> {
    let timeline = Rc::new(RefCell::new(Timeline::default()));
    let observer = Rc::clone(&timeline);
    world.observe(Box::new(move |seen| {
        if let Some(outputs) = seen.outputs.filter(|_| side.is_none_or(|side| side == seen.side)) {
            observer.borrow_mut().observe(seen.side, seen.now, seen.input, outputs);
        }
    }));
    timeline
}
