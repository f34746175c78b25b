//! The log's lines about events.

use super::sessions::adaptation;
use super::throttle::ORDINARY;
use super::*;
use striper_core::EndReason;
use striper_runtime::{Adapted, Congestion, DialError, Past, SessionTag, StripeRefusal};

const SESSION: SessionTag = SessionTag([7; 4]);

fn ended(reason: EndReason, flows: usize) -> Event {
    Event::SessionEnded { session: SESSION, reason, revoked: false, flows }
}

#[test]
fn many_sessions_have_few_lines_and_hide_no_violation() {
    let (log, paper) = Log::on_paper();
    let tell = listener(&log, LINES);
    let session = SESSION;
    for _ in 0..100 {
        tell(Event::SessionStarted { session, peer: None, from: None });
        tell(ended(EndReason::PeerClosed, 0));
    }
    tell(ended(EndReason::PeerComplained, 0));
    let written = paper.take(&log);
    assert_eq!(written.lines().filter(|line| line.contains("is up")).count(), 20, "{written}");
    assert_eq!(written.lines().filter(|line| line.contains("has ended")).count(), 21, "{written}");
    assert!(written.lines().last().unwrap().contains("warn"), "{written}");
}

#[test]
fn no_kind_of_event_fills_the_log_however_often_it_is_caused() {
    let session = SESSION;
    let (stripe, from) = (striper_core::StripeId(3), "192.0.2.1:7".parse().unwrap());
    let (live, wanted, peer, place, flows) = (1, 1, Some(from), 1, 2);
    let server = || striper_runtime::HostPort { host: "there".into(), port: 1 };
    type Cause<'a> = (&'a str, u32, &'a dyn Fn() -> Event);
    let callers = std::cell::Cell::new(0);
    let causes: [Cause<'_>; 15] = [
        ("session_started", 1, &|| Event::SessionStarted { session, peer: None, from: Some(from) }),
        ("session_stranded", 1, &|| {
            let wait = Duration::from_secs(60);
            Event::SessionStranded { session, peer: None, from: Some(from), flows, wait }
        }),
        ("session_resumed", 1, &|| Event::SessionResumed { session, flows }),
        ("peer_stopping", 1, &|| Event::PeerStopping { session, flows }),
        ("session_ended", 1, &|| ended(EndReason::PeerClosed, flows)),
        ("session_ended", 1, &|| ended(EndReason::NoStripe, flows)),
        ("session_forgotten", 1, &|| Event::SessionForgotten { session, flows }),
        ("stripe_up", ORDINARY, &|| Event::StripeUp { session, stripe, place, peer, live, wanted }),
        ("stripe_lost", ORDINARY, &|| {
            let reason = striper_runtime::StripeLoss::ClosedByPeer;
            Event::StripeLost { session, stripe, place, peer, live, wanted, reason }
        }),
        ("stripes_adapted", 1, &|| {
            let adapted = Adapted::Changed { congestion: Congestion::lossy() };
            let (stripes, lossy, lost) = (4, true, 0.1);
            Event::StripesAdapted { session, stripe, place, peer, stripes, lossy, lost, adapted }
        }),
        ("peer_unreachable", 1, &|| Event::PeerUnreachable {
            server: server(),
            cause: DialError::Refused,
            past: Past::Unmet,
            news: true,
        }),
        ("peer_reached", 1, &|| Event::PeerReached { server: server() }),
        ("memory_short", 1, &|| Event::MemoryShort { session, flows: 3, ended: true }),
        ("stripe_refused", 1, &|| {
            // Each from another address: one alone gets a single line.
            let address = std::net::Ipv4Addr::from_bits(callers.replace(callers.get() + 1));
            let from = (address, 1).into();
            Event::StripeRefused { from, error: StripeRefusal::Stalled }
        }),
        ("trace_stopped", 1, &|| Event::TraceStopped { path: "t".into(), cause: "full".into() }),
    ];
    for (name, times, event) in causes {
        let (log, paper) = Log::on_paper_with(crate::log::Verbosity::Verbose);
        let tell = listener(&log, 3);
        for _ in 0..4 * ORDINARY {
            tell(event());
        }
        assert_eq!(paper.take(&log).lines().count(), 3 * times as usize, "{name}");
    }
}

#[test]
fn a_lack_of_files_that_comes_and_goes_has_one_line() {
    let (log, paper) = Log::on_paper();
    let tell = listener(&log, LINES);
    for errno in [Errno::MFILE, Errno::MFILE, Errno::NFILE, Errno::MFILE] {
        tell(Event::AcceptFailed { error: errno.into() });
    }
    let written = paper.take(&log);
    assert_eq!(written.lines().count(), 2, "{written}");
    assert!(written.contains("ulimit -n") && written.contains("fs.file-max"), "{written}");
}

#[test]
fn a_session_names_its_peer() {
    let (log, paper) = Log::on_paper();
    let tell = listener(&log, LINES);
    let (session, from) = (SESSION, Some("192.0.2.1:7".parse().unwrap()));
    tell(Event::SessionStarted { session, peer: Some("site".into()), from });
    tell(Event::SessionStarted { session, peer: None, from });
    let written = paper.take(&log);
    let expected = "session 07070707 with 192.0.2.1:7 (key site) is up";
    assert!(written.lines().next().unwrap().ends_with(expected), "{written}");
    assert!(written.ends_with("session 07070707 with 192.0.2.1:7 is up\n"), "{written}");
}

#[test]
fn connections_without_a_stripe_have_lines_until_they_go_on_or_end() {
    let (log, paper) = Log::on_paper();
    let tell = listener(&log, LINES);
    let (session, from) = (SESSION, Some("192.0.2.1:7".parse().unwrap()));
    let wait = Duration::from_secs(60);
    tell(Event::SessionStranded { session, peer: None, from, flows: 3, wait });
    tell(Event::SessionResumed { session, flows: 1 });
    tell(ended(EndReason::NoStripe, 3));
    tell(ended(EndReason::NoStripe, 0));
    let written = paper.take(&log);
    let lines: Vec<&str> = written.lines().collect();
    let kept =
        "warn  session 07070707 with 192.0.2.1:7 has no stripe left: 3 connections are kept until ";
    assert!(lines[0].contains(kept), "{written}");
    assert!(lines[0].ends_with("Z, in case the peer comes back"), "{written}");
    assert!(lines[1].ends_with("has a stripe again: 1 connection goes on"), "{written}");
    assert!(lines[2].contains("warn"), "{written}");
    assert!(lines[2].ends_with("3 connections were reset"), "{written}");
    assert!(lines[3].contains("info") && lines[3].ends_with("came back in time"), "{written}");
}

#[test]
fn loopback_is_not_public_in_any_spelling() {
    for address in ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"] {
        assert!(!is_public(address.parse().unwrap()), "{address}");
    }
    for address in ["0.0.0.0", "::", "192.168.1.1"] {
        assert!(is_public(address.parse().unwrap()), "{address}");
    }
}

#[test]
fn a_change_of_congestion_control_has_its_reason() {
    let (calm, congestion) = (Congestion::calm(), Congestion::lossy());
    let cause = io::ErrorKind::PermissionDenied;
    for (lossy, lost, adapted, text) in [
        (
            true,
            0.0123,
            Adapted::Changed { congestion: congestion.clone() },
            "1.2% of packets lost without a queue; bbr from now on",
        ),
        (
            false,
            0.0,
            Adapted::Changed { congestion: calm },
            "0.0% of packets lost; cubic from now on",
        ),
        (
            true,
            0.0123,
            Adapted::Denied { congestion, cause },
            "1.2% of packets lost without a queue; bbr can't be used: only root may choose it",
        ),
    ] {
        assert_eq!(adaptation(lossy, lost, &adapted).unwrap().0, text);
    }
    assert_eq!(adaptation(true, 0.1, &Adapted::Kept), None);
}
