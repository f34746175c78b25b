//! HTTP/1 as a proxy speaks it, RFC 9110 and RFC 9112: CONNECT, and requests with an absolute URI.
//!
//! The head of a plain request is written anew from its parts, with the fields that say where it
//! ends. So the origin can't read other borders into it than this proxy did. Requests whose end is
//! arguable are refused (RFC 9112, 11.2). A connection carries one request, and the answer passes
//! unread. No field Via is added: it would tell the origin about a proxy that runs at home.

use super::{
    Body, Chunks, Dialect, Failure, MAX_HANDSHAKE, Request, Step, Users, WayError, target,
};
use crate::target::HostPort;
use httparse::{EMPTY_HEADER, Header, Status};
use std::net::Ipv6Addr;

/// The most fields of a head.
pub(super) const MAX_FIELDS: usize = 100;

const HTTP_PORT: u16 = 80;

/// Fields for this proxy alone (RFC 9110, 7.6.1), and those that it writes itself.
const DROPPED: [&str; 9] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Reads a head as it comes.
#[derive(Default)]
pub(super) struct Reader {
    /// So many bytes are known to hold no complete head.
    seen: usize,
}

impl Reader {
    pub(super) fn step(&mut self, input: &[u8], users: Option<&Users>) -> Step {
        let head = &input[..input.len().min(MAX_HANDSHAKE)];
        let seen = self.seen.min(head.len());
        self.seen = head.len();
        // Whole lines are read, and only if one is new. So the cost is not the square of the length
        // if a head comes byte by byte, and its pieces make no difference.
        if let Some(end) = head[seen..].iter().rposition(|byte| *byte == b'\n')
            && let Some(step) =
                read(&head[..=seen + end], users).unwrap_or_else(|error| Some(refuse(error)))
        {
            return step;
        }
        if head.len() < MAX_HANDSHAKE { Step::More } else { refuse(WayError::TooLong) }
    }
}

/// The request, if its head is complete. Empty lines before it are skipped.
fn read(input: &[u8], users: Option<&Users>) -> Result<Option<Step>, WayError> {
    let mut fields = [EMPTY_HEADER; MAX_FIELDS];
    let mut head = httparse::Request::new(&mut fields);
    let used = match head.parse(input) {
        Ok(Status::Complete(used)) => used,
        Ok(Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(WayError::TooLong),
        Err(_) if input.starts_with(b"PROXY ") => {
            return Err(WayError::Malformed(
                "a header of the PROXY protocol, which is not accepted from this address",
            ));
        }
        Err(httparse::Error::Version) => return Err(WayError::Malformed("not HTTP/1.0 or 1.1")),
        Err(httparse::Error::Token) => return Err(WayError::Malformed("the first line")),
        Err(_) => return Err(WayError::Malformed("a field, or the end of a line")),
    };
    let (Some(method), Some(uri), Some(version)) = (head.method, head.path, head.version) else {
        return Err(WayError::Malformed("the first line"));
    };
    let fields = &head.headers[..];
    let framing = Framing::of(version, fields)?;
    authenticate(fields, users)?;
    if method == "CONNECT" {
        if !matches!(framing, Framing::None | Framing::Length(0)) {
            return Err(WayError::Malformed("CONNECT has no body"));
        }
        return Ok(Some(Step::endless(used, authority(uri, None)?, Dialect::HttpConnect)));
    }
    // Both find proxies on the way, and would have to be answered here (RFC 9110, 7.6.2).
    let counts_proxies = method == "OPTIONS" && all(fields, "max-forwards").next().is_some();
    if method == "TRACE" || counts_proxies {
        return Err(WayError::Unsupported("TRACE, or OPTIONS with Max-Forwards"));
    }
    let (target, path) = absolute(uri, method)?;
    let first = rewrite((method, &path, version), &target, fields, framing);
    let request = Request { target, dialect: Dialect::HttpPlain, first, body: framing.body() };
    Ok(Some(Step::Request { used, request }))
}

/// All values of a field.
fn all<'a>(fields: &'a [Header<'a>], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let named = fields.iter().filter(move |field| field.name.eq_ignore_ascii_case(name));
    named.map(|field| field.value)
}

fn authenticate(fields: &[Header<'_>], users: Option<&Users>) -> Result<(), WayError> {
    let Some(users) = users else { return Ok(()) };
    let mut said = all(fields, "proxy-authorization");
    let (Some(said), None) = (said.next(), said.next()) else { return Err(WayError::NoPassword) };
    let end = said.iter().position(|byte| *byte == b' ').unwrap_or(said.len());
    let (scheme, credentials) = said.split_at(end);
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return Err(WayError::NoPassword);
    }
    let is_right = users.admit_credentials(credentials.trim_ascii());
    if is_right { Ok(()) } else { Err(WayError::WrongPassword) }
}

/// How the end of a body is told (RFC 9112, 6).
#[derive(Clone, Copy)]
enum Framing {
    None,
    Length(u64),
    Chunked,
}

impl Framing {
    fn of(version: u8, fields: &[Header<'_>]) -> Result<Framing, WayError> {
        const BAD_LENGTH: WayError = WayError::Malformed("Content-Length is not one number");
        if all(fields, "host").nth(1).is_some() {
            return Err(WayError::Malformed("more than one Host"));
        }
        let mut length = None;
        for value in all(fields, "content-length") {
            let digits = std::str::from_utf8(value).ok();
            let digits = digits.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            let value = digits.and_then(|digits| digits.parse().ok()).ok_or(BAD_LENGTH)?;
            if length.replace(value).is_some_and(|earlier: u64| earlier != value) {
                return Err(BAD_LENGTH);
            }
        }
        let mut codings = all(fields, "transfer-encoding");
        match (codings.next(), codings.next(), length) {
            (None, _, None) => Ok(Framing::None),
            (None, _, Some(length)) => Ok(Framing::Length(length)),
            (Some(_), _, Some(_)) => {
                Err(WayError::Malformed("both Content-Length and Transfer-Encoding"))
            }
            (Some(coding), None, None)
                if version == 1 && coding.eq_ignore_ascii_case(b"chunked") =>
            {
                Ok(Framing::Chunked)
            }
            (Some(_), ..) => {
                Err(WayError::Malformed("Transfer-Encoding is not chunked, or is not in HTTP/1.1"))
            }
        }
    }

    fn body(self) -> Body {
        match self {
            Framing::None => Body::Length(0),
            Framing::Length(length) => Body::Length(length),
            Framing::Chunked => Body::Chunked(Chunks::default()),
        }
    }
}

/// The target and the rest of an absolute URI, in origin form (RFC 9112, 3.2).
fn absolute(uri: &str, method: &str) -> Result<(HostPort, String), WayError> {
    if uri.starts_with('/') || uri == "*" {
        return Err(WayError::Malformed(
            "this is a proxy, not a web server: enter its address as the proxy of your program",
        ));
    }
    let Some((scheme, rest)) = uri.split_once("://") else {
        return Err(WayError::Malformed("expected an address that begins with http://"));
    };
    if !scheme.eq_ignore_ascii_case("http") {
        return Err(WayError::Malformed("only http:// comes this way: use CONNECT for the others"));
    }
    if rest.contains('#') {
        return Err(WayError::Malformed("an address with a fragment (#)"));
    }
    let (name, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let target = authority(name, Some(HTTP_PORT))?;
    let path = match path {
        "" if method == "OPTIONS" => "*".to_owned(),
        path if path.starts_with('/') => path.to_owned(),
        path => format!("/{path}"),
    };
    Ok((target, path))
}

/// The target that `HOST:PORT` names, in the letters that need no escape. A URI may lack the port.
fn authority(text: &str, default_port: Option<u16>) -> Result<HostPort, WayError> {
    const BAD: WayError = WayError::BadTarget("expected HOST:PORT or [IPV6]:PORT");
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or(BAD)?;
        // An address with a zone, such as fe80::1%eth0, is none: zones mean something on one
        // machine only.
        host.parse::<Ipv6Addr>().map_err(|_| BAD)?;
        let port = after.strip_prefix(':');
        if port.is_none() && !after.is_empty() {
            return Err(BAD);
        }
        (host, port)
    } else {
        let (host, port) = text.split_once(':').map_or((text, None), |(h, p)| (h, Some(p)));
        if !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)) {
            return Err(BAD);
        }
        (host, port)
    };
    let port = match (port, default_port) {
        (None | Some(""), Some(default)) => default,
        (None, None) => return Err(BAD),
        (Some(digits), _) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().map_err(|_| BAD)?
        }
        _ => return Err(BAD),
    };
    target(host.as_bytes(), port)
}

/// The head for the origin.
fn rewrite(
    (method, path, version): (&str, &str, u8),
    target: &HostPort,
    fields: &[Header<'_>],
    framing: Framing,
) -> Vec<u8> {
    // The version remains the program's. The origin's answer passes unread, so it must be one that
    // the program understands.
    let mut out = format!("{method} {path} HTTP/1.{version}\r\nHost: ").into_bytes();
    let host = target.to_string();
    let host = match host.strip_suffix(":80") {
        Some(bare) if target.port == HTTP_PORT => bare,
        _ => &host,
    };
    out.extend_from_slice(host.as_bytes());
    out.extend_from_slice(b"\r\n");
    let named: Vec<&[u8]> = all(fields, "connection")
        .flat_map(|value| value.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .collect();
    for Header { name, value } in fields {
        let is_named = named.iter().any(|other| other.eq_ignore_ascii_case(name.as_bytes()));
        if is_named || DROPPED.iter().any(|other| other.eq_ignore_ascii_case(name)) {
            continue;
        }
        for part in [name.as_bytes(), b": ", value, b"\r\n"] {
            out.extend_from_slice(part);
        }
    }
    match framing {
        Framing::None => {}
        Framing::Length(length) => {
            out.extend_from_slice(format!("Content-Length: {length}\r\n").as_bytes());
        }
        Framing::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
    }
    // Trailers pass, so the wish for them does. Connection must name it (RFC 9110, 10.1.4).
    let mut wishes = all(fields, "te").map(|value| value.eq_ignore_ascii_case(b"trailers"));
    let has_trailers = wishes.next().is_some_and(|first| first && wishes.all(|wish| wish));
    out.extend_from_slice(if has_trailers {
        b"TE: trailers\r\nConnection: close, TE\r\n\r\n"
    } else {
        b"Connection: close\r\n\r\n"
    });
    out
}

pub(super) fn accepted() -> Vec<u8> {
    b"HTTP/1.1 200 Connection established\r\n\r\n".to_vec()
}

/// RFC 9110, 15.5.9.
pub(super) fn late() -> Vec<u8> {
    answer("408 Request Timeout", "", "the request took too long")
}

pub(super) fn refused(failure: Failure) -> Vec<u8> {
    let status = match failure {
        Failure::NotAllowed => "403 Forbidden",
        Failure::Refused | Failure::Unreachable | Failure::UnknownHost | Failure::Other => {
            "502 Bad Gateway"
        }
        Failure::NoServer | Failure::WrongKey | Failure::Draining => "503 Service Unavailable",
        Failure::TimedOut => "504 Gateway Timeout",
    };
    answer(status, "", &failure.to_string())
}

fn refuse(error: WayError) -> Step {
    let (status, field) = match error {
        WayError::TooLong => ("431 Request Header Fields Too Large", ""),
        WayError::NoPassword | WayError::WrongPassword => (
            "407 Proxy Authentication Required",
            "Proxy-Authenticate: Basic realm=\"striper\", charset=\"UTF-8\"\r\n",
        ),
        WayError::Unsupported(_) => (
            "405 Method Not Allowed",
            "Allow: CONNECT, DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT\r\n",
        ),
        WayError::Malformed(_) | WayError::BadTarget(_) => ("400 Bad Request", ""),
        WayError::Unknown(_) | WayError::Over => ("400 Bad Request", ""),
    };
    Step::Fail { bytes: answer(status, field, &error.to_string()), error }
}

/// An answer of the proxy itself, with one more field that ends its line, or none.
fn answer(status: &str, field: &str, text: &str) -> Vec<u8> {
    let length = text.len() + 1;
    let head = format!("HTTP/1.1 {status}\r\n{field}Content-Type: text/plain\r\n");
    format!("{head}Content-Length: {length}\r\nConnection: close\r\n\r\n{text}\n").into_bytes()
}

#[cfg(test)]
mod tests;
