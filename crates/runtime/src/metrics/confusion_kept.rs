//! A confusion matrix as a checkpoint of a run keeps it: its counts are a tensor, for there may be millions, and all else is text.

use serde_json::{Value, json};

use crate::error::Error;
use crate::metrics::{ConfusionMatrix, ZeroDivision};
use crate::tensor::Tensor;

impl ConfusionMatrix {
    /// All but the counts as JSON, and the counts: `[pairs, 3]`, a row for each label and guess that occurred, with how often.
    pub(crate) fn to_kept(&self) -> Result<(String, Tensor), Error> {
        let is_numbered = self.names.iter().enumerate().all(|(class, name)| *name == class.to_string());
        let zero_division = match self.zero_division {
            ZeroDivision::Zero => "zero",
            ZeroDivision::One => "one",
            ZeroDivision::Nan => "nan",
        };
        let text = json!({
            "classes": self.classes,
            // A million numbers need not be written out.
            "names": if is_numbered { Value::Null } else { json!(self.names) },
            "ignored": self.ignored,
            "zero_division": zero_division,
        });
        let rows = self.counts.iter().flat_map(|((label, guess), count)| [*label as f64, *guess as f64, *count as f64]);
        Ok((text.to_string(), Tensor::new([self.counts.len(), 3], rows.collect::<Vec<f64>>())?))
    }

    /// The matrix that [`ConfusionMatrix::to_kept`] is of; nothing if these are of none.
    pub(crate) fn from_kept(text: &str, counts: &Tensor) -> Option<ConfusionMatrix> {
        let value: Value = serde_json::from_str(text).ok()?;
        let classes = usize::try_from(value.get("classes")?.as_u64()?).ok()?;
        let matrix = match value.get("names")? {
            Value::Array(names) => {
                ConfusionMatrix::named(names.iter().map(Value::as_str).collect::<Option<Vec<&str>>>()?)
            }
            Value::Null => ConfusionMatrix::new(classes),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => return None,
        };
        let ignored = match value.get("ignored")?.as_i64() {
            Some(label) => Some(i32::try_from(label).ok()?),
            None => None,
        };
        let zero_division = match value.get("zero_division")?.as_str()? {
            "zero" => ZeroDivision::Zero,
            "one" => ZeroDivision::One,
            "nan" => ZeroDivision::Nan,
            _ => return None,
        };
        let mut matrix = matrix.ignore(ignored).zero_division(zero_division);
        for &[label, guess, count] in counts.as_slice::<f64>().ok()?.as_chunks::<3>().0 {
            matrix.counts.insert((label as usize, guess as usize), count as u64);
        }
        let is_within = matrix.counts.keys().all(|(label, guess)| *label < classes && *guess < classes);
        (matrix.classes == classes && is_within).then_some(matrix)
    }
}

#[cfg(test)]
mod tests {
    use crate::metrics::{ConfusionMatrix, ZeroDivision};
    use crate::tensor::Tensor;

    #[test]
    fn a_matrix_is_read_back() {
        let labels = Tensor::from([0, 1, 2, 1]);
        let mut matrices = [
            ConfusionMatrix::new(3),
            ConfusionMatrix::named(["a \"b\"", "", "ü"]).ignore(2).zero_division(ZeroDivision::Nan),
            ConfusionMatrix::new(3).ignore(None).zero_division(ZeroDivision::One),
        ];
        for matrix in &mut matrices {
            matrix.add_classes(&Tensor::from([0, 2, 2, 2]), &labels).unwrap();
            let (text, counts) = matrix.to_kept().unwrap();
            assert_eq!(ConfusionMatrix::from_kept(&text, &counts).as_ref(), Some(&*matrix));
            for wrong in ["", "{}", "null", &text.replace("\"classes\":3", "\"classes\":2")] {
                assert_eq!(ConfusionMatrix::from_kept(wrong, &counts), None, "{wrong}");
            }
        }
    }
}
