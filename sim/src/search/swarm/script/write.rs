//! Scenarios to text.

use crate::base::{Rate, Side, micros, scheduler};
use crate::net::{Answer, Ending, Fault, FlowPlan, LinkSpec, ProcessFault, Start, Told};
use crate::search::swarm::hostile::Move;
use crate::search::swarm::{Honest, Scenario};
use std::fmt::Write as _;
use striper_core::Config;

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

fn side_name(side: Side) -> &'static str {
    match side {
        Side::Client => "client",
        Side::Server => "server",
    }
}
