//! The local side of a session: programs that write a pattern and check what they read.

use striper_core::FlowId;
use striper_core::testing::{Log, Over, Pattern};

#[derive(Clone, Debug, Default)]
pub(super) struct Program {
    /// Bytes to be sent in all, and a FIN after them.
    pub wants: u64,
    pub finishing: bool,
    /// The session took nothing, and is to say when it does.
    pub blocked: bool,
    pub heard: u64,
}

pub(super) fn pattern(flow: FlowId, side: usize) -> Pattern {
    Pattern(flow.0 * 2 + side as u64)
}

/// Checks what two sides have made of their flows. `whole` says that both sessions live on, so that
/// a flow ends as its sides have ended it.
pub(super) fn compare(sides: [&Log; 2], whole: bool) {
    for (from, to) in [(0, 1), (1, 0)] {
        for (id, reader) in sides[to].flows() {
            let Some(writer) = sides[from].get(*id) else {
                // Its OPEN has not come, and never will or is of no effect.
                let gone = reader.over == Some(Over::Reset) || !whole;
                assert!(
                    gone && reader.delivered == 0 && !reader.fin,
                    "flow {id} is known to side {to} alone: {reader:?}"
                );
                continue;
            };
            assert!(reader.delivered <= writer.given, "flow {id}: {writer:?} to {reader:?}");
            assert!(
                !reader.fin || (writer.finished && reader.delivered == writer.given),
                "a FIN that is none of flow {id}: {writer:?} to {reader:?}"
            );
            if !whole {
                continue;
            }
            match reader.over {
                Some(Over::ResetByPeer(_)) => {
                    assert_eq!(
                        writer.over,
                        Some(Over::Reset),
                        "flow {id} was reset by nobody: {writer:?} to {reader:?}"
                    );
                    // Only a consumer that has stopped misses what came before a reset.
                    assert!(
                        reader.consumed < reader.delivered || reader.delivered == writer.given,
                        "bytes before the reset of flow {id} are missing: {writer:?} to {reader:?}"
                    );
                }
                Some(Over::RefusedByPeer(_)) => {
                    assert_eq!(writer.over, Some(Over::Refused), "flow {id}")
                }
                Some(Over::Ended) => assert!(reader.fin, "flow {id} ended without a FIN"),
                Some(Over::Reset | Over::Refused) => {}
                None => panic!("flow {id} never ends: {reader:?}"),
            }
        }
    }
}
