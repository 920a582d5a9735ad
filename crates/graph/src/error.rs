//! Every mistake that building or transforming a graph can report.

use std::fmt;

use crate::dtype::DType;
use crate::message::short;
use crate::node::Origin;
use crate::shape::Shape;

/// What was wrong and where: the caller's file and line, the operation, the operands' names and whole shapes, and the two
/// numbers that disagree.
#[derive(Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The messages say what the fields are.
pub enum GraphError {
    #[error(
        "{origin}: {op}: shapes do not broadcast: lhs {lhs} is {lhs_shape}, rhs {rhs} is {rhs_shape} ({left} != {right})"
    )]
    Broadcast {
        origin: Origin,
        op: &'static str,
        lhs: String,
        lhs_shape: Shape,
        rhs: String,
        rhs_shape: Shape,
        left: usize,
        right: usize,
    },

    #[error("{origin}: {op}: {operand} of shape {from} does not broadcast to {to}")]
    BroadcastTo { origin: Origin, op: &'static str, operand: String, from: Shape, to: Shape },

    #[error("{origin}: {op}: shapes differ: {lhs} is {lhs_shape}, {rhs} is {rhs_shape}")]
    ShapesDiffer { origin: Origin, op: &'static str, lhs: String, lhs_shape: Shape, rhs: String, rhs_shape: Shape },

    #[error(
        "{origin}: {op}: {which} dimensions differ: lhs {lhs} is {lhs_shape}, rhs {rhs} is {rhs_shape} ({left} != {right})"
    )]
    MatMul {
        origin: Origin,
        op: &'static str,
        which: MatMulAxis,
        lhs: String,
        lhs_shape: Shape,
        rhs: String,
        rhs_shape: Shape,
        left: usize,
        right: usize,
    },

    #[error("{origin}: {op}: dtypes differ: {lhs} is {left}, {rhs} is {right}; cast one of them")]
    DTypesDiffer { origin: Origin, op: &'static str, lhs: String, left: DType, rhs: String, right: DType },

    #[error("{origin}: {op}: {operand} is {dtype}, but {expected} is needed{}", cast_of(*dtype, expected))]
    DType { origin: Origin, op: &'static str, operand: String, dtype: DType, expected: &'static str },

    #[error("{origin}: {op}: axis {axis} is out of range for {operand} of shape {shape} (rank {rank})")]
    Axis { origin: Origin, op: &'static str, axis: isize, operand: String, shape: Shape, rank: usize },

    #[error("{origin}: {op}: axis {axis} is named twice")]
    RepeatedAxis { origin: Origin, op: &'static str, axis: usize },

    #[error("{origin}: {op}: {operand} of shape {shape} has rank {rank}, but {expected} is needed")]
    Rank { origin: Origin, op: &'static str, operand: String, shape: Shape, rank: usize, expected: String },

    #[error(
        "{origin}: {op}: {operand} of shape {shape} has {rows} rows and {columns} columns, but {expected} is needed"
    )]
    MatrixShape {
        origin: Origin,
        op: &'static str,
        operand: String,
        shape: Shape,
        rows: usize,
        columns: usize,
        expected: &'static str,
    },

    #[error("{origin}: {op}: {operand} of shape {from} has {from_elements} elements, but {to} has {to_elements}")]
    Reshape {
        origin: Origin,
        op: &'static str,
        operand: String,
        from: Shape,
        from_elements: usize,
        to: Shape,
        to_elements: usize,
    },

    #[error("{origin}: {op}: {operand} of shape {shape} has {elements} elements, which {extents:?} does not divide")]
    NotDivided {
        origin: Origin,
        op: &'static str,
        operand: String,
        shape: Shape,
        elements: usize,
        /// What the caller wrote, with its -1.
        extents: Vec<isize>,
    },

    #[error(
        "{origin}: {op}: axis {axis} of {operand} has {extent} elements, so {start}..{end} is out of range (shape {shape})"
    )]
    Range {
        origin: Origin,
        op: &'static str,
        operand: String,
        shape: Shape,
        axis: usize,
        extent: usize,
        start: usize,
        end: usize,
    },

    #[error(
        "{origin}: {op}: extents differ along axis {axis}: {lhs} is {lhs_shape}, {rhs} is {rhs_shape} ({left} != {right})"
    )]
    Extent {
        origin: Origin,
        op: &'static str,
        axis: usize,
        lhs: String,
        lhs_shape: Shape,
        rhs: String,
        rhs_shape: Shape,
        left: usize,
        right: usize,
    },

    #[error(
        "{origin}: {op}: the {heads} heads of {query} ({query_shape}) are no multiple of the {groups} heads of {key} ({key_shape})"
    )]
    Heads {
        origin: Origin,
        op: &'static str,
        query: String,
        query_shape: Shape,
        heads: usize,
        key: String,
        key_shape: Shape,
        groups: usize,
    },

    #[error("{origin}: {op}: {heads} heads do not divide the {features} features of {operand} of shape {shape}")]
    UnevenHeads { origin: Origin, op: &'static str, operand: String, shape: Shape, features: usize, heads: usize },

    #[error("{origin}: {op}: axis {axis} of {operand} is empty (shape {shape}), and an empty set has no {function}")]
    EmptyAxis { origin: Origin, op: &'static str, function: &'static str, operand: String, shape: Shape, axis: usize },

    #[error("{origin}: {op}: shape {shape} has too many elements to count")]
    TooManyElements { origin: Origin, op: &'static str, shape: Shape },

    #[error("{origin}: {op}: rank {rank} is past the largest, {limit}")]
    RankLimit { origin: Origin, op: &'static str, rank: usize, limit: usize },

    #[error(
        "{origin}: {op}: the sizes add up to {total}, but axis {axis} of {operand} has {extent} elements (shape {shape})"
    )]
    Sizes { origin: Origin, op: &'static str, operand: String, shape: Shape, axis: usize, extent: usize, total: usize },

    #[error("{origin}: {op}: {elements} elements were given for shape {shape}")]
    ElementCount { origin: Origin, op: &'static str, shape: Shape, elements: usize },

    #[error("{origin}: {op}: {what} is {}, but {expected} is needed", short(*.value))]
    Argument { origin: Origin, op: &'static str, what: &'static str, value: f64, expected: &'static str },

    #[error(
        "{origin}: {op}: {what} is {}, but {operand} is {dtype}, which holds {}",
        short(*.value), held(*.dtype)
    )]
    Number {
        origin: Origin,
        op: &'static str,
        what: &'static str,
        value: f64,
        /// What has the dtype that the number would take.
        operand: String,
        dtype: DType,
    },

    #[error(
        "{origin}: {op}: targets {targets} are {dtype}{target_shape}, but logits {logits} are {logits_shape}: class labels are \
         i32{label_shape} (cast them: .cast(DType::I32)), and class probabilities are {logits_shape}"
    )]
    Targets {
        origin: Origin,
        op: &'static str,
        targets: String,
        dtype: DType,
        target_shape: Shape,
        logits: String,
        logits_shape: Shape,
        label_shape: Shape,
    },

    #[error(
        "{origin}: {op}: axis {axis} of {logits} of shape {logits_shape} is taken for the classes, so labels of shape {} are needed, \
         but {labels} is {labels_shape}{}",
        logits_shape.without([*axis].into_iter().collect()),
        fitting.map_or_else(String::new, |axis| format!("; `class_axis: Some({axis})` of `CrossEntropy` would fit them"))
    )]
    ClassAxis {
        origin: Origin,
        op: &'static str,
        logits: String,
        logits_shape: Shape,
        axis: usize,
        labels: String,
        labels_shape: Shape,
        /// Another axis without which the logits have the shape of the labels; -1 is the last one.
        fitting: Option<isize>,
    },

    #[error("{origin}: {op}: {groups} groups do not divide the {channels} {what} of {operand} of shape {shape}")]
    Groups {
        origin: Origin,
        op: &'static str,
        what: &'static str,
        operand: String,
        shape: Shape,
        channels: usize,
        groups: usize,
    },

    #[error(
        "{origin}: {op}: weight {weight} of shape {weight_shape} is for {expected} channels ({groups} groups), but input {input} of shape \
         {input_shape} has {channels}"
    )]
    Channels {
        origin: Origin,
        op: &'static str,
        input: String,
        input_shape: Shape,
        channels: usize,
        weight: String,
        weight_shape: Shape,
        expected: usize,
        groups: usize,
    },

    #[error(
        "{origin}: {op}: along axis {axis} the kernel spans {span} elements ({kernel}, each {dilation} after the one before), but {operand} \
         of shape {shape} has {padded} with its padding"
    )]
    Kernel {
        origin: Origin,
        op: &'static str,
        axis: usize,
        kernel: usize,
        dilation: usize,
        span: usize,
        operand: String,
        shape: Shape,
        padded: usize,
    },

    #[error(
        "{origin}: {op}: bias {bias} of shape {bias_shape} is not of shape [{features}]: weight {weight} of shape {weight_shape} makes so many channels"
    )]
    Bias {
        origin: Origin,
        op: &'static str,
        bias: String,
        bias_shape: Shape,
        features: usize,
        weight: String,
        weight_shape: Shape,
    },

    #[error(
        "{origin}: {op}: the output padding along axis {axis} is {output_padding}, but less than the stride {stride} or the dilation \
         {dilation} is needed"
    )]
    OutputPadding {
        origin: Origin,
        op: &'static str,
        axis: usize,
        output_padding: usize,
        stride: usize,
        dilation: usize,
    },

    #[error(
        "{origin}: {op}: {operand} of shape {shape} would give {extent} elements along axis {axis}, but at least 1 is needed"
    )]
    EmptyResult { origin: Origin, op: &'static str, operand: String, shape: Shape, axis: usize, extent: i64 },

    #[error(
        "{origin}: {op}: {operand} of shape {shape} has {extent} {what}, but {expected} are needed for a result of {result}"
    )]
    Blocks {
        origin: Origin,
        op: &'static str,
        what: &'static str,
        operand: String,
        shape: Shape,
        extent: usize,
        expected: String,
        result: Shape,
    },

    #[error("{origin}: {op}: no operands were given")]
    NoOperands { origin: Origin, op: &'static str },

    #[error("{origin}: {op}: index {value} at position {position} is outside {least}..{bound}")]
    Index { origin: Origin, op: &'static str, position: usize, value: i32, least: i32, bound: usize },

    #[error("{origin}: the name {name:?} is taken, first at {first}")]
    DuplicateName { origin: Origin, name: String, first: Origin },

    #[error(
        "{origin}: the name {name:?} is reserved for {purpose}, but was given at {first}; rename what is declared there"
    )]
    ReservedName { origin: Origin, name: String, purpose: &'static str, first: Origin },

    #[error("{origin}: no input {name:?} was given; given {given}")]
    InputNotGiven { origin: Origin, name: String, given: String },

    #[error("{origin}: {name:?} is asked for as {expected}, but is {found} at {first}; give one of them another name")]
    SharedDeclaration { origin: Origin, name: String, expected: String, found: String, first: Origin },

    #[error("{origin}: with_values: nothing asks for {name:?}; what is asked for: {asked}")]
    ValueNotAskedFor { origin: Origin, name: String, asked: String },

    #[error("{origin}: {op}: {operand} is no state; declare what is updated with `state` or `shared_state`")]
    NotAState { origin: Origin, op: &'static str, operand: String },

    #[error("{origin}: parameter {name:?}: {what} is {value:?}, but {expected} is needed")]
    InitialValue { origin: Origin, name: String, what: &'static str, value: f64, expected: &'static str },

    #[error(
        "{origin}: {op}: a node is stale: it was removed or rewound away after its id was taken, or stood in the body of a loop that is done"
    )]
    StaleNode { origin: Origin, op: &'static str },

    #[error("{origin}: {op}: a node belongs to another graph, or to another tape")]
    ForeignNode { origin: Origin, op: &'static str },

    #[error("{origin}: {op}: {operand} is {dtype}, through which no gradient flows")]
    NotDifferentiable { origin: Origin, op: &'static str, operand: String, dtype: DType },

    #[error(
        "{origin}: {op}: the output {operand} of shape {shape} is not a scalar; give an upstream gradient of its shape"
    )]
    NotScalar { origin: Origin, op: &'static str, operand: String, shape: Shape },

    #[error("{origin}: {op}: {outputs} outputs were given {upstreams} upstream gradients")]
    UpstreamCount { origin: Origin, op: &'static str, outputs: usize, upstreams: usize },

    #[error("{origin}: {op}: {inputs} inputs were given {tangents} tangents")]
    TangentCount { origin: Origin, op: &'static str, inputs: usize, tangents: usize },

    #[error("{origin}: {op}: the backward pass of {function:?} gave {gradients} gradients for {operands} operands")]
    GradientCount { origin: Origin, op: &'static str, function: String, operands: usize, gradients: usize },

    #[error(
        "{origin}: {op}: gradient {number} that the backward pass of {function:?} gave is {gradient}, but its operand {operand} is {expected}"
    )]
    GradientShape {
        origin: Origin,
        op: &'static str,
        function: String,
        number: usize,
        gradient: String,
        operand: String,
        expected: String,
    },

    #[error(
        "{origin}: {op}: a loop without sequences has no length of its own; give one among the options of scan_with"
    )]
    NoLength { origin: Origin, op: &'static str },

    #[error("{origin}: {op}: the body gave {next} next carries for {carries} carries")]
    CarryCount { origin: Origin, op: &'static str, carries: usize, next: usize },

    #[error("{origin}: {op}: {given} operands were given to a body that takes {inputs}")]
    OperandCount { origin: Origin, op: &'static str, given: usize, inputs: usize },

    #[error("{origin}: {op}: the body {what}, which would be done once for all elements; {instead}")]
    OnceInside { origin: Origin, op: &'static str, what: &'static str, instead: &'static str },

    #[error("{origin}: {op}: the placeholder {operand} stands for a tensor and cannot be computed itself")]
    Placeholder { origin: Origin, op: &'static str, operand: String },

    #[error("{origin}: {op}: the random numbers of {operand} cannot be drawn for a whole batch at once")]
    NotBatched { origin: Origin, op: &'static str, operand: String },

    #[error(
        "{origin}: {op}: a sum over processes depends on what a loop carries, and all processes would have to wait for each other in \
         each of its rounds; move it out of the loop"
    )]
    AllReduceInLoop { origin: Origin, op: &'static str },

    #[error("{origin}: {op}: {operand} still has {users} users")]
    NodeInUse { origin: Origin, op: &'static str, operand: String, users: u32 },

    #[error("{origin}: {op}: the mark is stale: the graph was rewound to before it")]
    StaleMark { origin: Origin, op: &'static str },

    #[error(
        "{origin}: {op}: the graph belongs to {owner}: operations may be added to it, but nothing may be declared, removed or rewound"
    )]
    Owned { origin: Origin, op: &'static str, owner: &'static str },

    #[error("{origin}: {op}: inputs and parameters are inserted by declaring them")]
    Undeclared { origin: Origin, op: &'static str },

    #[error(
        "{origin}: {op}: axis {axis} of {operand} has {extent} elements, so {range} is out of range (shape {shape})"
    )]
    Positions {
        origin: Origin,
        op: &'static str,
        operand: String,
        shape: Shape,
        axis: usize,
        extent: usize,
        /// What the caller wrote: a position or a range, in which negative numbers count from the end.
        range: String,
    },

    #[error("{origin}: {op}: column {column} of the equation {equation:?}: {problem}")]
    Equation { origin: Origin, op: &'static str, equation: String, column: usize, problem: String },

    #[error("{origin}: {op}: the graph is full: it holds {limit} nodes")]
    Full { origin: Origin, op: &'static str, limit: usize },
}

crate::debug_in_words!(GraphError);

/// What to do about floats where indices or labels are needed, which are i32, and about truth values where numbers are.
fn cast_of(dtype: DType, expected: &str) -> &'static str {
    if dtype.is_float() && expected == "i32" {
        " (cast it: .cast(DType::I32))"
    } else if !dtype.is_float() && expected.starts_with("a float") {
        " (cast it: .cast(DType::F32))"
    } else {
        ""
    }
}

impl GraphError {
    /// The same mistake, made by calling `method`.
    pub(crate) fn of(mut self, method: &'static str) -> GraphError {
        match &mut self {
            GraphError::Broadcast { op, .. }
            | GraphError::BroadcastTo { op, .. }
            | GraphError::ShapesDiffer { op, .. }
            | GraphError::MatMul { op, .. }
            | GraphError::DTypesDiffer { op, .. }
            | GraphError::DType { op, .. }
            | GraphError::Axis { op, .. }
            | GraphError::RepeatedAxis { op, .. }
            | GraphError::Rank { op, .. }
            | GraphError::MatrixShape { op, .. }
            | GraphError::Reshape { op, .. }
            | GraphError::NotDivided { op, .. }
            | GraphError::Range { op, .. }
            | GraphError::Extent { op, .. }
            | GraphError::Heads { op, .. }
            | GraphError::UnevenHeads { op, .. }
            | GraphError::EmptyAxis { op, .. }
            | GraphError::TooManyElements { op, .. }
            | GraphError::RankLimit { op, .. }
            | GraphError::Sizes { op, .. }
            | GraphError::ElementCount { op, .. }
            | GraphError::Argument { op, .. }
            | GraphError::Number { op, .. }
            | GraphError::Targets { op, .. }
            | GraphError::ClassAxis { op, .. }
            | GraphError::Groups { op, .. }
            | GraphError::Channels { op, .. }
            | GraphError::Kernel { op, .. }
            | GraphError::Bias { op, .. }
            | GraphError::OutputPadding { op, .. }
            | GraphError::EmptyResult { op, .. }
            | GraphError::Blocks { op, .. }
            | GraphError::NoOperands { op, .. }
            | GraphError::Index { op, .. }
            | GraphError::StaleNode { op, .. }
            | GraphError::ForeignNode { op, .. }
            | GraphError::NotDifferentiable { op, .. }
            | GraphError::NotScalar { op, .. }
            | GraphError::UpstreamCount { op, .. }
            | GraphError::TangentCount { op, .. }
            | GraphError::GradientCount { op, .. }
            | GraphError::GradientShape { op, .. }
            | GraphError::NoLength { op, .. }
            | GraphError::CarryCount { op, .. }
            | GraphError::OperandCount { op, .. }
            | GraphError::Placeholder { op, .. }
            | GraphError::NotBatched { op, .. }
            | GraphError::AllReduceInLoop { op, .. }
            | GraphError::NodeInUse { op, .. }
            | GraphError::StaleMark { op, .. }
            | GraphError::Undeclared { op, .. }
            | GraphError::Positions { op, .. }
            | GraphError::Equation { op, .. }
            | GraphError::NotAState { op, .. }
            | GraphError::OnceInside { op, .. }
            | GraphError::Full { op, .. } => *op = method,
            GraphError::DuplicateName { .. }
            | GraphError::SharedDeclaration { .. }
            | GraphError::ValueNotAskedFor { .. }
            | GraphError::InputNotGiven { .. }
            | GraphError::ReservedName { .. }
            | GraphError::InitialValue { .. }
            | GraphError::Owned { .. } => {}
        }
        self
    }
}

/// What a dtype holds, and what to do about a number that it does not.
fn held(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 | DType::F64 => "any number",
        DType::I32 => {
            "whole numbers in -2147483648..=2147483647 alone; a float would hold it: .cast(DType::F32) makes one"
        }
        DType::Bool => "0 and 1 alone; a float would hold it: .cast(DType::F32) makes one",
    }
}

/// Which dimensions of a matrix product disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatMulAxis {
    /// The columns of the left operand and the rows of the right.
    Inner,
    /// A pair of batch dimensions, of which neither is 1.
    Batch,
}

impl fmt::Display for MatMulAxis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MatMulAxis::Inner => "inner",
            MatMulAxis::Batch => "batch",
        })
    }
}
