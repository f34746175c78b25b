//! The switch of planted bugs. This file and the bugs' patches are put into a copy of core alone;
//! `enum Bug` is made from the names of the patches, in their order.
#![allow(missing_docs, reason = "nobody builds on the copy")]

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// One more than the place of the active bug; zero for none.
static ACTIVE: AtomicUsize = AtomicUsize::new(0);
/// The number of times that its site was passed.
static HITS: AtomicUsize = AtomicUsize::new(0);

/// Makes the bug of this place the active one, in all sessions of the process.
pub fn activate(place: usize) {
    ACTIVE.store(place + 1, Relaxed);
}

/// The place of the active bug.
pub fn active() -> Option<usize> {
    ACTIVE.load(Relaxed).checked_sub(1)
}

/// The number of times that the active bug has had its chance: zero says that nothing could have
/// been noticed.
pub fn hits() -> usize {
    HITS.load(Relaxed)
}

/// The answer to `planted!`.
#[inline]
pub(crate) fn strikes(bug: Bug) -> bool {
    let strikes = ACTIVE.load(Relaxed) == bug as usize + 1;
    if strikes {
        HITS.fetch_add(1, Relaxed);
    }
    strikes
}

/// Whether this bug is to show now. To be asked last, when all its other conditions hold.
macro_rules! planted {
    ($bug:ident) => {
        $crate::planted::strikes($crate::planted::Bug::$bug)
    };
}
