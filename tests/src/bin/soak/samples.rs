//! Memory and descriptors of the processes, over time.

use crate::site::Site;
use crate::traffic::Traffic;
use std::fmt::Write;
use std::time::Duration;

/// The processes at one moment, summed for each side: an old one may still drain.
#[derive(Clone, Copy)]
pub struct Sample {
    pub at: Duration,
    /// Bytes in RAM of the client and of the server.
    pub memory: [u64; 2],
    pub files: [usize; 2],
    pub processes: usize,
    /// Bytes of finished bulk transfers so far.
    pub carried: u64,
}

#[derive(Default)]
pub struct Samples {
    all: Vec<Sample>,
    upgrades: Vec<Duration>,
}

impl Samples {
    pub fn take(&mut self, at: Duration, site: &Site, traffic: &Traffic) {
        let usage = site.sides().map(|side| side.usage());
        self.all.push(Sample {
            at,
            memory: usage.each_ref().map(|side| side.iter().map(|usage| usage.memory).sum()),
            files: usage.each_ref().map(|side| side.iter().map(|usage| usage.files).sum()),
            processes: usage.iter().map(Vec::len).sum(),
            carried: traffic.bulk_bytes(),
        });
    }

    pub fn mark(&mut self, at: Duration) {
        self.upgrades.push(at);
    }

    pub fn all(&self) -> &[Sample] {
        &self.all
    }

    pub fn upgrades(&self) -> &[Duration] {
        &self.upgrades
    }

    /// The middle of each tenth of the time.
    pub fn table(&self) -> String {
        let mut text =
            "   time  client MiB  files  server MiB  files  processes  carried GiB\n".to_owned();
        for tenth in self.all.chunks(self.all.len().div_ceil(10).max(1)) {
            let Sample { at, memory, files, processes, carried } = tenth[tenth.len() / 2];
            let [client, server] = memory.map(|bytes| bytes as f64 / f64::from(1 << 20));
            let _ = writeln!(
                text,
                "{:5} s {client:11.1} {:6} {server:11.1} {:6} {processes:10} {:12.2}",
                at.as_secs(),
                files[0],
                files[1],
                carried as f64 / f64::from(1 << 30)
            );
        }
        text
    }
}
