//! The Euclidean norm of several tensors as one vector.

use arenagrad_graph::{DType, Expr};

use crate::error::Error;

/// The Euclidean norm of all elements of all tensors as one vector, in that dtype.
///
/// Three sums of squares are taken at once, of elements as they are, made smaller and made larger by powers of two, and so exactly; the
/// result comes of the first that has neither overflowed nor lost its digits. So each gradient is read once, and not a second
/// time for its largest element.
pub(super) fn global_norm<'g>(tensors: &[Expr<'g>], dtype: DType) -> Result<Expr<'g>, Error> {
    let Scales { shrink, grow, least } = Scales::of(dtype);
    let sum_scaled = |scale: f64| -> Result<Expr<'g>, Error> {
        let mut sums = Vec::with_capacity(tensors.len());
        for tensor in tensors {
            // The scales are of the wider dtype; a narrower tensor is widened before it is squared.
            let tensor = tensor.cast(dtype);
            let scaled = if scale == 1.0 { tensor } else { tensor * scale };
            sums.push(scaled.square().sum(..));
        }
        let total = sums.into_iter().reduce(|sum, next| sum + next);
        total.ok_or_else(|| Error::NothingToTrain { reason: "there is no tensor to take the norm of".to_owned() })
    };
    let (plain, shrunk, grown) = (sum_scaled(1.0)?, sum_scaled(shrink)?, sum_scaled(grow)?);
    let small = plain.less(least).where_(grown.sqrt() / grow, plain.sqrt());
    Ok(plain.equal(f64::INFINITY).where_(shrunk.sqrt() / shrink, small))
}

/// By what elements are scaled before they are squared.
struct Scales {
    /// For elements whose squares overflow.
    shrink: f64,
    /// For elements whose squares lose digits.
    grow: f64,
    /// A sum of squares below this may have lost digits.
    least: f64,
}

impl Scales {
    fn of(dtype: DType) -> Self {
        match dtype {
            DType::F64 => Scales { shrink: 2f64.powi(-600), grow: 2f64.powi(600), least: 2f64.powi(-900) },
            // No optimiser has scalars of another dtype than a float.
            DType::F32 | DType::I32 | DType::Bool => {
                Scales { shrink: 2f64.powi(-96), grow: 2f64.powi(96), least: 2f64.powi(-80) }
            }
        }
    }
}
