//! The picture in README: one transfer past the proxies and one through them, over the same route.

use crate::cases::{self, seconds};
use crate::emulator::Way;
use crate::load::{Amount, BIN, Received};
use crate::peers::{Peer, Programs};
use crate::trial::Trial;
use std::fs;
use std::path::Path;

const SECONDS: u64 = 10;
/// Goodput is averaged from here on: slow start is over.
const STEADY: u64 = 3;
/// The highest goodput that the charts show, in Mbit/s.
const TOP: f64 = 50.0;
const WIDTH: f64 = 380.0;
const HEIGHT: f64 = 110.0;

const STYLE: &str = "\
text{font:13px system-ui,sans-serif;fill:#24292f}.b{font-weight:600}.s{fill:#57606a}\
.box{fill:#f6f8fa;stroke:#8c959f}.way{stroke:#0969da;stroke-width:3;fill:none}\
.area{fill:#0969da;fill-opacity:.25;stroke:#0969da;stroke-width:1.5}.axis{stroke:#8c959f}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.s{fill:#9198a1}\
.box{fill:#21262d;stroke:#656c76}.way,.area{stroke:#58a6ff}.area{fill:#58a6ff}}";

/// Measures an upload over 4 x 10 Mbit/s at an RTT of 40 ms, directly and through the pair, and
/// writes both as an SVG.
pub fn draw(programs: &Programs, file: &Path) -> Result<(), String> {
    let case = cases::quick().pop().ok_or("there is no quick case")?;
    let upload = |peer| {
        let trial = Trial::start(&case.route, peer, programs)?;
        Ok::<_, String>(trial.bulk(Way::Up, Amount::During(seconds(SECONDS)))?.0)
    };
    let (direct, striped) = (upload(Peer::Direct)?, upload(Peer::Ours)?);
    let page = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 880 330\" role=\"img\">\
         <style>{STYLE}</style>\n{}{}<text class=\"s\" x=\"20\" y=\"322\">Measured on Linux TCP: \
         a route that caps each connection at 10 Mbit/s, RTT 40 ms, one upload.</text></svg>\n",
        row(10.0, "Without striper", 1, &direct),
        row(165.0, "With striper", case.route.stripes, &striped),
    );
    fs::write(file, page).map_err(|error| format!("{}: {error}", file.display()))
}

fn row(y: f64, title: &str, connections: usize, received: &Received) -> String {
    let mbit = received.mbit(seconds(STEADY), seconds(SECONDS));
    let middle = y + 75.0;
    let mut out = format!("<text class=\"b\" x=\"20\" y=\"{:.0}\">{title}</text>\n", y + 12.0);
    let lift = 7.0 * (connections - 1) as f64;
    let (left, right) = if connections > 1 { (165, 245) } else { (80, 330) };
    for line in 0..connections {
        let at = middle - lift + 14.0 * line as f64;
        out += &format!("<path class=\"way\" d=\"M{left} {at:.0}H{right}\"/>\n");
    }
    out += &format!("<path class=\"way\" d=\"M80 {middle:.0}H{left}M{right} {middle:.0}H330\"/>\n");
    let proxies = if connections > 1 { &[("client", 105.0), ("server", 245.0)][..] } else { &[] };
    for (name, x) in [("Peer A", 20.0), ("Peer B", 330.0)].iter().chain(proxies) {
        out += &format!(
            "<rect class=\"box\" x=\"{x}\" y=\"{:.0}\" width=\"60\" height=\"60\" rx=\"6\"/>\
             <text x=\"{}\" y=\"{:.0}\" text-anchor=\"middle\">{name}</text>\n",
            middle - 30.0,
            x + 30.0,
            middle + 5.0
        );
    }
    out + &chart(y + 15.0, mbit, received)
}

fn chart(top: f64, mbit: f64, received: &Received) -> String {
    let (left, bottom) = (490.0, top + HEIGHT);
    let bins = (SECONDS * 1000) as usize / BIN.as_millis() as usize;
    let step = WIDTH / bins as f64;
    let height = |bytes: &u64| {
        let rate = *bytes as f64 * 8e-6 / BIN.as_secs_f64();
        (rate / TOP).min(1.0) * HEIGHT
    };
    let path = |(bin, bytes): (usize, &u64)| {
        format!("V{:.1}H{:.1}", bottom - height(bytes), left + step * (bin + 1) as f64)
    };
    let steps: String = received.bins.iter().take(bins).enumerate().map(path).collect();
    format!(
        "<path class=\"area\" d=\"M{left} {bottom}{steps}V{bottom}Z\"/>\
         <path class=\"axis\" d=\"M{left} {top}V{bottom}H{:.0}\" fill=\"none\"/>\
         <text class=\"s\" x=\"{1:.0}\" y=\"{2:.0}\" text-anchor=\"end\">{TOP:.0} Mbit/s</text>\
         <text class=\"s\" x=\"{1:.0}\" y=\"{bottom:.0}\" text-anchor=\"end\">0</text>\
         <text class=\"s\" x=\"{0:.0}\" y=\"{3:.0}\" text-anchor=\"end\">{SECONDS} s</text>\
         <text class=\"b\" x=\"{4:.0}\" y=\"{5:.0}\">{mbit:.1} Mbit/s</text>\n",
        left + WIDTH,
        left - 6.0,
        top + 10.0,
        bottom + 16.0,
        left + WIDTH / 2.0 - 40.0,
        bottom - mbit / TOP * HEIGHT - 12.0,
    )
}
