//! The flows that each side lets the other open, and the meaning of an id, one rule at a time.

use super::*;

const EARLY: u64 = INITIAL_WINDOW - FLOW_FLOOR;
const POOL: u64 = 1 << 30;

/// The server's table: the client's ids are odd.
fn table() -> Table {
    Table::new(Role::Server { instance: 0 }, &Config::default(), Instant::ZERO)
}

fn client(index: u64) -> FlowId {
    FlowId::nth(Role::Client, index)
}

fn add(table: &mut Table, flow: FlowId, phase: Phase) {
    table.flows.insert(flow, Flow::new(phase, 0, FLOW_FLOOR));
}

#[test]
fn ids_are_odd_for_clients_and_even_for_servers_and_count_up() {
    let ids = |role| {
        let mut table = Table::new(role, &Config::default(), Instant::ZERO);
        [(); 3].map(|()| table.next_id().unwrap().0.0)
    };
    assert_eq!(ids(Role::Client), [1, 3, 5]);
    assert_eq!(ids(Role::Server { instance: 0 }), [0, 2, 4]);
}

#[test]
fn no_more_flows_are_opened_than_granted_in_any_order_of_grants() {
    let mut table = table();
    [2, 1].into_iter().for_each(|more| table.raise(INITIAL_FLOWS + more, 0));
    let opened = core::iter::from_fn(|| table.next_id()).count() as u64;
    assert_eq!(opened, INITIAL_FLOWS + 2);
}

#[test]
fn early_credit_goes_to_the_first_flows_until_it_is_used_up() {
    let mut table = table();
    for early in [EARLY, 0, 1000] {
        assert_eq!(table.next_id().unwrap().1, early);
        if early == 0 {
            table.raise(0, INITIAL_EARLY + 1000);
        }
    }
}

#[test]
fn an_id_stands_for_a_flow_that_exists_has_ended_or_may_be_opened() {
    let mut table = table();
    assert_eq!(table.id_state(client(0)), Ok(IdState::Free));
    add(&mut table, client(0), Phase::Offered);
    table.see(client(0), 0).unwrap();
    assert_eq!(table.id_state(client(0)), Ok(IdState::Exists));
    table.remove(client(0));
    assert_eq!(table.id_state(client(0)), Ok(IdState::Ended), "an id is never used twice");
    assert_eq!(table.id_state(client(INITIAL_FLOWS - 1)), Ok(IdState::Free));
    assert_eq!(table.id_state(client(INITIAL_FLOWS)), Err(Violation::FlowNotGranted));
    assert_eq!(table.id_state(FlowId(0)), Err(Violation::UnknownFlow), "ours, and never opened");
    table.next_id();
    assert_eq!(table.id_state(FlowId(0)), Ok(IdState::Ended));
}

#[test]
fn early_credit_beyond_the_grant_or_the_flow_is_a_violation() {
    let exceeded = Err(Violation::EarlyCreditExceeded);
    let mut table = table();
    assert_eq!(table.see(client(0), EARLY), Ok(()));
    assert_eq!(table.see(client(1), 1), exceeded);
    let mut table = self::table();
    table.grant(&Config::default(), POOL, Instant::ZERO);
    for early in [EARLY + 1, varint_max()] {
        assert_eq!(table.see(client(0), early), exceeded);
    }
}

fn varint_max() -> u64 {
    crate::wire::varint::MAX
}

#[test]
fn data_before_its_open_counts_as_early_credit_until_the_open_comes() {
    let mut table = table();
    (0..2).for_each(|index| add(&mut table, client(index), Phase::Early));
    let exceeded = Err(Violation::EarlyCreditExceeded);
    for (index, end, result) in [
        (0, FLOW_FLOOR, Ok(())),
        (0, INITIAL_WINDOW, Ok(())),
        (1, FLOW_FLOOR, Ok(())),
        (1, FLOW_FLOOR + 1, exceeded),
        (1, varint_max(), exceeded),
    ] {
        assert_eq!(table.imply_early(client(index), end), result, "flow {index} up to {end}");
    }
    (0..2).for_each(|index| table.forget_implied_early(client(index)));
    assert_eq!(table.see(client(0), EARLY), Ok(()), "not counted twice");
}

#[test]
fn ids_are_granted_as_flows_end_and_in_batches() {
    let config = Config { max_flows: INITIAL_FLOWS, ..Config::default() };
    let mut table = table();
    table.grant(&config, POOL, Instant::ZERO);
    let granted = |table: &Table| table.granted().0;
    for index in 0..INITIAL_FLOWS / 8 {
        assert_eq!(granted(&table), INITIAL_FLOWS);
        add(&mut table, client(index), Phase::Offered);
        table.remove(client(index));
        table.grant(&config, POOL, Instant::ZERO);
    }
    assert_eq!(granted(&table), INITIAL_FLOWS + INITIAL_FLOWS / 8);
}

#[test]
fn early_credit_is_granted_only_out_of_the_pool_and_never_taken_back() {
    let mut table = table();
    let (mut pool, mut last) = (POOL, 0);
    for index in 0..200 {
        let taken = table.grant(&Config::default(), pool, Instant::ZERO).unwrap_or(0);
        assert!(taken <= pool);
        let (_, early) = table.granted();
        assert!(early >= last && table.early_outstanding() <= EARLY_TARGET.max(INITIAL_EARLY));
        last = early;
        table.see(client(index), table.early_outstanding().min(EARLY)).unwrap();
        pool = if index < 100 { POOL } else { 0 };
    }
    assert_eq!(table.early_outstanding(), 0, "an empty pool gives none");
}

#[test]
fn an_id_reset_before_its_open_is_made_up_for_when_that_comes() {
    let config = Config { max_flows: INITIAL_FLOWS, ..Config::default() };
    let mut table = table();
    (0..INITIAL_FLOWS).for_each(|index| table.end_unopened(client(index)));
    table.grant(&config, POOL, Instant::ZERO);
    assert_eq!(table.granted().0, INITIAL_FLOWS);
    assert_eq!(table.id_state(client(5)), Ok(IdState::Ended));
    for _ in 0..2 {
        (0..INITIAL_FLOWS).for_each(|index| table.see_again(client(index), 0).unwrap());
        table.grant(&config, POOL, Instant::ZERO);
        assert_eq!(table.granted().0, 2 * INITIAL_FLOWS, "each counts once");
    }
}

#[test]
fn the_early_credit_of_an_open_that_comes_too_late_is_taken_once() {
    let mut table = table();
    table.end_unopened(client(0));
    assert_eq!(table.early_outstanding(), INITIAL_EARLY);
    (0..2).for_each(|_| assert_eq!(table.see_again(client(0), 1000), Ok(())));
    assert_eq!(table.early_outstanding(), INITIAL_EARLY - 1000);
    table.end_unopened(client(1));
    assert_eq!(table.see_again(client(1), INITIAL_EARLY), Err(Violation::EarlyCreditExceeded));
}

#[test]
fn a_share_of_a_small_pool_goes_into_early_credit() {
    // Of a large one enough for 16 flows at once.
    for (pool, early) in [(16 * 1600, 1600), (POOL, 15 * EARLY)] {
        let mut table = table();
        assert_eq!(table.grant(&Config::default(), pool, Instant::ZERO), Some(early));
        assert_eq!(table.granted(), (Config::default().max_flows, INITIAL_EARLY + early));
    }
}

#[test]
fn early_credit_is_granted_anew_once_half_of_it_is_taken() {
    let config = Config { max_flows: INITIAL_FLOWS, ..Config::default() };
    let mut table = table();
    table.grant(&config, POOL, Instant::ZERO);
    (0..7).for_each(|index| table.see(client(index), EARLY).unwrap());
    table.see(client(7), EARLY - 1).unwrap();
    assert_eq!(table.grant(&config, POOL, Instant::ZERO), None);
    table.see(client(8), 1).unwrap();
    assert_eq!(table.grant(&config, POOL, Instant::ZERO), Some(8 * EARLY));
    assert_eq!(table.grant(&config, POOL, Instant::ZERO), None);
}

#[test]
fn only_flows_that_the_peer_opened_are_made_up_for() {
    let config = Config { max_flows: INITIAL_FLOWS, ..Config::default() };
    let mut table = table();
    table.grant(&config, POOL, Instant::ZERO);
    for index in 0..INITIAL_FLOWS {
        let (ours, _) = table.next_id().unwrap();
        add(&mut table, ours, Phase::Carried);
        add(&mut table, client(index), Phase::Early);
        assert!(table.remove(ours).is_some() && table.remove(client(index)).is_some());
        assert!(table.remove(ours).is_none());
    }
    table.grant(&config, POOL, Instant::ZERO);
    assert_eq!(table.granted().0, INITIAL_FLOWS);
}

#[test]
fn an_id_is_seen_when_it_takes_effect() {
    let mut table = table();
    table.see(client(1), 0).unwrap();
    table.end_unopened(client(3));
    assert!((0..5).filter(|index| table.has_seen(client(*index))).eq([1, 3]));
}

#[test]
fn a_grant_by_other_means_never_takes_back() {
    let mut table = table();
    table.grant_as_much(100, INITIAL_EARLY + 5);
    table.grant_as_much(99, INITIAL_EARLY + 4);
    assert_eq!(table.granted(), (100, INITIAL_EARLY + 5));
    assert_eq!(table.id_state(client(99)), Ok(IdState::Free));
    assert_eq!(table.early_outstanding(), INITIAL_EARLY + 5);
}

#[test]
fn more_data_before_an_open_implies_only_its_own_credit() {
    let mut table = table();
    add(&mut table, client(0), Phase::Early);
    for end in [100, 1000, 500, 1000] {
        table.imply_early(client(0), FLOW_FLOOR + end).unwrap();
    }
    assert_eq!((table.early_implied, table.flows[&client(0)].early), (1000, 1000));
    table.forget_implied_early(client(0));
    table.forget_implied_early(client(0));
    assert_eq!((table.early_implied, table.flows[&client(0)].early), (0, 0));
}

fn open_and_end(table: &mut Table, next: &mut u64) {
    add(table, client(*next), Phase::Offered);
    table.see(client(*next), 0).unwrap();
    table.remove(client(*next));
    *next += 1;
}

/// Opens and ends all that is granted.
fn churn(table: &mut Table, next: &mut u64) {
    while *next < table.granted().0 {
        open_and_end(table, next);
    }
}

#[test]
fn beyond_a_burst_of_max_flows_ids_come_at_opens_per_second() {
    let config = Config { max_flows: 800, opens_per_second: 1000, ..Config::default() };
    let mut table = Table::new(Role::Server { instance: 0 }, &config, Instant::ZERO);
    let mut next = 0;
    for millis in 0..10_000 {
        let now = Instant::from_micros(millis * 1000);
        churn(&mut table, &mut next);
        assert!(next <= INITIAL_FLOWS + 800 + millis, "{next} flows in {millis} ms");
        table.grant(&config, POOL, now);
        if let Some(at) = table.held_back(&config) {
            let end = Instant::from_micros((millis + 10) * 1000);
            assert!(at > now && at <= end, "the wait has an end");
        }
    }
    assert!(next >= 800 + 9_900, "{next} flows: the rate is kept and not merely stayed below");
}

#[test]
fn a_grant_that_is_held_back_has_a_time_and_any_other_has_none() {
    let config = Config { max_flows: 800, opens_per_second: 1, ..Config::default() };
    let mut table = Table::new(Role::Server { instance: 0 }, &config, Instant::ZERO);
    table.grant(&config, POOL, Instant::ZERO);
    assert_eq!((table.granted().0, table.held_back(&config)), (800, None), "all is granted");
    churn(&mut table, &mut 0);
    table.grant(&config, POOL, Instant::ZERO);
    assert_eq!(table.granted().0, 800 + INITIAL_FLOWS, "the rest of the burst");
    let second = Instant::from_micros(1_000_000);
    assert_eq!(table.held_back(&config), Some(second));
    table.grant(&config, POOL, second);
    assert_eq!(table.granted().0, 801 + INITIAL_FLOWS);
}

#[test]
fn honest_short_connections_of_seven_thousand_a_second_never_wait_for_ids() {
    let config = Config::default();
    let mut table = table();
    let mut next = 0;
    for millis in 0..20_000 {
        table.grant(&config, POOL, Instant::from_micros(millis * 1000));
        assert_eq!(table.held_back(&config), None);
        for _ in 0..7 {
            assert!(next < table.granted().0, "after {millis} ms");
            open_and_end(&mut table, &mut next);
        }
    }
}
