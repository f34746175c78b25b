//! The figures behind the lanes, for readers who want numbers or can't see the charts.

use super::*;
use striper_core::StripeId;

pub fn draw(scene: &Scene) -> String {
    let mut text = String::from(
        "<div class=\"wide\"><table><caption>Figures by stripe</caption><thead><tr>\
         <th scope=\"col\">stripe</th><th scope=\"col\">cap</th>\
         <th scope=\"col\">frames</th><th scope=\"col\">bytes</th>\
         <th scope=\"col\">share</th><th scope=\"col\">sent again</th>\
         <th scope=\"col\">blocked</th><th scope=\"col\">in doubt</th>\
         <th scope=\"col\">RTT least / median / most</th>\
         <th scope=\"col\">end</th></tr></thead>\n<tbody>\n",
    );
    let stripes = scene.stripes();
    let bytes = |stripe: &StripeId| in_span(scene, *stripe).map(|frame| frame.size).sum::<u64>();
    let all = stripes.iter().map(bytes).sum::<u64>().max(1);
    for stripe in &stripes {
        text += &row(scene, *stripe, bytes(stripe), all);
    }
    text + "</tbody></table></div>\n"
}

fn in_span<'a>(scene: &'a Scene, stripe: StripeId) -> impl Iterator<Item = &'a Frame> {
    let span = scene.time.span.clone();
    let frames = scene.direction().lanes[&stripe].frames.iter();
    frames.filter(move |frame| {
        frame.sent.or(frame.arrived).is_some_and(|at| (span.start..=span.end).contains(&at))
    })
}

fn row(scene: &Scene, stripe: StripeId, bytes: u64, all: u64) -> String {
    let lane = &scene.direction().lanes[&stripe];
    let span = &scene.time.span;
    let again = in_span(scene, stripe).map(|frame| match frame.carries {
        Carries::Data { again: true, len, .. } => len,
        _ => 0,
    });
    let within =
        |(from, to): &(u64, u64)| (*to).min(span.end).saturating_sub((*from).max(span.start));
    let covered = |spans: &[(u64, u64)]| spans.iter().map(within).sum::<u64>();
    let trips = lane.round_trips.iter().filter(|(at, _)| (span.start..=span.end).contains(at));
    let trips = match summary(trips.map(|(_, took)| *took).collect()) {
        Some(three) => three.map(show_time).join(" / "),
        None => "–".into(),
    };
    let blocked = 100.0 * covered(&lane.blocked) as f64 / (span.end - span.start).max(1) as f64;
    let known = |value: String| if scene.sees_sending() { value } else { "–".into() };
    let end = match scene.timeline.life(scene.from, stripe).and_then(|life| life.down) {
        None => "alive".into(),
        Some((at, Death::Broke)) => format!("broke at {}", show_time(scene.since(at))),
        Some((at, Death::Closed(why))) => format!("{why} at {}", show_time(scene.since(at))),
    };
    format!(
        "<tr><th scope=\"row\">{stripe}</th><td>{}</td><td>{}</td><td>{}</td><td>\
         {:.1} %</td><td>{}</td><td>{}</td><td>{}</td>\
         <td>{trips}</td><td>{}</td></tr>\n",
        scene.cap(stripe).map_or("–".into(), |cap| show_rate(cap.as_bits() as f64)),
        in_span(scene, stripe).count(),
        show_size(bytes),
        100.0 * bytes as f64 / all as f64,
        show_size(again.sum()),
        known(format!("{blocked:.0} %")),
        known(show_time(covered(&lane.doubts))),
        escape(&end),
    )
}
