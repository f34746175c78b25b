//! A flow over two stripes, and a page that shows what happened.

use sim::{
    FlowPlan, Rate, Setup, World,
    picture::{self, Summary},
};
use std::time::Duration;

pub fn main() {
    // Two stripes of 10 Mbit/s with 20 ms one way; a flow of 64 KiB is opened after a second.
    let mut world = World::new(Setup::capped(1, &[Rate::mbit(10); 2], Duration::from_millis(20)));
    let timeline = picture::watch(&mut world);
    let flow = world.open(FlowPlan::upload(1_000_000, 64 << 10));
    assert!(world.run_to_end(10_000_000));
    assert!(world.flow(flow).is_complete());

    let timeline = timeline.borrow();
    let page =
        picture::render(&timeline, &Summary::of(&timeline, "64 KiB over two stripes", "", ""));
    assert!(page.contains("64 KiB"));
}
