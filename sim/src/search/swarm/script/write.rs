//! Scenarios to text.

use super::line::{WAYS, side_name};
use crate::base::{Rate, Side, micros, scheduler};
use crate::net::{Answer, Control, Ending, Fault, FlowPlan, LinkSpec, ProcessFault, Start, Told};
use crate::search::swarm::hostile::Move;
use crate::search::swarm::{Honest, Hostile, Scenario};
use striper_core::Config;

pub fn write(scenario: &Scenario) -> String {
    let lines = match scenario {
        Scenario::Honest(honest) => honest_lines(honest),
        Scenario::Hostile(Hostile { seed, honest, config, moves }) => {
            let mut lines = vec![format!("hostile seed={seed} honest={}", side_name(*honest))];
            lines.push(format!("config {}", config_text(config)));
            lines.extend(
                moves
                    .iter()
                    .map(|Move { act, a, b, c }| format!("move {} a={a} b={b} c={c}", act.name())),
            );
            lines
        }
    };
    lines.join("\n") + "\n"
}

fn honest_lines(honest: &Honest) -> Vec<String> {
    let mut lines = vec![format!("honest seed={} heal={}", honest.seed, honest.heal)];
    for (side, config) in Side::BOTH.into_iter().zip(&honest.config) {
        lines.push(format!("config {} {}", side_name(side), config_text(config)));
    }
    lines.extend(honest.routes.iter().map(|route| format!("route {}", route_text(route))));
    lines.extend(honest.flows.iter().map(flow_text));
    lines.extend(honest.faults.iter().map(fault_text));
    for (at, side, process_fault) in &honest.process_faults {
        let what = match process_fault {
            ProcessFault::Crash { down, told } => {
                format!("crash down={} told={told}", micros(*down))
            }
            ProcessFault::Pause(time) => format!("pause time={}", micros(*time)),
            ProcessFault::Jump(time) => format!("jump time={}", micros(*time)),
        };
        lines.push(format!("upset {what} at={at} side={}", side_name(*side)));
    }
    lines
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
    let Config { stripes, memory_limit, window_limit, max_flows, .. } = config;
    let scheduler = scheduler::name(config.scheduler);
    let [heartbeat, stall, resume] =
        [config.heartbeat, config.stall_limit, config.resume_limit].map(micros);
    format!(
        "stripes={stripes} scheduler={scheduler} memory={memory_limit} window={window_limit} \
         flows={max_flows} heartbeat={heartbeat} stall={stall} resume={resume}{opens}{rare_turns}"
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
        if spec.loss_run > 1 {
            words.push(format!("loss-run{mark}={}", spec.loss_run));
        }
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
        if spec.congestion != Control::Cubic {
            words.push(format!("congestion{mark}={}", spec.congestion.name()));
        }
        if let Some(burst) = spec.policer {
            words.push(format!("policer{mark}={burst}"));
        }
        if let Some(mark_at) = spec.low_water {
            words.push(format!("low-water{mark}={mark_at}"));
        }
    }
    words.join(" ")
}

fn flow_text(flow: &FlowPlan) -> String {
    let mut words = vec![format!("flow opener={} at={}", side_name(flow.opener), flow.at)];
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

fn fault_text((at, route, fault): &(u64, usize, Fault)) -> String {
    let from = |sides: &[bool; 2]| {
        let way = WAYS.iter().find(|way| way.1 == *sides);
        format!("from={}", way.expect("all ways have a name").0)
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
    format!("fault {what} at={at} route={route}")
}
