//! The proxy at work, with all kinds of connections, peers, keys and signals.

mod bad_input;
mod bad_input_memory;
mod datagram_mode;
mod datagram_vectors;
mod events;
mod explained;
mod file_limit;
mod key_log;
mod keys;
mod no_server;
mod passing;
mod proxy_protocol;
mod recording;
mod refusals;
mod reload;
mod remote;
mod restarts;
mod rules_of_keys;
mod service;
mod stopped_at_any_moment;
mod stopping;
mod stripe_death;
mod transparent;
mod upgrade;
mod ways;
