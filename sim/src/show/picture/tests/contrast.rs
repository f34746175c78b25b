//! Contrast of the page's colours in both themes, by WCAG 2.1: 4.5 for text (1.4.3), 3 for what has
//! to be told apart (1.4.11).

use std::collections::BTreeMap;

const STYLE: &str = include_str!("../style.css");

fn themes() -> [BTreeMap<&'static str, [f64; 3]>; 2] {
    let colours = |block: &'static str| {
        let declarations =
            block.split(';').filter_map(|part| part.split_once("--")?.1.split_once(": #"));
        let colour = |hex: &str| {
            [0, 2, 4].map(|at| {
                f64::from(u8::from_str_radix(&hex[at..at + 2], 16).expect("a hexadecimal colour"))
                    / 255.0
            })
        };
        declarations.map(|(name, hex)| (name, colour(hex))).collect::<BTreeMap<_, _>>()
    };
    let (light, rest) =
        STYLE.split_once("@media screen and (prefers-color-scheme: dark) {").expect("a dark theme");
    let (dark, _) = rest.split_once("}\n}").expect("its end");
    [colours(light), colours(dark)]
}

fn contrast(one: [f64; 3], other: [f64; 3]) -> f64 {
    let linear = |c: f64| if c <= 0.03928 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) };
    let luminance =
        |c: [f64; 3]| 0.2126 * linear(c[0]) + 0.7152 * linear(c[1]) + 0.0722 * linear(c[2]);
    let (one, other) = (luminance(one) + 0.05, luminance(other) + 0.05);
    one.max(other) / one.min(other)
}

#[test]
fn text_and_marks_stand_out_in_both_themes() {
    let mut low = Vec::new();
    for (theme, colours) in ["light", "dark"].iter().zip(themes()) {
        let mut demand = |name: &str, on: &str, least: f64| {
            let found = contrast(colours[name], colours[on]);
            if found < least {
                low.push(format!("{theme}: {name} on {on} is {found:.2}, should be {least}"));
            }
        };
        for on in ["page", "card"] {
            demand("text", on, 7.0);
            demand("soft", on, 4.5);
        }
        for back in ["doubt-back", "dead-back", "again-back"] {
            demand("text", back, 7.0);
        }
        let marks = "blue blue-fill oracle blocked again doubt dead wait held-fill \
            base good s0 s1 s2 s3 s4 s5 s6 s7";
        marks.split(' ').for_each(|name| demand(name, "page", 3.0));
        demand("doubt", "doubt-back", 3.0);
        demand("again", "again-back", 3.0);
        demand("wait", "wait-back", 3.0);
    }
    assert!(low.is_empty(), "{low:#?}");
}

#[test]
fn both_themes_define_the_same_colours() {
    let [light, dark] = themes();
    assert!(light.len() > 20);
    assert_eq!(light.keys().collect::<Vec<_>>(), dark.keys().collect::<Vec<_>>());
}
