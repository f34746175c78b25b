//! Pages of real runs: their content, and the agreement of a timeline with the sessions.

mod contrast;
pub mod markup;

use super::lane::{Carries, Frame};
use super::timeline::{Direction, now};
use super::{Summary, Timeline, render, watch, watch_only};
use crate::base::{Rate, Side};
use crate::net::{Fault, FlowPlan, Told};
use crate::run::{Setup, World};
use markup::assert_well_formed;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use striper_core::StripeId;

const SECOND: u64 = 1_000_000;

pub fn assert_self_contained(page: &str) {
    for word in [
        "http:", "https:", "//", "<script", "<link", "<img", "<iframe", "@import", "src=", "href=",
        " onload", " onclick",
    ] {
        assert!(!page.contains(word), "{word}");
    }
    let [all, own] = ["url(", "url(#"].map(|word| page.matches(word).count());
    assert_eq!(all, own, "only patterns of its own");
}

/// Four stripes: one is slow and loses packets, one falls silent, one is reset; data both ways.
fn troubled(seen: Option<Side>) -> (World, Rc<RefCell<Timeline>>) {
    let caps = [10, 10, 10, 2].map(Rate::mbit);
    let mut setup = Setup::capped(3, &caps, Duration::from_millis(20));
    setup.routes[3].iter_mut().for_each(|link| link.loss = 10_000);
    let mut world = World::new(setup);
    let timeline = watch_only(&mut world, seen);
    world.open(FlowPlan::both_ways(SECOND, 8 << 20));
    world.open(FlowPlan::upload(SECOND, 1 << 20));
    world.fault(2 * SECOND, 1, Fault::Forget { from: [true, true] });
    world.fault(5 * SECOND / 2, 2, Fault::Reset { told: Told::Both });
    (world, timeline)
}

#[test]
fn a_page_of_many_stripes_stays_small() {
    let mut setup = Setup::capped(1, &[Rate::mbit(2); 64], Duration::from_millis(20));
    setup.routes.iter_mut().flatten().for_each(|link| link.loss = 10_000);
    let mut world = World::new(setup);
    let timeline = watch(&mut world);
    world.open(FlowPlan::both_ways(SECOND, 32 << 20));
    assert!(world.run_to_end(60 * SECOND));
    let summary = Summary::of(&timeline.borrow(), "64 stripes both ways", "", "");
    let page = render(&timeline.borrow(), &summary);
    assert_well_formed(&page);
    assert!(page.len() < 500_000, "{} bytes", page.len());
}

#[test]
fn hostile_words_stay_words() {
    let (mut world, timeline) = troubled(None);
    world.run_until(2 * SECOND);
    let evil = "</code></style><script>alert('\"&amp;\u{0}')</script>";
    let summary = Summary::of(&timeline.borrow(), evil, evil, evil);
    let page = render(&timeline.borrow(), &summary);
    assert_well_formed(&page);
    assert!(!page.contains("<script") && page.contains("&lt;script&gt;alert(&#39;&quot;&amp;amp;"));
}

#[test]
fn an_empty_run_says_that_it_is_empty() {
    let timeline = Timeline::default();
    let page = render(&timeline, &Summary::of(&timeline, "Nothing", "", "sim replay empty.trace"));
    assert_well_formed(&page);
    assert!(page.contains("Nothing to draw"));

    let mut world = World::new(Setup::capped(1, &[Rate::mbit(1)], Duration::from_millis(20)));
    let timeline = watch(&mut world);
    world.run_until(SECOND);
    assert!(render(&timeline.borrow(), &Summary::default()).contains("Nothing to draw"));
}

#[test]
fn a_timeline_agrees_with_the_sessions() {
    let (mut world, timeline) = troubled(None);
    let mut doubts = 0;
    for at in 1..1_200 {
        world.run_until(at * 10_000);
        let timeline = timeline.borrow();
        for side in Side::BOTH {
            let (stats, sends) = (world.stats(side), timeline.direction(side));
            assert_eq!(now(&timeline.direction(side.other()).delivered), stats.payload_delivered);
            let held = now(&timeline.direction(side.other()).held);
            assert_eq!(held, stats.reordering, "{side:?} at {at}");
            assert_eq!(timeline.deaths(side), stats.stripes_lost as usize);
            for stripe in &stats.stripes {
                let lane = &sends.lanes[&stripe.stripe];
                assert_eq!(lane.frames.last().map_or(0, |frame| frame.end), stripe.sent);
                // A second doubt is not seen while the PING of the first is unanswered: the stripe
                // sends no other.
                let asked = |frame: &Frame| {
                    frame.carries == Carries::Control { asks: true } && frame.acknowledged.is_none()
                };
                let unseen = stripe.doubted && lane.frames.iter().any(asked);
                assert_eq!(
                    (lane.in_doubt() || unseen, smoothed(&lane.round_trips)),
                    (stripe.doubted, stripe.srtt),
                    "{side:?}, stripe {} at {at}",
                    stripe.stripe
                );
                doubts += usize::from(stripe.doubted);
            }
        }
    }
    assert!(world.flows().iter().all(|flow| flow.is_complete()));
    assert!(doubts > 0, "some stripe was in doubt");
    let timeline = timeline.borrow();
    // The session also counts bytes that come and go within one input, which is at most one read.
    let most = timeline.direction(Side::Client).held.iter().map(|(_, held)| *held).max().unwrap();
    let peak = world.stats(Side::Server).reordering_peak;
    assert!((peak - 65_536..=peak).contains(&most), "{most} of {peak}");
}

/// As RFC 6298, section 2 has it.
fn smoothed(samples: &[(u64, u64)]) -> Option<Duration> {
    samples
        .iter()
        .map(|(_, took)| Duration::from_micros(*took))
        .reduce(|smoothed, took| (smoothed * 7 + took) / 8)
}

#[test]
fn every_frame_that_arrived_was_sent_before() {
    let (mut world, timeline) = troubled(None);
    assert!(world.run_to_end(30 * SECOND));
    let timeline = timeline.borrow();
    let mut arrived = 0;
    for lane in Side::BOTH.into_iter().flat_map(|side| timeline.direction(side).lanes.values()) {
        for frame in &lane.frames {
            assert!(frame.arrived.is_none_or(|at| at >= frame.sent.unwrap() + 20_000), "{frame:?}");
            assert!(
                frame
                    .acknowledged
                    .is_none_or(|at| frame.arrived.is_some_and(|arrived| at > arrived)),
                "{frame:?}"
            );
            arrived += usize::from(frame.arrived.is_some());
        }
    }
    assert!(arrived > 1_000);
}

#[test]
fn one_side_alone_is_drawn_with_its_own_facts() {
    for (side, knows, lacks) in [
        (Side::Client, "knows to have arrived", "Reorder peak</dt><dd><b>0"),
        (Side::Server, "a piece arrives", "nothing else"),
    ] {
        let (mut world, timeline) = troubled(Some(side));
        assert!(world.run_to_end(30 * SECOND));
        let timeline = timeline.borrow();
        let page = render(&timeline, &Summary::of(&timeline, "One side", "", ""));
        assert_well_formed(&page);
        assert_self_contained(&page);
        assert!(page.contains(knows), "{side:?}");
        assert!(!page.contains(lacks), "{side:?}");
        for from in Side::BOTH {
            let Direction { delivered, acknowledged, .. } = timeline.direction(from);
            let (known, lacking) =
                if from == side { (acknowledged, delivered) } else { (delivered, acknowledged) };
            let bytes: u64 = world.flows().iter().map(|flow| flow.end(from).given).sum();
            assert_eq!(now(known), bytes, "{side:?} {from:?}");
            assert!(lacking.is_empty(), "{side:?} {from:?}");
        }
    }
}

#[test]
fn a_receiver_alone_sees_the_pieces_that_were_sent() {
    let pieces = |side: Option<Side>| {
        let (mut world, timeline) = troubled(side);
        assert!(world.run_to_end(30 * SECOND));
        let timeline = timeline.borrow();
        let lanes = &timeline.direction(Side::Client).lanes;
        let arrived = |lane: &super::lane::Lane| {
            let there = lane.frames.iter().filter(|frame| frame.arrived.is_some());
            there.map(|frame| (frame.end, frame.arrived)).collect::<Vec<_>>()
        };
        lanes
            .iter()
            .map(|(stripe, lane)| (*stripe, arrived(lane)))
            .collect::<BTreeMap<StripeId, _>>()
    };
    let (both, alone) = (pieces(None), pieces(Some(Side::Server)));
    for (stripe, frames) in both {
        // The last frame of a stripe that died may have come in part, and OPEN is told apart from
        // its payload.
        let seen = &alone[&stripe];
        let missing = frames.iter().filter(|frame| !seen.contains(frame)).count();
        assert_eq!(missing, 0, "stripe {stripe}");
    }
}
