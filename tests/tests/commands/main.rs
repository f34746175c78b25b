//! Command lines, settings, and the state that a user reads.

mod command_line;
mod config;
mod control;
mod cures;
mod http_status;
mod status_line;
mod top;
