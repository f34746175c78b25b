//! The switch of the engine that this program was built with.

/// Makes the bug of this place the active one, in all sessions of the process. Whether there are
/// bugs in this program.
pub fn activate(place: usize) -> bool {
    #[cfg(feature = "planted")]
    striper_core::planted::activate(place);
    let _ = place;
    cfg!(feature = "planted")
}

pub fn active() -> Option<usize> {
    #[cfg(feature = "planted")]
    return striper_core::planted::active();
    #[cfg(not(feature = "planted"))]
    None
}

/// The number of times that the active bug has had its chance.
pub fn hits() -> usize {
    #[cfg(feature = "planted")]
    return striper_core::planted::hits();
    #[cfg(not(feature = "planted"))]
    0
}
