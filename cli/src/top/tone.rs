//! The meaning of a text on the screen, and the style that shows it.

use ratatui::style::{Color, Modifier, Style};

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Tone {
    #[default]
    Plain,
    /// Of little interest now.
    Dim,
    Title,
    Good,
    Warning,
    Bad,
    /// The name of a key.
    Key,
    /// The selected row of the table that has the keys.
    Selected,
}

/// Whether there are colours. Without them, tones differ as far as weight can show it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Palette {
    Colours,
    Plain,
}

impl Palette {
    pub(super) fn style(self, tone: Tone) -> Style {
        let (colour, modifier) = match tone {
            Tone::Plain => (Color::Reset, Modifier::empty()),
            Tone::Dim => (Color::DarkGray, Modifier::empty()),
            Tone::Title => (Color::Cyan, Modifier::BOLD),
            Tone::Good => (Color::Green, Modifier::empty()),
            Tone::Warning => (Color::Yellow, Modifier::empty()),
            Tone::Bad => (Color::Red, Modifier::BOLD),
            Tone::Key => (Color::Cyan, Modifier::empty()),
            Tone::Selected => (Color::Reset, Modifier::REVERSED),
        };
        match self {
            Palette::Colours => Style::new().fg(colour).add_modifier(modifier),
            Palette::Plain => Style::new().add_modifier(match tone {
                Tone::Warning | Tone::Key => Modifier::BOLD,
                _ => modifier,
            }),
        }
    }
}
