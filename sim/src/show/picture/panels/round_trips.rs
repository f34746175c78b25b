//! Round trips of each stripe, from a frame's hand-over to its acknowledgement, on one scale.

use super::*;

/// The height of a row, and the distance to the next, in pixels.
const HEIGHT: f64 = 38.0;
const PITCH: f64 = 50.0;

const BUCKETS: usize = 150;

pub fn draw(scene: &Scene) -> String {
    let stripes = scene.stripes();
    let lanes = &scene.direction().lanes;
    let samples = stripes.iter().flat_map(|stripe| &lanes[stripe].round_trips);
    let span = &scene.time.span;
    let most =
        samples.filter(|(at, _)| (span.start..=span.end).contains(at)).map(|(_, took)| *took).max();
    let Some(most) = most.filter(|_| scene.sees_sending()) else { return String::new() };
    let (scale, (name, size)) = Scale::in_unit(most.max(1) as f64, 2, time_unit);
    let mut plot =
        Plot::new(&scene.time, PITCH * stripes.len() as f64, "Round-trip time of each stripe");
    let buckets = Buckets::new(span.clone(), scene.detail(BUCKETS));
    for (index, stripe) in stripes.iter().enumerate() {
        let base = index as f64 * PITCH + HEIGHT + 8.0;
        plot.level("base", base + 0.5);
        plot.level("grid", base - HEIGHT);
        plot.margin(base - HEIGHT + 9.0, "tick", &number(scale.top / size, scale.step / size));
        plot.margin(base - 9.0, "name", &format!("stripe {stripe}"));
        let of_stripe = buckets.quantiles(&lanes[stripe].round_trips);
        let (band, line) = band_and_line(&plot, &buckets, &of_stripe, base, scale.top);
        plot.path("band", &band);
        plot.path("median", &line);
        let all =
            lanes[stripe].round_trips.iter().filter(|(at, _)| (span.start..=span.end).contains(at));
        let title = match summary(all.map(|(_, took)| *took).collect()) {
            Some(three) => {
                let [low, middle, high] = three.map(show_time);
                format!(
                    "stripe {stripe}: {low} at least, {middle} half the time or less, \
                     {high} at most"
                )
            }
            None => format!("stripe {stripe}: no acknowledgement in this time"),
        };
        plot.span("hover", span.clone(), base - HEIGHT, HEIGHT, &title);
    }
    let caption = format!(
        "From a frame's hand-over to its acknowledgement, queues included; all on one scale, up to \
         {}. {} {}",
        show_time(scale.top as u64),
        line_key("median", "median"),
        key("band", "from the least to the most"),
    );
    panel(&format!("Round-trip time by stripe, {name}"), &caption, &plot.finish())
}

/// The path around least and most, and that of the medians. Both run on over gaps.
fn band_and_line(
    plot: &Plot,
    buckets: &Buckets,
    values: &[Option<[u64; 3]>],
    base: f64,
    top: f64,
) -> (String, String) {
    let points: Vec<(String, [String; 3])> = values
        .iter()
        .enumerate()
        .filter_map(|(index, value)| {
            let middle = buckets.border(index) + buckets.width(index) / 2;
            let y = |value: u64| short(base - HEIGHT * (value as f64 / top).min(1.0));
            Some((short(plot.time.x(middle)), value.as_ref()?.map(y)))
        })
        .collect();
    let (mut band, mut line) = (String::new(), String::new());
    for (index, (x, [_, middle, high])) in points.iter().enumerate() {
        let letter = if index == 0 { 'M' } else { 'L' };
        let _ = write!(band, "{letter}{x} {high}");
        let _ = write!(line, "{letter}{x} {middle}");
    }
    for (x, [low, ..]) in points.iter().rev() {
        let _ = write!(band, "L{x} {low}");
    }
    if !band.is_empty() {
        band.push('Z');
    }
    (band, line)
}
