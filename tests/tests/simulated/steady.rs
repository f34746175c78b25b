//! Equal stripes without trouble: see [`sim::steady`].

use sim::steady::{ROUTES, check_fairness, check_goodput};

#[test]
fn equal_stripes_reach_the_oracle_and_one_more_never_costs() {
    ROUTES.into_iter().for_each(check_goodput);
}

#[test]
fn no_flow_starves_beside_bulk_flows_and_those_share() {
    check_fairness();
}
