//! What parts of kernels bind.

use std::ops::Range;

use arenagrad_kernels::{Axis, BinaryFunction, DType, Elementwise, Instruction, Kernel, Program, ProgramInput, View};

use super::{Bindable, CutLimits, cut};

/// The most bytes of a binding: 16,384 floats.
const LIMIT: u64 = 1 << 16;

/// Elementwise work over stretches of one tensor that begin at these elements.
fn stretches(elements: usize, begins: &[usize]) -> Kernel {
    let input = |&begin: &usize| {
        let axis = Axis { extent: elements, stride: 1 };
        ProgramInput { dtype: DType::F32, view: View::new([axis], begin), in_place: None }
    };
    let loads = (0..begins.len() as u32).map(|input| Instruction::Load { input });
    let sums = (1..begins.len() as u32).map(|place| {
        let function = BinaryFunction::Add;
        let lhs = if place == 1 { 0 } else { begins.len() as u32 + place - 2 };
        Instruction::Elementwise(Elementwise::Binary { function, lhs, rhs: place })
    });
    let instructions: Vec<Instruction> = loads.chain(sums).collect();
    Kernel::Elementwise(Program {
        elements,
        inputs: begins.iter().map(input).collect(),
        dtypes: vec![DType::F32; instructions.len()],
        outputs: vec![instructions.len() as u32 - 1],
        instructions,
    })
}

/// The stretch that an input of a part is bound to, and where the input begins in the tensor.
type Seen = (Range<usize>, usize);

/// What the inputs of each part see.
fn parts(elements: usize, begins: &[usize], buffers: usize) -> Option<Vec<Vec<Seen>>> {
    let bindable = |tensor, elements: usize| Bindable { tensor, bytes: 4 * elements as u64, element: 4 };
    let longest = elements + begins.iter().max().unwrap();
    let inputs = vec![bindable(0, longest); begins.len()];
    let limits = CutLimits { bytes: LIMIT, buffers, kept: &|_| 0 };
    let parts = cut(&stretches(elements, begins), &inputs, &[bindable(1, elements)], limits)?;
    let of_part = |part: super::cut::Part| {
        let Kernel::Elementwise(program) = part.kernel else { panic!("it is elementwise") };
        let each = program.inputs.iter().zip(part.inputs);
        each.map(|(input, window)| {
            let window = window.expect("the tensor is too large");
            let begin = window.start + input.view.offset();
            (window, begin)
        })
        .collect()
    };
    Some(parts.into_iter().map(of_part).collect())
}

#[test]
fn inputs_over_one_tensor_share_a_stretch_of_it() {
    let begins: Vec<usize> = (0..10).map(|number| 100 * number).collect();
    let parts = parts(50_000, &begins, 8).unwrap();
    let length = parts[1][0].1;
    for (number, part) in parts.iter().enumerate() {
        for ((window, begin), shift) in part.iter().zip(&begins) {
            assert_eq!(window, &part[0].0);
            assert!(window.start % 64 == 0 && 4 * window.len() as u64 <= LIMIT, "{window:?}");
            assert_eq!(*begin, number * length + shift);
        }
    }
}

#[test]
fn stretches_that_are_far_apart_are_bound_each_while_there_are_bindings() {
    // Each by itself, for no binding reaches from one to another.
    let begins: Vec<usize> = (0..7).map(|number| 64_000 * number).collect();
    let found = parts(20_000, &begins, 8).unwrap();
    assert!(found.iter().all(|part| part.windows(2).all(|pair| pair[0].0 != pair[1].0)));
    let begins: Vec<usize> = (0..8).map(|number| 64_000 * number).collect();
    assert_eq!(parts(20_000, &begins, 8), None);
    assert!(parts(20_000, &begins, 9).is_some());
}

#[test]
fn what_is_kept_in_between_is_cut_too() {
    // A kernel that keeps as much as it has elements, and binds nothing that is too large.
    let kernel = stretches(10_000, &[0]);
    let kept = |kernel: &Kernel| {
        let Kernel::Elementwise(program) = kernel else { panic!("it is elementwise") };
        16 * program.elements as u64
    };
    let tensor = |tensor| [Bindable { tensor, bytes: 40_000, element: 4 }];
    let limits = CutLimits { bytes: LIMIT, buffers: 8, kept: &kept };
    let parts = cut(&kernel, &tensor(0), &tensor(1), limits).unwrap();
    assert!(parts.len() > 2 && parts.iter().all(|part| kept(&part.kernel) <= LIMIT));
}
