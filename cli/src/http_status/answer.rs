//! An answer, RFC 9110 and RFC 9112. Each connection has one, so none tells of a next.

use bytes::Bytes;
use std::fmt::Write;

/// Answers are for programs that may read them, and for no other page in a browser: a page of
/// another site gets neither their bytes nor a frame of them. Their values change, so that nothing
/// is kept.
const FIELDS: &str = "Connection: close\r\nCache-Control: no-store\r\n\
                      X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n\
                      Cross-Origin-Resource-Policy: same-origin\r\n";

/// A browser may load nothing on behalf of an answer.
const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'";

pub(super) const TEXT: &str = "text/plain; charset=utf-8";
pub(super) const JSON: &str = "application/json";
pub(super) const HTML: &str = "text/html; charset=utf-8";
/// Prometheus' text format.
pub(super) const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Answer {
    /// The code and its name.
    pub status: &'static str,
    kind: &'static str,
    /// The Content-Security-Policy.
    policy: String,
    pub body: Bytes,
}

impl Answer {
    pub(super) fn ok(kind: &'static str, body: impl Into<Bytes>) -> Self {
        Answer { status: "200 OK", kind, policy: NOTHING.to_owned(), body: body.into() }
    }

    /// A line of text.
    pub(super) fn line(status: &'static str, text: &str) -> Self {
        Answer { status, ..Answer::ok(TEXT, format!("{text}\n")) }
    }

    /// A page whose scripts and styles have this nonce, and that asks its own server alone.
    pub(super) fn page(body: String, nonce: &str) -> Self {
        let policy = format!(
            "{NOTHING}; base-uri 'none'; form-action 'none'; connect-src 'self'; img-src data:; \
             script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'"
        );
        Answer { policy, ..Answer::ok(HTML, body) }
    }

    /// The head, with its empty line.
    pub(super) fn head(&self) -> String {
        let Answer { status, kind, policy, body } = self;
        let mut head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n{FIELDS}\
             Content-Security-Policy: {policy}\r\n",
            body.len()
        );
        if status.starts_with("405") {
            head.push_str("Allow: GET, HEAD\r\n");
        }
        let _ = write!(head, "\r\n");
        head
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_its_length_and_ends_the_connection() {
        let head = Answer::line("404 Not Found", "päge").head();
        let begin = "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\n\
                     Content-Length: 6\r\nConnection: close\r\n";
        assert!(head.starts_with(begin) && head.ends_with("'none'\r\n\r\n"), "{head}");
        assert!(!head.contains("Allow"), "{head}");
        assert!(Answer::line("405 Method Not Allowed", "").head().contains("Allow: GET, HEAD\r\n"));
    }

    #[test]
    fn only_a_page_may_run_scripts_and_only_its_own() {
        assert!(!Answer::ok(JSON, "{}").head().contains("script-src"));
        let head = Answer::page(String::new(), "7").head();
        assert!(head.contains("default-src 'none';") && head.contains("script-src 'nonce-7';"));
        assert!(!head.contains("unsafe-inline") && !head.contains("Access-Control"), "{head}");
    }
}
