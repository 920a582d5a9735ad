//! Sums whose order depends on nothing but how many there are.

use super::Values;

/// The sum of lists of one type and length by a fixed tree: neighbours first, then neighbours of these sums. So the bits depend on the lists
/// alone, and not on who had which.
pub(crate) fn tree_sum(mut lists: Vec<Values>) -> Option<Values> {
    while lists.len() > 1 {
        let mut sums = Vec::with_capacity(lists.len().div_ceil(2));
        let mut rest = lists.into_iter();
        while let Some(mut sum) = rest.next() {
            if let Some(other) = rest.next() {
                sum.add(&other);
            }
            sums.push(sum);
        }
        lists = sums;
    }
    lists.pop()
}

#[cfg(test)]
mod tests {
    use super::{Values, tree_sum};

    #[test]
    fn the_order_is_that_of_a_tree() {
        let lists = [1e8f32, 1.0, -1e8, 1.0, 0.5].map(|x| Values::from(vec![x])).to_vec();
        // (1e8 + 1) + (-1e8 + 1), then 0.5: the ones are lost beside 1e8.
        let expected = ((1e8f32 + 1.0) + (-1e8 + 1.0)) + 0.5;
        assert_eq!(tree_sum(lists), Some(Values::from(vec![expected])));
        assert_eq!(tree_sum(Vec::new()), None);
    }
}
