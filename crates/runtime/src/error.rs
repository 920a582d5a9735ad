//! Everything that can go wrong outside the graph itself.

use std::fmt;
use std::path::PathBuf;

use arenagrad_graph::message::short;
use arenagrad_graph::symbolic::{ApplyError, ParseError};
use arenagrad_graph::{DType, GraphError, Origin, Shape, StorageType};

pub use arenagrad_kernels::cpu::FailureReason as MatrixFailure;

use crate::check::CheckError;
use crate::checkpoint::CheckpointError;
use crate::data::DataError;
use crate::group::GroupError;
#[cfg(feature = "least_squares")]
use crate::least_squares::LeastSquaresError;
use crate::metrics::MetricError;
use crate::tensor::TensorError;
#[cfg(feature = "fit")]
use crate::train::fit::FitError;
use crate::weights::WeightsError;

/// What went wrong, and where. Nothing here leaves a device unusable but [`Error::DeviceLost`].
#[derive(Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The messages say what the fields are.
pub enum Error {
    /// A mistake that was made while the graph was built, kept until now.
    #[error(transparent)]
    Graph(#[from] GraphError),

    /// A text that is no formula.
    #[error(transparent)]
    Parse(#[from] ParseError),

    /// A formula that could not be applied to its arguments.
    #[error(transparent)]
    Formula(#[from] ApplyError),

    /// Parameters that could not be fitted.
    #[cfg(feature = "least_squares")]
    #[error(transparent)]
    LeastSquares(#[from] LeastSquaresError),

    #[error("no formula has a symbol {name:?}; they have {known}")]
    UnknownSymbol { name: String, known: String },

    #[error("the formulas take {expected} vectors, of {symbols}, but were given {found}")]
    VectorCount { symbols: String, expected: usize, found: usize },

    /// A check of derivatives or devices that could not be made, or that failed.
    #[error(transparent)]
    Check(#[from] CheckError),

    /// Named tensors that cannot be used as they are.
    #[error(transparent)]
    Weights(#[from] WeightsError),

    /// A group of processes that could not be made, or that is at its end.
    #[error(transparent)]
    Group(#[from] GroupError),

    /// Data that could not be read, put together or encoded.
    #[error(transparent)]
    Data(#[from] DataError),

    /// A run of the loop that could not begin, or that ended in a failure.
    #[cfg(feature = "fit")]
    #[error(transparent)]
    Fit(#[from] FitError),

    /// A batch that a metric cannot measure.
    #[error(transparent)]
    Metric(#[from] MetricError),

    /// A checkpoint that training cannot go on from.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),

    /// A tensor on the host that was asked for what it does not have.
    #[error(transparent)]
    Tensor(#[from] TensorError),

    #[error("a tensor of shape {shape} was given {elements} elements")]
    ElementCount { shape: Shape, elements: usize },

    #[error("element {position} is {value}, which i32 does not hold: that is -2147483648..=2147483647")]
    IntegerRange { position: usize, value: i64 },

    #[error("a tensor of shape {shape} has {elements} elements, and not the one that was asked for")]
    NotOneElement { shape: Shape, elements: usize },

    #[error("the tensor holds {found}, not {expected}")]
    TensorDType { expected: StorageType, found: StorageType },

    #[error("no input is named {name:?}; this plan has {known}")]
    UnknownInput { name: String, known: String },

    #[error(
        "input {name:?} ({shape}) was declared at {origin} by the graph, and nobody gives it; a function of a trainer takes what \
         is in a batch by inputs.get({name:?})"
    )]
    DeclaredInput { name: String, shape: Shape, origin: String },

    #[error("input {name:?} ({shape}, declared at {origin}) was not given")]
    MissingInput { name: String, shape: Shape, origin: String },

    #[error("input {name:?} was given twice")]
    RepeatedInput { name: String },

    #[error("input {name:?} was declared {expected} at {origin} but given {found}")]
    InputShape { name: String, expected: Shape, found: Shape, origin: String },

    #[error(
        "input {name:?} was declared {expected} at {origin} but given {found} (cast the tensor: .cast(DType::{:?}))",
        expected.value()
    )]
    InputDType { name: String, expected: StorageType, found: StorageType, origin: String },

    #[error(
        "input {name:?}: element {position} is {value}, outside {least}..{bound} that {origin} needs{}",
        ignoring(*.value)
    )]
    IndexOutOfRange { name: String, position: usize, value: i32, least: i32, bound: usize, origin: String },

    #[error("no parameter is named {name:?}; this session has {known}")]
    UnknownParameter { name: String, known: String },

    #[error(
        "no parameter is named {name:?}: the trainer has planned nothing yet that has one. Its parameters are there once it was prepared \
         (Trainer::prepare) or has made a step"
    )]
    NoParameterYet { name: String },

    #[error("parameter {name:?} is {expected} but was given {found}{given}")]
    ParameterShape { name: String, expected: Shape, found: Shape, given: Given },

    #[error("parameter {name:?} holds {expected} but was given {found}{given}{}", .given.reason_for_type(*.expected))]
    ParameterDType { name: String, expected: StorageType, found: StorageType, given: Given },

    #[error("{path}: {reason}", path = .path.display())]
    File { path: PathBuf, reason: String },

    #[error("{path}: not a parameter file in the safetensors format: {reason}", path = .path.display())]
    ParameterFile { path: PathBuf, reason: String },

    /// A tensor of a dtype that the format has and this crate has not.
    #[error(
        "{path}: the tensor {name:?} holds {found}, which is not supported; convert it to {expected}, which the \
         parameter holds (supported are {supported})",
        path = .path.display(),
        supported = StorageType::ALL.map(StorageType::name).join(", ")
    )]
    FileDType { path: PathBuf, name: String, found: String, expected: StorageType },

    #[error(
        "{path}: element {position} of the tensor {name:?} is {value}, which i32 does not hold, as integers do here",
        path = .path.display()
    )]
    FileInteger { path: PathBuf, name: String, position: usize, value: i64 },

    #[error(
        "{path}: the parameter {name:?} of shape {shape} is missing; the file holds {known}",
        path = .path.display()
    )]
    MissingParameter { path: PathBuf, name: String, shape: Shape, known: String },

    #[error("{origin}: the name {name:?} is reserved for {purpose}; rename what is declared there")]
    ReservedName { name: String, origin: String, purpose: String },

    #[error(
        "unknown device {name:?}; use auto, cpu, gpu, a kind of adapter (discrete, integrated, virtual, software) or a part of an adapter's name: {known}"
    )]
    UnknownDevice { name: String, known: String },

    /// What [`Device::auto`](crate::Device::auto) made of the environment.
    #[error("the environment variable {variable} is {value:?}: {error}")]
    DeviceVariable {
        variable: &'static str,
        value: String,
        /// What is wrong with the value, as [`Device::named`](crate::Device::named) has it.
        error: Box<Error>,
    },

    #[error("no GPU adapter was found: {reason}")]
    NoAdapter { reason: String },

    #[error("adapter {adapter:?} could not be opened: {reason}")]
    AdapterRefused { adapter: String, reason: String },

    /// A tensor that is larger than what an adapter lets a kernel see at once.
    #[error("{}{what} needs {bytes} bytes in one buffer, past the {limit} that adapter {adapter:?} allows", place(.origin))]
    BufferTooLarge {
        /// What was to be stored there.
        what: String,
        bytes: u64,
        limit: u64,
        adapter: String,
        /// Where that was declared or computed, if it is known.
        origin: Option<Origin>,
    },

    #[error("{what} does not fit into memory: {bytes} bytes were refused")]
    OutOfMemory { what: String, bytes: u64 },

    /// A budget of memory that no plan was found for, whatever is computed again.
    #[error(
        "the plan may take {budget} bytes, and the least that was reached is {least}, of which {standing} are parameters, states, inputs, \
         literals and what loops work with; raise the budget, take a smaller batch, or name less to be kept"
    )]
    MemoryBudget { budget: u64, least: u64, standing: u64 },

    /// A name to keep or to compute again that nothing has.
    #[error(
        "no layer and no named expression has a name like {pattern:?}, which was given to be kept or recomputed; there are {known}"
    )]
    UnmatchedName { pattern: String, known: String },

    #[error("{what}: this device cannot compute it: {reason}")]
    Unsupported { what: String, reason: String },

    /// A matrix that a function has no result for, found in a run. Parameters are as they were before the run.
    #[error("{origin}: {op}: {operand} of shape {shape}: {} {reason}", which(.index))]
    Matrix {
        origin: String,
        op: &'static str,
        operand: String,
        /// The shape of the operand, whose last two axes are those of the matrices.
        shape: Shape,
        /// Which of the batch: its place along the axes in front, empty if there are none.
        index: Vec<usize>,
        reason: MatrixFailure,
    },

    /// Something would block where that is not allowed: a page in a browser, which waits for its GPU by awaiting.
    #[error(
        "{what} would wait for the GPU, which a page in a browser must not; where there is a method of its name that ends in _async, await \
         what that gives"
    )]
    CannotWait { what: String },

    #[error("the result was taken before, and comes once")]
    ResultTaken,

    #[error("adapter {adapter:?} was lost: {reason}")]
    DeviceLost { adapter: String, reason: String },

    #[error("adapter {adapter:?} reported an error: {reason}")]
    Device { adapter: String, reason: String },

    #[error("this session was made without a loss: it evaluates and cannot step")]
    NotTraining,

    /// [`Trainer::step`](crate::Trainer::step) of a trainer that has no function to train.
    #[error("this trainer was made without a loss: it evaluates and cannot step; Trainer::add_training gives it one")]
    NoTrainingFunction,

    #[error("{origin}: the loss must be one float, but is {dtype}{shape}{}", reduced(.shape, *.dtype))]
    LossNotScalar { origin: String, shape: Shape, dtype: DType },

    #[error("the batch of {} has no samples, and so nothing can be learnt from it", .inputs)]
    EmptyBatch { inputs: String },

    #[error("{origin}: input {name:?} of shape {shape} has no axis {axis}")]
    InputAxis { origin: String, name: String, shape: Shape, axis: usize },

    #[error("{origin}: a metric named {name:?} is reported at {first} already; give each a name of its own")]
    RepeatedMetric { origin: String, name: String, first: String },

    #[error("no metric is named {name:?}; the function reports {known}")]
    UnknownMetric { name: String, known: String },

    #[error("the function belongs to another trainer")]
    ForeignFunction,

    #[error("{function} is {found}, and not {expected}")]
    FunctionKind { function: String, expected: &'static str, found: &'static str },

    #[error(
        "two training functions of the trainer are named {name:?}; the states of their optimisers stand under these \
         names, so give each its own"
    )]
    RepeatedFunction { name: String },

    #[error(
        "the optimisers of {first} and of {second} both keep a state {name:?}, and each would undo what the other does; give one of the \
         functions, or of the groups of their optimisers, another name"
    )]
    SharedState { name: String, first: String, second: String },

    #[error(
        "{origin}: the evaluation needs a parameter {name:?}, which nothing has trained, loaded or set{}; to compute with its first \
         value all the same, plan the evaluation by Trainer::prepare_of before",
        near_names(.near)
    )]
    UntrainedParameter { origin: String, name: String, near: Vec<String> },

    #[error(
        "no layer of the tape has asked for a parameter {name:?}{}; the tape has {known}. Values for layers that are applied later are \
         given before the first is, or by Tape::set_later_parameter",
        near_names(.near)
    )]
    UnknownTapeParameter { name: String, near: Vec<String>, known: String },

    #[error(
        "no layer of the tape has asked for a parameter {name:?}{}; the tape has {known}. A layer's are there once it was applied",
        near_names(.near)
    )]
    NoTapeParameter { name: String, near: Vec<String>, known: String },

    #[error("the tape's optimiser has no state {name:?}{}; it has {known}", near_names(.near))]
    NoOptimizerState { name: String, near: Vec<String>, known: String },

    #[error("{origin}: nothing can be trained: {reason}")]
    NothingToTrain { origin: String, reason: String },

    #[error(
        "{origin}: {method} was given no batch: an epoch has none where there are no samples, or fewer than a batch's and drop_last \
         leaves these out"
    )]
    NoBatches { method: &'static str, origin: String },

    #[error("an optimiser updates {target}, which is neither a parameter nor state of the graph")]
    UpdateTarget { target: String },

    #[error("an optimiser updates {target} twice in one step")]
    RepeatedUpdate { target: String },

    #[error(
        "{origin}: Graph::update gives {name:?} a next value, and the optimiser gives it another. Let one of them alone: freeze({name:?}) on the \
         optimiser leaves it untrained, and what no optimiser is to train is declared as a state"
    )]
    UpdatedByBoth { origin: String, name: String },

    #[error("this session has no plan to run beside its training step; add one first")]
    NothingToRun,

    #[error("the plan belongs to another session")]
    ForeignPlan,

    #[error("{variable} requires no gradient, nor does anything that it was made of")]
    NoGradientRequired { variable: String },

    #[error(
        "{origin}: {variable} is asked for a gradient, but it is {dtype}, and only floats have gradients: cast what it is made of before, \
         by Tensor::cast(DType::F32)"
    )]
    GradientOfNoFloats { origin: String, variable: String, dtype: DType },

    #[error("no gradient has reached {variable}: call backward on something that was made of it")]
    NoGradient { variable: String },

    #[error(
        "the graph of {variable} was released by an earlier backward pass; backward_retained keeps it for another one"
    )]
    GraphReleased { variable: String },

    #[error("{variable} has a graph that gradients flow through: only a leaf can be frozen; detach makes one")]
    NotFrozen { variable: String },

    #[error("the gradient tape has answered its one question; a persistent one answers more")]
    TapeUsed,

    #[error("{variable} is not a leaf that requires a gradient, and an optimiser can update no other")]
    NotALeaf { variable: String },

    #[error("{leaf} holds {dtype}: an optimiser updates floats alone")]
    LeafOfNoFloats { leaf: String, dtype: DType },

    #[error("{leaf} is leaf {first} too: an optimiser updates each leaf once")]
    RepeatedLeaf { leaf: String, first: usize },

    #[error(
        "{leaf} was {}{} when the optimiser was made, but it or its gradient is {}{} now; make an optimiser anew",
        .expected.1, .expected.0, .found.1, .found.0
    )]
    LeafChanged { leaf: String, expected: (Shape, DType), found: (Shape, DType) },

    #[error("no trainable parameter has a name like {pattern:?}, which the optimiser was given; there are {known}")]
    UnmatchedPattern { pattern: String, known: String },

    #[error("no layer and no parameter has a name like {pattern:?}, which shall keep f32; there are {known}")]
    UnmatchedPrecision { pattern: String, known: String },

    #[error(
        "parameter {name:?} of shape {shape} is no matrix, and Muon updates no other; Muon::rest takes an optimiser for the rest"
    )]
    NotAMatrix { name: String, shape: Shape },

    #[error("this session has no averages of weights to compute with: {reason}")]
    NoAverages { reason: String },

    #[error("the parts of the optimiser do not fit together: {reason}")]
    OptimizerParts { reason: String },

    /// A schedule of the caller's own whose result is no rate.
    #[error("{origin}: the {what} of a schedule is one {expected}, but is {}{} here", .found.1, .found.0)]
    ScheduleResult { origin: Origin, what: &'static str, found: (Shape, DType), expected: DType },

    #[error("the optimiser's {what} is {}{given}, which is not {expected}", short(*.value))]
    Hyperparameter { what: &'static str, value: f64, expected: &'static str, given: Given },
}

arenagrad_graph::debug_in_words!(Error);

impl Error {
    /// Whether it says nothing of what was to be computed: the same may be computed later, or nothing can be any more.
    pub(crate) fn is_of_device(&self) -> bool {
        matches!(self, Error::CannotWait { .. } | Error::DeviceLost { .. } | Error::Device { .. })
    }
}

/// How an error begins with a place in the caller's source.
fn place(origin: &Option<Origin>) -> String {
    origin.map(|origin| format!("{origin}: ")).unwrap_or_default()
}

/// The names that may have been meant.
fn near_names(near: &[String]) -> String {
    match near {
        [] => String::new(),
        [one] => format!(" (did you mean {one:?}?)"),
        several => {
            let several: Vec<String> = several.iter().map(|name| format!("{name:?}")).collect();
            format!(" (did you mean {}?)", several.join(" or "))
        }
    }
}

/// What to do about the label that PyTorch leaves out unless it is said otherwise.
fn ignoring(value: i32) -> String {
    if value != -100 {
        return String::new();
    }
    format!(
        "; if labels of {value} are to be left out, say so: \
         cross_entropy_with(labels, CrossEntropy {{ ignore_index: Some({value}), ..CrossEntropy::default() }})"
    )
}

/// What makes one float of a loss.
fn reduced(shape: &Shape, dtype: DType) -> &'static str {
    match (dtype.is_float(), shape.elements()) {
        (true, 0 | 1) | (false, _) => "",
        (true, _) => "; reduce it, as by mean(..)",
    }
}

/// How an error calls a matrix of a batch.
fn which(index: &[usize]) -> String {
    if index.is_empty() { "the matrix".to_owned() } else { format!("matrix {index:?}") }
}

/// Who gave a value that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Given {
    /// The caller, as an argument.
    Argument,
    /// A file.
    File(PathBuf),
    /// A declaration, at that place in the caller's source.
    Declaration(String),
    /// The update of an optimiser.
    Update,
    /// A checkpoint that was restored before.
    Checkpoint,
}

impl Given {
    /// Why a parameter may have been given another type than that, where this is not plain, or what to do about it.
    fn reason_for_type(&self, expected: StorageType) -> String {
        match self {
            Given::Declaration(_) => {
                "; a layer declares its parameters in the type of what it is applied to".to_owned()
            }
            Given::Argument => format!(" (cast it: .cast(DType::{:?}))", expected.value()),
            Given::File(_) | Given::Update | Given::Checkpoint => String::new(),
        }
    }
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Given::Argument => Ok(()),
            Given::File(path) => write!(f, " by {}", path.display()),
            Given::Declaration(origin) => write!(f, " by its declaration at {origin}"),
            Given::Update => f.write_str(" by the optimiser's update"),
            Given::Checkpoint => f.write_str(" by the checkpoint that was restored"),
        }
    }
}
