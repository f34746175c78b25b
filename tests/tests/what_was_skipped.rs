//! The end of the test command: the tests that could not do their work on this machine. The module
//! `striper_tests::skipped` has the reason why this runs last.

fn main() {
    if std::env::args().any(|arg| arg == "--list") {
        return;
    }
    let skipped = striper_tests::skipped::take();
    match skipped.len() {
        0 => println!("\nNo test was skipped."),
        1 => println!("\n1 test was skipped:"),
        count => println!("\n{count} tests were skipped:"),
    }
    for line in skipped {
        println!("  {line}");
    }
}
