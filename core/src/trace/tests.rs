//! Two sessions joined by a wire that quickcheck moves, both recorded.

use super::play::{Divergence, Played};
use super::*;
use crate::config::{Config, SchedulerKind};
use crate::error::Reason;
use crate::id::{FlowId, Role, SessionId, StripeId};
use crate::io::{Input, Output};
use crate::session::Session;
use crate::session::follow::Choice;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::ToString;
use alloc::vec;
use core::time::Duration;
use quickcheck::{TestResult, quickcheck};

const TARGETS: [&str; 3] = ["db.internal.example", "mail.internal.example", "x"];
const SECRET: SessionId = SessionId(*b"Qz?Vx!Jk@Wy%Hq&Z");

/// What happens: (kind, number).
type Ops = Vec<(u8, u16)>;

struct Side {
    session: Session,
    recorder: Recorder,
    text: String,
    sent: BTreeMap<StripeId, u64>,
    /// Bytes on their way to the other side.
    wires: BTreeMap<StripeId, Vec<u8>>,
    flows: Vec<FlowId>,
    delivered: BTreeMap<FlowId, u64>,
    finished: Vec<FlowId>,
}

struct Pair {
    now: Instant,
    sides: [Side; 2],
    /// What payload is made of, a byte after the other.
    filling: u8,
    next_stripe: u64,
    requests: u64,
}

impl Pair {
    fn run(ops: &Ops, filling: u8, stripes: usize) -> [String; 2] {
        let mut pair = Pair::new(filling, stripes);
        for (kind, number) in ops {
            pair.step(*kind, usize::from(*number));
        }
        pair.sides.map(|mut side| {
            side.recorder.end("done", &mut side.text).unwrap();
            side.text
        })
    }

    fn new(filling: u8, stripes: usize) -> Pair {
        let birth = Instant::from_micros(123_456_789);
        let side = |role| {
            let config = Config {
                stripes,
                memory_limit: 4 << 20,
                // Rare turns are choices of the session's own: the seed in the header repeats them.
                #[cfg(feature = "buggify")]
                buggify: 20,
                ..Config::default()
            };
            let session = Session::new(role, SECRET, config, birth);
            let mut text = String::new();
            let header = Header::of(&session, "tests 1");
            let recorder = Recorder::begin(&session, &header, &mut text).unwrap();
            let (sent, wires) = (BTreeMap::new(), BTreeMap::new());
            let (flows, delivered, finished) = (Vec::new(), BTreeMap::new(), Vec::new());
            Side { session, recorder, text, sent, wires, flows, delivered, finished }
        };
        let sides = [side(Role::Client), side(Role::Server { instance: 0xfe_edbe_ef5e_c2e7 })];
        let mut pair = Pair { now: birth, sides, filling, next_stripe: 0, requests: 0 };
        pair.give(0, Input::Tick);
        (0..stripes).for_each(|_| pair.add_stripe());
        pair
    }

    fn add_stripe(&mut self) {
        let stripe = StripeId(self.next_stripe);
        self.next_stripe += 1;
        let hellos = [0, 1].map(|side| self.sides[side].session.hello(stripe));
        for (side, hello) in hellos.into_iter().rev().enumerate() {
            self.give(side, Input::StripeUp { stripe, hello });
        }
    }

    fn give(&mut self, side: usize, input: Input) {
        let side = &mut self.sides[side];
        let mut outputs = Vec::new();
        side.recorder.input(self.now, &input, &mut side.text).unwrap();
        side.session.handle(self.now, input, &mut outputs);
        side.recorder.outputs(&outputs, &mut side.text).unwrap();
        for output in outputs {
            match output {
                Output::Transmit { stripe, header, payload } => {
                    *side.sent.entry(stripe).or_default() += (header.len() + payload.len()) as u64;
                    let wire = side.wires.entry(stripe).or_default();
                    wire.extend_from_slice(&header);
                    wire.extend_from_slice(&payload);
                }
                Output::FlowOpened { flow, .. } | Output::FlowIncoming { flow, .. } => side.flows.push(flow),
                Output::FlowData { flow, data } => {
                    *side.delivered.entry(flow).or_default() += data.len() as u64;
                }
                _ => {}
            }
        }
    }

    fn step(&mut self, kind: u8, number: usize) {
        let side = number % 2;
        let me = &self.sides[side];
        let nth_flow = me.flows.get((number / 2) % me.flows.len().max(1)).copied();
        let nth_stripe = me.wires.keys().nth((number / 2) % me.wires.len().max(1)).copied();
        match (kind % 16, nth_flow, nth_stripe) {
            (0, ..) if self.requests < 8 => {
                self.requests += 1;
                let opaque = Bytes::from_static(TARGETS[number % 3].as_bytes());
                self.give(0, Input::FlowOpen { request: self.requests, opaque });
            }
            (1..=3, Some(flow), _) if !me.finished.contains(&flow) => {
                let len = me.session.send_room(flow).min(number as u64 * 2);
                let data = (0..len as u8).cycle().take(len as usize).map(|at| at ^ self.filling).collect();
                self.filling = self.filling.wrapping_mul(37).wrapping_add(11);
                self.give(side, Input::FlowData { flow, data });
            }
            (4..=8, _, Some(stripe)) => {
                let wire = self.sides[side].wires.get_mut(&stripe).unwrap();
                let data: Bytes = wire.drain(..wire.len().min(1 + number)).collect();
                self.give(1 - side, Input::StripeBytes { stripe, data });
            }
            (9 | 10, _, Some(stripe)) => {
                let total = self.sides[side].sent[&stripe];
                self.give(side, Input::StripeWritten { stripe, total });
            }
            (11, Some(flow), _) => {
                let total = me.delivered.get(&flow).copied().unwrap_or(0);
                self.give(side, Input::FlowConsumed { flow, total });
            }
            (12, ..) => {
                self.now = self.now + Duration::from_micros(number as u64 * 30);
                // To both: bytes that come with something overdue matter by their parts, for what is due is done with the first.
                self.give(0, Input::Tick);
                self.give(1, Input::Tick);
            }
            (13, Some(flow), _) if number.is_multiple_of(3) => {
                self.sides[side].finished.push(flow);
                self.give(side, Input::FlowFinish { flow });
            }
            (13, Some(flow), _) if number % 31 == 1 => {
                self.sides[side].finished.push(flow);
                self.give(side, Input::FlowReset { flow, reason: Reason::Aborted });
            }
            (14, ..) => {
                let flows = &self.sides[1].flows;
                if let Some(flow) = flows.get(number % flows.len().max(1)).copied() {
                    self.give(1, Input::FlowAccept { flow });
                }
            }
            (15, _, Some(stripe)) if number.is_multiple_of(4) => {
                for side in [0, 1] {
                    self.sides[side].wires.remove(&stripe);
                    self.give(side, Input::StripeDown { stripe });
                }
                self.add_stripe();
            }
            _ => {}
        }
    }
}

fn read(text: &str) -> Trace {
    Trace::read(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn fits(result: Result<Played, Divergence>, text: &str) {
    result.unwrap_or_else(|divergence| panic!("{divergence}\n{text}"));
}

/// Runs of one to three stripes, from one side and from the other.
fn runs(ops: &Ops, stripes: u8) -> [String; 2] {
    Pair::run(ops, 7, 1 + usize::from(stripes % 3))
}

/// A run in which much happens.
fn busy() -> Ops {
    // Numerical Recipes' generator: its high bits are good enough.
    let mut state = 1u32;
    let mut draw = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 16
    };
    (0..3000).map(|_| (draw() as u8, draw() as u16)).collect()
}

quickcheck! {
    fn a_recorded_run_reads_back_replays_and_follows(ops: Ops, stripes: u8) -> bool {
        for text in runs(&ops, stripes) {
            let trace = read(&text);
            fits(trace.replay(), &text);
            fits(trace.follow(), &text);
            for step in &trace.steps {
                assert_eq!(step.given.to_string(), step.text);
            }
        }
        true
    }

    fn nothing_depends_on_payload(ops: Ops, stripes: u8, filling: u8) -> bool {
        let stripes = 1 + usize::from(stripes % 3);
        Pair::run(&ops, 7, stripes) == Pair::run(&ops, filling, stripes)
    }

    fn another_scheduler_follows_to_the_same_transmissions(ops: Ops, stripes: u8) -> bool {
        for text in runs(&ops, stripes) {
            for scheduler in [SchedulerKind::RoundRobin, SchedulerKind::UntilCongested] {
                let mut trace = read(&text);
                trace.header.config.scheduler = scheduler;
                fits(trace.follow(), &text);
            }
        }
        true
    }

    fn any_cut_of_stripe_bytes_follows(ops: Ops, stripes: u8, cuts: Vec<u8>) -> bool {
        for text in runs(&ops, stripes) {
            follow_recut(&read(&text), &cuts);
        }
        true
    }

    fn a_changed_choice_is_named_by_its_line(ops: Ops, stripes: u8, which: usize) -> TestResult {
        let [text, _] = runs(&ops, 1 + stripes % 2);
        let lines: Vec<&str> = text.lines().collect();
        let choices: Vec<usize> =
            (0..lines.len()).filter(|line| lines[*line].starts_with(" 0 data")).collect();
        let Some(at) = choices.get(which % choices.len().max(1)).copied() else { return TestResult::discard() };
        let mut changed: Vec<String> = lines.iter().map(ToString::to_string).collect();
        changed[at] = changed[at].replacen(" 0 ", " 9 ", 1);
        let trace = read(&(changed.join("\n") + "\n"));
        for result in [trace.replay(), trace.follow()] {
            let divergence = result.expect_err("a stripe that is not there");
            assert_eq!(divergence.line, at + 1, "{divergence}");
            assert_eq!(divergence.expected.as_deref(), Some(&changed[at][1..]));
        }
        TestResult::passed()
    }

    fn no_text_panics(ops: Ops, stripes: u8, changes: Vec<(usize, u8, u8)>) -> bool {
        for text in runs(&ops, stripes) {
            let text = mutate(text, &changes);
            if let Ok(trace) = Trace::read(&text) {
                let _ = (trace.replay(), trace.follow());
            }
        }
        true
    }

    fn a_trace_broken_off_anywhere_still_plays(ops: Ops, at: usize) -> bool {
        let [text, _] = runs(&ops, 2);
        let begin = text.find("\nbegin\n").unwrap() + 7;
        let cut = begin + at % (text.len() - begin);
        let trace = read(&text[..cut]);
        fits(trace.replay(), &text[..cut]);
        fits(trace.follow(), &text[..cut]);
        assert_eq!(trace.broken_off, !text[..cut].ends_with('\n'));
        trace.end.is_none()
    }
}

/// Feeds stripe bytes in other parts: the choices are those of the trace, and the same comes out in all.
fn follow_recut(trace: &Trace, cuts: &[u8]) {
    let header = &trace.header;
    let mut session = Session::new(header.role, SECRET, header.config, header.birth);
    let mut cuts = cuts.iter().cycle();
    for step in &trace.steps {
        let choices: Vec<Choice> =
            step.outputs.iter().filter_map(|said| read::choice(&said.text).unwrap()).collect();
        let mut parts = vec![step.input()];
        if let Input::StripeBytes { stripe, mut data } = step.input() {
            parts.retain(|_| data.is_empty());
            while !data.is_empty() {
                let len = 1 + cuts.next().map_or(0, |cut| usize::from(*cut));
                parts.push(Input::StripeBytes { stripe, data: data.split_to(len.min(data.len())) });
            }
        }
        let last = parts.len().saturating_sub(1);
        let (mut came, mut out) = (BTreeMap::<String, u64>::new(), Vec::new());
        for (index, part) in parts.into_iter().enumerate() {
            let choices = if index == last { &choices[..] } else { &[] };
            assert_eq!(session.misuse(&part), None);
            session.handle_following(step.at, part, choices, &mut out).unwrap();
        }
        let mut said = BTreeMap::<String, u64>::new();
        for line in step.outputs.iter().map(|said| said.text.clone()) {
            sum(&mut said, &line);
        }
        write::output_lines(&out).iter().for_each(|line| sum(&mut came, line));
        assert_eq!(said, came, "line {}: {}", step.line, step.text);
    }
}

/// Adds up deliveries; other lines count as themselves.
fn sum(lines: &mut BTreeMap<String, u64>, line: &str) {
    match line.strip_prefix("deliver ").and_then(|rest| rest.split_once(' ')) {
        Some((flow, len)) => {
            *lines.entry(format!("deliver {flow}")).or_default() += len.parse::<u64>().unwrap();
        }
        None if line.starts_with("pace ") => {}
        None => *lines.entry(line.into()).or_default() += 1,
    }
}

/// Changes lines as a careless editor would.
fn mutate(text: String, changes: &[(usize, u8, u8)]) -> String {
    let mut lines: Vec<String> = text.lines().map(ToString::to_string).collect();
    for (at, kind, number) in changes.iter().take(4) {
        let (len, number) = (lines.len(), usize::from(*number));
        let Some(at) = at.checked_rem(len) else { break };
        let other = (at + number) % len;
        match kind % 6 {
            0 => drop(lines.remove(at)),
            1 => lines.insert(at, lines[other].clone()),
            2 => lines.swap(at, other),
            3 => {
                let mut words: Vec<String> = lines[at].split(' ').map(ToString::to_string).collect();
                let index = number % words.len();
                words[index] = ["0", "1", "9223372036854775807", "+70000", "17", "fin"][number % 6].into();
                lines[at] = words.join(" ");
            }
            4 => {
                let mut bytes = lines[at].clone().into_bytes();
                if let Some(index) = number.checked_rem(bytes.len()) {
                    bytes[index] = b"0123456789abcdef +:,"[number % 20];
                    lines[at] = String::from_utf8_lossy(&bytes).into_owned();
                }
            }
            _ => lines.truncate(at),
        }
    }
    lines.join("\n") + "\n"
}

#[test]
fn a_busy_run_is_busy() {
    for text in Pair::run(&busy(), 7, 3) {
        let trace = read(&text);
        fits(trace.replay(), &text);
        fits(trace.follow(), &text);
        follow_recut(&trace, &[0, 3, 250, 17]);
        for what in [" data ", " fin", " ack ", " gone ", " credit ", "deliver ", " ping ", " pong "] {
            assert!(text.contains(what), "no {what} in {} lines", text.lines().count());
        }
    }
}

#[test]
fn careless_edits_of_a_busy_run_do_not_panic() {
    for text in Pair::run(&busy(), 7, 3) {
        let lines = text.lines().count();
        for at in (0..lines).step_by(41) {
            for kind in 0..5 {
                let text = mutate(text.clone(), &[(at, kind, (at % 251) as u8)]);
                if let Ok(trace) = Trace::read(&text) {
                    let _ = (trace.replay(), trace.follow());
                }
            }
        }
    }
}

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
                assert!(!text.contains(core::str::from_utf8(part).unwrap()), "{}", secret.escape_ascii());
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
    let open = crate::wire::frame::Frame::Open { flow: FlowId(1), early: 5, credit: 6, opaque }.encode(3);
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
fn of_a_broken_frame_only_what_is_broken_is_kept() {
    let mut aliases = alias::Aliases::default();
    // A frame that is too long by its length alone, with what may be somebody's text behind it.
    let bytes = [&[0xff, 0xff, 0x7f][..], b"secret"].concat();
    let mut framing = framing::Framing::new();
    let runs = framing.split(&bytes, &mut aliases);
    assert_eq!(runs, [Run::Head(Bytes::from_static(&[0xff, 0xff, 0x7f])), Run::Payload(6)]);
    assert_eq!(framing.split(b"more", &mut aliases), [Run::Payload(4)]);
}

#[test]
fn what_can_not_be_read_is_named_with_its_line() {
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
fn times_are_kept_to_the_microsecond_and_never_go_back() {
    let mut session = Session::new(Role::Client, SECRET, Config::default(), Instant::from_micros(10));
    let mut text = String::new();
    let mut recorder = Recorder::begin(&session, &Header::of(&session, "tests 1"), &mut text).unwrap();
    for at in [10, 1_234_567, 1_000_000, 1_234_570] {
        let at = Instant::from_micros(at);
        recorder.input(at, &Input::Tick, &mut text).unwrap();
        session.handle(at, Input::Tick, &mut Vec::new());
    }
    assert!(text.ends_with("\n0 tick\n1234557 tick\n0 tick\n3 tick\n"), "{text}");
}

#[test]
fn what_can_not_be_followed_is_named_with_its_reason() {
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
        assert_eq!((divergence.line, divergence.expected.as_deref()), (14, Some(choice)), "{divergence}");
        assert!(divergence.got.as_deref().unwrap_or_default().contains(part), "{choice}: {divergence}");
    }
}

/// Inputs around the borders of what a caller may do.
fn borderline(side: &Side) -> Vec<Input> {
    let mut inputs = Vec::new();
    for stripe in (0..6).map(StripeId) {
        let hello = side.session.hello(stripe);
        inputs.push(Input::StripeUp { stripe, hello });
        let sent = side.sent.get(&stripe).copied().unwrap_or(0);
        inputs.extend([sent, sent + 1].map(|total| Input::StripeWritten { stripe, total }));
    }
    for flow in (0..20).map(FlowId) {
        let reason = Reason::Aborted;
        let room = side.session.send_room(flow);
        let delivered = side.delivered.get(&flow).copied().unwrap_or(0);
        inputs
            .extend([room, room + 1].map(|len| Input::FlowData { flow, data: vec![0; len as usize].into() }));
        inputs.extend([delivered, delivered + 1].map(|total| Input::FlowConsumed { flow, total }));
        inputs.extend([Input::FlowAccept { flow }, Input::FlowRefuse { flow, reason }]);
        inputs.extend([Input::FlowFinish { flow }, Input::FlowReset { flow, reason }]);
    }
    inputs.extend([512, 513].map(|len| Input::FlowOpen { request: 9, opaque: vec![0; len].into() }));
    inputs
}

#[test]
fn what_is_called_a_misuse_panics_and_nothing_else_does() {
    extern crate std;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    let mut pair = Pair::new(7, 2);
    let (mut misused, mut fine) = (0, 0);
    for (at, (kind, number)) in busy().into_iter().take(400).enumerate() {
        pair.step(kind, usize::from(number));
        if at % 57 > 0 {
            continue;
        }
        for side in &pair.sides {
            for input in borderline(side) {
                let (misuse, mut session) = (side.session.misuse(&input), side.session.clone());
                let handle = || session.handle(pair.now, input.clone(), &mut Vec::new());
                let panicked = catch_unwind(AssertUnwindSafe(handle)).is_err();
                assert_eq!(misuse.is_some(), panicked, "{input:?}: {misuse:?}");
                misused += usize::from(panicked);
                fine += usize::from(!panicked);
            }
        }
    }
    assert!(misused > 100 && fine > 100, "{misused} and {fine}");
}

#[test]
fn what_no_caller_may_do_is_a_divergence() {
    for (input, part) in [
        ("data 1 5", "never issued"),
        ("written 0 500", "transmitted"),
        ("up 0 welcome 1 session 1", "is up already"),
        ("memory 99999999999 0", "memory limit"),
        ("consumed 7 1", "never issued"),
    ] {
        let text = format!(
            "striper trace 1\nbegin\n0 tick\n wanted 4\n0 up 0 welcome 1 session 1\n 0 ping 1\n 0 grant 16384 3932160\n pace 0 16384\n wanted 3\n0 {input}\n"
        );
        let divergence = read(&text).replay().unwrap_err();
        assert!(divergence.line == 10 && divergence.got.as_ref().unwrap().contains(part), "{divergence}");
    }
}
