//! Lowering of attention: the output with the softmax statistics, and each gradient, in dispatches of their own.
//!
//! On a GPU an invocation has a row of a result in registers and goes over all rows that it is summed over, so no score is ever stored. Where
//! that are more than an adapter's loops may go over, or so many that a dispatch would have to be a few workgroups to end soon, further dispatches go on
//! from what earlier ones left. Sums keep their digits by being taken in three levels: runs, blocks of runs, and the whole. On a software adapter
//! blocks of scores stand in scratch, see [`blocks`].

mod blocks;

use std::fmt::Write;

use arenagrad_graph::AttentionResult;

use crate::attention::Attention;
use crate::kernel::Matrices;
use crate::wgsl::attention::blocks::Blocks;
use crate::wgsl::module::{Grid, MOST_OPERATIONS, Module, WORKGROUP, storage_type};
use crate::wgsl::output::new_scratch;
use crate::wgsl::positions::declare_position;
use crate::wgsl::{AdapterClass, AdapterProfile, Lowered, Resource};

/// The rows that are summed up before the sum is added to that of a block.
const RUN: usize = 64;

/// The least runs of a block.
const RUNS_OF_A_BLOCK: usize = 64;

/// As many workgroups as keep a large GPU busy, for each of which a dispatch has room: long attention is cut along what is summed up
/// rather than to fewer of them.
const FULL: usize = 1 << 11;

/// Appends the dispatches of a step of attention.
pub(super) fn lower(attention: &Attention, profile: &AdapterProfile, lowered: &mut Lowered) {
    let lowering = Lowering { attention, profile };
    let place = |result: AttentionResult| {
        let number = attention.results.iter().position(|&other| other == result)?;
        Some(Resource::Output(number as u32))
    };
    let (output, statistics) = (place(AttentionResult::Output), place(AttentionResult::SoftmaxStatistics));
    if profile.class == AdapterClass::Cpu {
        let blocks = Blocks::new(&lowering, lowered);
        if attention.is_backward() {
            blocks.backward(blocks::gradients(place), lowered);
        } else {
            blocks.forward(output, statistics, lowered);
        }
        return;
    }
    if output.is_some() || statistics.is_some() {
        lowering.forward(output, statistics, lowered);
    }
    if let Some(result) = place(AttentionResult::QueryGradient) {
        lowering.query_gradient(result, lowered);
    }
    for gradient in [AttentionResult::KeyGradient, AttentionResult::ValueGradient] {
        if let Some(result) = place(gradient) {
            lowering.key_gradient(gradient, result, lowered);
        }
    }
}

/// An operand whose rows are read in vectors of four.
struct Operand<'a> {
    name: &'static str,
    input: usize,
    matrices: &'a Matrices,
}

struct Lowering<'a> {
    attention: &'a Attention,
    profile: &'a AdapterProfile,
}

impl Lowering<'_> {
    fn forward(&self, output: Option<Resource>, statistics: Option<Resource>, lowered: &mut Lowered) {
        let Attention { is_causal, .. } = *self.attention;
        let rows = self.attention.heads() * self.attention.positions();
        let keys = self.attention.keys();
        let chunks = self.chunks(keys, rows, self.vectors());
        // Of each row the largest score so far, the reference of its sums and the sum of a block; and the reference and the sum of the whole.
        let words = if has_several_blocks(keys) { 5 } else { 3 };
        let running = (chunks.len() > 1).then(|| new_scratch(words * rows, lowered));
        // The sums of a block that is not done; they cannot stand in the output where the whole does.
        let width = self.attention.width();
        let block = (output.is_some() && chunks.len() > 1 && has_several_blocks(keys))
            .then(|| new_scratch(rows * width, lowered));
        for (number, &(begin, end)) in chunks.iter().enumerate() {
            let (is_first, is_last) = (number == 0, number + 1 == chunks.len());
            let mut module = Module::default();
            self.declare_extents(&mut module, rows);
            module.declare(format!("const STATE: u32 = {words}u;\nconst BLOCK: u32 = {}u;", rows_of_a_block(keys)));
            module.parameter("key_begin", begin);
            module.parameter("key_end", end);
            for operand in [self.query(), self.key(), self.value()] {
                declare_operand(&mut module, &operand);
            }
            declare_masked(self.attention, &mut module);
            module.call("log_f32");
            declare_result(&mut module, "output", output, width);
            match block {
                Some(block) => declare_result(&mut module, "block", Some(block), width),
                // It stands in the output.
                None => module.declare(
                    "fn read_block(row: u32, vector: u32) -> vec4<f32> {\n    return read_output(row, vector);\n}\n\
                     fn write_block(row: u32, vector: u32, four: vec4<f32>) {\n    write_output(row, vector, four);\n}\n",
                ),
            }
            if let Some(running) = running {
                module.bind(running, true, "running", "f32");
            }
            let write = match statistics.filter(|_| is_last) {
                Some(resource) => {
                    module.bind(resource, true, "statistics", "f32");
                    "statistics[2u * row] = largest;\n    statistics[2u * row + 1u] = logarithm;"
                }
                None => "",
            };
            let parameters = "row: u32, largest: f32, logarithm: f32";
            module.declare(format!("fn write_statistics({parameters}) {{\n    {write}\n}}\n"));
            let conditions = [
                ("it goes on", !is_first),
                ("others go on", !is_last),
                ("it is the last", is_last),
                ("it has several blocks", has_several_blocks(keys)),
                ("it is the first of several blocks", is_first && has_several_blocks(keys)),
                ("it is causal", is_causal),
            ];
            let text = expand(include_str!("../../shaders/attention.wgsl"), &self.marks(width), &conditions);
            module.dispatch(&text, "attention", grid(rows, end - begin, self.vectors()), self.profile, lowered);
        }
    }

    fn query_gradient(&self, result: Resource, lowered: &mut Lowered) {
        let Some(upstream) = self.upstream() else { return };
        let vectors = 2 * self.vectors();
        let rows = self.attention.heads() * self.attention.positions();
        let depth = self.attention.depth();
        let dispatch = |part: Part, target: Resource, lowered: &mut Lowered| {
            let mut module = Module::default();
            self.declare_extents(&mut module, rows);
            module.parameter("key_begin", part.begin);
            module.parameter("key_end", part.end);
            for operand in [&self.query(), &self.key(), &self.value(), &upstream] {
                declare_operand(&mut module, operand);
            }
            declare_masked(self.attention, &mut module);
            module.bind(Resource::Input(upstream.input as u32 + 1), false, "statistics", "f32");
            module.bind(Resource::Input(upstream.input as u32 + 2), false, "weighted", "f32");
            declare_result(&mut module, "result", Some(target), depth);
            let conditions = [("it goes on", part.goes_on), ("it is causal", self.attention.is_causal)];
            let text = include_str!("../../shaders/attention_query_gradient.wgsl");
            let text = expand(text, &self.marks(depth), &conditions);
            let grid = grid(rows, part.end - part.begin, vectors);
            module.dispatch(&text, "attention_query_gradient", grid, self.profile, lowered);
        };
        self.sum_of_blocks((self.attention.keys(), rows, vectors), (result, depth), dispatch, lowered);
    }

    /// The gradient of the keys, or that of the values.
    fn key_gradient(&self, gradient: AttentionResult, result: Resource, lowered: &mut Lowered) {
        let Some(upstream) = self.upstream() else { return };
        let of_keys = gradient == AttentionResult::KeyGradient;
        let (groups, keys) = (self.attention.groups(), self.attention.keys());
        let vectors = if of_keys { 2 * self.vectors() } else { self.vectors() };
        let rows = groups * keys;
        let queries = self.attention.heads_of_a_group() * self.attention.positions();
        let width = if of_keys { self.attention.depth() } else { self.attention.width() };
        let dispatch = |part: Part, target: Resource, lowered: &mut Lowered| {
            let mut module = Module::default();
            self.declare_extents(&mut module, rows);
            module.parameter("query_begin", part.begin);
            module.parameter("query_end", part.end);
            declare_operand(&mut module, &self.query());
            declare_operand(&mut module, &self.key());
            if of_keys {
                declare_operand(&mut module, &self.value());
            }
            declare_operand(&mut module, &upstream);
            declare_masked(self.attention, &mut module);
            module.bind(Resource::Input(upstream.input as u32 + 1), false, "statistics", "f32");
            if of_keys {
                module.bind(Resource::Input(upstream.input as u32 + 2), false, "weighted", "f32");
            }
            declare_result(&mut module, "result", Some(target), width);
            let conditions = [
                ("it goes on", part.goes_on),
                ("it is causal", self.attention.is_causal),
                ("of keys", of_keys),
                ("of values", !of_keys),
            ];
            let text = include_str!("../../shaders/attention_key_gradient.wgsl");
            let text = expand(text, &self.marks(width), &conditions);
            let grid = grid(rows, part.end - part.begin, vectors);
            module.dispatch(&text, gradient.name(), grid, self.profile, lowered);
        };
        self.sum_of_blocks((queries, rows, vectors), (result, width), dispatch, lowered);
    }

    /// Sums up `summed` rows for each of `rows` of a result in dispatches of parts of them. Where they are several blocks, each block's sum stands in
    /// scratch first and is added to the result when it is done. (A kernel that did it itself would need one buffer more than all adapters bind.)
    fn sum_of_blocks(
        &self,
        (summed, rows, vectors): (usize, usize, usize),
        (result, width): (Resource, usize),
        dispatch: impl Fn(Part, Resource, &mut Lowered),
        lowered: &mut Lowered,
    ) {
        let elements = rows * width;
        let several = has_several_blocks(summed).then(|| new_scratch(elements, lowered));
        for start in (0..summed).step_by(rows_of_a_block(summed)) {
            let of_block = summed.min(start + rows_of_a_block(summed)) - start;
            for (begin, end) in self.chunks(of_block, rows, vectors) {
                let part = Part { begin: start + begin, end: start + end, goes_on: begin > 0 };
                dispatch(part, several.unwrap_or(result), lowered);
            }
            if let Some(block) = several {
                add_part(block, (result, 0, elements), start > 0, self.profile, lowered);
            }
        }
    }

    fn query(&self) -> Operand<'_> {
        Operand { name: "query", input: 0, matrices: &self.attention.query }
    }

    fn key(&self) -> Operand<'_> {
        Operand { name: "key", input: 1, matrices: &self.attention.key }
    }

    fn value(&self) -> Operand<'_> {
        Operand { name: "value", input: 2, matrices: &self.attention.value }
    }

    fn upstream(&self) -> Option<Operand<'_>> {
        let input = self.attention.upstream_input();
        self.attention.upstream.as_ref().map(|matrices| Operand { name: "upstream", input, matrices })
    }

    /// The vectors of four numbers that a key and a value have together.
    fn vectors(&self) -> usize {
        self.attention.depth().div_ceil(4) + self.attention.width().div_ceil(4)
    }

    /// What marks the lines that stand once for each vector of four numbers of a key, of a value and of a result, and how many these are.
    fn marks(&self, result: usize) -> [(&'static str, usize); 3] {
        let numbers = [("#d", self.attention.depth()), ("#w", self.attention.width()), ("#r", result)];
        numbers.map(|(mark, count)| (mark, count.div_ceil(4)))
    }

    /// What is summed up for each of so many rows of a result, in parts that a dispatch may go over: no more than loops may, and no more than leaves
    /// room in a dispatch for all workgroups, or for enough of them.
    fn chunks(&self, summed: usize, rows: usize, vectors: usize) -> Vec<(usize, usize)> {
        // Each run is a round of the outer loop beside those of the inner.
        let loops = (self.profile.max_iterations_per_invocation as usize * RUN / (RUN + 1)).saturating_sub(1);
        let invocations = rows.div_ceil(WORKGROUP).clamp(1, FULL) * WORKGROUP;
        let work = MOST_OPERATIONS / invocations / operations(vectors);
        let most = (loops.min(work) / RUN * RUN).max(RUN);
        (0..summed).step_by(most).map(|begin| (begin, summed.min(begin + most))).collect()
    }

    fn declare_extents(&self, module: &mut Module, rows: usize) {
        for function in ["infinity", "exp_f32"] {
            module.call(function);
        }
        module.declare(format!("const WORKGROUP_SIZE: u32 = {WORKGROUP}u;"));
        module.parameter("rows", rows);
        module.parameter("positions", self.attention.positions());
        module.parameter("keys", self.attention.keys());
        module.parameter("heads_of_a_group", self.attention.heads_of_a_group());
    }
}

/// The part of what is summed up that a dispatch goes over, and whether it goes on from what the one before wrote.
#[derive(Clone, Copy)]
struct Part {
    begin: usize,
    end: usize,
    goes_on: bool,
}

/// How many rows are a block: as many runs as there are blocks, or more.
fn rows_of_a_block(summed: usize) -> usize {
    RUN * summed.div_ceil(RUN).isqrt().next_power_of_two().max(RUNS_OF_A_BLOCK)
}

fn has_several_blocks(summed: usize) -> bool {
    summed > rows_of_a_block(summed)
}

/// Appends a dispatch that moves a part into a result, from an element on; or adds it to what stands there.
fn add_part(
    part: Resource,
    (result, begin, elements): (Resource, usize, usize),
    adds: bool,
    profile: &AdapterProfile,
    lowered: &mut Lowered,
) {
    let mut module = Module::default();
    module.parameter("elements", elements);
    module.parameter("begin", begin);
    module.bind(part, false, "part", "f32");
    module.bind(result, true, "result", "f32");
    module.declare(format!("const WORKGROUP_SIZE: u32 = {WORKGROUP}u;"));
    let text = expand(include_str!("../../shaders/attention_part.wgsl"), &[], &[("it adds", adds)]);
    let grid = Grid { count: elements, each: WORKGROUP, operations: 2, iterations: 0 };
    module.dispatch(&text, "attention_part", grid, profile, lowered);
}

/// The grid of invocations with a row each, which is a sum over `summed` others.
fn grid(rows: usize, summed: usize, vectors: usize) -> Grid {
    let operations = summed.saturating_mul(operations(vectors));
    Grid { count: rows, each: WORKGROUP, operations, iterations: summed + summed.div_ceil(RUN) }
}

/// Roughly how many simple operations each of what is summed up costs: multiplications and additions of four numbers are four, and as many
/// are loads.
fn operations(vectors: usize) -> usize {
    8 * vectors + 32
}

/// Declares what makes a score of a product: -inf where a causal row ends, and the scale and the mask before.
fn declare_masked(attention: &Attention, module: &mut Module) {
    module.word("scale".to_owned(), "f32", (attention.scale as f32).to_bits());
    let mut body = String::from("    var score = product * parameters.scale;\n");
    if let Some(mask) = &attention.mask {
        let element = if mask.is_bool { "u32" } else { storage_type(attention.dtype) };
        module.bind(Resource::Input(3), false, "attention_mask", element);
        declare_position(module, "mask_start", mask.scores.batch.as_slice(), mask.scores.offset);
        let strides = [("mask_row_stride", &mask.scores.rows), ("mask_column_stride", &mask.scores.columns)];
        let [rows, columns] = strides.map(|(name, axes)| module.stride(name, axes.stride().unwrap_or(0)));
        let place = format!("mask_start(head) + position * {rows} + key * {columns}");
        let _ = writeln!(body, "    let place = {place};");
        body.push_str(if mask.is_bool {
            "    score += select(-infinity(), 0.0, attention_mask[place] != 0u);\n"
        } else {
            "    score += attention_mask[place];\n"
        });
    }
    if attention.is_causal {
        body.push_str("    score = select(score, -infinity(), key > position);\n");
    }
    module.declare(format!(
        "fn masked(head: u32, position: u32, key: u32, product: f32) -> f32 {{\n{body}    return score;\n}}\n"
    ));
}

/// A skeleton with its marked lines repeated, and those of conditions that do not hold left out.
fn expand(text: &str, marks: &[(&str, usize)], conditions: &[(&str, bool)]) -> String {
    let mut expanded = String::with_capacity(4 * text.len());
    let mut kept = vec![true];
    for line in text.lines() {
        let directive = line.trim().strip_prefix("//");
        if let Some(condition) = directive.and_then(|directive| directive.strip_prefix("if ")) {
            let holds = conditions.iter().any(|&(name, holds)| name == condition && holds);
            kept.push(holds && kept.last() == Some(&true));
        } else if directive == Some("end") {
            kept.pop();
        } else if kept.last() != Some(&true) {
            continue;
        } else if line.starts_with("//") {
            expanded.push_str(line);
            expanded.push('\n');
        } else {
            repeat(line, marks, &mut expanded);
        }
    }
    expanded
}

/// Writes a line once for each vector that it stands for.
fn repeat(line: &str, marks: &[(&str, usize)], text: &mut String) {
    for &(mark, count) in marks {
        if line.contains(mark) {
            for vector in 0..count {
                let _ = writeln!(text, "{}", line.replace(mark, &vector.to_string()));
            }
            return;
        }
    }
    let _ = writeln!(text, "{line}");
}

/// Declares where an operand's matrices begin, the distance of its rows, and what reads four neighbouring numbers of a row. Numbers past the last are 0.
fn declare_operand(module: &mut Module, operand: &Operand<'_>) {
    let Operand { name, input, matrices } = *operand;
    declare_position(module, &format!("{name}_start"), matrices.batch.as_slice(), matrices.offset);
    let stride = matrices.rows.stride().unwrap_or(0);
    module.stride(format!("{name}_stride"), stride);
    let count = matrices.columns.count();
    let is_aligned = count.is_multiple_of(4)
        && matrices.offset.is_multiple_of(4)
        && stride % 4 == 0
        && matrices.batch.as_slice().iter().all(|axis| axis.stride % 4 == 0);
    let body = if is_aligned {
        module.bind(Resource::Input(input as u32), false, name, "vec4<f32>");
        format!("    return {name}[start / 4u + vector];\n")
    } else {
        module.bind(Resource::Input(input as u32), false, name, "f32");
        let four = |known: usize| {
            let element = |place: usize| match place {
                0 => format!("{name}[place]"),
                place if place < known => format!("{name}[place + {place}u]"),
                _ => "0.0".to_owned(),
            };
            format!("vec4<f32>({})", [0, 1, 2, 3].map(element).join(", "))
        };
        let mut body = String::from("    let place = start + 4u * vector;\n");
        if !count.is_multiple_of(4) {
            let _ = writeln!(body, "    if vector == {}u {{\n        return {};\n    }}", count / 4, four(count % 4));
        }
        let _ = writeln!(body, "    return {};", four(4));
        body
    };
    module.declare(format!("fn read_{name}(start: u32, vector: u32) -> vec4<f32> {{\n{body}}}\n"));
}

/// Declares what reads and writes four neighbouring numbers of a row of a contiguous result, which may be one that nobody wants.
fn declare_result(module: &mut Module, name: &str, result: Option<Resource>, width: usize) {
    let Some(resource) = result else {
        module.declare(format!("fn read_{name}(row: u32, vector: u32) -> vec4<f32> {{\n    return vec4<f32>();\n}}\n"));
        module.declare(format!("fn write_{name}(row: u32, vector: u32, four: vec4<f32>) {{\n}}\n"));
        return;
    };
    if width.is_multiple_of(4) {
        let vectors = width / 4;
        module.bind(resource, true, name, "vec4<f32>");
        module.declare(format!(
            "fn read_{name}(row: u32, vector: u32) -> vec4<f32> {{\n    return {name}[row * {vectors}u + vector];\n}}\n"
        ));
        module.declare(format!(
            "fn write_{name}(row: u32, vector: u32, four: vec4<f32>) {{\n    {name}[row * {vectors}u + vector] = four;\n}}\n"
        ));
        return;
    }
    module.bind(resource, true, name, "f32");
    let mut read = format!("    let place = row * {width}u + 4u * vector;\n    var four = vec4<f32>();\n");
    let mut write = format!("    let place = row * {width}u + 4u * vector;\n");
    for (component, letter) in ["x", "y", "z", "w"].into_iter().enumerate() {
        let within = format!("if 4u * vector + {component}u < {width}u");
        let _ = writeln!(read, "    {within} {{\n        four.{letter} = {name}[place + {component}u];\n    }}");
        let _ = writeln!(write, "    {within} {{\n        {name}[place + {component}u] = four.{letter};\n    }}");
    }
    module.declare(format!("fn read_{name}(row: u32, vector: u32) -> vec4<f32> {{\n{read}    return four;\n}}\n"));
    module.declare(format!("fn write_{name}(row: u32, vector: u32, four: vec4<f32>) {{\n{write}}}\n"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wgsl::lower;
    use crate::{Axes, DType, Kernel};

    fn matrices(heads: usize, rows: usize, columns: usize) -> Matrices {
        Matrices {
            offset: 0,
            batch: Axes::strided(heads, (rows * columns) as isize),
            rows: Axes::strided(rows, columns as isize),
            columns: Axes::strided(columns, 1),
        }
    }

    fn attention(heads: usize, positions: usize, keys: usize, results: &[AttentionResult]) -> Kernel {
        const WIDTH: usize = 64;
        let is_backward = results.iter().any(|result| *result != AttentionResult::Output);
        Kernel::Attention(Box::new(Attention {
            dtype: DType::F32,
            query: matrices(heads, positions, WIDTH),
            key: matrices(heads, keys, WIDTH),
            value: matrices(heads, keys, WIDTH),
            mask: None,
            upstream: is_backward.then(|| matrices(heads, positions, WIDTH)),
            is_causal: false,
            scale: 0.125,
            results: results.to_vec(),
        }))
    }

    /// Dispatches that end soon, and are no fewer workgroups than there are or than fill a GPU.
    #[test]
    fn long_attention_fills_a_gpu() {
        let profile = AdapterProfile {
            class: AdapterClass::Gpu,
            max_workgroups_per_dimension: 65_535,
            max_iterations_per_invocation: 1 << 24,
            reads_f16: false,
            cooperative: None,
            subgroup: None,
        };
        let gradients = [AttentionResult::QueryGradient, AttentionResult::KeyGradient, AttentionResult::ValueGradient];
        for (heads, positions, keys) in [(8, 2048, 2048), (2, 1000, 1 << 17), (1, 1 << 16, 1 << 16), (16, 1, 1 << 20)] {
            for results in [&[AttentionResult::Output][..], &gradients] {
                let lowered = lower(&attention(heads, positions, keys, results), &profile).unwrap();
                let mut covered = 0;
                for dispatch in lowered.dispatches.iter().filter(|dispatch| dispatch.label != "attention_part") {
                    let is_of_keys = ["key", "value"].iter().any(|name| dispatch.label.contains(name));
                    let rows = heads * if is_of_keys { keys } else { positions };
                    covered += dispatch.work.count;
                    if covered == rows {
                        // The last of them, which has what is left.
                        covered = 0;
                    } else {
                        let [x, y, _] = dispatch.workgroups;
                        let wanted = rows.div_ceil(WORKGROUP).min(FULL);
                        assert!((x * y) as usize >= wanted, "{}: {x} by {y}, not {wanted}", dispatch.label);
                    }
                    assert!(dispatch.operations <= MOST_OPERATIONS);
                }
                assert_eq!(covered, 0);
            }
        }
    }
}
