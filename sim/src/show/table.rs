//! The table and the JSON document of measurements.

use crate::base::{micros, scheduler, show_rate, write_size, write_time};
use crate::run::{Path, Row, Transfer};
use std::fmt::Write as _;
use std::time::Duration;

impl Transfer {
    pub fn report(&self, json: bool) -> String {
        let mut text = if json { self.json_head() } else { self.table_head() };
        for (index, scheduler) in self.schedulers.iter().enumerate() {
            let single = self.measure(1, *scheduler);
            for (nth, stripes) in self.stripes.iter().enumerate() {
                let row =
                    if *stripes == 1 { single.clone() } else { self.measure(*stripes, *scheduler) };
                // There is nothing to compare with if one stripe alone was not done in time.
                let speed_up = single.time.map(|_| row.goodput() / single.goodput());
                if json {
                    text += if index + nth > 0 { ",\n" } else { "\n" };
                    text += &json_row(&row, speed_up);
                } else {
                    text += &table_row(&row, speed_up);
                }
            }
        }
        text += if json { "\n  ]\n}\n" } else { TABLE_FOOT };
        text
    }

    fn table_head(&self) -> String {
        let each = if self.caps.len() == 1 { "each " } else { "" };
        let caps = self.caps.iter().map(|cap| show_rate(cap.as_bits() as f64));
        let caps = caps.collect::<Vec<_>>().join(", ");
        format!(
            "One flow of {}, client to server, over stripes {each}capped at {caps}; RTT {}, \
             {}, {}seed {}{}\n\n\
             scheduler  stripes      goodput  speed-up  share of oracle  of caps      tcp alone  \
             longest pause  reorder memory        time    oracle\n",
            write_size(self.size),
            write_time(self.path.rtt),
            self.trouble(),
            if self.idle.is_zero() {
                String::new()
            } else {
                format!("idle for {}, ", write_time(self.idle))
            },
            self.seed,
            self.written_route(),
        )
    }

    /// The unusual properties of the routes, in the words of the options.
    fn written_route(&self) -> String {
        let usual = Path { rtt: self.path.rtt, loss: self.path.loss, ..Path::default() };
        let usual = Path { loss_run: self.path.loss_run, ..usual }.written();
        let written = self.path.written();
        match written.strip_prefix(&usual) {
            Some("") | None => String::new(),
            Some(unusual) => format!(";{unusual}"),
        }
    }

    fn json_head(&self) -> String {
        let caps: Vec<String> = self.caps.iter().map(|cap| cap.as_bits().to_string()).collect();
        let faults = self.written_faults();
        let faults: Vec<String> = faults.iter().map(|fault| format!("\"{fault}\"")).collect();
        format!(
            "{{\n  \"caps_bits_per_second\": [{}],\n  \"rtt_us\": {},\n  \"loss\": {}.{:06},\n  \
             \"idle_us\": {},\n  \"seed\": {},\n  \
             \"faults\": [{}],\n  \"size_bytes\": {},\n  \"rows\": [",
            caps.join(", "),
            self.path.rtt.as_micros(),
            self.path.loss / 1_000_000,
            self.path.loss % 1_000_000,
            self.idle.as_micros(),
            self.seed,
            faults.join(", "),
            self.size,
        )
    }
}

const TABLE_FOOT: &str = "\n\
    oracle: the least time in which any scheduler could do it, each stripe a fluid that enters \
    at its cap and comes out half\n\
    an RTT later. tcp alone: the goodput of as many connections without sessions, each of which \
    carries all that it can.\n\
    --help says what the simulator leaves out.\n";

fn table_row(row: &Row, speed_up: Option<f64>) -> String {
    let seconds = |time: Duration| format!("{:.3} s", micros(time) as f64 / 1e6);
    let mut text = format!("{:<9}  {:>7}", scheduler::name(row.scheduler), row.stripes);
    match row.time {
        None => text += "  not done within 100 times the oracle's time",
        Some(time) => {
            let _ = write!(
                text,
                "  {:>11}  {:>8}  {:>15.3}  {:>7.3}  {:>13}  {:>10} ms  {:>10} KiB  {:>10}  {:>8}",
                show_rate(row.goodput()),
                speed_up.map_or("-".into(), |times| format!("{times:.2}x")),
                row.share(),
                row.share_of_caps(),
                row.goodput_alone().map_or("-".into(), show_rate),
                row.pause.as_millis(),
                row.reorder_peak.div_ceil(1024),
                seconds(time),
                seconds(row.ideal),
            );
            if row.foreign > 0 {
                let _ = write!(text, "  foreign {}", show_rate(row.foreign_goodput()));
            }
        }
    }
    text + "\n"
}

fn json_row(row: &Row, speed_up: Option<f64>) -> String {
    format!(
        "    {{\"scheduler\": \"{}\", \"stripes\": {}, \"time_us\": {}, \"oracle_us\": {}, \
         \"goodput_bits_per_second\": {:.0}, \
         \"speed_up\": {}, \"share_of_oracle\": {:.4}, \"reorder_peak_bytes\": {}, \
         \"resent_bytes\": {}, \"share_of_caps\": {:.4}, \"longest_pause_us\": {}, \
         \"goodput_alone_bits_per_second\": {}, \"foreign_bits_per_second\": {:.0}}}",
        scheduler::name(row.scheduler),
        row.stripes,
        row.time.map_or("null".into(), |time| micros(time).to_string()),
        micros(row.ideal),
        row.goodput(),
        speed_up.map_or("null".into(), |times| format!("{times:.4}")),
        row.share(),
        row.reorder_peak,
        row.resent,
        row.share_of_caps(),
        micros(row.pause),
        row.goodput_alone().map_or("null".into(), |rate| format!("{rate:.0}")),
        row.foreign_goodput(),
    )
}
