//! Keys, and what they do.

use super::model::{Action, Mode};
use super::table::Step;
use ratatui::termion::event::{Event, Key, parse_event};

/// The rows that a page has, at least.
const PAGE: usize = 10;

/// The help, one line a group.
pub(super) const HELP: &[(&str, &str)] = &[
    ("↑ ↓ j k", "select a row"),
    ("PgUp PgDn", "ten rows at once; also Home, End"),
    ("Tab", "the other table"),
    ("s S", "sort by the next, the previous column"),
    ("r", "reverse the order"),
    ("/", "show only rows with a text; Esc shows all"),
    ("Enter e", "explain the selected row: why is it slow?"),
    ("x", "close the selected flow, after a question"),
    ("Space", "hold the screen still"),
    ("Ctrl-L", "draw anew"),
    ("Ctrl-Z", "stop until fg"),
    ("q", "quit; also Ctrl-C"),
];

/// The keys in bytes from a terminal. Other bytes are left out.
pub(super) fn read(bytes: &[u8]) -> Vec<Key> {
    let mut rest = bytes.iter().copied().map(Ok);
    let mut keys = Vec::new();
    while let Some(Ok(byte)) = rest.next() {
        // Escape alone is a key, and the beginning of others.
        if byte == 0x1b && rest.len() == 0 {
            keys.push(Key::Esc);
        } else if let Ok(Event::Key(key)) = parse_event(byte, &mut rest) {
            keys.push(key);
        }
    }
    keys
}

/// The effect of a key.
pub(super) fn action(key: Key, mode: &Mode) -> Option<Action> {
    match (key, mode) {
        (Key::Ctrl('c'), _) => Some(Action::Quit),
        (Key::Ctrl('z'), _) => Some(Action::Suspend),
        (Key::Ctrl('l'), _) => Some(Action::Redraw),
        (Key::Esc, _) => Some(Action::Leave),
        (key, Mode::Filter) => filter(key),
        (Key::Char('y'), Mode::Close(_)) => Some(Action::Accept),
        (_, Mode::Close(_) | Mode::Help) => Some(Action::Leave),
        (key, Mode::Tables) => tables(key),
    }
}

fn filter(key: Key) -> Option<Action> {
    match key {
        Key::Char('\n') => Some(Action::Accept),
        Key::Char(letter) if !letter.is_control() => Some(Action::Type(letter)),
        Key::Backspace => Some(Action::Erase),
        _ => None,
    }
}

fn tables(key: Key) -> Option<Action> {
    Some(match key {
        Key::Char('q') => Action::Quit,
        Key::Char('?' | 'h') | Key::F(1) => Action::Help,
        Key::Up | Key::Char('k') => Action::Select(Step::Back(1)),
        Key::Down | Key::Char('j') => Action::Select(Step::On(1)),
        Key::PageUp => Action::Select(Step::Back(PAGE)),
        Key::PageDown => Action::Select(Step::On(PAGE)),
        Key::Home => Action::Select(Step::Back(usize::MAX)),
        Key::End => Action::Select(Step::On(usize::MAX)),
        Key::Char('\t') | Key::BackTab => Action::OtherTable,
        Key::Char('s') => Action::Sort(Step::On(1)),
        Key::Char('S') => Action::Sort(Step::Back(1)),
        Key::Char('r') => Action::Reverse,
        Key::Char('/') => Action::Filter,
        Key::Char('\n' | 'e') => Action::Explain,
        Key::Char('x') => Action::Close,
        Key::Char(' ') => Action::Pause,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::history::Id;

    #[test]
    fn bytes_of_a_terminal_are_keys() {
        let keys = read(b"q\x1b[A\x1b[6~\r\x7f\xc3\xa9\x1b");
        let expected = [
            Key::Char('q'),
            Key::Up,
            Key::PageDown,
            Key::Char('\n'),
            Key::Backspace,
            Key::Char('é'),
            Key::Esc,
        ];
        assert_eq!(keys, expected);
    }

    #[test]
    fn bytes_that_are_no_keys_are_left_out() {
        assert_eq!(read(b""), []);
        let all: Vec<u8> = (0..=255).chain(0..=255).collect();
        assert!(read(&all).contains(&Key::Char('a')));
    }

    #[test]
    fn a_letter_is_text_while_a_filter_is_typed() {
        assert_eq!(action(Key::Char('q'), &Mode::Tables), Some(Action::Quit));
        assert_eq!(action(Key::Char('q'), &Mode::Filter), Some(Action::Type('q')));
        assert_eq!(action(Key::Char('\n'), &Mode::Filter), Some(Action::Accept));
        assert_eq!(action(Key::Up, &Mode::Filter), None);
    }

    #[test]
    fn only_y_closes_a_flow() {
        let mode = Mode::Close(Id::Connection(1));
        assert_eq!(action(Key::Char('y'), &mode), Some(Action::Accept));
        for key in [Key::Char('\n'), Key::Char('x'), Key::Esc, Key::Char('q')] {
            assert_eq!(action(key, &mode), Some(Action::Leave));
        }
    }
}
