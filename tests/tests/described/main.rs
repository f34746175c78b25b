//! Documents tell the truth: their command lines, the wire format, and the use with other programs.

mod dissector;
mod documents;
mod quickstart;
mod readme;
mod real_programs;
