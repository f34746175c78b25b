//! The worlds that are enumerated.
//!
//! Their names say stripes × pieces × deaths. A world that is too large to be seen to its end
//! within minutes is reduced, and its description says so.

use super::end::Plan;
use super::program::{EndPlan, Ending, FlowPlan, Pace};
use super::state::Budget;
use super::world::World;
use crate::base::Side;
use striper_core::Config;

/// A flow of the client that sends so many pieces up and down, both ending with FIN.
fn flow(up: u64, down: u64) -> FlowPlan {
    FlowPlan {
        opener: Side::Client,
        answer: (Pace::AtOnce, true),
        ends: [EndPlan::sends(up), EndPlan::sends(down)],
    }
}

/// A flow that sends up only. The server leaves its direction open.
fn upload(up: u64) -> FlowPlan {
    let mut plan = flow(up, 0);
    plan.ends[1].ending = Ending::Never;
    plan
}

/// The `marks` are `late` and `coarse` (see [`Plan`]), and `quick`: the search takes seconds.
fn world(
    name: &'static str,
    about: &'static str,
    marks: &str,
    stripes: usize,
    flows: impl Into<Vec<FlowPlan>>,
    budget: Budget,
) -> World {
    let has = |mark| marks.split(' ').any(|word| word == mark);
    let plan = Plan {
        config: Config { stripes, ..Config::default() },
        flows: flows.into(),
        writes_at_once: true,
        control_choices: false,
        late_timers: has("late"),
        coarse: has("coarse"),
        poor: false,
    };
    World { name, about, plan, budget, is_quick: has("quick") }
}

impl World {
    fn changed(mut self, change: impl FnOnce(&mut Plan)) -> Self {
        change(&mut self.plan);
        self
    }
}

fn deaths(deaths: u8) -> Budget {
    Budget { deaths, dials: deaths, ..Budget::default() }
}

pub fn all() -> Vec<World> {
    let mut all = transfers();
    all.extend(special());
    all.extend(close_matrix());
    all
}

fn transfers() -> Vec<World> {
    let none = deaths(0);
    let dials = |dials, deaths| Budget { deaths, dials, resumes: 2, ..Budget::default() };
    let cut = |budget| Budget { cuts: 1, ..budget };
    let three = |name, pieces| {
        let about = "without replacement; upload only";
        world(name, about, "late coarse", 3, [upload(pieces)], dials(0, 1))
    };
    let replaced = "one stripe dies and is replaced";
    let one_replaced = "one of two dead ones is replaced; upload only";
    vec![
        world("1x2x0", "acknowledgements at any time", "quick", 1, [flow(2, 0)], none),
        world("1x2x1", replaced, "late quick", 1, [flow(2, 0)], cut(deaths(1))),
        world("2x2x0", "acknowledgements at any time", "", 2, [flow(2, 0)], none),
        world("2x3x0", "every choice of stripes", "late quick", 2, [flow(3, 0)], none),
        world("2x3x1", "the dead stripe is replaced", "late coarse", 2, [flow(3, 0)], deaths(1)),
        world("2x3x2", "without replacement", "late", 2, [flow(3, 0)], cut(dials(0, 2))),
        world("2x1x2", one_replaced, "late coarse", 2, [upload(1)], dials(1, 2)),
        world("2x4x2", "without replacement", "late", 2, [flow(4, 0)], dials(0, 2)),
        three("3x2x1", 2),
        three("3x3x1", 3),
    ]
}

/// The turns that the others leave out, one at a time.
fn special() -> Vec<World> {
    let none = deaths(0);
    let repeats = Budget { repeats: 2, ..none };
    let beats = Budget { heartbeats: 2, ..none };
    let stuck = Budget { doubts: 1, dials: 2, resumes: 2, ..none };
    let no_dial = Budget { deaths: 1, resumes: 2, ..none };
    let mut stepwise = flow(2, 1);
    for end in &mut stepwise.ends {
        (end.gives, end.ends) = (Pace::Free, Pace::Free);
    }
    let [mut reader, mut poor_reader] = [flow(0, 6), flow(0, 4)];
    reader.ends[0].reads = Some(Pace::Free);
    poor_reader.ends[0].reads = Some(Pace::Free);
    let two = [upload(1), upload(1)];
    let (short, dies) = ("little credit, read at any time", "little credit, and the stripe dies");
    let written = "what the system has written is an event";
    vec![
        world("flows", "two flows on two stripes", "late quick", 2, [flow(1, 0), flow(1, 0)], none),
        world("flows-death", "two flows, one stripe dies for good", "late quick", 2, two, no_dial),
        world("steps", "programs act at any time", "late quick", 2, [stepwise], none),
        world("credit", short, "late quick", 1, [reader], none).changed(|plan| plan.poor = true),
        world("credit-death", dies, "late coarse quick", 1, [poor_reader], deaths(1))
            .changed(|plan| plan.poor = true),
        world("written", written, "late quick", 2, [upload(3)], none)
            .changed(|plan| plan.writes_at_once = false),
        world("control", "control on every stripe", "late quick", 2, [flow(2, 0)], none)
            .changed(|plan| plan.control_choices = true),
        world("repeats", "acknowledgements repeated", "late quick", 2, [flow(1, 0)], repeats),
        world("heartbeats", "pings", "late quick", 1, [flow(1, 0)], beats),
        world("doubt", "a doubt, and what may follow", "late coarse", 2, [upload(2)], stuck),
    ]
}

/// The ends of each direction: FIN, reset or neither, at either end at any time, after data of
/// both. The same after data of the client alone with acknowledgements at any time, so that data
/// may outlive the flow on a slower stripe.
fn close_matrix() -> Vec<World> {
    let names = [
        [["fin-fin", "fin-fin-any"], ["fin-rst", "fin-rst-any"], ["fin-none", "fin-none-any"]],
        [["rst-fin", "rst-fin-any"], ["rst-rst", "rst-rst-any"], ["rst-none", "rst-none-any"]],
        [
            ["none-fin", "none-fin-any"],
            ["none-rst", "none-rst-any"],
            ["none-none", "none-none-any"],
        ],
    ];
    let endings = [Ending::Fin, Ending::Reset, Ending::Never];
    let end = |ending, pieces| EndPlan { ending, ends: Pace::Free, ..EndPlan::sends(pieces) };
    let mut all = Vec::new();
    for (client, row) in endings.into_iter().zip(names) {
        for (server, [late, any]) in endings.into_iter().zip(row) {
            let plan = |answer, down| FlowPlan {
                opener: Side::Client,
                answer: (answer, true),
                ends: [end(client, 1), end(server, down)],
            };
            let (both, up) = (plan(Pace::Free, 1), plan(Pace::AtOnce, 0));
            let about = "ends at any time, a piece each way";
            all.push(world(late, about, "late quick", 2, [both], deaths(0)));
            let about = "ends and acknowledges at any time, a piece up";
            all.push(world(any, about, "quick", 2, [up], deaths(0)));
        }
    }
    let refusal = FlowPlan { answer: (Pace::Free, false), ..flow(1, 0) };
    all.push(world("refused", "the acceptor refuses", "late quick", 2, [refusal], deaths(0)));
    all
}
