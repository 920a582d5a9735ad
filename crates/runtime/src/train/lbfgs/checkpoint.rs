//! What L-BFGS has learnt, in a checkpoint and out again.

use std::collections::VecDeque;

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::error::Error;
use crate::tensor::Tensor;
use crate::train::Lbfgs;
use crate::train::lbfgs::{Memory, Pair};

/// The names of what is kept, all in f64: the counts, lengths and scale, two vectors, and the pairs row by row.
const NAMES: [&str; 6] = ["numbers", "direction", "gradient", "changes", "moves", "inverses"];

impl Checkpoint {
    /// With what L-BFGS has learnt of the curvature, from which [`Lbfgs::restore`] goes on. Sessions and trainers restore the rest, and leave
    /// this alone. It takes twice the memory of the parameters in f64 for each change that is kept.
    ///
    /// ```
    /// use arenagrad::train::Lbfgs;
    /// use arenagrad::{Checkpoint, Device, Error, Sgd, Tensor, Trainer};
    /// use arenagrad::nn::Linear;
    ///
    /// let line = Linear::new("line", 1, 1);
    /// let trainer = || Trainer::new(Device::cpu(), Sgd::new(0.1), |inputs| {
    ///     (line.apply(inputs.get("x")) - inputs.get("x").square()).square().mean(..)
    /// });
    /// let lbfgs = || Lbfgs::new(1.0).strong_wolfe().max_iterations(2);
    /// let x = Tensor::new([4, 1], vec![0.0f32, 1.0, 2.0, 4.0])?;
    ///
    /// let (mut first, mut learnt) = (trainer(), lbfgs());
    /// first.minimise(&mut learnt, &[("x", &x)])?;
    /// let file = first.checkpoint()?.with_lbfgs(&learnt)?.to_bytes()?;
    /// let next = first.minimise(&mut learnt, &[("x", &x)])?;
    ///
    /// let (mut second, mut learnt) = (trainer(), lbfgs());
    /// let checkpoint = Checkpoint::from_bytes(file)?;
    /// second.restore(&checkpoint)?;
    /// learnt.restore(&checkpoint)?;
    /// assert_eq!(second.minimise(&mut learnt, &[("x", &x)])?, next);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn with_lbfgs(self, lbfgs: &Lbfgs) -> Result<Checkpoint, Error> {
        let Memory { iterations, direction, length, gradient, pairs, scale } = &lbfgs.memory;
        let elements = direction.len();
        let of_pairs = |vector: fn(&Pair) -> &Vec<f64>| {
            Tensor::new([pairs.len(), elements], pairs.iter().flat_map(vector).copied().collect::<Vec<f64>>())
        };
        // Up to 2^53 a count is a number of f64 itself.
        let numbers = Tensor::from([*iterations as f64, *length, *scale]);
        let inverses = Tensor::from(pairs.iter().map(|pair| pair.inverse).collect::<Vec<f64>>());
        let tensors = [
            numbers,
            Tensor::from(direction.as_slice()),
            Tensor::from(gradient.as_slice()),
            of_pairs(|pair| &pair.gradient)?,
            of_pairs(|pair| &pair.parameters)?,
            inverses,
        ];
        let named = NAMES.into_iter().zip(tensors);
        Ok(named.fold(self, |checkpoint, (name, tensor)| checkpoint.with_part(&format!("lbfgs.{name}"), tensor)))
    }
}

impl Lbfgs {
    /// Goes on from what [`Checkpoint::with_lbfgs`] kept, under the options that this has now. Together with the parameters, which a session or a
    /// trainer restores, the next step gives the bits that it would have given then.
    ///
    /// Errors, after which nothing is changed: [`CheckpointError::Missing`] for a checkpoint without it,
    /// [`CheckpointError::Foreign`] for one whose parts do not fit together.
    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), Error> {
        let mut parts = Vec::with_capacity(NAMES.len());
        for name in NAMES {
            let Some(part) = checkpoint.part(&format!("lbfgs.{name}"))? else {
                let (origin, missing) = (checkpoint.origin().to_owned(), "what L-BFGS has learnt".to_owned());
                return Err(CheckpointError::Missing { origin, missing }.into());
            };
            parts.push(part);
        }
        let foreign = || {
            let (origin, key) = (checkpoint.origin().to_owned(), "lbfgs".to_owned());
            let shapes: Vec<String> = parts.iter().map(|part| format!("{}{}", part.storage(), part.shape())).collect();
            Error::from(CheckpointError::Foreign { origin, key, found: shapes.join(", ") })
        };
        let slices: Vec<&[f64]> =
            parts.iter().map(Tensor::as_slice::<f64>).collect::<Result<_, _>>().map_err(|_| foreign())?;
        let &[&[iterations, length, scale], direction, gradient, changes, moves, inverses] = slices.as_slice() else {
            return Err(foreign());
        };
        let (elements, count) = (direction.len(), inverses.len());
        let is_count = iterations >= 0.0 && iterations.fract() == 0.0 && iterations <= (1u64 << 53) as f64;
        let is_fresh = iterations == 0.0;
        let fits = gradient.len() == elements && [changes, moves].iter().all(|rows| rows.len() == count * elements);
        if !is_count || !fits || (is_fresh && (elements > 0 || count > 0)) {
            return Err(foreign());
        }
        let row = |rows: &[f64], number: usize| rows[number * elements..(number + 1) * elements].to_vec();
        let pair = |number: usize| Pair {
            gradient: row(changes, number),
            parameters: row(moves, number),
            inverse: inverses[number],
        };
        self.memory = Memory {
            iterations: iterations as u64,
            direction: direction.to_vec(),
            length,
            gradient: gradient.to_vec(),
            pairs: (0..count).map(pair).collect::<VecDeque<_>>(),
            scale,
        };
        Ok(())
    }
}
