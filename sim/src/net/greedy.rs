//! A greedy TCP connection: it has always more to send, and its reader takes everything at once.
//!
//! Invariant: it depends only on its route and its random numbers.

use super::{Later, Link, LinkEvent, LinkSpec, Shared};
use bytes::Bytes;
use rand_chacha::ChaCha8Rng;

/// The bytes that are written at a time.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
/// The low-water mark in bytes: that of a socket without `TCP_NOTSENT_LOWAT`.
const LOW_WATER: u64 = 1 << 40;

#[derive(Clone, Debug)]
pub struct Greedy {
    link: Link,
    /// The time of an acknowledgement on its way back, in microseconds.
    back: u64,
    delivered: u64,
}

impl Greedy {
    /// On a route from the sender and back, perhaps through a bottleneck beside others.
    pub fn new([there, back]: &[LinkSpec; 2], shared: Option<Shared>, rng: ChaCha8Rng) -> Self {
        let mut link = Link::new(there.clone(), rng);
        link.handshake_took(0, there.delay_micros() + back.delay_micros());
        link.pace(LOW_WATER);
        if let Some(shared) = shared {
            link.share(shared);
        }
        Greedy { link, back: back.delay_micros(), delivered: 0 }
    }

    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Writes as much as the system takes. The first call begins everything.
    pub fn fill(&mut self, now: u64, later: &mut Later) {
        let mut room = self.link.room();
        if room == 0 {
            return;
        }
        while room > 0 {
            let piece = Bytes::from_static(&ZEROS[..ZEROS.len().min(room as usize)]);
            room -= piece.len() as u64;
            self.link.push(piece);
        }
        self.link.write(now, false, later);
    }

    pub fn happen(&mut self, now: u64, event: LinkEvent, later: &mut Later) {
        let read = self.link.happen(now, event, false, Some(now + self.back), later);
        if let Some((pieces, _)) = read {
            self.delivered += pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
        }
        self.fill(now, later);
    }
}
