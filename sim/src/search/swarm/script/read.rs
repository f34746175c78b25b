//! Text to scenarios.

use super::line::{Line, read_side};
use crate::base::{Rate, Side, scheduler};
use crate::net::{
    Answer, Control, Ending, Fault, FlowPlan, LinkSpec, ProcessFault, ReadPlan, SendPlan, Start,
    Told,
};
use crate::search::swarm::hostile::{Act, Move};
use crate::search::swarm::{Honest, Hostile, Scenario};
use std::time::Duration;
use striper_core::limits::MAX_STRIPES;
use striper_core::{Config, Reason, SchedulerKind};

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
    if let Scenario::Honest(honest) = &scenario {
        let (routes, heal, last) = (honest.routes.len(), honest.heal, honest.last_begin());
        if routes == 0 {
            return Err("it has no route".into());
        }
        if last > heal {
            return Err(format!(
                "something is to happen at {last} µs, but all trouble ends at heal={heal}, and \
                 then everything must complete"
            ));
        }
        if honest.faults.iter().any(|fault| fault.1 >= routes) {
            return Err(format!(
                "a fault is about a route that there is not; they are numbered from 0 to {}",
                routes - 1
            ));
        }
    }
    Ok(scenario)
}

fn parse_line(scenario: &mut Option<Scenario>, line: &mut Line) -> Result<(), String> {
    let word = line.word("what the line is about")?;
    match (word.as_str(), scenario) {
        ("honest", empty @ None) => {
            *empty = Some(Scenario::Honest(Honest {
                seed: line.need("seed")?,
                heal: line.need("heal")?,
                ..Honest::default()
            }));
        }
        ("hostile", empty @ None) => {
            *empty = Some(Scenario::Hostile(Hostile {
                seed: line.need("seed")?,
                honest: line.side("honest")?.ok_or("honest= is missing")?,
                ..Hostile::default()
            }));
        }
        ("honest" | "hostile", Some(_)) => return Err("a file has one scenario".into()),
        (_, None) => return Err("the first line is \"honest ...\" or \"hostile ...\"".into()),
        ("config", Some(Scenario::Hostile(hostile))) => hostile.config = parse_config(line)?,
        ("move", Some(Scenario::Hostile(hostile))) => {
            let name = line.word("a move")?;
            let act = Act::ALL.iter().copied().find(|act| act.name() == name);
            let act = act.ok_or_else(|| format!("\"{name}\" is no move"))?;
            let [a, b, c] = [line.need("a")?, line.need("b")?, line.need("c")?];
            hostile.moves.push(Move { act, a, b, c });
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
    spec.loss_run = line.take(&name("loss-run"))?.unwrap_or(1);
    spec.policer = line.take(&name("policer"))?;
    if let Some(control) = line.text(&name("congestion")) {
        let unknown = || format!("congestion{mark}={control}: there are cubic and bbr");
        spec.congestion = Control::named(&control).ok_or_else(unknown)?;
    }
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
    let [(send, read), (send_back, read_back)] =
        [parse_program(line, "")?, parse_program(line, "'")?];
    let reset = match line.side("breaks")? {
        Some(side) => Some((side, line.need("breaks-at")?)),
        None => None,
    };
    let (sends, reads) = ([send, send_back], [read, read_back]);
    Ok(FlowPlan { opener, at, answer, sends, reads, reset })
}

fn parse_program(line: &mut Line, mark: &str) -> Result<(SendPlan, ReadPlan), String> {
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
    let read = ReadPlan {
        rate: line.take(&name("reads"))?.map(Rate::bytes),
        stop_after: line.take(&name("stops"))?,
        burst: line.take(&name("burst"))?,
    };
    Ok((SendPlan { rate, piece, start, end, ..usual }, read))
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
