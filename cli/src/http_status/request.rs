//! The head of a request, RFC 9112. It is hostile until it has been judged.

use super::answer::Answer;
use httparse::{EMPTY_HEADER, Header, Status};
use std::net::IpAddr;

/// The most bytes of a head.
pub(super) const MAX_HEAD: usize = 8 << 10;
const MAX_FIELDS: usize = 64;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Request {
    /// Without its query.
    pub path: String,
    /// HEAD: the answer has no body.
    pub head_only: bool,
}

/// The names that a request may call this server by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Names {
    All,
    /// Addresses and localhost. A page of another site could have its own name lead to loopback and
    /// read answers under that name (DNS rebinding).
    Local,
}

pub(super) fn too_long() -> Answer {
    let text = format!("the head has more than {MAX_HEAD} bytes or {MAX_FIELDS} fields");
    Answer::line("431 Request Header Fields Too Large", &text)
}

fn malformed(why: &str) -> Answer {
    Answer::line("400 Bad Request", why)
}

/// The request, if its head is complete, or the answer that refuses it.
pub(super) fn read(input: &[u8], names: Names) -> Result<Option<Request>, Answer> {
    let mut fields = [EMPTY_HEADER; MAX_FIELDS];
    let mut head = httparse::Request::new(&mut fields);
    match head.parse(input) {
        Ok(Status::Complete(_)) => {}
        Ok(Status::Partial) if input.len() >= MAX_HEAD => return Err(too_long()),
        Ok(Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(too_long()),
        Err(error) => {
            return Err(malformed(&format!("this is no request of HTTP/1.1: {error}")));
        }
    }
    let (Some(method), Some(uri), Some(version)) = (head.method, head.path, head.version) else {
        return Err(malformed("the first line is incomplete"));
    };
    let head_only = match method {
        "GET" => false,
        "HEAD" => true,
        _ => {
            let text = format!("{method} is not for this server: use GET or HEAD");
            return Err(Answer::line("405 Method Not Allowed", &text));
        }
    };
    let said = host(head.headers, version)?;
    let (authority, path) = split(uri);
    if let Some(name) = authority.or(said)
        && names == Names::Local
        && !is_local(name)
    {
        let text = format!(
            "{name} is not a name of this server: ask for localhost or for its address, such as \
             http://127.0.0.1:PORT/"
        );
        return Err(Answer::line("421 Misdirected Request", &text));
    }
    Ok(Some(Request { path: path.to_owned(), head_only }))
}

/// The value of the field Host (RFC 9112, 3.2).
fn host<'h>(fields: &[Header<'h>], version: u8) -> Result<Option<&'h str>, Answer> {
    let mut all = fields.iter().filter(|field| field.name.eq_ignore_ascii_case("host"));
    match (all.next(), all.next()) {
        (None, _) if version == 0 => Ok(None),
        (Some(host), None) => match str::from_utf8(host.value) {
            Ok(host) => Ok(Some(host.trim())),
            Err(_) => Err(malformed("the field Host is not text")),
        },
        _ => Err(malformed("there must be one field Host")),
    }
}

/// The authority of a target in absolute form, and the path without its query.
fn split(uri: &str) -> (Option<&str>, &str) {
    let uri = uri.split(['?', '#']).next().unwrap_or_default();
    let Some(rest) = uri.strip_prefix("http://") else { return (None, uri) };
    match rest.find('/') {
        Some(slash) => (Some(&rest[..slash]), &rest[slash..]),
        None => (Some(rest), "/"),
    }
}

/// Whether a host, maybe with its port, is an address or this machine's own name.
fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(text: &str) -> Result<Option<Request>, &'static str> {
        read(text.as_bytes(), Names::Local).map_err(|answer| answer.status)
    }

    fn request(path: &str, head_only: bool) -> Result<Option<Request>, &'static str> {
        Ok(Some(Request { path: path.to_owned(), head_only }))
    }

    #[test]
    fn a_request_has_a_path_however_it_is_written() {
        for (text, path, head_only) in [
            ("GET /metrics HTTP/1.1\r\nHost: localhost:9\r\n\r\n", "/metrics", false),
            ("HEAD /?x=1 HTTP/1.1\r\nhOST: 127.0.0.1\r\n\r\n", "/", true),
            ("GET http://[::1]:9/a?b HTTP/1.1\r\nHost: x\r\n\r\n", "/a", false),
            ("GET http://localhost HTTP/1.1\r\nHost: x\r\n\r\n", "/", false),
            ("GET / HTTP/1.0\r\n\r\n", "/", false),
            ("\r\nGET / HTTP/1.1\nHost: a.localhost.\n\n", "/", false),
        ] {
            assert_eq!(local(text), request(path, head_only), "{text}");
        }
    }

    #[test]
    fn a_head_is_complete_at_its_last_byte_and_not_before() {
        let text = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
        for end in 0..text.len() {
            assert_eq!(local(&text[..end]), Ok(None), "{end}");
        }
    }

    #[test]
    fn a_wrong_request_has_the_status_that_says_so() {
        let long = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}", "x".repeat(MAX_HEAD));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: x\r\n".repeat(MAX_FIELDS + 1));
        for (text, status) in [
            ("POST / HTTP/1.1\r\nHost: localhost\r\n\r\n", "405 Method Not Allowed"),
            ("GET / HTTP/1.1\r\n\r\n", "400 Bad Request"),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "400 Bad Request"),
            ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", "400 Bad Request"),
            ("\x16\x03\x01\x02", "400 Bad Request"),
            (&long[..MAX_HEAD], "431 Request Header Fields Too Large"),
            (&many, "431 Request Header Fields Too Large"),
        ] {
            assert_eq!(local(text), Err(status), "{text}");
        }
    }

    #[test]
    fn a_name_of_another_site_is_refused_on_loopback_alone() {
        let misdirected = Err("421 Misdirected Request");
        for (host, is_fine) in [
            ("localhost", true),
            ("LocalHost:9000", true),
            ("127.0.0.1:9000", true),
            ("[::1]", true),
            ("evil.example", false),
            ("127.0.0.1.evil.example:9000", false),
            ("localhost.evil.example", false),
            ("[evil.example]", false),
            ("", false),
        ] {
            let text = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
            let expected = if is_fine { request("/", false) } else { misdirected.clone() };
            assert_eq!(local(&text), expected, "{host}");
            assert!(read(text.as_bytes(), Names::All).is_ok(), "{host}");
        }
        let text = "GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n";
        assert_eq!(local(text), misdirected, "the URI beats the field");
    }
}
