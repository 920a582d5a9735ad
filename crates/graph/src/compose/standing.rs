//! Bools that stand in the graph: where they hold is known before anything runs.
//!
//! They are literals and constants, and views of these. What was computed does not stand in the graph, of whatever it was computed.

use crate::expr::Expr;
use crate::op::{Leaf, Op};
use crate::views::{Views, shown_by};

impl<'g> Expr<'g> {
    /// Whether the elements stand in the graph.
    pub(crate) fn stands_in_graph(self) -> bool {
        let arena = self.graph().arena();
        let mut next = self.raw();
        while let Some(node) = next.and_then(|id| arena.nodes.get(id.key)) {
            if let Op::Leaf(leaf) = &node.op {
                return matches!(leaf, Leaf::Literal { .. } | Leaf::Constant { .. });
            }
            next = shown_by(&node.op);
        }
        false
    }

    /// The places, in row-major order, at which this tensor is not 0; none if it does not stand in the graph.
    pub(crate) fn places_that_hold(self) -> Option<Vec<usize>> {
        let arena = self.graph().arena();
        let id = self.raw()?;
        let elements = arena.nodes.get(id.key)?.shape.elements();
        let (leaf, views) = arena.views_down_to_leaf(id)?;
        let Op::Leaf(leaf) = &arena.nodes.get(leaf.key)?.op else { return None };
        if let Leaf::Constant { value } = leaf {
            return Some(if *value == 0.0 { Vec::new() } else { (0..elements).collect() });
        }
        let Leaf::Literal { data } = leaf else { return None };
        // Each element is followed to the literal by itself: what lies between may be larger than both.
        let views = Views::new(elements, views);
        let holds: Vec<bool> = data.to_f64_vec().into_iter().map(|element| element != 0.0).collect();
        Some(views.places().enumerate().filter(|&(_, origin)| holds[origin]).map(|(place, _)| place).collect())
    }
}

#[cfg(test)]
mod tests {
    use crate::{DType, Graph};

    #[test]
    fn views_of_what_stands_in_the_graph_stand_there_too() {
        let g = Graph::new();
        let mask = g.literal([2, 3], [true, false, false, false, true, true]);
        assert_eq!(mask.places_that_hold(), Some(vec![0, 4, 5]));
        assert!(mask.slice(1, 1, 3).stands_in_graph() && !(!mask).stands_in_graph());
        assert_eq!(mask.reshape([6]).flip([0]).places_that_hold(), Some(vec![0, 1, 5]));
        assert_eq!(mask.t().places_that_hold(), Some(vec![0, 3, 5]));
        assert_eq!(mask.slice(1, 1, 3).stop_gradient().places_that_hold(), Some(vec![2, 3]));
        assert_eq!(mask.unsqueeze(0).broadcast_to([2, 2, 3]).places_that_hold(), Some(vec![0, 4, 5, 6, 10, 11]));
        assert_eq!(mask.unfold(1, 2, 1).places_that_hold(), Some(vec![0, 5, 6, 7]));
        assert_eq!(g.full([2, 2], 1.0, DType::Bool).slice(0, 0, 1).places_that_hold(), Some(vec![0, 1]));
        assert_eq!(g.full([2, 2], 0.0, DType::Bool).places_that_hold(), Some(Vec::new()));
        assert_eq!(mask.slice(0, 0, 0).places_that_hold(), Some(Vec::new()));
        // What is broadcast on the way need not fit anywhere.
        let wide = mask.unsqueeze(2).broadcast_to([2, 3, 1 << 40]).slice(2, 5, 7);
        assert_eq!(wide.slice(0, 0, 1).places_that_hold(), Some(vec![0, 1]));
        assert_eq!(g.input_of("given", [2], DType::Bool).places_that_hold(), None);
        assert_eq!((!mask).places_that_hold(), None);
    }
}
