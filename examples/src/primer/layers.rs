//! A layered layout of a directed acyclic graph, from left to right, after K. Sugiyama and others (1981).
//!
//! A node stands in the layer right of the last of its sources. What leaves a node for layers further on shares one lane, a
//! place in each layer between, so that no arc crosses a box. The order within a layer follows the mean position of the
//! neighbours, and so do the heights, as far as the boxes leave room. This module knows boxes and arcs, and no text.

/// The places of boxes and lanes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Layout {
    /// The layer of each node.
    pub(super) layer: Vec<usize>,
    /// The middle of each node's box, vertically; the topmost edge of all is at 0.
    pub(super) middle: Vec<f64>,
    /// For each node the middle of its lane in each layer after its own and before the last that it leads to.
    pub(super) lanes: Vec<Vec<f64>>,
    /// The height of the whole.
    pub(super) height: f64,
}

/// Lays out nodes of those heights. `sources` are the nodes that each is reached from, all of smaller numbers.
pub(super) fn layered(heights: &[f64], sources: &[Vec<usize>]) -> Layout {
    const LANE: f64 = 14.0;
    let (layer, last) = layers(sources);
    let item = |layer, height| Item { layer, height, middle: 0.0, before: Vec::new(), after: Vec::new() };
    let mut items: Vec<Item> = layer.iter().zip(heights).map(|(&layer, &height)| item(layer, height)).collect();
    let mut first_lane = Vec::with_capacity(heights.len());
    for node in 0..heights.len() {
        first_lane.push(items.len());
        for between in layer[node] + 1..last[node] {
            let place = items.len();
            items.push(item(between, LANE));
            join(&mut items, if between == layer[node] + 1 { node } else { place - 1 }, place);
        }
    }
    for (node, sources) in sources.iter().enumerate() {
        for &source in sources {
            // An arc comes from the source itself, or from where its lane has got to.
            let way = layer[node] - layer[source] - 1;
            join(&mut items, if way == 0 { source } else { first_lane[source] + way - 1 }, node);
        }
    }
    let mut columns: Vec<Vec<usize>> = vec![Vec::new(); layer.iter().max().map_or(0, |last| last + 1)];
    items.iter().enumerate().for_each(|(number, item)| columns[item.layer].push(number));
    let columns = ordered(&items, columns);
    place(&mut items, &columns);

    let edge = |item: &Item, side: f64| item.middle + side * item.height / 2.0;
    let top = items.iter().map(|item| edge(item, -1.0)).fold(f64::INFINITY, f64::min);
    let bottom = items.iter().map(|item| edge(item, 1.0)).fold(top, f64::max);
    let middles = |from: usize, to: usize| items[from..to].iter().map(|item| item.middle - top).collect::<Vec<f64>>();
    let ends = first_lane.iter().skip(1).copied().chain([items.len()]);
    let lanes = first_lane.iter().zip(ends).map(|(from, to)| middles(*from, to)).collect();
    Layout { middle: middles(0, heights.len()), layer, lanes, height: bottom - top }
}

/// A box, or the place of a lane in one layer.
struct Item {
    layer: usize,
    height: f64,
    middle: f64,
    /// Items of the layer before that arcs come from.
    before: Vec<usize>,
    /// Items of the layer after that arcs go to.
    after: Vec<usize>,
}

/// The layer of each node, and the last layer that it leads to, which is its own if there is none.
fn layers(sources: &[Vec<usize>]) -> (Vec<usize>, Vec<usize>) {
    let mut layer = vec![0; sources.len()];
    let mut first_user = vec![None; sources.len()];
    for (node, sources) in sources.iter().enumerate() {
        layer[node] = sources.iter().map(|source| layer[*source] + 1).max().unwrap_or(0);
        for source in sources {
            first_user[*source] = Some(first_user[*source].map_or(layer[node], |user: usize| user.min(layer[node])));
        }
    }
    for (node, user) in first_user.iter().enumerate() {
        // Nothing holds a node without sources at the left edge, so it stands beside its first user.
        if let (true, Some(user)) = (sources[node].is_empty(), user) {
            layer[node] = user - 1;
        }
    }
    let mut last = layer.clone();
    for (node, sources) in sources.iter().enumerate() {
        sources.iter().for_each(|source| last[*source] = last[*source].max(layer[node]));
    }
    (layer, last)
}

fn join(items: &mut [Item], before: usize, after: usize) {
    items[before].after.push(after);
    items[after].before.push(before);
}

/// The columns sorted by the mean position of each item's neighbours, forth and back; the order with the fewest crossings.
fn ordered(items: &[Item], mut columns: Vec<Vec<usize>>) -> Vec<Vec<usize>> {
    const ROUNDS: usize = 16;
    let mut position = vec![0.0; items.len()];
    let number = |column: &[usize], position: &mut [f64]| {
        column.iter().enumerate().for_each(|(place, item)| position[*item] = place as f64);
    };
    columns.iter().for_each(|column| number(column, &mut position));
    let mut best = (crossings(items, &columns, &position), columns.clone());
    for round in 0..ROUNDS {
        let forth = round % 2 == 0;
        for step in 0..columns.len() {
            let place = if forth { step } else { columns.len() - 1 - step };
            let mean = |item: &usize| {
                let neighbours = if forth { &items[*item].before } else { &items[*item].after };
                mean(neighbours.iter().map(|neighbour| position[*neighbour])).unwrap_or(position[*item])
            };
            let mut keyed: Vec<(f64, usize)> = columns[place].iter().map(|item| (mean(item), *item)).collect();
            keyed.sort_by(|left, right| left.0.total_cmp(&right.0));
            columns[place] = keyed.into_iter().map(|(_, item)| item).collect();
            number(&columns[place], &mut position);
        }
        let found = crossings(items, &columns, &position);
        if found < best.0 {
            best = (found, columns.clone());
        }
    }
    best.1
}

/// How many pairs of arcs between neighbouring columns cross: inversions, counted in a tree of partial sums.
fn crossings(items: &[Item], columns: &[Vec<usize>], position: &[f64]) -> usize {
    let mut count = 0;
    for pair in columns.windows(2) {
        let mut arrivals = Vec::new();
        for item in &pair[0] {
            let start = arrivals.len();
            arrivals.extend(items[*item].after.iter().map(|after| position[*after] as usize));
            arrivals[start..].sort_unstable();
        }
        let mut sums = vec![0usize; pair[1].len() + 1];
        for (before, &arrival) in arrivals.iter().enumerate() {
            let mut above = 0;
            let mut place = arrival + 1;
            while place > 0 {
                above += sums[place];
                place &= place - 1;
            }
            count += before - above;
            place = arrival + 1;
            while place < sums.len() {
                sums[place] += 1;
                place += place & place.wrapping_neg();
            }
        }
    }
    count
}

/// Gives every item its height: as near to the mean of its neighbours as its column allows.
fn place(items: &mut [Item], columns: &[Vec<usize>]) {
    const ROUNDS: usize = 24;
    const GAP: f64 = 22.0;
    let apart = |items: &[Item], above: usize, below: usize| (items[above].height + items[below].height) / 2.0 + GAP;
    for column in columns {
        let mut top = 0.0;
        for pair in column.windows(2) {
            top += apart(items, pair[0], pair[1]);
            items[pair[1]].middle = top;
        }
        column.iter().for_each(|item| items[*item].middle -= top / 2.0);
    }
    for round in 0..ROUNDS {
        for step in 0..columns.len() {
            let column = &columns[if round % 2 == 0 { step } else { columns.len() - 1 - step }];
            let wanted: Vec<f64> = column
                .iter()
                .map(|item| {
                    let neighbours = items[*item].before.iter().chain(&items[*item].after);
                    mean(neighbours.map(|neighbour| items[*neighbour].middle)).unwrap_or(items[*item].middle)
                })
                .collect();
            // What is pushed down only and what is pushed up only both keep boxes apart, so what lies midway does too.
            let (mut down, mut up) = (wanted.clone(), wanted);
            for place in 1..column.len() {
                let distance = apart(items, column[place - 1], column[place]);
                down[place] = down[place].max(down[place - 1] + distance);
                let (place, below) = (column.len() - 1 - place, column.len() - place);
                up[place] = up[place].min(up[below] - apart(items, column[place], column[below]));
            }
            for ((item, down), up) in column.iter().zip(down).zip(up) {
                items[*item].middle = (down + up) / 2.0;
            }
        }
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

#[cfg(test)]
mod tests {
    use super::layered;

    #[test]
    fn boxes_of_a_layer_never_overlap() {
        // A deterministic scatter of arcs over forty nodes.
        let sources: Vec<Vec<usize>> =
            (0..40usize).map(|node| (0..node).filter(|source| (source * 7 + node * 13) % 9 == 0).collect()).collect();
        let heights: Vec<f64> = (0..40).map(|node| 20.0 + f64::from(node % 3) * 15.0).collect();
        let layout = layered(&heights, &sources);
        for left in 0..40 {
            for source in &sources[left] {
                assert!(layout.layer[*source] < layout.layer[left]);
            }
            for right in 0..left {
                if layout.layer[left] == layout.layer[right] {
                    let distance = (layout.middle[left] - layout.middle[right]).abs();
                    assert!(distance >= (heights[left] + heights[right]) / 2.0, "{left} and {right}");
                }
            }
        }
    }

    #[test]
    fn a_chain_is_straight_and_its_far_source_has_a_lane() {
        let sources = vec![vec![], vec![0], vec![1, 0], vec![2, 0]];
        let layout = layered(&[20.0; 4], &sources);
        assert_eq!(layout.layer, [0, 1, 2, 3]);
        assert_eq!(layout.lanes.iter().map(Vec::len).collect::<Vec<_>>(), [2, 0, 0, 0]);
        assert!(layout.height >= 20.0);
    }
}
