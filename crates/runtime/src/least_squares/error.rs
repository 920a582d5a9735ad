//! What can go wrong in a fit, beyond the graph and the device.

use arenagrad_graph::message::short;

/// Why a fit was not made.
#[derive(Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The messages say what the fields are.
pub enum LeastSquaresError {
    #[error("the graph of the residuals has no trainable parameter to fit")]
    NoParameters,

    #[error("{residuals} residuals cannot determine {parameters} parameters")]
    TooFewResiduals { residuals: usize, parameters: usize },

    #[error("iteration {iteration}: the problem or the method gave {what} of {found} numbers, but it has {expected}")]
    Length { iteration: usize, what: &'static str, expected: usize, found: usize },

    #[error(
        "iteration {iteration}: {what} is not finite; start nearer to the data, or take smaller steps (check::anomaly names the node that made it)"
    )]
    NotFinite { iteration: usize, what: &'static str },

    #[error(
        "iteration {iteration}: the normal equations are singular: the residuals do not change along {direction}; leave out a parameter, or take Levenberg-Marquardt"
    )]
    Singular { iteration: usize, direction: String },

    #[error("the {what} of a fit is {}, which is not {expected}", short(*.value))]
    Setting { what: &'static str, value: f64, expected: &'static str },
}

arenagrad_graph::debug_in_words!(LeastSquaresError);
