//! Two sessions joined by a wire that quickcheck moves, both recorded.

mod privacy;
mod refusals;

use super::play::{Divergence, Played};
use super::*;
use crate::config::{Config, SchedulerKind};
use crate::error::Reason;
use crate::id::{FlowId, Role, SessionId, StripeId};
use crate::io::{Input, Output};
use crate::session::Session;
use crate::session::follow::Choice;
use crate::testing::{Endpoint, Keep};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::ToString;
use alloc::vec;
use core::time::Duration;
use quickcheck::{TestResult, quickcheck};

const TARGETS: [&str; 3] = ["db.internal.example", "mail.internal.example", "x"];
const SECRET: SessionId = SessionId(*b"Qz?Vx!Jk@Wy%Hq&Z");

/// The events: (kind, number).
type Ops = Vec<(u8, u16)>;

struct Side {
    end: Endpoint,
    recorder: Recorder,
    text: String,
    wires: BTreeMap<StripeId, Vec<u8>>,
}

struct Pair {
    now: Instant,
    sides: [Side; 2],
    /// The next byte of payload.
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
            let (end, wires) = (Endpoint::new(session, Keep::Flows), BTreeMap::new());
            Side { end, recorder, text, wires }
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
        let hellos = [0, 1].map(|side| self.sides[side].end.session.hello(stripe));
        for (side, hello) in hellos.into_iter().rev().enumerate() {
            self.give(side, Input::StripeUp { stripe, hello });
        }
    }

    fn give(&mut self, side: usize, input: Input) {
        let side = &mut self.sides[side];
        let mut outputs = Vec::new();
        side.recorder.input(self.now, &input, &mut side.text).unwrap();
        side.end.give(self.now, input, &mut outputs);
        side.recorder.outputs(&outputs, &mut side.text).unwrap();
        for output in outputs {
            if let Output::Transmit { stripe, header, payload } = output {
                let wire = side.wires.entry(stripe).or_default();
                wire.extend_from_slice(&header);
                wire.extend_from_slice(&payload);
            }
        }
    }

    fn step(&mut self, kind: u8, number: usize) {
        let side = number % 2;
        let me = &self.sides[side];
        let flows = me.end.log.flows();
        let nth_flow = flows.keys().nth((number / 2) % flows.len().max(1)).copied();
        let nth_stripe = me.wires.keys().nth((number / 2) % me.wires.len().max(1)).copied();
        match (kind % 16, nth_flow, nth_stripe) {
            (0, ..) if self.requests < 8 => {
                self.requests += 1;
                let opaque = Bytes::from_static(TARGETS[number % 3].as_bytes());
                self.give(0, Input::FlowOpen { request: self.requests, opaque });
            }
            (1..=3, Some(flow), _) if !flows[&flow].finished && flows[&flow].over.is_none() => {
                let len = me.end.session.send_room(flow).min(number as u64 * 2);
                let data =
                    (0..len as u8).cycle().take(len as usize).map(|at| at ^ self.filling).collect();
                self.filling = self.filling.wrapping_mul(37).wrapping_add(11);
                self.give(side, Input::FlowData { flow, data });
            }
            (4..=8, _, Some(stripe)) => {
                let wire = self.sides[side].wires.get_mut(&stripe).unwrap();
                let data: Bytes = wire.drain(..wire.len().min(1 + number)).collect();
                self.give(1 - side, Input::StripeBytes { stripe, data });
            }
            (9 | 10, _, Some(stripe)) => {
                let total = me.end.sent(stripe);
                self.give(side, Input::StripeWritten { stripe, total });
                // Some of it is behind a lost packet.
                let total = total.saturating_sub(number as u64);
                self.give(side, Input::StripeArrived { stripe, total });
            }
            (11, Some(flow), _) => {
                let total = flows[&flow].delivered;
                self.give(side, Input::FlowConsumed { flow, total });
            }
            (12, ..) => {
                // Less than a second: a session takes more for sleep, and sessions that got the
                // same bytes in other cuts have deadlines of their own.
                self.now = self.now + Duration::from_micros(number as u64 * 15);
                // To both: the first of some bytes that come when something is overdue does it.
                self.give(0, Input::Tick);
                self.give(1, Input::Tick);
            }
            (13, Some(flow), _) if number.is_multiple_of(3) => {
                self.give(side, Input::FlowFinish { flow });
            }
            (13, Some(flow), _) if number % 31 == 1 => {
                self.give(side, Input::FlowReset { flow, reason: Reason::Aborted });
            }
            (14, ..) => {
                let flows = self.sides[1].end.log.flows();
                if let Some(flow) = flows.keys().nth(number % flows.len().max(1)).copied() {
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

fn busy() -> Ops {
    // Numerical Recipes' generator: its high bits are good enough.
    let mut state = 1u32;
    let mut draw = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 16
    };
    (0..6000).map(|_| (draw() as u8, draw() as u16)).collect()
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
        let Some(at) = choices.get(which % choices.len().max(1)).copied() else {
            return TestResult::discard();
        };
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

/// Feeds stripe bytes in other parts: the choices are those of the trace, the rest is the same.
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
        let mut out = Vec::new();
        for (index, part) in parts.into_iter().enumerate() {
            let choices = if index == last { &choices[..] } else { &[] };
            assert_eq!(session.mistake(&part), None);
            session.handle_following(step.at, part, choices, &mut out).unwrap();
        }
        let said = sum(step.outputs.iter().map(|said| said.text.as_str()));
        let came = write::output_lines(&out);
        assert_eq!(said, sum(came.iter().map(String::as_str)), "line {}: {}", step.line, step.text);
    }
}

/// Adds up deliveries, takes the last count of wanted stripes, and counts all other lines.
fn sum<'a>(all: impl Iterator<Item = &'a str>) -> BTreeMap<String, u64> {
    let mut lines = BTreeMap::new();
    for line in all {
        let deliver = line.strip_prefix("deliver ").and_then(|rest| rest.split_once(' '));
        if let Some((flow, len)) = deliver {
            *lines.entry(format!("deliver {flow}")).or_default() += len.parse::<u64>().unwrap();
        } else if let Some(count) = line.strip_prefix("wanted ") {
            lines.insert("wanted".into(), count.parse().unwrap());
        } else if !line.starts_with("pace ") {
            *lines.entry(line.into()).or_default() += 1;
        }
    }
    lines
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
                let mut words: Vec<String> =
                    lines[at].split(' ').map(ToString::to_string).collect();
                let index = number % words.len();
                words[index] =
                    ["0", "1", "9223372036854775807", "+70000", "17", "fin"][number % 6].into();
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
fn a_trace_begins_as_any_trace_does() {
    for text in Pair::run(&Ops::new(), 7, 1) {
        assert!(text.starts_with(BEGINS), "{text}");
    }
}

#[test]
fn a_busy_run_is_busy() {
    for text in Pair::run(&busy(), 7, 3) {
        let trace = read(&text);
        fits(trace.replay(), &text);
        fits(trace.follow(), &text);
        follow_recut(&trace, &[0, 3, 250, 17]);
        for what in
            [" data ", " fin", " ack ", " gone ", " credit ", "deliver ", " ping ", " pong "]
        {
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
fn times_are_kept_to_the_microsecond_and_never_go_back() {
    let mut session =
        Session::new(Role::Client, SECRET, Config::default(), Instant::from_micros(10));
    let mut text = String::new();
    let mut recorder =
        Recorder::begin(&session, &Header::of(&session, "tests 1"), &mut text).unwrap();
    for at in [10, 1_234_567, 1_000_000, 1_234_570] {
        let at = Instant::from_micros(at);
        recorder.input(at, &Input::Tick, &mut text).unwrap();
        session.handle(at, Input::Tick, &mut Vec::new());
    }
    assert!(text.ends_with("\n0 tick\n1234557 tick\n0 tick\n3 tick\n"), "{text}");
}

#[test]
fn a_recalled_run_is_the_run_that_was_recorded() {
    for text in Pair::run(&busy(), 7, 3) {
        let trace = read(&text);
        let tells = |line: &String| {
            let told = [
                "deliver ",
                "close ",
                "opened ",
                "incoming ",
                "refused ",
                "finished ",
                "reset ",
                "ended ",
            ];
            told.iter().any(|word| line.starts_with(word))
                || line.starts_with(|first: char| first.is_ascii_digit())
        };
        // The lengths of targets are not recalled.
        let short = |line: &mut String| {
            if line.starts_with("incoming ") {
                line.truncate(line.rfind(' ').unwrap_or(line.len()));
            }
        };
        let (mut done, mut recalled) = (Vec::new(), Vec::new());
        trace
            .replay_with(&mut |at, input, outputs| {
                done.push((at, input.clone(), write::output_lines(outputs)))
            })
            .unwrap();
        trace
            .recall(&mut |at, input, outputs| {
                recalled.push((at, input.clone(), write::output_lines(outputs)))
            })
            .unwrap();
        for (_, _, lines) in &mut done {
            lines.retain(tells);
            lines.iter_mut().for_each(short);
        }
        recalled.iter_mut().for_each(|(_, _, lines)| lines.iter_mut().for_each(short));
        assert_eq!(recalled, done);
    }
}
