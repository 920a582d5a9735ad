//! What is written down of a run: a line of JSON for some steps and for every epoch.

use std::fmt::Write;

use serde_json::{Map, Value};

/// What was measured in a stretch of steps, or in a whole epoch.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Record {
    /// Which of both it is.
    pub kind: RecordKind,
    /// The epoch, counted from 1.
    pub epoch: u64,
    /// How many steps the run has made, over all epochs.
    pub step: u64,
    /// How long the run has taken, what it took before it was resumed included.
    pub seconds: f64,
    /// The learning rate after the last of the steps, of optimisers that have one.
    pub learning_rate: Option<f64>,
    /// How many samples the training metrics are means over, but for those of [`Record::partial_samples`].
    pub samples: u64,
    /// How many samples those training metrics are means over that only some of the batches reported.
    pub partial_samples: Vec<(String, u64)>,
    /// The means of the loss, named `loss`, and of the metrics that the training function reported, over the samples.
    pub training: Vec<(String, f64)>,
    /// What was measured behind an epoch; none for steps.
    pub validation: Vec<(String, f64)>,
}

/// What a [`Record`] is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// One step, or several in a row.
    Steps,
    /// A whole epoch.
    Epoch,
}

impl Record {
    /// The training metric of that name.
    #[must_use]
    pub fn training(&self, name: &str) -> Option<f64> {
        find(&self.training, name)
    }

    /// The validation metric of that name.
    #[must_use]
    pub fn validation(&self, name: &str) -> Option<f64> {
        find(&self.validation, name)
    }

    /// How many samples the mean of the training metric of that name is over.
    #[must_use]
    pub fn samples_of(&self, name: &str) -> u64 {
        let partial = self.partial_samples.iter().find(|(known, _)| known == name);
        partial.map_or(self.samples, |(_, samples)| *samples)
    }

    /// The record as a line of JSON, without the line's end. JSON has no numbers that are not finite: NaN is null, and infinities are
    /// the texts "inf" and "-inf".
    #[must_use]
    pub fn to_json(&self) -> String {
        let kind = match self.kind {
            RecordKind::Steps => "steps",
            RecordKind::Epoch => "epoch",
        };
        let mut line = format!(
            "{{\"kind\":\"{kind}\",\"epoch\":{},\"step\":{},\"seconds\":{},\"learning_rate\":{},\"samples\":{},\"training\":{}",
            self.epoch,
            self.step,
            number(self.seconds),
            self.learning_rate.map_or_else(|| "null".to_owned(), number),
            self.samples,
            object(&self.training)
        );
        if !self.partial_samples.is_empty() {
            let samples = self.partial_samples.iter();
            let samples: Map<String, Value> = samples.map(|(name, count)| (name.clone(), (*count).into())).collect();
            let _ = write!(line, ",\"partial_samples\":{}", Value::from(samples));
        }
        if self.kind == RecordKind::Epoch {
            let _ = write!(line, ",\"validation\":{}", object(&self.validation));
        }
        line.push('}');
        line
    }

    /// The record that a line of [`Record::to_json`] is of; null among the metrics is NaN, and they are sorted by name. Nothing if the line
    /// is no record.
    #[must_use]
    pub fn from_json(line: &str) -> Option<Record> {
        let value: Value = serde_json::from_str(line).ok()?;
        let kind = match value.get("kind")?.as_str()? {
            "steps" => RecordKind::Steps,
            "epoch" => RecordKind::Epoch,
            _ => return None,
        };
        let whole = |name: &str| value.get(name).and_then(Value::as_u64);
        Some(Record {
            kind,
            epoch: whole("epoch")?,
            step: whole("step")?,
            seconds: value.get("seconds")?.as_f64()?,
            learning_rate: value.get("learning_rate").and_then(Value::as_f64),
            samples: whole("samples")?,
            // Records of earlier versions do not tell these metrics from the others.
            partial_samples: match value.get("partial_samples") {
                Some(samples) => counts(samples.as_object()?)?,
                None => Vec::new(),
            },
            training: metrics(value.get("training")?.as_object()?)?,
            validation: match value.get("validation") {
                Some(validation) => metrics(validation.as_object()?)?,
                None => Vec::new(),
            },
        })
    }
}

fn find(metrics: &[(String, f64)], name: &str) -> Option<f64> {
    metrics.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
}

fn metrics(object: &Map<String, Value>) -> Option<Vec<(String, f64)>> {
    let metric = |(name, value): (&String, &Value)| {
        let number = match (value.is_null(), value.as_str()) {
            (true, _) => f64::NAN,
            (false, Some("inf")) => f64::INFINITY,
            (false, Some("-inf")) => f64::NEG_INFINITY,
            (false, _) => value.as_f64()?,
        };
        Some((name.clone(), number))
    };
    let mut metrics: Vec<_> = object.iter().map(metric).collect::<Option<_>>()?;
    // In which order an object has its entries depends on who else uses the reader.
    metrics.sort_by(|(a, _), (b, _)| a.cmp(b));
    Some(metrics)
}

/// Numbers of samples by name, sorted as metrics are.
fn counts(object: &Map<String, Value>) -> Option<Vec<(String, u64)>> {
    let mut counts: Vec<_> =
        object.iter().map(|(name, count)| Some((name.clone(), count.as_u64()?))).collect::<Option<_>>()?;
    counts.sort_by(|(a, _), (b, _)| a.cmp(b));
    Some(counts)
}

/// A number, the text of an infinity, or null.
fn number(value: f64) -> String {
    if value.is_infinite() { format!("\"{value}\"") } else { Value::from(value).to_string() }
}

fn object(metrics: &[(String, f64)]) -> String {
    let pairs = metrics.iter().map(|(name, value)| format!("{}:{}", Value::from(name.as_str()), number(*value)));
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line_that_is_read_back() {
        let record = Record {
            kind: RecordKind::Epoch,
            epoch: 2,
            step: 90,
            seconds: 0.1 + 0.2,
            learning_rate: Some(1e-3),
            samples: 1438,
            partial_samples: Vec::new(),
            training: vec![("loss".into(), 0.25), ("q \"quoted\"\n".into(), 1.0)],
            validation: vec![("accuracy".into(), f64::NAN)],
        };
        let line = record.to_json();
        assert_eq!(
            line,
            "{\"kind\":\"epoch\",\"epoch\":2,\"step\":90,\"seconds\":0.30000000000000004,\"learning_rate\":0.001,\"samples\":1438,\
             \"training\":{\"loss\":0.25,\"q \\\"quoted\\\"\\n\":1.0},\"validation\":{\"accuracy\":null}}"
        );
        let read = Record::from_json(&line).unwrap();
        assert!(read.validation("accuracy").unwrap().is_nan());
        assert_eq!(Record { validation: record.validation.clone(), ..read.clone() }.to_json(), line);
        assert_eq!((read.training("loss"), read.training("none"), read.seconds), (Some(0.25), None, record.seconds));

        let partial = Record { partial_samples: vec![("loss".into(), 7)], ..read.clone() };
        let partial = Record::from_json(&partial.to_json()).unwrap();
        assert_eq!((partial.samples_of("loss"), partial.samples_of("q \"quoted\"\n")), (7, 1438));

        let steps = Record { kind: RecordKind::Steps, learning_rate: None, validation: Vec::new(), ..record };
        assert_eq!(Record::from_json(&steps.to_json()).unwrap().training, steps.training);
        for wrong in ["", "{}", "[1]", &line[..line.len() - 1], &line.replace("epoch\":2", "epoch\":-2")] {
            assert_eq!(Record::from_json(wrong), None, "{wrong}");
        }
    }
}
