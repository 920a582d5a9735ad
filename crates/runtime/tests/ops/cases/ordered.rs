//! The cases of operations along an axis that depend on the order of the elements there.

use arenagrad::Expr;
use arenagrad::graph::CumulativeFunction;

use super::{ANY, Case, Element, INTEGER, case};

pub(super) fn cumulative(function: CumulativeFunction) -> Vec<Case> {
    let of: for<'g> fn(Expr<'g>, isize) -> Expr<'g> = match function {
        CumulativeFunction::Sum => |x, axis| x.cumsum(axis),
        CumulativeFunction::Product => |x, axis| x.cumprod(axis),
        CumulativeFunction::ArgMax => |x, axis| x.cummax(axis).1,
        CumulativeFunction::ArgMin => |x, axis| x.cummin(axis).1,
    };
    let shapes: [(&[usize], isize); 10] = [
        (&[1], 0),
        (&[0], 0),
        (&[63], 0),
        (&[257], 0),
        (&[7, 13], 0),
        (&[7, 13], 1),
        (&[70, 9], -1),
        (&[2, 65, 3], 1),
        (&[2, 0, 3], 0),
        (&[2, 3, 2, 2], 2),
    ];
    let mut cases: Vec<Case> = shapes
        .into_iter()
        .map(|(shape, axis)| {
            case(&[(shape, ANY)], shape[axis.rem_euclid(shape.len() as isize) as usize].max(1), move |_, x| {
                of(x[0], axis)
            })
        })
        .collect();
    cases.extend([
        case(&[(&[5, 7], ANY)], 7, move |_, x| of(x[0].t(), 0)),
        case(&[(&[6, 11], ANY)], 7, move |_, x| of(x[0].slice(1, 3, 10), 1)),
        case(&[(&[23], ANY)], 23, move |_, x| of(x[0].flip(0), 0)),
        case(&[(&[3, 1], ANY)], 9, move |_, x| of(x[0].broadcast_to([3, 9]), 1)),
        case(&[(&[9, 4], INTEGER)], 1, move |_, x| of(x[0], 0)),
        case(&[(&[40], Element::Integer(0, 2))], 1, move |_, x| of(x[0], 0)),
    ]);
    match function {
        CumulativeFunction::Sum => {}
        // Zeros, one and several: in a literal, so that differences do not move them.
        CumulativeFunction::Product => {
            cases.push(case(&[(&[12], ANY)], 12, |g, x| {
                let kept: Vec<f32> = (0..12).map(|i| if i % 5 == 3 { 0.0 } else { 1.0 }).collect();
                (x[0] * g.literal([12], kept).cast(x[0].dtype().expect("a good expression"))).cumprod(0)
            }));
        }
        CumulativeFunction::ArgMax | CumulativeFunction::ArgMin => cases.push(case(&[], 1, move |g, _| {
            let nan = f32::NAN;
            of(g.literal([2, 6], [1.0, nan, 2.0, nan, 3.0, 4.0, -0.0, 0.0, -1.0, -0.0, 0.0, f32::INFINITY]), 1)
        })),
    }
    cases
}

pub(super) fn recurrence() -> Vec<Case> {
    let shapes: [(&[usize], isize); 8] = [
        (&[1], 0),
        (&[0], 0),
        (&[257], 0),
        (&[7, 13], 0),
        (&[7, 13], 1),
        (&[70, 9], -1),
        (&[2, 65, 3], 1),
        (&[2, 3, 2, 2], 2),
    ];
    let small = Element::Float(-0.9, 0.9);
    let mut cases: Vec<Case> = shapes
        .into_iter()
        .map(|(shape, axis)| case(&[(shape, ANY), (shape, small)], 30, move |_, x| x[0].linear_recurrence(x[1], axis)))
        .collect();
    cases.push(case(&[(&[5, 7], ANY), (&[7], small)], 30, |_, x| {
        x[0].t().linear_recurrence(x[1].unsqueeze(1).broadcast_to([7, 5]), 0)
    }));
    cases
}

pub(super) fn argsort() -> Vec<Case> {
    let sorted = |shape: &[usize], element: Element, axis: isize, is_descending: bool| {
        case(&[(shape, element)], 1, move |_, x| x[0].argsort(axis, is_descending))
    };
    let first = |shape: &[usize], axis: isize, k: usize, is_largest: bool| {
        case(&[(shape, ANY)], 1, move |_, x| x[0].topk(k, axis, is_largest).0)
    };
    vec![
        sorted(&[1], ANY, 0, false),
        sorted(&[0], ANY, 0, false),
        sorted(&[63], ANY, 0, true),
        sorted(&[64], ANY, 0, false),
        sorted(&[65], ANY, 0, false),
        sorted(&[257], ANY, 0, true),
        sorted(&[5, 70], ANY, 1, false),
        sorted(&[70, 5], ANY, 0, true),
        sorted(&[2, 66, 3], ANY, 1, false),
        sorted(&[3, 0, 2], ANY, 0, false),
        // Ties keep their order, either way.
        sorted(&[200], Element::Integer(-2, 2), 0, false),
        sorted(&[3, 40], Element::Integer(-2, 2), 1, true),
        first(&[70, 5], 0, 3, true),
        first(&[5, 100], 1, 7, false),
        first(&[9], 0, 9, true),
        case(&[(&[6, 7], ANY)], 1, |_, x| x[0].t().sort(0, false).0),
        case(&[(&[6, 7], ANY)], 1, |_, x| x[0].sort(-1, true).0.cumsum(1)),
        case(&[(&[4, 9], ANY)], 1, |_, x| x[0].median(1).0 + x[0].kthvalue(2, 1).0),
        case(&[], 1, |g, _| {
            let nan = f32::NAN;
            g.literal([2, 5], [1.0, nan, -1.0, f32::INFINITY, nan, -0.0, 0.0, f32::NEG_INFINITY, 0.0, -0.0])
                .argsort(1, false)
        }),
        case(&[], 1, |g, _| g.literal([5], [1.0, f32::NAN, -0.0, 0.0, f32::NAN]).argsort(0, true)),
    ]
}

pub(super) fn searchsorted() -> Vec<Case> {
    let search = |sequence: &[usize], values: &[usize], element: Element, is_right: bool| {
        case(&[(sequence, element), (values, element)], 1, move |_, x| {
            x[0].sort(-1, false).0.searchsorted(x[1], is_right)
        })
    };
    let few = Element::Integer(-4, 4);
    vec![
        search(&[12], &[40], ANY, false),
        search(&[257], &[3, 5], ANY, true),
        search(&[1], &[3], ANY, false),
        search(&[0], &[3], ANY, false),
        search(&[5], &[0], ANY, false),
        search(&[5], &[], ANY, false),
        search(&[30], &[50], few, false),
        search(&[30], &[50], few, true),
        search(&[3, 20], &[3, 7], few, true),
        search(&[2, 3, 9], &[2, 3, 1], ANY, false),
        case(&[(&[9], ANY), (&[4, 3], ANY)], 1, |_, x| x[1].t().bucketize(x[0].sort(0, false).0, true)),
        case(&[], 1, |g, _| {
            let sequence = g.literal([4], [-1.0f32, 0.0, 0.0, f32::INFINITY]);
            let values = g.literal([6], [f32::NAN, -0.0, f32::INFINITY, f32::NEG_INFINITY, 0.0, 1.0]);
            sequence.searchsorted(values, false)
        }),
    ]
}
