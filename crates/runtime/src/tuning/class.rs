//! Which kernels are taken to be alike: what is measured for one is used for all of its class.

use std::fmt::Write;

use arenagrad_graph::StorageType;
use arenagrad_kernels::{Axes, Kernel, Matrices, ProductExtents, Stored};

/// The class of a kernel that leaves a choice: its stem, what its module depends on, and its extents rounded up to powers of two. None for a kernel that leaves none.
pub(super) fn class(kernel: &Kernel, stored: Stored<'_>) -> Option<String> {
    match kernel {
        Kernel::MatMul { dtype, lhs, rhs, padding, epilogue } => {
            let ProductExtents { batches, m, k, n } = ProductExtents::new(lhs, rhs);
            let [batches, m, k, n] = [batches, m, k, n].map(rounded);
            let mut text = format!("matmul {dtype} {batches}x{m}x{k}x{n}");
            let _ = write!(text, " lhs {} rhs {}", layout(lhs), layout(rhs));
            for (operand, _) in ["lhs", "rhs"].iter().zip(padding).filter(|(_, padding)| padding.is_some()) {
                let _ = write!(text, " padded {operand}");
            }
            if let Some(epilogue) = epilogue {
                let _ = write!(text, " epilogue {}", rounded(epilogue.instructions.len()));
            }
            push_narrow(&mut text, stored);
            Some(text)
        }
        Kernel::Elementwise(program) => {
            let (inputs, outputs) = (program.inputs.len(), program.outputs.len());
            let instructions = rounded(program.instructions.len());
            let elements = rounded(program.elements);
            let mut text = format!("elementwise {elements} of {instructions} instructions, {inputs} in, {outputs} out");
            push_narrow(&mut text, stored);
            Some(text)
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
        | Kernel::SearchSorted { .. } => None,
    }
}

/// An extent's class: the next power of two.
fn rounded(extent: usize) -> usize {
    extent.checked_next_power_of_two().unwrap_or(usize::MAX)
}

/// Which of a matrix's neighbours lie side by side, and whether rows or columns are several axes.
fn layout(matrices: &Matrices) -> String {
    let kind = |axes: &Axes| match axes.as_slice() {
        [] => "1",
        [axis] if axis.stride == 1 => "unit",
        [axis] if axis.stride == 0 => "repeated",
        [_] => "apart",
        _ => "several",
    };
    format!("{}/{}", kind(&matrices.rows), kind(&matrices.columns))
}

/// The types of buffers that hold values narrower or wider than they are.
fn push_narrow(text: &mut String, stored: Stored<'_>) {
    let all = stored.inputs.iter().chain(stored.outputs);
    if all.clone().any(|storage| !storage.is_native()) {
        let names: Vec<&str> = all.map(|storage: &StorageType| storage.name()).collect();
        let _ = write!(text, " stored {}", names.join(","));
    }
}

#[cfg(test)]
mod tests {
    use arenagrad_graph::DType;

    use super::*;

    fn product(m: usize, k: usize, n: usize) -> Kernel {
        let lhs = Matrices::single(0, Axes::strided(m, k as isize), Axes::strided(k, 1));
        let rhs = Matrices::single(0, Axes::strided(k, 1), Axes::strided(n, k as isize));
        Kernel::MatMul { dtype: DType::F32, lhs, rhs, padding: [None, None], epilogue: None }
    }

    #[test]
    fn extents_up_to_the_same_power_of_two_are_alike() {
        let of = |m, k, n| class(&product(m, k, n), Stored::default()).unwrap();
        assert_eq!(of(33, 100, 5), of(64, 128, 8));
        assert_ne!(of(33, 100, 5), of(65, 128, 8));
        assert_eq!(of(64, 128, 8), "matmul f32 1x64x128x8 lhs apart/unit rhs unit/apart");
    }

    #[test]
    fn what_a_module_depends_on_is_part_of_the_class() {
        let kernel = product(64, 64, 64);
        let narrow = Stored { inputs: &[StorageType::F16, StorageType::F32], outputs: &[] };
        assert_ne!(class(&kernel, narrow), class(&kernel, Stored::default()));
        let Kernel::MatMul { dtype, lhs, rhs, epilogue, .. } = kernel.clone() else { unreachable!() };
        let other = Kernel::MatMul { dtype, lhs: rhs, rhs: lhs, padding: [None, None], epilogue };
        assert_ne!(class(&other, Stored::default()), class(&kernel, Stored::default()));
    }
}
