//! Draws a table.

use super::canvas::Canvas;
use super::model::{Model, Which};
use super::table::Row;
use super::tone::Tone;
use crate::units;

/// The lines of a table without its rows.
pub(super) const FRAME: u16 = 2;

/// A line that names what is below it.
pub(super) fn title(canvas: &mut Canvas<'_>, name: &str, details: &str, has_keys: bool) {
    let tone = if has_keys { Tone::Title } else { Tone::Dim };
    let mut line = canvas.line();
    line.put("── ", tone);
    line.put(name, tone);
    line.put(" ", tone);
    if !details.is_empty() {
        line.put(details, Tone::Plain);
        line.put(" ", tone);
    }
    line.rule(tone);
}

pub(super) fn draw(model: &Model, which: Which, rows: &[Row], canvas: &mut Canvas<'_>) {
    let table = model.table(which);
    let name = match which {
        Which::Stripes => "STRIPES",
        Which::Flows => "FLOWS",
    };
    let has_keys = model.focus() == which;
    title(canvas, name, &details(model, which, rows), has_keys);
    let columns = table.fit(canvas.width());
    let mut line = canvas.line();
    for (index, width) in &columns {
        let column = &table.columns()[*index];
        let tone = if *index == table.sorted() { Tone::Key } else { Tone::Dim };
        line.field(column.title, *width, column.right, tone);
        line.skip(1);
    }
    let selected = table.selected(rows);
    let visible = usize::from(canvas.height());
    // The selected row is always in view.
    let first = selected.filter(|place| *place >= visible).map_or(0, |place| place + 1 - visible);
    for (place, row) in rows.iter().enumerate().skip(first).take(visible) {
        let mut line = canvas.line();
        for (index, width) in &columns {
            let (cell, column) = (&row.cells[*index], &table.columns()[*index]);
            line.field(&cell.text, *width, column.right, cell.tone);
            line.skip(1);
        }
        if has_keys && selected == Some(place) {
            line.mark(Tone::Selected);
        }
    }
}

/// How many rows there are, their order, and what is left out.
fn details(model: &Model, which: Which, rows: &[Row]) -> String {
    let table = model.table(which);
    let sessions = model.state().sessions.iter();
    let (all, left_out): (usize, _) = match which {
        Which::Stripes => (sessions.map(|session| session.stripes.len()).sum(), 0),
        Which::Flows => {
            (sessions.map(|session| session.flows.len()).sum(), model.state().flows_left_out)
        }
    };
    let mut text = match rows.len() == all {
        true => all.to_string(),
        false => format!("{} of {all}", rows.len()),
    };
    if left_out > 0 {
        text += &format!(" (and {} that are not listed)", units::grouped(left_out as u64));
    }
    text += &format!(", by {}", table.columns()[table.sorted()].title);
    if table.is_reversed() {
        text += " reversed";
    }
    if !table.filter().is_empty() {
        text += &format!(", with \"{}\"", table.filter());
    }
    text
}
