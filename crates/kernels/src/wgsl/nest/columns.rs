//! The dispatch that reduces the elements of a nest over its rows, all such folds at once: `nest_columns`.

use crate::Space;
use crate::wgsl::emit::Words;
use crate::wgsl::module::Grid;
use crate::wgsl::nest::Lowering;
use crate::wgsl::nest::code::{Code, Pass};
use crate::wgsl::nest::facts::Fold;
use crate::wgsl::nest::form::{RUN, neighbouring_chunks, operations, row_chunks};
use crate::wgsl::reduce::Reduction;
use crate::wgsl::tiles::reduce_chunks;

impl Lowering<'_> {
    /// Appends the dispatch of the folds to columns and of those of elements to the whole that come with them; it writes `outputs` as
    /// well. Further dispatches finish the folds.
    pub(super) fn columns(&mut self, [columns, whole]: [&[Fold]; 2], outputs: &[usize]) {
        let facts = self.facts;
        let (rows, width) = (facts.nest.rows, facts.nest.columns);
        let blocks = width / self.width;
        let chunks = row_chunks(rows, reduce_chunks(self.profile, blocks, rows, true), self.profile);
        let chunk_rows = rows.div_ceil(chunks);
        let chunks = rows.div_ceil(chunk_rows);
        let folds = [columns, whole].concat();
        let partials: Vec<(Fold, Words)> =
            folds.iter().map(|&fold| (fold, self.store.array(chunks * width, self.lowered))).collect();

        let pass = Pass { number: 0, folds, outputs: outputs.to_vec() };
        let cone = facts.cone(&pass.roots(facts), |_| false);
        let mut code =
            Code { facts, module: self.lowered.module(), width: self.width, outputs: outputs.to_vec(), lanes: 1 };
        let each = code.module.long_running_workgroup(self.profile);
        code.module.declare(format!("const WIDTH: u32 = {}u;", self.width));
        code.module.parameter("rows", rows);
        let neighbours = neighbouring_chunks(chunks, self.profile);
        let invocations = chunks.next_multiple_of(neighbours) * blocks;
        code.module.parameter("invocations", invocations);
        code.module.parameter("blocks", blocks);
        code.module.parameter("chunks", chunks);
        code.module.parameter("neighbours", neighbours);
        code.module.parameter("chunk_rows", chunk_rows);
        let known: Vec<u32> = cone.iter().copied().filter(|&value| facts.value(value).space == Space::Row).collect();
        code.declare_row(&known, &known, &cone, &self.store);
        code.declare_reads(&cone);
        let repeated = code.declare_block(&cone);
        code.declare_pass(&pass, Some(&repeated));
        code.declare_write_totals(&partials);
        let per_element = operations(facts, &cone) + partials.len() + outputs.len();
        let operations = (self.width * chunk_rows).saturating_mul(per_element);
        let grid = Grid { count: invocations, each, operations, iterations: chunk_rows + chunk_rows.div_ceil(RUN) + 2 };
        let skeleton = include_str!("../../../shaders/nest_columns.wgsl");
        code.module.dispatch(skeleton, "nest_columns", grid, self.profile, self.lowered);
        self.finished.insert(Space::Element);

        for (fold, words) in partials {
            if facts.value(fold.value).space == Space::Whole {
                self.whole(fold, words, chunks * width);
            } else if chunks == 1 {
                self.store.put(fold.value, words);
            } else {
                let dtype = facts.value(fold.operand).dtype;
                let parts = Reduction::of_parts(fold.function, dtype, words, [chunks, width]);
                self.reduce(fold.value, parts);
            }
        }
    }
}
