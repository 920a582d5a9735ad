//! Formulas as plans: whole vectors of values for each symbol, on any device.
//!
//! A formula is replayed over inputs of a fresh graph ([`Formula::apply`]) and planned like any other, so a formula and its
//! derivatives share what they have in common and fuse into few kernels. There is no other evaluator of formulas.

use arenagrad_graph::symbolic::Formula;
use arenagrad_graph::{DType, Expr, Graph};

use crate::device::Device;
use crate::error::Error;
use crate::session::Session;
use crate::tensor::Tensor;

/// Formulas compiled into one plan that takes a vector for each symbol and returns a vector for each formula: what SymPy calls
/// lambdify.
///
/// ```
/// use arenagrad::{DType, Device, Lambdified, parse};
///
/// let f = parse("x*exp(-y)").unwrap();
/// let slope = f.diff("x").simplify();
/// let mut compiled = Lambdified::new(&[&f, &slope], &["x", "y"], 3, DType::F64, &Device::cpu())?;
/// let results = compiled.call(&[&[1.0, 2.0, 3.0], &[0.0, 0.0, 1.0]])?;
/// assert_eq!(results[0], [1.0, 2.0, 3.0 * (-1.0f64).exp()]);
/// assert_eq!(results[1], [1.0, 1.0, (-1.0f64).exp()]);
/// # Ok::<(), arenagrad::Error>(())
/// ```
pub struct Lambdified {
    session: Session,
    symbols: Vec<String>,
    length: usize,
    dtype: DType,
}

impl Lambdified {
    /// Compiles `formulas` for vectors of `length` elements. `symbols` says the order in which [`Lambdified::call`] takes them:
    /// all that a formula depends on, and others of its text if it is convenient, so that a formula and its derivative take
    /// the same. The dtype is f64, which the CPU alone has, or f32.
    ///
    /// Errors: a symbol that a formula needs is not named, or one is named twice or unknown to every formula; a dtype that is
    /// no float, or that the device does not have.
    #[track_caller]
    pub fn new(
        formulas: &[&Formula],
        symbols: &[&str],
        length: usize,
        dtype: DType,
        device: &Device,
    ) -> Result<Lambdified, Error> {
        let graph = Graph::new();
        let mut arguments: Vec<(&str, Expr<'_>)> = Vec::with_capacity(symbols.len());
        for &symbol in symbols {
            arguments.push((symbol, graph.input_of(symbol, [length], dtype).check()?));
        }
        // A symbol of one formula need not be one of the others, but must be one of some.
        let known: Vec<Vec<String>> = formulas.iter().map(|formula| formula.known_symbols()).collect();
        if let Some(unknown) = symbols.iter().find(|symbol| !known.iter().flatten().any(|name| name == *symbol)) {
            let mut all: Vec<String> = Vec::new();
            for name in known.iter().flatten().map(|name| format!("{name:?}")) {
                if !all.contains(&name) {
                    all.push(name);
                }
            }
            let known = if all.is_empty() { "none".to_owned() } else { all.join(", ") };
            return Err(Error::UnknownSymbol { name: (*unknown).to_owned(), known });
        }
        let mut outputs = Vec::with_capacity(formulas.len());
        for (formula, known) in formulas.iter().zip(&known) {
            let own: Vec<_> =
                arguments.iter().copied().filter(|(name, _)| known.iter().any(|own| own == name)).collect();
            outputs.push(formula.apply(&graph, &own)?.cast(dtype).broadcast_to([length]).check()?);
        }
        let session = Session::evaluate(&graph, &outputs, device)?;
        let symbols = symbols.iter().map(|&symbol| symbol.to_owned()).collect();
        Ok(Lambdified { session, symbols, length, dtype })
    }

    /// The values of the formulas, in the order in which [`Lambdified::new`] was given them, for each element of the vectors of
    /// the symbols, in theirs. On an f32 plan numbers are rounded on their way in.
    ///
    /// Errors: another number of vectors than of symbols, or of elements than the plan was made for.
    pub fn call(&mut self, vectors: &[&[f64]]) -> Result<Vec<Vec<f64>>, Error> {
        let results = self.call_tensors(vectors)?;
        Ok(results.iter().map(Tensor::to_f64_vec).collect())
    }

    /// The session, for its plan and device.
    pub fn session(&self) -> &Session {
        &self.session
    }

    fn call_tensors(&mut self, vectors: &[&[f64]]) -> Result<Vec<Tensor>, Error> {
        if vectors.len() != self.symbols.len() {
            return Err(Error::VectorCount {
                symbols: self.symbols.join(", "),
                expected: self.symbols.len(),
                found: vectors.len(),
            });
        }
        let mut tensors = Vec::with_capacity(vectors.len());
        for vector in vectors {
            tensors.push(Tensor::new([self.length], vector.to_vec())?.cast(self.dtype));
        }
        let inputs: Vec<(&str, &Tensor)> = self.symbols.iter().map(String::as_str).zip(&tensors).collect();
        self.session.run(&inputs)
    }
}

/// The value of a formula at named numbers, in f64 on the CPU, where differences that would cancel keep their digits
/// ([`Formula::apply_accurately`]). For many points at once there is [`Lambdified`].
///
/// Errors: a symbol that the formula depends on is not given; one is given twice, or unknown.
///
/// ```
/// use arenagrad::{evaluate, parse};
///
/// let f = parse("x^2*y").unwrap();
/// assert_eq!(evaluate(&f.diff("x"), &[("x", 3.0), ("y", 2.0)])?, 12.0);
/// # Ok::<(), arenagrad::Error>(())
/// ```
#[track_caller]
pub fn evaluate(formula: &Formula, at: &[(&str, f64)]) -> Result<f64, Error> {
    let graph = Graph::new();
    // An argument given twice would be refused as an input before the formula sees it.
    let mut arguments: Vec<(&str, Expr<'_>)> = Vec::with_capacity(at.len());
    for (place, &(name, _)) in at.iter().enumerate() {
        let earlier = at[..place].iter().position(|(other, _)| *other == name);
        let argument = earlier.map_or_else(|| graph.input_of(name, [], DType::F64), |earlier| arguments[earlier].1);
        arguments.push((name, argument));
    }
    let value = formula.apply_accurately(&graph, &arguments)?;
    let mut session = Session::evaluate(&graph, &[value], &Device::cpu())?;
    let tensors: Vec<Tensor> = at.iter().map(|&(_, number)| Tensor::scalar(number)).collect();
    let inputs: Vec<(&str, &Tensor)> = at.iter().map(|&(name, _)| name).zip(&tensors).collect();
    session.run(&inputs)?[0].item()
}
