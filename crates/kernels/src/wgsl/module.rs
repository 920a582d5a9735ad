//! A WGSL module in the making: parameters, bindings, called functions and generated declarations around a skeleton.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;

use crate::DType;
use crate::wgsl::functions::write_items;
use crate::wgsl::storage::Narrow;
use crate::wgsl::{AdapterClass, AdapterProfile, Binding, Dispatch, Lowered, Resource, Work};

/// The invocations of a workgroup, unless a skeleton says otherwise: a multiple of the eight lanes of a software adapter.
pub(crate) const WORKGROUP: usize = 64;

/// Collects what a skeleton needs; [`Module::dispatch`] puts the text together.
#[derive(Default)]
pub(super) struct Module {
    parameters: Vec<Parameter>,
    bindings: Vec<BoundBuffer>,
    functions: BTreeSet<&'static str>,
    body: String,
    contracts: bool,
    together: Option<usize>,
    narrow: Narrow,
    has_f16: bool,
    has_cooperative_matrices: bool,
}

/// A word of the uniform buffer.
struct Parameter {
    name: String,
    dtype: &'static str,
    word: u32,
}

/// A declared storage buffer.
struct BoundBuffer {
    binding: Binding,
    name: String,
    element: String,
}

impl Module {
    /// A module over a step's buffers, of which some are narrow.
    pub(super) fn of(narrow: Narrow) -> Self {
        Module { narrow, ..Module::default() }
    }

    /// Which of the step's buffers are narrow.
    pub(super) fn narrow(&self) -> &Narrow {
        &self.narrow
    }

    /// Declares the parameter `name` of type u32 and gives the expression that reads it.
    pub(super) fn parameter(&mut self, name: impl Into<String>, value: usize) -> String {
        self.word(name.into(), "u32", value as u32)
    }

    /// Declares the parameter `name` that holds a distance, and gives the expression that reads it. One below 0 is the u32 whose sum
    /// with a position wraps to what lies so far before it.
    pub(super) fn stride(&mut self, name: impl Into<String>, stride: isize) -> String {
        self.word(name.into(), "u32", stride as u32)
    }

    /// Declares a parameter of another type than u32, given by its bits.
    pub(super) fn word(&mut self, name: String, dtype: &'static str, word: u32) -> String {
        let expression = format!("parameters.{name}");
        if let Some(known) = self.parameters.iter().find(|known| known.name == name) {
            assert!(known.word == word && known.dtype == dtype, "parameter {name} has two values");
        } else {
            self.parameters.push(Parameter { name, dtype, word });
        }
        expression
    }

    /// Declares a storage buffer under a name, as an array of `element`. A buffer that is declared already keeps its first
    /// declaration, and is writable once any says so.
    pub(super) fn bind(
        &mut self,
        resource: Resource,
        writable: bool,
        name: impl Into<String>,
        element: impl Into<String>,
    ) {
        match self.bindings.iter_mut().find(|bound| bound.binding.resource == resource) {
            Some(known) => known.binding.writable |= writable,
            None => {
                let binding = Binding { resource, writable };
                self.bindings.push(BoundBuffer { binding, name: name.into(), element: element.into() });
            }
        }
    }

    /// Says that the module has the type `f16`, which WGSL wants to hear first.
    pub(super) fn enable_f16(&mut self) {
        self.has_f16 = true;
    }

    /// Says that the module has cooperative matrices, an extension of WGSL that naga alone knows.
    pub(super) fn enable_cooperative_matrices(&mut self) {
        self.has_cooperative_matrices = true;
    }

    /// Notes that a function of `shaders/functions` is called, and gives its name back.
    pub(super) fn call(&mut self, name: &'static str) -> &'static str {
        self.functions.insert(name);
        name
    }

    /// Declares WORKGROUP_SIZE for invocations that loop for long, and gives it: on a software adapter one vector of lanes, so
    /// that few invocations still spread over the cores; on a GPU that would leave lanes idle.
    pub(super) fn long_running_workgroup(&mut self, profile: &AdapterProfile) -> usize {
        let size = match profile.class {
            AdapterClass::Cpu => 8,
            AdapterClass::Gpu => WORKGROUP,
        };
        self.declare(format!("const WORKGROUP_SIZE: u32 = {size}u;"));
        size
    }

    /// Lets a compiler join products and sums of the skeleton itself; see [`Dispatch::contracts`].
    pub(super) fn contract(&mut self) {
        self.contracts = true;
    }

    /// Says that so many invocations of a workgroup work together; see [`Work::together`].
    pub(super) fn work_together(&mut self, invocations: usize) {
        self.together = Some(invocations);
    }

    /// Appends a generated declaration.
    pub(super) fn declare(&mut self, text: impl AsRef<str>) {
        self.body.push('\n');
        self.body.push_str(text.as_ref().trim_end());
        self.body.push('\n');
    }

    /// Appends the dispatches of the module that `skeleton` and everything declared make: one, or several if the invocations
    /// together are more than [`MOST_OPERATIONS`].
    pub(super) fn dispatch(
        mut self,
        skeleton: &str,
        label: &'static str,
        grid: Grid,
        profile: &AdapterProfile,
        lowered: &mut Lowered,
    ) {
        self.parameter("first", 0);
        self.parameter("per_row", 0);
        let mut text = String::with_capacity(skeleton.len() + self.body.len() + 1024);
        if self.has_f16 {
            text.push_str("enable f16;\n");
        }
        if self.has_cooperative_matrices {
            text.push_str("enable wgpu_cooperative_matrix;\n");
        }
        if self.has_f16 || self.has_cooperative_matrices {
            text.push('\n');
        }
        text.push_str(skeleton.trim_end());
        text.push_str("\n\nstruct Parameters {\n");
        for Parameter { name, dtype, .. } in &self.parameters {
            let _ = writeln!(text, "    {name}: {dtype},");
        }
        text.push_str("}\n\n@group(0) @binding(0) var<uniform> parameters: Parameters;\n");
        for (index, BoundBuffer { binding, name, element }) in self.bindings.iter().enumerate() {
            let access = if binding.writable { "read_write" } else { "read" };
            let place = index + 1;
            let _ = writeln!(text, "@group(0) @binding({place}) var<storage, {access}> {name}: array<{element}>;");
        }
        text.push_str(FLAT);
        text.push_str(&self.body);
        write_items(&self.functions, &mut text);
        let module: Arc<str> = text.into();
        let bindings: Vec<Binding> = self.bindings.iter().map(|bound| bound.binding).collect();
        let own = self.parameters.len() - 2;
        for part in grid.parts(profile) {
            let mut parameters: Vec<u32> = self.parameters.iter().map(|parameter| parameter.word).collect();
            parameters[own..].copy_from_slice(&[part.first as u32, part.per_row as u32]);
            parameters.resize(parameters.len().next_multiple_of(4), 0);
            lowered.dispatches.push(Dispatch {
                module: Arc::clone(&module),
                contracts: self.contracts,
                label,
                bindings: bindings.clone(),
                parameters,
                workgroups: part.workgroups,
                operations: part.operations,
                work: Work {
                    count: part.count,
                    together: self.together,
                    operations: grid.operations,
                    iterations: grid.iterations,
                },
            });
        }
    }
}

/// How a skeleton knows which of all invocations (or workgroups) it is: they are counted on over the rows of workgroups, and
/// over the dispatches that a large kernel is cut into.
const FLAT: &str =
    "\nfn flat(id: vec3<u32>) -> u32 {\n    return parameters.first + id.y * parameters.per_row + id.x;\n}\n";

/// The most simple operations of one dispatch: some seconds on a software adapter, milliseconds on a GPU. Drivers and operating
/// systems take a device away that does not come back for seconds. Where counts have 32 bits they saturate above, so it is less there.
pub(super) const MOST_OPERATIONS: usize = 1 << if usize::BITS == 64 { 33 } else { 31 };

/// The invocations of a module; or its workgroups, if it counts those.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    /// How many there are.
    pub(super) count: usize,
    /// How many of them a workgroup is.
    pub(super) each: usize,
    /// Roughly how many simple operations one of them is.
    pub(super) operations: usize,
    /// How many loop iterations one of them, or an invocation of it, runs at most.
    pub(super) iterations: usize,
}

/// Some workgroups of a grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    first: usize,
    /// How many invocations, or workgroups, have something to do.
    count: usize,
    per_row: usize,
    workgroups: [u32; 3],
    operations: usize,
}

impl Grid {
    /// The workgroups in as few parts as keep below [`MOST_OPERATIONS`], each folded into rows that the adapter allows.
    fn parts(self, profile: &AdapterProfile) -> impl Iterator<Item = Part> {
        let Grid { count, each, operations, iterations: _ } = self;
        let groups = count.div_ceil(each).max(1);
        let rows = (profile.max_workgroups_per_dimension as usize).max(1);
        // Whole rows, where there are several: parts must not overlap, for a dispatch may add to what stands there.
        let most = (MOST_OPERATIONS / operations.saturating_mul(each).max(1)).max(1);
        let most = if most > rows { most / rows * rows } else { most };
        (0..groups).step_by(most).map(move |first| {
            let groups = most.min(groups - first);
            let height = groups.div_ceil(rows);
            let columns = groups.div_ceil(height);
            let part = count.saturating_sub(first * each).min(groups * each);
            Part {
                first: first * each,
                count: part,
                per_row: columns * each,
                workgroups: [columns as u32, height as u32, 1],
                operations: operations.saturating_mul(part),
            }
        })
    }
}

/// The type in which the elements of a dtype stand in storage. f64 is refused before anything is emitted.
pub(super) fn storage_type(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "f32",
        DType::I32 => "i32",
        DType::Bool => "u32",
        DType::F64 => unreachable!("f64 is refused before a module is made"),
    }
}

/// The type in which a program computes with elements of a dtype.
pub(super) fn value_type(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "f32",
        DType::I32 => "i32",
        DType::Bool => "bool",
        DType::F64 => unreachable!("f64 is refused before a module is made"),
    }
}

/// `name`, or the vector of four of it.
pub(super) fn of_width(name: &str, width: usize) -> String {
    if width == 1 { name.to_owned() } else { format!("vec{width}<{name}>") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_grids_are_cut_into_parts_that_cover_them_once() {
        for (class, most_groups) in [(AdapterClass::Cpu, 65_535), (AdapterClass::Gpu, 7)] {
            let profile = AdapterProfile {
                class,
                max_workgroups_per_dimension: most_groups,
                max_iterations_per_invocation: 24_000,
                reads_f16: false,
                cooperative: None,
                subgroup: None,
            };
            for (count, each, operations) in [
                (1, 64, 1),
                (1000, 64, 10),
                (1000, 8, MOST_OPERATIONS / 100),
                (77, 8, usize::MAX),
                (1 << 20, 64, 1 << 20),
            ] {
                let parts: Vec<Part> = Grid { count, each, operations, iterations: 0 }.parts(&profile).collect();
                let mut next = 0;
                for part in &parts {
                    let [x, y, z] = part.workgroups.map(|n| n as usize);
                    assert_eq!((part.first, part.per_row, z), (next, x * each, 1));
                    assert!(x <= most_groups as usize && (part.operations <= MOST_OPERATIONS || x * y == 1));
                    next = if part == parts.last().unwrap() { count } else { part.first + x * y * each };
                    assert!(next > part.first && part.first + x * y * each >= next);
                }
                assert_eq!(next, count);
            }
        }
    }
}
