//! One case on every device and dtype asked for.

use std::fmt;
#[cfg(not(target_arch = "wasm32"))]
use std::panic::{AssertUnwindSafe, catch_unwind};
#[cfg(not(target_arch = "wasm32"))]
use std::sync::{Mutex, PoisonError};

use arenagrad::graph::Op;
use arenagrad::plan::BufferRole;
use arenagrad::{DType, Device, Error, Expr, Graph, Session, Tensor};

use crate::adapter::{self, Built, Refusal};
use crate::bound;
use crate::case::{Case, Values};
use crate::compare::{SumBound, compare};

/// How one case went.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Every output and gradient agrees on every device asked for.
    Passed,
    /// Every output and gradient agrees on the CPU, and a GPU that was asked for has no kernel for it.
    PassedOnCpu,
    /// What disagrees, or what went wrong, and where.
    Failed(String),
    /// What the engine lacks.
    Unsupported(String),
}

/// A device, and the dtype in which it computes floats.
pub struct Setting {
    device: Device,
    dtype: DType,
    name: &'static str,
}

impl Setting {
    /// Both dtypes of the CPU.
    pub fn on_cpu() -> [Setting; 2] {
        [
            Setting { device: Device::cpu(), dtype: DType::F64, name: "cpu f64" },
            Setting { device: Device::cpu(), dtype: DType::F32, name: "cpu f32" },
        ]
    }

    /// The GPU, which has no f64.
    pub fn on_gpu(device: Device) -> Setting {
        Setting { device, dtype: DType::F32, name: "gpu f32" }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.device)
    }
}

/// Runs a case. A panic of the engine is a failure of the case that met it, and no more than that.
#[cfg(not(target_arch = "wasm32"))]
pub fn run(case: &Case, settings: &[Setting]) -> Outcome {
    let mut computed = 0;
    for setting in settings {
        let run = || pollster::block_on(run_on(case, setting));
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(Ok(is_computed)) => computed += usize::from(is_computed),
            Ok(Err(refusal)) => return refused(refusal, setting),
            Err(_) => return Outcome::Failed(format!("{}: the engine panicked: {}", setting.name, last_panic())),
        }
    }
    outcome(computed, settings)
}

/// Runs a case where nothing may block. A panic of the engine ends the program there.
#[cfg(target_arch = "wasm32")]
pub async fn run_async(case: &Case, settings: &[Setting]) -> Outcome {
    let mut computed = 0;
    for setting in settings {
        match run_on(case, setting).await {
            Ok(is_computed) => computed += usize::from(is_computed),
            Err(refusal) => return refused(refusal, setting),
        }
    }
    outcome(computed, settings)
}

/// What becomes of a case that a device refused, or computed wrong.
fn refused(refusal: Refusal, setting: &Setting) -> Outcome {
    match refusal {
        Refusal::Unsupported(reason) => Outcome::Unsupported(reason),
        Refusal::Failed(reason) => Outcome::Failed(format!("{}: {reason}", setting.name)),
    }
}

/// What becomes of a case that so many of the devices computed: it passed where it can be computed, or nowhere.
fn outcome(computed: usize, settings: &[Setting]) -> Outcome {
    match computed {
        0 => Outcome::Unsupported("there is no kernel for it".into()),
        count if count < settings.len() => Outcome::PassedOnCpu,
        _ => Outcome::Passed,
    }
}

/// What the last panic said.
#[cfg(not(target_arch = "wasm32"))]
static LAST_PANIC: Mutex<String> = Mutex::new(String::new());

/// Keeps what panics say for the report, in place of a trace on the terminal for each.
#[cfg(not(target_arch = "wasm32"))]
pub fn record_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.to_string().replace('\n', " ");
        *LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner) = message;
    }));
}

#[cfg(not(target_arch = "wasm32"))]
fn last_panic() -> String {
    LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Whether the device computes the case, which then agrees.
async fn run_on(case: &Case, setting: &Setting) -> Result<bool, Refusal> {
    let graph = Graph::new();
    let built = adapter::build(&graph, case, setting.dtype)?;
    let has_kernels = setting.device.is_cpu() && !cfg!(target_arch = "wasm32");
    if !has_kernels && has_linear_algebra(&graph) {
        return Ok(false);
    }
    let expected = expectations(case, &built)?;
    let results: Vec<Expr<'_>> = built.outputs.iter().chain(&built.gradients).copied().collect();
    let computed = evaluate(&graph, &results, &built, &setting.device).await.map_err(failed)?;

    let mut bounds: Option<Vec<Option<SumBound>>> = None;
    for (index, ((name, values), tensor)) in expected.iter().zip(&computed).enumerate() {
        // Only a value that is not within the plain tolerance needs the bound of its sums.
        if compare(tensor, values, None).is_ok() {
            continue;
        }
        if bounds.is_none() {
            bounds = Some(sum_bounds(case).await.map_err(failed)?);
        }
        let bound = bounds.as_ref().and_then(|bounds| bounds[index].as_ref());
        compare(tensor, values, bound).map_err(|disagreement| Refusal::Failed(format!("{name}: {disagreement}")))?;
    }
    Ok(true)
}

/// Whether a graph has functions of matrices, which a GPU has no kernels for, nor has a program for pages the feature of that name. They must
/// be refused by name, which tests of the engine hold.
fn has_linear_algebra(graph: &Graph) -> bool {
    let is_one = |id| matches!(graph.node(id), Ok(node) if matches!(node.op, Op::LinearAlgebra { .. }));
    graph.ids().into_iter().any(is_one)
}

/// Every value that the case expects, in the order of the results, with its name in messages.
fn expectations(case: &Case, built: &Built<'_>) -> Result<Vec<(String, Values)>, Refusal> {
    if case.outputs.len() != built.outputs.len() {
        return Err(Refusal::Failed(format!("{} outputs, expected {}", built.outputs.len(), case.outputs.len())));
    }
    for values in &case.outputs {
        let fits = |value: &f64| f64::from(*value as i32) == *value;
        if !values.element.is_float() && !values.data.iter().all(fits) {
            return Err(Refusal::Unsupported("an integer does not fit into 32 bits".into()));
        }
    }
    let mut expected: Vec<(String, Values)> =
        case.outputs.iter().enumerate().map(|(index, values)| (format!("output {index}"), values.clone())).collect();
    for (index, (gradient, expression)) in case.gradients.iter().zip(&built.gradients).enumerate() {
        let values = match gradient {
            Some(values) => values.clone(),
            None => Values::zeros(expression.shape()?.dims()),
        };
        expected.push((format!("gradient {index}"), values));
    }
    Ok(expected)
}

/// The bound of each result, from the magnitudes of the case's own graph in f64 on the CPU.
async fn sum_bounds(case: &Case) -> Result<Vec<Option<SumBound>>, Error> {
    let graph = Graph::new();
    let built = match adapter::build(&graph, case, DType::F64) {
        Ok(built) => built,
        // It was built before, in f32; whatever is wrong now, there are no bounds.
        Err(_) => return Ok(vec![None; case.outputs.len() + case.gradients.len()]),
    };
    let results: Vec<Expr<'_>> = built.outputs.iter().chain(&built.gradients).copied().collect();
    let magnitudes = bound::magnitudes(&graph, &results)?;
    let absolutes: Vec<Expr<'_>> = magnitudes.iter().map(|magnitude| magnitude.absolute).collect();
    let computed = evaluate(&graph, &absolutes, &built, &Device::cpu()).await?;
    Ok(magnitudes
        .iter()
        .zip(computed)
        .map(|(magnitude, absolute)| {
            (magnitude.terms > 1).then(|| SumBound { terms: magnitude.terms, absolute: absolute.to_f64_vec() })
        })
        .collect())
}

async fn evaluate(
    graph: &Graph,
    results: &[Expr<'_>],
    built: &Built<'_>,
    device: &Device,
) -> Result<Vec<Tensor>, Error> {
    let mut session = Session::evaluate(graph, results, device)?;
    // What the results turn out not to depend on is no input of the plan.
    let mut needed = Vec::new();
    for buffer in session.plan().buffers() {
        if let BufferRole::Input(declaration) = buffer.role {
            needed.push(graph.declarations()[declaration as usize].name.clone());
        }
    }
    let given = built.inputs.iter().filter(|(name, _)| needed.contains(name));
    let given: Vec<(&str, &Tensor)> = given.map(|(name, tensor)| (name.as_str(), tensor)).collect();
    session.run_async(&given).await
}

fn failed(error: Error) -> Refusal {
    Refusal::Failed(error.to_string())
}
