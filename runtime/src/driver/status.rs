//! The state of a pump, for its user.

use super::pump::Pump;
use crate::report::{EndedSessions, SessionStatus};

pub(crate) fn status(pump: &Pump) -> SessionStatus {
    let (engine, stripes, flows) = (&pump.base.engine, pump.stripes(), pump.flows());
    SessionStatus {
        session: engine.tag(),
        peer: stripes.peer_name(),
        stats: engine.session().stats(),
        live: stripes.len(),
        places: stripes.places(),
        kept_for: stripes.kept_for(flows.len(), engine),
        tcp: stripes.tcp(),
    }
}

/// Client: the sums of the sessions before this one.
pub(crate) fn earlier(pump: &Pump) -> EndedSessions {
    pump.base.engine.earlier()
}
