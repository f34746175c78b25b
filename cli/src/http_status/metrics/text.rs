//! Prometheus' text format, version 0.0.4: lines `# HELP`, `# TYPE` and samples.

use std::fmt::Write;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Never goes down, unless what it counts begins anew. Its name ends in `_total`.
    Counter,
    Gauge,
}

/// A text under way.
#[derive(Default)]
pub(super) struct Text {
    text: String,
    /// The metric of the samples that follow.
    name: &'static str,
}

impl Text {
    pub(super) fn begin(&mut self, name: &'static str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        self.name = name;
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    /// A sample of the metric that was begun last.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: f64) {
        self.text.push_str(self.name);
        for (nth, (name, value)) in labels.iter().enumerate() {
            let _ = write!(self.text, "{}{name}=\"", if nth == 0 { '{' } else { ',' });
            self.escaped(value);
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    pub(super) fn end(self) -> String {
        self.text
    }

    fn escaped(&mut self, value: &str) {
        for c in value.chars() {
            match c {
                '\\' => self.text.push_str(r"\\"),
                '"' => self.text.push_str(r#"\""#),
                '\n' => self.text.push_str(r"\n"),
                c => self.text.push(c),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_its_labels_and_its_value_in_full() {
        let mut text = Text::default();
        text.begin("x_bytes_total", Kind::Counter, "What was sent.");
        text.sample(&[], 9_007_199_254_740_991.0);
        text.sample(&[("key", "a\"b\\c\nd"), ("place", "1")], 0.25);
        let expected = "# HELP x_bytes_total What was sent.\n# TYPE x_bytes_total counter\n\
                        x_bytes_total 9007199254740991\n\
                        x_bytes_total{key=\"a\\\"b\\\\c\\nd\",place=\"1\"} 0.25\n";
        assert_eq!(text.end(), expected);
    }
}
