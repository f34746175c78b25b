//! Traces of a simulated world: both sides, from the first input on.

use crate::app::Side;
use crate::world::World;
use std::cell::RefCell;
use std::rc::Rc;
use striper_core::trace::{Header, Recorder};

/// What traces of this program say of who wrote them.
const PROGRAM: &str = concat!("sim ", env!("CARGO_PKG_VERSION"));

/// A world's two traces under way.
pub struct Tapes(Rc<RefCell<Vec<Tape>>>);

struct Tape {
    recorder: Recorder,
    text: String,
}

impl Tapes {
    /// Begins to record a world that has not begun to run. `scenario` is the command that makes it anew.
    pub fn begin(world: &mut World, scenario: &str) -> Tapes {
        let tape = |side: &Side| {
            let session = world.session(*side);
            let mut header = Header::of(session, PROGRAM);
            header.scenario = (!scenario.is_empty()).then(|| scenario.to_owned());
            let mut text = String::new();
            let recorder = Recorder::begin(session, &header, &mut text);
            Tape { recorder: recorder.expect("writing to a String"), text }
        };
        let tapes = Rc::new(RefCell::new(Side::BOTH.iter().map(tape).collect::<Vec<_>>()));
        let watching = tapes.clone();
        world.observe(Box::new(move |side, now, input, outputs| {
            let Tape { recorder, text } = &mut watching.borrow_mut()[side.index()];
            let written = recorder.input(now, input, text).and_then(|()| recorder.outputs(outputs, text));
            written.expect("writing to a String");
        }));
        Tapes(tapes)
    }

    /// What was recorded, the client's side first.
    pub fn finish(self) -> [String; 2] {
        let mut tapes = self.0.borrow_mut();
        [0, 1].map(|side| {
            let Tape { recorder, text } = &mut tapes[side];
            recorder.end("recorded", text).expect("writing to a String");
            std::mem::take(text)
        })
    }
}
