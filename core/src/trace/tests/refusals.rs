//! Text that can't be read, followed or replayed is named, and only a mistake of the caller panics.

use super::*;

#[test]
fn text_that_can_not_be_read_is_named_with_its_line() {
    let header = "striper trace 1\nprogram: x 1\nrole: client\nbirth: 0\n";
    for (text, line, part) in [
        ("", 1, "no trace"),
        ("hello\n", 1, "does not begin with"),
        ("striper trace 2\n", 1, "another version"),
        ("striper trace 1\nprogram: x 1\ncolour: red\nbegin\n", 3, "(x 1)"),
        ("striper trace 1\nrole: both\nbegin\n", 2, "role can't be"),
        ("striper trace 1\nstripes: 65\nbegin\n", 2, "at most 64"),
        ("striper trace 1\nmax-flows: 18446744073709551615\nbegin\n", 2, "is no number"),
        ("striper trace 1\nrole: client\n", 2, "no line \"begin\""),
    ] {
        let error = Trace::read(text).unwrap_err();
        assert!(error.line == line && error.problem.contains(part), "{text:?}: {error}");
    }
    for (line, part) in [
        (" wanted 4", "before the first input"),
        ("tick", "not a time"),
        ("5", "an input is missing"),
        ("5 dance", "no input \"dance\""),
        ("5 tick tick", "one word too many"),
        ("-5 tick", "not a time"),
        ("5 bytes 0 0g", "neither hexadecimal"),
        ("5 bytes 0 +99999999999", "at once, at most"),
        ("5 data 1 17000000", "up to 16 MiB"),
        ("5 open 1 1 513", "length of a target"),
        ("5 up 0 maybe session 1", "HELLO does not say"),
        ("end done\n5 tick", "follows the end"),
    ] {
        let error = Trace::read(&format!("{header}begin\n{line}\n")).unwrap_err();
        assert!(error.line >= 6 && error.problem.contains(part), "{line:?}: {error}");
    }
}

#[test]
fn a_choice_that_can_not_be_followed_is_named_with_its_reason() {
    let before = "striper trace 1
begin
0 tick
 wanted 4
0 up 0 welcome 1 session 1
 0 ping 1
 0 grant 16384 3932160
 wanted 3
0 open 7 1 5
 opened 7 1
 0 open 1 245760 262144 5 0
0 data 1 100000
";
    let good = "0 data 1 65536\n 0 data 1 0+65536\n 0 data 1 65536+100\n 0 data 1 100+50\n";
    fits(read(&format!("{before}{good}")).follow(), good);
    for (choice, part) in [
        ("1 data 1 0+100", "stripe 1 is not up"),
        ("0 data 3 0+100", "no flow 3"),
        ("0 data 1 0+65537", "no frame has 65537"),
        ("0 data 1 0+0", "no frame has 0"),
        ("0 data 1 100+100", "0 were sent"),
        ("0 data 1 0+100 fin", "does not end there"),
        ("0 data 1 4611686018427387903+5", "the credit ends at 262144"),
        ("0 pong 5", "no PONG is owed"),
        ("0 ack 0:5", "has brought 0 bytes, not 5"),
        ("0 ack 4:0", "no stripe 4"),
        ("0 gone 4 0", "no reason"),
        ("0 accept 1", "no reason"),
        ("0 reset 1 0 0", "no reason"),
        ("0 drain", "no reason"),
        ("0 blocked 1 5", "it would be"),
        ("0 credit 1 99999999999999999", "gives so much"),
        ("0 grant 99999999999999999 5", "gives so much"),
        ("0 open 1 0 262144 5 0", "early 245760"),
        ("0 open 3 0 0 5 0", "no flow 3"),
        ("0 close 0", ""),
        ("0 sing", "there is no frame \"sing\""),
    ] {
        let text = format!("{before}0 data 1 100\n {choice}\nend done\n");
        let divergence = read(&text).follow().expect_err(choice);
        let found = (divergence.line, divergence.expected.as_deref());
        assert_eq!(found, (14, Some(choice)), "{divergence}");
        let got = divergence.got.as_deref().unwrap_or_default();
        assert!(got.contains(part), "{choice}: {divergence}");
    }
}

/// Inputs around the borders of what a caller may do.
fn borderline(side: &Side) -> Vec<Input> {
    let mut inputs = Vec::new();
    for stripe in (0..6).map(StripeId) {
        let hello = side.end.session.hello(stripe);
        inputs.push(Input::StripeUp { stripe, hello });
        let sent = side.end.sent(stripe);
        inputs.extend([sent, sent + 1].map(|total| Input::StripeWritten { stripe, total }));
    }
    for flow in (0..20).map(FlowId) {
        let reason = Reason::Aborted;
        let room = side.end.session.send_room(flow);
        let delivered = side.end.log.get(flow).map_or(0, |log| log.delivered);
        let data = |len| Input::FlowData { flow, data: vec![0; len as usize].into() };
        inputs.extend([room, room + 1].map(data));
        inputs.extend([delivered, delivered + 1].map(|total| Input::FlowConsumed { flow, total }));
        inputs.extend([Input::FlowAccept { flow }, Input::FlowRefuse { flow, reason }]);
        inputs.extend([Input::FlowFinish { flow }, Input::FlowReset { flow, reason }]);
    }
    let open = |len| Input::FlowOpen { request: 9, opaque: vec![0; len].into() };
    inputs.extend([512, 513].map(open));
    inputs
}

#[test]
fn a_mistake_panics_and_nothing_else_does() {
    extern crate std;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    let mut pair = Pair::new(7, 2);
    let (mut mistaken, mut fine) = (0, 0);
    for (at, (kind, number)) in busy().into_iter().take(400).enumerate() {
        pair.step(kind, usize::from(number));
        if at % 57 > 0 {
            continue;
        }
        for side in &pair.sides {
            for input in borderline(side) {
                let mut session = side.end.session.clone();
                let mistake = session.mistake(&input);
                let handle = || session.handle(pair.now, input.clone(), &mut Vec::new());
                let panicked = catch_unwind(AssertUnwindSafe(handle)).is_err();
                assert_eq!(mistake.is_some(), panicked, "{input:?}: {mistake:?}");
                mistaken += usize::from(panicked);
                fine += usize::from(!panicked);
            }
        }
    }
    assert!(mistaken > 100 && fine > 100, "{mistaken} and {fine}");
}

#[test]
fn a_mistake_of_the_caller_is_a_divergence() {
    for (input, part) in [
        ("data 1 5", "never issued"),
        ("written 0 500", "transmitted"),
        ("up 0 welcome 1 session 1", "is up already"),
        ("memory 99999999999 0", "memory limit"),
        ("consumed 7 1", "never issued"),
    ] {
        let text = format!(
            "striper trace 1\nbegin\n0 tick\n wanted 4\n0 up 0 welcome 1 session 1\n \
             0 ping 1\n 0 grant 16384 3932160\n pace 0 8192\n wanted 3\n0 {input}\n"
        );
        let divergence = read(&text).replay().unwrap_err();
        let got = divergence.got.as_ref().unwrap();
        assert!(divergence.line == 10 && got.contains(part), "{divergence}");
    }
}

#[test]
fn a_step_that_can_not_be_recalled_is_named_with_its_line() {
    for (output, part) in [
        ("0 sing 1", "no frame \"sing\""),
        ("0 data 1 0+65537", "no frame has 65537 bytes"),
        ("deliver 1 4611686018427387904", "more is delivered than has come in"),
        ("deliver 1", "a length is missing"),
        ("close 0 boredom", "\"boredom\""),
    ] {
        let text = format!("striper trace 1\nbegin\n0 tick\n wanted 4\n {output}\n");
        let error = read(&text).recall(&mut |_, _, _| {}).unwrap_err();
        assert!(error.line == 5 && error.problem.contains(part), "{output}: {error}");
    }
}
