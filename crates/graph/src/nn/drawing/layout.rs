//! Where boxes and arrows of a drawing stand: in rows, each box below all that lead to it (Sugiyama, Tagawa and Toda 1981). An arrow
//! past rows holds a place in each of them, so that it runs beside the boxes there.

/// A box by its middle.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// Where everything stands.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) boxes: Vec<Placed>,
    /// The points that each arrow runs through, from the lower side of a box to the upper side of another.
    pub(super) ways: Vec<Vec<(f64, f64)>>,
    pub(super) width: f64,
    pub(super) height: f64,
}

const BETWEEN_ROWS: f64 = 28.0;
const BETWEEN_BOXES: f64 = 24.0;
const SWEEPS: usize = 8;

/// What has a place in a row: a box, or an arrow that goes past.
struct Item {
    row: usize,
    width: f64,
    above: Vec<usize>,
    below: Vec<usize>,
}

impl Layout {
    /// Boxes of these widths and heights, with arrows from box to box; a box comes after those that lead to it.
    pub(super) fn of(sizes: &[(f64, f64)], arrows: &[(usize, usize)]) -> Layout {
        let mut items: Vec<Item> =
            sizes.iter().map(|&(width, _)| Item { row: 0, width, above: Vec::new(), below: Vec::new() }).collect();
        let mut order: Vec<usize> = (0..sizes.len()).collect();
        // Boxes are numbered as they appear in the graph, and an arrow may lead to an earlier number where operations were put together.
        for _ in 0..sizes.len() {
            let mut is_settled = true;
            for &(from, to) in arrows {
                if items[to].row <= items[from].row {
                    items[to].row = items[from].row + 1;
                    is_settled = false;
                }
            }
            if is_settled {
                break;
            }
        }
        // A box that nothing leads to stands right above the first that reads it.
        order.retain(|&number| arrows.iter().all(|&(_, to)| to != number));
        for number in order {
            let readers = arrows.iter().filter(|(from, _)| *from == number).map(|(_, to)| items[*to].row);
            if let Some(first) = readers.min() {
                items[number].row = first - 1;
            }
        }
        let mut chains = Vec::with_capacity(arrows.len());
        for &(from, to) in arrows {
            let mut chain = vec![from];
            for row in items[from].row + 1..items[to].row {
                items.push(Item { row, width: 0.0, above: Vec::new(), below: Vec::new() });
                chain.push(items.len() - 1);
            }
            chain.push(to);
            for pair in chain.windows(2) {
                items[pair[0]].below.push(pair[1]);
                items[pair[1]].above.push(pair[0]);
            }
            chains.push(chain);
        }
        let count = items.iter().map(|item| item.row + 1).max().unwrap_or(0);
        let mut rows: Vec<Vec<usize>> = vec![Vec::new(); count];
        items.iter().enumerate().for_each(|(number, item)| rows[item.row].push(number));
        order_rows(&items, &mut rows);
        let mut xs = abscissas(&items, &rows);

        let heights: Vec<f64> = rows
            .iter()
            .map(|row| row.iter().filter_map(|&number| sizes.get(number)).map(|size| size.1).fold(0.0, f64::max))
            .collect();
        let mut tops = Vec::with_capacity(count);
        let mut height = 0.0;
        for row in &heights {
            tops.push(height);
            height += row + BETWEEN_ROWS;
        }
        let edge = |side: f64| move |(item, x): (&Item, &f64)| x + side * item.width / 2.0;
        let left = items.iter().zip(&xs).map(edge(-1.0)).fold(f64::INFINITY, f64::min);
        let right = items.iter().zip(&xs).map(edge(1.0)).fold(f64::NEG_INFINITY, f64::max);
        xs.iter_mut().for_each(|x| *x -= left);
        let boxes: Vec<Placed> = sizes
            .iter()
            .enumerate()
            .map(|(number, &(width, height))| {
                let row = items[number].row;
                Placed { x: xs[number], y: tops[row] + heights[row] / 2.0, width, height }
            })
            .collect();
        let ways = chains
            .iter()
            .map(|chain| {
                let (from, to) = (boxes[chain[0]], boxes[chain[chain.len() - 1]]);
                let past = chain[1..chain.len() - 1].iter().flat_map(|&number| {
                    let row = items[number].row;
                    [(xs[number], tops[row]), (xs[number], tops[row] + heights[row])]
                });
                let first = (from.x, from.y + from.height / 2.0);
                [first].into_iter().chain(past).chain([(to.x, to.y - to.height / 2.0)]).collect()
            })
            .collect();
        Layout { boxes, ways, width: (right - left).max(0.0), height: (height - BETWEEN_ROWS).max(0.0) }
    }
}

/// Puts the items of each row into an order in which few arrows cross: by the mean place of their neighbours in the row above, then in
/// the row below, a few times.
fn order_rows(items: &[Item], rows: &mut [Vec<usize>]) {
    let mut places = vec![0.0; items.len()];
    let count = rows.len();
    for sweep in 0..SWEEPS {
        let is_down = sweep % 2 == 0;
        for step in 0..count {
            let row = &mut rows[if is_down { step } else { count - 1 - step }];
            let wish = |number: usize| {
                let neighbours = if is_down { &items[number].above } else { &items[number].below };
                mean(neighbours.iter().map(|&other| places[other])).unwrap_or(places[number])
            };
            let mut wishes: Vec<(f64, usize)> = row.iter().map(|&number| (wish(number), number)).collect();
            wishes.sort_by(|left, right| left.0.total_cmp(&right.0));
            *row = wishes.into_iter().map(|(_, number)| number).collect();
            let middle = (row.len() as f64 - 1.0) / 2.0;
            row.iter().enumerate().for_each(|(place, &number)| places[number] = place as f64 - middle);
        }
    }
}

/// The middle of each item: as near to the mean of its neighbours as the others of its row allow.
fn abscissas(items: &[Item], rows: &[Vec<usize>]) -> Vec<f64> {
    let mut xs = vec![0.0; items.len()];
    let count = rows.len();
    for sweep in 0..2 * SWEEPS {
        let is_down = sweep % 2 == 0;
        for step in 0..count {
            let row = &rows[if is_down { step } else { count - 1 - step }];
            let mut offset = 0.0;
            let mut offsets = Vec::with_capacity(row.len());
            for (place, &number) in row.iter().enumerate() {
                if place > 0 {
                    offset += (items[row[place - 1]].width + items[number].width) / 2.0 + BETWEEN_BOXES;
                }
                offsets.push(offset);
            }
            let middle = offset / 2.0;
            let wishes = row.iter().zip(&offsets).map(|(&number, &offset)| {
                let neighbours = if is_down { &items[number].above } else { &items[number].below };
                let first = if sweep == 0 { offset - middle } else { xs[number] };
                mean(neighbours.iter().map(|&other| xs[other])).unwrap_or(first) - offset
            });
            let placed = ascending(wishes);
            row.iter().zip(offsets).zip(placed).for_each(|((&number, offset), place)| xs[number] = place + offset);
        }
    }
    xs
}

/// The ascending numbers nearest to these, in the mean square: neighbours that descend take their mean.
fn ascending(numbers: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut runs: Vec<(f64, usize)> = Vec::new();
    for number in numbers {
        let mut run = (number, 1);
        while let Some(&(sum, count)) = runs.last() {
            if sum / count as f64 <= run.0 / run.1 as f64 {
                break;
            }
            run = (run.0 + sum, run.1 + count);
            runs.pop();
        }
        runs.push(run);
    }
    runs.into_iter().flat_map(|(sum, count)| std::iter::repeat_n(sum / count as f64, count)).collect()
}

fn mean(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = numbers.fold((0.0, 0usize), |(sum, count), number| (sum + number, count + 1));
    (count > 0).then(|| sum / count as f64)
}
