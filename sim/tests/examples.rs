//! The example of the documentation does what it shows.

#[path = "../examples/transfer.rs"]
mod transfer;

#[test]
fn a_flow_over_two_stripes_completes_and_is_drawn() {
    transfer::main();
}
