//! The dispatch that computes the elements and rows of a nest together: `nest_rows` or `nest_workgroup`.

use crate::wgsl::emit::Words;
use crate::wgsl::module::{Grid, WORKGROUP};
use crate::wgsl::nest::Lowering;
use crate::wgsl::nest::code::{Code, Pass};
use crate::wgsl::nest::facts::{Facts, Fold};
use crate::wgsl::nest::form::{MOST_LANES, iterations, operations};
use crate::wgsl::nest::store::Store;
use crate::{NestInstruction, Space};

/// The passes over each row: the folds of rows, those of `partials`, and the outputs of elements.
fn passes(facts: &Facts<'_>, partials: &[Fold], outputs: &[usize]) -> Vec<Pass> {
    let folds: Vec<Fold> = facts.folds(Space::Row).chain(partials.iter().copied()).collect();
    let level = |output: &usize| facts.level(facts.nest.outputs[*output]);
    let last = folds.iter().map(|fold| facts.level(fold.operand)).chain(outputs.iter().map(level)).max().unwrap_or(0);
    let of_level = |number: u32| Pass {
        number,
        folds: folds.iter().copied().filter(|fold| facts.level(fold.operand) == number).collect(),
        outputs: outputs.iter().copied().filter(|output| level(output) == number).collect(),
    };
    (0..=last).map(of_level).filter(|pass| !pass.folds.is_empty() || !pass.outputs.is_empty()).collect()
}

impl Lowering<'_> {
    /// Appends the dispatch. `partials` are folds to the whole of which each row's part is computed; `elements` are the outputs of
    /// elements that it writes; `stored` are the values of rows, and the partials, that it leaves in the store.
    pub(super) fn rows(&mut self, lanes: usize, partials: &[Fold], elements: &[usize], stored: &[(u32, Words)]) {
        let facts = self.facts;
        let passes = passes(facts, partials, elements);
        let rows = facts.outputs(Space::Row);
        let outputs = elements.iter().chain(&rows).copied().collect();
        let mut code = Code { facts, module: self.lowered.module(), width: self.width, outputs, lanes };
        let workgroup = workgroup_size(lanes);
        let mut each = 1;
        if lanes == 1 {
            each = code.module.long_running_workgroup(self.profile);
        } else {
            code.module.declare(format!("const WORKGROUP_SIZE: u32 = {workgroup}u;"));
            code.module.parameter("lanes", lanes);
        }
        code.module.declare(format!("const WIDTH: u32 = {}u;", self.width));
        code.module.parameter("rows", facts.nest.rows);

        let mut values: Vec<u32> = facts.live(Space::Row).chain(partials.iter().map(|fold| fold.value)).collect();
        values.sort_unstable();
        let is_fold = |value: u32| matches!(facts.value(value).instruction, NestInstruction::Fold { .. });
        let opened: Vec<u32> =
            values.iter().copied().filter(|&value| facts.level(value) == 0 && !is_fold(value)).collect();
        let cones: Vec<Vec<u32>> = passes.iter().map(|pass| facts.cone(&pass.roots(facts), |_| false)).collect();
        let elements: Vec<u32> = cones.concat();
        // Nothing is stored yet that this dispatch needs: it computes all of the row.
        code.declare_row(&values, &opened, &elements, &Store::new(facts.nest.values.len()));
        code.declare_reads(&elements);
        if lanes > 1 {
            let folds: Vec<Fold> = passes.iter().flat_map(|pass| pass.folds.clone()).collect();
            code.declare_across(&folds, self.profile.subgroup);
        }
        for pass in &passes {
            code.declare_pass(pass, None);
            if !pass.folds.is_empty() {
                let own = |value: &u32| pass.folds.iter().any(|fold| fold.value == *value);
                let follows = |value: &u32| {
                    facts.value(*value).space == Space::Row
                        && !is_fold(*value)
                        && facts.level(*value) == pass.number + 1
                };
                let known: Vec<u32> = values.iter().copied().filter(|value| own(value) || follows(value)).collect();
                code.declare_finish(pass, &known);
            }
        }
        code.declare_write_row(&rows, stored);

        let per_element: usize = cones.iter().map(|cone| operations(facts, cone)).sum();
        let per_row = facts.nest.columns.saturating_mul(per_element);
        let folds = passes.iter().map(|pass| pass.folds.len()).sum();
        let iterations = iterations(facts.nest.columns / self.width, lanes, passes.len(), folds);
        if lanes == 1 {
            let skeleton = expand(include_str!("../../../shaders/nest_rows.wgsl"), &passes);
            let grid = Grid { count: facts.nest.rows, each, operations: per_row, iterations };
            code.module.dispatch(&skeleton, "nest_rows", grid, self.profile, self.lowered);
        } else {
            let skeleton = expand(include_str!("../../../shaders/nest_workgroup.wgsl"), &passes);
            let at_once = workgroup / lanes;
            let grid = Grid {
                count: facts.nest.rows.div_ceil(at_once),
                each: 1,
                operations: per_row.saturating_mul(at_once),
                iterations,
            };
            code.module.work_together(workgroup);
            code.module.dispatch(&skeleton, "nest_workgroup", grid, self.profile, self.lowered);
        }
    }
}

/// The invocations of a workgroup in which so many lanes share a row.
fn workgroup_size(lanes: usize) -> usize {
    if lanes > WORKGROUP { MOST_LANES } else { WORKGROUP }
}

/// Writes the lines of a skeleton between `//for each pass that folds` and `//end` once for each such pass, and those between
/// `//for a pass that only writes` and `//end` once for each of the others, of which only the last pass can be one.
fn expand(skeleton: &str, passes: &[Pass]) -> String {
    let mut text = String::new();
    let mut lines = skeleton.lines();
    while let Some(line) = lines.next() {
        let folds = match line.trim() {
            "//for each pass that folds" => true,
            "//for a pass that only writes" => false,
            _ => {
                text.push_str(line);
                text.push('\n');
                continue;
            }
        };
        let body: Vec<&str> = lines.by_ref().take_while(|line| line.trim() != "//end").collect();
        for pass in passes.iter().filter(|pass| pass.folds.is_empty() != folds) {
            for line in &body {
                text.push_str(&line.replace('@', &pass.number.to_string()));
                text.push('\n');
            }
        }
    }
    text
}
