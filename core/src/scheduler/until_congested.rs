//! Until congested, the original's mode: stay on a stripe until it takes no more, then switch to the next that does.

use super::{Candidate, round_robin};
use crate::id::StripeId;

/// `last` while it is writable, then the next in a circle.
pub(super) fn pick(candidates: &[Candidate], last: Option<StripeId>) -> Option<StripeId> {
    let stays = candidates.iter().find(|candidate| Some(candidate.stripe) == last && candidate.writable);
    stays.map(|candidate| candidate.stripe).or_else(|| round_robin::pick(candidates, last))
}
