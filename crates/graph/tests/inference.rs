//! Shapes and dtypes that each op infers, and what it refuses. `inferred` matches every `OpKind`, so an op without a case
//! does not compile.

use arenagrad_graph::{
    Attention, AttentionBackward, AttentionNode, AttentionResult, BinaryFunction, CompareFunction, Context,
    Convolution, ConvolutionTranspose, CumulativeFunction, DType, Expr, Function, Graph, GraphError, Half, Init, Leaf,
    Op, OpKind, Origin, ReduceFunction, ScatterFunction, ScatterReduction, Shape, UnaryFunction, verify,
};

use crate::linear_algebra;
use DType::{Bool, F32, F64, I32};

/// Which dtypes the operands of an op may have.
fn accepted(kind: OpKind) -> &'static [DType] {
    match kind {
        OpKind::RoundTo(_) => &[F32, F64],
        OpKind::Unary(function) => function.row().dtypes,
        OpKind::Binary(function) => function.row().dtypes,
        OpKind::Compare(function) => function.row().dtypes,
        OpKind::ScatterReduce(ScatterFunction::Replace) => &[F32, F64, I32, Bool],
        OpKind::Reduce(_) | OpKind::ArgMax | OpKind::ScatterAdd | OpKind::ScatterReduce(_) | OpKind::AllReduce => {
            &[F32, F64, I32]
        }
        OpKind::Cumulative(_) | OpKind::ArgSort | OpKind::SearchSorted => &[F32, F64, I32],
        OpKind::Recurrence | OpKind::Convolution => &[F32, F64],
        OpKind::MatMul | OpKind::Attention(_) | OpKind::CustomGradient | OpKind::LinearAlgebra(_) => &[F32, F64],
        OpKind::Input
        | OpKind::Parameter
        | OpKind::Constant
        | OpKind::Literal
        | OpKind::Iota
        | OpKind::Uniform
        | OpKind::Placeholder
        | OpKind::Where
        | OpKind::Cast
        | OpKind::StopGradient
        | OpKind::Reshape
        | OpKind::Permute
        | OpKind::Broadcast
        | OpKind::Slice
        | OpKind::Flip
        | OpKind::Windows
        | OpKind::Pad
        | OpKind::Concat
        | OpKind::Gather
        | OpKind::Scan => &DType::ALL,
    }
}

/// A function whose gradient is the upstream gradient.
struct Identity;

impl Function for Identity {
    fn forward<'g>(&self, _: &mut Context<'g>, operands: &[Expr<'g>]) -> Expr<'g> {
        operands[0]
    }

    fn backward<'g>(&self, _: &Context<'g>, upstream: Expr<'g>) -> Vec<Option<Expr<'g>>> {
        vec![Some(upstream)]
    }
}

/// One use of an op over operands of that dtype, with the shape and dtype that it must have.
fn inferred<'g>(g: &'g Graph, kind: OpKind, dtype: DType) -> Vec<(Expr<'g>, Vec<usize>, DType)> {
    let full = |shape: &[usize]| g.full(shape, 1.0, dtype);
    let x = full(&[2, 3]);
    let name = |stem: &str| format!("{stem}{}", g.len());
    match kind {
        OpKind::Input => vec![(g.input_of(name("x"), [2, 0], dtype), vec![2, 0], dtype)],
        OpKind::Parameter => {
            vec![(g.parameter_of(name("w"), [4], dtype, Init::Constant(0.0)), vec![4], dtype)]
        }
        OpKind::Constant => vec![(full(&[]), vec![], dtype)],
        OpKind::Literal => vec![
            (g.literal([2, 1], [1.0f32, 2.0]), vec![2, 1], F32),
            (g.literal([2], [1.0f64, 2.0]), vec![2], F64),
            (g.literal([0], Vec::<i32>::new()), vec![0], I32),
            (g.literal([], [true]), vec![], Bool),
        ],
        OpKind::Iota => vec![(g.iota([2, 3], 1), vec![2, 3], I32)],
        OpKind::Uniform => vec![(g.uniform([5], g.full([], 0.0, I32), 1), vec![5], F32)],
        OpKind::Unary(function) => vec![(x.unary_function(function), vec![2, 3], dtype)],
        OpKind::Binary(function) => vec![(x.binary_function(function, full(&[4, 1, 3])), vec![4, 2, 3], dtype)],
        OpKind::Compare(function) => vec![(x.compare_function(function, full(&[2, 1])), vec![2, 3], Bool)],
        OpKind::Where => {
            let condition = g.full([4, 1, 1], 1.0, Bool);
            vec![
                (condition.where_(x, full(&[3])), vec![4, 2, 3], dtype),
                (condition.where_(x, 0), vec![4, 2, 3], dtype),
            ]
        }
        OpKind::Cast => DType::ALL.map(|to| (x.cast(to), vec![2, 3], to)).to_vec(),
        OpKind::RoundTo(half) => vec![(x.rounded_to(half), vec![2, 3], dtype)],
        OpKind::StopGradient => vec![(x.stop_gradient(), vec![2, 3], dtype)],
        OpKind::AllReduce => vec![(x.all_reduce(), vec![2, 3], dtype)],
        OpKind::CustomGradient => vec![(g.apply(&Identity, &[x]), vec![2, 3], dtype)],
        OpKind::Placeholder => {
            let placeholder =
                g.insert(Op::Leaf(Leaf::Placeholder), Some(&Shape::from([2, 0])), Some(dtype), Origin::here());
            vec![(g.expr(placeholder.unwrap()), vec![2, 0], dtype)]
        }
        OpKind::Reshape => vec![
            (x.reshape([3, 1, 2]), vec![3, 1, 2], dtype),
            (full(&[0, 3]).reshape([7, 0]), vec![7, 0], dtype),
            (x.flatten(), vec![6], dtype),
            (x.unsqueeze(-1), vec![2, 3, 1], dtype),
            (full(&[2, 1]).squeeze(1), vec![2], dtype),
            (x.squeeze(0), vec![2, 3], dtype),
        ],
        OpKind::Permute => vec![
            (full(&[2, 3, 4]).permute([2, 0, -2]), vec![4, 2, 3], dtype),
            (x.t(), vec![3, 2], dtype),
            (full(&[2, 3, 4]).transpose(0, -1), vec![4, 3, 2], dtype),
        ],
        OpKind::Broadcast => vec![(full(&[2, 1]).broadcast_to([4, 2, 3]), vec![4, 2, 3], dtype)],
        OpKind::Slice => vec![
            (x.slice(1, 1, 3), vec![2, 2], dtype),
            (x.slice(0, 2, 2), vec![0, 3], dtype),
            (full(&[7]).slice_step(0, 1, 7, 3), vec![2], dtype),
            (x.select_index(-1, 2), vec![2], dtype),
        ],
        OpKind::Flip => vec![
            (x.flip(-1), vec![2, 3], dtype),
            (full(&[4, 0, 2]).flip([0, 1]), vec![4, 0, 2], dtype),
            (full(&[]).flip(..), vec![], dtype),
        ],
        OpKind::Windows => vec![
            (x.windows([-1], [2], [1], [1]), vec![2, 2, 2], dtype),
            (full(&[2, 9, 8]).windows([2, 1], [3, 4], [2, 1], [1, 2]), vec![2, 3, 3, 3, 4], dtype),
            (full(&[7]).windows([0], [1], [3], [9]), vec![3, 1], dtype),
            (full(&[0, 5]).windows([1], [5], [1], [1]), vec![0, 1, 5], dtype),
            (x.windows([], [], [], []), vec![2, 3], dtype),
        ],
        OpKind::Pad => vec![(x.pad([(1, 0), (2, 3)], 1.0), vec![3, 8], dtype)],
        OpKind::Concat => vec![
            (g.concat(&[x, full(&[5, 3]), full(&[0, 3])], 0), vec![7, 3], dtype),
            (g.stack(&[x, x], -1), vec![2, 3, 2], dtype),
        ],
        OpKind::Reduce(function) => {
            let (dropped, kept, all) = match function {
                ReduceFunction::Sum => (x.sum(-1), x.sum_keepdims([0]), x.sum(..)),
                ReduceFunction::Max => (x.max(-1), x.max_keepdims([0]), x.max(..)),
                ReduceFunction::Min => (x.min(-1), x.min_keepdims([0]), x.min(..)),
                ReduceFunction::Product => (x.prod(-1), x.prod_keepdims([0]), x.prod(..)),
            };
            let counts = dtype == Bool && matches!(function, ReduceFunction::Sum | ReduceFunction::Product);
            let dtype = if counts { I32 } else { dtype };
            vec![(dropped, vec![2], dtype), (kept, vec![1, 3], dtype), (all, vec![], dtype)]
        }
        OpKind::ArgMax => vec![(x.argmax(0), vec![3], I32), (full(&[2, 0]).argmax(0), vec![0], I32)],
        OpKind::MatMul => vec![
            (x.matmul(full(&[3, 4])), vec![2, 4], dtype),
            (full(&[3]).matmul(full(&[3])), vec![], dtype),
            (x.matmul(full(&[3])), vec![2], dtype),
            (full(&[5, 2]).matmul(full(&[7, 2, 4])), vec![7, 5, 4], dtype),
            (full(&[2]).matmul(full(&[7, 2, 4])), vec![7, 4], dtype),
            (x.matmul_with(full(&[4, 2]), true, true), vec![3, 4], dtype),
            (full(&[2, 0]).matmul(full(&[0, 3])), vec![2, 3], dtype),
        ],
        OpKind::Attention(result) => {
            let id = |shape: &[usize]| full(shape).id().unwrap();
            let (query, key, value) = (id(&[5, 6, 4, 3]), id(&[5, 2, 7, 3]), id(&[5, 2, 7, 1]));
            let backward = result.is_gradient().then(|| AttentionBackward {
                upstream: id(&[5, 6, 4, 1]),
                statistics: id(&[5, 6, 4, 2]),
                weighted: id(&[5, 6, 4]),
            });
            let node = AttentionNode {
                query,
                key,
                value,
                mask: Some(id(&[1, 6, 1, 7])),
                is_causal: false,
                scale: 1.0,
                backward,
                result,
            };
            let shape = match result {
                AttentionResult::Output => vec![5, 6, 4, 1],
                AttentionResult::SoftmaxStatistics => vec![5, 6, 4, 2],
                AttentionResult::QueryGradient => vec![5, 6, 4, 3],
                AttentionResult::KeyGradient => vec![5, 2, 7, 3],
                AttentionResult::ValueGradient => vec![5, 2, 7, 1],
            };
            let inserted = g.insert(Op::Attention(Box::new(node)), None, None, Origin::here());
            match inserted {
                Ok(id) => vec![(g.expr(id), shape, dtype)],
                Err(_) => {
                    // The mistake is kept as a method would keep it.
                    let q = full(&[4, 3]);
                    vec![(q.scaled_dot_product_attention(q, q, None, Attention::default()), vec![], dtype)]
                }
            }
        }
        OpKind::LinearAlgebra(function) => linear_algebra::inferred(g, function, dtype),
        OpKind::Convolution => vec![
            (full(&[2, 4, 9]).conv1d(full(&[6, 2, 3]), None, &Convolution::new().groups(2)), vec![2, 6, 7], dtype),
            (full(&[4, 9, 8]).conv2d(full(&[5, 4, 3, 1]), None, &Convolution::new().stride(2)), vec![5, 4, 4], dtype),
            (
                full(&[0, 1, 3]).conv_transpose1d(full(&[1, 2, 2]), None, &ConvolutionTranspose::new()),
                vec![0, 2, 4],
                dtype,
            ),
        ],
        OpKind::Gather => vec![
            (x.gather(1, g.full([2, 5], 0.0, I32)), vec![2, 5], dtype),
            (x.gather(0, g.full([1, 2], 0.0, I32)), vec![1, 2], dtype),
            (x.index_select(1, g.full([4, 5], 0.0, I32)), vec![2, 4, 5], dtype),
        ],
        OpKind::Scan => {
            let scanned =
                g.scan(&[full(&[3])], &[x], |_, elements| (vec![elements[0]], vec![elements[0].reshape([3, 1])]));
            let scanned = scanned.expect("a loop");
            vec![(scanned.carries[0], vec![3], dtype), (scanned.outputs[0], vec![2, 3, 1], dtype)]
        }
        OpKind::Cumulative(function) => {
            let result = if function.gives_indices() || dtype == Bool { I32 } else { dtype };
            let of = |x: Expr<'g>, axis| match function {
                CumulativeFunction::Sum => x.cumsum(axis),
                CumulativeFunction::Product => x.cumprod(axis),
                CumulativeFunction::ArgMax => x.cummax(axis).1,
                CumulativeFunction::ArgMin => x.cummin(axis).1,
            };
            vec![(of(x, -1), vec![2, 3], result), (of(full(&[0, 2]), 0), vec![0, 2], result)]
        }
        OpKind::Recurrence => vec![(x.linear_recurrence(x, 0), vec![2, 3], dtype)],
        OpKind::ArgSort => vec![
            (x.argsort(0, true), vec![2, 3], I32),
            (x.topk(2, -1, true).1, vec![2, 2], I32),
            (x.topk(0, 0, false).1, vec![0, 3], I32),
            (full(&[0, 2]).argsort(0, false), vec![0, 2], I32),
        ],
        OpKind::SearchSorted => vec![
            (full(&[7]).searchsorted(x, false), vec![2, 3], I32),
            (full(&[2, 7]).searchsorted(x, true), vec![2, 3], I32),
            (full(&[7]).searchsorted(full(&[]), false), vec![], I32),
        ],
        OpKind::ScatterAdd => vec![(x.scatter_add(0, g.full([5, 3], 0.0, I32), full(&[5, 3])), vec![2, 3], dtype)],
        OpKind::ScatterReduce(function) => {
            let reduction = match function {
                ScatterFunction::Mul => Some(ScatterReduction::Prod),
                ScatterFunction::Max => Some(ScatterReduction::Amax),
                ScatterFunction::Min => Some(ScatterReduction::Amin),
                ScatterFunction::Replace => None,
            };
            let (index, updates) = (g.full([5, 3], 0.0, I32), full(&[5, 3]));
            let scattered = match reduction {
                Some(reduction) => x.scatter_reduce(0, index, updates, reduction, true),
                None => x.scatter(0, index, updates),
            };
            vec![(scattered, vec![2, 3], dtype)]
        }
    }
}

/// Whether methods compute for a dtype what the op does not, by others.
fn is_composed(kind: OpKind, dtype: DType) -> bool {
    let counts_truth = matches!(
        kind,
        OpKind::Reduce(_)
            | OpKind::Cumulative(_)
            | OpKind::ScatterAdd
            | OpKind::ScatterReduce(ScatterFunction::Mul | ScatterFunction::Max | ScatterFunction::Min)
    );
    (dtype == Bool && counts_truth) || (dtype == I32 && kind == OpKind::MatMul)
}

#[test]
fn every_op_infers_shape_and_dtype_for_the_dtypes_that_it_takes() {
    for kind in OpKind::all() {
        for dtype in DType::ALL {
            let g = Graph::new();
            let results = inferred(&g, kind, dtype);
            assert!(!results.is_empty());
            if !accepted(kind).contains(&dtype) && !is_composed(kind, dtype) {
                let error = g.check().expect_err(kind.name());
                assert!(matches!(error, GraphError::DType { .. }), "{}: {error}", kind.name());
                continue;
            }
            for (expr, shape, dtype) in results {
                let expr = expr.check().unwrap_or_else(|error| panic!("{}, {dtype}: {error}", kind.name()));
                assert_eq!(expr.shape().unwrap().dims(), shape, "{}\n{g}", kind.name());
                assert_eq!(expr.dtype().unwrap(), dtype, "{}\n{g}", kind.name());
            }
            assert_eq!(verify(&g), Ok(()), "{}", kind.name());
            for id in g.ids() {
                let op = g.node(id).unwrap().op;
                assert_eq!(op.kind().is_view(), matches!(op, Op::View { .. }), "{}", op.name());
                assert_eq!(op.kind().is_leaf(), matches!(op, Op::Leaf(_)), "{}", op.name());
            }
            let found = g.ids().iter().any(|id| g.node(*id).unwrap().op.kind() == kind);
            assert!(found || is_composed(kind, dtype), "no {} was inserted", kind.name());
        }
    }
}

#[test]
fn kinds_are_listed_once_and_have_names_of_their_own() {
    let kinds: Vec<OpKind> = OpKind::all().collect();
    let names: std::collections::HashSet<&str> = kinds.iter().map(|kind| kind.name()).collect();
    assert_eq!(names.len(), kinds.len());
    let functions = UnaryFunction::ALL.len() + BinaryFunction::ALL.len() + CompareFunction::ALL.len();
    let results = AttentionResult::ALL.len() + arenagrad_graph::MatrixFunction::ALL.len();
    assert_eq!(
        kinds.len(),
        31 + Half::ALL.len() + functions + 2 + results + CumulativeFunction::ALL.len() + ScatterFunction::ALL.len()
    );
}

#[test]
fn numbers_take_the_dtype_of_the_expression_beside_them() {
    let g = Graph::new();
    for dtype in [F32, F64, I32] {
        let x = g.full([2], 1.0, dtype);
        for result in [x + 1, 2 - x, x * 3.0, 4.0 * x, x - 1.0f32] {
            assert_eq!(result.check().unwrap().dtype().unwrap(), dtype);
        }
    }
    let _ = g.iota([2], 0) + 0.5;
    assert!(matches!(g.take_error(), Some(GraphError::Number { value: 0.5, .. })));
    let _ = g.iota([2], 0) + 1e10;
    assert!(matches!(g.take_error(), Some(GraphError::Number { .. })));
}

/// The methods and operators that are one function each, by the function's name.
#[test]
fn methods_insert_the_function_of_their_name() {
    let g = Graph::new();
    let (x, y) = (g.input("x", [2]), g.input("y", [2]));
    let kind = |expr: Expr<'_>| g.node(expr.id().unwrap()).unwrap().op.kind().name();
    macro_rules! unary {
        ($($(#[$doc:meta])* $method:ident => $function:ident;)*) => {$(
            assert_eq!(kind(x.$method()), stringify!($method));
        )*};
    }
    arenagrad_graph::unary_methods!(unary);
    macro_rules! binary {
        ($($(#[$doc:meta])* $method:ident => $function:ident;)*) => {$(
            assert_eq!(kind(x.$method(y)), stringify!($method));
        )*};
    }
    arenagrad_graph::binary_methods!(binary);
    arenagrad_graph::compare_methods!(binary);
    let b = x.less(y);
    let operators = [("add", x + y), ("sub", x - y), ("mul", x * y), ("div", x / y), ("neg", -x), ("not", !b)];
    for (name, expr) in operators.into_iter().chain([("and", b & b), ("or", b | b)]) {
        assert_eq!(kind(expr), name);
    }
}
