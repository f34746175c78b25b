use super::*;
use crate::wire::varint::tests::number;
use alloc::vec;
use quickcheck::{Arbitrary, Gen, quickcheck};

/// One frame of each type with its bytes, payload included.
pub(crate) fn golden() -> Vec<(Frame, &'static [u8], &'static [u8])> {
    let (flow, stripe) = (FlowId(1), StripeId(3));
    let counts = [(StripeId(0), 5), (stripe, 200)];
    let open = |early, credit, opaque: &'static [u8]| Frame::Open {
        flow,
        early,
        credit,
        opaque: Bytes::from_static(opaque),
    };
    vec![
        (open(245_760, 262_144, b"ab"), b"\x0d\x01\x01\x80\x80\x0f\x80\x80\x10\x02ab", b"hi"),
        (open(0, 0, b""), b"\x05\x01\x01\x00\x00\x00", b""),
        (Frame::Accept { flow }, b"\x02\x03\x01", b""),
        (Frame::Refuse { flow, reason: 200 }, b"\x04\x05\x01\xc8\x01", b""),
        (Frame::Data { flow, offset: 300, fin: false }, b"\x08\x07\x01\xac\x02\x00", b"hey"),
        (Frame::Data { flow, offset: 303, fin: true }, b"\x08\x07\x01\xaf\x02\x01", b"you"),
        (Frame::Data { flow, offset: 0, fin: true }, b"\x04\x07\x01\x00\x01", b""),
        (Frame::Reset { flow, reason: 0, final_offset: 5 }, b"\x04\x09\x01\x00\x05", b""),
        (Frame::Credit { flow, limit: 300 }, b"\x04\x0b\x01\xac\x02", b""),
        (Frame::Grant { flows: 64, early: 1 }, b"\x03\x0d\x40\x01", b""),
        (Frame::Ack { counts: counts.to_vec() }, b"\x06\x0f\x00\x05\x03\xc8\x01", b""),
        (Frame::StripeGone { stripe, received: 9 }, b"\x03\x11\x03\x09", b""),
        (Frame::Ping { nonce: 7 }, b"\x02\x13\x07", b""),
        (Frame::Pong { nonce: 7 }, b"\x02\x15\x07", b""),
        (Frame::Drain, b"\x01\x17", b""),
        (Frame::Close { code: 2 }, b"\x02\x19\x02", b""),
        (Frame::Blocked { flow, limit: 300 }, b"\x04\x1a\x01\xac\x02", b""),
    ]
}

impl Arbitrary for Frame {
    fn arbitrary(g: &mut Gen) -> Self {
        let (flow, stripe) = (FlowId(number(g)), StripeId(number(g)));
        let (a, b) = (number(g), number(g));
        match u8::arbitrary(g) % 14 {
            0 => {
                let opaque = vec![7; usize::arbitrary(g) % (MAX_OPAQUE + 1)];
                Frame::Open { flow, early: a, credit: b, opaque: Bytes::from(opaque) }
            }
            1 => Frame::Accept { flow },
            2 => Frame::Refuse { flow, reason: a },
            3 => Frame::Data { flow, offset: a, fin: bool::arbitrary(g) },
            4 => Frame::Reset { flow, reason: a, final_offset: b },
            5 => Frame::Credit { flow, limit: a },
            6 => Frame::Grant { flows: a, early: b },
            7 => {
                let count = 1 + usize::arbitrary(g) % MAX_ACKS;
                let counts = (0..count).map(|_| (StripeId(number(g)), number(g))).collect();
                Frame::Ack { counts }
            }
            8 => Frame::StripeGone { stripe, received: a },
            9 => Frame::Ping { nonce: a },
            10 => Frame::Pong { nonce: a },
            11 => Frame::Drain,
            12 => Frame::Close { code: a },
            _ => Frame::Blocked { flow, limit: a },
        }
    }
}

quickcheck! {
    fn frames_survive_and_truncated_heads_ask_for_more(frame: Frame, payload: u16) -> bool {
        let payload = match frame {
            Frame::Data { fin: false, .. } => 1 + usize::from(payload),
            Frame::Data { .. } | Frame::Open { .. } => usize::from(payload),
            _ => 0,
        };
        let head = frame.encode(payload);
        assert!(head.len() <= MAX_HEAD);
        for cut in 0..head.len() {
            assert_eq!(parse(&head[..cut]), Ok(Parsed::More));
        }
        let parsed = parse(&[&head[..], &[0xff; 5]].concat());
        parsed == Ok(Parsed::Frame { frame, head: head.len(), payload: payload as u64 })
    }

    fn no_fields_panic(length: u8, kind: u8, fields: Vec<u8>) -> bool {
        let bytes = [&[length % 64, kind % 0x20], &fields[..]].concat();
        match parse(&bytes) {
            Ok(Parsed::Frame { head, payload, .. }) => head <= bytes.len() && payload <= MAX_FRAME,
            Ok(Parsed::Skip { head, rest }) => head <= bytes.len() && rest <= MAX_FRAME,
            Ok(Parsed::More) => bytes.len() < MAX_HEAD,
            Err(_) => true,
        }
    }
}

#[test]
fn each_type_has_its_known_bytes_and_only_a_whole_head_is_decoded() {
    for (frame, head, payload) in golden() {
        assert_eq!(frame.encode(payload.len()), head);
        let (length, whole) = (payload.len() as u64, [head, payload].concat());
        let parsed = Parsed::Frame { head: head.len(), payload: length, frame: frame.clone() };
        assert_eq!(parse(&whole), Ok(parsed));
        assert_eq!(Frame::decode(&head[..head.len() - 1]), None);
        assert_eq!(Frame::decode(&whole), Some(frame));
    }
    assert_eq!(Frame::decode(b"\x01\x00"), None, "to be skipped");
    assert_eq!(Frame::decode(b"\x01\x03"), None, "malformed");
}

#[test]
fn a_frame_over_the_limits_is_refused_by_its_length_alone() {
    for (length, kind, parsed) in [
        (MAX_FRAME, kind::DATA, Ok(Parsed::More)),
        (MAX_FRAME + 1, kind::DATA, Err(Violation::FrameTooLong)),
        (MAX_CONTROL, kind::ACK, Ok(Parsed::More)),
        (MAX_CONTROL + 1, kind::ACK, Err(Violation::FrameTooLong)),
        (varint::MAX, kind::DATA, Err(Violation::FrameTooLong)),
    ] {
        let mut bytes = Vec::new();
        put(&mut bytes, &[length, kind]);
        assert_eq!(parse(&bytes), parsed, "{length} bytes of {kind}");
    }
    assert_eq!(parse(&[0xff; 9]), Err(Violation::BadVarint));
}

#[test]
fn unknown_types_are_refused_when_odd_and_skipped_when_even() {
    assert_eq!(parse(b"\x04\x1bxyz"), Err(Violation::UnknownCriticalFrame));
    assert_eq!(parse(b"\x05\x81\x01xyz"), Err(Violation::UnknownCriticalFrame));
    assert_eq!(parse(b"\x04\x1cxyz"), Ok(Parsed::Skip { head: 2, rest: 3 }));
    assert_eq!(parse(b"\x05\x80\x01xyz"), Ok(Parsed::Skip { head: 3, rest: 3 }));
    assert_eq!(parse(b"\x01\x00"), Ok(Parsed::Skip { head: 2, rest: 0 }));
}

#[test]
fn fields_must_fill_the_length_exactly() {
    for bytes in [
        &b"\x00"[..],
        // Fields behind the last one, and fields that overrun the length.
        b"\x03\x03\x01\x00",
        b"\x01\x03\x01",
        b"\x02\x17\x00",
        b"\x01\x0f",
        b"\x02\x0f\x00\x05",
        b"\x04\x01\x01\x00\x00\x00",
        b"\x06\x01\x01\x00\x00\x02ab",
        b"\x03\x07\x01\x00\x00",
        // DATA without bytes or FIN, and with an unknown flag.
        b"\x04\x07\x01\x00\x00",
        b"\x05\x07\x01\x00\x02x",
    ] {
        assert_eq!(parse(bytes), Err(Violation::MalformedFrame), "{bytes:x?}");
    }
}
