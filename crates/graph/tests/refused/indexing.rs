//! Wrong calls of what takes indices, and of methods of graphs.

use arenagrad_graph::nn::Phase;
use arenagrad_graph::symbolic::parse;
use arenagrad_graph::{
    BinaryFunction, DType, Elementwise, EmbeddingOptions, GraphError, GridOrder, Indexing, Init, Leaf, Op, Origin,
    ScatterReduction, Shape,
};

use super::{Call, Outcome, Wrong};

/// The methods that arrange, contract and index.
pub(super) fn of_indexing() -> Vec<(&'static str, Vec<Call>)> {
    let mut all = calls_of_one! {
        roll([1], [5]) x; roll([1, 1], [0]) x; rot90(1, [0, 0]) x; fliplr() scalar; flipud() scalar; movedim([0], [7]) x;
        movedim([0, 1], [0]) x; atleast_1d(); atleast_2d(); atleast_3d(); unflatten(0, [3, 1]) x; flatten_axes(1, 0) x;
        tile([usize::MAX]) x; tile([1; 17]) x; repeat_interleave(usize::MAX, 0) x; repeat_interleave_counts(&[1], 0) x;
        diagonal(0, 1, 1) x; diag_embed(isize::MAX, 0, 1) x; diag_embed(0, -2, -1) scalar; diag(0) scalar;
        index((-7,)) x; index((0, 0, 0)) x; index((2..1,)) x; unbind(3) x; split(0, 0) x; split_sizes([9], 0) x; chunk(0, 0) x;
        tensor_split(0, 0) x; tensor_split_at([1], 9) x; full_like(0.5) labels truth; zeros_like(); ones_like();
    };
    all.extend(calls! {
        diagonal_scatter: |o| o.x.diagonal_scatter(o.x, 0, 0, 1), |o| o.x.diagonal_scatter(o.labels, 0, 0, 1),
            |o| o.x.diagonal_scatter(o.foreign, 0, 0, 1), |o| o.x.diagonal_scatter(o.poisoned, 0, 0, 1);
        select_scatter: |o| o.x.select_scatter(o.x, 0, 0), |o| o.x.select_scatter(o.row, 0, -3),
            |o| o.x.select_scatter(o.foreign, 0, 0), |o| o.x.select_scatter(o.index_row, 0, 0);
        slice_scatter: |o| o.x.slice_scatter(o.row, 0, 0, 1, 1), |o| o.x.slice_scatter(o.x, 0, 0, 2, 0),
            |o| o.x.slice_scatter(o.indices, 0, 0, 2, 1), |o| o.x.slice_scatter(o.foreign, 0, 0, 2, 1);
        tensordot: |o| o.x.tensordot(o.other, [0], [0]), |o| o.x.tensordot(o.x, [0, 0], [0, 1]), |o| o.x.tensordot(o.x, [0], []),
            |o| o.x.tensordot(o.indices, [0], [0]), |o| o.x.tensordot(o.foreign, [0], [0]);
        outer: |o| o.row.outer(o.x), |o| o.row.outer(o.index_row), |o| o.row.outer(o.foreign_row);
        dot: |o| o.row.dot(o.column), |o| o.row.dot(o.index_row), |o| o.row.dot(o.foreign_row), |o| o.x.dot(o.x);
        inner: |o| o.x.inner(o.other), |o| o.x.inner(o.indices), |o| o.x.inner(o.foreign);
        kron: |o| o.wide.kron(o.wide), |o| o.truth.kron(o.truth), |o| o.x.kron(o.foreign);
        cross: |o| o.x.cross(o.x, 0), |o| o.x.cross(o.row, 1), |o| o.x.cross(o.foreign, 1), |o| o.truth.cross(o.truth, 1);
        scatter: |o| o.x.scatter(0, o.indices, o.row), |o| o.x.scatter(0, o.indices, o.indices), |o| o.x.scatter(0, o.x, 1.0),
            |o| o.x.scatter(0, o.labels, 1.0), |o| o.indices.scatter(0, o.indices, 0.5), |o| o.x.scatter(0, o.indices, o.foreign),
            |o| o.x.scatter(0, o.literal, 1.0), |o| o.line.scatter(1, o.indices, 1.0), |o| o.x.scatter(0, o.indices, o.poisoned);
        scatter_reduce: |o| o.truth.scatter_reduce(0, o.indices, o.truth, ScatterReduction::Mean, true),
            |o| o.indices.scatter_reduce(0, o.indices, o.indices, ScatterReduction::Mean, false),
            |o| o.x.scatter_reduce(0, o.indices, o.foreign, ScatterReduction::Amax, true),
            |o| o.x.scatter_reduce(0, o.indices, o.row, ScatterReduction::Prod, false);
        index_add: |o| o.x.index_add(0, o.labels, o.row, 1.0), |o| o.x.index_add(0, o.indices, o.x, 1.0),
            |o| o.truth.index_add(0, o.labels, o.truth, 2.0), |o| o.x.index_add(0, o.labels, o.foreign, 1.0);
        embedding: |o| o.x.embedding(o.x, EmbeddingOptions::default()), |o| o.row.embedding(o.labels, EmbeddingOptions::default()),
            |o| o.x.embedding(o.labels, EmbeddingOptions { max_norm: Some(-1.0), ..EmbeddingOptions::default() }),
            |o| o.x.embedding(o.foreign_labels, EmbeddingOptions::default()), |o| o.poisoned.embedding(o.labels, EmbeddingOptions::default()),
            |o| o.x.embedding(o.labels, EmbeddingOptions { max_norm: Some(1.0), norm_type: f64::NAN, ..EmbeddingOptions::default() }),
            |o| o.x.embedding(o.labels, EmbeddingOptions { padding_index: Some(2), ..EmbeddingOptions::default() });
        index_copy: |o| o.x.index_copy(0, o.labels, o.indices), |o| o.x.index_copy(0, o.row, o.x),
            |o| o.x.index_copy(0, o.labels, o.foreign), |o| o.x.index_copy(0, o.foreign_labels, o.x);
        index_fill: |o| o.x.index_fill(0, o.labels, o.other), |o| o.indices.index_fill(0, o.labels, 0.5),
            |o| o.x.index_fill(0, o.labels, o.foreign), |o| o.x.index_fill(0, o.labels, o.step);
        index_reduce: |o| o.indices.index_reduce(0, o.labels, o.indices, ScatterReduction::Mean, true),
            |o| o.x.index_reduce(0, o.labels, o.row, ScatterReduction::Amin, true);
        masked_fill: |o| o.x.masked_fill(o.x, 1.0), |o| o.indices.masked_fill(o.truth, 0.5), |o| o.x.masked_fill(o.truth, o.foreign),
            |o| o.x.masked_fill(o.truth, o.other);
        take: |o| o.x.take(o.x), |o| o.scalar.take(o.literal), |o| o.x.take(o.foreign_labels), |o| o.poisoned.take(o.labels);
        put: |o| o.x.put(o.labels, o.row, true), |o| o.x.put(o.labels, o.labels, true), |o| o.x.put(o.labels, o.foreign_row, false);
        take_along_dim: |o| o.x.take_along_dim(0, o.labels), |o| o.x.take_along_dim(7, o.indices),
            |o| o.other.take_along_dim(0, o.indices), |o| o.x.take_along_dim(0, o.foreign_labels);
        index_put: |o| o.x.index_put(&[Some(o.truth)], 1.0, false), |o| o.x.index_put(&[Some(o.x)], 1.0, false),
            |o| o.x.index_put(&[Some(o.labels); 3], 1.0, false), |o| o.x.index_put(&[Some(o.labels)], o.other, true),
            |o| o.x.index_put(&[Some(o.labels), Some(o.index_row)], 1.0, true), |o| o.x.index_put(&[Some(o.literal)], 1.0, true),
            |o| o.x.index_put(&[Some(o.foreign_labels)], 1.0, true), |o| o.x.index_put(&[Some(o.labels)], o.foreign, true),
            |o| o.x.index_put(&[Some(o.labels)], o.step, true), |o| o.indices.index_put(&[Some(o.labels)], 0.5, true);
        arange: |o| o.g.arange(1e-200, 0.0, 1e-200, DType::F64), |o| o.g.arange(0.0, 1.0, 0.0, DType::F32), |o| o.g.arange(0.0, 1.0, 0.5, DType::I32), |o| o.g.arange(0.0, 1e300, 1.0, DType::F32);
        input_not_given: |o| o.g.input_not_given("labels", &[]), |o| o.g.input_not_given("labels", &["x", "y"]);
        linspace: |o| o.g.linspace(0.0, 1.0, 3, DType::Bool), |o| o.g.linspace(0.0, 1.0, usize::MAX, DType::F32);
        eye: |o| o.g.eye(usize::MAX, 2, DType::F32);
        hstack: |o| o.g.hstack(&[]), |o| o.g.hstack(&[o.x, o.other]), |o| o.g.hstack(&[o.x, o.foreign]);
        vstack: |o| o.g.vstack(&[o.row, o.other]), |o| o.g.vstack(&[o.x, o.foreign]), |o| o.g.vstack(&[o.row, o.index_row]);
        dstack: |o| o.g.dstack(&[o.row, o.other]), |o| o.g.dstack(&[o.x, o.foreign]);
        column_stack: |o| o.g.column_stack(&[o.row, o.other]), |o| o.g.column_stack(&[o.x, o.foreign]);
        meshgrid: |o| o.g.meshgrid(&[o.x], GridOrder::Ij), |o| o.g.meshgrid(&[o.row, o.foreign_row], GridOrder::Xy),
            |o| o.g.meshgrid(&[o.row; 17], GridOrder::Ij), |o| o.g.meshgrid(&[o.row, o.poisoned], GridOrder::Ij);
        einsum: |o| o.g.einsum("ij", &[o.row]), |o| o.g.einsum("ij,jk", &[o.x, o.other]), |o| o.g.einsum("i->j", &[o.row]),
            |o| o.g.einsum("ij,ij", &[o.x, o.foreign]), |o| o.g.einsum("ij,ij", &[o.x, o.indices]), |o| o.g.einsum("", &[]),
            |o| o.g.einsum("ij,kj", &[o.x, o.poisoned]), |o| o.g.einsum("...,...a", &[o.wide, o.wide]);
    });
    all
}

pub(super) fn of_graphs() -> Vec<(&'static str, Vec<Call>)> {
    calls! {
        input: |o| o.g.input("x", [2]), |o| o.g.input("y", [1; 17]), |o| o.g.input("y", [usize::MAX, 2]);
        input_of: |o| o.g.input_of("x", [2], DType::I32), |o| o.g.input_of("y", [1; 17], DType::Bool);
        parameter: |o| o.g.parameter("x", [2], Init::Constant(0.0)), |o| o.g.parameter("y", [2], Init::Values(vec![1.0]));
        parameter_of: |o| o.g.parameter_of("y", [1; 17], DType::F64, Init::Constant(0.0));
        state: |o| o.g.state("x", [], DType::I32, Init::Constant(0.0));
        full: |o| o.g.full([1; 17], 0.0, DType::F32);
        zeros: |o| o.g.zeros([1; 17], DType::F32);
        ones: |o| o.g.ones([usize::MAX, 8], DType::F32);
        literal: |o| o.g.literal([3], [1.0f32]), |o| o.g.literal([1; 17], [1]);
        iota: |o| o.g.iota([2], 1);
        step: |o| o.g.step();
        input_not_given: |o| o.g.input_not_given("y", &["x"]);
        uniform: |o| o.g.uniform([2], o.x, 1), |o| o.g.uniform([2], o.foreign_labels, 1), |o| o.g.uniform([1; 17], o.step, 1);
        normal: |o| o.g.normal([2], o.x, 1), |o| o.g.normal([1; 17], o.step, 1);
        bernoulli: |o| o.g.bernoulli([2], 0.5, o.x, 1), |o| o.g.bernoulli([2], 2.0, o.step, 1);
        uniform_in: |o| o.g.uniform_in(Phase::Training, [1; 17]), |o| o.g.uniform_in(Phase::Evaluation, [1; 17]);
        normal_in: |o| o.g.normal_in(Phase::Training, [1; 17]), |o| o.g.normal_in(Phase::Evaluation, [1; 17]);
        bernoulli_in: |o| o.g.bernoulli_in(Phase::Training, [2], 2.0), |o| o.g.bernoulli_in(Phase::Evaluation, [1; 17], 0.5);
        concat: |o| o.g.concat(&[o.x, o.other], 0), |o| o.g.concat(&[], 0), |o| o.g.concat(&[o.x, o.foreign], 0),
            |o| o.g.concat(&[o.x], 9), |o| o.g.concat(&[o.x, o.poisoned], 0);
        stack: |o| o.g.stack(&[o.x, o.other], 0), |o| o.g.stack(&[o.x, o.foreign], 0), |o| o.g.stack(&[o.x, o.x], 9),
            |o| o.g.stack(&[], 0), |o| o.g.stack(&[o.x, o.poisoned], 0);
        expr: |o| o.g.expr(o.foreign.id().unwrap());
        insert: |o| o.g.insert(Op::Leaf(Leaf::Iota { axis: 4 }), Some(&Shape::from([2])), None, Origin::here()),
            |o| o.g.insert(Op::Leaf(Leaf::Input { declaration: 0 }), None, None, Origin::here()),
            |o| {
                let (lhs, rhs) = (o.x.id().unwrap(), o.other.id().unwrap());
                o.g.insert(Op::Elementwise(Elementwise::Binary { function: BinaryFunction::Add, lhs, rhs }), None, None, Origin::here())
            },
            |o| {
                let (operand, indices) = (o.x.id().unwrap(), o.labels.id().unwrap());
                o.g.insert(Op::Indexing(Indexing::Gather { operand, indices, axis: 0 }), None, None, Origin::here())
            };
        gradients: |o| o.g.gradients(&[o.x], &[], &[o.x]), |o| o.g.gradients(&[o.x], &[o.other], &[o.x]),
            |o| o.g.gradients(&[o.x], &[o.x], &[o.foreign]);
        gradients_where_reached: |o| o.g.gradients_where_reached(&[o.x], &[], &[o.x]),
            |o| o.g.gradients_where_reached(&[o.x], &[o.x], &[o.foreign]);
        gradients_by_source: |o| o.g.gradients_by_source(&[o.x], &[], &[o.x], &mut |_, _| {}),
            |o| o.g.gradients_by_source(&[o.x], &[o.x], &[o.foreign], &mut |_, _| {});
        jvp: |o| o.g.jvp(&[o.x], &[o.x], &[]), |o| o.g.jvp(&[o.x], &[o.x], &[o.other]);
        jacobians: |o| o.g.jacobians(o.x, &[o.labels], None), |o| o.g.jacobians(o.wide, &[o.x, o.scalar], None);
        apply: |o| o.g.apply(&Wrong { in_backward: false }, &[o.x]), |o| o.g.apply(&Wrong { in_backward: true }, &[o.x]),
            |o| o.g.apply(&Wrong { in_backward: true }, &[o.foreign]), |o| o.g.apply(&Wrong { in_backward: true }, &[o.poisoned]);
        remove: |o| o.g.remove(o.x.id().unwrap()), |o| o.g.remove(o.foreign.id().unwrap());
        rewind: |o| o.g.rewind(o.foreign.graph().mark());
        retain: |o| o.g.retain(&[o.foreign.id().unwrap()]);
        attempt: |o| o.g.attempt(|| o.x.exp().reshape([5]).id()), |o| o.g.attempt(|| Ok::<_, GraphError>(o.x.exp() + o.other)),
            |o| o.g.attempt(|| { let _ = o.g.input("y", [2]); Err::<(), _>(o.g.input("x", [2]).id().unwrap_err()) });
        formula: |o| parse("a + b").unwrap().apply(o.g, &[("a", o.x), ("b", o.other)]),
            |o| parse("a + 2").unwrap().apply(o.g, &[("a", o.labels)]),
            |o| parse("a + b").unwrap().apply_accurately(o.g, &[("a", o.x), ("b", o.foreign)]),
            |o| parse("exp(a) + b").unwrap().apply(o.g, &[("a", o.x), ("b", o.poisoned)]);
    }
}
