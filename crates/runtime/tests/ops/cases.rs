//! The cases of each op: shapes that are empty, single, prime, or one past a workgroup; operands that are permuted, sliced,
//! stepped through and broadcast; several ranks and axes.

#[path = "../../../graph/tests/linear_algebra.rs"]
mod matrices;

mod attention;
mod ordered;

use std::rc::Rc;

use arenagrad::graph::{BinaryFunction, ScatterFunction, UnaryFunction};
use arenagrad::{
    Context, Convolution, ConvolutionPadding, ConvolutionTranspose, DType, Expr, Function, Graph, Init, OpKind,
    ReduceFunction, ScanOptions, ScatterReduction,
};

type Build = Rc<dyn for<'g> Fn(&'g Graph, &[Expr<'g>]) -> Expr<'g>>;

/// What an operand's elements are.
#[derive(Clone, Copy)]
pub(crate) enum Element {
    /// Between the two, and away from kinks.
    Float(f64, f64),
    /// From the first to the second.
    Integer(i64, i64),
    Bool,
}

/// An operand that every run is given.
#[derive(Clone)]
pub(crate) struct Operand {
    pub(crate) shape: Vec<usize>,
    pub(crate) element: Element,
}

/// A function to compute and, of its float operands, to differentiate.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) operands: Vec<Operand>,
    pub(crate) function: Build,
    /// How many terms its longest sum has.
    pub(crate) terms: usize,
    /// Whether differences exist where it is evaluated.
    pub(crate) differentiable: bool,
}

fn case(
    operands: &[(&[usize], Element)],
    terms: usize,
    function: impl for<'g> Fn(&'g Graph, &[Expr<'g>]) -> Expr<'g> + 'static,
) -> Case {
    let operands =
        operands.iter().map(|(shape, element)| Operand { shape: shape.to_vec(), element: *element }).collect();
    Case { operands, function: Rc::new(function), terms, differentiable: true }
}

const SHAPES: [&[usize]; 8] = [&[], &[1], &[0], &[257], &[7, 13], &[2, 0, 3], &[1, 5, 1], &[2, 3, 2, 2]];

/// A function of one element over all shapes, and over views.
fn unary(f: impl for<'g> Fn(Expr<'g>) -> Expr<'g> + Copy + 'static, element: Element) -> Vec<Case> {
    let mut cases: Vec<Case> = SHAPES.iter().map(|shape| case(&[(shape, element)], 1, move |_, x| f(x[0]))).collect();
    cases.extend([
        case(&[(&[5, 7], element)], 1, move |_, x| f(x[0].t())),
        case(&[(&[2, 3, 5], element)], 1, move |_, x| f(x[0].permute([2, 0, 1]))),
        case(&[(&[6, 11], element)], 1, move |_, x| f(x[0].slice(1, 3, 10))),
        case(&[(&[23], element)], 1, move |_, x| f(x[0].slice_step(0, 1, 20, 3))),
        case(&[(&[3, 1], element)], 17, move |_, x| f(x[0].broadcast_to([2, 3, 17]))),
        case(&[(&[4, 6], element)], 1, move |_, x| f(x[0].t().reshape([3, 8]))),
    ]);
    cases
}

/// A function of two elements over pairs of shapes that broadcast, and over views.
fn binary(
    f: impl for<'g> Fn(Expr<'g>, Expr<'g>) -> Expr<'g> + Copy + 'static,
    lhs: Element,
    rhs: Element,
) -> Vec<Case> {
    let shapes: [(&[usize], &[usize], usize); 9] = [
        (&[], &[], 1),
        (&[257], &[257], 1),
        (&[1], &[257], 257),
        (&[7, 13], &[13], 7),
        (&[7, 1], &[1, 13], 13),
        (&[3, 1, 5], &[4, 1], 15),
        (&[0, 3], &[1, 3], 1),
        (&[1, 0], &[5, 1], 5),
        (&[2, 3, 2, 2], &[], 24),
    ];
    let mut cases: Vec<Case> =
        shapes.iter().map(|(a, b, terms)| case(&[(a, lhs), (b, rhs)], *terms, move |_, x| f(x[0], x[1]))).collect();
    cases.extend([
        case(&[(&[5, 7], lhs), (&[7, 5], rhs)], 1, move |_, x| f(x[0].t(), x[1])),
        case(&[(&[6, 11], lhs), (&[11, 6], rhs)], 1, move |_, x| f(x[0].slice(1, 2, 9), x[1].t().slice(1, 4, 11))),
        case(&[(&[31], lhs), (&[11], rhs)], 1, move |_, x| f(x[0].slice_step(0, 0, 31, 3), x[1])),
    ]);
    cases
}

/// Cases whose value alone is compared: their differences do not exist, or their derivatives cancel in f32.
fn fixed(mut cases: Vec<Case>) -> Vec<Case> {
    cases.iter_mut().for_each(|case| case.differentiable = false);
    cases
}

const ANY: Element = Element::Float(-3.0, 3.0);
/// A power of two, so that scaling by it rounds nothing.
const EXACT_SMALL: f64 = 1.0 / 1024.0;
const INTEGER: Element = Element::Integer(-9, 9);

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

/// The cases of a kind; never none.
pub(crate) fn cases(kind: OpKind) -> Vec<Case> {
    match kind {
        OpKind::Input => SHAPES.iter().map(|shape| case(&[(shape, ANY)], 1, |_, x| x[0])).collect(),
        OpKind::Parameter => vec![
            case(&[(&[3], ANY)], 1, |g, x| {
                let values = Init::Values(vec![1.0, -2.0, 0.5]);
                x[0] * g.parameter_of("parameter", [3], x[0].dtype().unwrap(), values)
            }),
            case(&[(&[0], ANY)], 1, |g, x| {
                x[0] + g.parameter_of("none", [0], x[0].dtype().unwrap(), Init::Constant(0.0))
            }),
        ],
        OpKind::Constant => vec![
            case(&[(&[7], ANY)], 1, |_, x| x[0] * 0.25 + 1.0),
            case(&[], 1, |g, _| g.full([257], 0.3125, DType::F32)),
            case(&[], 1, |g, _| g.full([2, 0], 1.0, DType::F32)),
            case(&[], 1, |g, _| g.full([3], -2147483648.0, DType::I32)),
            case(&[], 1, |g, _| g.full([3], 1.0, DType::Bool)),
            case(&[], 1, |g, _| g.full([5], f64::NEG_INFINITY, DType::F32)),
            case(&[], 1, |g, _| g.full([5], f64::NAN, DType::F32)),
        ],
        OpKind::Literal => vec![
            case(&[(&[3], ANY)], 1, |g, x| x[0] * g.literal([3], [2.0f32, -1.0, 0.5]).cast(x[0].dtype().unwrap())),
            case(&[], 1, |g, _| g.literal([2, 2], [1, -2, i32::MAX, i32::MIN])),
            case(&[], 1, |g, _| g.literal([3], [true, false, true])),
            case(&[], 1, |g, _| g.literal([2, 0], Vec::<f32>::new())),
        ],
        OpKind::Iota => vec![
            case(&[], 1, |g, _| g.iota([257], 0)),
            case(&[], 1, |g, _| g.iota([3, 5, 2], 1)),
            case(&[], 1, |g, _| g.iota([3, 5], 0).t()),
            case(&[], 1, |g, _| g.iota([2, 0], 0)),
            case(&[(&[7, 3], ANY)], 1, |g, x| x[0] * g.iota([7, 3], 1).cast(x[0].dtype().unwrap())),
        ],
        OpKind::Uniform => vec![
            case(&[], 1, |g, _| g.uniform([257], g.literal([], [3]), 12345)),
            case(&[], 1, |g, _| g.uniform([7, 13], g.literal([], [-1]), u64::MAX)),
            case(&[], 1, |g, _| g.uniform([], g.literal([], [0]), 0)),
            case(&[], 1, |g, _| g.uniform([0], g.literal([], [0]), 0)),
        ],
        OpKind::Unary(function) => unary_cases(function),
        OpKind::Binary(function) => binary_cases(function),
        OpKind::Compare(function) => {
            let cases = |element| binary(move |a, b| a.compare_function(function, b), element, element);
            [cases(ANY), cases(Element::Integer(-1, 1))].concat()
        }
        OpKind::Where => {
            let mut cases = binary(|a, b| a.greater(b).where_(a * a, b), ANY, Element::Float(-3.1, 2.9));
            cases.push(case(&[(&[3, 1], Element::Bool), (&[5], ANY), (&[], ANY)], 15, |_, x| x[0].where_(x[1], x[2])));
            cases.push(case(&[(&[9], Element::Bool), (&[9], INTEGER)], 1, |_, x| x[0].where_(x[1], 4)));
            cases
        }
        OpKind::Cast => vec![
            case(&[(&[257], ANY)], 1, |_, x| x[0].cast(DType::I32)),
            case(&[(&[7, 3], ANY)], 1, |_, x| x[0].t().cast(DType::Bool)),
            case(&[(&[257], INTEGER)], 1, |_, x| x[0].cast(DType::F32) * 0.5),
            case(&[(&[9], INTEGER)], 1, |_, x| x[0].cast(DType::Bool).cast(DType::I32)),
            case(&[(&[9], Element::Bool)], 1, |_, x| x[0].cast(DType::F32)),
            case(&[(&[0], ANY)], 1, |_, x| x[0].cast(DType::I32)),
            case(&[], 1, |g, _| g.literal([4], [3e9f32, -3e9, f32::NAN, -0.9]).cast(DType::I32)),
        ],
        // Differences would see the staircase, not the number that is meant.
        OpKind::RoundTo(half) => fixed(
            [
                unary(move |x| x.rounded_to(half), ANY),
                unary(move |x| (x * 1e5).rounded_to(half) + (x * 1e-6).rounded_to(half), ANY),
                unary(move |x| (x.rounded_to(half) * x).rounded_to(half), ANY),
            ]
            .concat(),
        ),
        // Differences would see through it.
        OpKind::StopGradient => fixed(unary(|x| x.stop_gradient() * x, ANY)),
        // In a group of one.
        OpKind::AllReduce => unary(|x| x.sin().all_reduce() * x, ANY),
        OpKind::CustomGradient => unary(|x| x.graph().apply(&Cube, &[x]), ANY),
        // It is never computed: a Jacobian puts the identity in its place.
        OpKind::Placeholder => vec![
            case(&[(&[5], ANY)], 5, |_, x| x[0].sin().jacobian(x[0]).expect("a Jacobian")),
            case(&[(&[2, 3], ANY), (&[3, 2], ANY)], 6, |_, x| (x[0].matmul(x[1])).jacobian(x[1]).expect("a Jacobian")),
            case(&[(&[2, 3], ANY), (&[3], ANY)], 6, |_, x| {
                x[0].matmul(x[1]).tanh().jacobian(x[0]).expect("a Jacobian")
            }),
        ],
        OpKind::Reshape => vec![
            case(&[(&[6, 4], ANY)], 1, |_, x| x[0].reshape([3, 8])),
            case(&[(&[6, 4], ANY)], 1, |_, x| x[0].t().reshape([3, 8]).exp()),
            case(&[(&[1], ANY)], 1, |_, x| x[0].reshape([])),
            case(&[(&[2, 0], ANY)], 1, |_, x| x[0].reshape([0, 7])),
            case(&[(&[3, 1], ANY)], 4, |_, x| x[0].broadcast_to([3, 4]).flatten()),
            case(&[(&[4, 5], ANY)], 1, |_, x| x[0].slice(1, 1, 4).flatten()),
        ],
        OpKind::Permute => vec![
            case(&[(&[17, 19], ANY)], 1, |_, x| x[0].t()),
            case(&[(&[2, 3, 4, 5], ANY)], 1, |_, x| x[0].permute([3, 1, 0, 2])),
            case(&[(&[3, 0, 2], ANY)], 1, |_, x| x[0].permute([2, 1, 0])),
            case(&[(&[4, 5], ANY)], 4, |_, x| x[0].t().broadcast_to([4, 5, 4]).transpose(0, 2)),
        ],
        OpKind::Broadcast => vec![
            case(&[(&[], ANY)], 257, |_, x| x[0].broadcast_to([257])),
            case(&[(&[3, 1], ANY)], 14, |_, x| x[0].broadcast_to([2, 3, 7])),
            case(&[(&[1, 1, 5], ANY)], 6, |_, x| x[0].broadcast_to([2, 3, 5])),
            case(&[(&[1, 3], ANY)], 1, |_, x| x[0].broadcast_to([0, 3])),
        ],
        OpKind::Slice => vec![
            case(&[(&[257, 2], ANY)], 1, |_, x| x[0].slice(0, 1, 257)),
            case(&[(&[13], ANY)], 1, |_, x| x[0].slice_step(0, 2, 13, 4)),
            case(&[(&[5, 7, 3], ANY)], 1, |_, x| x[0].slice(1, 2, 6).slice_step(0, 0, 5, 2).slice(2, 1, 2)),
            case(&[(&[5, 7], ANY)], 1, |_, x| x[0].slice(1, 3, 3)),
            case(&[(&[5, 7], ANY)], 1, |_, x| x[0].t().slice_step(0, 1, 7, 2)),
            case(&[(&[5, 7], ANY)], 1, |_, x| x[0].select_index(1, 6)),
        ],
        OpKind::Flip => vec![
            case(&[(&[257], ANY)], 1, |_, x| x[0].flip(0)),
            case(&[(&[5, 8, 3], ANY)], 1, |_, x| x[0].flip([0, 2]).exp()),
            case(&[(&[5, 8], ANY)], 8, |_, x| x[0].flip(..).sum(-1)),
            case(&[(&[5, 8], ANY)], 1, |_, x| x[0].flip(1).slice_step(1, 1, 8, 3).flip(..)),
            case(&[(&[4, 6], ANY), (&[6, 3], ANY)], 6, |_, x| x[0].flip(..).matmul(x[1].flip(0).t().flip(1).t())),
            case(&[(&[3, 0], ANY)], 1, |_, x| x[0].flip(..)),
            case(&[(&[9], INTEGER)], 1, |_, x| x[0].flip(0)),
        ],
        OpKind::Windows => vec![
            case(&[(&[257], ANY)], 5, |_, x| x[0].windows([0], [5], [1], [1])),
            case(&[(&[3, 40], ANY)], 4, |_, x| x[0].windows([1], [4], [3], [2]).exp()),
            case(&[(&[2, 12, 11], ANY)], 9, |_, x| x[0].windows([1, 2], [3, 3], [2, 1], [1, 2]).sum([-2, -1])),
            case(&[(&[2, 12, 12], ANY)], 4, |_, x| x[0].windows([1, 2], [2, 2], [2, 2], [1, 1]).max([3, 4])),
            case(&[(&[2, 3, 10], ANY), (&[4, 9], ANY)], 9, |_, x| {
                let columns = x[0].windows([2], [3], [1], [1]).permute([0, 1, 3, 2]).reshape([2, 9, 8]);
                x[1].matmul(columns)
            }),
            case(&[(&[50], ANY)], 40, |_, x| x[0].windows([0], [40], [1], [1])),
            case(&[(&[20], INTEGER)], 1, |_, x| x[0].windows([0], [4], [4], [1]).flip(1)),
        ],
        OpKind::Pad => vec![
            case(&[(&[257], ANY)], 1, |_, x| x[0].pad([(1, 2)], 0.5)),
            case(&[(&[3, 5], ANY)], 1, |_, x| x[0].t().pad([(2, 0), (0, 3)], -1.0)),
            case(&[(&[0, 2], ANY)], 1, |_, x| x[0].pad([(1, 1), (0, 1)], 2.0)),
            case(&[(&[4], INTEGER)], 1, |_, x| x[0].pad([(1, 1)], 7.0)),
            case(&[(&[3, 1], ANY)], 4, |_, x| x[0].broadcast_to([3, 4]).pad([(0, 1), (1, 0)], 0.0)),
        ],
        OpKind::Concat => vec![
            case(&[(&[257], ANY), (&[3], ANY)], 1, |g, x| g.concat(&[x[0], x[1]], 0)),
            case(&[(&[2, 3], ANY), (&[4, 2], ANY)], 2, |g, x| g.concat(&[x[0], x[1].t(), x[0]], 1)),
            case(&[(&[2, 0], ANY), (&[2, 3], ANY)], 1, |g, x| g.concat(&[x[0], x[1]], -1)),
            case(&[(&[3], ANY), (&[3], ANY)], 1, |g, x| g.stack(&[x[0], x[1].exp(), x[0] * 2.0], 1)),
            case(&[(&[2], INTEGER), (&[1], INTEGER)], 1, |g, x| g.concat(&[x[0], x[1]], 0)),
            // More pieces than a kernel may bind.
            case(&[(&[3, 2], ANY)], 11, |g, x| {
                let pieces: Vec<_> = (1..=11).map(|k| x[0] * f64::from(k)).collect();
                g.concat(&pieces, 0)
            }),
        ],
        OpKind::LinearAlgebra(function) => {
            let mut cases = Vec::new();
            matrices::for_each_case(function, &mut |shapes, f| {
                let operands: Vec<(&[usize], Element)> =
                    shapes.iter().map(|shape| (*shape, Element::Float(-1.0, 1.0))).collect();
                // Rounding is relative to the largest element, as that of a sum is.
                cases.push(case(&operands, 64, move |_, x| f(x)));
            });
            cases
        }
        OpKind::Reduce(function) => reduce_cases(function),
        OpKind::ArgMax => vec![
            case(&[(&[257], ANY)], 1, |_, x| x[0].argmax(0)),
            case(&[(&[5, 7, 3], ANY)], 1, |_, x| x[0].argmax(1)),
            case(&[(&[7, 257], ANY)], 1, |_, x| x[0].t().argmax(0)),
            case(&[(&[31], Element::Integer(0, 3))], 1, |_, x| x[0].argmax(0)),
            case(&[(&[3, 0], ANY)], 1, |_, x| x[0].argmax(0)),
            case(&[(&[1], ANY)], 1, |_, x| x[0].argmax(0)),
            case(&[], 1, |g, _| g.literal([2, 3], [1.0f32, f32::NAN, 2.0, f32::NEG_INFINITY, -5.0, -5.0]).argmax(1)),
        ],
        OpKind::MatMul => matmul_cases(),
        OpKind::Attention(result) => attention::cases(result),
        OpKind::Cumulative(function) => ordered::cumulative(function),
        OpKind::Recurrence => ordered::recurrence(),
        OpKind::ArgSort => ordered::argsort(),
        OpKind::SearchSorted => ordered::searchsorted(),
        OpKind::Convolution => vec![
            case(&[(&[3, 4, 9, 17], ANY), (&[6, 2, 3, 2], ANY)], 24, |_, x| {
                x[0].conv2d(x[1], None, &Convolution::new().stride([2, 1]).padding(1).groups(2))
            }),
            case(&[(&[2, 5, 40], ANY), (&[5, 1, 3], ANY)], 12, |_, x| {
                x[0].conv1d(x[1], None, &Convolution::new().dilation(2).padding(ConvolutionPadding::Same).groups(5))
            }),
            case(&[(&[2, 3, 5, 6], ANY), (&[3, 4, 3, 3], ANY)], 40, |_, x| {
                x[0].conv_transpose2d(x[1], None, &ConvolutionTranspose::new().stride(2).padding(1).output_padding(1))
            }),
            case(&[(&[2, 4, 5, 6, 7], ANY), (&[4, 2, 2, 3, 1], ANY)], 20, |_, x| {
                x[0].conv3d(x[1], None, &Convolution::new().groups(2))
            }),
        ],
        OpKind::Gather => vec![
            case(&[(&[257, 2], ANY), (&[300, 2], Element::Integer(0, 256))], 12, |_, x| x[0].gather(0, x[1])),
            case(&[(&[3, 5], ANY), (&[3, 4], Element::Integer(0, 4))], 4, |_, x| x[0].gather(1, x[1])),
            case(&[(&[5, 3], ANY), (&[4, 3], Element::Integer(0, 4))], 4, |_, x| x[0].t().gather(-1, x[1].t())),
            case(&[(&[3, 2], ANY), (&[0, 2], Element::Integer(0, 0))], 1, |_, x| x[0].gather(0, x[1])),
            case(&[(&[7, 3], ANY), (&[2, 5], Element::Integer(0, 6))], 10, |_, x| x[0].index_select(0, x[1])),
            case(&[(&[4, 6], INTEGER), (&[3], Element::Integer(0, 5))], 1, |_, x| x[0].index_select(1, x[1])),
        ],
        OpKind::Scan => {
            let over = |steps: usize, reverse: bool| {
                let operands: [(&[usize], Element); 3] = [(&[2, 5], ANY), (&[steps, 2, 3], ANY), (&[3, 5], ANY)];
                case(&operands, 5 * steps.max(1), move |g, x| {
                    let options = ScanOptions { reverse, ..ScanOptions::default() };
                    let scanned = g.scan_with(options, &[x[0]], &[x[1]], |carries, elements| {
                        let next = (elements[0].matmul(x[2]) + carries[0]).tanh();
                        (vec![next], vec![next * carries[0]])
                    });
                    let scanned = scanned.expect("a loop");
                    scanned.outputs[0] + scanned.carries[0]
                })
            };
            vec![over(0, false), over(1, true), over(5, false), over(7, true)]
        }
        OpKind::ScatterReduce(function) => {
            let reduction = match function {
                ScatterFunction::Mul => Some(ScatterReduction::Prod),
                ScatterFunction::Max => Some(ScatterReduction::Amax),
                ScatterFunction::Min => Some(ScatterReduction::Amin),
                ScatterFunction::Replace => None,
            };
            fn scattered<'g>(
                reduction: Option<ScatterReduction>,
                x: Expr<'g>,
                axis: isize,
                [indices, updates]: [Expr<'g>; 2],
            ) -> Expr<'g> {
                match reduction {
                    Some(reduction) => x.scatter_reduce(axis, indices, updates, reduction, true),
                    None => x.scatter(axis, indices, updates),
                }
            }
            let numbers = Element::Float(0.5, 1.5);
            let updates = |data: &[usize], shape: &[usize], bound: i64, terms: usize, axis: isize| {
                let operands = [(data, numbers), (shape, Element::Integer(0, bound)), (shape, numbers)];
                case(&operands, terms, move |_, x| scattered(reduction, x[0], axis, [x[1], x[2]]))
            };
            vec![
                updates(&[5], &[57], 4, 57, 0),
                updates(&[7, 3], &[13, 3], 6, 13, 0),
                updates(&[3, 5], &[2, 11], 4, 11, 1),
                updates(&[3, 2], &[0, 2], 0, 1, 0),
                case(&[(&[2, 3], INTEGER), (&[4, 3], Element::Integer(0, 1)), (&[4, 3], INTEGER)], 4, move |_, x| {
                    scattered(reduction, x[0], 0, [x[1], x[2]])
                }),
                case(&[(&[3, 4], numbers), (&[5, 3], Element::Integer(0, 3)), (&[3, 1], numbers)], 5, move |_, x| {
                    scattered(reduction, x[0], 1, [x[1].t(), x[2].broadcast_to([3, 5])])
                }),
            ]
        }
        OpKind::ScatterAdd => {
            let updates = |data: &[usize], shape: &[usize], bound: i64, terms: usize, axis: isize| {
                let operands = [(data, ANY), (shape, Element::Integer(0, bound)), (shape, ANY)];
                case(&operands, terms, move |_, x| x[0].scatter_add(axis, x[1], x[2]))
            };
            vec![
                updates(&[5], &[257], 4, 257, 0),
                updates(&[7, 3], &[13, 3], 6, 13, 0),
                updates(&[3, 5], &[2, 11], 4, 11, 1),
                updates(&[3, 2], &[0, 2], 0, 1, 0),
                case(&[(&[2, 3], INTEGER), (&[4, 3], Element::Integer(0, 1)), (&[4, 3], INTEGER)], 4, |_, x| {
                    x[0].scatter_add(0, x[1], x[2])
                }),
                case(&[(&[3, 4], ANY), (&[5, 3], Element::Integer(0, 3)), (&[3, 1], ANY)], 5, |_, x| {
                    x[0].scatter_add(1, x[1].t(), x[2].broadcast_to([3, 5]))
                }),
            ]
        }
    }
}

/// What elements of a dtype a function of numbers is tried with; `domain` is that of its floats.
fn element(dtype: DType, (low, high): (f64, f64)) -> Option<Element> {
    match dtype {
        DType::F32 => Some(Element::Float(low, high)),
        // The suite runs every case of floats in both.
        DType::F64 => None,
        DType::I32 => Some(INTEGER),
        DType::Bool => Some(Element::Bool),
    }
}

fn unary_cases(function: UnaryFunction) -> Vec<Case> {
    let row = function.row();
    let elements = row.dtypes.iter().filter_map(|&dtype| element(dtype, row.domain));
    let mut cases: Vec<Case> =
        elements.flat_map(|element| unary(move |x| x.unary_function(function), element)).collect();
    // Where a plain formula would lose its digits.
    if matches!(function, UnaryFunction::Expm1 | UnaryFunction::Log1p) {
        cases.extend(unary(move |x| (x * EXACT_SMALL).unary_function(function) / EXACT_SMALL, ANY));
    }
    // Where the function is flat.
    if matches!(function, UnaryFunction::Tanh | UnaryFunction::Sigmoid) {
        cases.extend(fixed(unary(move |x| (x * 128.0).unary_function(function), ANY)));
    }
    // Over several periods.
    if matches!(function, UnaryFunction::Sin | UnaryFunction::Cos) {
        cases.extend(unary(move |x| x.unary_function(function), Element::Float(-9.0, 9.0)));
    }
    cases
}

fn binary_cases(function: BinaryFunction) -> Vec<Case> {
    let row = function.row();
    let mut cases = Vec::new();
    for &dtype in row.dtypes {
        if let [Some(lhs), Some(rhs)] = row.domain.map(|domain| element(dtype, domain)) {
            cases.extend(binary(move |a, b| a.binary_function(function, b), lhs, rhs));
        }
    }
    if function == BinaryFunction::Pow {
        cases.push(case(&[(&[37], ANY)], 1, |_, x| x[0].pow(5.0) + x[0].pow(4.0)));
        cases.push(case(&[(&[6], ANY)], 1, |g, x| {
            let exponent = g.literal([6], [0.0f32, 1.0, 2.0, 3.0, -1.0, -2.0]).cast(x[0].dtype().unwrap());
            x[0].pow(exponent)
        }));
    }
    cases
}

fn reduce_cases(function: ReduceFunction) -> Vec<Case> {
    let reduce: for<'g> fn(Expr<'g>, &[isize]) -> Expr<'g> = match function {
        ReduceFunction::Sum => |x, axes| x.sum(axes),
        ReduceFunction::Max => |x, axes| x.max(axes),
        ReduceFunction::Min => |x, axes| x.min(axes),
        ReduceFunction::Product => |x, axes| x.prod(axes),
    };
    let shapes: [(&[usize], &'static [isize], usize); 9] = [
        (&[257], &[0], 257),
        (&[1], &[0], 1),
        (&[257, 3], &[0], 257),
        (&[3, 257], &[1], 257),
        (&[5, 7, 3], &[1], 7),
        (&[5, 7, 3], &[0, 2], 15),
        (&[2, 3, 4, 5], &[1, 3], 15),
        (&[7, 13], &[0, 1], 91),
        (&[3, 0, 2], &[0], 1),
    ];
    // Products of many elements far from 1 leave the range in which differences have digits.
    let element = if function == ReduceFunction::Product { Element::Float(0.7, 1.35) } else { ANY };
    let mut cases: Vec<Case> = shapes
        .into_iter()
        .map(|(shape, axes, terms)| case(&[(shape, element)], terms, move |_, x| reduce(x[0], axes)))
        .collect();
    cases.extend([
        case(&[(&[7, 11], element)], 11, move |_, x| reduce(x[0].t(), &[0])),
        case(&[(&[7, 11], element)], 9, move |_, x| reduce(x[0].slice(1, 1, 10), &[1])),
        case(&[(&[37], element)], 12, move |_, x| reduce(x[0].slice_step(0, 1, 37, 3), &[0])),
        case(&[(&[4, 9], element)], 9, move |_, x| reduce((x[0] * 2.0).sin(), &[1]).exp()),
        case(&[(&[7, 5], INTEGER)], 7, move |_, x| reduce(x[0], &[0])),
    ]);
    if function == ReduceFunction::Sum {
        cases.push(case(&[(&[0, 3], ANY)], 1, |_, x| x[0].sum(0)));
        cases.push(case(&[(&[5], ANY)], 20, |_, x| x[0].broadcast_to([4, 5]).sum(..)));
        cases.push(case(&[(&[7, 9], ANY)], 63, |_, x| x[0].var([0, 1], 1.0) + x[0].mean(0).sum(..)));
    }
    cases
}

fn matmul_cases() -> Vec<Case> {
    let shapes: [(&[usize], &[usize], usize); 16] = [
        (&[1, 1], &[1, 1], 1),
        (&[2, 3], &[3, 5], 5),
        (&[17, 19], &[19, 23], 23),
        (&[65, 33], &[33, 67], 67),
        (&[1, 257], &[257, 1], 257),
        (&[257, 1], &[1, 3], 257),
        (&[64, 16], &[16, 32], 64),
        (&[9], &[9], 9),
        (&[4, 9], &[9], 9),
        (&[9], &[9, 4], 9),
        (&[3, 4, 5], &[5, 2], 12),
        (&[2, 1, 4, 5], &[3, 5, 6], 18),
        (&[2, 3], &[4, 3, 2], 12),
        (&[2, 0], &[0, 3], 1),
        (&[0, 2], &[2, 3], 3),
        (&[2, 3], &[3, 0], 1),
    ];
    let mut cases: Vec<Case> =
        shapes.iter().map(|(a, b, terms)| case(&[(a, ANY), (b, ANY)], *terms, |_, x| x[0].matmul(x[1]))).collect();
    cases.extend([
        case(&[(&[7, 5], ANY), (&[7, 11], ANY)], 11, |_, x| x[0].t().matmul(x[1])),
        case(&[(&[5, 7], ANY), (&[11, 7], ANY)], 11, |_, x| x[0].matmul(x[1].t())),
        case(&[(&[7, 5], ANY), (&[11, 7], ANY)], 11, |_, x| x[0].t().matmul(x[1].t())),
        case(&[(&[2, 7, 5], ANY), (&[2, 11, 7], ANY)], 22, |_, x| x[0].matmul_with(x[1], true, true)),
        case(&[(&[9, 14], ANY), (&[12, 5], ANY)], 9, |_, x| x[0].slice(1, 1, 13).matmul(x[1])),
        case(&[(&[9, 24], ANY), (&[12, 5], ANY)], 12, |_, x| x[0].slice_step(1, 0, 24, 2).matmul(x[1])),
        case(&[(&[6], ANY), (&[6, 5], ANY)], 20, |_, x| x[0].broadcast_to([4, 6]).matmul(x[1])),
        case(&[(&[3, 2, 4], ANY), (&[4, 5], ANY)], 6, |_, x| x[0].transpose(0, 1).matmul(x[1])),
        case(&[(&[8, 6], ANY), (&[6, 4], ANY), (&[4], ANY)], 8, |_, x| (x[0].matmul(x[1]) * 0.1 + x[2]).tanh()),
        case(&[(&[6, 6], ANY)], 12, |_, x| x[0].matmul(x[0])),
    ]);
    cases
}
