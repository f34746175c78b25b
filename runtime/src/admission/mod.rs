//! Bounds of the cost of strangers and peers, and the choice of the loser at each.

pub(crate) mod budget;
pub(crate) mod descriptors;
pub(crate) mod limits;
pub(crate) mod patience;
pub(crate) mod places;
pub(crate) mod shedding;
pub(crate) mod strangers;
