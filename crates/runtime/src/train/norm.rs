//! The Euclidean norm of several tensors as one vector.

use arenagrad_graph::{DType, Elements, Expr};

use crate::error::Error;

/// Tensors of at most so many elements are put side by side and summed up together: a kernel of their own would take longer to begin than
/// the copy takes.
const SMALL: usize = 4096;

/// The Euclidean norm of all elements of all tensors as one vector, in that dtype.
///
/// Three sums of squares are taken at once, of elements as they are, made smaller and made larger by powers of two, and so exactly; the
/// result comes of the first that has neither overflowed nor lost its digits. So nobody goes over the gradients for their largest element
/// first. The three sums are the rows of one reduction, so that a large tensor takes one kernel and all small ones together take one.
pub(super) fn global_norm<'g>(tensors: &[Expr<'g>], dtype: DType) -> Result<Expr<'g>, Error> {
    let Some(first) = tensors.first() else {
        return Err(Error::OptimizerParts { reason: "there is no tensor to take the norm of".to_owned() });
    };
    let graph = first.graph();
    let Scales { shrink, grow, least } = Scales::of(dtype);
    let (mut small, mut vectors) = (Vec::new(), Vec::new());
    for tensor in tensors {
        // The scales are of the wider dtype; a narrower tensor is widened before it is squared.
        let vector = tensor.cast(dtype).flatten();
        match tensor.shape()?.elements() {
            0 => {}
            1..=SMALL => small.push(vector),
            _ => vectors.push(vector),
        }
    }
    match small.as_slice() {
        [] => {}
        [one] => vectors.push(*one),
        several => vectors.push(graph.concat(several, 0)),
    }
    let factors = graph.literal([3, 1], Elements::from_f64(dtype, &[1.0, shrink, grow]));
    let sums = vectors.into_iter().map(|vector| (vector.unsqueeze(0) * factors).square().sum(1));
    let Some(sums) = sums.reduce(|sum, next| sum + next) else { return Ok(graph.zeros([], dtype)) };
    let [plain, shrunk, grown] = [0, 1, 2].map(|row| sums.select_index(0, row));
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
