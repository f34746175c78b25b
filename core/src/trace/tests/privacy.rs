//! Nobody's data, targets and session ids are in a trace.

use super::*;

#[test]
fn nothing_private_is_in_a_trace() {
    let ops: Ops = busy();
    let texts = Pair::run(&ops, b'#', 2);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    for text in texts {
        assert!(text.contains("open 1 ") || text.contains("incoming 1 "), "targets are met");
        for secret in TARGETS.map(str::as_bytes).iter().take(2).chain([&&SECRET.0[..]]) {
            for part in secret.windows(4) {
                assert!(!text.contains(&hex(part)), "{}", secret.escape_ascii());
                let part = core::str::from_utf8(part).unwrap();
                assert!(!text.contains(part), "{}", secret.escape_ascii());
            }
        }
        for run in [[0, 1, 2, 3], [4, 5, 6, 7]] {
            // Any payload of some length has such runs, whatever it is filled with.
            let filled = (0..=255).map(|filling| hex(&run.map(|at| at ^ filling)));
            assert!(filled.into_iter().all(|payload| !text.contains(&payload)), "payload");
        }
        assert!(!text.contains(&0xfe_edbe_ef5e_c2e7_u64.to_string()), "the instance");
    }
}

#[test]
fn a_target_has_the_same_alias_wherever_it_is_met_whole() {
    let mut aliases = alias::Aliases::default();
    let open = |target: &'static str| {
        let opaque = Bytes::from_static(target.as_bytes());
        crate::wire::frame::Frame::Open { flow: FlowId(1), early: 5, credit: 6, opaque }.encode(0)
    };
    let mut whole = |target| framing::Framing::new().split(&open(target), &mut aliases);
    let (first, second, third) = (whole(TARGETS[0]), whole(TARGETS[1]), whole(TARGETS[0]));
    assert_eq!(first, third);
    assert_ne!(first, second);
}

#[test]
fn a_target_that_arrives_in_parts_is_hidden_in_every_part() {
    let opaque = Bytes::from_static(TARGETS[0].as_bytes());
    let open =
        crate::wire::frame::Frame::Open { flow: FlowId(1), early: 5, credit: 6, opaque }.encode(3);
    let bytes = [&open[..], b"abc"].concat();
    for cut in 0..bytes.len() {
        let mut aliases = alias::Aliases::default();
        let mut framing = framing::Framing::new();
        let mut runs = framing.split(&bytes[..cut], &mut aliases);
        runs.extend(framing.split(&bytes[cut..], &mut aliases));
        let mut head = Vec::new();
        let mut payload = 0;
        for run in runs {
            match run {
                Run::Head(bytes) => head.extend_from_slice(&bytes),
                Run::Payload(len) => payload += len,
            }
        }
        assert_eq!((head.len(), payload), (open.len(), 3), "cut at {cut}");
        assert!(head.ends_with(&alias::target_bytes(1, TARGETS[0].len())), "cut at {cut}");
    }
}

#[test]
fn only_the_broken_part_of_a_broken_frame_is_kept() {
    let mut aliases = alias::Aliases::default();
    // A frame that is too long by its length alone, with what may be somebody's text behind it.
    let bytes = [&[0xff, 0xff, 0x7f][..], b"secret"].concat();
    let mut framing = framing::Framing::new();
    let runs = framing.split(&bytes, &mut aliases);
    assert_eq!(runs, [Run::Head(Bytes::from_static(&[0xff, 0xff, 0x7f])), Run::Payload(6)]);
    assert_eq!(framing.split(b"more", &mut aliases), [Run::Payload(4)]);
}
