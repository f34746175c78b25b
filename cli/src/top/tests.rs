//! Screens as they were: `snapshots` has each as a text, and as a terminal with colours gets it.
//!
//! `STRIPER_BLESS=1 cargo test -p striper-cli top` writes them anew; `cat` shows them.

mod scene;

use super::keys;
use super::model::{Effect, Model, Which};
use super::screen;
use super::tone::Palette;
use crate::state::State;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};
use std::fmt::Write;
use std::path::Path;

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (200, 50)];

fn drawn(model: &Model, palette: Palette, (columns, lines): (u16, u16)) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(columns, lines)).unwrap();
    let frame = terminal.draw(|frame| screen::draw(model, palette, frame.buffer_mut())).unwrap();
    frame.buffer.clone()
}

/// The screen as lines of text. With colours, each change of style is an SGR sequence.
fn text(buffer: &Buffer) -> String {
    let mut text = String::new();
    for line in buffer.content.chunks(usize::from(buffer.area.width)) {
        let mut written = String::new();
        let mut style = String::new();
        for cell in line {
            let wanted = sgr(cell);
            if wanted != style {
                let _ = write!(written, "\x1b[0{wanted}m");
                style = wanted;
            }
            written += cell.symbol();
        }
        let end = if style.is_empty() { "" } else { "\x1b[0m" };
        let _ = writeln!(text, "{}{end}", written.trim_end());
    }
    text
}

/// The parameters of a cell's style behind a reset.
fn sgr(cell: &Cell) -> String {
    let mut text = String::new();
    for (modifier, number) in [(Modifier::BOLD, 1), (Modifier::REVERSED, 7)] {
        if cell.modifier.contains(modifier) {
            let _ = write!(text, ";{number}");
        }
    }
    let colour = match cell.fg {
        Color::Reset => return text,
        Color::Red => 31,
        Color::Green => 32,
        Color::Yellow => 33,
        Color::Cyan => 36,
        Color::DarkGray => 90,
        colour => panic!("{colour} needs a number here"),
    };
    let _ = write!(text, ";{colour}");
    text
}

#[track_caller]
fn check(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/top/snapshots").join(name);
    if std::env::var_os("STRIPER_BLESS").is_some_and(|bless| bless == "1") {
        std::fs::write(&path, text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        golden == text,
        "{} differs; the screen is now:\n{text}\nif that is as it should be: STRIPER_BLESS=1 \
         cargo test -p striper-cli top",
        path.display()
    );
}

#[track_caller]
fn check_all(name: &str, model: &Model) {
    for size in SIZES {
        for (palette, kind) in [(Palette::Plain, "txt"), (Palette::Colours, "ansi")] {
            let text = text(&drawn(model, palette, size));
            check(&format!("{name}-{}x{}.{kind}", size.0, size.1), &text);
        }
    }
}

#[track_caller]
fn check_small(name: &str, model: &Model) {
    check(&format!("{name}.txt"), &text(&drawn(model, Palette::Plain, SIZES[0])));
}

/// Presses keys, and returns what the last one asks for.
fn press(model: &mut Model, bytes: &[u8]) -> Effect {
    let mut effect = Effect::None;
    for key in keys::read(bytes) {
        if let Some(action) = keys::action(key, model.mode()) {
            effect = model.act(action);
        }
    }
    effect
}

fn looking(states: impl IntoIterator<Item = State>) -> Model {
    let mut states = states.into_iter();
    let mut model = Model::new(states.next().unwrap());
    states.for_each(|state| model.take(state));
    model
}

#[test]
fn both_tables_are_shown_in_each_size_with_and_without_colours() {
    check_all("tables", &looking(scene::busy()));
}

#[test]
fn the_document_shows_the_screen_as_it_is() {
    let buffer = drawn(&looking(scene::busy()), Palette::Plain, SIZES[0]);
    let lines = buffer.content.chunks(usize::from(buffer.area.width));
    let lines = lines.map(|line| line.iter().map(Cell::symbol).collect::<String>());
    let screen: Vec<String> = lines.map(|line| line.trim_end().to_owned()).collect();
    let document = include_str!("../../../docs/top.md");
    let shown = document.split("```\n").nth(1).unwrap();
    assert!(screen.join("\n").starts_with(shown), "docs/top.md differs from {screen:#?}");
}

#[test]
fn a_slow_flow_is_explained() {
    let mut model = looking(scene::busy());
    press(&mut model, b"j\r");
    check_all("explained", &model);
}

#[test]
fn a_stripe_is_explained() {
    let mut model = looking(scene::busy());
    press(&mut model, b"\tj\r");
    check_all("stripe", &model);
}

#[test]
fn the_help_names_each_key() {
    let mut model = looking(scene::busy());
    press(&mut model, b"?");
    check_all("help", &model);
    press(&mut model, b"q");
    assert_eq!(press(&mut model, b""), Effect::None, "the first q has left the help");
}

#[test]
fn a_server_has_stripes_of_several_sessions() {
    check_all("server", &looking(scene::server()));
}

#[test]
fn a_flow_is_closed_after_a_question() {
    let mut model = looking(scene::busy());
    assert_eq!(press(&mut model, b"jx"), Effect::None);
    check_small("close", &model);
    assert_eq!(press(&mut model, b"\r"), Effect::None, "only y is yes");
    assert_eq!(press(&mut model, b"y"), Effect::None, "the question is over");
    assert_eq!(press(&mut model, b"xy"), Effect::Close(12));
    model.tell("connection 12 was reset".to_owned());
    check_small("closed", &model);
}

#[test]
fn a_stripe_can_not_be_closed() {
    let mut model = looking(scene::busy());
    assert_eq!(press(&mut model, b"\txy"), Effect::None);
    assert!(model.notice().unwrap().contains("only flows"), "{:?}", model.notice());
    press(&mut model, b"j");
    assert_eq!(model.notice(), None, "another key removes the notice");
}

#[test]
fn a_filter_leaves_rows_with_its_text() {
    let mut model = looking(scene::busy());
    press(&mut model, b"/WEX\x7fb");
    check_small("filter", &model);
    press(&mut model, b"\r");
    check_small("filtered", &model);
    press(&mut model, b"\x1b");
    assert_eq!(model.rows(Which::Flows).len(), 5);
}

#[test]
fn a_process_that_is_gone_leaves_its_last_screen() {
    let mut model = looking(scene::busy());
    model.lose("12:03:10Z", "/run/striper/client-4242.sock: the proxy that had it has ended");
    model.lose("12:03:11Z", "/run/striper/client-4242.sock: there is no such socket");
    check_small("gone", &model);
    model.take(scene::restarted());
    check_small("restarted", &model);
}

#[test]
fn without_a_stripe_the_reason_is_shown() {
    let mut model = looking([scene::stranded()]);
    press(&mut model, b"\r");
    check_small("stranded", &model);
}

#[test]
fn a_relay_has_legs_instead_of_tables() {
    check_small("relay", &looking(scene::relay()));
}

#[test]
fn a_small_terminal_says_so() {
    let model = looking(scene::busy());
    let text = text(&drawn(&model, Palette::Plain, (40, 10)));
    assert_eq!(text.trim_end(), "The terminal has 40×10 characters; top\nneeds 60×15. q quits.");
    for size in [(60, 15), (1, 1), (1, 200), (500, 15), (0, 0)] {
        drawn(&model, Palette::Plain, size);
    }
}

#[test]
fn nothing_moves_while_the_screen_is_held_still() {
    let mut states = scene::busy();
    let last = states.pop().unwrap();
    let mut model = looking(states);
    press(&mut model, b" ");
    let before = drawn(&model, Palette::Plain, SIZES[1]);
    model.take(last.clone());
    assert_eq!(drawn(&model, Palette::Plain, SIZES[1]), before);
    press(&mut model, b" ");
    assert_eq!(model.state(), &last);
}
