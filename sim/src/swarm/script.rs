//! Scenarios as text, and back: what `sim run FILE` repeats.
//!
//! One thing a line: a word, then `name=value` pairs. Times are microseconds, sizes bytes, rates
//! bit/s of links and bytes/s of programs, losses millionths. What a line leaves out is as in a
//! plain scenario, and `#` begins a comment. Invariant: `parse(&write(scenario)) == scenario`.

use super::hostile::{Act, Move};
use super::{Honest, Hostile, Scenario};
use crate::app::{Answer, Ending, FlowPlan, ReadPlan, SendPlan, Start};
use crate::faults::{Fault, ProcessFault, Told};
use crate::link::LinkSpec;
use crate::rate::Rate;
use crate::scheduler;
use crate::side::Side;
use crate::units::micros;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::str::FromStr;
use std::time::Duration;
use striper_core::config::MAX_STRIPES;
use striper_core::{Config, Reason, SchedulerKind};

/// Writes a scenario.
pub fn write(scenario: &Scenario) -> String {
    let mut text = String::new();
    match scenario {
        Scenario::Honest(honest) => write_honest(&mut text, honest),
        Scenario::Hostile(hostile) => {
            let _ = writeln!(
                text,
                "hostile seed={} honest={}",
                hostile.seed,
                side_name(hostile.honest)
            );
            let _ = writeln!(text, "config {}", config_text(&hostile.config));
            for Move { act, a, b, c } in &hostile.moves {
                let _ = writeln!(text, "move {} a={a} b={b} c={c}", act.name());
            }
        }
    }
    text
}

fn write_honest(text: &mut String, honest: &Honest) {
    let _ = writeln!(text, "honest seed={} heal={}", honest.seed, honest.heal);
    for (side, config) in Side::BOTH.into_iter().zip(&honest.config) {
        let _ = writeln!(text, "config {} {}", side_name(side), config_text(config));
    }
    for route in &honest.routes {
        let _ = writeln!(text, "route {}", route_text(route));
    }
    for flow in &honest.flows {
        let _ = writeln!(text, "flow {}", flow_text(flow));
    }
    for (at, route, fault) in &honest.faults {
        let _ = writeln!(text, "fault {}", fault_text(*at, *route, fault));
    }
    for (at, side, process_fault) in &honest.process_faults {
        let what = match process_fault {
            ProcessFault::Crash { down, told } => {
                format!("crash down={} told={told}", micros(*down))
            }
            ProcessFault::Pause(time) => format!("pause time={}", micros(*time)),
            ProcessFault::Jump(time) => format!("jump time={}", micros(*time)),
        };
        let _ = writeln!(text, "upset {what} at={at} side={}", side_name(*side));
    }
}

fn side_name(side: Side) -> &'static str {
    match side {
        Side::Client => "client",
        Side::Server => "server",
    }
}

fn config_text(config: &Config) -> String {
    #[cfg(feature = "buggify")]
    let rare_turns = format!(" buggify={}", config.buggify);
    #[cfg(not(feature = "buggify"))]
    let rare_turns = "";
    let opens = match config.opens_per_second {
        usual if usual == Config::default().opens_per_second => String::new(),
        opens => format!(" opens={opens}"),
    };
    format!(
        "stripes={} scheduler={} memory={} window={} flows={} heartbeat={} stall={} \
         resume={}{opens}{rare_turns}",
        config.stripes,
        scheduler::name(config.scheduler),
        config.memory_limit,
        config.window_limit,
        config.max_flows,
        config.heartbeat.as_micros(),
        config.stall_limit.as_micros(),
        config.resume_limit.as_micros(),
    )
}

/// Both directions, those of the server's marked by a prime, as in `rate'=64000`.
fn route_text(route: &[LinkSpec; 2]) -> String {
    let mut words = Vec::new();
    for (spec, mark) in route.iter().zip(["", "'"]) {
        words.push(format!(
            "rate{mark}={} delay{mark}={} queue{mark}={}",
            spec.rate.as_bits(),
            micros(spec.delay),
            spec.queue
        ));
        words.push(format!("buffer{mark}={} window{mark}={}", spec.send_buffer, spec.window));
        let mut rare = |name: &str, value: u64| {
            if value > 0 {
                words.push(format!("{name}{mark}={value}"));
            }
        };
        rare("loss", u64::from(spec.loss));
        rare("jitter", micros(spec.jitter));
        rare("coalesce", micros(spec.coalesce));
        rare("choppy", u64::from(spec.choppy));
        rare("bytewise", u64::from(spec.bytewise));
        if let Some(mark_at) = spec.low_water {
            words.push(format!("low-water{mark}={mark_at}"));
        }
    }
    words.join(" ")
}

fn flow_text(flow: &FlowPlan) -> String {
    let mut words = vec![format!("opener={} at={}", side_name(flow.opener), flow.at)];
    words.push(match flow.answer {
        Answer::Accept(after) => format!("accept={}", micros(after)),
        Answer::Refuse(after, reason) => {
            format!("refuse={} reason={}", micros(after), reason.code())
        }
    });
    for ((half, reader), mark) in flow.sends.iter().zip(&flow.reads).zip(["", "'"]) {
        words.push(format!("bytes{mark}={} piece{mark}={}", half.bytes, half.piece));
        if half.start == Start::AfterFin {
            words.push(format!("start{mark}=after-fin"));
        }
        match half.end {
            Ending::Finish => {}
            Ending::Reset => words.push(format!("end{mark}=reset")),
            Ending::Never => words.push(format!("end{mark}=never")),
        }
        let mut rare = |name: &str, value: Option<u64>| {
            words.extend(value.map(|value| format!("{name}{mark}={value}")));
        };
        rare("rate", half.rate.map(Rate::as_bytes));
        rare("reads", reader.rate.map(Rate::as_bytes));
        rare("stops", reader.stop_after);
        rare("burst", reader.burst);
    }
    if let Some((side, at)) = flow.reset {
        words.push(format!("breaks={} breaks-at={at}", side_name(side)));
    }
    words.join(" ")
}

fn fault_text(at: u64, route: usize, fault: &Fault) -> String {
    let from = |from: &[bool; 2]| match from {
        [true, true] => "from=both",
        [true, false] => "from=client",
        [false, true] => "from=server",
        [false, false] => "from=none",
    };
    let what = match fault {
        Fault::Reset { told: Told::Both } => "reset told=both".to_owned(),
        Fault::Reset { told: Told::Only(side) } => format!("reset told={}", side_name(*side)),
        Fault::Close { by } => format!("close by={}", side_name(*by)),
        Fault::Forget { from: ways } => format!("forget {}", from(ways)),
        Fault::Silence { from: ways } => format!("silence {}", from(ways)),
        Fault::ResetAfter { by, bytes } => {
            format!("reset-after by={} bytes={bytes}", side_name(*by))
        }
        Fault::Cut { by, bytes } => format!("cut by={} bytes={bytes}", side_name(*by)),
        Fault::Clog { from: ways, time } => format!("clog {} time={}", from(ways), micros(*time)),
        Fault::RefuseDials(count) => format!("refuse-dials count={count}"),
        Fault::CloseDials(count) => format!("close-dials count={count}"),
        Fault::Change(specs) => format!("change {}", route_text(specs)),
        Fault::Heal => "heal".to_owned(),
    };
    format!("{what} at={at} route={route}")
}

/// Reads a scenario. The error says which line is wrong, and how.
pub fn parse(text: &str) -> Result<Scenario, String> {
    let mut scenario: Option<Scenario> = None;
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        if line.trim().is_empty() {
            continue;
        }
        let say = |error: String| format!("line {}: {error}", number + 1);
        let mut line = Line::new(line).map_err(say)?;
        parse_line(&mut scenario, &mut line).and_then(|()| line.done()).map_err(say)?;
    }
    let scenario = scenario
        .ok_or("there is no scenario in it; the first line is \"honest ...\" or \"hostile ...\"")?;
    match &scenario {
        Scenario::Honest(honest) if honest.routes.is_empty() => Err("it has no route".into()),
        Scenario::Honest(honest) if last_begin(honest) > honest.heal => Err(format!(
            "something is to happen at {} µs, but all trouble ends at heal={}, and then everything \
             must complete",
            last_begin(honest),
            honest.heal
        )),
        Scenario::Honest(honest)
            if honest.faults.iter().any(|fault| fault.1 >= honest.routes.len()) =>
        {
            Err(format!(
                "a fault is about a route that there is not; they are numbered from 0 to {}",
                honest.routes.len() - 1
            ))
        }
        _ => Ok(scenario),
    }
}

/// When the last flow or fault begins, in microseconds.
fn last_begin(honest: &Honest) -> u64 {
    let flows = honest.flows.iter().map(|flow| flow.at);
    let faults = honest.faults.iter().map(|fault| fault.0);
    let process_faults = honest.process_faults.iter().map(|process_fault| process_fault.0);
    flows.chain(faults).chain(process_faults).max().unwrap_or(0)
}

fn parse_line(scenario: &mut Option<Scenario>, line: &mut Line) -> Result<(), String> {
    let word = line.word("what the line is about")?;
    match (word.as_str(), scenario) {
        ("honest", empty @ None) => {
            *empty = Some(Scenario::Honest(Honest {
                seed: line.need("seed")?,
                heal: line.need("heal")?,
                config: [Config::default(); 2],
                routes: Vec::new(),
                flows: Vec::new(),
                faults: Vec::new(),
                process_faults: Vec::new(),
            }));
        }
        ("hostile", empty @ None) => {
            *empty = Some(Scenario::Hostile(Hostile {
                seed: line.need("seed")?,
                honest: line.side("honest")?.ok_or("honest= is missing")?,
                config: Config::default(),
                moves: Vec::new(),
            }));
        }
        ("honest" | "hostile", Some(_)) => return Err("a file has one scenario".into()),
        (_, None) => return Err("the first line is \"honest ...\" or \"hostile ...\"".into()),
        ("config", Some(Scenario::Hostile(hostile))) => hostile.config = parse_config(line)?,
        ("move", Some(Scenario::Hostile(hostile))) => {
            let name = line.word("a move")?;
            let act = Act::ALL.iter().copied().find(|act| act.name() == name);
            let act = act.ok_or_else(|| format!("\"{name}\" is no move"))?;
            hostile.moves.push(Move {
                act,
                a: line.need("a")?,
                b: line.need("b")?,
                c: line.need("c")?,
            });
        }
        ("config", Some(Scenario::Honest(honest))) => {
            let side = read_side(&line.word("client or server")?)?;
            honest.config[side.index()] = parse_config(line)?;
        }
        ("route", Some(Scenario::Honest(honest))) => honest.routes.push(parse_route(line)?),
        ("flow", Some(Scenario::Honest(honest))) => honest.flows.push(parse_flow(line)?),
        ("fault", Some(Scenario::Honest(honest))) => {
            let fault = parse_fault(line)?;
            honest.faults.push((line.need("at")?, line.need("route")?, fault));
        }
        ("upset", Some(Scenario::Honest(honest))) => {
            let name = line.word("an upset")?;
            let process_fault = match name.as_str() {
                "crash" => {
                    ProcessFault::Crash { down: line.time("down")?, told: line.need("told")? }
                }
                "pause" => ProcessFault::Pause(line.time("time")?),
                "jump" => ProcessFault::Jump(line.time("time")?),
                _ => {
                    return Err(format!("\"{name}\" is no upset; there are crash, pause and jump"));
                }
            };
            let side = line.side("side")?.ok_or("side= is missing")?;
            honest.process_faults.push((line.need("at")?, side, process_fault));
        }
        (other, Some(_)) => return Err(format!("\"{other}\" has no meaning here")),
    }
    Ok(())
}

fn parse_config(line: &mut Line) -> Result<Config, String> {
    let usual = Config::default();
    #[cfg(not(feature = "buggify"))]
    if line.text("buggify").is_some_and(|seed| seed != "0") {
        return Err(
            "buggify=…: this scenario takes rare turns; build with --features buggify".into()
        );
    }
    let stripes = line.take("stripes")?.unwrap_or(usual.stripes);
    if !(1..=MAX_STRIPES).contains(&stripes) {
        return Err(format!("stripes={stripes}: there may be 1 to {MAX_STRIPES}"));
    }
    Ok(Config {
        stripes,
        scheduler: match line.text("scheduler") {
            None => SchedulerKind::Earliest,
            Some(name) => scheduler::named(&name)
                .ok_or_else(|| format!("scheduler={name}: there are earliest, uc and rr"))?,
        },
        memory_limit: line.take("memory")?.unwrap_or(usual.memory_limit),
        window_limit: line.take("window")?.unwrap_or(usual.window_limit),
        max_flows: line.take("flows")?.unwrap_or(usual.max_flows),
        opens_per_second: line.take("opens")?.unwrap_or(usual.opens_per_second),
        heartbeat: line.take_time("heartbeat")?.unwrap_or(usual.heartbeat),
        stall_limit: line.take_time("stall")?.unwrap_or(usual.stall_limit),
        resume_limit: line.take_time("resume")?.unwrap_or(usual.resume_limit),
        #[cfg(feature = "buggify")]
        buggify: line.take("buggify")?.unwrap_or(0),
        ..usual
    })
}

fn parse_route(line: &mut Line) -> Result<[LinkSpec; 2], String> {
    Ok([parse_link(line, "")?, parse_link(line, "'")?])
}

fn parse_link(line: &mut Line, mark: &str) -> Result<LinkSpec, String> {
    let name = |name: &str| format!("{name}{mark}");
    let rate = line.take(&name("rate"))?.unwrap_or(10_000_000);
    if !(1_000..=100_000_000_000).contains(&rate) {
        return Err(format!("rate{mark}={rate}: rates go from 1000 to 100000000000 bit/s"));
    }
    let mut spec = LinkSpec::new(
        Rate::bits(rate),
        line.take_time(&name("delay"))?.unwrap_or(Duration::from_millis(10)),
    );
    spec.queue = line.take(&name("queue"))?.unwrap_or(spec.queue);
    spec.send_buffer = line.take(&name("buffer"))?.unwrap_or(spec.send_buffer);
    spec.window = line.take(&name("window"))?.unwrap_or(spec.window);
    spec.loss = line.take(&name("loss"))?.unwrap_or(0);
    if spec.loss > 900_000 || spec.send_buffer == 0 || spec.window == 0 {
        return Err(
            "a loss of more than 900000 millionths, or an empty buffer or window, carries nothing"
                .into(),
        );
    }
    spec.jitter = line.take_time(&name("jitter"))?.unwrap_or_default();
    spec.coalesce = line.take_time(&name("coalesce"))?.unwrap_or_default();
    spec.choppy = line.take(&name("choppy"))?.unwrap_or(0) == 1;
    spec.bytewise = line.take(&name("bytewise"))?.unwrap_or(0) == 1;
    spec.low_water = line.take(&name("low-water"))?;
    Ok(spec)
}

fn parse_flow(line: &mut Line) -> Result<FlowPlan, String> {
    let opener = line.side("opener")?.unwrap_or(Side::Client);
    let at = line.need("at")?;
    let answer = match (line.take_time("accept")?, line.take_time("refuse")?) {
        (after, None) => Answer::Accept(after.unwrap_or_default()),
        (None, Some(after)) => Answer::Refuse(after, Reason::from_code(line.need("reason")?)),
        (Some(_), Some(_)) => return Err("a flow is accepted or refused, not both".into()),
    };
    let (mut sends, mut reads) = (Vec::new(), Vec::new());
    for mark in ["", "'"] {
        let name = |name: &str| format!("{name}{mark}");
        let usual = SendPlan::of(line.take(&name("bytes"))?.unwrap_or(0));
        let rate = line.take(&name("rate"))?.map(Rate::bytes);
        let piece = line.take(&name("piece"))?.unwrap_or(usual.piece);
        if rate == Some(Rate::ZERO) || piece == 0 {
            return Err("a program that sends no byte at a time never ends".into());
        }
        let start = match line.text(&name("start")).as_deref() {
            None => Start::AtOnce,
            Some("after-fin") => Start::AfterFin,
            Some(other) => return Err(format!("start{mark}={other}: there is after-fin")),
        };
        let end = match line.text(&name("end")).as_deref() {
            None => Ending::Finish,
            Some("reset") => Ending::Reset,
            Some("never") => Ending::Never,
            Some(other) => return Err(format!("end{mark}={other}: there are reset and never")),
        };
        sends.push(SendPlan { rate, piece, start, end, ..usual });
        reads.push(ReadPlan {
            rate: line.take(&name("reads"))?.map(Rate::bytes),
            stop_after: line.take(&name("stops"))?,
            burst: line.take(&name("burst"))?,
        });
    }
    let reset = match line.side("breaks")? {
        Some(side) => Some((side, line.need("breaks-at")?)),
        None => None,
    };
    let two = |_| "two halves".to_owned();
    Ok(FlowPlan {
        opener,
        at,
        answer,
        sends: sends.try_into().map_err(two)?,
        reads: reads.try_into().map_err(|_| "two halves".to_owned())?,
        reset,
    })
}

fn parse_fault(line: &mut Line) -> Result<Fault, String> {
    let name = line.word("a fault")?;
    let by = |line: &mut Line| line.side("by")?.ok_or_else(|| "by= is missing".to_owned());
    Ok(match name.as_str() {
        "reset" => Fault::Reset {
            told: match line.text("told").as_deref() {
                None | Some("both") => Told::Both,
                Some(side) => Told::Only(read_side(side)?),
            },
        },
        "close" => Fault::Close { by: by(line)? },
        "forget" => Fault::Forget { from: line.ways()? },
        "silence" => Fault::Silence { from: line.ways()? },
        "reset-after" => Fault::ResetAfter { by: by(line)?, bytes: line.need("bytes")? },
        "cut" => Fault::Cut { by: by(line)?, bytes: line.need("bytes")? },
        "clog" => Fault::Clog { from: line.ways()?, time: line.time("time")? },
        "refuse-dials" => Fault::RefuseDials(line.need("count")?),
        "close-dials" => Fault::CloseDials(line.need("count")?),
        "change" => Fault::Change(Box::new(parse_route(line)?)),
        "heal" => Fault::Heal,
        _ => return Err(format!("\"{name}\" is no fault")),
    })
}

fn read_side(text: &str) -> Result<Side, String> {
    match text {
        "client" => Ok(Side::Client),
        "server" => Ok(Side::Server),
        _ => Err(format!("\"{text}\" is neither client nor server")),
    }
}

/// The most of anything but seeds: more than a day in microseconds, 100 GB, 100 Gbit/s.
const MAX_NUMBER: u64 = 100_000_000_000;

/// A line, of which each word is taken once.
struct Line {
    words: Vec<String>,
    values: BTreeMap<String, String>,
}

impl Line {
    fn new(text: &str) -> Result<Self, String> {
        let (mut words, mut values) = (Vec::new(), BTreeMap::new());
        for word in text.split_whitespace() {
            match word.split_once('=') {
                None => words.push(word.to_owned()),
                Some((name, value)) => {
                    let is_any = ["seed", "a", "b", "c", "buggify"].contains(&name);
                    if !is_any && value.parse::<u64>().is_ok_and(|number| number > MAX_NUMBER) {
                        return Err(format!("{name}={value} is beyond {MAX_NUMBER}"));
                    }
                    if values.insert(name.to_owned(), value.to_owned()).is_some() {
                        return Err(format!("{name}= is there twice"));
                    }
                }
            }
        }
        words.reverse();
        Ok(Line { words, values })
    }

    fn word(&mut self, what: &str) -> Result<String, String> {
        self.words.pop().ok_or_else(|| format!("{what} is missing"))
    }

    fn text(&mut self, name: &str) -> Option<String> {
        self.values.remove(name)
    }

    fn take<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, String> {
        let Some(text) = self.text(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| format!("{name}={text} can't be read"))
    }

    fn need<T: FromStr>(&mut self, name: &str) -> Result<T, String> {
        self.take(name)?.ok_or_else(|| format!("{name}= is missing"))
    }

    fn take_time(&mut self, name: &str) -> Result<Option<Duration>, String> {
        Ok(self.take(name)?.map(Duration::from_micros))
    }

    fn time(&mut self, name: &str) -> Result<Duration, String> {
        self.need(name).map(Duration::from_micros)
    }

    fn side(&mut self, name: &str) -> Result<Option<Side>, String> {
        self.text(name).map(|text| read_side(&text)).transpose()
    }

    fn ways(&mut self) -> Result<[bool; 2], String> {
        match self.text("from").as_deref() {
            None | Some("both") => Ok([true, true]),
            Some("client") => Ok([true, false]),
            Some("server") => Ok([false, true]),
            Some("none") => Ok([false, false]),
            Some(other) => Err(format!("from={other}: there are both, client and server")),
        }
    }

    fn done(&self) -> Result<(), String> {
        match (self.words.last(), self.values.keys().next()) {
            (None, None) => Ok(()),
            (Some(word), _) => Err(format!("\"{word}\" is too much")),
            (None, Some(name)) => Err(format!("{name}= has no meaning here")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm::{Size, draw_sized};

    #[test]
    fn every_drawn_scenario_reads_back() {
        for (seed, size) in
            (0..400).map(|seed| (seed, Size::Small)).chain((0..40).map(|seed| (seed, Size::Large)))
        {
            let scenario = draw_sized(seed, size);
            let text = write(&scenario);
            assert_eq!(parse(&text).as_ref(), Ok(&scenario), "seed {seed}:\n{text}");
        }
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        let head = "# a story\n\nhonest seed=1 heal=5\nroute\n";
        for (text, hint) in [
            ("", "no scenario in it"),
            ("route", "line 1: the first line"),
            ("honest seed=1", "line 1: heal= is missing"),
            ("honest seed=x heal=1", "seed=x can't be read"),
            ("honest seed=1 heal=1", "no route"),
            (&format!("{head}flow"), "line 5: at= is missing"),
            (&format!("{head}flow at=1 at=2"), "twice"),
            (&format!("{head}flow at=1 colour=2"), "colour= has no meaning"),
            (&format!("{head}flow at=6"), "heal=5"),
            (&format!("{head}upset pause time=1 at=7 side=client"), "to happen at 7"),
            (&format!("{head}config client stripes=65"), "1 to 64"),
            (&format!("{head}config client stripes=0"), "1 to 64"),
            (&format!("{head}route delay=100000000001"), "line 5: delay=100000000001 is beyond"),
            (&format!("{head}flow at=1 bytes=18446744073709551615"), "is beyond"),
            (&format!("{head}fault explode at=1 route=0"), "\"explode\" is no fault"),
            (&format!("{head}fault heal at=1 route=1"), "numbered from 0 to 0"),
            (&format!("{head}upset pause time=1 at=1 side=left"), "neither client nor server"),
            (&format!("{head}route rate=1"), "rates go from"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}
