//! The explanations of each side alone and of both together, of worlds whose trouble is known.

use super::account::{Arrival, Receiving};
use super::wait::{Cause, gaps, held};
use super::*;
use crate::base::Rate;
use crate::net::{Fault, FlowPlan, SendPlan, Told};
use crate::run::{Recordings, Setup, World};
use std::time::Duration;
use striper_core::{LimitTimes, SchedulerKind, StripeId, StripeLimit};

const SECOND: u64 = 1_000_000;
const EACH: [&[usize]; 3] = [&[0, 1], &[0], &[1]];

fn steady(stripes: usize) -> World {
    let caps = vec![Rate::mbit(10); stripes];
    World::new(Setup::capped(1, &caps, Duration::from_millis(20)))
}

/// Both sides' traces of a world, the client's first.
fn traces(mut world: World) -> [String; 2] {
    let recordings = Recordings::new(|_| String::new());
    world.observe(recordings.observer());
    assert!(world.run_to_end(60 * SECOND));
    drop(world);
    let texts: Vec<String> = recordings.finish(None).into_iter().map(|trace| trace.text).collect();
    texts.try_into().expect("two sides")
}

fn source(text: &str) -> Source {
    Source { name: "x".into(), trace: Trace::read(text).unwrap(), note: String::new() }
}

fn pauses(texts: &[String; 2], which: &[usize], at_least: u64) -> Vec<Pause> {
    let accounts: Vec<Account> =
        which.iter().map(|side| read(&source(&texts[*side])).unwrap()).collect();
    let options = Options { at_least: Duration::from_micros(at_least), ..Options::default() };
    let mut directions = directions(&accounts, &options);
    directions.retain(|direction| direction.from == Side::Client);
    directions.iter().flat_map(Direction::pauses).collect()
}

fn longest(texts: &[String; 2], which: &[usize]) -> Pause {
    pauses(texts, which, 50_000).into_iter().max_by_key(Pause::length).expect("a pause")
}

/// The longest pause has one cause for each side and for both.
fn assert_each(texts: &[String; 2], cause: Cause) {
    for which in EACH {
        assert_eq!(longest(texts, which).cause, cause, "{}", told(texts, which));
    }
}

fn told(texts: &[String; 2], which: &[usize]) -> String {
    let sources: Vec<Source> = which.iter().map(|side| source(&texts[*side])).collect();
    explain(&sources, &Options::default()).unwrap()
}

/// Three stripes. After slow start, when its sender knows the route, one forgets its connection.
fn silent_stripe(size: u64) -> ([String; 2], StripeId) {
    let world = || {
        let mut world = steady(3);
        world.open(FlowPlan::upload(SECOND, size));
        world.fault(4 * SECOND, 1, Fault::Forget { from: [true, true] });
        // After the stripe has been given up.
        world.open(FlowPlan::upload(10 * SECOND, 1));
        world
    };
    let mut before = world();
    before.warm_up(SECOND / 2);
    let stripe =
        (0..3).map(StripeId).find(|stripe| before.route(*stripe) == Some(1)).expect("a stripe");
    (traces(world()), stripe)
}

#[test]
fn a_stripe_that_fell_silent_is_named_by_each_side_and_by_both() {
    let (texts, stripe) = silent_stripe(12 << 20);
    assert_each(&texts, Cause::Broken(Some(stripe)));
    let text = told(&texts, &[0, 1]);
    for part in [
        format!("waited for a chunk on stripe {stripe}, which was in doubt"),
        format!("put on stripe {stripe} at "),
        format!("because stripe {stripe} was in doubt"),
        "acknowledgements last moved at".into(),
        format!("stripe {stripe} brought nothing from"),
        "beyond it were held".into(),
    ] {
        assert!(text.contains(&part), "{part:?} in\n{text}");
    }
    assert!(told(&texts, &[1]).contains("the client's trace says where byte"));
}

/// At the end of a transfer copies leave as soon as their originals are late.
#[test]
fn a_silent_stripe_is_named_though_copies_came_before_the_doubt() {
    let (texts, stripe) = silent_stripe(11_300_000);
    let text = told(&texts, &[0, 1]);
    assert!(text.contains("as it should arrive sooner there"), "{text}");
    // Slow start ends before that.
    let late = |pause: &Pause| pause.span.start > 3 * SECOND;
    for pause in pauses(&texts, &[0, 1], 20_000).into_iter().filter(late) {
        assert_ne!(pause.cause, Cause::Slow(stripe), "{text}");
    }
}

#[test]
fn a_slow_stripe_is_named_by_each_side_and_by_both() {
    let mut setup = Setup::capped(1, &[Rate::mbit(20), Rate::mbit(1)], Duration::from_millis(60));
    setup.config.iter_mut().for_each(|config| config.scheduler = SchedulerKind::RoundRobin);
    let mut world = World::new(setup);
    world.open(FlowPlan::upload(SECOND, 1 << 20));
    let texts = traces(world);
    let first = longest(&texts, &[0, 1]).cause;
    assert!(matches!(first, Cause::Slow(_)), "{}", told(&texts, &[0, 1]));
    assert_each(&texts, first);
}

#[test]
fn a_consumer_that_does_not_take_is_no_fault_of_a_stripe() {
    let mut world = World::new(Setup::capped(1, &[Rate::mbit(50); 2], Duration::from_millis(5)));
    let mut plan = FlowPlan::upload(SECOND, 4 << 20);
    plan.reads[Side::Server.index()].rate = Some(Rate::bytes(200_000));
    world.open(plan);
    let texts = traces(world);
    assert_each(&texts, Cause::NoCredit);
}

#[test]
fn a_program_that_has_nothing_to_send_waits_for_nothing() {
    let mut world = steady(2);
    let mut plan = FlowPlan::upload(SECOND, 20);
    plan.sends[0] = SendPlan { rate: Some(Rate::bytes(5)), piece: 1, ..SendPlan::of(20) };
    world.open(plan);
    let texts = traces(world);
    for (which, cause) in EACH.into_iter().zip([Cause::Idle, Cause::Idle, Cause::Unseen]) {
        let pauses = pauses(&texts, which, 100_000);
        assert!(pauses.len() >= 15, "{}", told(&texts, which));
        assert!(pauses.iter().all(|pause| pause.cause == cause), "{}", told(&texts, which));
        assert!(told(&texts, which).contains("no pauses\n  besides"));
    }
}

/// The limit that each stripe of a side had for the longest.
fn longest_limits(text: &str) -> Vec<StripeLimit> {
    let limits = Limits::of(&source(text).trace);
    assert_eq!(limits.until, None);
    let longest = |times: &LimitTimes| times.longest_since(&LimitTimes::default());
    limits.stripes.values().filter_map(longest).collect()
}

#[test]
fn the_limits_of_stripes_are_told_for_each_side() {
    let mut world = steady(2);
    world.open(FlowPlan::upload(SECOND, 8 << 20));
    let texts = traces(world);
    let text = told(&texts, &[0, 1]);
    for line in
        ["stripe 0, client to server: window ", "stripe 1, server to client: application 100 %\n"]
    {
        assert!(text.contains(line), "{line:?} in\n{text}");
    }
    assert_eq!(longest_limits(&texts[0]), [StripeLimit::Window; 2], "{text}");
    assert_eq!(longest_limits(&texts[1]), [StripeLimit::Application; 2], "{text}");
}

#[test]
fn a_consumer_that_does_not_take_limits_all_stripes() {
    let mut world = World::new(Setup::capped(1, &[Rate::mbit(50); 2], Duration::from_millis(5)));
    let mut plan = FlowPlan::upload(SECOND, 8 << 20);
    plan.reads[Side::Server.index()].rate = Some(Rate::bytes(500_000));
    world.open(plan);
    let texts = traces(world);
    assert_eq!(longest_limits(&texts[0]), [StripeLimit::Receiver; 2], "{}", told(&texts, &[0]));
}

#[test]
fn limits_are_told_up_to_where_a_trace_can_not_be_followed() {
    let (texts, _) = silent_stripe(12 << 20);
    let (before, after) = texts[0].rsplit_once(" pong ").expect("a PONG");
    let (line, broken) = (before.lines().count(), format!("{before} pong 9{after}"));
    let text = explain(&[source(&broken)], &Options::default()).unwrap();
    let until = format!("  up to line {line} of the client's trace");
    assert!(text.contains(&until) && text.contains("stripe 0, client to server: "), "{text}");
}

#[test]
fn shares_of_limits_are_told_from_half_a_percent_on() {
    let mut times = LimitTimes::default();
    assert_eq!(limits::shares(&times), "", "no time");
    for (limit, millis) in [
        (StripeLimit::Application, 96),
        (StripeLimit::Receiver, 4),
        (StripeLimit::Window, 400),
        (StripeLimit::Route, 500),
    ] {
        times.add(limit, Duration::from_millis(millis));
    }
    assert_eq!(limits::shares(&times), "route 50 %, window 40 %, application 10 %");
}

#[test]
fn the_time_without_a_stripe_is_named() {
    let mut world = steady(2);
    world.open(FlowPlan::upload(SECOND, 4 << 20));
    for route in 0..2 {
        world.fault(2 * SECOND, route, Fault::Silence { from: [true, true] });
        world.fault(2 * SECOND + 1000, route, Fault::Reset { told: Told::Both });
        world.fault(5 * SECOND, route, Fault::Heal);
    }
    let texts = traces(world);
    assert_each(&texts, Cause::NoStripe);
    for which in EACH {
        assert!(longest(&texts, which).length() > 2 * SECOND, "{}", told(&texts, which));
    }
}

#[test]
fn a_trace_that_is_cut_anywhere_is_explained_up_to_there() {
    let (texts, _) = silent_stripe(4 << 20);
    let ends: Vec<usize> = texts[1].match_indices('\n').map(|(at, _)| at + 1).collect();
    let begins =
        ends.iter().position(|end| texts[1][..*end].ends_with("begin\n")).expect("a header");
    for end in ends[begins..].iter().step_by(97).chain([texts[1].len() - 3].iter()) {
        let cut = [texts[0].clone(), texts[1][..*end].to_owned()];
        for which in [&[1][..], &[0, 1]] {
            assert!(told(&cut, which).contains("the server's side"));
        }
    }
}

#[test]
fn traces_that_do_not_belong_together_are_refused() {
    let (texts, _) = silent_stripe(4 << 20);
    let mut world = steady(3);
    world.open(FlowPlan::upload(SECOND, 1 << 20));
    let other = traces(world);
    let refusal = |sources: &[Source]| explain(sources, &Options::default()).unwrap_err();
    let twice = refusal(&[source(&texts[0]), source(&texts[0])]);
    assert!(twice.contains("both are the client's side"), "{twice}");
    let strange = refusal(&[source(&other[0]), source(&texts[1])]);
    assert!(strange.contains("not both sides of one session"), "{strange}");
    let broken = refusal(&[source(&texts[0].replacen(" ping ", " pang ", 1))]);
    assert!(broken.contains("no frame \"pang\""), "{broken}");
}

#[test]
fn gaps_run_from_progress_to_progress_or_to_the_end() {
    let spans = |finished, at_least| -> Vec<_> {
        let found = gaps(10, &vec![(20, 100), (90, 200)], finished, 170, at_least);
        found.into_iter().map(|gap| (gap.span, gap.missing, gap.open)).collect()
    };
    assert_eq!(spans(None, 50), [(20..90, 100, false), (90..170, 200, true)]);
    let all = [(10..20, 0, false), (20..90, 100, false), (90..145, 200, false)];
    assert_eq!(spans(Some(145), 10), all);
}

#[test]
fn bytes_are_held_only_beyond_the_missing_one_and_counted_once() {
    let arrivals = [
        (1, 0, 0..10, 10),
        (2, 1, 20..30, 30),
        (3, 0, 5..10, 30),
        (4, 2, 25..40, 40),
        (5, 0, 10..20, 40),
    ];
    let arrival = |(at, stripe, range, reached)| {
        let stripe = StripeId(stripe);
        Arrival { at, stripe, range, reached }
    };
    let arrivals = arrivals.map(arrival).to_vec();
    let receiving = Receiving { arrivals, ..Receiving::default() };
    let found = held(&receiving, 10, 5, false).expect("bytes that are held");
    assert_eq!((found.bytes, found.since), (20, 2));
    assert_eq!(found.stripes.into_iter().collect::<Vec<_>>(), [StripeId(1), StripeId(2)]);
    let behind = held(&receiving, 20, 5, false).map(|held| held.bytes);
    assert_eq!(behind, Some(15), "from the byte behind");
    assert_eq!(held(&receiving, 40, 9, true), None);
}
