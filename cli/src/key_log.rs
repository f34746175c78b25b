//! `--tls-key-log FILE`: the secrets of TLS, for a user who decrypts the stripes with Wireshark.

use crate::args::KeyOptions;
use crate::failure::Failure;
use crate::log::Log;
use crate::sockets::Sockets;
use std::sync::Arc;
use striper_runtime::KeyLog;

pub(crate) fn begin(
    log: &Log,
    options: &KeyOptions,
    sockets: &Sockets,
) -> Result<Option<Arc<KeyLog>>, Failure> {
    let Some(path) = &options.tls_key_log else { return Ok(None) };
    if options.files.is_empty() {
        let cause = "--tls-key-log does nothing without a key";
        return Err(Failure::usage(cause, "add -k FILE, or leave it out"));
    }
    let path = sockets.own_file(path);
    let failure = |error| Failure::record("--tls-key-log", &path, "log of such secrets", &error);
    let secrets = KeyLog::create(&path).map_err(failure)?;
    let path = path.display().to_string();
    let text = format!(
        "anyone who has the file {path} can read the traffic of all stripes; remove it when it is \
         no longer needed (--tls-key-log)"
    );
    log.warn("tls_key_log", text, &[("path", path.into())]);
    Ok(Some(Arc::new(secrets)))
}

pub(crate) fn finish(log: &Log, secrets: Option<&KeyLog>) {
    if let Some(cause) = secrets.and_then(KeyLog::failure) {
        let text = format!("the log of TLS secrets is incomplete: {cause} (--tls-key-log)");
        log.warn("tls_key_log_incomplete", text, &[("reason", cause.into())]);
    }
}
