//! Texts with tones on a part of the screen.

use super::tone::{Palette, Tone};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// A text in one tone.
pub(super) type Piece = (String, Tone);

pub(super) fn piece(text: impl Into<String>, tone: Tone) -> Piece {
    (text.into(), tone)
}

/// The screen, with the lines that are still free.
pub(super) struct Canvas<'a> {
    palette: Palette,
    free: Rect,
    buffer: &'a mut Buffer,
}

impl<'a> Canvas<'a> {
    pub(super) fn new(palette: Palette, buffer: &'a mut Buffer) -> Canvas<'a> {
        Canvas { palette, free: buffer.area, buffer }
    }

    pub(super) fn width(&self) -> u16 {
        self.free.width
    }

    /// How many lines are free.
    pub(super) fn height(&self) -> u16 {
        self.free.height
    }

    /// Takes the first of the free lines.
    pub(super) fn line(&mut self) -> Line<'_> {
        let y = self.free.y;
        let taken = self.free.height.min(1);
        self.free.y += taken;
        self.free.height -= taken;
        // Behind the last line, nothing is drawn.
        let room = if taken == 1 { self.free.width } else { 0 };
        Line { palette: self.palette, x: self.free.x, y, room, buffer: self.buffer }
    }

    /// Takes the first lines as a canvas of their own.
    pub(super) fn take(&mut self, lines: u16) -> Canvas<'_> {
        let lines = lines.min(self.free.height);
        let free = Rect { height: lines, ..self.free };
        self.free.y += lines;
        self.free.height -= lines;
        Canvas { palette: self.palette, free, buffer: self.buffer }
    }

    /// The first piece, and others that fit as a whole, with a gap between them.
    pub(super) fn pieces(&mut self, pieces: &[Piece]) {
        let mut line = self.line();
        for (index, (text, tone)) in pieces.iter().enumerate() {
            let width = u16::try_from(text.chars().count()).unwrap_or(u16::MAX);
            if width <= line.room || index == 0 {
                line.put(text, *tone);
                line.skip(2);
            }
        }
    }
}

/// One line of the screen, with a place behind what is drawn.
pub(super) struct Line<'a> {
    palette: Palette,
    x: u16,
    y: u16,
    room: u16,
    buffer: &'a mut Buffer,
}

impl Line<'_> {
    /// As much of the text as there is room for. Control characters are left out.
    pub(super) fn put(&mut self, text: &str, tone: Tone) {
        if self.room == 0 {
            return;
        }
        let style = self.palette.style(tone);
        let room = usize::from(self.room);
        let (x, _) = self.buffer.set_stringn(self.x, self.y, text, room, style);
        self.room -= x - self.x;
        self.x = x;
    }

    /// A text in a field, at its left or right. A text that is too long ends with an ellipsis.
    pub(super) fn field(&mut self, text: &str, width: u16, right: bool, tone: Tone) {
        let room = usize::from(width);
        let length = text.chars().count();
        let text = match length > room {
            true => text.chars().take(room.saturating_sub(1)).chain(['…']).collect(),
            false if right => format!("{text:>room$}"),
            false => format!("{text:room$}"),
        };
        self.put(&text, tone);
    }

    pub(super) fn skip(&mut self, columns: u16) {
        let columns = columns.min(self.room);
        self.x += columns;
        self.room -= columns;
    }

    /// Fills the rest of the line.
    pub(super) fn rule(&mut self, tone: Tone) {
        self.put(&"─".repeat(usize::from(self.room)), tone);
    }

    /// The whole line in another tone, up to here and behind.
    pub(super) fn mark(&mut self, tone: Tone) {
        let area = Rect { y: self.y, height: 1, ..self.buffer.area };
        self.buffer.set_style(area, self.palette.style(tone));
    }
}
