//! Plans for a reader: what each step computes, in which stage of the work, from which buffers into which.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::sync::Arc;

use arenagrad_graph::Origin;
use arenagrad_kernels::{Factor, Instruction, Kernel, NestInstruction, ProductExtents, Program};

use crate::plan::border::Border;
use crate::plan::entries::{Entry, Work};
use crate::plan::looped::LoopPlan;
use crate::plan::memory::Memory;
use crate::plan::nodes::Nodes;
use crate::plan::step::{Step, Task};
use crate::plan::{BufferRole, Cost, Plan};

/// A step of a plan as a reader sees it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PlanStep {
    /// The stage of the work, such as `forward`.
    pub stage: &'static str,
    /// The kernel's stem and its extents, such as `matmul 64x784x256`.
    pub kernel: String,
    /// The elementwise functions fused into the kernel, in order.
    pub fused: Vec<&'static str>,
    /// The named nodes that it computes, or ops and shapes where there is no name.
    pub computes: String,
    /// Where in the caller's source the first result that it computes was written: file and line.
    pub origin: Option<Origin>,
    /// What it reads: a name and the number of a buffer each.
    pub reads: Vec<(Cow<'static, str>, u32)>,
    /// The buffers that it writes.
    pub writes: Vec<u32>,
    /// Those of `writes` that it also reads, element by element.
    pub in_place: Vec<u32>,
    /// How many simple operations it is, and how many bytes it reads and writes.
    pub cost: Cost,
    /// Why it does not belong to the step before it whose results it reads.
    pub begins: &'static str,
    /// Whether an earlier step computed the same, and this one does so again because that was not kept.
    pub is_recomputed: bool,
    pub(crate) body: Option<Arc<LoopPlan>>,
}

impl PlanStep {
    /// The plan of a loop's body, of which each of its rounds runs all steps once; none for a step that is a kernel.
    pub fn body(&self) -> Option<&Plan> {
        self.body.as_ref().map(|looped| &looped.plan)
    }
}

pub(crate) fn describe(
    nodes: &Nodes,
    entries: &[Entry],
    steps: &[Step],
    memory: &Memory,
    names: &[&'static str],
) -> Vec<PlanStep> {
    let buffer = |entry: &u32| memory.buffer_of[*entry as usize];
    steps
        .iter()
        .map(|step| {
            let stage = step.writes.iter().map(|write| entries[*write as usize].stage).min().unwrap_or(0);
            let writes: Vec<u32> = step.writes.iter().map(buffer).collect();
            let in_place = step.reads.iter().map(buffer).filter(|read| writes.contains(read)).collect::<Vec<_>>();
            PlanStep {
                stage: stage_name(stage, names),
                kernel: task_name(&step.task),
                fused: match &step.task {
                    Task::Kernel(kernel) => fused(kernel),
                    Task::Loop(_) => Vec::new(),
                },
                computes: step.writes.iter().map(|&write| result(nodes, entries, write)).collect::<Vec<_>>().join(", "),
                origin: step.writes.first().map(|&write| nodes.origin(entries[write as usize].node)),
                reads: step.reads.iter().map(|&read| (name(nodes, entries, read), buffer(&read))).collect(),
                writes,
                in_place,
                cost: step.task.cost(),
                begins: step.border.reason(),
                is_recomputed: step.border == Border::Again,
                body: match &step.task {
                    Task::Kernel(_) => None,
                    Task::Loop(looped) => Some(Arc::clone(looped)),
                },
            }
        })
        .collect()
}

/// The step at a plan's end that copies a parameter's next value into its buffer.
pub(crate) fn copy_back(
    nodes: &Nodes,
    entries: &[Entry],
    parameter: u32,
    next: u32,
    memory: &Memory,
    names: &[&'static str],
) -> PlanStep {
    PlanStep {
        stage: stage_name(u8::MAX, names),
        kernel: format!("copy {}", entries[parameter as usize].shape.elements()),
        fused: Vec::new(),
        computes: result(nodes, entries, parameter),
        origin: Some(nodes.origin(entries[parameter as usize].node)),
        reads: vec![(name(nodes, entries, next), memory.buffer_of[next as usize])],
        writes: vec![memory.buffer_of[parameter as usize]],
        in_place: Vec::new(),
        cost: crate::plan::copy_of(&entries[parameter as usize]).cost(),
        begins: "the parameter is still read where its next value is computed",
        is_recomputed: false,
        body: None,
    }
}

impl Plan {
    /// The plan as text, with what each step costs and why it does not belong to the step before it: so many simple operations, so many
    /// bytes read and written if each element moves once.
    #[must_use]
    pub fn explain(&self) -> String {
        let mut text = String::new();
        for (number, step) in self.described.iter().enumerate() {
            let Cost { operations, read, written } = step.cost;
            let _ = write!(
                text,
                "{number:>3}  {} -> {}\n     {operations} operations, {read} bytes read, {written} bytes written\n     begins here: {}\n",
                step.kernel, step.computes, step.begins
            );
            if let Some(body) = step.body() {
                body.explain().lines().for_each(|line| text.push_str(&format!("     | {line}\n")));
            }
        }
        text
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slots = self.buffers.iter().filter(|spec| spec.role == BufferRole::Slot);
        let elements: usize = slots.clone().map(|spec| spec.elements).sum();
        writeln!(
            f,
            "plan: {} steps over {} buffers, of which {} are shared slots ({elements} elements)",
            self.described.len(),
            self.buffers.len(),
            slots.count()
        )?;
        for (number, spec) in self.buffers.iter().enumerate() {
            let declared = |declaration: u32| {
                let declaration = &self.declarations[declaration as usize];
                format!("{:?} {}{}", declaration.name, declaration.storage, declaration.shape)
            };
            let role = match &spec.role {
                BufferRole::Input(declaration) => format!("input {}", declared(*declaration)),
                BufferRole::Parameter(declaration) => format!("parameter {}", declared(*declaration)),
                BufferRole::Literal(_) => format!("literal {}[{}]", spec.storage, spec.elements),
                BufferRole::Slot => format!("slot {}[{}]", spec.storage, spec.elements),
            };
            writeln!(f, "  b{number:<3} {role}")?;
        }
        let mut stage = "";
        for (number, step) in self.described.iter().enumerate() {
            if step.stage != stage {
                stage = step.stage;
                writeln!(f, "{stage}:")?;
            }
            let mut kernel = step.kernel.clone();
            for function in &step.fused {
                kernel.push_str(" + ");
                kernel.push_str(function);
            }
            let reads: Vec<String> = step.reads.iter().map(|(name, buffer)| format!("{name} b{buffer}")).collect();
            let writes: Vec<String> = step.writes.iter().map(|buffer| format!("b{buffer}")).collect();
            write!(f, "  {number:>3}  {kernel}\n         {} -> {}", reads.join(", "), writes.join(", "))?;
            if !step.in_place.is_empty() {
                let shared: Vec<String> = step.in_place.iter().map(|buffer| format!("b{buffer}")).collect();
                write!(f, " (in place: {})", shared.join(", "))?;
            }
            let again = if step.is_recomputed { " (again)" } else { "" };
            writeln!(f, "   {}{again}", step.computes)?;
            if let Some(body) = step.body() {
                for line in body.to_string().lines() {
                    writeln!(f, "       | {line}")?;
                }
            }
        }
        Ok(())
    }
}

fn stage_name(stage: u8, names: &[&'static str]) -> &'static str {
    names.get(stage as usize).or(names.last()).copied().unwrap_or("")
}

/// The name of an entry: its node's label, or its op.
pub(crate) fn name(nodes: &Nodes, entries: &[Entry], entry: u32) -> Cow<'static, str> {
    let entry = &entries[entry as usize];
    match nodes.label(entry.node) {
        Some(label) => Cow::Owned(label.to_owned()),
        None => Cow::Borrowed(op_name(nodes, entry)),
    }
}

/// What an entry computes: its name, dtype and shape.
fn result(nodes: &Nodes, entries: &[Entry], entry: u32) -> String {
    let spec = &entries[entry as usize];
    let operands = if let Work::LinearAlgebra { .. } = spec.work {
        format!(" of {}", nodes.matrices(spec.node))
    } else {
        String::new()
    };
    format!("{}{operands}: {}{}", name(nodes, entries, entry), spec.dtype, spec.shape)
}

pub(crate) fn op_name(nodes: &Nodes, entry: &Entry) -> &'static str {
    if entry.work == Work::Elementwise(None) { "copy" } else { nodes.kind(entry.node).name() }
}

/// A loop's number of rounds, or the kernel's stem with its extents.
fn task_name(task: &Task) -> String {
    match task {
        Task::Kernel(kernel) => kernel_name(kernel),
        Task::Loop(looped) => {
            let direction = if looped.reverse { " backwards" } else { "" };
            format!("scan {} rounds of {} steps{direction}", looped.length, looped.plan.steps.len())
        }
    }
}

/// The kernel's stem with its extents.
fn kernel_name(kernel: &Kernel) -> String {
    let stem = kernel.name();
    match kernel {
        Kernel::Elementwise(program) => format!("{stem} {}", program.elements),
        Kernel::Reduce { function, kept, reduced, .. } => {
            let product = |axes: &[arenagrad_kernels::Axis]| axes.iter().map(|axis| axis.extent).product::<usize>();
            format!("{} {} to {}", function.name(), product(reduced) * product(kept), product(kept))
        }
        Kernel::Nest(nest) => format!("{stem} {}x{}", nest.rows, nest.columns),
        Kernel::ArgMax { outer, extent, inner, .. } => format!("{stem} {outer}x{extent}x{inner}"),
        Kernel::Cumulative { function, outer, extent, inner, .. } => {
            format!("{} {outer}x{extent}x{inner}", function.name())
        }
        Kernel::ArgSort { rows, extent, count, .. } => format!("{stem} {count} of {rows}x{extent}"),
        Kernel::SearchSorted { length, values, .. } => format!("{stem} {values} in {length}"),
        Kernel::MatMul { lhs, rhs, padding, .. } => {
            let padded = match padding {
                [None, None] => "",
                [Some(_), None] => " (lhs padded)",
                [None, Some(_)] => " (rhs padded)",
                [Some(_), Some(_)] => " (both padded)",
            };
            match ProductExtents::new(lhs, rhs) {
                ProductExtents { batches: 1, m, k, n } => format!("{stem} {m}x{k}x{n}{padded}"),
                ProductExtents { batches, m, k, n } => format!("{stem} {batches} of {m}x{k}x{n}{padded}"),
            }
        }
        Kernel::Attention(attention) => {
            let (heads, positions, keys) = (attention.heads(), attention.positions(), attention.keys());
            format!("{stem} {heads} of {positions}x{keys}x{}", attention.depth())
        }
        Kernel::Gather { indices_shape, .. } => format!("{stem} {indices_shape}"),
        Kernel::ScatterAdd { updates_shape, .. } | Kernel::ScatterReduce { updates_shape, .. } => {
            format!("{stem} {updates_shape}")
        }
        Kernel::Assemble { pieces, .. } => format!("{stem} {} pieces", pieces.len()),
        Kernel::LinearAlgebra { extents, .. } => match extents.batches {
            1 => format!("{stem} {}x{}", extents.rows, extents.columns),
            batches => format!("{stem} {batches} of {}x{}", extents.rows, extents.columns),
        },
    }
}

/// The functions in a kernel's programs, in order.
fn fused(kernel: &Kernel) -> Vec<&'static str> {
    let of = |program: &Program| program.instructions.iter().filter_map(function_name).collect::<Vec<_>>();
    match kernel {
        Kernel::Elementwise(program) => of(program),
        Kernel::Reduce { program, epilogue, .. } => {
            of(program).into_iter().chain(epilogue.as_ref().map(of).unwrap_or_default()).collect()
        }
        Kernel::MatMul { epilogue, .. } => epilogue.as_ref().map(of).unwrap_or_default(),
        Kernel::Nest(nest) => nest
            .values
            .iter()
            .filter_map(|value| match &value.instruction {
                NestInstruction::Compute(instruction) => function_name(instruction),
                NestInstruction::Fold { function, .. } => Some(function.name()),
            })
            .collect(),
        Kernel::ScatterAdd { factor, .. } => match factor {
            None => Vec::new(),
            Some(Factor::Constant(1.0)) => vec!["add"],
            Some(Factor::Constant(-1.0)) => vec!["sub"],
            Some(Factor::Constant(_) | Factor::Input { is_negated: false }) => vec!["mul", "add"],
            Some(Factor::Input { is_negated: true }) => vec!["mul", "sub"],
        },
        Kernel::ArgMax { .. }
        | Kernel::Attention(_)
        | Kernel::Gather { .. }
        | Kernel::ScatterReduce { .. }
        | Kernel::Assemble { .. }
        | Kernel::LinearAlgebra { .. }
        | Kernel::Cumulative { .. }
        | Kernel::ArgSort { .. }
        | Kernel::SearchSorted { .. } => Vec::new(),
    }
}

fn function_name(instruction: &Instruction) -> Option<&'static str> {
    match instruction {
        Instruction::Load { .. } | Instruction::Accumulator | Instruction::Constant { .. } => None,
        Instruction::Iota { .. } => Some("iota"),
        Instruction::Uniform { .. } => Some("uniform"),
        Instruction::Elementwise(elementwise) => Some(elementwise.kind().name()),
    }
}
