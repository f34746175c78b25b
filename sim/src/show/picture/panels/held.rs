//! Reorder depth: the bytes that the receiver held because an earlier one was missing.

use super::*;

const HEIGHT: f64 = 130.0;

const BUCKETS: usize = 300;

pub fn draw(scene: &Scene) -> String {
    if !scene.sees_arrival() {
        return String::new();
    }
    let held = &scene.direction().held;
    let buckets = Buckets::new(scene.time.span.clone(), BUCKETS);
    let peaks = buckets.peaks(held);
    let most = peaks.iter().copied().max().unwrap_or(0);
    let (scale, (name, size)) = Scale::in_unit(most.max(1024) as f64, 3, size_unit);
    let mut plot = Plot::new(&scene.time, HEIGHT, "Bytes held out of order over time");
    plot.scale(&scale, size);
    let shares: Vec<f64> = peaks.iter().map(|peak| *peak as f64 / scale.top).collect();
    plot.bars("held", &buckets, &shares, HEIGHT, HEIGHT);
    let caption = if most == 0 {
        "Nothing ever arrived out of order.".into()
    } else {
        format!(
            "{} At most {}.",
            key("held", "bytes that are there and wait for an earlier piece"),
            show_size(most)
        )
    };
    panel(&format!("Reorder depth, {name}"), &caption, &plot.finish())
}
