//! Bugs planted on purpose, so that the simulator can be asked whether it would find them.
//!
//! Off by default, and then `planted!(Name)` is a constant `false` and nothing of this is in the
//! binary. With the feature `planted`, a switch for the whole process chooses at most one `Bug`;
//! with none chosen the engine is the one that is shipped. Each bug has one site, in a function of
//! its own, of the form `if … planted!(Name)`: what stands before it is what must hold for the bug
//! to take effect.

#[cfg(feature = "planted")]
mod bugs;

#[cfg(feature = "planted")]
pub use bugs::{Bug, Origin};

#[cfg(feature = "planted")]
mod switch {
    use super::Bug;
    use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    /// One more than the place of the active bug in [`Bug::ALL`]; zero for none.
    static ACTIVE: AtomicUsize = AtomicUsize::new(0);
    /// How often its site was passed.
    static HITS: AtomicUsize = AtomicUsize::new(0);

    /// Makes this bug the active one, in all sessions of the process, or none; [`hits`] begins
    /// again at zero.
    pub fn activate(bug: Option<Bug>) {
        ACTIVE.store(bug.map_or(0, |bug| bug as usize + 1), Relaxed);
        HITS.store(0, Relaxed);
    }

    /// The bug that is active.
    pub fn active() -> Option<Bug> {
        ACTIVE.load(Relaxed).checked_sub(1).map(|place| Bug::ALL[place])
    }

    /// How often the active bug has had its chance since it was activated: zero says that nothing
    /// could have been noticed yet.
    pub fn hits() -> usize {
        HITS.load(Relaxed)
    }

    /// What `planted!` asks.
    #[inline]
    pub(crate) fn strikes(bug: Bug) -> bool {
        let strikes = ACTIVE.load(Relaxed) == bug as usize + 1;
        if strikes {
            HITS.fetch_add(1, Relaxed);
        }
        strikes
    }
}

#[cfg(feature = "planted")]
pub(crate) use switch::strikes;
#[cfg(feature = "planted")]
pub use switch::{activate, active, hits};

/// What `planted!` asks without the feature: known to the compiler, which drops what depends on it.
#[cfg(not(feature = "planted"))]
#[inline(always)]
pub(crate) const fn never() -> bool {
    false
}

/// Whether this bug is to show now. To be asked last, when all else that it takes is given.
#[cfg(feature = "planted")]
macro_rules! planted {
    ($bug:ident) => {
        $crate::planted::strikes($crate::planted::Bug::$bug)
    };
}

/// Never: the feature `planted` is off.
#[cfg(not(feature = "planted"))]
macro_rules! planted {
    ($bug:ident) => {
        $crate::planted::never()
    };
}

#[cfg(all(test, not(feature = "planted")))]
mod tests {
    #[test]
    fn without_the_feature_no_bug_ever_strikes() {
        const { assert!(!planted!(AckTakenAsCumulative)) };
    }
}
