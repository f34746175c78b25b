//! libFuzzer's door to `striper_tests::fuzz::keyed_session`.
#![no_main]

use cap::Cap;
use libfuzzer_sys::fuzz_target;
use std::alloc::System;
use striper_tests::fuzz;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

fuzz_target!(|data: &[u8]| fuzz::keyed_session(data, || ALLOCATOR.allocated()));
