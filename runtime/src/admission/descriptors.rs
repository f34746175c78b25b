//! How many file descriptors are left. They are counted, since asking the system takes too long.

use rustix::process::{Resource, getrlimit};
use std::cell::Cell;
use std::io;
use std::rc::Rc;

/// Files open beside connections: standard streams, poller, signals, listeners, traces.
const OTHERS: u64 = 16;

thread_local! {
    static CONNECTIONS: Cell<u64> = const { Cell::new(0) };
}

/// Stands for an open connection of this thread.
#[derive(Debug)]
pub(crate) struct Counted(());

impl Counted {
    pub(crate) fn new() -> Self {
        CONNECTIONS.set(CONNECTIONS.get() + 1);
        Counted(())
    }
}

#[cfg(test)]
pub(crate) fn connections() -> u64 {
    CONNECTIONS.get()
}

impl Drop for Counted {
    fn drop(&mut self) {
        // While a thread ends there is nothing to be counted.
        let _ = CONNECTIONS.try_with(|count| count.set(count.get() - 1));
    }
}

/// That one more connection leaves `spare` descriptors to others, or a quarter of all if that is
/// less. With 0 it always does.
///
/// # Errors
/// It would not; as the system says it when there is none at all.
pub fn ensure_spare(spare: u64) -> io::Result<()> {
    // Asked each time, since it may be changed from outside.
    let Some(all) = getrlimit(Resource::Nofile).current.filter(|_| spare > 0) else {
        return Ok(());
    };
    let used = OTHERS + CONNECTIONS.get();
    if is_enough(all, used, spare) { Ok(()) } else { Err(rustix::io::Errno::MFILE.into()) }
}

/// Whether the process has a file descriptor to spare for one more connection of a session.
pub(crate) type HasRoom = Rc<dyn Fn() -> bool>;

/// How much room there is for one more connection to a target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Room {
    /// For everybody.
    Plenty,
    /// Room for a client that has not more than others.
    Scarce,
    /// For nobody: what is left is for stripes, names and files.
    None,
}

/// The room for connections to targets. They leave a share to callers, since a client that fills
/// the process with connections must not keep others from joining. Descriptors that callers have
/// already, all but the `known` connections of stripes and flows, are not asked for twice.
/// `pending` connections are under way and not counted yet.
pub(crate) fn room(spare: u64, pending: u64, known: u64) -> Room {
    let connections = CONNECTIONS.get();
    match getrlimit(Resource::Nofile).current.filter(|_| spare > 0) {
        None => Room::Plenty,
        Some(all) => {
            room_of(all, OTHERS + connections + pending, connections.saturating_sub(known), spare)
        }
    }
}

/// Whether the stripes leave descriptors to flows, with `spare` as in [`ensure_spare`].
pub(crate) fn leaves_flows(spare: u64) -> bool {
    // Callers are counted with the stripes, since they want to be some.
    let flows = getrlimit(Resource::Nofile).current.map_or(0, |all| spare.min(all / 8));
    room(spare, flows, u64::MAX) != Room::None
}

fn room_of(all: u64, used: u64, callers: u64, spare: u64) -> Room {
    let (left, least) = (all.saturating_sub(used), spare.min(all / 8));
    let share = (2 * least).saturating_sub(callers).max(least / 2);
    if left <= share {
        Room::None
    } else if left <= all / 4 + share {
        Room::Scarce
    } else {
        Room::Plenty
    }
}

fn is_enough(all: u64, used: u64, spare: u64) -> bool {
    all.saturating_sub(used) > spare.min(all / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_count_until_they_are_dropped() {
        let before = CONNECTIONS.get();
        let two = [Counted::new(), Counted::new()];
        assert_eq!(CONNECTIONS.get(), before + 2);
        drop(two);
        assert_eq!(CONNECTIONS.get(), before);
    }

    #[test]
    fn targets_leave_room_for_stripes_and_the_last_quarter_to_small_clients() {
        assert_eq!(room_of(1024, 703, 0, 32), Room::Plenty);
        assert_eq!(room_of(1024, 704, 0, 32), Room::Scarce);
        assert_eq!(room_of(1024, 959, 0, 32), Room::Scarce);
        assert_eq!(room_of(1024, 960, 0, 32), Room::None);
        assert!(is_enough(1024, 960, 32), "a caller is accepted where no target may be dialled");
        assert_eq!(room_of(1024, 992, 500, 32), Room::Scarce, "callers have their share");
        assert_eq!(room_of(1024, 1008, 500, 32), Room::None);
        assert!(room_of(40, 29, 0, 32) != Room::None && room_of(40, 30, 0, 32) == Room::None);
    }

    #[test]
    fn the_reserve_is_left_but_never_more_than_a_quarter_of_all() {
        assert!(is_enough(1024, 991, 32) && !is_enough(1024, 992, 32));
        assert!(is_enough(40, 29, 32) && !is_enough(40, 30, 32));
        assert!(!is_enough(16, 20, 1), "there may be fewer than are open already");
        assert!(is_enough(100, 99, 0), "without a reserve the last one may be used too");
    }
}
