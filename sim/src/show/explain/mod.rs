//! The waits of flows and the limits of stripes: `sim replay --explain`.
//!
//! An [`account`] is one side's trace by flow, a [`history`] the way of one byte. [`wait`] finds
//! pauses in the accounts of one side or both, and their causes; `tell` puts them into words.
//! For these nothing is played: the text is about the recorded run, whatever the code does today.
//! Only [`limits`] of stripes have to be asked of a session.
//!
//! Invariant: a time is named with the side on whose clock it was seen. Times of two clocks are
//! never compared, only durations.

pub mod account;
pub mod history;
mod limits;
mod tell;
#[cfg(test)]
mod tests;
pub mod wait;

use crate::base::Side;
use crate::show::picture::timeline::now;
use account::Account;
use limits::Limits;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;
use striper_core::FlowId;
use striper_core::trace::Trace;
use wait::{Direction, Pause};

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// The most pauses that are told, the longest first.
    pub pauses: usize,
    pub at_least: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options { pauses: 10, at_least: Duration::from_millis(50) }
    }
}

pub struct Source {
    pub name: String,
    pub trace: Trace,
    /// Says that the trace is cut, if it is.
    pub note: String,
}

/// Explains one trace, or both sides of one session. The error says what is wrong with them.
pub fn explain(sources: &[Source], options: &Options) -> Result<String, String> {
    let accounts = sources.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let both = match accounts.as_slice() {
        [_] => false,
        [one, two] if one.side == two.side => {
            return Err(format!(
                "both are the {}'s side; --explain takes one trace, or both sides of one session\n",
                tell::name(one.side)
            ));
        }
        [one, two] => belong_together(sources, one, two).map(|()| true)?,
        _ => return Err("--explain takes one trace, or both sides of one session\n".into()),
    };
    let mut text = introduction(sources, &accounts, both);
    let directions = directions(&accounts, options);
    let found: Vec<Vec<Pause>> = directions.iter().map(Direction::pauses).collect();
    text += &blocks(&directions, &found, options);
    for (direction, pauses) in directions.iter().zip(&found) {
        text += &tell::summary(direction, pauses);
    }
    for (source, account) in sources.iter().zip(&accounts) {
        text += &tell::limits(&Limits::of(&source.trace), account.side);
    }
    Ok(text)
}

fn read(source: &Source) -> Result<Account, String> {
    let mut account = Account::new(Side::from(source.trace.header.role));
    let told = source.trace.recall(&mut |now, input, outputs| account.observe(now, input, outputs));
    told.map_err(|error| format!("{}: {error}\n", source.name))?;
    account.finish();
    Ok(account)
}

/// In one session, bytes that came out on one side were given on the other.
fn belong_together(sources: &[Source], one: &Account, two: &Account) -> Result<(), String> {
    for (sender, receiver, trace) in [(one, two, &sources[0].trace), (two, one, &sources[1].trace)]
    {
        for (id, flow) in receiver.flows.iter().filter(|_| trace.end.is_some()) {
            let given = sender.flows.get(id).map_or(0, |flow| now(&flow.sending.written));
            if now(&flow.receiving.delivered) > given {
                return Err(format!(
                    "these are not both sides of one session: of flow {id}, more came out than the \
                     {} gave\n",
                    tell::name(sender.side)
                ));
            }
        }
    }
    Ok(())
}

fn introduction(sources: &[Source], accounts: &[Account], both: bool) -> String {
    let mut text = String::new();
    for (Source { name, note, .. }, account) in sources.iter().zip(accounts) {
        let _ = writeln!(
            text,
            "{name}: the {}'s side, {:.3} s{note}",
            tell::name(account.side),
            account.last as f64 / 1e6
        );
    }
    let scenario = |side: usize| sources[side].trace.header.scenario.as_ref();
    text += "times count from the first input";
    text += match both {
        true if scenario(0).is_some() && scenario(0) == scenario(1) => {
            ", at the same moment on both sides of this simulated run"
        }
        true => " of each trace; the two sides' clocks are not the same",
        false => "",
    };
    text + "\n"
}

/// The directions of flows that carried bytes.
fn directions<'a>(accounts: &'a [Account], options: &Options) -> Vec<Direction<'a>> {
    let flows: BTreeSet<FlowId> =
        accounts.iter().flat_map(|account| account.flows.keys().copied()).collect();
    let at = |side: Side, id: FlowId| {
        let account = accounts.iter().find(|account| account.side == side)?;
        account.flows.get(&id).map(|flow| (account, flow))
    };
    let all = flows.into_iter().flat_map(|id| {
        Side::BOTH.map(|from| Direction {
            id,
            from,
            sender: at(from, id),
            receiver: at(from.other(), id),
            at_least: options.at_least.as_micros() as u64,
        })
    });
    all.filter(|direction| {
        direction.sender.is_some_and(|(_, flow)| !flow.sending.written.is_empty())
            || direction.receiver.is_some_and(|(_, flow)| !flow.receiving.arrivals.is_empty())
    })
    .collect()
}

fn blocks(directions: &[Direction<'_>], found: &[Vec<Pause>], options: &Options) -> String {
    let mut waits: Vec<(&Direction<'_>, &Pause)> = Vec::new();
    for (direction, pauses) in directions.iter().zip(found) {
        let of_it = pauses.iter().filter(|pause| pause.cause.is_a_wait());
        waits.extend(of_it.map(|pause| (direction, pause)));
    }
    waits.sort_by_key(|(_, pause)| std::cmp::Reverse(pause.length()));
    let mut text = String::from("\n");
    for (direction, pause) in waits.iter().take(options.pauses) {
        text += &tell::block(pause, direction);
        text += "\n";
    }
    match waits.len() {
        0 => {
            let _ = writeln!(text, "no pause of at least {} ms\n", options.at_least.as_millis());
        }
        all if all > options.pauses => {
            let more = all - options.pauses;
            let plural = if more == 1 { "" } else { "s" };
            let _ = writeln!(text, "and {more} shorter one{plural}; --pauses N tells more\n");
        }
        _ => {}
    }
    text
}
