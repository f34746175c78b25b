//! The state of a pump, for its user.

use super::pump::Pump;
use crate::report::{EndedSessions, FlowStatus, SessionStatus};

pub(crate) fn status(pump: &Pump) -> SessionStatus {
    let (engine, stripes, flows) = (&pump.base.engine, pump.stripes(), pump.flows());
    SessionStatus {
        session: engine.tag(),
        peer: stripes.peer_name(),
        stats: engine.session().stats(),
        live: stripes.len(),
        places: stripes.places(),
        peers: stripes.peers(),
        memory: engine.session().memory_used(),
        kept_for: stripes.kept_for(flows.len(), engine),
        tcp: stripes.tcp(),
    }
}

/// The connections of a pump, at most so many.
pub(crate) fn flows(pump: &Pump, most: usize) -> Vec<FlowStatus> {
    pump.flows().ends().take(most).map(|(_, end)| end.status(&pump.base.engine)).collect()
}

/// Client: the sums of the sessions before this one.
pub(crate) fn earlier(pump: &Pump) -> EndedSessions {
    pump.base.engine.earlier()
}
