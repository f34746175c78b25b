//! The examples of the documentation do what they show.

#[path = "../examples/record_a_session.rs"]
mod record_a_session;
#[path = "../examples/session_loop.rs"]
mod session_loop;

#[test]
fn a_flow_is_opened_at_the_peer() {
    session_loop::main();
}

#[test]
fn a_recorded_session_can_be_replayed() {
    record_a_session::main().unwrap();
}
