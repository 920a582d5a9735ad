//! Lowering of scatters: sums, products, largest and smallest elements, and those that replace. What follows speaks of sums; a scatter by
//! another function combines by that wherever a sum adds, in the same order, and one that replaces takes the last unit of each place for
//! the sum of them.
//!
//! In place, few updates along the axis are compared with one another (`scatter_few`): one dispatch, whose cost is theirs. Few updates of few
//! elements are gone through for each element. Else units of updates ([`Units`]) are sorted by the place
//! that they go to, stably, so that each place has its units side by side in ascending order; then each place is summed. The cost is
//! that of places plus updates, whatever the indices are, and no step of it depends on what runs first.
//!
//! 1. `scatter_keys` finds the place of each unit.
//! 2. For each digit of the places, the least significant first: `scatter_count` counts the digits of blocks of units,
//!    `scan_sums` and `scan` turn the counts into slots, `scatter_move` moves the units there.
//! 3. `scatter_sums` sums 64 units of one place, then 64 of those sums, and so on: as many levels as the longest place can need.
//! 4. In place, `scatter_reached` adds what these levels hold to the places that units go to, and touches no others.
//!    Into another buffer, `scatter_ends` finds where each place's units end, and `scatter_places` computes every element of the result.
//! 5. In place and with a factor, `scatter_left` sees to a factor that is not finite, which makes NaN of what has no updates.

mod levels;
mod sort;

use std::fmt::Write;

use arenagrad_graph::Shape;

use crate::kernel::Factor;
use crate::units::Units;
use crate::view::View;
use crate::wgsl::functions;
use crate::wgsl::module::{Grid, Module, WORKGROUP, storage_type};
use crate::wgsl::output::new_scratch;
use crate::wgsl::positions::position;
use crate::wgsl::radix::Order;
use crate::wgsl::scatter::levels::{Level, declare_sum_units, sum_iterations};
use crate::wgsl::tiles::scatters_directly;
use crate::wgsl::{AdapterProfile, Lowered, Resource};
use crate::{BinaryFunction, DType};

/// The entries that one sum of a level is over.
const ENTRIES: usize = 64;

/// The first number of updates along the axis that are too many for each to go through the others.
const FEW: usize = ENTRIES;

/// The most elements that one invocation looks at for a factor that is not finite.
const LEFT: usize = 256;

/// The iterations of a search by halving, or by steps that double: the bits of an index.
const SEARCH: usize = 32;

/// A scatter_add on its way to dispatches.
#[derive(Clone, Copy)]
pub(super) struct Scatter<'a> {
    pub(super) dtype: DType,
    /// By what updates are combined: add, mul, maximum or minimum; none if they replace what is there.
    pub(super) function: Option<BinaryFunction>,
    /// The operand's and the updates'.
    pub(super) shapes: [&'a Shape; 2],
    pub(super) axis: usize,
    /// Those of indices and updates.
    pub(super) views: [&'a View; 2],
    pub(super) in_place: bool,
    pub(super) factor: Option<Factor>,
    pub(super) profile: &'a AdapterProfile,
}

impl Scatter<'_> {
    /// Appends the dispatches.
    pub(super) fn lower(&self, lowered: &mut Lowered) {
        let [operand_shape, updates_shape] = self.shapes;
        if self.in_place && self.factor.is_none() && updates_shape[self.axis] < FEW {
            self.few(lowered);
        } else if scatters_directly(self.profile, operand_shape.elements(), updates_shape[self.axis]) {
            self.directly(lowered);
        } else {
            self.sorted(lowered);
        }
    }

    /// Every update goes through the others of its axis.
    fn few(&self, lowered: &mut Lowered) {
        let Scatter { shapes: [operand_shape, updates_shape], axis, views: [indices, updates], .. } = *self;
        let units = Units::new(operand_shape, updates_shape, axis, indices);
        let entries = units.units() * units.width;
        let mut module = Module::default();
        let each = module.long_running_workgroup(self.profile);
        module.parameter("entries", entries);
        module.parameter("width", units.width);
        module.parameter("count", units.count);
        module.parameter("inner", units.inner);
        module.parameter("extent", units.extent);
        module.bind(Resource::Input(1), false, "indices", "i32");
        self.declare_element(&mut module);
        self.declare_combination(&mut module);
        self.declare_result(&mut module);
        declare_read_index(&mut module, &units);
        self.declare_read_update(&mut module, updates);
        declare_first_element(&mut module, &units);
        let grid = Grid { count: entries, each, operations: 2 * units.count, iterations: units.count };
        let skeleton = include_str!("../../shaders/scatter_few.wgsl");
        module.dispatch(skeleton, "scatter_few", grid, self.profile, lowered);
    }

    /// Every element of the result goes through the updates.
    fn directly(&self, lowered: &mut Lowered) {
        let Scatter { shapes: [operand_shape, updates_shape], axis, views: [indices, updates], .. } = *self;
        let mut module = Module::default();
        let each = module.long_running_workgroup(self.profile);
        module.parameter("elements", operand_shape.elements());
        module.parameter("updates", updates_shape[axis]);
        module.parameter("update_step", updates_shape.strides()[axis]);
        module.bind(Resource::Input(1), false, "indices", "i32");
        self.declare_element(&mut module);
        self.declare_combination(&mut module);
        self.declare_result(&mut module);
        let place = position(&mut module, "index_position", indices, "update");
        module.declare(format!("fn read_index(update: u32) -> i32 {{\n    return indices[{place}];\n}}\n"));
        self.declare_read_update(&mut module, updates);
        self.declare_update_position(&mut module);
        let updates = updates_shape[axis];
        let grid = Grid { count: operand_shape.elements(), each, operations: 2 * updates, iterations: updates };
        let (skeleton, name) = match self.function {
            Some(_) => (include_str!("../../shaders/scatter_add.wgsl"), "scatter_add"),
            None => (include_str!("../../shaders/scatter_replace.wgsl"), "scatter_replace"),
        };
        module.dispatch(skeleton, name, grid, self.profile, lowered);
    }

    /// The updates are brought into the order of their places.
    fn sorted(&self, lowered: &mut Lowered) {
        let Scatter { shapes: [operand_shape, updates_shape], axis, views: [indices, _], .. } = *self;
        let units = Units::new(operand_shape, updates_shape, axis, indices);
        let count = units.units();
        let [from, to] =
            [(); 2].map(|()| Order { keys: new_scratch(count, lowered), order: new_scratch(count, lowered) });
        self.keys(&units, from, lowered);
        let sorted = self.sort(&units, [from, to], lowered);
        // A place has as many units as the axis is long, at most: enough levels that few entries of the last are left.
        // Units that replace one another have no sums.
        let longest = if self.function.is_some() { units.count } else { 0 };
        let mut levels = Vec::new();
        let mut words = 0;
        let mut span = ENTRIES;
        while longest > span * ENTRIES {
            levels.push(Level { span, first: words });
            words += count / span * units.width;
            span *= ENTRIES;
        }
        if longest > ENTRIES {
            levels.push(Level { span, first: words });
            words += count / span * units.width;
        }
        let sums = (words > 0).then(|| new_scratch(words, lowered));
        if let Some(sums) = sums {
            for number in 0..levels.len() {
                self.sums(&units, sorted, sums, &levels[..=number], lowered);
            }
        } else {
            levels.clear();
        }
        if self.in_place {
            self.reached(&units, sorted, sums, &levels, lowered);
            self.left(&units, sorted, lowered);
            return;
        }
        let ends = new_scratch(units.places(), lowered);
        self.ends(&units, sorted, ends, lowered);
        self.places(&units, sorted.order, ends, sums, &levels, lowered);
    }

    fn ends(&self, units: &Units, sorted: Order, ends: Resource, lowered: &mut Lowered) {
        let mut module = Module::default();
        module.parameter("units", units.units());
        module.parameter("places", units.places());
        module.bind(sorted.keys, false, "keys", "u32");
        module.bind(ends, true, "ends", "u32");
        let grid = Grid { count: units.places(), each: WORKGROUP, operations: 64, iterations: SEARCH };
        let skeleton = include_str!("../../shaders/scatter_ends.wgsl");
        module.dispatch(skeleton, "scatter_ends", grid, self.profile, lowered);
    }

    /// Appends the sums of the last of `levels`.
    fn sums(&self, units: &Units, sorted: Order, sums: Resource, levels: &[Level], lowered: &mut Lowered) {
        let Some((level, before)) = levels.split_last() else { return };
        let elements = units.units() / level.span * units.width;
        if elements == 0 {
            return;
        }
        let mut module = Module::default();
        let each = module.long_running_workgroup(self.profile);
        module.parameter("elements", elements);
        module.parameter("width", units.width);
        module.parameter("places", units.places());
        module.parameter("span", level.span);
        module.parameter("first_sum", level.first);
        module.bind(sorted.keys, false, "keys", "u32");
        self.declare_element(&mut module);
        self.declare_combination(&mut module);
        let stored = storage_type(self.dtype);
        match before.last() {
            None => self.declare_read_unit(&mut module, sorted.order, "read_entry"),
            Some(before) => {
                let first = module.parameter("first_entry", before.first);
                module.declare(format!(
                    "fn read_entry(entry: u32, column: u32) -> Element {{\n    return sums[{first} + entry * parameters.width + column];\n}}\n"
                ));
            }
        }
        module.bind(sums, true, "sums", stored);
        let grid = Grid { count: elements, each, operations: 4 * ENTRIES, iterations: ENTRIES / 4 };
        let skeleton = include_str!("../../shaders/scatter_sums.wgsl");
        module.dispatch(skeleton, "scatter_sums", grid, self.profile, lowered);
    }

    fn places(
        &self,
        units: &Units,
        order: Resource,
        ends: Resource,
        sums: Option<Resource>,
        levels: &[Level],
        lowered: &mut Lowered,
    ) {
        let elements = self.shapes[0].elements();
        let mut module = Module::default();
        let each = module.long_running_workgroup(self.profile);
        module.parameter("elements", elements);
        module.parameter("width", units.width);
        self.declare_element(&mut module);
        self.declare_combination(&mut module);
        self.declare_result(&mut module);
        module.bind(ends, false, "ends", "u32");
        self.declare_sums(&mut module, order, sums, levels);
        self.declare_target(&mut module, units);
        let grid = Grid { count: elements, each, operations: ENTRIES, iterations: sum_iterations(levels) };
        let skeleton = include_str!("../../shaders/scatter_places.wgsl");
        module.dispatch(skeleton, "scatter_places", grid, self.profile, lowered);
    }

    /// The places that units go to, each by the first of its units.
    fn reached(&self, units: &Units, sorted: Order, sums: Option<Resource>, levels: &[Level], lowered: &mut Lowered) {
        let entries = units.units() * units.width;
        let mut module = Module::default();
        let each = module.long_running_workgroup(self.profile);
        module.parameter("entries", entries);
        module.parameter("width", units.width);
        module.parameter("units", units.units());
        module.parameter("places", units.places());
        module.bind(sorted.keys, false, "keys", "u32");
        self.declare_element(&mut module);
        self.declare_combination(&mut module);
        self.declare_result(&mut module);
        self.declare_sums(&mut module, sorted.order, sums, levels);
        declare_first_element(&mut module, units);
        let iterations = sum_iterations(levels) + 2 * SEARCH;
        let grid = Grid { count: entries, each, operations: ENTRIES, iterations };
        let skeleton = include_str!("../../shaders/scatter_reached.wgsl");
        module.dispatch(skeleton, "scatter_reached", grid, self.profile, lowered);
    }

    /// The elements that no unit goes to, where a factor that is not finite makes NaN of them.
    fn left(&self, units: &Units, sorted: Order, lowered: &mut Lowered) {
        let may_differ = match self.factor {
            None => false,
            Some(Factor::Constant(value)) => !value.is_finite(),
            Some(Factor::Input { .. }) => self.dtype.is_float(),
        };
        if !may_differ {
            return;
        }
        let elements = self.shapes[0].elements();
        // For each element a search by halving.
        let length = (self.profile.max_iterations_per_invocation as usize / 64).clamp(1, LEFT);
        let mut module = Module::default();
        let each = module.long_running_workgroup(self.profile);
        module.parameter("elements", elements);
        module.parameter("chunks", elements.div_ceil(length));
        module.parameter("chunk_length", length);
        module.parameter("width", units.width);
        module.parameter("units", units.units());
        module.word("nothing".to_owned(), storage_type(self.dtype), 0);
        module.bind(sorted.keys, false, "keys", "u32");
        self.declare_element(&mut module);
        self.declare_result(&mut module);
        let Some(factor) = self.factor_expression(&mut module) else { return };
        module.declare(format!("fn read_factor() -> Element {{\n    return {factor};\n}}\n"));
        self.declare_target(&mut module, units);
        // The factor is finite as good as always.
        let iterations = length * (SEARCH + 1);
        let grid = Grid { count: elements.div_ceil(length), each, operations: 8, iterations };
        let skeleton = include_str!("../../shaders/scatter_left.wgsl");
        module.dispatch(skeleton, "scatter_left", grid, self.profile, lowered);
    }

    /// Declares the sum of the units of one place from their order and the levels of sums.
    fn declare_sums(&self, module: &mut Module, order: Resource, sums: Option<Resource>, levels: &[Level]) {
        self.declare_read_unit(module, order, "read_entry_0");
        if let Some(sums) = sums {
            module.bind(sums, false, "sums", storage_type(self.dtype));
        }
        for (number, level) in levels.iter().enumerate() {
            let first = module.parameter(format!("first_sum_{}", number + 1), level.first);
            module.declare(format!(
                "fn read_entry_{}(entry: u32, column: u32) -> Element {{\n    return sums[{first} + entry * parameters.width + column];\n}}\n",
                number + 1
            ));
        }
        if self.function.is_some() {
            declare_sum_units(module, levels.len());
        }
        self.declare_combine_units(module);
    }

    /// Declares what becomes of an element with the units of its place.
    fn declare_combine_units(&self, module: &mut Module) {
        let text = match self.function {
            Some(_) => {
                "    if last - first > 64u {
        return combine(start, sum_units(first, last, column));
    }
    var sum = start;
    for (var unit = first; unit < last; unit += 1u) {
        sum = combine(sum, read_entry_0(unit, column));
    }
    return sum;
"
            }
            None => {
                "    if first < last {
        return read_entry_0(last - 1u, column);
    }
    return start;
"
            }
        };
        module.declare(format!(
            "fn combine_units(start: Element, first: u32, last: u32, column: u32) -> Element {{\n{text}}}\n"
        ));
    }

    fn declare_element(&self, module: &mut Module) {
        module.declare(format!("alias Element = {};", storage_type(self.dtype)));
    }

    /// Declares how two elements become one, and what changes none that it is combined with.
    fn declare_combination(&self, module: &mut Module) {
        let Some(function) = self.function else {
            module.declare("fn combine(a: Element, b: Element) -> Element {\n    return b;\n}\n");
            return;
        };
        let identity = self.identity(function, module);
        module.declare(format!("fn identity() -> Element {{\n    return {identity};\n}}\n"));
        let combined = if function == BinaryFunction::Add {
            "a + b".to_owned()
        } else {
            format!("{}(a, b)", module.call(functions::named(function.name(), self.dtype)))
        };
        module.declare(format!("fn combine(a: Element, b: Element) -> Element {{\n    return {combined};\n}}\n"));
    }

    /// The expression of what changes no element that it is combined with.
    fn identity(&self, function: BinaryFunction, module: &mut Module) -> String {
        // Infinities cannot be written in WGSL, so the extremes travel as parameters.
        let (stored, least, largest) = if self.dtype == DType::I32 {
            ("i32", i32::MIN as u32, i32::MAX as u32)
        } else {
            ("f32", f32::NEG_INFINITY.to_bits(), f32::INFINITY.to_bits())
        };
        if function == BinaryFunction::Maximum {
            module.word("least".to_owned(), stored, least)
        } else if function == BinaryFunction::Minimum {
            module.word("largest".to_owned(), stored, largest)
        } else if function == BinaryFunction::Mul {
            "Element(1)".to_owned()
        } else {
            "Element()".to_owned()
        }
    }

    /// Declares the first number of each element's sum, and what becomes of the sum.
    fn declare_result(&self, module: &mut Module) {
        let stored = storage_type(self.dtype);
        module.bind(Resource::Output(0), true, "result", stored);
        let operand = if self.in_place {
            "result[element]"
        } else {
            module.bind(Resource::Input(0), false, "operand", stored);
            "operand[element]"
        };
        let (start, result) = match self.factor_expression(module) {
            None => (operand, "sum".to_owned()),
            Some(factor) => ("Element()", format!("{operand} + {factor} * sum")),
        };
        module.declare(format!("fn read_start(element: u32) -> Element {{\n    return {start};\n}}\n"));
        module
            .declare(format!("fn write_result(element: u32, sum: Element) {{\n    result[element] = {result};\n}}\n"));
    }

    /// What reads the factor, if there is one.
    fn factor_expression(&self, module: &mut Module) -> Option<String> {
        let stored = storage_type(self.dtype);
        Some(match self.factor? {
            Factor::Constant(value) => {
                let word = if self.dtype == DType::I32 { value as i32 as u32 } else { (value as f32).to_bits() };
                module.word("factor".to_owned(), stored, word)
            }
            Factor::Input { is_negated } => {
                module.bind(Resource::Input(3), false, "factors", stored);
                if is_negated { "(-factors[0])" } else { "factors[0]" }.to_owned()
            }
        })
    }

    /// Declares `fn read_update(update: u32)`, by the update's place in its domain.
    fn declare_read_update(&self, module: &mut Module, updates: &View) {
        module.bind(Resource::Input(2), false, "updates", storage_type(self.dtype));
        let place = position(module, "update_value_position", updates, "update");
        module.declare(format!("fn read_update(update: u32) -> Element {{\n    return updates[{place}];\n}}\n"));
    }

    /// Declares, under `name`, what reads a column of a unit by its place in the order.
    fn declare_read_unit(&self, module: &mut Module, order: Resource, name: &str) {
        module.bind(order, false, "order", "u32");
        self.declare_read_update(module, self.views[1]);
        module.declare(format!(
            "fn {name}(entry: u32, column: u32) -> Element {{\n    return read_update(order[entry] * parameters.width + column);\n}}\n"
        ));
    }

    /// Declares which place an element of the result belongs to, and which column of it the element is.
    fn declare_target(&self, module: &mut Module, units: &Units) {
        let [operand_shape, updates_shape] = self.shapes;
        let strides = operand_shape.strides();
        let mut text =
            "fn target_of(element: u32) -> Target {\n    var is_reached = true;\n    var rest = element;\n".to_owned();
        let mut terms = Vec::new();
        let mut place_stride = 1;
        for other in (0..units.rank).rev() {
            // The elements of one step along the axis go together, so the first division takes a unit's columns away.
            if other + 1 == units.rank {
                let row = module.parameter("row", strides[other]);
                let _ = write!(
                    text,
                    "    let column = rest % {row};\n    rest /= {row};\n    is_reached = column < parameters.width;\n"
                );
            }
            let extent = module.parameter(format!("extent_{other}"), operand_shape[other]);
            let _ = write!(text, "    let c_{other} = rest % {extent};\n    rest /= {extent};\n");
            let reached = if other == self.axis { operand_shape[other] } else { updates_shape[other] };
            let limit = module.parameter(format!("reached_{other}"), reached);
            let _ = writeln!(text, "    is_reached = is_reached & (c_{other} < {limit});");
            let stride = module.parameter(format!("place_stride_{other}"), place_stride);
            terms.push(format!("c_{other} * {stride}"));
            place_stride *= reached;
        }
        let _ = write!(text, "    return Target({}, column, is_reached);\n}}\n", terms.join(" + "));
        module.declare("struct Target {\n    place: u32,\n    column: u32,\n    is_reached: bool,\n}\n");
        module.declare(text);
    }

    /// Declares where the updates of an element of the result begin, what its coordinate along the axis is, and whether there
    /// are any updates at its other coordinates.
    fn declare_update_position(&self, module: &mut Module) {
        let Scatter { shapes: [operand_shape, updates_shape], axis, .. } = *self;
        let strides = updates_shape.strides();
        let mut text = "fn update_position(element: u32) -> Updates {\n    var rest = element;\n    var updates = Updates(0u, 0u, true);\n"
            .to_owned();
        for other in (0..operand_shape.rank()).rev() {
            let extent = module.parameter(format!("extent_{other}"), operand_shape[other]);
            if other == axis {
                let _ = writeln!(text, "    updates.coordinate = rest % {extent};");
            } else {
                let stride = module.parameter(format!("stride_{other}"), strides[other]);
                let limit = module.parameter(format!("updated_{other}"), updates_shape[other]);
                let _ = writeln!(text, "    updates.position += (rest % {extent}) * {stride};");
                let _ = writeln!(text, "    updates.reached = updates.reached & (rest % {extent} < {limit});");
            }
            let _ = writeln!(text, "    rest /= {extent};");
        }
        text.push_str("    return updates;\n}\n");
        module.declare("struct Updates {\n    position: u32,\n    coordinate: u32,\n    reached: bool,\n}\n");
        module.declare(text);
    }
}

/// Declares what reads the index of a unit.
fn declare_read_index(module: &mut Module, units: &Units) {
    let place = position(module, "index_position", &units.indices, "unit");
    module.declare(format!("fn read_index(unit: u32) -> i32 {{\n    return indices[{place}];\n}}\n"));
}

/// Declares which element of the result a place begins with.
fn declare_first_element(module: &mut Module, units: &Units) {
    let position = position(module, "place_position", &units.places, "place");
    module.declare(format!("fn first_element(place: u32) -> u32 {{\n    return {position};\n}}\n"));
}
