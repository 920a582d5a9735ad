//! In which order operands are multiplied, two at a time.
//!
//! A product of two costs as many multiplications as its labels have combinations. Of few operands every order is tried, each set of them
//! once; of many the pair with the smallest result is taken, again and again.

use super::Label;

/// The most operands of which every order is tried: the sets of eight that split in two are 3^8.
const TRIED: usize = 8;

/// Pairs of places in a list of terms, the first before the second: both leave the list, and their product is put at its end.
pub(super) fn order(
    operands: Vec<Vec<Label>>,
    result: &[Label],
    extents: &dyn Fn(Label) -> usize,
) -> Vec<(usize, usize)> {
    match operands.len() {
        0 | 1 => Vec::new(),
        2 => vec![(0, 1)],
        3..=TRIED => cheapest(&operands, result, extents),
        _ => greedy(operands, result, extents),
    }
}

fn size(labels: &[Label], extents: &dyn Fn(Label) -> usize) -> f64 {
    labels.iter().map(|&label| extents(label) as f64).product()
}

fn union(lhs: &[Label], rhs: &[Label]) -> Vec<Label> {
    lhs.iter().copied().chain(rhs.iter().copied().filter(|label| !lhs.contains(label))).collect()
}

/// The cheapest order of all: of each set of operands, how it is best made of two smaller ones.
fn cheapest(operands: &[Vec<Label>], result: &[Label], extents: &dyn Fn(Label) -> usize) -> Vec<(usize, usize)> {
    let count = operands.len();
    let all = (1usize << count) - 1;
    // What a set's product has: the labels that the result or an operand outside the set has, too.
    let labels_of = |set: usize| -> Vec<Label> {
        let of = |wanted: bool| {
            let members = operands.iter().enumerate().filter(move |(i, _)| (set >> i & 1 == 1) == wanted);
            members.fold(Vec::new(), |labels, (_, own)| union(&labels, own))
        };
        let outside = of(false);
        of(true).into_iter().filter(|label| result.contains(label) || outside.contains(label)).collect()
    };
    let labels: Vec<Vec<Label>> = (0..=all).map(labels_of).collect();
    let mut costs = vec![0.0f64; all + 1];
    let mut splits = vec![0usize; all + 1];
    for set in 1..=all {
        if set.is_power_of_two() {
            continue;
        }
        costs[set] = f64::INFINITY;
        // Each split once: the half with the lowest operand, from the largest down.
        let lowest = set & set.wrapping_neg();
        let mut half = (set - 1) & set;
        while half > 0 {
            let other = set & !half;
            if half & lowest != 0 {
                let cost = costs[half] + costs[other] + size(&union(&labels[half], &labels[other]), extents);
                if cost < costs[set] || splits[set] == 0 {
                    (costs[set], splits[set]) = (cost, half);
                }
            }
            half = (half - 1) & set;
        }
    }
    // From the whole set down, then the other way round: what a product is made of comes first.
    let mut steps = Vec::new();
    let mut waiting = vec![all];
    while let Some(set) = waiting.pop() {
        if !set.is_power_of_two() {
            let (half, other) = (splits[set], set & !splits[set]);
            steps.push((half, other));
            waiting.extend([half, other]);
        }
    }
    let mut places: Vec<usize> = (0..count).map(|i| 1 << i).collect();
    let mut pairs = Vec::with_capacity(steps.len());
    for (half, other) in steps.into_iter().rev() {
        let place = |wanted: usize| places.iter().position(|&set| set == wanted).unwrap_or_default();
        let (first, second) = (place(half).min(place(other)), place(half).max(place(other)));
        places.remove(second);
        places.remove(first);
        places.push(half | other);
        pairs.push((first, second));
    }
    pairs
}

/// The pair with the smallest result each time, and of equal ones the first.
fn greedy(mut terms: Vec<Vec<Label>>, result: &[Label], extents: &dyn Fn(Label) -> usize) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    while terms.len() > 1 {
        let product = |first: usize, second: usize| -> Vec<Label> {
            let is_needed = |label: &Label| {
                let outside = |(i, term): (usize, &Vec<Label>)| i != first && i != second && term.contains(label);
                result.contains(label) || terms.iter().enumerate().any(outside)
            };
            union(&terms[first], &terms[second]).into_iter().filter(is_needed).collect()
        };
        let mut best = (0, 1);
        let mut smallest = f64::INFINITY;
        for first in 0..terms.len() {
            for second in first + 1..terms.len() {
                let size = size(&product(first, second), extents);
                if size < smallest {
                    (best, smallest) = ((first, second), size);
                }
            }
        }
        let (first, second) = best;
        let labels = product(first, second);
        terms.remove(second);
        terms.remove(first);
        terms.push(labels);
        pairs.push(best);
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A chain of matrices `[n0, n1], [n1, n2], ..` of the extents of labels 0, 1, ..
    fn chain(extents: &[usize]) -> Vec<(usize, usize)> {
        let last = extents.len() as Label - 1;
        let operands = (0..last).map(|i| vec![i, i + 1]).collect();
        order(operands, &[0, last], &|label| extents[label as usize])
    }

    #[test]
    fn the_cheapest_order_of_a_chain() {
        // A long vector at the right end: from there.
        assert_eq!(chain(&[100, 100, 100, 1]), [(1, 2), (0, 1)]);
        assert_eq!(chain(&[1, 100, 100, 100]), [(0, 1), (0, 1)]);
        // (a (b c)) d costs 10 20 5 + 5 10 30 ..: the textbook's chain of six matrices.
        let pairs = chain(&[30, 35, 15, 5, 10, 20, 25]);
        assert_eq!(pairs.len(), 5);
        assert_eq!(pairs[pairs.len() - 1], (0, 1));
    }

    #[test]
    fn many_operands_are_paired_by_the_smallest_result() {
        let extents: Vec<usize> = std::iter::once(1).chain(std::iter::repeat_n(7, 11)).collect();
        let pairs = chain(&extents);
        assert_eq!(pairs.len(), 10);
        // The row goes through all of them: each product is a row.
        assert_eq!(pairs[0], (0, 1));
    }
}
