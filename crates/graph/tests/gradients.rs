//! Every differentiable op against central differences, to the second derivative, over random and degenerate shapes.
//!
//! `cases` matches every `OpKind`, so an op without a case does not compile.

use crate::differences::{Case, check};
use crate::evaluate::{evaluate, given};
use crate::linear_algebra;
use arenagrad_graph::{
    AttentionBackward, AttentionNode, AttentionResult, BinaryFunction, Context, Convolution, ConvolutionTranspose,
    CumulativeFunction, DType, Expr, Function, Graph, Op, OpKind, Origin, ReduceFunction, ScanOptions, ScatterFunction,
    ScatterReduction, Shape, UnaryFunction,
};

/// `x^3`, with a gradient of its own.
struct Cube;

impl Function for Cube {
    fn forward<'g>(&self, context: &mut Context<'g>, operands: &[Expr<'g>]) -> Expr<'g> {
        context.save_for_backward(operands);
        operands[0] * operands[0] * operands[0]
    }

    fn backward<'g>(&self, context: &Context<'g>, upstream: Expr<'g>) -> Vec<Option<Expr<'g>>> {
        vec![Some(upstream * context.saved()[0].square() * 3.0)]
    }
}

/// `x^6`, whose gradient uses a function with a gradient of its own, once of the operand and once of the upstream gradient.
struct Nested;

impl Function for Nested {
    fn forward<'g>(&self, context: &mut Context<'g>, operands: &[Expr<'g>]) -> Expr<'g> {
        let cube = context.graph().apply(&Cube, operands);
        context.save_for_backward(&[cube]);
        cube.square()
    }

    fn backward<'g>(&self, context: &Context<'g>, upstream: Expr<'g>) -> Vec<Option<Expr<'g>>> {
        let x = context.operands()[0];
        vec![Some(context.graph().apply(&Scaled, &[upstream, context.saved()[0]]) * x.square() * 3.0)]
    }
}

/// `2 a b`, with a gradient of its own.
struct Scaled;

impl Function for Scaled {
    fn forward<'g>(&self, _: &mut Context<'g>, operands: &[Expr<'g>]) -> Expr<'g> {
        operands[0] * operands[1] * 2.0
    }

    fn backward<'g>(&self, context: &Context<'g>, upstream: Expr<'g>) -> Vec<Option<Expr<'g>>> {
        let &[a, b] = context.operands() else { return vec![] };
        vec![Some(upstream * b * 2.0), Some(upstream * a * 2.0)]
    }
}

/// The matrix product, with a gradient of its own.
struct Product;

impl Function for Product {
    fn forward<'g>(&self, context: &mut Context<'g>, operands: &[Expr<'g>]) -> Expr<'g> {
        context.save_for_backward(operands);
        operands[0].matmul(operands[1])
    }

    fn backward<'g>(&self, context: &Context<'g>, upstream: Expr<'g>) -> Vec<Option<Expr<'g>>> {
        let (a, b) = (context.saved()[0], context.saved()[1]);
        vec![Some(upstream.matmul(b.t())), Some(a.t().matmul(upstream))]
    }
}

/// Functions that exercise an op; empty for an op through which no gradient flows.
fn cases(kind: OpKind) -> Vec<Case> {
    fn unary(f: impl for<'g> Fn(Expr<'g>) -> Expr<'g> + Clone + 'static, (low, high): (f64, f64)) -> Vec<Case> {
        let shapes = [vec![], vec![1], vec![3, 4], vec![2, 0], vec![1, 5, 1]];
        let case = |shape: Vec<usize>| {
            let f = f.clone();
            Case::new(&[(shape, low, high)], move |_, x| f(x[0]))
        };
        shapes.map(case).to_vec()
    }
    fn binary(
        f: impl for<'g> Fn(Expr<'g>, Expr<'g>) -> Expr<'g> + Clone + 'static,
        [lhs, rhs]: [(f64, f64); 2],
    ) -> Vec<Case> {
        let shapes: [(Vec<usize>, Vec<usize>); 6] = [
            (vec![], vec![]),
            (vec![3, 2], vec![3, 2]),
            (vec![3, 1], vec![4]),
            (vec![2], vec![]),
            (vec![1, 1], vec![2, 3]),
            (vec![0, 2], vec![1, 2]),
        ];
        let case = |(a, b): (Vec<usize>, Vec<usize>)| {
            let f = f.clone();
            Case::new(&[(a, lhs.0, lhs.1), (b, rhs.0, rhs.1)], move |_, x| f(x[0], x[1]))
        };
        shapes.map(case).to_vec()
    }
    let view = |f: fn(Expr<'_>) -> Expr<'_>, shapes: &[&[usize]]| -> Vec<Case> {
        shapes.iter().map(|shape| Case::new(&[(shape.to_vec(), -2.0, 2.0)], move |_, x| f(x[0]))).collect()
    };
    match kind {
        // Leaves, and results without a derivative.
        OpKind::Input | OpKind::Parameter | OpKind::Constant | OpKind::Literal | OpKind::Iota | OpKind::Uniform => {
            vec![]
        }
        // What stands in a placeholder's place is differentiated with every function of a gradient of its own.
        OpKind::Placeholder => vec![],
        OpKind::Compare(_) | OpKind::ArgMax => vec![],
        OpKind::LinearAlgebra(function) => {
            let mut cases = Vec::new();
            linear_algebra::for_each_case(function, &mut |shapes, f| {
                let operands: Vec<_> = shapes.iter().map(|shape| (shape.to_vec(), -1.0, 1.0)).collect();
                cases.push(Case::new(&operands, move |_, x| f(x)));
            });
            cases
        }
        OpKind::ArgSort | OpKind::SearchSorted => vec![],
        OpKind::Cumulative(CumulativeFunction::ArgMax | CumulativeFunction::ArgMin) => vec![],
        OpKind::Cumulative(CumulativeFunction::Sum) => [
            view(|x| x.cumsum(0).square() * x, &[&[5], &[1], &[0], &[4, 3]]),
            view(|x| (x.cumsum(-1) * x).cumsum(1).tanh(), &[&[2, 4], &[2, 3, 2]]),
        ]
        .concat(),
        OpKind::Cumulative(CumulativeFunction::Product) => [
            view(|x| x.cumprod(0) * x, &[&[5], &[1], &[0], &[4, 3]]),
            view(|x| (x.cumprod(-1) * x).cumprod(1).tanh(), &[&[2, 4], &[2, 3, 2]]),
            // One zero, and several.
            view(|x| (x * x.graph().literal([5], [1.0f64, 0.0, 1.0, 1.0, 1.0])).cumprod(0), &[&[5]]),
            view(|x| (x * x.graph().literal([5], [1.0f64, 0.0, 1.0, 0.0, 1.0])).cumprod(0) * x, &[&[5]]),
        ]
        .concat(),
        OpKind::Recurrence => {
            let recurrence = |shape: &[usize], axis: isize| {
                let shapes = [(shape.to_vec(), -2.0, 2.0), (shape.to_vec(), -1.5, 1.5)];
                Case::new(&shapes, move |_, x| {
                    (x[0].linear_recurrence(x[1], axis) * x[1]).linear_recurrence(x[0], axis)
                })
            };
            vec![recurrence(&[5], 0), recurrence(&[2, 3], 0), recurrence(&[2, 4, 2], 1), recurrence(&[0], 0)]
        }
        OpKind::Unary(UnaryFunction::Not) => unary(|x| (!x.less(0.0)).where_(x * x, x), (-2.0, 2.0)),
        // Integers choose, and no gradient flows through them.
        OpKind::Unary(function @ UnaryFunction::BitwiseNot) => {
            unary(move |x| x.cast(DType::I32).unary_function(function).less(0).where_(x * x, x), (-3.0, 3.0))
        }
        OpKind::Binary(
            function @ (BinaryFunction::BitwiseAnd
            | BinaryFunction::BitwiseOr
            | BinaryFunction::BitwiseXor
            | BinaryFunction::ShiftLeft
            | BinaryFunction::ShiftRight),
        ) => binary(
            move |a, b| {
                let chosen = a.cast(DType::I32).binary_function(function, b.cast(DType::I32)).less(1);
                chosen.where_(a * b, a)
            },
            [(-3.0, 3.0), (-3.1, 2.9)],
        ),
        // The second product has a derivative where that of the function is 0.
        OpKind::Unary(function) => [
            unary(move |x| x.unary_function(function), function.row().domain),
            unary(move |x| x.unary_function(function) * x, function.row().domain),
        ]
        .concat(),
        OpKind::Binary(function @ (BinaryFunction::And | BinaryFunction::Or)) => {
            binary(move |a, b| a.less(0.0).binary_function(function, b.less(0.0)).where_(a * b, a), [(-2.0, 2.0); 2])
        }
        OpKind::Binary(function) => {
            let powers = [
                unary(|x| x.powf(-1.0) + x.powf(0.5) + x.powf(2.5), (0.5, 2.0)),
                unary(|x| x.powf(2.0) + x.powf(3.0) + x.pow(5.0) + x.powf(1.0), (-2.0, 2.0)),
            ];
            [
                binary(move |a, b| a.binary_function(function, b), function.row().domain),
                binary(move |a, b| (a.binary_function(function, b) * a).square() * b, function.row().domain),
                if function == BinaryFunction::Pow { powers.concat() } else { vec![] },
            ]
            .concat()
        }
        OpKind::Where => binary(|a, b| a.greater(b).where_(a.exp(), b * a), [(-2.0, 2.0), (-2.1, 1.9)]),
        OpKind::Cast => unary(|x| x.cast(DType::F32).exp().cast(DType::F64), (-2.0, 2.0)),
        OpKind::AllReduce => unary(|x| x.sin().all_reduce() * x, (-2.0, 2.0)),
        // Of integers that every type holds the rounding is the identity, between them a staircase: what is rounded is constant where
        // differences are taken, and the tangent that passes through is that of the number itself.
        OpKind::RoundTo(half) => unary(move |x| x * (x * 0.0 + 3.0).rounded_to(half) + x.square(), (-2.0, 2.0)),
        OpKind::StopGradient => {
            // Differences see through stop_gradient: what it hides must not depend on the input.
            unary(|x| x * (x * 0.0 + 3.0).stop_gradient() + x.square(), (-2.0, 2.0))
        }
        OpKind::CustomGradient => [
            unary(|x| x.graph().apply(&Cube, &[x]), (-2.0, 2.0)),
            unary(|x| x.graph().apply(&Cube, &[x.sin()]) * x, (-2.0, 2.0)),
            unary(|x| x.graph().apply(&Nested, &[x]), (-2.0, 2.0)),
            vec![
                Case::new(&[(vec![2, 3], -2.0, 2.0), (vec![3, 2], -2.0, 2.0)], |g, x| g.apply(&Product, x).tanh()),
                // One operand twice, and one that carries no derivative.
                Case::new(&[(vec![2, 2], -2.0, 2.0)], |g, x| g.apply(&Product, &[x[0], x[0]])),
                Case::new(&[(vec![2, 2], -2.0, 2.0)], |g, x| {
                    g.apply(&Product, &[g.literal([1, 2], [0.5f64, -2.0]), x[0]]).square()
                }),
            ],
        ]
        .concat(),
        OpKind::Reshape => view(|x| x.flatten().square(), &[&[2, 3], &[], &[0, 2], &[1]]),
        OpKind::Permute => view(|x| x.permute([2, 0, 1]).square(), &[&[2, 3, 4], &[1, 2, 1], &[2, 0, 3]]),
        OpKind::Broadcast => view(|x| x.broadcast_to([2, 3, 2]).square(), &[&[3, 2], &[1, 2], &[], &[2, 1, 1]]),
        OpKind::Slice => [
            view(|x| x.slice(0, 1, 3).square(), &[&[4, 2], &[3], &[3, 0]]),
            view(|x| x.slice_step(-1, 1, 6, 2).square(), &[&[2, 7], &[6]]),
            view(|x| x.slice(0, 1, 1), &[&[2, 3]]),
            view(|x| x.select_index(1, 0).square(), &[&[2, 1], &[3, 4]]),
        ]
        .concat(),
        OpKind::Flip => [
            view(|x| x.flip(..).square() * x, &[&[2, 3], &[], &[4], &[2, 0]]),
            view(|x| x.flip([0, -1]).slice(1, 1, 2).square(), &[&[3, 2, 4]]),
        ]
        .concat(),
        OpKind::Windows => [
            view(|x| x.windows([0], [3], [1], [1]).square(), &[&[5], &[3], &[6, 2], &[4, 0]]),
            // Beside one another, apart, dilated, with a rest, of one element, and along two axes.
            view(|x| x.windows([1], [2], [2], [1]).square(), &[&[2, 6], &[2, 7]]),
            view(|x| x.windows([-1], [2], [3], [1]).square(), &[&[2, 7], &[9]]),
            view(|x| x.windows([0], [3], [2], [2]).square(), &[&[10], &[9, 2]]),
            view(|x| x.windows([0], [1], [2], [5]).square(), &[&[7]]),
            view(|x| x.windows([2, 0], [2, 3], [1, 2], [2, 1]).square(), &[&[6, 2, 5]]),
            view(|x| x.windows([0], [33], [2], [1]).square(), &[&[38]]),
        ]
        .concat(),
        OpKind::Pad => view(|x| x.pad([(1, 2), (0, 1)], 0.5).square(), &[&[2, 3], &[1, 1], &[0, 2]]),
        OpKind::Concat => {
            let concat = |a: &[usize], b: &[usize], axis: isize| {
                let shapes = [(a.to_vec(), -2.0, 2.0), (b.to_vec(), -2.0, 2.0)];
                Case::new(&shapes, move |g, x| g.concat(&[x[0], x[1], x[0]], axis).square())
            };
            let stack = Case::new(&[(vec![2], -2.0, 2.0), (vec![2], -2.0, 2.0)], |g, x| g.stack(x, -1).square());
            vec![concat(&[2, 3], &[4, 3], 0), concat(&[2, 1], &[2, 2], -1), concat(&[0], &[2], 0), stack]
        }
        OpKind::Reduce(function) => {
            let shapes: &[&[usize]] = &[&[2, 3, 2], &[1, 4, 1], &[3, 1, 2]];
            match function {
                ReduceFunction::Sum => [
                    view(|x| x.sum([0, 2]).square(), shapes),
                    view(|x| x.sum_keepdims(-1).square() + x.mean([1, 2]).square().sum(..), shapes),
                    view(|x| x.sum(..).square(), &[&[], &[0, 3], &[2, 2]]),
                    view(|x| x.var([0, 1], 0.0) + x.var_keepdims(1, 0.0).sum(..), shapes),
                ]
                .concat(),
                ReduceFunction::Max => view(|x| x.max([0, 2]).square() + x.max(..), shapes),
                ReduceFunction::Min => view(|x| x.min([1]).square() + x.min_keepdims(..).sum(..), shapes),
                ReduceFunction::Product => [
                    view(|x| x.prod([0, 2]).square() + x.prod_keepdims(1).sum(..), shapes),
                    view(|x| x.prod(..), &[&[], &[0, 3], &[2, 2]]),
                    view(|x| (x * x.graph().literal([4], [1.0f64, 0.0, 1.0, 1.0])).prod(0), &[&[4]]),
                    view(|x| (x * x.graph().literal([4], [0.0f64, 0.0, 1.0, 1.0])).prod(0) * x, &[&[4]]),
                ]
                .concat(),
            }
        }
        OpKind::MatMul => matmul_cases(),
        OpKind::Attention(result) => attention_cases(result),
        OpKind::Convolution => {
            let convolution = |x: &[usize], w: &[usize], options: Convolution<2>| {
                Case::new(&[(x.to_vec(), -2.0, 2.0), (w.to_vec(), -2.0, 2.0)], move |_, x| {
                    x[0].conv2d(x[1], None, &options).square()
                })
            };
            let transposed = Case::new(&[(vec![2, 2, 3], -2.0, 2.0), (vec![2, 1, 3], -2.0, 2.0)], |_, x| {
                let options = ConvolutionTranspose::new().stride(2).padding(1).output_padding(1).groups(2);
                x[0].conv_transpose1d(x[1], None, &options).square()
            });
            let strided = Convolution::new().stride([2, 1]).padding([1, 0]).dilation([1, 2]).groups(2);
            vec![
                convolution(&[1, 2, 3, 4], &[2, 2, 2, 2], Convolution::new()),
                convolution(&[2, 2, 5, 4], &[2, 1, 2, 2], strided),
                transposed,
            ]
        }
        OpKind::Gather => {
            let gather = |shape: &[usize], index: &'static [i32], index_shape: &'static [usize], axis: isize| {
                Case::new(&[(shape.to_vec(), -2.0, 2.0)], move |g, x| {
                    x[0].gather(axis, g.literal(index_shape, index)).square()
                })
            };
            let select = Case::new(&[(vec![4, 2], -2.0, 2.0)], |g, x| {
                x[0].index_select(0, g.literal([2, 3], [3, 0, 0, 1, 3, 3])).square()
            });
            let none = gather(&[3, 2], &[], &[0, 2], 0);
            vec![gather(&[3, 2], &[0, 2, 2, 0], &[2, 2], 0), gather(&[2, 3], &[1, 1], &[2, 1], -1), select, none]
        }
        OpKind::ScatterAdd => {
            let scatter = |index: &'static [i32], shape: &'static [usize]| {
                let shapes = [(vec![3, 2], -2.0, 2.0), (shape.to_vec(), -2.0, 2.0)];
                Case::new(&shapes, move |g, x| x[0].scatter_add(0, g.literal(shape, index), x[1]).square())
            };
            vec![scatter(&[0, 0, 0, 2], &[2, 2]), scatter(&[1], &[1, 1]), scatter(&[], &[0, 2])]
        }
        OpKind::Scan => scan_cases(),
        OpKind::ScatterReduce(function) => {
            let reduction = match function {
                ScatterFunction::Mul => Some(ScatterReduction::Prod),
                ScatterFunction::Max => Some(ScatterReduction::Amax),
                ScatterFunction::Min => Some(ScatterReduction::Amin),
                ScatterFunction::Replace => None,
            };
            let scatter = |index: &'static [i32], shape: &'static [usize]| {
                let shapes = [(vec![3, 2], -2.0, 2.0), (shape.to_vec(), -2.0, 2.0)];
                Case::new(&shapes, move |g, x| {
                    let index = g.literal(shape, index);
                    let scattered = match reduction {
                        Some(reduction) => x[0].scatter_reduce(0, index, x[1], reduction, true),
                        None => x[0].scatter(0, index, x[1]),
                    };
                    scattered.square()
                })
            };
            vec![scatter(&[0, 0, 0, 2, 2, 0], &[3, 2]), scatter(&[1], &[1, 1]), scatter(&[], &[0, 2])]
        }
    }
}

fn scan_cases() -> Vec<Case> {
    let over = |length: usize, reverse: bool| {
        let shapes = [(vec![2, 3], -1.0, 1.0), (vec![length, 2, 2], -1.0, 1.0), (vec![3, 3], -1.0, 1.0)];
        Case::new(&shapes, move |g, x| {
            let options = ScanOptions { reverse, ..ScanOptions::default() };
            let scanned = g.scan_with(options, &[x[0], x[1].sum([0]).sum(..)], &[x[1]], |carries, elements| {
                let next = (carries[0].matmul(x[2]) + elements[0].sum_keepdims(-1) * carries[1]).tanh();
                (vec![next, carries[1] * 0.5 + next.sum(..)], vec![next * elements[0].slice(1, 0, 1), carries[1]])
            });
            let scanned = scanned.expect("a loop");
            let parts = scanned.carries.into_iter().chain(scanned.outputs).map(|part| part.square().sum(..));
            parts.fold(g.zeros([], DType::F64), |sum, part| sum + part)
        })
    };
    vec![over(0, false), over(1, false), over(3, false), over(3, true)]
}

/// A result of attention over operands in the order of the node's.
fn attention<'g>(g: &'g Graph, x: &[Expr<'g>], result: AttentionResult, has_mask: bool, is_causal: bool) -> Expr<'g> {
    let id = |place: usize| x[place].id().unwrap();
    let first = 3 + usize::from(has_mask);
    let backward = result.is_gradient().then(|| AttentionBackward {
        upstream: id(first),
        statistics: id(first + 1),
        weighted: id(first + 2),
    });
    let mask = has_mask.then(|| id(3));
    let (query, key, value) = (id(0), id(1), id(2));
    let node = AttentionNode { query, key, value, mask, is_causal, scale: 0.7, backward, result };
    g.expr(g.insert(Op::Attention(Box::new(node)), None, None, Origin::here()).unwrap())
}

fn attention_cases(result: AttentionResult) -> Vec<Case> {
    // Query, key, width, mask, and whether it is causal.
    type Shapes = ([usize; 3], [usize; 3], usize, Option<[usize; 3]>, bool);
    let shapes: [Shapes; 6] = [
        ([4, 3, 2], [2, 4, 2], 3, None, false),
        ([2, 4, 3], [2, 3, 3], 2, None, true),
        ([2, 2, 3], [1, 3, 3], 1, Some([2, 1, 3]), true),
        ([1, 1, 1], [1, 1, 1], 1, Some([1, 1, 1]), false),
        ([2, 2, 2], [2, 0, 2], 2, None, false),
        ([2, 0, 2], [2, 3, 2], 2, None, true),
    ];
    let cases = shapes.map(|(query, key, width, mask, is_causal)| {
        let [heads, positions, _] = query;
        let float = |shape: &[usize]| (shape.to_vec(), -1.5, 1.5);
        let mut operands = vec![float(&query), float(&key), float(&[key[0], key[1], width])];
        operands.extend(mask.map(|mask| float(&mask)));
        if result.is_gradient() {
            operands.extend([float(&[heads, positions, width]), (vec![heads, positions, 2], 0.5, 1.0)]);
            operands.push(float(&[heads, positions]));
        }
        Case::new(&operands, move |g, x| {
            let y = attention(g, x, result, mask.is_some(), is_causal);
            // The derivatives of softmax statistics are those of their sum.
            (if result == AttentionResult::SoftmaxStatistics { y.sum(-1) } else { y }).square()
        })
    });
    cases.into()
}

fn matmul_cases() -> Vec<Case> {
    let shapes: [(&[usize], &[usize]); 8] = [
        (&[2, 3], &[3, 4]),
        (&[3], &[3]),
        (&[2, 3], &[3]),
        (&[3], &[3, 2]),
        (&[2, 2, 3], &[3, 2]),
        (&[2, 1, 2, 3], &[3, 3, 1]),
        (&[2, 0], &[0, 3]),
        (&[0, 2], &[2, 1]),
    ];
    let mut cases: Vec<Case> = shapes
        .iter()
        .map(|(a, b)| {
            let inputs = [(a.to_vec(), -2.0, 2.0), (b.to_vec(), -2.0, 2.0)];
            Case::new(&inputs, |_, x| x[0].matmul(x[1]).square())
        })
        .collect();
    for (transpose_lhs, transpose_rhs) in [(false, false), (true, false), (false, true), (true, true)] {
        for batch in [(vec![], vec![]), (vec![2], vec![1]), (vec![], vec![3])] {
            let dims = |batch: Vec<usize>, matrix: [usize; 2], transposed: bool| {
                let [rows, columns] = matrix;
                [batch, if transposed { vec![columns, rows] } else { vec![rows, columns] }].concat()
            };
            let a = (dims(batch.0, [2, 3], transpose_lhs), -2.0, 2.0);
            let b = (dims(batch.1, [3, 2], transpose_rhs), -2.0, 2.0);
            cases.push(Case::new(&[a, b], move |_, x| x[0].matmul_with(x[1], transpose_lhs, transpose_rhs).square()));
        }
    }
    cases
}

#[test]
fn every_op_agrees_with_central_differences_to_the_second_derivative() {
    for kind in OpKind::all() {
        for (number, case) in cases(kind).iter().enumerate() {
            check(&format!("{} case {number}", kind.name()), case);
        }
    }
}

#[test]
fn every_op_that_computes_floats_has_a_case() {
    let without: Vec<_> = OpKind::all().filter(|&kind| cases(kind).is_empty()).map(|kind| kind.name()).collect();
    let expected = [
        "input",
        "parameter",
        "constant",
        "literal",
        "iota",
        "uniform",
        "placeholder",
        "less",
        "less_equal",
        "greater",
        "greater_equal",
        "equal",
        "not_equal",
        "argmax",
        "cumargmax",
        "cumargmin",
        "argsort",
        "searchsorted",
    ];
    assert_eq!(without, expected);
}

#[test]
fn gradients_at_kinks_and_ties_are_what_the_documents_say() {
    use crate::evaluate::{evaluate, given};
    let at = |x: f64, f: fn(Expr<'_>) -> Expr<'_>| {
        let g = arenagrad_graph::Graph::new();
        let x_node = g.input_of("x", [], DType::F64);
        let [gradient] = f(x_node).grad([x_node]).unwrap();
        evaluate(&g, &[gradient.id().unwrap()], &given([("x", vec![x])]))[0][0]
    };
    assert_eq!(at(0.0, |x| x.relu()), 0.0);
    assert_eq!(at(0.0, |x| x.abs()), 0.0);
    assert_eq!(at(0.0, |x| x.leaky_relu(0.1)), 0.1);
    assert_eq!(at(0.0, |x| x.elu(0.7)), 0.7);
    assert_eq!(at(1.0, |x| x.maximum(1.0)), 0.5);
    assert_eq!(at(1.0, |x| x.minimum(1.0)), 0.5);
    assert_eq!(at(1.0, |x| x.clamp(Some(1.0), Some(2.0))), 1.0);
    assert_eq!(at(2.0, |x| x.clamp(Some(1.0), Some(2.0))), 1.0);
    assert_eq!(at(2.5, |x| x.clamp(Some(1.0), Some(2.0))), 0.0);
    assert_eq!(at(0.0, |x| x.softplus(1.0, 20.0)), 0.5);
    assert_eq!(at(0.0, |x| x.sqrt()), f64::INFINITY);
    assert_eq!(at(0.0, |x| x.pow(0.0)), 0.0);
    assert_eq!(at(3.0, |x| x.floor() + x.ceil() + x.round() + x.sign()), 0.0);
}

#[test]
fn ties_of_a_maximum_share_the_gradient() {
    use crate::evaluate::{evaluate, given};
    let g = arenagrad_graph::Graph::new();
    let x = g.input_of("x", [5], DType::F64);
    let [gradient] = x.max(..).grad([x]).unwrap();
    let elements = given([("x", vec![1.0, 3.0, 3.0, 2.0, 3.0])]);
    let third = 1.0 / 3.0;
    assert_eq!(evaluate(&g, &[gradient.id().unwrap()], &elements)[0], [0.0, third, third, 0.0, third]);
}

#[test]
fn a_constant_can_be_differentiated_with_respect_to() {
    use crate::evaluate::{evaluate, given};
    let g = arenagrad_graph::Graph::new();
    let (scale, x) = (g.full([], 2.0, DType::F64), g.input_of("x", [3], DType::F64));
    let [gradient] = (x * scale).sum(..).grad([scale]).unwrap();
    assert_eq!(evaluate(&g, &[gradient.id().unwrap()], &given([("x", vec![1.0, 2.0, 4.0])]))[0], [7.0]);
}

#[test]
fn shapes_of_gradients_are_those_of_what_was_asked_for() {
    let g = arenagrad_graph::Graph::new();
    let (x, w, b) = (g.input("x", [5, 3]), g.input("w", [3, 2]), g.input("b", [2]));
    let unused = g.input("unused", [7]);
    let loss = (x.matmul(w) + b).relu().sum(..);
    let gradients = loss.grad([x, w, b, unused]).unwrap();
    let shapes = gradients.map(|gradient| gradient.shape().unwrap());
    assert_eq!(shapes, [[5, 3].as_slice(), &[3, 2], &[2], &[7]].map(Shape::from));
    assert_eq!(arenagrad_graph::verify(&g), Ok(()));
}

/// The squares of such elements are no floats, but the derivatives are.
#[test]
fn the_angle_of_a_far_or_near_point_has_its_derivatives() {
    for scale in [1e-200, 1.0, 1e200] {
        let g = Graph::new();
        let (y, x) = (g.full([], 3.0 * scale, DType::F64), g.full([], -4.0 * scale, DType::F64));
        let gradients = y.atan2(x).grad([y, x]).unwrap().map(|gradient| gradient.id().unwrap());
        let found = evaluate(&g, &gradients, &given([]));
        let expected = [-4.0 / 25.0 / scale, -3.0 / 25.0 / scale];
        for (found, expected) in found.iter().zip(expected) {
            assert!((found[0] - expected).abs() <= 1e-15 * expected.abs(), "{found:?}, not {expected}");
        }
    }
}
