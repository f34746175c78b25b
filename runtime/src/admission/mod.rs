//! What strangers and peers may cost a server: each bound, and who has to give way at it.

pub(crate) mod budget;
pub(crate) mod descriptors;
pub(crate) mod limits;
pub(crate) mod patience;
pub(crate) mod places;
pub(crate) mod shedding;
pub(crate) mod strangers;
