//! The charts of a page, one a file. Each is a function from a scene to markup, which is empty
//! where nothing is known.

pub mod goodput;
pub mod held;
pub mod lanes;
pub mod round_trips;
pub mod sequence;
pub mod table;
pub mod waits;

use crate::show::picture::lane::{Carries, Frame, Lane};
use crate::show::picture::plot::{Plot, TimeAxis, WIDTH, escape, short};
use crate::show::picture::scale::{
    Scale, number, rate_unit, show_rate, show_size, show_time, size_unit, time_unit,
};
use crate::show::picture::scene::{MAX_LANES, Piece, Scene};
use crate::show::picture::series::{Buckets, summary};
use crate::show::picture::timeline::{Death, FlowTrack, Steps, now};
use std::fmt::Write as _;

/// A chart with its heading and caption.
pub fn panel(title: &str, caption: &str, chart: &str) -> String {
    format!("<figure><h3>{title}</h3><figcaption>{caption}</figcaption>\n{chart}</figure>\n")
}

/// A sample of a mark for a caption, with its name.
pub fn key(class: &str, name: &str) -> String {
    format!(
        "<span class=\"key\"><svg width=\"18\" height=\"11\" aria-hidden=\"true\">\
         <rect class=\"{class}\" x=\"0.5\" y=\"0.5\" width=\"17\" height=\"10\"/></svg> \
         {name}</span>"
    )
}

/// As [`key`], for a line.
pub fn line_key(class: &str, name: &str) -> String {
    format!(
        "<span class=\"key\"><svg width=\"22\" height=\"11\" aria-hidden=\"true\">\
         <path class=\"{class}\" d=\"M0 5.5H22\"/></svg> {name}</span>"
    )
}
