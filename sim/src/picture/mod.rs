//! What a picture of a run is made from.
//!
//! [`Timeline`] collects what happened from nothing but the inputs and outputs of a session, both sides' in the simulator, one
//! side's from a trace.

pub mod coverage;
pub mod lane;
pub mod timeline;

pub use timeline::Timeline;

use crate::world::World;
use std::cell::RefCell;
use std::rc::Rc;

/// The timeline of a world from now on. Asked for right after [`World::new`], it misses nothing.
pub fn watch(world: &mut World) -> Rc<RefCell<Timeline>> {
    let timeline = Rc::new(RefCell::new(Timeline::new()));
    let observer = Rc::clone(&timeline);
    world.observe(Box::new(move |side, now, input, outputs| {
        observer.borrow_mut().observe(side, now, input, outputs);
    }));
    timeline
}
