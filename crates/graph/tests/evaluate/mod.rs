//! A reference evaluator: every op by its definition, element by element, over f64.
//!
//! It is slow and plain on purpose: no views, no fusion, no threads, no rounding to f32. i32 elements wrap and truth values
//! are 0 and 1. What the engine computes is held against this, and so are its derivatives, through central differences.
//!
//! It reads a graph through the public interface alone, so that other crates' tests can include this file.
#![allow(dead_code, unreachable_pub)] // Each test program that includes this uses a part of it.

mod attention;
pub mod functions;
mod matrices;
mod ordered;

use std::collections::HashMap;

use arenagrad_graph::{
    Arrangement, Assembly, Body, DType, DeclarationKind, Elementwise, Extents, Graph, Indexing, Init, Leaf, NodeId, Op,
    ReduceFunction, ScanResult, Shape, Windows,
};

/// The elements of inputs and parameters by name, row-major.
pub type Given = HashMap<String, Vec<f64>>;

/// [`Given`] from pairs of names and elements.
pub fn given<const N: usize>(pairs: [(&str, Vec<f64>); N]) -> Given {
    pairs.into_iter().map(|(name, elements)| (name.to_owned(), elements)).collect()
}

/// The elements of each output, row-major. A parameter that is not given has its constant or listed initial values.
///
/// Panics on an input that is missing or has another number of elements: this is for tests.
pub fn evaluate(graph: &Graph, outputs: &[NodeId], given: &Given) -> Vec<Vec<f64>> {
    let mut values: HashMap<NodeId, Vec<f64>> = HashMap::new();
    for id in graph.needed(outputs).expect("outputs of this graph") {
        let result = node(graph, id, &values, given);
        values.insert(id, result);
    }
    outputs.iter().map(|output| values[output].clone()).collect()
}

/// A result of a loop, round by round.
fn scan(body: &Body, operands: &[&[f64]], result: ScanResult) -> Vec<f64> {
    let (graph, ids) = body.stand_alone().expect("a body is a graph");
    let mut carries: Vec<Vec<f64>> = operands[..body.carries()].iter().map(|carry| carry.to_vec()).collect();
    let (sequences, captured) = operands[body.carries()..].split_at(body.sequences());
    let stacked = match result {
        ScanResult::Stacked(place) => Some(ids[place as usize]),
        ScanResult::Final(_) => None,
    };
    let outputs: Vec<NodeId> = body.next().iter().map(|&place| ids[place as usize]).chain(stacked).collect();
    let mut stack: Vec<Vec<f64>> = vec![Vec::new(); body.length()];
    for round in 0..body.length() {
        let place = if body.is_reversed() { body.length() - 1 - round } else { round };
        let mut given = Given::new();
        carries.iter().enumerate().for_each(|(n, carry)| drop(given.insert(format!("carry {n}"), carry.clone())));
        for (number, sequence) in sequences.iter().enumerate() {
            let size = sequence.len() / body.length();
            given.insert(format!("element {number}"), sequence[place * size..(place + 1) * size].to_vec());
        }
        captured.iter().enumerate().for_each(|(n, value)| drop(given.insert(format!("captured {n}"), value.to_vec())));
        let mut values = evaluate(&graph, &outputs, &given);
        if stacked.is_some() {
            stack[place] = values.pop().expect("one more output");
        }
        carries = values;
    }
    match result {
        ScanResult::Final(carry) => carries[carry as usize].clone(),
        ScanResult::Stacked(_) => stack.concat(),
    }
}

/// The elements of one node whose operands have been computed.
fn node(graph: &Graph, id: NodeId, values: &HashMap<NodeId, Vec<f64>>, given: &Given) -> Vec<f64> {
    let node = graph.node(id).expect("a live node");
    let (shape, count) = (&node.shape, node.shape.elements());
    let elements = |operand: &NodeId| values[operand].as_slice();
    let shape_of = |operand: &NodeId| graph.node(*operand).expect("a live operand").shape.clone();
    match &node.op {
        Op::Leaf(Leaf::Input { declaration } | Leaf::Parameter { declaration }) => {
            declared(graph, *declaration as usize, given)
        }
        Op::Leaf(Leaf::Constant { value }) => vec![*value; count],
        Op::Leaf(Leaf::Literal { data }) => data.to_f64_vec(),
        Op::Leaf(Leaf::Iota { axis }) => coordinates(shape).map(|at| at[*axis] as f64).collect(),
        Op::Uniform { step, seed } => {
            let step = elements(step)[0] as i32;
            (0..count).map(|index| functions::uniform(*seed, step, index as u32)).collect()
        }
        Op::Elementwise(Elementwise::Unary { function, operand }) => {
            elements(operand).iter().map(|&x| functions::unary(*function, x, node.dtype)).collect()
        }
        Op::Elementwise(Elementwise::Binary { function, lhs, rhs }) => {
            let pairs = elements(lhs).iter().zip(elements(rhs));
            pairs.map(|(&a, &b)| functions::binary(*function, a, b, node.dtype)).collect()
        }
        Op::Elementwise(Elementwise::Compare { function, lhs, rhs }) => {
            let pairs = elements(lhs).iter().zip(elements(rhs));
            pairs.map(|(a, b)| f64::from(u8::from(function.holds(*a, *b)))).collect()
        }
        Op::Elementwise(Elementwise::Where { condition, on_true, on_false }) => {
            let pairs = elements(on_true).iter().zip(elements(on_false));
            let chosen = elements(condition).iter().zip(pairs);
            chosen.map(|(&holds, (&t, &f))| if holds != 0.0 { t } else { f }).collect()
        }
        Op::Elementwise(Elementwise::Cast { operand }) => {
            elements(operand).iter().map(|&x| cast(x, node.dtype)).collect()
        }
        // In a group of one.
        Op::AllReduce { operand, .. } => elements(operand).to_vec(),
        Op::Elementwise(Elementwise::RoundTo { half, operand }) => {
            elements(operand).iter().map(|&x| node.dtype.round(half.round(x))).collect()
        }
        Op::StopGradient { operand } | Op::View { operand, arrangement: Arrangement::Reshape } => {
            elements(operand).to_vec()
        }
        Op::CustomGradient { value, .. } => elements(value).to_vec(),
        // Whatever is computed from it must not be part of a result.
        Op::Leaf(Leaf::Placeholder) => vec![f64::NAN; shape.elements()],
        Op::View { operand, arrangement: Arrangement::Permute { axes } } => {
            let source = shape_of(operand);
            let place = |at: &[usize]| {
                let mut from = vec![0; at.len()];
                axes.iter().zip(at).for_each(|(&axis, &coordinate)| from[axis] = coordinate);
                offset(&source, &from)
            };
            coordinates(shape).map(|at| elements(operand)[place(&at)]).collect()
        }
        Op::View { operand, arrangement: Arrangement::Broadcast } => {
            let source = shape_of(operand);
            let missing = shape.rank() - source.rank();
            let place = |at: &[usize]| {
                let from: Vec<usize> = at[missing..]
                    .iter()
                    .zip(source.iter())
                    .map(|(&c, &extent)| if extent == 1 { 0 } else { c })
                    .collect();
                offset(&source, &from)
            };
            coordinates(shape).map(|at| elements(operand)[place(&at)]).collect()
        }
        Op::View { operand, arrangement: Arrangement::Slice { starts, steps } } => {
            let source = shape_of(operand);
            let place = |at: &[usize]| {
                let from: Vec<usize> = (0..at.len()).map(|axis| starts[axis] + at[axis] * steps[axis]).collect();
                offset(&source, &from)
            };
            coordinates(shape).map(|at| elements(operand)[place(&at)]).collect()
        }
        Op::View { operand, arrangement: Arrangement::Flip { axes } } => {
            let source = shape_of(operand);
            let turned = |(axis, &c): (usize, &usize)| if axes.contains(axis) { source[axis] - 1 - c } else { c };
            let place = |at: &[usize]| offset(&source, &at.iter().enumerate().map(turned).collect::<Vec<_>>());
            coordinates(shape).map(|at| elements(operand)[place(&at)]).collect()
        }
        Op::View { operand, arrangement: Arrangement::Windows(windows) } => {
            let Windows { axes, steps, dilations, .. } = &**windows;
            let source = shape_of(operand);
            let place = |at: &[usize]| {
                let (windows, within) = at.split_at(source.rank());
                let mut from = windows.to_vec();
                for (number, &axis) in axes.iter().enumerate() {
                    from[axis] = windows[axis] * steps[number] + within[number] * dilations[number];
                }
                offset(&source, &from)
            };
            coordinates(shape).map(|at| elements(operand)[place(&at)]).collect()
        }
        Op::Assembly(Assembly::Pad { operand, lows, interiors, value }) => {
            pad(shape, &shape_of(operand), elements(operand), lows, interiors, *value)
        }
        Op::Assembly(Assembly::Concat { operands, axis }) => {
            let mut result = vec![0.0; count];
            let mut start = 0;
            for operand in operands {
                let source = shape_of(operand);
                for (mut at, &x) in coordinates(&source).zip(elements(operand)) {
                    at[*axis] += start;
                    result[offset(shape, &at)] = x;
                }
                start += source[*axis];
            }
            result
        }
        Op::Reduce { function, operand, axes } => {
            let start = match function {
                ReduceFunction::Sum => 0.0,
                ReduceFunction::Max => f64::NEG_INFINITY,
                ReduceFunction::Min => f64::INFINITY,
                ReduceFunction::Product => 1.0,
            };
            // The identities of max and min are not i32, but no maximum is taken of no elements.
            let mut result = vec![start; count];
            for (mut at, &x) in coordinates(&shape_of(operand)).zip(elements(operand)) {
                axes.iter().for_each(|axis| at[axis] = 0);
                let sum = &mut result[offset(shape, &at)];
                *sum = functions::reduce(*function, *sum, x, node.dtype);
            }
            result
        }
        Op::ArgMax { operand, axis } => {
            let source = shape_of(operand);
            let largest = |mut at: Vec<usize>| {
                let mut element = |index| {
                    at[*axis] = index;
                    elements(operand)[offset(&source, &at)]
                };
                let beats = |x: f64, best: f64| x > best || (x.is_nan() && !best.is_nan());
                let first =
                    (0..source[*axis]).fold(0, |best, i| if beats(element(i), element(best)) { i } else { best });
                first as f64
            };
            coordinates(shape).map(largest).collect()
        }
        Op::Ordered(ordered) => {
            let operands: Vec<(Shape, &[f64])> =
                ordered.operands().iter().map(|operand| (shape_of(operand), elements(operand))).collect();
            ordered::evaluate(*ordered, &operands, &node)
        }
        Op::MatMul { lhs, rhs, transpose_lhs, transpose_rhs } => {
            let (a_shape, b_shape) = (shape_of(lhs), shape_of(rhs));
            let inner = a_shape[a_shape.rank() - if *transpose_lhs { 2 } else { 1 }];
            let element = |at: &[usize]| {
                let (row, column) = (at[at.len() - 2], at[at.len() - 1]);
                let a = |p| elements(lhs)[matrix_offset(&a_shape, at, row, p, *transpose_lhs)];
                let b = |p| elements(rhs)[matrix_offset(&b_shape, at, p, column, *transpose_rhs)];
                (0..inner).map(|p| a(p) * b(p)).sum()
            };
            coordinates(shape).map(|at| element(&at)).collect()
        }
        Op::Scan { body, operands, result } => scan(body, &operands.iter().map(elements).collect::<Vec<_>>(), *result),
        Op::Attention(node) => attention::attention(graph, node, &elements),
        Op::LinearAlgebra { function, operands } => {
            let source = shape_of(&operands[0]);
            let [rows, columns] = [source[source.rank() - 2], source[source.rank() - 1]];
            let rhs = operands.get(1).map_or(&[][..], elements);
            let batches = source[..source.rank() - 2].iter().product();
            let size = |all: &[f64]| all.len().checked_div(batches).unwrap_or(0);
            let part = |all: &[f64], number: usize| all[number * size(all)..][..size(all)].to_vec();
            let apply = |number| {
                let matrix = part(elements(&operands[0]), number);
                matrices::apply(*function, [rows, columns], &matrix, &part(rhs, number))
            };
            (0..batches).flat_map(apply).collect()
        }
        Op::Convolution { input, weight, axes } => {
            let (x, w) = (shape_of(input), shape_of(weight));
            let places = Shape::from(&w[2..]);
            let term = |at: &[usize], tap: &[usize]| {
                let mut from = vec![at[0], at[1], tap[0]];
                for (place, axis) in axes.iter().enumerate() {
                    let distance = (at[3 + place] * axis.stride + tap[1 + place] * axis.dilation) as isize - axis.low;
                    let coordinate = distance.div_euclid(axis.input_dilation as isize);
                    if distance % axis.input_dilation as isize != 0 || !(0..x[3 + place] as isize).contains(&coordinate)
                    {
                        return 0.0;
                    }
                    from.push(coordinate as usize);
                }
                let of_weight: Vec<usize> = [at[1], at[2]].into_iter().chain(tap.iter().copied()).collect();
                elements(input)[offset(&x, &from)] * elements(weight)[offset(&w, &of_weight)]
            };
            coordinates(shape).map(|at| coordinates(&places).map(|tap| term(&at, &tap)).sum()).collect()
        }
        Op::Indexing(Indexing::Gather { operand, indices, axis }) => {
            let source = shape_of(operand);
            let chosen = coordinates(shape).zip(elements(indices)).map(|(mut at, &index)| {
                if !(0.0..source[*axis] as f64).contains(&index) {
                    return f64::NAN;
                }
                at[*axis] = index as usize;
                elements(operand)[offset(&source, &at)]
            });
            chosen.collect()
        }
        Op::Indexing(Indexing::ScatterAdd { operand, indices, updates, axis }) => {
            let mut result = elements(operand).to_vec();
            let added = coordinates(&shape_of(indices)).zip(elements(indices)).zip(elements(updates));
            for ((mut at, &index), &update) in added {
                if (0.0..shape[*axis] as f64).contains(&index) {
                    at[*axis] = index as usize;
                    let sum = &mut result[offset(shape, &at)];
                    *sum = functions::reduce(ReduceFunction::Sum, *sum, update, node.dtype);
                }
            }
            result
        }
        Op::Indexing(Indexing::ScatterReduce { function, operand, indices, updates, axis }) => {
            let mut result = elements(operand).to_vec();
            let combined = coordinates(&shape_of(indices)).zip(elements(indices)).zip(elements(updates));
            for ((mut at, &index), &update) in combined {
                if (0.0..shape[*axis] as f64).contains(&index) {
                    at[*axis] = index as usize;
                    let element = &mut result[offset(shape, &at)];
                    *element = match function.combination() {
                        Some(function) => functions::binary(function, *element, update, node.dtype),
                        None => update,
                    };
                }
            }
            result
        }
    }
}

fn declared(graph: &Graph, number: usize, given: &Given) -> Vec<f64> {
    let declaration = graph.declarations()[number].clone();
    let count = declaration.shape.elements();
    if let Some(elements) = given.get(&declaration.name) {
        assert_eq!(elements.len(), count, "elements for {:?} of shape {}", declaration.name, declaration.shape);
        return elements.clone();
    }
    match declaration.kind {
        DeclarationKind::Parameter { init: Init::Constant(value), .. } => vec![value; count],
        DeclarationKind::Parameter { init: Init::Values(values), .. } => values,
        DeclarationKind::Parameter { .. } | DeclarationKind::Input => panic!("{:?} is not given", declaration.name),
    }
}

/// A float stays as it is; this evaluator does not round to f32.
fn cast(x: f64, dtype: DType) -> f64 {
    match dtype {
        DType::F32 | DType::F64 => x,
        DType::I32 | DType::Bool => dtype.round(x),
    }
}

fn pad(shape: &Shape, source: &Shape, elements: &[f64], lows: &Extents, interiors: &Extents, value: f64) -> Vec<f64> {
    let mut result = vec![value; shape.elements()];
    for (at, &x) in coordinates(source).zip(elements) {
        let to: Vec<usize> = (0..at.len()).map(|axis| lows[axis] + at[axis] * (interiors[axis] + 1)).collect();
        result[offset(shape, &to)] = x;
    }
    result
}

/// Where element `[row, column]` of a (transposed) matrix lies, in the batch that belongs to the result's `at`.
fn matrix_offset(shape: &Shape, at: &[usize], row: usize, column: usize, transposed: bool) -> usize {
    let batch = shape.rank() - 2;
    let missing = at.len() - shape.rank();
    let mut from: Vec<usize> = (0..batch).map(|axis| if shape[axis] == 1 { 0 } else { at[missing + axis] }).collect();
    from.extend(if transposed { [column, row] } else { [row, column] });
    offset(shape, &from)
}

/// All coordinates of a shape, row-major.
pub fn coordinates(shape: &Shape) -> impl Iterator<Item = Vec<usize>> + use<> {
    let (dims, strides) = (shape.to_vec(), shape.strides());
    (0..shape.elements()).map(move |index| dims.iter().zip(&strides).map(|(n, stride)| index / stride % n).collect())
}

/// The flat index of a coordinate.
pub fn offset(shape: &Shape, at: &[usize]) -> usize {
    shape.strides().iter().zip(at).map(|(stride, coordinate)| stride * coordinate).sum()
}
