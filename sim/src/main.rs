//! `cargo run -p sim -- --caps 1mbps`: see `--help`.

fn main() -> std::process::ExitCode {
    sim::main()
}
