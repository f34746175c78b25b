//! `--congestion auto|system|NAME`: the congestion control of stripes, checked at the start.

use crate::failure::Failure;
use crate::log::Log;
use std::io::{Error, ErrorKind};
use striper_runtime::{Congestion, CongestionChoice};

pub(crate) fn begin(name: Option<&str>) -> Result<CongestionChoice, Failure> {
    let name = match name {
        None | Some("auto") => return Ok(CongestionChoice::Auto),
        Some("system") => return Ok(CongestionChoice::System),
        Some(name) => name,
    };
    Congestion::named(name).map(CongestionChoice::Named).map_err(|error| {
        let cure = match error.kind() {
            ErrorKind::NotFound => {
                format!("write {}, auto or system", Congestion::available().join(", "))
            }
            ErrorKind::PermissionDenied => "to allow it to all users, add it to the sysctl \
                 net.ipv4.tcp_allowed_congestion_control"
                .into(),
            _ => "leave it out, or write system to let the system choose".into(),
        };
        Failure::usage(format!("--congestion {name}: {}", cause(&error)), cure)
    })
}

/// The congestion control of stripes, for the log. Writes a line if stripes that lose packets
/// can't change to a better one.
pub(crate) fn name(chosen: &CongestionChoice, log: &Log) -> String {
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
                        "stripes that lose packets keep {calm} and are slow, because they can't \
                         use {lossy}: {cause}"
                    );
                    log.debug("congestion_fixed", text, &[("reason", cause.into())]);
                    calm
                }
            }
        }
        _ => system(),
    }
}

pub(crate) fn cause(error: &Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "there is no congestion control of that name".into(),
        ErrorKind::PermissionDenied => "only root may choose it".into(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_follows_the_route() {
        assert_eq!(begin(None).unwrap(), CongestionChoice::Auto);
        assert_eq!(begin(Some("auto")).unwrap(), CongestionChoice::Auto);
        assert_eq!(begin(Some("system")).unwrap(), CongestionChoice::System);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_named_congestion_control_is_fixed_and_must_exist() {
        let reno = Congestion::named("reno").unwrap();
        assert_eq!(begin(Some("reno")).unwrap(), CongestionChoice::Named(reno));
        let failure = begin(Some("nosuch")).unwrap_err();
        let cause = "--congestion nosuch: there is no congestion control of that name";
        assert_eq!(failure.cause, cause);
    }
}
