//! Round robin: each piece goes to the next stripe that takes one.

use super::Candidate;
use crate::id::StripeId;

/// The first writable stripe after `last`, in a circle.
pub(super) fn pick(candidates: &[Candidate], last: Option<StripeId>) -> Option<StripeId> {
    let mut writable =
        candidates.iter().filter(|candidate| candidate.writable).map(|candidate| candidate.stripe);
    let first = writable.next()?;
    let Some(last) = last.filter(|last| *last >= first) else { return Some(first) };
    Some(writable.find(|stripe| *stripe > last).unwrap_or(first))
}
