//! libFuzzer's door to `striper_tests::fuzz::ways`.
#![no_main]

use cap::Cap;
use libfuzzer_sys::fuzz_target;
use std::alloc::System;
use striper_tests::fuzz;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

fuzz_target!(|data: &[u8]| fuzz::ways(data, || ALLOCATOR.allocated()));
