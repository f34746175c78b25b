//! A table: its columns, the order and choice of its rows, and the selected row.

use super::history::Id;
use super::tone::Tone;
use std::cmp::Ordering;

/// A column of a table.
#[derive(Debug)]
pub(super) struct Column {
    pub title: &'static str,
    /// In columns of the terminal, without the gap before the next.
    pub width: u16,
    /// Takes the room that is left.
    pub grows: bool,
    /// Numbers stand at the right.
    pub right: bool,
    /// A narrow terminal has only the columns of low ranks.
    pub rank: u8,
}

impl Column {
    pub(super) const fn text(title: &'static str, width: u16, rank: u8) -> Column {
        Column { title, width, grows: false, right: false, rank }
    }

    pub(super) const fn number(title: &'static str, width: u16, rank: u8) -> Column {
        Column { right: true, ..Column::text(title, width, rank) }
    }

    pub(super) const fn growing(title: &'static str, width: u16, rank: u8) -> Column {
        Column { grows: true, ..Column::text(title, width, rank) }
    }
}

pub(super) struct Cell {
    pub text: String,
    /// Rows are ordered by it, and by the text if there is none.
    pub number: Option<f64>,
    pub tone: Tone,
}

impl Cell {
    pub(super) fn text(text: impl Into<String>) -> Cell {
        Cell { text: text.into(), number: None, tone: Tone::Plain }
    }

    pub(super) fn number(text: impl Into<String>, number: f64) -> Cell {
        Cell { number: Some(number), ..Cell::text(text) }
    }

    pub(super) fn with(self, tone: Tone) -> Cell {
        Cell { tone, ..self }
    }

    fn order(&self, other: &Cell) -> Ordering {
        match (self.number, other.number) {
            // The largest number comes first.
            (Some(one), Some(other)) => other.total_cmp(&one),
            _ => self.text.cmp(&other.text),
        }
    }
}

/// A row, with a cell for each column of its table.
pub(super) struct Row {
    pub id: Id,
    pub cells: Vec<Cell>,
}

/// The direction of a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    Back(usize),
    On(usize),
}

/// The choices of the user for a table.
#[derive(Debug)]
pub(super) struct Table {
    columns: &'static [Column],
    sorted: usize,
    reversed: bool,
    filter: String,
    selected: Option<Id>,
    /// Where the selected row was: if it goes, the selection stays there.
    place: usize,
}

impl Table {
    /// Sorted by the column of this title.
    pub(super) fn new(columns: &'static [Column], sorted: &str) -> Table {
        let sorted = columns.iter().position(|column| column.title == sorted).unwrap_or_default();
        Table { columns, sorted, reversed: false, filter: String::new(), selected: None, place: 0 }
    }

    pub(super) fn columns(&self) -> &'static [Column] {
        self.columns
    }

    pub(super) fn sorted(&self) -> usize {
        self.sorted
    }

    pub(super) fn is_reversed(&self) -> bool {
        self.reversed
    }

    pub(super) fn filter(&self) -> &str {
        &self.filter
    }

    pub(super) fn set_filter(&mut self, filter: String) {
        self.filter = filter;
    }

    pub(super) fn sort_by_next(&mut self, step: Step) {
        let count = self.columns.len();
        self.sorted = match step {
            Step::On(_) => (self.sorted + 1) % count,
            Step::Back(_) => (self.sorted + count - 1) % count,
        };
        self.reversed = false;
    }

    pub(super) fn reverse(&mut self) {
        self.reversed = !self.reversed;
    }

    /// The rows that the filter lets through, in order.
    pub(super) fn arrange(&self, mut rows: Vec<Row>) -> Vec<Row> {
        let wanted = self.filter.to_lowercase();
        rows.retain(|row| row.cells.iter().any(|cell| cell.text.to_lowercase().contains(&wanted)));
        rows.sort_by(|one, other| {
            let order = one.cells[self.sorted].order(&other.cells[self.sorted]);
            if self.reversed { order.reverse() } else { order }
        });
        rows
    }

    /// The place of the selected row; none if there are no rows.
    pub(super) fn selected(&self, rows: &[Row]) -> Option<usize> {
        let same = rows.iter().position(|row| Some(&row.id) == self.selected.as_ref());
        same.or_else(|| rows.len().checked_sub(1).map(|last| self.place.min(last)))
    }

    /// Selects another row, and remembers it by what it shows.
    pub(super) fn step(&mut self, rows: &[Row], step: Step) {
        let Some(now) = self.selected(rows) else { return };
        let to = match step {
            Step::Back(count) => now.saturating_sub(count),
            Step::On(count) => now.saturating_add(count).min(rows.len() - 1),
        };
        self.select(rows, to);
    }

    /// The selected row is this one from now on, wherever it goes.
    pub(super) fn select(&mut self, rows: &[Row], place: usize) {
        self.place = place;
        self.selected = rows.get(place).map(|row| row.id.clone());
    }

    /// The columns that fit into a width, and their widths.
    pub(super) fn fit(&self, width: u16) -> Vec<(usize, u16)> {
        let mut by_rank: Vec<usize> = (0..self.columns.len()).collect();
        by_rank.sort_by_key(|index| self.columns[*index].rank);
        let mut left = width;
        let mut chosen = Vec::new();
        for index in by_rank {
            let gap = u16::from(!chosen.is_empty());
            let Some(rest) = left.checked_sub(self.columns[index].width + gap) else { break };
            left = rest;
            chosen.push(index);
        }
        chosen.sort_unstable();
        let growing = chosen.iter().filter(|index| self.columns[**index].grows).count() as u16;
        let mut shares = growing;
        let widths = chosen.into_iter().map(|index| {
            let column = &self.columns[index];
            let more = if column.grows { (left / shares, shares -= 1).0 } else { 0 };
            left -= more;
            (index, column.width + more)
        });
        widths.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] = &[
        Column::text("NAME", 4, 0),
        Column::growing("FAR", 6, 2),
        Column::number("SIZE", 5, 1),
        Column::growing("NEAR", 6, 0),
    ];

    fn row(name: &str, size: f64) -> Row {
        let cells = vec![
            Cell::text(name),
            Cell::text("far"),
            Cell::number(size.to_string(), size),
            Cell::text("near"),
        ];
        Row { id: Id::Connection(size as u64), cells }
    }

    fn rows() -> Vec<Row> {
        vec![row("b", 3.0), row("C", 10.0), row("a", 7.0)]
    }

    fn names(rows: &[Row]) -> String {
        rows.iter().map(|row| row.cells[0].text.as_str()).collect()
    }

    #[test]
    fn texts_are_sorted_upwards_and_numbers_downwards() {
        let mut table = Table::new(COLUMNS, "SIZE");
        assert_eq!(names(&table.arrange(rows())), "Cab");
        table.reverse();
        assert_eq!(names(&table.arrange(rows())), "baC");
        table.sort_by_next(Step::Back(1));
        table.sort_by_next(Step::Back(1));
        assert_eq!(names(&table.arrange(rows())), "Cab", "by name, no longer reversed");
        table.sort_by_next(Step::Back(1));
        assert_eq!(table.columns()[table.sorted()].title, "NEAR");
        table.sort_by_next(Step::On(1));
        assert_eq!(table.columns()[table.sorted()].title, "NAME");
    }

    #[test]
    fn a_filter_looks_into_each_cell_and_not_at_the_case() {
        let mut table = Table::new(COLUMNS, "NAME");
        for (filter, left) in [("", "Cab"), ("c", "C"), ("1", "C"), ("FAR", "Cab"), ("x", "")] {
            table.set_filter(filter.to_owned());
            assert_eq!(names(&table.arrange(rows())), left, "{filter}");
        }
    }

    #[test]
    fn a_selection_follows_its_row_and_stays_in_place_when_the_row_goes() {
        let mut table = Table::new(COLUMNS, "NAME");
        let shown = table.arrange(rows());
        assert_eq!(table.selected(&shown), Some(0));
        table.step(&shown, Step::On(1));
        assert_eq!(table.selected(&shown), Some(1), "a");
        table.reverse();
        let mut turned = table.arrange(rows());
        table.step(&turned, Step::On(0));
        assert_eq!((names(&turned).as_str(), table.selected(&turned)), ("baC", Some(1)));
        turned.remove(1);
        assert_eq!(table.selected(&turned), Some(1), "C");
        turned.remove(1);
        assert_eq!(table.selected(&turned), Some(0));
        assert_eq!(table.selected(&[]), None);
        table.step(&[], Step::On(1));
    }

    #[test]
    fn steps_end_at_the_first_and_the_last_row() {
        let mut table = Table::new(COLUMNS, "NAME");
        let rows = table.arrange(rows());
        for (step, place) in [
            (Step::Back(1), 0),
            (Step::On(usize::MAX), 2),
            (Step::On(1), 2),
            (Step::Back(1), 1),
            (Step::Back(usize::MAX), 0),
        ] {
            table.step(&rows, step);
            assert_eq!(table.selected(&rows), Some(place), "{step:?}");
        }
    }

    #[test]
    fn columns_of_low_ranks_come_first_and_growing_ones_share_the_rest() {
        let table = Table::new(COLUMNS, "NAME");
        assert_eq!(table.fit(10), [(0, 4)]);
        assert_eq!(table.fit(11), [(0, 4), (3, 6)]);
        assert_eq!(table.fit(16), [(0, 4), (3, 11)]);
        assert_eq!(table.fit(17), [(0, 4), (2, 5), (3, 6)]);
        assert_eq!(table.fit(27), [(0, 4), (1, 7), (2, 5), (3, 8)]);
        assert_eq!(table.fit(0), []);
    }
}
