//! Precision, recall and F1, of a class and averaged, as scikit-learn's `precision_recall_fscore_support` defines them.

use std::fmt;

/// The widest column of names: what is longer stands out.
pub(super) const WIDEST_NAME: usize = 100;

/// How the scores of the classes become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Average {
    /// The mean over the classes that occur, as a label or as a guess.
    Macro,
    /// The score of all hits and misses together. Each sample has one class, so all three scores are the accuracy.
    Micro,
    /// The mean over the classes, each weighted by how many samples have it as their label.
    Weighted,
}

/// What a score is whose divisor is 0: the precision of a class that was never guessed, the recall of one that no sample has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ZeroDivision {
    /// 0, scikit-learn's default.
    #[default]
    Zero,
    /// 1.
    One,
    /// NaN, which averages leave out.
    Nan,
}

impl ZeroDivision {
    fn divided(self, numerator: u64, denominator: u64) -> f64 {
        match (denominator, self) {
            (0, ZeroDivision::Zero) => 0.0,
            (0, ZeroDivision::One) => 1.0,
            (0, ZeroDivision::Nan) => f64::NAN,
            _ => numerator as f64 / denominator as f64,
        }
    }
}

/// The scores of one class, or of an average over all.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ClassScores {
    /// Of the samples that were taken for the class, the share that is of it: `tp / (tp + fp)`.
    pub precision: f64,
    /// Of the samples of the class, the share that was taken for it: `tp / (tp + fn)`.
    pub recall: f64,
    /// The harmonic mean of both: `2 tp / (2 tp + fp + fn)`.
    pub f1: f64,
    /// How many samples have the class as their label.
    pub support: u64,
}

/// What is counted of a class.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) hits: u64,
    /// Samples with the label.
    pub(super) labelled: u64,
    /// Samples with the guess.
    pub(super) guessed: u64,
}

impl Counts {
    pub(super) fn scores(self, zero: ZeroDivision) -> ClassScores {
        ClassScores {
            precision: zero.divided(self.hits, self.guessed),
            recall: zero.divided(self.hits, self.labelled),
            f1: zero.divided(2 * self.hits, self.labelled + self.guessed),
            support: self.labelled,
        }
    }
}

/// The average over classes.
pub(super) fn averaged(classes: &[Counts], average: Average, zero: ZeroDivision) -> ClassScores {
    let support = classes.iter().map(|class| class.labelled).sum();
    let occurring = classes.iter().filter(|class| class.labelled + class.guessed > 0);
    let weighted = |weight: fn(&Counts) -> f64| {
        let of = |score: fn(&ClassScores) -> f64| {
            mean(occurring.clone().map(|class| (score(&class.scores(zero)), weight(class))))
        };
        ClassScores { precision: of(|s| s.precision), recall: of(|s| s.recall), f1: of(|s| s.f1), support }
    };
    match average {
        Average::Macro => weighted(|_| 1.0),
        Average::Weighted => weighted(|class| class.labelled as f64),
        Average::Micro => {
            let hits = classes.iter().map(|class| class.hits).sum();
            let guessed = classes.iter().map(|class| class.guessed).sum();
            Counts { hits, labelled: support, guessed }.scores(zero)
        }
    }
}

/// The weighted mean of the scores that are numbers; unweighted if all of these have weight 0, and NaN if there are none.
fn mean(scores: impl Iterator<Item = (f64, f64)> + Clone) -> f64 {
    let numbers = scores.filter(|(score, _)| !score.is_nan());
    let total: f64 = numbers.clone().map(|(_, weight)| weight).sum();
    if total > 0.0 {
        numbers.map(|(score, weight)| score * weight).sum::<f64>() / total
    } else {
        let count = numbers.clone().count() as f64;
        numbers.map(|(score, _)| score).sum::<f64>() / count
    }
}

/// The scores of every class and their averages. It prints as a table, as scikit-learn's `classification_report` does.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ClassReport {
    /// The scores of each class with its name.
    pub classes: Vec<(String, ClassScores)>,
    /// The share of samples that were guessed right.
    pub accuracy: f64,
    /// The average [`Average::Macro`].
    pub macro_average: ClassScores,
    /// The average [`Average::Weighted`].
    pub weighted_average: ClassScores,
}

impl fmt::Display for ClassReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let averages = [("macro average", &self.macro_average), ("weighted average", &self.weighted_average)];
        let names = self.classes.iter().map(|(name, _)| name.as_str()).chain(averages.map(|(name, _)| name));
        let width = names.map(|name| name.chars().count()).max().unwrap_or(0).min(WIDEST_NAME);
        writeln!(f, "{:width$}  precision  recall      f1  samples", "")?;
        let row = |f: &mut fmt::Formatter<'_>, name: &str, scores: &ClassScores| {
            let ClassScores { precision, recall, f1, support } = scores;
            writeln!(f, "{name:width$}  {precision:>9.4}  {recall:>6.4}  {f1:>6.4}  {support:>7}")
        };
        for (name, scores) in &self.classes {
            row(f, name, scores)?;
        }
        writeln!(f)?;
        let support = self.macro_average.support;
        writeln!(f, "{:width$}  {:>9}  {:>6}  {:>6.4}  {support:>7}", "accuracy", "", "", self.accuracy)?;
        for (name, scores) in averages {
            row(f, name, scores)?;
        }
        Ok(())
    }
}
