//! Orderly ends: one side is told to shut down while flows are at work, and loses none of them.
//!
//! The swarm never tells a session to end. Here nothing else goes wrong, so nothing is excused.

use crate::base::{Rate, Side, seed};
use crate::net::{Answer, EndState, Ending, FlowPlan, ReadPlan, SendPlan, Start};
use crate::run::{Setup, World};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::time::Duration;
use striper_core::{EndReason, Input, Reason};

const OPENED: u64 = 300_000;
/// By then an OPEN has been heard of, in microseconds; a draining side refuses it.
const HEARD: u64 = 700_000;
const OVER: u64 = 60_000_000;

/// Every flow that was opened comes through whole. Each flow that still waits for its turn fails or
/// is refused. Both sessions end in good order.
pub fn check(seed: u64) {
    let mut rng = seed::stream(seed, "drain", 0);
    let caps: Vec<Rate> = (0..rng.random_range(1..=4))
        .map(|_| Rate::bits(rng.random_range(200_000..20_000_000)))
        .collect();
    let delay = Duration::from_micros(rng.random_range(100..60_000));
    let mut setup = Setup::capped(seed, &caps, delay);
    // A fourth of the worlds has more flows than may be open at once.
    let crowded = rng.random_range(0..4) == 0;
    let count = if crowded { rng.random_range(65..90) } else { rng.random_range(1..8) };
    let configs = setup.config.iter_mut().filter(|_| crowded);
    configs.for_each(|config| config.max_flows = 1);
    let mut world = World::new(setup);
    for _ in 0..count {
        world.open(draw_flow(&mut rng, crowded));
    }
    let side = if rng.random() { Side::Client } else { Side::Server };
    let at = rng.random_range(OPENED + HEARD..4_000_000);
    world.command(at, side, Input::Shutdown);
    world.run_until(OVER);
    for side in Side::BOTH {
        let reason = world.ended(side);
        assert!(
            matches!(reason, Some(EndReason::Shutdown | EndReason::PeerClosed)),
            "the {side:?}'s session after a shutdown: {reason:?}"
        );
    }
    for flow in world.flows() {
        let opener = flow.end(flow.plan.opener).state;
        let waited = crowded && flow.id.is_none() && opener == EndState::Lost;
        // Its turn came as the other side had just begun to drain.
        let refused = crowded && opener == EndState::Refused(Reason::Unavailable);
        assert!(flow.is_complete() || waited || refused, "cut by an orderly shutdown: {flow:#?}");
    }
}

fn draw_flow(rng: &mut ChaCha8Rng, crowded: bool) -> FlowPlan {
    let most = if crowded { 2_000 } else { 100_000 };
    let rate = rng.random::<bool>().then(|| Rate::bytes(rng.random_range(10_000..200_000)));
    let mut half = |start| SendPlan {
        bytes: rng.random_range(0..most),
        start,
        // Some seconds: flows that wait for their turn still do when the side shuts down.
        rate: if crowded { Some(Rate::bytes(rng.random_range(100..1_000))) } else { rate },
        piece: rng.random_range(100..20_000),
        end: Ending::Finish,
    };
    // One side may answer only when it has seen the other's end. Then the flow is half-closed for
    // a while.
    let sends = [half(Start::AtOnce), half(if crowded { Start::AtOnce } else { Start::AfterFin })];
    let server_opens = rng.random_range(0..3) == 0;
    FlowPlan {
        opener: if server_opens && !crowded { Side::Server } else { Side::Client },
        at: rng.random_range(0..OPENED),
        answer: Answer::Accept(Duration::from_micros(rng.random_range(0..100_000))),
        sends,
        reads: [ReadPlan::default(); 2],
        reset: None,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_orderly_shutdown_cuts_no_flow() {
        (0..100).for_each(super::check);
    }
}
