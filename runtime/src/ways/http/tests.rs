//! Requests as programs write them, and as an attacker would.

use super::super::testing::{fail, request, users};
use super::super::users::credentials;
use super::*;

/// The new head of a plain request, and its body.
fn rewritten(whole: &str) -> (String, Body) {
    let (said, request, _) = request(&None, whole.as_bytes());
    assert_eq!((said, request.dialect), (vec![], Dialect::HttpPlain));
    (String::from_utf8(request.first).unwrap(), request.body)
}

/// The status and the error of a request that is refused.
fn status(whole: &[u8]) -> (u16, WayError) {
    let (said, bytes, error) = fail(&None, whole);
    assert_eq!(said, b"");
    (code(&bytes), error)
}

/// The status of an answer, which must be one that programs can read.
fn code(answer: &[u8]) -> u16 {
    let mut fields = [EMPTY_HEADER; 8];
    let mut head = httparse::Response::new(&mut fields);
    let Ok(Status::Complete(used)) = head.parse(answer) else { panic!("{answer:?}") };
    let length = (answer.len() - used).to_string();
    let value = |name| all(head.headers, name).collect::<Vec<_>>();
    assert_eq!(value("content-length"), [length.as_bytes()]);
    assert_eq!(value("connection"), [b"close"]);
    assert_eq!(value("content-type"), [b"text/plain"]);
    assert_eq!(
        answer[used..].iter().position(|byte| *byte == b'\n'),
        Some(answer.len() - used - 1)
    );
    assert_eq!(value("proxy-authenticate").len(), usize::from(head.code == Some(407)));
    assert_eq!(value("allow").len(), usize::from(head.code == Some(405)));
    head.code.unwrap()
}

#[test]
fn connect_names_its_target_and_data_follows() {
    for (name, expected) in [
        ("example.org:443", "example.org:443"),
        ("example.org.:443", "example.org.:443"),
        ("127.0.0.1:80", "127.0.0.1:80"),
        ("[::1]:65535", "[::1]:65535"),
        ("[::ffff:1.2.3.4]:1", "[::ffff:1.2.3.4]:1"),
    ] {
        let whole =
            format!("CONNECT {name} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n\r\ndata");
        let (said, request, rest) = request(&None, whole.as_bytes());
        assert_eq!(said, b"");
        assert_eq!(request.target.to_string(), expected);
        assert_eq!((request.dialect, request.body), (Dialect::HttpConnect, Body::Endless));
        assert_eq!((&request.first[..], &rest[..]), (&b""[..], &b"\r\ndata"[..]));
    }
}

#[test]
fn a_head_that_is_late_is_408() {
    let mut handshake = super::super::Handshake::new(None);
    assert_eq!(handshake.step(b"GET http://a/ HTTP/1.1\r\n"), Step::More);
    assert_eq!(code(&handshake.late()), 408);
}

#[test]
fn bad_targets_of_connect_and_of_uris_are_400() {
    let long = format!("{}:1", "a".repeat(256));
    for name in [
        "example.org",
        "example.org:",
        ":443",
        "a:0",
        "a:65536",
        "a:+1",
        "a:1x",
        "a:1:2",
        "a@b:1",
        "a%20b:1",
        "a/b:1",
        "::1:1",
        "[::1]",
        "[::1]1",
        "[::1:1",
        "[a]:1",
        "[fe80::1%eth0]:1",
        "[fe80::1%25eth0]:1",
        "a\\b:1",
        "b\u{fc}cher:1",
        "http://a:1/",
        &long,
    ] {
        let (code, error) = status(format!("CONNECT {name} HTTP/1.1\r\n\r\n").as_bytes());
        assert_eq!(code, 400, "{name}");
        assert!(matches!(error, WayError::BadTarget(_)), "{name}: {error}");
    }
    for name in ["", ":80", "u:p@a", "a:0", "[fe80::1%eth0]", "a\\@b", "a:b", &long] {
        let (code, error) = status(format!("GET http://{name}/ HTTP/1.1\r\n\r\n").as_bytes());
        assert_eq!(code, 400, "{name}");
        assert!(matches!(error, WayError::BadTarget(_)), "{name}: {error}");
    }
    let (_, request, _) =
        request(&None, format!("CONNECT {} HTTP/1.1\r\n\r\n", &long[1..]).as_bytes());
    assert_eq!(request.target.host.len(), 255);
}

#[test]
fn a_plain_request_is_rewritten_to_origin_form() {
    let whole = "GET http://example.org/a?b=c HTTP/1.1\r\nhost: other\r\nAccept: */*\r\n\
                 Cookie:  a=b \r\nProxy-Connection: keep-alive\r\n\r\nnext";
    let expected = "GET /a?b=c HTTP/1.1\r\nHost: example.org\r\nAccept: */*\r\nCookie: a=b\r\n\
                    Connection: close\r\n\r\n";
    assert_eq!(rewritten(whole), (expected.to_owned(), Body::Length(0)));
    let (_, request, rest) = request(&None, whole.as_bytes());
    assert_eq!(request.target, HostPort::new("example.org", 80));
    assert_eq!(rest, b"next");
}

#[test]
fn paths_ports_and_versions_of_uris_are_kept_or_filled_in() {
    for (first, expected) in [
        ("GET http://a HTTP/1.1", "GET / HTTP/1.1\r\nHost: a"),
        ("GET http://a: HTTP/1.1", "GET / HTTP/1.1\r\nHost: a"),
        ("GET HTTP://a:80?q HTTP/1.0", "GET /?q HTTP/1.0\r\nHost: a"),
        ("get http://a:8080// HTTP/1.1", "get // HTTP/1.1\r\nHost: a:8080"),
        ("GET http://[::1]:81/x HTTP/1.1", "GET /x HTTP/1.1\r\nHost: [::1]:81"),
        ("GET http://[::80]/x HTTP/1.1", "GET /x HTTP/1.1\r\nHost: [::80]"),
        ("GET http://a/http://b/ HTTP/1.1", "GET /http://b/ HTTP/1.1\r\nHost: a"),
        ("OPTIONS http://a HTTP/1.1", "OPTIONS * HTTP/1.1\r\nHost: a"),
        ("OPTIONS http://a/ HTTP/1.1", "OPTIONS / HTTP/1.1\r\nHost: a"),
    ] {
        let expected = format!("{expected}\r\nConnection: close\r\n\r\n");
        assert_eq!(rewritten(&format!("{first}\r\n\r\n")).0, expected);
        // A line may end with LF alone (RFC 9112, 2.2).
        assert_eq!(rewritten(&format!("{first}\n\n")).0, expected);
    }
}

#[test]
fn fields_for_the_proxy_alone_do_not_reach_the_origin() {
    let whole = "POST http://a/ HTTP/1.1\r\nConnection: keep-alive, X-One ,upgrade\r\nX-One: 1\r\n\
                 connection: x-two,Content-Length, Host\r\nX-Two: 2\r\nKeep-Alive: \r\nTE: gzip\r\n\
                 Proxy-Authorization: Basic x\r\nUpgrade: h2c\r\nX-Three: 3\r\n\
                 Content-Length: 3\r\n\r\n";
    let expected = "POST / HTTP/1.1\r\nHost: a\r\nX-Three: 3\r\nContent-Length: 3\r\n\
                    Connection: close\r\n\r\n";
    assert_eq!(rewritten(whole), (expected.to_owned(), Body::Length(3)));
    let (head, _) = rewritten("GET http://a/ HTTP/1.1\r\nTE: Trailers\r\nConnection: TE\r\n\r\n");
    let expected = "GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: close, TE\r\n\r\n";
    assert_eq!(head, expected);
    let (head, _) = rewritten("GET http://a/ HTTP/1.1\r\nTE: trailers\r\nTE: gzip\r\n\r\n");
    assert!(!head.contains("TE"), "{head}");
}

#[test]
fn a_body_has_its_length_or_is_chunked() {
    let post = |fields: &str| rewritten(&format!("POST http://a/ HTTP/1.1\r\n{fields}\r\n"));
    let (head, body) = post("Content-Length: 007\r\nContent-Length: 7\r\n");
    assert_eq!(body, Body::Length(7));
    assert!(head.contains("\r\nContent-Length: 7\r\n"), "{head}");
    assert_eq!(post(&format!("Content-Length: {}\r\n", u64::MAX)).1, Body::Length(u64::MAX));
    let (head, body) = post("transfer-encoding: Chunked\r\nConnection: transfer-encoding\r\n");
    assert_eq!(body, Body::Chunked(Chunks::default()));
    assert!(head.contains("\r\nTransfer-Encoding: chunked\r\n"), "{head}");
}

#[test]
fn requests_whose_end_is_arguable_are_400() {
    for fields in [
        "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
        "Content-Length: 1\r\nContent-Length: 2\r\n",
        "Content-Length: 1, 1\r\n",
        "Content-Length: +1\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0x1\r\n",
        "Content-Length: 1 1\r\n",
        "Content-Length:\r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding:\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Content-Length : 1\r\n",
        " Content-Length: 1\r\n",
        "X: 1\r\n Content-Length: 1\r\n",
        "X: 1\r\n\tfolded\r\n",
        "X: 1\rContent-Length: 1\r\n",
        "X: 1\r\rY: 2\r\n",
        "X\r: 1\r\n",
        "X: a\0b\r\n",
        "X\0: a\r\n",
        ": 1\r\n",
        "X\r\n",
        "Host: a\r\nHost: b\r\n",
    ] {
        for first in ["POST http://a/ HTTP/1.1", "CONNECT a:1 HTTP/1.1"] {
            let (code, error) = status(format!("{first}\r\n{fields}\r\n").as_bytes());
            assert_eq!(code, 400, "{fields:?}");
            assert!(matches!(error, WayError::Malformed(_)), "{fields:?}: {error}");
        }
    }
    let old = b"POST http://a/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(status(old).0, 400);
    for field in ["Content-Length: 1", "Transfer-Encoding: chunked"] {
        let whole = format!("CONNECT a:1 HTTP/1.1\r\n{field}\r\n\r\n");
        assert_eq!(status(whole.as_bytes()), (400, WayError::Malformed("CONNECT has no body")));
    }
}

#[test]
fn first_lines_that_are_none_of_a_proxy_are_400_and_say_what_to_do() {
    for (first, word) in [
        ("GET / HTTP/1.1", "this is a proxy"),
        ("OPTIONS * HTTP/1.1", "this is a proxy"),
        ("GET https://a/ HTTP/1.1", "CONNECT"),
        ("GET ftp://a/ HTTP/1.1", "CONNECT"),
        ("GET http:/a HTTP/1.1", "http://"),
        ("GET a:80 HTTP/1.1", "http://"),
        ("GET http://a/#b HTTP/1.1", "fragment"),
        ("GET http://a/ HTTP/2.0", "HTTP/1.0"),
        ("GET http://a/\tHTTP/1.1", "first line"),
        ("GET http://a/ b HTTP/1.1", "HTTP/1.0"),
        ("GET  http://a/ HTTP/1.1", "first line"),
        ("GET http://a/\0 HTTP/1.1", "first line"),
        ("GET http://a/\r HTTP/1.1", "first line"),
        ("SSH-2.0-OpenSSH_9.9", "first line"),
    ] {
        let (code, error) = status(format!("{first}\r\n\r\n").as_bytes());
        assert_eq!(code, 400, "{first:?}");
        assert!(error.to_string().contains(word), "{first:?}: {error}");
    }
    for whole in [
        "TRACE http://a/ HTTP/1.1\r\n\r\n",
        "OPTIONS http://a/ HTTP/1.1\r\nMax-Forwards: 0\r\n\r\n",
    ] {
        assert_eq!(status(whole.as_bytes()).0, 405);
    }
}

#[test]
fn a_head_may_have_16384_bytes_and_100_fields_and_no_more() {
    let of = |length: usize| {
        let mut head = b"CONNECT a:1 HTTP/1.1\r\nX: ".to_vec();
        head.resize(length - 4, b'x');
        head.extend_from_slice(b"\r\n\r\n");
        head
    };
    let (_, _, rest) = request(&None, &[&of(16384)[..], b"data"].concat());
    assert_eq!(rest, b"data");
    assert_eq!(status(&of(16385)), (431, WayError::TooLong));
    // Refused before more comes, also without any end of a line.
    assert_eq!(status(&[b'A'; 16384]), (431, WayError::TooLong));
    let fields = |count| format!("CONNECT a:1 HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(count));
    request(&None, fields(100).as_bytes());
    assert_eq!(status(fields(101).as_bytes()), (431, WayError::TooLong));
}

#[test]
fn users_need_their_password_and_others_are_asked_for_one() {
    let some = Some(users());
    let token = String::from_utf8(credentials(b"ann", b"secret")).unwrap();
    let wrong = String::from_utf8(credentials(b"ann", b"secreT")).unwrap();
    for first in ["GET http://a/ HTTP/1.1", "CONNECT a:1 HTTP/1.1"] {
        for scheme in ["Basic ", "bAsIC   "] {
            let whole = format!("{first}\r\nproxy-authorization: {scheme}{token}\r\n\r\n");
            let (_, request, _) = request(&some, whole.as_bytes());
            assert!(!String::from_utf8(request.first).unwrap().contains(&token));
        }
        let right = format!("Proxy-Authorization: Basic {token}\r\n");
        for (fields, expected) in [
            (String::new(), WayError::NoPassword),
            (format!("Authorization: Basic {token}\r\n"), WayError::NoPassword),
            (format!("Proxy-Authorization: Digest {token}\r\n"), WayError::NoPassword),
            (format!("Proxy-Authorization: Basic{token}\r\n"), WayError::NoPassword),
            (format!("{right}{right}"), WayError::NoPassword),
            (format!("Proxy-Authorization: Basic {wrong}\r\n"), WayError::WrongPassword),
            ("Proxy-Authorization: Basic\r\n".into(), WayError::WrongPassword),
            ("Proxy-Authorization: Basic ann:secret\r\n".into(), WayError::WrongPassword),
        ] {
            let (_, bytes, error) = fail(&some, format!("{first}\r\n{fields}\r\n").as_bytes());
            assert_eq!((code(&bytes), error), (407, expected), "{fields}");
        }
    }
}

#[test]
fn each_failure_has_its_status_in_http() {
    let accepted = b"HTTP/1.1 200 Connection established\r\n\r\n";
    assert_eq!(Dialect::HttpConnect.accepted(), accepted);
    assert_eq!(Dialect::HttpPlain.accepted(), b"");
    for (failure, expected) in [
        (Failure::NotAllowed, 403),
        (Failure::Refused, 502),
        (Failure::Unreachable, 502),
        (Failure::UnknownHost, 502),
        (Failure::Other, 502),
        (Failure::NoServer, 503),
        (Failure::WrongKey, 503),
        (Failure::Draining, 503),
        (Failure::TimedOut, 504),
    ] {
        for dialect in [Dialect::HttpConnect, Dialect::HttpPlain] {
            let answer = dialect.refused(failure);
            assert_eq!(code(&answer), expected);
            assert!(String::from_utf8(answer).unwrap().ends_with(&format!("\r\n\r\n{failure}\n")));
        }
    }
    let exact = "HTTP/1.1 504 Gateway Timeout\r\nContent-Type: text/plain\r\nContent-Length: 34\r\n\
                 Connection: close\r\n\r\nthe target did not answer in time\n";
    assert_eq!(Dialect::HttpConnect.refused(Failure::TimedOut), exact.as_bytes());
}
