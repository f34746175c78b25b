//! The plot: memory and descriptors of both sides, with a line where new processes took over.

use crate::samples::{Sample, Samples};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 130.0;
const LEFT: f64 = 90.0;

const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#24292f}.a{stroke:#0969da}\
.b{stroke:#bf8700}.a,.b{fill:none;stroke-width:1.5}.axis{stroke:#8c959f;fill:none}\
.mark{stroke:#cf222e;stroke-dasharray:3 3}@media(prefers-color-scheme:dark){text{fill:#e6edf3}}";

pub fn draw(samples: &Samples) -> String {
    let end = samples.all().last().map_or(1.0, |sample| sample.at.as_secs_f64());
    let marks = |top: f64| -> String {
        let mark = |at: &std::time::Duration| {
            let x = LEFT + at.as_secs_f64() / end * WIDTH;
            format!("<path class=\"mark\" d=\"M{x:.1} {top}v{HEIGHT}\"/>")
        };
        samples.upgrades().iter().map(mark).collect()
    };
    let memory = |sample: &Sample| sample.memory.map(|bytes| bytes as f64 / f64::from(1 << 20));
    let files = |sample: &Sample| sample.files.map(|files| files as f64);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 880 390\" role=\"img\">\
         <style>{STYLE}</style>\n{}{}{}{}<text x=\"{LEFT}\" y=\"380\">{:.0} minutes; blue: client, \
         yellow: server; red: new processes take over, the old ones drain</text></svg>\n",
        chart(30.0, "memory, MiB", samples.all(), end, memory),
        marks(30.0),
        chart(210.0, "descriptors", samples.all(), end, files),
        marks(210.0),
        end / 60.0,
    )
}

fn chart(
    top: f64,
    title: &str,
    all: &[Sample],
    end: f64,
    of: impl Fn(&Sample) -> [f64; 2],
) -> String {
    let most = all.iter().flat_map(&of).fold(1.0, f64::max) * 1.1;
    let line = |side: usize| -> String {
        let point = |sample: &Sample| {
            let x = LEFT + sample.at.as_secs_f64() / end * WIDTH;
            format!("{x:.1},{:.1} ", top + HEIGHT * (1.0 - of(sample)[side] / most))
        };
        all.iter().map(point).collect()
    };
    let bottom = top + HEIGHT;
    format!(
        "<text x=\"{LEFT}\" y=\"{:.0}\">{title}</text>\
         <text x=\"{1:.0}\" y=\"{2:.0}\" text-anchor=\"end\">{most:.0}</text>\
         <text x=\"{1:.0}\" y=\"{bottom:.0}\" text-anchor=\"end\">0</text>\
         <path class=\"axis\" d=\"M{LEFT} {top}V{bottom}h{WIDTH}\"/>\
         <polyline class=\"a\" points=\"{3}\"/><polyline class=\"b\" points=\"{4}\"/>\n",
        top - 8.0,
        LEFT - 6.0,
        top + 10.0,
        line(0),
        line(1),
    )
}
