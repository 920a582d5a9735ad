//! Metrics over a whole data set, added up batch by batch on the host from what a network gave and what was right.
//!
//! | to measure | use |
//! |---|---|
//! | the share of right classes, or of labels among the `k` likeliest | [`Accuracy`] |
//! | which class is taken for which; precision, recall and F1 | [`ConfusionMatrix`] |
//! | area under the ROC curve, average precision | [`Ranking`] |
//! | mean absolute and mean squared error, R² | [`Regression`] |
//! | a language model | [`Perplexity`] |
//! | losses over batches of unequal size | [`Mean`] |
//!
//! A mean of the batches' own metrics is wrong as soon as the last batch is smaller, and for precision, recall and R² it is wrong
//! always. Here counts and sums are kept, and the metric is worked out of them when it is asked for. Everything is computed in f64,
//! whatever the tensors hold.
//!
//! Logits have one axis of classes: axis 1 as in `[n, classes, d1, ..]`, or axis 0 of rank 1. Labels are whole numbers in the shape of
//! the logits without that axis. A label of -100 is left out, as [`CrossEntropy`](crate::CrossEntropy) does where it is told to; each
//! metric may name another, or none. Of equal logits the first is the larger, and NaN is larger than every number, as in
//! [`Expr::argmax`](crate::Expr::argmax).
//!
//! A batch that is refused changes nothing. What is measured over nothing is NaN.
//!
//! The module knows no graph and no session: metrics that a plan computes itself, in the step and on the device, are expressions such as
//! [`Expr::accuracy`](crate::Expr::accuracy).

mod accuracy;
mod confusion;
#[cfg(feature = "fit")]
mod confusion_kept;
mod error;
mod mean;
mod ranking;
mod regression;
mod samples;
mod scores;

pub use accuracy::Accuracy;
pub use confusion::ConfusionMatrix;
pub use error::MetricError;
pub use mean::{Mean, Perplexity};
pub use ranking::Ranking;
pub use regression::Regression;
pub use scores::{Average, ClassReport, ClassScores, ZeroDivision};
