//! The ways in which one kernel can be computed where there are several, and which of them give the same bits.
//!
//! A choice is about speed: it says who computes what, and never what is computed. Most choices give the same bits as the usual one, because
//! each element of a result is still made by the same operations in the same order. Where that does not hold a [`Candidate`] says so.
//! Nothing here measures anything.

use std::fmt;
use std::str::FromStr;

use crate::kernel::{Kernel, ProductExtents, Stored};
use crate::wgsl::{AdapterClass, AdapterProfile};
use crate::{DType, cpu, wgsl};

/// How a kernel is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Choice {
    /// As is chosen without measuring, by the kernel and the class of the device alone.
    #[default]
    Usual,
    /// A product on an adapter: each invocation computes so many rows and columns, multiples of four, by itself.
    Registers {
        /// Rows of the result.
        rows: usize,
        /// Columns of the result.
        columns: usize,
    },
    /// A product on an adapter: each workgroup computes so many rows and columns, 64 or 128, by way of its own memory.
    Workgroup {
        /// Rows of the result.
        rows: usize,
        /// Columns of the result.
        columns: usize,
    },
    /// A product of f16 on an adapter: each workgroup computes so many rows and columns, 64 or 128, its subgroups by the matrices that they
    /// multiply together.
    Cooperative {
        /// Rows of the result.
        rows: usize,
        /// Columns of the result.
        columns: usize,
    },
    /// Elementwise work on an adapter: so many invocations are a workgroup.
    Invocations(usize),
    /// A product on the CPU: each thread packs panels of the right operand as it comes to them, for so many rows at once.
    Panels(usize),
    /// A product on the CPU: the whole right operand is packed, and then so many rows are multiplied at once.
    PackedInTurn(usize),
    /// A product on the CPU: each thread computes some of the columns, for so many rows at once, by panels that no other thread packs.
    Columns(usize),
}

/// A choice that a kernel leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The choice.
    pub choice: Choice,
    /// Whether it gives the bits of [`Choice::Usual`].
    pub has_same_bits: bool,
}

impl Candidate {
    fn same(choice: Choice) -> Self {
        Candidate { choice, has_same_bits: true }
    }

    fn other(choice: Choice) -> Self {
        Candidate { choice, has_same_bits: false }
    }
}

/// The choices that a kernel over buffers that hold their values so leaves on an adapter, the usual one first; that alone where there is no
/// other.
pub fn on_adapter(kernel: &Kernel, stored: Stored<'_>, profile: &AdapterProfile) -> Vec<Candidate> {
    let mut candidates = vec![Candidate::same(Choice::Usual)];
    match kernel {
        Kernel::MatMul { lhs, rhs, .. } => {
            candidates.extend(of_product(ProductExtents::new(lhs, rhs), stored, profile));
        }
        Kernel::Elementwise(_) => {
            let usual = wgsl::ELEMENTWISE_INVOCATIONS;
            let sizes: &[usize] = match profile.class {
                AdapterClass::Cpu => &[8, 16, 256],
                AdapterClass::Gpu => &[128, 256, 32],
            };
            let others = sizes.iter().filter(|&&size| size != usual);
            candidates.extend(others.map(|&size| Candidate::same(Choice::Invocations(size))));
        }
        Kernel::Reduce { .. }
        | Kernel::Nest(_)
        | Kernel::ArgMax { .. }
        | Kernel::Attention(_)
        | Kernel::Gather { .. }
        | Kernel::ScatterAdd { .. }
        | Kernel::ScatterReduce { .. }
        | Kernel::Assemble { .. }
        | Kernel::LinearAlgebra { .. }
        | Kernel::Cumulative { .. }
        | Kernel::ArgSort { .. }
        | Kernel::SearchSorted { .. } => {}
    }
    candidates
}

/// The choices of a product beside the usual one. A row or a column by itself has a kernel of its own.
fn of_product(extents: ProductExtents, stored: Stored<'_>, profile: &AdapterProfile) -> Vec<Candidate> {
    let ProductExtents { batches, m, n, .. } = extents;
    if m == 1 || n == 1 {
        return Vec::new();
    }
    let usual = wgsl::usual_tile(profile, stored, batches, m, n);
    // What lies in a tile past the ends of the result is computed in vain: four times as much at most.
    let fits = |rows: usize, columns: usize| rows < 4 * m.max(4) && columns < 4 * n.max(4);
    let registers = wgsl::REGISTER_TILES.iter().filter(|tile| fits(tile.0, tile.1));
    let registers = registers.map(|&(rows, columns)| Choice::Registers { rows, columns });
    let sides = [(128, 128), (128, 64), (64, 128), (64, 64)];
    let workgroups = sides.into_iter().filter(|tile| profile.class == AdapterClass::Gpu && fits(tile.0, tile.1));
    let workgroups = workgroups.map(|(rows, columns)| Choice::Workgroup { rows, columns });
    let (same, other): (Vec<Choice>, Vec<Choice>) = match usual {
        Choice::Workgroup { .. } => (workgroups.collect(), registers.collect()),
        Choice::Cooperative { .. } => {
            let cooperative = sides.into_iter().filter(|tile| fits(tile.0, tile.1));
            let cooperative = cooperative.map(|(rows, columns)| Choice::Cooperative { rows, columns });
            (cooperative.collect(), workgroups.chain(registers).collect())
        }
        Choice::Usual
        | Choice::Registers { .. }
        | Choice::Invocations(_)
        | Choice::Panels(_)
        | Choice::PackedInTurn(_)
        | Choice::Columns(_) => (registers.collect(), workgroups.collect()),
    };
    let same = same.into_iter().filter(|&choice| choice != usual).map(Candidate::same);
    same.chain(other.into_iter().map(Candidate::other)).collect()
}

/// The choices that a kernel leaves on the CPU, the usual one first; that alone where there is no other.
pub fn on_cpu(kernel: &Kernel) -> Vec<Candidate> {
    let mut candidates = vec![Candidate::same(Choice::Usual)];
    if let Kernel::MatMul { dtype: dtype @ (DType::F32 | DType::F64), lhs, rhs, .. } = kernel
        && let Some(usual) = cpu::usual_product(*dtype, lhs, rhs)
    {
        // More rows than there are would be the same again.
        let rows = ProductExtents::new(lhs, rhs).m;
        let panels = [96, 48, 192, 256].map(|height| Choice::Panels(height.min(rows)));
        let in_turn = [96, 48].map(|height| Choice::PackedInTurn(height.min(rows)));
        let columns = [256, 96].map(|height| Choice::Columns(height.min(rows)));
        for choice in panels.into_iter().chain(in_turn).chain(columns) {
            if choice != usual && !candidates.iter().any(|known| known.choice == choice) {
                candidates.push(Candidate::same(choice));
            }
        }
    }
    candidates
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Choice::Usual => f.write_str("usual"),
            Choice::Registers { rows, columns } => write!(f, "registers {rows}x{columns}"),
            Choice::Workgroup { rows, columns } => write!(f, "workgroup {rows}x{columns}"),
            Choice::Cooperative { rows, columns } => write!(f, "cooperative {rows}x{columns}"),
            Choice::Invocations(count) => write!(f, "invocations {count}"),
            Choice::Panels(rows) => write!(f, "panels {rows}"),
            Choice::PackedInTurn(rows) => write!(f, "packed {rows}"),
            Choice::Columns(rows) => write!(f, "columns {rows}"),
        }
    }
}

/// That a text names no choice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no choice of a kernel")]
pub struct UnknownChoice {
    /// The text.
    pub text: String,
}

impl FromStr for Choice {
    type Err = UnknownChoice;

    fn from_str(text: &str) -> Result<Choice, UnknownChoice> {
        let unknown = || UnknownChoice { text: text.to_owned() };
        if text == "usual" {
            return Ok(Choice::Usual);
        }
        let (kind, numbers) = text.split_once(' ').ok_or_else(unknown)?;
        let number = |text: &str| text.parse::<usize>().map_err(|_| unknown());
        let pair = || {
            let (rows, columns) = numbers.split_once('x').ok_or_else(unknown)?;
            Ok((number(rows)?, number(columns)?))
        };
        match kind {
            "registers" => pair().map(|(rows, columns)| Choice::Registers { rows, columns }),
            "workgroup" => pair().map(|(rows, columns)| Choice::Workgroup { rows, columns }),
            "cooperative" => pair().map(|(rows, columns)| Choice::Cooperative { rows, columns }),
            "invocations" => number(numbers).map(Choice::Invocations),
            "panels" => number(numbers).map(Choice::Panels),
            "packed" => number(numbers).map(Choice::PackedInTurn),
            "columns" => number(numbers).map(Choice::Columns),
            _ => Err(unknown()),
        }
    }
}

#[cfg(test)]
mod tests {
    use arenagrad_graph::StorageType;

    use super::*;
    use crate::kernel::Matrices;
    use crate::view::Axes;
    use crate::wgsl::CooperativeMatrix;

    fn product(m: usize, k: usize, n: usize) -> Kernel {
        let lhs = Matrices::single(0, Axes::strided(m, k as isize), Axes::strided(k, 1));
        let rhs = Matrices::single(0, Axes::strided(k, n as isize), Axes::strided(n, 1));
        Kernel::MatMul { dtype: DType::F32, lhs, rhs, padding: [None, None], epilogue: None }
    }

    fn profile(class: AdapterClass) -> AdapterProfile {
        AdapterProfile {
            class,
            max_workgroups_per_dimension: 65_535,
            max_iterations_per_invocation: 24_000,
            reads_f16: false,
            cooperative: None,
            subgroup: None,
        }
    }

    const F16: Stored<'_> = Stored { inputs: &[StorageType::F16; 2], outputs: &[] };

    fn with_matrices() -> AdapterProfile {
        let cooperative = Some(CooperativeMatrix { side: 16, subgroup: 32 });
        AdapterProfile { reads_f16: true, cooperative, ..profile(AdapterClass::Gpu) }
    }

    #[test]
    fn choices_are_read_as_they_are_written() {
        let choices = [
            Choice::Usual,
            Choice::Registers { rows: 16, columns: 8 },
            Choice::Workgroup { rows: 128, columns: 64 },
            Choice::Cooperative { rows: 64, columns: 128 },
            Choice::Invocations(256),
            Choice::Panels(192),
            Choice::PackedInTurn(48),
            Choice::Columns(96),
        ];
        for choice in choices {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        for text in ["", "registers", "registers 16", "registers 16x", "panels x", "tiles 4x4", "panels -1"] {
            assert_eq!(text.parse::<Choice>(), Err(UnknownChoice { text: text.to_owned() }));
        }
    }

    #[test]
    fn the_usual_choice_is_first_and_none_is_there_twice() {
        for (m, k, n) in [(300, 64, 300), (20, 5, 20), (1, 64, 64), (64, 64, 1), (2, 3, 4), (17, 1000, 33)] {
            let kernel = product(m, k, n);
            let lists = [
                on_adapter(&kernel, Stored::default(), &profile(AdapterClass::Cpu)),
                on_adapter(&kernel, Stored::default(), &profile(AdapterClass::Gpu)),
                on_adapter(&kernel, F16, &with_matrices()),
                on_cpu(&kernel),
            ];
            for list in lists {
                assert_eq!(list[0], Candidate::same(Choice::Usual));
                for (number, candidate) in list.iter().enumerate() {
                    assert!(!list[..number].iter().any(|other| other.choice == candidate.choice), "{list:?}");
                }
            }
        }
        let large = on_adapter(&product(512, 512, 512), Stored::default(), &profile(AdapterClass::Gpu));
        let workgroups = large.iter().filter(|candidate| matches!(candidate.choice, Choice::Workgroup { .. }));
        assert!(workgroups.clone().count() == 3 && workgroups.clone().all(|candidate| candidate.has_same_bits));
        assert!(large.iter().any(|candidate| !candidate.has_same_bits));
    }

    #[test]
    fn cooperative_tiles_are_alike_and_other_ways_of_the_same_product_are_not() {
        let large = on_adapter(&product(512, 512, 512), F16, &with_matrices());
        let is_cooperative = |candidate: &Candidate| matches!(candidate.choice, Choice::Cooperative { .. });
        // The fourth is the usual one.
        assert_eq!(large.iter().filter(|candidate| is_cooperative(candidate)).count(), 3);
        for candidate in &large[1..] {
            assert_eq!(candidate.has_same_bits, is_cooperative(candidate), "{candidate:?}");
        }
        // Operands of another type have the choices that they have without.
        let without = on_adapter(&product(512, 512, 512), Stored::default(), &profile(AdapterClass::Gpu));
        assert_eq!(on_adapter(&product(512, 512, 512), Stored::default(), &with_matrices()), without);
    }
}
