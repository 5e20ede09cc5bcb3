//! The text that Prometheus reads, in its format 0.0.4: families of samples, with what they mean.

use std::borrow::Cow;
use std::fmt::Write as _;

use indexmap::IndexMap;

/// The media type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The longest text that becomes the value of a label where it does not name what the sample is of.
const TEXT_BYTES_MAX: usize = 1024;

/// How the numbers of a family are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It only grows, until the worker or the task begins anew.
    Counter,
    /// It goes up and down.
    Gauge,
    /// How many observations were below which bounds, with their number and their sum.
    Histogram,
}

impl Kind {
    /// The word for it in the text.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// Labels of a sample: names, which are safe as they are, and values, which may be anything.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Labels(Vec<(Cow<'static, str>, String)>);

impl Labels {
    /// None.
    pub(super) fn none() -> Self {
        Labels::default()
    }

    /// One label more.
    #[must_use]
    pub(super) fn with(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.0.push((name.into(), value.into()));
        self
    }

    /// One label more, whose value says something about what the others name: it is cut off where it is too long.
    #[must_use]
    pub(super) fn saying(self, name: impl Into<Cow<'static, str>>, value: &str) -> Self {
        self.with(name, shortened(value))
    }
}

/// Families in the order of their first samples.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    families: IndexMap<String, Family>,
}

/// Samples of one name.
#[derive(Debug)]
struct Family {
    kind: Kind,
    help: &'static str,
    lines: String,
}

impl Exposition {
    /// Adds a sample. One that is no number is left out. `kind` and `help` are those of the first sample of a name.
    pub(super) fn add(&mut self, name: &str, kind: Kind, help: &'static str, labels: &Labels, value: f64) {
        self.add_part(name, "", kind, help, labels, value);
    }

    /// Adds a sample whose name has an ending beyond that of its family.
    pub(super) fn add_part(
        &mut self,
        name: &str,
        ending: &str,
        kind: Kind,
        help: &'static str,
        labels: &Labels,
        value: f64,
    ) {
        if value.is_nan() {
            return;
        }
        if !self.families.contains_key(name) {
            self.families.insert(name.to_owned(), Family { kind, help, lines: String::new() });
        }
        let Some(family) = self.families.get_mut(name) else { return };
        let lines = &mut family.lines;
        lines.push_str(name);
        lines.push_str(ending);
        push_labels(lines, labels);
        lines.push(' ');
        push_number(lines, value);
        lines.push('\n');
    }

    /// The whole text.
    pub(super) fn into_text(self) -> String {
        let bytes = self.families.values().map(|family| family.lines.len() + 256).sum();
        let mut text = String::with_capacity(bytes);
        for (name, family) in self.families {
            let help = family.help.replace('\\', "\\\\").replace('\n', "\\n");
            // A string takes all that is written to it.
            let _infallible =
                write!(text, "# HELP {name} {help}\n# TYPE {name} {}\n{}", family.kind.name(), family.lines);
        }
        text
    }
}

fn push_labels(text: &mut String, labels: &Labels) {
    for (index, (name, value)) in labels.0.iter().enumerate() {
        text.push(if index == 0 { '{' } else { ',' });
        text.push_str(name);
        text.push_str("=\"");
        for character in value.chars() {
            match character {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str("\\n"),
                other => text.push(other),
            }
        }
        text.push('"');
    }
    if !labels.0.is_empty() {
        text.push('}');
    }
}

fn push_number(text: &mut String, value: f64) {
    if value.is_infinite() {
        text.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    } else {
        let _infallible = write!(text, "{value}");
    }
}

fn shortened(text: &str) -> String {
    let end = (0..=TEXT_BYTES_MAX.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text[..end.unwrap_or_default()].to_owned()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn samples_of_a_name_stand_together_under_what_they_mean() {
        let mut text = Exposition::default();
        let labels = Labels::none().with("connector", "a").with("task", "0");
        text.add("b_total", Kind::Counter, "Of both.", &labels, 3.0);
        text.add("a", Kind::Gauge, "A line\nand a \\.", &Labels::none(), 0.25);
        text.add("b_total", Kind::Counter, "Of both.", &Labels::none().with("connector", "c"), 1e21);
        text.add("c", Kind::Gauge, "No number.", &Labels::none(), f64::NAN);
        text.add("d", Kind::Gauge, "For ever.", &Labels::none(), f64::INFINITY);
        expect![[r#"
            # HELP b_total Of both.
            # TYPE b_total counter
            b_total{connector="a",task="0"} 3
            b_total{connector="c"} 1000000000000000000000
            # HELP a A line\nand a \\.
            # TYPE a gauge
            a 0.25
            # HELP d For ever.
            # TYPE d gauge
            d +Inf
        "#]]
        .assert_eq(&text.into_text());
    }

    #[test]
    fn a_name_cannot_break_out_of_its_label() {
        let mut text = Exposition::default();
        let labels = Labels::none().with("connector", "a\"} 1\nforged{x=\"\\");
        text.add("m", Kind::Gauge, "M.", &labels, 1.0);
        let last = text.into_text().lines().last().map(str::to_owned);
        assert_eq!(last.as_deref(), Some(r#"m{connector="a\"} 1\nforged{x=\"\\"} 1"#));
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let long = "é".repeat(TEXT_BYTES_MAX);
        let cut = shortened(&long);
        assert_eq!((cut.len(), shortened("short").as_str()), (TEXT_BYTES_MAX, "short"));
        assert_eq!(shortened(&format!("x{long}")).len(), TEXT_BYTES_MAX - 1);
    }

    /// Reads the value of the only label of a line back, as Prometheus does.
    fn read_back(line: &str) -> Option<String> {
        let quoted = line.strip_prefix("m{l=\"")?;
        let (mut value, mut characters) = (String::new(), quoted.chars());
        loop {
            match characters.next()? {
                '"' => return (characters.as_str() == "} 1").then_some(value),
                '\\' => value.push(match characters.next()? {
                    'n' => '\n',
                    other => other,
                }),
                other => value.push(other),
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_a_label_says_comes_back(value in any::<String>()) {
            let mut text = Exposition::default();
            text.add("m", Kind::Gauge, "M.", &Labels::none().with("l", value.clone()), 1.0);
            let text = text.into_text();
            let lines: Vec<&str> = text.split('\n').collect();
            prop_assert_eq!(lines.len(), 4, "{}", text);
            prop_assert_eq!(read_back(lines[2]), Some(value));
        }
    }
}
