//! `--congestion auto|system|NAME`: what controls congestion on stripes, looked up before anything
//! else happens.

use crate::failure::Failure;
use crate::log::Log;
use std::io::{Error, ErrorKind};
use striper_runtime::{Congestion, CongestionChoice};

/// What is asked for, if the system has it and this user may choose it.
pub fn begin(name: Option<&str>) -> Result<CongestionChoice, Failure> {
    let name = match name {
        None | Some("auto") => return Ok(CongestionChoice::Auto),
        Some("system") => return Ok(CongestionChoice::System),
        Some(name) => name,
    };
    Congestion::named(name).map(CongestionChoice::Named).map_err(|error| {
        let cure = match error.kind() {
            ErrorKind::NotFound => {
                format!("here are {}, and auto and system", Congestion::available().join(", "))
            }
            ErrorKind::PermissionDenied => {
                "or everybody, once it is in the sysctl net.ipv4.tcp_allowed_congestion_control"
                    .into()
            }
            _ => "leave it out, or write system: then the system chooses".into(),
        };
        Failure::usage(format!("--congestion {name}: {}", cause(&error)), cure)
    })
}

/// What stripes have, for the log. Says once if those that lose packets will not have what they
/// need.
pub fn name(chosen: &CongestionChoice, log: &Log) -> String {
    let system =
        || Congestion::of_system().map_or_else(|| "unknown".to_owned(), |name| name.to_string());
    match chosen {
        CongestionChoice::Named(name) => name.to_string(),
        CongestionChoice::Auto => {
            let (calm, lossy) = (Congestion::calm(), Congestion::lossy());
            let calm = calm.check().map_or_else(|_| system(), |()| calm.to_string());
            match lossy.check() {
                Ok(()) if lossy.to_string() == calm => calm,
                Ok(()) => format!("auto: {calm} or {lossy}"),
                Err(error) => {
                    let cause = cause(&error);
                    let text = format!(
                        "stripes that lose packets stay with {calm} and are slow: {lossy}: {cause}"
                    );
                    log.debug("congestion_fixed", text, &[("cause", cause.into())]);
                    calm
                }
            }
        }
        _ => system(),
    }
}

/// Why the operating system doesn't give a congestion control.
pub fn cause(error: &Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "there is none of that name".into(),
        ErrorKind::PermissionDenied => "only root may choose that".into(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_the_route_unless_something_is_named() {
        assert_eq!(begin(None).unwrap(), CongestionChoice::Auto);
        assert_eq!(begin(Some("auto")).unwrap(), CongestionChoice::Auto);
        assert_eq!(begin(Some("system")).unwrap(), CongestionChoice::System);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_named_one_is_fixed_and_must_exist() {
        let reno = Congestion::named("reno").unwrap();
        assert_eq!(begin(Some("reno")).unwrap(), CongestionChoice::Named(reno));
        let failure = begin(Some("nosuch")).unwrap_err();
        assert!(
            failure.cause.contains("--congestion nosuch: there is none of that name"),
            "{}",
            failure.cause
        );
    }
}
