//! A run on one HTML page that needs nothing else: no script, no font, no picture from elsewhere.

use std::fmt::Write;

use crate::metrics::ConfusionMatrix;
use crate::train::fit::text::{duration, escaped, readable};
use crate::train::fit::{Curves, Panel, Record, RecordKind};

/// What stands on the page of a run, in light and dark as the reader prefers.
///
/// ```
/// use arenagrad::fit::Report;
///
/// let page = Report::new("digits").setting("optimiser", "AdamW, 2e-3").section("network", "64 -> 128 -> 10").html();
/// assert!(page.starts_with("<!DOCTYPE html>") && page.contains("<td>AdamW, 2e-3</td>"));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    title: String,
    settings: Vec<(String, String)>,
    records: Vec<Record>,
    best: Option<u64>,
    confusion: Option<ConfusionMatrix>,
    sections: Vec<(String, String)>,
}

impl Report {
    /// A page of that title and nothing else.
    #[must_use]
    pub fn new(title: impl Into<String>) -> Self {
        Report { title: title.into(), ..Report::default() }
    }

    /// With a line in the table of settings.
    #[must_use]
    pub fn setting(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.settings.push((name.into(), value.to_string()));
        self
    }

    /// With what was measured: its curves, and a table of the epochs.
    #[must_use]
    pub fn records(mut self, records: &[Record]) -> Self {
        self.records = records.to_vec();
        self
    }

    /// With the best epoch marked in the table.
    #[must_use]
    pub fn best(mut self, epoch: Option<u64>) -> Self {
        self.best = epoch;
        self
    }

    /// With a confusion matrix and the scores of its classes.
    #[must_use]
    pub fn confusion(mut self, confusion: ConfusionMatrix) -> Self {
        self.confusion = Some(confusion);
        self
    }

    /// With a section of text as it is, such as the table of a network.
    #[must_use]
    pub fn section(mut self, heading: impl Into<String>, text: impl Into<String>) -> Self {
        self.sections.push((heading.into(), text.into()));
        self
    }

    /// The page.
    #[must_use]
    pub fn html(&self) -> String {
        let title = escaped(&self.title);
        let mut html = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
             </head>\n<body>\n<h1>{title}</h1>\n"
        );
        if !self.settings.is_empty() {
            html.push_str("<table class=\"settings\">\n");
            for (name, value) in &self.settings {
                let _ = writeln!(html, "<tr><th>{}</th><td>{}</td></tr>", escaped(name), escaped(value));
            }
            html.push_str("</table>\n");
        }
        let curves = curves("", &self.records);
        if !curves.is_empty() {
            let _ = writeln!(html, "<h2>Curves</h2>\n<div class=\"wide\">{}</div>", curves.svg());
        }
        self.write_epochs(&mut html);
        if let Some(confusion) = &self.confusion {
            write_confusion(&mut html, confusion);
            let _ = writeln!(html, "<pre class=\"wide\">{}</pre>", escaped(&confusion.report().to_string()));
        }
        for (heading, text) in &self.sections {
            let _ = writeln!(html, "<h2>{}</h2>\n<pre class=\"wide\">{}</pre>", escaped(heading), escaped(text));
        }
        html.push_str("</body>\n</html>\n");
        html
    }

    /// A table of the epochs; of many, the first, the last, the best, and some in between.
    fn write_epochs(&self, html: &mut String) {
        let epochs: Vec<&Record> = self.records.iter().filter(|record| record.kind == RecordKind::Epoch).collect();
        if epochs.is_empty() {
            return;
        }
        const MOST: usize = 20;
        let stride = epochs.len().div_ceil(MOST);
        let is_shown = |(place, record): &(usize, &&Record)| {
            place.is_multiple_of(stride) || place + 1 == epochs.len() || Some(record.epoch) == self.best
        };
        let training = names(&epochs, |record| &record.training);
        let validation = names(&epochs, |record| &record.validation);
        html.push_str("<h2>Epochs</h2>\n<div class=\"wide\"><table>\n<tr><th>epoch</th><th>steps</th><th>time</th><th>learning rate</th>");
        for name in &training {
            let _ = write!(html, "<th>{}</th>", escaped(name));
        }
        for name in &validation {
            let _ = write!(html, "<th>validation {}</th>", escaped(name));
        }
        html.push_str("</tr>\n");
        for (_, record) in epochs.iter().enumerate().filter(is_shown) {
            let class = if Some(record.epoch) == self.best { " class=\"best\"" } else { "" };
            let rate = record.learning_rate.map(readable).unwrap_or_default();
            let (epoch, step, time) = (record.epoch, record.step, duration(record.seconds));
            let _ = write!(html, "<tr{class}><td>{epoch}</td><td>{step}</td><td>{time}</td><td>{rate}</td>");
            let values = training.iter().map(|name| record.training(name));
            for value in values.chain(validation.iter().map(|name| record.validation(name))) {
                let _ = write!(html, "<td>{}</td>", value.map(readable).unwrap_or_default());
            }
            html.push_str("</tr>\n");
        }
        html.push_str("</table></div>\n");
        if self.best.is_some() {
            html.push_str("<p>The marked epoch is the best one, whose parameters were kept.</p>\n");
        }
    }
}

/// Curves of all metrics of a run: a panel for each, with what was measured in training and behind each epoch.
#[must_use]
pub fn curves(title: &str, records: &[Record]) -> Curves {
    let (steps, epochs): (Vec<&Record>, Vec<&Record>) =
        records.iter().partition(|record| record.kind == RecordKind::Steps);
    let all: Vec<&Record> = records.iter().collect();
    let mut panels = names(&all, |record| &record.training);
    let of_validation = names(&epochs, |record| &record.validation);
    panels.extend(of_validation.into_iter().filter(|name| !panels.contains(name)).collect::<Vec<_>>());
    let mut curves = Curves::new(title);
    for name in panels {
        let points = |records: &[&Record], value: &dyn Fn(&Record) -> Option<f64>| -> Vec<(f64, f64)> {
            records.iter().filter_map(|record| Some((record.step as f64, value(record)?))).collect()
        };
        let training = |record: &Record| record.training(&name);
        let each = points(&steps, &training);
        // The mean of an epoch stands in its middle.
        let mut means = points(&epochs, &training);
        let mut from = 0.0;
        for (at, _) in &mut means {
            let to = *at;
            *at = (from + to) / 2.0;
            from = to;
        }
        let validation = points(&epochs, &|record| record.validation(&name));
        let mut panel = Panel::new(name.as_str());
        if name == "loss" {
            panel = panel.logarithmic();
        }
        // Where an epoch is one step, both would be one curve.
        if !each.is_empty() && (each.len() > means.len() || means.is_empty()) {
            panel = panel.background("some steps", each);
        }
        if !means.is_empty() {
            panel = panel.curve("training", means);
        }
        if !validation.is_empty() {
            panel = panel.curve("validation", validation);
        }
        curves = curves.panel(panel);
    }
    curves
}

/// The names of all metrics, sorted, `loss` before the others.
fn names(records: &[&Record], of: impl Fn(&Record) -> &Vec<(String, f64)>) -> Vec<String> {
    let mut names: Vec<String> = records.iter().flat_map(|record| of(record)).map(|(name, _)| name.clone()).collect();
    names.sort_by(|a, b| (a != "loss", a).cmp(&(b != "loss", b)));
    names.dedup();
    names
}

/// The most classes whose table a person can read.
const MOST_CLASSES: usize = 100;

/// A table of a confusion matrix, each row shaded by the shares of its label, and the scores of its classes.
fn write_confusion(html: &mut String, confusion: &ConfusionMatrix) {
    let names = confusion.names();
    html.push_str("<h2>Confusion matrix</h2>\n");
    if names.len() > MOST_CLASSES {
        let _ = writeln!(html, "<p>The matrix of {} classes is not shown.</p>", names.len());
        return;
    }
    html.push_str("<p>A row is what a sample is, a column what it was taken for.</p>\n");
    html.push_str("<div class=\"wide\"><table class=\"confusion\">\n<tr><th></th>");
    for name in names {
        let _ = write!(html, "<th>{}</th>", escaped(name));
    }
    html.push_str("</tr>\n");
    for (label, name) in names.iter().enumerate() {
        let samples: u64 = (0..names.len()).map(|guess| confusion.count(label, guess)).sum();
        let _ = write!(html, "<tr><th>{}</th>", escaped(name));
        for guess in 0..names.len() {
            let count = confusion.count(label, guess);
            let share = if samples == 0 { 0.0 } else { count as f64 / samples as f64 };
            let class = if label == guess { "hit" } else { "miss" };
            // Few misses should be seen beside many hits, so the shade grows as the root of the share.
            let shade = (100.0 * 0.7 * share.sqrt()).round();
            let _ = write!(html, "<td class=\"{class}\" style=\"--shade:{shade}%\">{count}</td>");
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</table></div>\n");
}

const STYLE: &str = "\
:root{color-scheme:light dark;--ground:#fff;--ink:#222;--pale:#666;--line:#ddd;--best:#e8f3e8;--hit:#1f7a3d;--miss:#c2410c}\
@media (prefers-color-scheme:dark){:root{--ground:#16181c;--ink:#ddd;--pale:#999;--line:#33373d;--best:#1d3324;--hit:#2f9e57;--miss:#d9622b}}\
body{background:var(--ground);color:var(--ink);font:15px/1.45 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}p{color:var(--pale)}\
table{border-collapse:collapse;font-variant-numeric:tabular-nums}th,td{padding:.2rem .7rem;text-align:right;border-bottom:1px solid var(--line)}\
th{font-weight:600}.settings th{text-align:left;color:var(--pale);font-weight:400}.settings td{text-align:left}\
tr.best td{background:var(--best)}.confusion td.hit{background:color-mix(in srgb,var(--hit) var(--shade),transparent)}\
.confusion td.miss{background:color-mix(in srgb,var(--miss) var(--shade),transparent)}\
.wide{overflow-x:auto}pre{font:13px/1.4 ui-monospace,monospace}svg{max-width:100%;height:auto}";

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: RecordKind, epoch: u64, step: u64, loss: f64) -> Record {
        let validation = match kind {
            RecordKind::Steps => Vec::new(),
            RecordKind::Epoch => vec![("accuracy".to_owned(), 0.5), ("loss".to_owned(), loss * 1.1)],
        };
        let training = vec![("f1 <macro>".to_owned(), 0.25), ("loss".to_owned(), loss)];
        Record {
            kind,
            epoch,
            step,
            seconds: step as f64,
            learning_rate: Some(0.01),
            samples: 8,
            partial_samples: Vec::new(),
            training,
            validation,
        }
    }

    fn records(epochs: u64) -> Vec<Record> {
        let epoch = |epoch: u64| {
            let loss = 1.0 / epoch as f64;
            let steps = (1..=4).map(move |step| record(RecordKind::Steps, epoch, 4 * (epoch - 1) + step, loss));
            steps.chain([record(RecordKind::Epoch, epoch, 4 * epoch, loss)])
        };
        (1..=epochs).flat_map(epoch).collect()
    }

    #[test]
    fn every_metric_has_a_panel_and_the_loss_comes_first() {
        let svg = curves("run", &records(3)).svg();
        let at = |text: &str| svg.find(text).unwrap_or_else(|| panic!("{text} is not in {svg}"));
        assert!(at(">loss</text>") < at(">f1 &lt;macro&gt;</text>"));
        assert!(at(">f1 &lt;macro&gt;</text>") < at(">accuracy</text>"));
        assert_eq!(svg.matches(">validation</text>").count(), 2); // of the loss, beside training, and of the accuracy
        assert!(curves("run", &[]).is_empty());
    }

    #[test]
    fn the_page_has_all_parts_and_nothing_from_elsewhere() {
        let mut confusion = ConfusionMatrix::named(["<cat>", "dog"]);
        let classes = |values: [i32; 4]| crate::Tensor::new([4], values.to_vec()).unwrap();
        confusion.add_classes(&classes([0, 1, 1, 1]), &classes([0, 0, 1, 1])).unwrap();
        let page = Report::new("run & \"more\"")
            .setting("optimiser <1>", "Sgd & co")
            .records(&records(100))
            .best(Some(42))
            .confusion(confusion)
            .section("network", "Linear(64 -> 10) <b>")
            .html();
        for part in [
            "<title>run &amp; &quot;more&quot;</title>",
            "<th>optimiser &lt;1&gt;</th><td>Sgd &amp; co</td>",
            "<tr class=\"best\"><td>42</td>",
            "<th>validation accuracy</th>",
            "<th>&lt;cat&gt;</th>",
            "<td class=\"hit\" style=\"--shade:70%\">2</td>",
            "Linear(64 -&gt; 10) &lt;b&gt;",
            "<polyline",
        ] {
            assert!(page.contains(part), "{part}");
        }
        assert!(page.matches("<tr").count() < 40, "a hundred epochs make a short table");
        let mut links = page.match_indices("http").map(|(at, _)| &page[at..at + 26]);
        assert!(links.all(|link| link == "http://www.w3.org/2000/svg"), "something comes from elsewhere");
        assert!(!page.contains("<script") && !page.contains("<b>") && !page.contains("url("));
    }
}
