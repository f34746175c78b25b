//! `soak` uses a keyed pair for a long time, as a site would, and disturbs it all the while: a
//! stripe is reset every 2 s, both configuration files change and are read again every minute, and
//! new processes take over every ten. No connection may be cut, and memory and descriptors must
//! stay flat.
//!
//! ```text
//! cargo run --release -p striper-tests --bin soak -- [--minutes 30] [--picture FILE.svg]
//! ```
//!
//! It needs no root. Exit code 1 means that a connection was cut or carried wrong bytes.

#![allow(clippy::disallowed_methods, reason = "it measures real time")]

mod args;
mod picture;
mod samples;
mod site;
mod traffic;

use args::Args;
use samples::Samples;
use site::Site;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};
use traffic::Traffic;

/// The time between two resets of a stripe.
const RESET: Duration = Duration::from_secs(2);
const RELOAD: Duration = Duration::from_secs(60);
const UPGRADE: Duration = Duration::from_secs(600);
const SAMPLE: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let args = match Args::parse() {
        Ok(args) => args,
        Err(cause) => {
            eprintln!("soak: {cause}");
            return ExitCode::from(2);
        }
    };
    let mut site = Site::start();
    let traffic = Traffic::start(site.forward(), site.origin());
    let samples = disturb(&mut site, args.length, &traffic);
    let outcome = traffic.finish();
    println!("{}{}\n{outcome}", samples.table(), site.summary());
    if let Some(file) = args.picture
        && let Err(error) = std::fs::write(&file, picture::draw(&samples))
    {
        eprintln!("soak: {}: {error}", file.display());
        return ExitCode::from(1);
    }
    ExitCode::from(u8::from(!outcome.is_clean()))
}

/// Resets, reloads, upgrades and samples, each at its own pace, for this long.
fn disturb(site: &mut Site, length: Duration, traffic: &Traffic) -> Samples {
    let begin = Instant::now();
    let mut samples = Samples::default();
    let [mut reset, mut reload, mut upgrade, mut sample] = [RESET, RELOAD, UPGRADE, SAMPLE];
    while begin.elapsed() < length {
        let next = reset.min(reload).min(upgrade).min(sample);
        thread::sleep(next.saturating_sub(begin.elapsed()));
        let now = begin.elapsed();
        if now >= reset {
            site.reset_a_stripe();
            reset += RESET;
        }
        if now >= sample {
            samples.take(now, site, traffic);
            sample += SAMPLE;
        }
        if now >= upgrade {
            site.upgrade();
            samples.mark(now);
            upgrade += UPGRADE;
        } else if now >= reload {
            site.reload();
        }
        // An upgrade reads the files too.
        if now >= reload {
            reload += RELOAD;
        }
    }
    samples
}
