//! The generated lines of a nest's skeletons: what is known of a row, and what each pass computes at a column.
//!
//! - `struct Row`: a row's number, its first element, where it begins in each input, and the row's values so far, `v3` being value 3.
//! - `fn open_row(number: u32) -> Row`: the row with all values that need no fold in the same dispatch.
//! - `fn pass_P(row: Row, column: u32) -> Totals_P`: computes elements, writes outputs and gives what pass P folds.
//! - `identity_P`, `combine_P`: the arithmetic of `Totals_P`.
//! - `fn finish_P(row: Row, totals: Totals_P, …) -> Row`: the row with the values that pass P's folds lead to.
//! - `fn write_row(row: Row)`: writes the row's outputs, and what later dispatches must know.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::wgsl::Resource;
use crate::wgsl::emit::{Words, block_index, buffer_name, from_storage, to_storage, to_word, word_at};
use crate::wgsl::expressions::{Line, expression};
use crate::wgsl::module::{Module, of_width, storage_type, value_type};
use crate::wgsl::nest::facts::{Facts, Fold};
use crate::wgsl::nest::reads::{ElementRead, declare_row_read};
use crate::wgsl::nest::store::Store;
use crate::wgsl::reduce::{combination, identity};
use crate::{DType, Instruction, NestInstruction, Space};

/// A module of a nest in the making.
pub(super) struct Code<'a> {
    pub(super) facts: &'a Facts<'a>,
    pub(super) module: Module,
    /// How many neighbouring columns are computed at once: one, or four.
    pub(super) width: usize,
    /// The outputs of the nest that the module writes.
    pub(super) outputs: Vec<usize>,
    /// How many neighbouring invocations share a row.
    pub(super) lanes: usize,
}

/// What one pass over a row is for.
#[derive(Clone, Debug, Default)]
pub(super) struct Pass {
    /// The pass's number, which is the level of its elements.
    pub(super) number: u32,
    /// What it folds, of elements.
    pub(super) folds: Vec<Fold>,
    /// The outputs that it writes.
    pub(super) outputs: Vec<usize>,
}

impl Pass {
    /// The elements that it is for, each once.
    pub(super) fn roots(&self, facts: &Facts<'_>) -> Vec<u32> {
        let folded = self.folds.iter().map(|fold| fold.operand);
        let written = self.outputs.iter().map(|&output| facts.nest.outputs[output]);
        folded.chain(written).collect::<BTreeSet<u32>>().into_iter().collect()
    }
}

/// What reads an input of elements.
fn element_read<'a>(facts: &Facts<'a>, input: u32, width: usize) -> ElementRead<'a> {
    let resource = Resource::Input(input);
    let declared = &facts.nest.inputs[input as usize];
    ElementRead { name: buffer_name(resource), input: declared, resource, columns: facts.nest.columns, width }
}

/// The lanes of a block of columns.
const LANES: [&str; 4] = ["x", "y", "z", "w"];

impl Code<'_> {
    fn dtype(&self, number: u32) -> DType {
        self.facts.value(number).dtype
    }

    /// The output that the module writes over an input, if it does.
    fn overwriting(&self, input: u32) -> Option<usize> {
        let output = self.facts.nest.inputs[input as usize].in_place? as usize;
        self.outputs.contains(&output).then_some(output)
    }

    fn output_name(output: usize) -> String {
        buffer_name(Resource::Output(output as u32))
    }

    /// Declares Row and open_row. `values` are all values that a row has in the module, in order; `opened` those of them that
    /// are known at once, stored ones being read from the store; `elements` is what the passes compute.
    pub(super) fn declare_row(&mut self, values: &[u32], opened: &[u32], elements: &[u32], store: &Store) {
        let facts = self.facts;
        let loads: Vec<(u32, u32)> = opened
            .iter()
            .filter(|&&number| store.find(number).is_none())
            .filter_map(|&number| facts.loaded(number).map(|input| (number, input)))
            .collect();
        for &(number, input) in &loads {
            self.declare_row_load(number, input);
        }
        let mut fields = "    number: u32,\n    first: u32,\n".to_owned();
        let columns = self.module.parameter("columns", facts.nest.columns);
        let mut text = "fn open_row(number: u32) -> Row {\n    var row = Row();\n    row.number = number;\n".to_owned();
        let _ = writeln!(text, "    row.first = number * {columns};");
        for input in self.element_inputs(elements) {
            if self.overwriting(input).is_none() {
                let read = element_read(facts, input, self.width);
                let name = &read.name;
                if read.declare_start(&mut self.module) {
                    let _ = writeln!(fields, "    {name}: u32,");
                    let _ = writeln!(text, "    row.{name} = {name}_row(number);");
                }
            }
        }
        for &value in values {
            let _ = writeln!(fields, "    v{value}: {},", value_type(self.dtype(value)));
        }
        for &value in opened {
            let expression = match store.find(value) {
                Some(words) => self.stored(words, value),
                None => self.row_expression(value),
            };
            let _ = writeln!(text, "    let v{value} = {expression};\n    row.v{value} = v{value};");
        }
        text.push_str("    return row;\n}\n");
        self.module.declare(format!("struct Row {{\n{fields}}}\n"));
        self.module.declare(text);
    }

    /// The expression that reads a stored value of the row `number`.
    fn stored(&mut self, words: Words, value: u32) -> String {
        self.module.bind(words.resource, true, buffer_name(words.resource), "u32");
        let word = word_at(&mut self.module, words, "number");
        from_storage("u32", self.dtype(value), 1, &word)
    }

    fn declare_row_load(&mut self, number: u32, input: u32) {
        let name = buffer_name(Resource::Input(input));
        let declared = &self.facts.nest.inputs[input as usize];
        match self.overwriting(input) {
            None => declare_row_read(&mut self.module, &name, declared, Resource::Input(input)),
            Some(output) => {
                // Memory planning put the input where this output goes, so it is read through the output's binding.
                let shared = Self::output_name(output);
                let stored = storage_type(self.dtype(self.facts.nest.outputs[output]));
                let narrow = self.module.narrow_element(Resource::Output(output as u32), &shared, "number");
                let value =
                    narrow.unwrap_or_else(|| from_storage(stored, declared.dtype, 1, &format!("{shared}[number]")));
                let dtype = value_type(self.dtype(number));
                self.module.declare(format!(
                    "fn read_{name}(number: u32) -> {dtype} {{\n    // In place: {shared} still holds {name}.\n    return {value};\n}}\n"
                ));
            }
        }
    }

    /// The expression of a row's value that is computed.
    fn row_expression(&mut self, value: u32) -> String {
        match self.facts.value(value).instruction {
            NestInstruction::Compute(instruction) => {
                let line =
                    Line { program: "nest", value: value as usize, dtype: self.dtype(value), index: "row.number" };
                let load = |input: u32| format!("read_{}(number)", buffer_name(Resource::Input(input)));
                let facts = self.facts;
                expression(&mut self.module, line, instruction, load, |operand| facts.value(operand).dtype)
            }
            NestInstruction::Fold { .. } => unreachable!("a fold's result comes from a pass or the store"),
        }
    }

    /// The inputs that these elements load.
    fn element_inputs(&self, elements: &[u32]) -> BTreeSet<u32> {
        let elements = elements.iter().filter(|&&number| self.facts.value(number).space == Space::Element);
        elements.filter_map(|&number| self.facts.loaded(number)).collect()
    }

    /// Declares read_inputN for the inputs that these elements load, each once in a module.
    pub(super) fn declare_reads(&mut self, elements: &[u32]) {
        for input in self.element_inputs(elements) {
            let name = buffer_name(Resource::Input(input));
            let Some(output) = self.overwriting(input) else {
                element_read(self.facts, input, self.width).declare(&mut self.module);
                continue;
            };
            let declared = self.facts.nest.inputs[input as usize].dtype;
            let shared = Self::output_name(output);
            let stored = storage_type(self.dtype(self.facts.nest.outputs[output]));
            let word = format!("{shared}[{}]", block_index("(row.first + column)", self.width));
            let resource = Resource::Output(output as u32);
            let narrow = self.module.narrow_block(resource, self.width, "row.first + column");
            let value = narrow.unwrap_or_else(|| from_storage(stored, declared, self.width, &word));
            let dtype = of_width(value_type(declared), self.width);
            self.module.declare(format!(
                "fn read_{name}(row: Row, column: u32) -> {dtype} {{\n    // In place: {shared} still holds {name}.\n    return {value};\n}}\n"
            ));
        }
    }

    /// Declares Block and open_block: a block of columns, with what all rows read there. Gives the inputs that are read so.
    pub(super) fn declare_block(&mut self, elements: &[u32]) -> BTreeSet<u32> {
        let mut repeated = self.element_inputs(elements);
        repeated.retain(|&input| element_read(self.facts, input, self.width).is_of_columns());
        let mut fields = "    column: u32,\n".to_owned();
        let mut text =
            "fn open_block(row: Row, column: u32) -> Block {\n    var block = Block();\n    block.column = column;\n"
                .to_owned();
        for &input in &repeated {
            let name = buffer_name(Resource::Input(input));
            let dtype = of_width(value_type(self.facts.nest.inputs[input as usize].dtype), self.width);
            let _ = writeln!(fields, "    {name}: {dtype},");
            let _ = writeln!(text, "    block.{name} = read_{name}(row, column);");
        }
        text.push_str("    return block;\n}\n");
        self.module.declare(format!("struct Block {{\n{fields}}}\n"));
        self.module.declare(text);
        repeated
    }

    /// Declares pass_P, and for folds Totals_P, identity_P and combine_P. Where a block is opened before, with the inputs
    /// `repeated`, the pass takes it in place of a column.
    pub(super) fn declare_pass(&mut self, pass: &Pass, repeated: Option<&BTreeSet<u32>>) {
        let roots = pass.roots(self.facts);
        let loaded = self.declare_elements(pass, &roots);
        let inputs: Vec<String> = loaded.iter().map(|&input| buffer_name(Resource::Input(input))).collect();
        let number = pass.number;
        let result = if pass.folds.is_empty() { String::new() } else { format!(" -> Totals_{number}") };
        let mut text = match repeated {
            None => format!("fn pass_{number}(row: Row, column: u32){result} {{\n"),
            Some(_) => {
                format!("fn pass_{number}(row: Row, block: Block){result} {{\n    let column = block.column;\n")
            }
        };
        text.push_str("    let index = row.first + column;\n");
        for (name, input) in inputs.iter().zip(&loaded) {
            let value = match repeated {
                Some(repeated) if repeated.contains(input) => format!("block.{name}"),
                Some(_) | None => format!("read_{name}(row, column)"),
            };
            let _ = writeln!(text, "    let {name}_value = {value};");
        }
        if self.width == 1 {
            let list: String = inputs.iter().map(|input| format!(", {input}_value")).collect();
            let _ = writeln!(text, "    let v = elements_{number}(row, index, column{list});");
        } else {
            for (place, lane) in LANES.iter().enumerate() {
                let list: String = inputs.iter().map(|input| format!(", {input}_value.{lane}")).collect();
                let plus = if place == 0 { String::new() } else { format!(" + {place}u") };
                let _ = writeln!(text, "    let {lane} = elements_{number}(row, index{plus}, column{plus}{list});");
            }
        }
        for &output in &pass.outputs {
            let value = self.facts.nest.outputs[output];
            let dtype = self.dtype(value);
            let name = Self::output_name(output);
            let resource = Resource::Output(output as u32);
            if let Some(stored) = self.module.narrow_store(resource, self.width, "index", &self.block(value)) {
                text.push_str(&stored);
                continue;
            }
            self.module.bind(resource, true, name.clone(), of_width(storage_type(dtype), self.width));
            let block = block_index("index", self.width);
            let _ = writeln!(text, "    {name}[{block}] = {};", to_storage(dtype, self.width, &self.block(value)));
        }
        if !pass.folds.is_empty() {
            let totals: Vec<String> = pass.folds.iter().map(|fold| self.block(fold.operand)).collect();
            let _ = writeln!(text, "    return Totals_{number}({});", totals.join(", "));
            self.declare_totals(pass);
        }
        text.push_str("}\n");
        self.module.declare(text);
    }

    /// A value at all columns of a block.
    fn block(&self, value: u32) -> String {
        if self.width == 1 {
            return format!("v.v{value}");
        }
        let lanes = LANES.map(|lane| format!("{lane}.v{value}")).join(", ");
        format!("{}({lanes})", of_width(value_type(self.dtype(value)), self.width))
    }

    /// Declares Elements_P and elements_P: what a pass computes at one column. Gives the inputs that it takes.
    fn declare_elements(&mut self, pass: &Pass, roots: &[u32]) -> BTreeSet<u32> {
        let facts = self.facts;
        let number = pass.number;
        let cone = facts.cone(roots, |_| false);
        let inputs = self.element_inputs(&cone);
        let fields: String =
            roots.iter().map(|&root| format!("    v{root}: {},\n", value_type(self.dtype(root)))).collect();
        self.module.declare(format!("struct Elements_{number} {{\n{fields}}}\n"));
        let mut text = format!("fn elements_{number}(row: Row, index: u32, column: u32");
        for &input in &inputs {
            let dtype = value_type(facts.nest.inputs[input as usize].dtype);
            let _ = write!(text, ", {}: {dtype}", buffer_name(Resource::Input(input)));
        }
        let _ = writeln!(text, ") -> Elements_{number} {{");
        for &value in &cone {
            let expression = match (facts.value(value).space, facts.value(value).instruction.clone()) {
                (Space::Element, NestInstruction::Compute(Instruction::Iota { inner, extent, first })) => {
                    self.iota(value, inner, extent, first)
                }
                (Space::Element, NestInstruction::Compute(instruction)) => {
                    let line =
                        Line { program: "nest", value: value as usize, dtype: self.dtype(value), index: "index" };
                    let load = |input: u32| buffer_name(Resource::Input(input));
                    expression(&mut self.module, line, instruction, load, |operand| facts.value(operand).dtype)
                }
                (Space::Element | Space::Row | Space::Column | Space::Whole, _) => format!("row.v{value}"),
            };
            let _ = writeln!(text, "    let v{value} = {expression};");
        }
        let values = roots.iter().map(|root| format!("v{root}")).collect::<Vec<_>>().join(", ");
        let _ = write!(text, "    return Elements_{number}({values});\n}}\n");
        self.module.declare(text);
        inputs
    }

    /// The expression of a coordinate: of the column or the row alone where it depends on no more.
    fn iota(&mut self, value: u32, inner: usize, extent: usize, first: usize) -> String {
        let columns = self.facts.nest.columns;
        let begins_a_row = first.is_multiple_of(columns);
        let (index, inner, covered, first) = if begins_a_row && columns.is_multiple_of(inner * extent) {
            ("column", inner, columns, 0)
        } else if begins_a_row && inner.is_multiple_of(columns) {
            let first = first / columns;
            ("row.number", inner / columns, first + self.facts.nest.rows, first)
        } else {
            ("index", inner, usize::MAX, first)
        };
        let mut coordinate = match first {
            0 => index.to_owned(),
            first => format!("({index} + {})", self.module.parameter(format!("nest_first_{value}"), first)),
        };
        if inner != 1 {
            let inner = self.module.parameter(format!("nest_iota_{value}_inner"), inner);
            let _ = write!(coordinate, " / {inner}");
        }
        if inner.saturating_mul(extent) < covered {
            let extent = self.module.parameter(format!("nest_iota_{value}_extent"), extent);
            let _ = write!(coordinate, " % {extent}");
        }
        format!("i32({coordinate})")
    }

    fn declare_totals(&mut self, pass: &Pass) {
        let number = pass.number;
        let (mut fields, mut identities, mut combinations) = (String::new(), Vec::new(), Vec::new());
        for fold in &pass.folds {
            let dtype = self.dtype(fold.operand);
            let accumulator = of_width(value_type(dtype), self.width);
            let field = format!("v{}", fold.value);
            let _ = writeln!(fields, "    {field}: {accumulator},");
            identities.push(identity(&mut self.module, fold.function, dtype, &accumulator));
            let combine = self.module.call(combination(fold.function, dtype));
            combinations.push(if self.width == 1 {
                format!("{combine}(a.{field}, b.{field})")
            } else {
                let lanes = LANES.map(|lane| format!("{combine}(a.{field}.{lane}, b.{field}.{lane})"));
                format!("{accumulator}({})", lanes.join(", "))
            });
        }
        let (totals, identities, combinations) =
            (format!("Totals_{number}"), identities.join(", "), combinations.join(",\n        "));
        self.module.declare(format!("struct {totals} {{\n{fields}}}\n"));
        self.module.declare(format!("fn identity_{number}() -> {totals} {{\n    return {totals}({identities});\n}}\n"));
        self.module.declare(format!(
            "fn combine_{number}(a: {totals}, b: {totals}) -> {totals} {{\n    return {totals}(\n        {combinations},\n    );\n}}\n"
        ));
    }

    /// Declares finish_P. `values` are those that the pass's folds lead to, in order, the folds' own included.
    pub(super) fn declare_finish(&mut self, pass: &Pass, values: &[u32]) {
        let facts = self.facts;
        let number = pass.number;
        let lanes = if self.lanes > 1 { ", local: u32" } else { "" };
        let mut text =
            format!("fn finish_{number}(row: Row, totals: Totals_{number}{lanes}) -> Row {{\n    var known = row;\n");
        let used: BTreeSet<u32> = values
            .iter()
            .filter(|&&value| pass.folds.iter().all(|fold| fold.value != value))
            .flat_map(|&value| facts.operands(value))
            .filter(|operand| !values.contains(operand))
            .collect();
        for operand in used {
            let _ = writeln!(text, "    let v{operand} = row.v{operand};");
        }
        for &value in values {
            let expression = match pass.folds.iter().find(|fold| fold.value == value) {
                Some(fold) => self.total(fold),
                None => self.row_expression(value),
            };
            let _ = writeln!(text, "    let v{value} = {expression};\n    known.v{value} = v{value};");
        }
        text.push_str("    return known;\n}\n");
        self.module.declare(text);
    }

    /// The expression of a fold's result, from the totals at hand.
    fn total(&mut self, fold: &Fold) -> String {
        let dtype = self.dtype(fold.operand);
        let combine = self.module.call(combination(fold.function, dtype));
        let field = format!("totals.v{}", fold.value);
        let total = if self.width == 1 {
            field
        } else {
            format!("{combine}({combine}({field}.x, {field}.y), {combine}({field}.z, {field}.w))")
        };
        if self.lanes > 1 { format!("across_{combine}({total}, local)") } else { total }
    }

    /// Declares write_row, for outputs of rows and for what is to be stored.
    pub(super) fn declare_write_row(&mut self, outputs: &[usize], stored: &[(u32, Words)]) {
        let mut text = "fn write_row(row: Row) {\n".to_owned();
        for &output in outputs {
            let value = self.facts.nest.outputs[output];
            let dtype = self.dtype(value);
            let name = Self::output_name(output);
            let resource = Resource::Output(output as u32);
            if let Some(stored) = self.module.narrow_store(resource, 1, "row.number", &format!("row.v{value}")) {
                text.push_str(&stored);
                continue;
            }
            self.module.bind(resource, true, name.clone(), storage_type(dtype));
            let _ = writeln!(text, "    {name}[row.number] = {};", to_storage(dtype, 1, &format!("row.v{value}")));
        }
        for &(value, words) in stored {
            self.module.bind(words.resource, true, buffer_name(words.resource), "u32");
            let word = word_at(&mut self.module, words, "row.number");
            let _ = writeln!(text, "    {word} = {};", to_word(self.dtype(value), &format!("row.v{value}")));
        }
        text.push_str("}\n");
        self.module.declare(text);
    }

    /// Declares write_totals: the totals of chunks of rows, each fold's as `[chunks, columns]` in its array.
    pub(super) fn declare_write_totals(&mut self, folds: &[(Fold, Words)]) {
        let mut text = "fn write_totals(chunk: u32, column: u32, totals: Totals_0) {\n".to_owned();
        let columns = self.module.parameter("columns", self.facts.nest.columns);
        let _ = writeln!(text, "    let place = chunk * {columns} + column;");
        for (fold, words) in folds {
            self.module.bind(words.resource, true, buffer_name(words.resource), "u32");
            for (place, lane) in LANES[..self.width].iter().enumerate() {
                let word = word_at(&mut self.module, *words, &format!("place + {place}u"));
                let lane = if self.width == 1 { String::new() } else { format!(".{lane}") };
                let value = to_word(self.dtype(fold.operand), &format!("totals.v{}{lane}", fold.value));
                let _ = writeln!(text, "    {word} = {value};");
            }
        }
        text.push_str("}\n");
        self.module.declare(text);
    }

    /// Declares what combines a number of each lane of a row, once for each kind of fold: `fn across_add(value: f32, local: u32) -> f32`. Lanes that a
    /// subgroup has side by side exchange their totals directly.
    pub(super) fn declare_across(&mut self, folds: &[Fold], subgroup: Option<u32>) {
        let mut declared = BTreeSet::new();
        for fold in folds {
            let dtype = self.dtype(fold.operand);
            let combine = self.module.call(combination(fold.function, dtype));
            if !declared.insert(combine) {
                continue;
            }
            let kind = value_type(dtype);
            let lanes = self.module.parameter("lanes", self.lanes);
            let value_of = |word: &str| from_storage("u32", dtype, 1, word);
            let read = |place: &str| value_of(&format!("exchange[{place}]"));
            let combined = to_word(dtype, &format!("{combine}({}, {})", read("local"), read("local + half")));
            // The lanes of which each holds a total when the memory has done its part: all of a subgroup, or the first of the row.
            let last = subgroup.unwrap_or(1);
            let through_memory = format!(
                "exchange[local] = {};
    for (var half = {lanes} / 2u; half >= {last}u; half /= 2u) {{
        workgroupBarrier();
        if lane < half {{
            exchange[local] = {combined};
        }}
    }}
    workgroupBarrier();",
                to_word(dtype, "value"),
            );
            let body = match subgroup {
                None => format!("{through_memory}\n    let total = {};", read("local - lane")),
                // In each step both of a pair combine the lower with the higher, so that all lanes have the total that the first has by way of
                // the memory.
                Some(size) => format!(
                    "var total = value;
    if {lanes} > {size}u {{
    {through_memory}
    total = {};
    }}
    for (var half = min({lanes}, {size}u) / 2u; half > 0u; half /= 2u) {{
        let other = {};
        let is_lower = (lane & half) == 0u;
        total = {combine}(select(other, total, is_lower), select(total, other, is_lower));
    }}",
                    read(&format!("local - lane + lane % {size}u")),
                    value_of(&format!("subgroupShuffleXor({}, half)", to_word(dtype, "total"))),
                ),
            };
            self.module.declare(format!(
                "fn across_{combine}(value: {kind}, local: u32) -> {kind} {{
    let lane = local % {lanes};
    {body}
    workgroupBarrier();
    return total;
}}
"
            ));
        }
    }
}
