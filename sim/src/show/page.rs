//! The page of a measurement: its own figures, its oracle and its command.

use crate::base::{Rate, Side, micros, scheduler as schedulers};
use crate::run::{Row, Transfer, World};
use crate::show::picture;
use crate::show::picture::scale::{show_rate, show_size, show_time};
use crate::show::picture::{Figure, Oracle, Summary, Timeline, render};
use std::collections::BTreeMap;
use striper_core::{SchedulerKind, StripeId};

impl Transfer {
    /// The largest stripe count and the first scheduler of those to be measured.
    pub fn drawn(&self) -> (usize, SchedulerKind) {
        let stripes = self.stripes.iter().copied().max().unwrap_or(1);
        (stripes, self.schedulers.first().copied().unwrap_or(SchedulerKind::Earliest))
    }

    pub fn draw(&self, stripes: usize, scheduler: SchedulerKind) -> String {
        let run = self.run(stripes, scheduler, picture::watch);
        let timeline = run.watched.borrow();
        let end = run.row.time.map_or(timeline.last(), |time| run.start + micros(time));
        let summary = Summary {
            title: format!(
                "{} over {stripes} {}",
                show_size(self.size),
                if stripes == 1 { "stripe" } else { "stripes" }
            ),
            story: self.story(stripes, scheduler),
            command: format!("{} --html run.html", self.command(stripes, scheduler)),
            figures: figures(&run.row, &timeline),
            // A little more than the transfer, so that its end can be seen.
            span: Some(run.start..end + (end - run.start) / 50 + 1),
            caps: caps(&run.world, &timeline, &self.caps),
            oracle: Some(Oracle { pipes: run.pipes, bytes: self.size, start: run.start }),
        };
        render(&timeline, &summary)
    }

    fn story(&self, stripes: usize, scheduler: SchedulerKind) -> String {
        let caps = self.caps.iter().cycle().take(stripes);
        let caps: Vec<String> = caps.map(|cap| show_rate(cap.as_bits() as f64)).collect();
        let even = caps.iter().all(|cap| *cap == caps[0]);
        format!(
            "One flow from client to server over {} of {}, chosen by {}; RTT {}, {}, {}seed {}.",
            if stripes == 1 { "one stripe".into() } else { format!("{stripes} stripes") },
            if even { caps[0].clone() } else { caps.join(", ") },
            schedulers::name(scheduler),
            show_time(self.path.rtt.as_micros() as u64),
            self.trouble(),
            if self.idle.is_zero() {
                String::new()
            } else {
                format!("idle for {}, ", show_time(self.idle.as_micros() as u64))
            },
            self.seed,
        )
    }
}

fn figures(row: &Row, timeline: &Timeline) -> Vec<Figure> {
    let mut figures = match row.time {
        None => vec![Figure::new("Goodput", "–", "not done within 100 times the oracle's time")],
        Some(time) => {
            let [time, ideal] =
                [time, row.ideal].map(|time| format!("{:.3} s", micros(time) as f64 / 1e6));
            let goodput = crate::base::show_rate(row.goodput());
            let share = format!("{:.3}", row.share());
            vec![
                Figure::new("Goodput", goodput, "payload, from opening to FIN"),
                Figure::new("Share of the oracle", share, "1.000 is the best there is"),
                Figure::new("Time", time, format!("oracle {ideal}")),
            ]
        }
    };
    let memory = format!("{} KiB", row.reorder_peak.div_ceil(1024));
    figures.push(Figure::new("Reorder memory", memory, "the most that was held at once"));
    figures.push(Figure::new("Sent again", show_size(row.resent), "payload on a second stripe"));
    let deaths = timeline.deaths(Side::Client);
    figures.push(Figure::new("Stripes lost", deaths.to_string(), ""));
    figures
}

/// The cap of each stripe, by its route; `caps` are dealt to the routes in turn.
fn caps(world: &World, timeline: &Timeline, caps: &[Rate]) -> BTreeMap<StripeId, Rate> {
    let stripes = timeline.direction(Side::Client).lanes.keys();
    stripes.filter_map(|stripe| Some((*stripe, caps[world.route(*stripe)? % caps.len()]))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::picture::tests::assert_self_contained;
    use crate::show::picture::tests::markup::assert_well_formed;

    fn transfer(caps: &[Rate], stripes: usize, size: u64) -> Transfer {
        Transfer { caps: caps.to_vec(), stripes: vec![stripes], size, ..Transfer::default() }
    }

    fn drawn(transfer: &Transfer) -> String {
        let (stripes, scheduler) = transfer.drawn();
        transfer.draw(stripes, scheduler)
    }

    #[test]
    fn a_measurement_gives_a_self_contained_well_formed_page() {
        for scheduler in schedulers::ALL {
            let mut transfer = transfer(&[20, 5, 1].map(Rate::mbit), 3, 2 << 20);
            transfer.path.loss = 10_000;
            let page = transfer.draw(3, scheduler);
            assert_well_formed(&page);
            assert_self_contained(&page);
            for words in [
                "Goodput",
                "Stripes",
                "sequence",
                "close up",
                "Reorder depth",
                "Round-trip time",
                "stripe 2",
            ] {
                assert!(page.contains(words), "{words}");
            }
        }
    }

    #[test]
    fn the_page_has_the_figures_of_the_report_and_the_command_that_repeats_it() {
        let transfer = transfer(&[Rate::mbit(20), Rate::mbit(1)], 2, 2 << 20);
        let page = drawn(&transfer);
        let row = transfer.measure(2, SchedulerKind::Earliest);
        for figure in [
            crate::base::show_rate(row.goodput()),
            format!("{:.3}", row.share()),
            format!("{:.3} s", micros(row.time.unwrap()) as f64 / 1e6),
            format!("oracle {:.3} s", micros(row.ideal) as f64 / 1e6),
            format!("{} KiB", row.reorder_peak.div_ceil(1024)),
            show_size(row.resent),
        ] {
            let shown = ["b", "span"].map(|tag| format!("<{tag}>{figure}</{tag}>"));
            assert!(shown.iter().any(|shown| page.contains(shown)), "{figure}");
        }
        assert!(transfer.report(true).contains(&row.resent.to_string()));
        let command = transfer.command(2, SchedulerKind::Earliest);
        assert!(page.contains(&format!("<code>{command} --html run.html</code>")));
    }

    #[test]
    fn the_same_run_gives_the_same_bytes() {
        let mut transfer = transfer(&[Rate::mbit(8), Rate::mbit(2)], 2, 1 << 20);
        transfer.path.loss = 10_000;
        assert_eq!(drawn(&transfer), drawn(&transfer));
    }

    #[test]
    fn the_largest_count_and_the_first_scheduler_are_drawn() {
        let mut transfer = transfer(&[Rate::mbit(8)], 1, 1 << 20);
        transfer.stripes = vec![2, 8, 4];
        transfer.schedulers = vec![SchedulerKind::RoundRobin, SchedulerKind::Earliest];
        assert_eq!(transfer.drawn(), (8, SchedulerKind::RoundRobin));
    }

    #[test]
    fn pages_stay_small_however_large_the_transfer() {
        for (cap, stripes, size) in [(Rate::mbit(100), 8, 64 << 20), (Rate::mbit(2), 1, 100)] {
            let page = drawn(&transfer(&[cap], stripes, size));
            assert_well_formed(&page);
            assert!(page.len() < 200_000, "{stripes} stripes: {} bytes", page.len());
        }
    }
}
