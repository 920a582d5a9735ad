//! A WGSL module in the making: parameters, bindings, called functions and generated declarations around a skeleton.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::DType;
use crate::wgsl::functions::write_items;
use crate::wgsl::{AdapterClass, AdapterProfile, Binding, Dispatch, Resource};

/// The invocations of a workgroup, unless a skeleton says otherwise: a multiple of the eight lanes of a software adapter.
pub(super) const WORKGROUP: usize = 64;

/// Collects what a skeleton needs; [`Module::dispatch`] puts the text together.
#[derive(Default)]
pub(super) struct Module {
    parameters: Vec<Parameter>,
    bindings: Vec<Bound>,
    functions: BTreeSet<&'static str>,
    body: String,
    contracts: bool,
}

/// A word of the uniform buffer.
struct Parameter {
    name: String,
    dtype: &'static str,
    word: u32,
}

/// A declared storage buffer.
struct Bound {
    binding: Binding,
    name: String,
    element: String,
}

impl Module {
    /// Declares the parameter `name` of type u32 and gives the expression that reads it.
    pub(super) fn parameter(&mut self, name: impl Into<String>, value: usize) -> String {
        self.word(name.into(), "u32", value as u32)
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
    /// declaration.
    pub(super) fn bind(
        &mut self,
        resource: Resource,
        writable: bool,
        name: impl Into<String>,
        element: impl Into<String>,
    ) {
        if !self.bindings.iter().any(|bound| bound.binding.resource == resource) {
            let binding = Binding { resource, writable };
            self.bindings.push(Bound { binding, name: name.into(), element: element.into() });
        }
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

    /// Appends a generated declaration.
    pub(super) fn declare(&mut self, text: impl AsRef<str>) {
        self.body.push('\n');
        self.body.push_str(text.as_ref().trim_end());
        self.body.push('\n');
    }

    /// The dispatch of the module that `skeleton` and everything declared make.
    pub(super) fn dispatch(self, skeleton: &str, label: &'static str, workgroups: [u32; 3]) -> Dispatch {
        let mut text = String::with_capacity(skeleton.len() + self.body.len() + 1024);
        text.push_str(skeleton.trim_end());
        text.push_str("\n\nstruct Parameters {\n");
        for Parameter { name, dtype, .. } in &self.parameters {
            let _ = writeln!(text, "    {name}: {dtype},");
        }
        text.push_str("}\n\n@group(0) @binding(0) var<uniform> parameters: Parameters;\n");
        for (index, Bound { binding, name, element }) in self.bindings.iter().enumerate() {
            let access = if binding.writable { "read_write" } else { "read" };
            let place = index + 1;
            let _ = writeln!(text, "@group(0) @binding({place}) var<storage, {access}> {name}: array<{element}>;");
        }
        text.push_str(&self.body);
        write_items(&self.functions, &mut text);
        let mut parameters: Vec<u32> = self.parameters.iter().map(|parameter| parameter.word).collect();
        parameters.resize(parameters.len().next_multiple_of(4), 0);
        Dispatch {
            module: text.into(),
            contracts: self.contracts,
            label,
            bindings: self.bindings.iter().map(|bound| bound.binding).collect(),
            parameters,
            workgroups,
        }
    }
}

/// How many workgroups cover `count` of something when each covers `each`, folded into two dimensions, and how many of the
/// `each`-fold stand in one row of workgroups.
pub(super) fn fold(count: usize, each: usize, profile: &AdapterProfile) -> ([u32; 3], usize) {
    let groups = count.div_ceil(each).max(1);
    let rows = groups.div_ceil(profile.max_workgroups_per_dimension as usize);
    let columns = groups.div_ceil(rows);
    ([columns as u32, rows as u32, 1], columns * each)
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
