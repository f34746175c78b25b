//! `--congestion NAME`: what controls congestion on stripes, looked up before anything else happens.

use crate::args::Options;
use crate::failure::Failure;
use std::io::ErrorKind;
use striper_runtime::Congestion;

/// What is asked for, if the system has it and this user may choose it.
pub fn begin(options: &Options) -> Result<Option<Congestion>, Failure> {
    let Some(name) = &options.congestion else { return Ok(None) };
    Congestion::named(name).map(Some).map_err(|error| {
        let (cause, cure) = match error.kind() {
            ErrorKind::NotFound => (
                "there is none of that name".into(),
                format!("here are {}", Congestion::available().join(", ")),
            ),
            ErrorKind::PermissionDenied => (
                "only root may choose that".into(),
                "or everybody, once it is in the sysctl net.ipv4.tcp_allowed_congestion_control".into(),
            ),
            _ => (error.to_string(), "leave it out: then the system chooses".into()),
        };
        Failure::usage(format!("--congestion {name}: {cause}"), cure)
    })
}

/// What stripes have, for the log.
pub fn name(chosen: Option<&Congestion>) -> String {
    let name = chosen.cloned().or_else(Congestion::of_system);
    name.map_or_else(|| "unknown".to_owned(), |name| name.to_string())
}
