//! The cases of attention and its results.

use arenagrad::graph::{AttentionBackward, AttentionNode, AttentionResult, Op, Origin};
use arenagrad::{DType, Expr, Graph};

use super::{Case, Element, case};

/// How an operand of attention lies before it is one.
type Arrange = for<'g> fn(Expr<'g>) -> Expr<'g>;

/// Attention over tiles that are whole and that are not, over heads beside one another, repeated and reversed operands, and masks of both kinds.
pub(super) fn cases(result: AttentionResult) -> Vec<Case> {
    struct Shapes {
        query: &'static [usize],
        key: &'static [usize],
        width: usize,
        mask: Option<(&'static [usize], Element)>,
        is_causal: bool,
        arrange: Arrange,
    }
    const SMALL: Element = Element::Float(-1.0, 1.0);
    let plain = Shapes { query: &[2, 3, 4], key: &[2, 5, 4], width: 3, mask: None, is_causal: false, arrange: |x| x };
    let shapes = vec![
        Shapes { ..plain },
        Shapes { query: &[1, 1, 1], key: &[1, 1, 1], width: 1, ..plain },
        Shapes { query: &[4, 70, 5], key: &[2, 131, 5], width: 33, is_causal: true, ..plain },
        Shapes { query: &[2, 130, 36], key: &[1, 66, 36], width: 8, is_causal: true, ..plain },
        Shapes {
            query: &[3, 2, 65, 16],
            key: &[3, 2, 64, 16],
            width: 20,
            mask: Some((&[3, 1, 65, 1], SMALL)),
            ..plain
        },
        Shapes { query: &[2, 65, 7], key: &[2, 67, 7], width: 2, mask: Some((&[1, 65, 67], Element::Bool)), ..plain },
        Shapes {
            query: &[2, 5, 3],
            key: &[2, 9, 3],
            width: 4,
            mask: Some((&[2, 1, 9], Element::Bool)),
            is_causal: true,
            ..plain
        },
        Shapes { query: &[2, 65, 2, 8], key: &[2, 67, 2, 8], width: 8, arrange: |x| x.transpose(1, 2), ..plain },
        Shapes { query: &[4, 5, 3], key: &[4, 6, 3], width: 4, arrange: |x| x.flip([0, 1]), ..plain },
        Shapes {
            query: &[5, 3, 4],
            key: &[6, 3, 4],
            width: 4,
            arrange: |x| x.permute([1, 0, 2]),
            is_causal: true,
            ..plain
        },
        Shapes { query: &[2, 3, 4], key: &[2, 0, 4], ..plain },
        Shapes { query: &[2, 0, 4], key: &[2, 3, 4], ..plain },
    ];
    let mut cases = Vec::new();
    for Shapes { query, key, width, mask, is_causal, arrange } in shapes {
        let graph = Graph::new();
        let arranged = |shape: &[usize]| arrange(graph.ones(shape, DType::F32)).shape().expect("a shape").to_vec();
        let with_width = |shape: &[usize]| [&shape[..shape.len() - 1], &[width]].concat();
        let value = with_width(key);
        let mut operands: Vec<(Vec<usize>, Element)> =
            vec![(query.to_vec(), SMALL), (key.to_vec(), SMALL), (value.clone(), SMALL)];
        operands.extend(mask.map(|(mask, element)| (mask.to_vec(), element)));
        if result.is_gradient() {
            let rows = arranged(query);
            let rows = rows[..rows.len() - 1].to_vec();
            operands.push((with_width(query), SMALL));
            operands.extend([([&rows[..], &[2]].concat(), Element::Float(0.5, 1.5)), (rows, SMALL)]);
        }
        let keys = arranged(key);
        let terms = keys[keys.len() - 2] * arranged(query)[keys.len() - 2].max(1);
        let operands: Vec<(&[usize], Element)> =
            operands.iter().map(|(shape, element)| (shape.as_slice(), *element)).collect();
        // Derivatives are composed of other ops: a few small cases show that they are right ones.
        let is_small = query.iter().product::<usize>() * key.iter().product::<usize>() <= 4000;
        // Those of softmax statistics are the derivatives of their sum.
        let sums = is_small && result == AttentionResult::SoftmaxStatistics;
        let mut made = case(&operands, terms, move |g, x| {
            let first = 3 + usize::from(mask.is_some());
            let laid = |place: usize| arrange(x[place]).id().expect("an operand");
            let id = |place: usize| x[place].id().expect("an operand");
            let node = AttentionNode {
                query: laid(0),
                key: laid(1),
                value: laid(2),
                mask: mask.is_some().then(|| id(3)),
                is_causal,
                scale: 0.5,
                backward: result.is_gradient().then(|| AttentionBackward {
                    upstream: laid(first),
                    statistics: id(first + 1),
                    weighted: id(first + 2),
                }),
                result,
            };
            let y = g.expr(g.insert(Op::Attention(Box::new(node)), None, None, Origin::here()).expect("attention"));
            if sums { y.sum(-1) } else { y }
        });
        made.differentiable = is_small;
        cases.push(made);
    }
    cases
}
