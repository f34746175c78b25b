//! When sessions keep more memory than they may, some of it has to go.
//!
//! Limits on credit bound what an honest peer makes us keep. This bounds what any does:
//! out-of-order crumbs, floors of thousands of stuck flows, flows that are filled and reset.
//!
//! The same goes for receive buffers, each of which a peer may make us keep for a few bytes. When
//! they take too much, received bytes are copied in small parts, and the buffers are free.

use super::budget::{Budget, Holder};
use crate::pipe::buffers;
use bytes::Bytes;

/// In how large parts it is copied, in bytes. Smaller ones the session copies in any case.
const PART: usize = 4 << 10;

/// If sessions keep more memory than they may, those of the key that keeps the most let go of some.
/// `load` is what a session keeps, in bytes; `shed` has it let go of about so many.
pub(crate) fn shed_excess<'a, S: 'a>(
    budget: &Budget,
    sessions: impl ExactSizeIterator<Item = (Holder, &'a S)> + Clone,
    load: impl Fn(&S) -> u64,
    shed: impl Fn(&S, u64),
) {
    for _ in 0..4 * sessions.len() {
        let Some(excess) = budget.excess() else { return };
        let Some((heaviest, _)) = budget.heaviest() else { return };
        let own = sessions.clone().filter(|(holder, _)| *holder == heaviest);
        let loads = own.map(|(_, session)| (load(session), session));
        let Some((load, session)) =
            loads.max_by_key(|(load, _)| *load).filter(|(load, _)| *load > 0)
        else {
            return;
        };
        // Half at a time, until another one has more.
        shed(session, excess.min(load / 2 + 1));
    }
}

/// The size of parts that are taken: as they come, or small if buffers take half of the limit.
pub(crate) fn part(memory_limit: u64) -> usize {
    if buffers::pinned() > memory_limit / 2 { PART } else { usize::MAX }
}

/// The bytes from a stripe in the form for the session, which has that `memory_limit`.
pub(crate) fn unpinned(data: Bytes, memory_limit: u64) -> impl Iterator<Item = Bytes> {
    let part = part(memory_limit);
    let mut rest = data;
    std::iter::from_fn(move || {
        let next = rest.split_to(rest.len().min(part));
        match part {
            _ if next.is_empty() => None,
            PART => Some(Bytes::copy_from_slice(&next)),
            _ => Some(next),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipe::PublicKey;
    use std::cell::RefCell;

    #[test]
    fn the_key_that_keeps_the_most_lets_go_and_its_heaviest_session_first() {
        let budget = Budget::new(0, None);
        let session = |key: u8, kept: u64| {
            let holder = Some(PublicKey([key; 32]));
            let mut share = budget.share(holder);
            share.use_up((0, 0), kept << 20);
            (holder, RefCell::new((kept, share)))
        };
        let sessions = [session(1, 12), session(2, 10), session(2, 6), session(2, 8)];
        let all = sessions.iter().map(|(holder, session)| (*holder, session));
        shed_excess(
            &budget,
            all,
            |session| session.borrow().0 << 20,
            |session, excess| {
                let (kept, share) = &mut *session.borrow_mut();
                *kept -= excess.div_ceil(1 << 20);
                share.use_up((0, 0), *kept << 20);
            },
        );
        assert_eq!(budget.excess(), None);
        assert_eq!(sessions.map(|(_, session)| session.into_inner().0), [12, 4, 6, 8]);
    }
}
