//! Every module that lowering emits, over kernels of every variant, is what naga accepts and keeps the limits of adapters.

use std::collections::BTreeSet;
use std::path::Path;

use arenagrad_kernels::wgsl::{
    AdapterClass, AdapterProfile, Binding, CooperativeMatrix, Dispatch, LowerError, Resource, lower, lower_step, peak,
};
use arenagrad_kernels::{
    Axis, BinaryFunction, Cumulation, DType, Elementwise, Instruction, Kernel, ReduceFunction, StorageType, Stored,
    UnaryFunction, View,
};
use naga::valid::{Capabilities, ValidationFlags, Validator};

use crate::wgsl_cases::attention::attentions;
use crate::wgsl_cases::nests::{SHAPES, cross_entropy, layer_norm, nests_of, softmax};
use crate::wgsl_cases::{
    Product, axis, bias_relu, binary, elementwise, indexing, input, load, matmul, matmuls, reduce, reductions,
};

const CLASSES: [AdapterClass; 2] = [AdapterClass::Cpu, AdapterClass::Gpu];

fn profile(class: AdapterClass) -> AdapterProfile {
    AdapterProfile {
        class,
        max_workgroups_per_dimension: 65_535,
        max_iterations_per_invocation: 16_384,
        reads_f16: false,
        cooperative: None,
        subgroup: None,
    }
}

pub(crate) fn all_cases() -> Vec<(String, Kernel)> {
    [elementwise(), reductions(), indexing(), matmuls(), attentions(), all_nests()].concat()
}

fn all_nests() -> Vec<(String, Kernel)> {
    let nests = SHAPES.into_iter().flat_map(nests_of);
    nests.map(|(name, nest)| (name, Kernel::Nest(nest))).collect()
}

fn parse(name: &str, text: &str) -> naga::Module {
    let module = naga::front::wgsl::parse_str(text)
        .unwrap_or_else(|error| panic!("{name}: {}\n{text}", error.emit_to_string(text)));
    Validator::new(ValidationFlags::all(), Capabilities::empty())
        .validate(&module)
        .unwrap_or_else(|error| panic!("{name}: {}\n{text}", error.emit_to_string(text)));
    module
}

/// The value of a parameter, found by its name in the module's uniform structure.
fn parameter(dispatch: &Dispatch, module: &naga::Module, name: &str) -> usize {
    let members = module
        .types
        .iter()
        .find_map(|(_, ty)| {
            let naga::TypeInner::Struct { members, .. } = &ty.inner else { return None };
            (ty.name.as_deref() == Some("Parameters")).then_some(members)
        })
        .expect("each module has Parameters");
    let member = members.iter().find(|member| member.name.as_deref() == Some(name)).expect("a known parameter");
    dispatch.parameters[member.offset as usize / 4] as usize
}

/// How often a number is halved until nothing is left.
fn bits(number: usize) -> usize {
    (usize::BITS - number.leading_zeros()) as usize
}

/// An upper bound of the loop iterations of one invocation.
fn iterations(dispatch: &Dispatch, module: &naga::Module) -> usize {
    let of = |name: &str| parameter(dispatch, module, name);
    match dispatch.label {
        "elementwise" | "gather" | "copy" | "fill" | "scatter_keys" => 0,
        "reduce" => {
            let loads = (of("extent").min(of("chunk_span"))).div_ceil(of("step"));
            loads / 4 + loads / 64 + 8
        }
        "argmax" | "cumulative" | "cumulative_totals" | "cumulative_before" => of("chunk_length"),
        "attention" | "attention_query_gradient" => {
            let keys = of("key_end") - of("key_begin");
            keys + keys.div_ceil(64)
        }
        "attention_key_gradient" | "attention_value_gradient" => {
            let queries = of("query_end") - of("query_begin");
            queries + queries.div_ceil(64)
        }
        "attention_scores" => 2 * of("keys").div_ceil(of("parts_of_a_row")),
        "attention_sums" => 2 * of("parts_of_a_row"),
        "attention_probabilities" | "attention_score_gradient" => of("keys").div_ceil(of("parts_of_a_row")),
        "attention_part" => 0,
        "argsort_ranks" => of("extent"),
        "argsort_keys" | "argsort_rows" | "argsort_indices" => 0,
        "searchsorted" => bits(of("length")),
        "scatter_add" | "scatter_replace" => of("updates"),
        "scatter_few" => of("count"),
        "scatter_count" => of("digits") + of("block_size"),
        "scatter_move" => of("block_size"),
        "scan" | "scan_sums" => of("chunk_length"),
        "scatter_ends" => bits(of("units")),
        "scatter_sums" => 16,
        // Before and after the whole chunks of each level, and what is left of the last; or up to 64 units one by one.
        "scatter_places" | "scatter_reached" => {
            // What replaces has no sums.
            let levels = dispatch.module.matches("fn sum_entries_").count().checked_sub(1);
            let sums = levels.map_or(0, |levels| ((2 * levels + 1) * 19).max(64));
            // The units of a place end where a search there and back finds.
            let searched = if dispatch.label == "scatter_reached" { 2 * bits(of("units")) } else { 0 };
            sums + searched
        }
        "scatter_left" => of("chunk_length") * (1 + bits(of("units"))),
        "matmul_rows" | "matmul_vector" => {
            let span = of("depth_span").min(of("depth"));
            span / 4 + span / 64 + 5
        }
        // Each pass goes over the blocks of columns, in runs of 64, and each total through a tree.
        "nest_rows" | "nest_workgroup" => {
            let text = &dispatch.module;
            let width = if text.contains("const WIDTH: u32 = 4u;") { 4 } else { 1 };
            let lanes = if dispatch.label == "nest_rows" { 1 } else { of("lanes") };
            let (passes, folds) = (text.matches("\nfn pass_").count(), text.matches("= across_").count());
            let blocks = of("columns").div_ceil(width * lanes);
            passes * (blocks + blocks.div_ceil(64) + 2) + folds * (lanes.ilog2() as usize + 1)
        }
        "nest_columns" => of("chunk_rows") + of("chunk_rows").div_ceil(64) + 2,
        "matmul_tiled" => of("depth_span").min(of("depth")).div_ceil(16) * 17,
        label => panic!("{label}: say here how often its loops run"),
    }
}

fn check_dispatch(name: &str, dispatch: &Dispatch, profile: &AdapterProfile) {
    let module = parse(name, &dispatch.module);
    assert!(dispatch.workgroups.iter().all(|n| (1..=profile.max_workgroups_per_dimension).contains(n)), "{name}");
    assert!(dispatch.parameters.len() >= 4 && dispatch.parameters.len().is_multiple_of(4), "{name}");
    let resources: BTreeSet<String> = dispatch.bindings.iter().map(|b| format!("{:?}", b.resource)).collect();
    assert_eq!(resources.len(), dispatch.bindings.len(), "{name}: a resource stands twice");

    let entry = &module.entry_points[0];
    assert_eq!((module.entry_points.len(), entry.name.as_str()), (1, "main"), "{name}");
    assert!(entry.workgroup_size[0].is_multiple_of(8), "{name}: {:?}", entry.workgroup_size);
    assert!(iterations(dispatch, &module) <= profile.max_iterations_per_invocation as usize, "{name}");
    // What a dispatch says of its invocations.
    assert!(iterations(dispatch, &module) <= dispatch.work.iterations, "{name}: {}", dispatch.label);
    let [x, y, z] = entry.workgroup_size;
    let invocations = dispatch.workgroups.iter().product::<u32>() as usize;
    match dispatch.work.together {
        Some(together) => assert!(together == (x * y * z) as usize && dispatch.work.count <= invocations, "{name}"),
        None => assert!(dispatch.work.count <= invocations * (x * y * z) as usize, "{name}"),
    }

    // What the module declares is what the dispatch binds.
    let mut storage = 0;
    for (_, variable) in module.global_variables.iter() {
        #[expect(clippy::wildcard_enum_match_arm, reason = "naga has more spaces than modules may use")]
        match variable.space {
            naga::AddressSpace::Uniform => {
                assert_eq!(variable.binding.as_ref().map(|b| (b.group, b.binding)), Some((0, 0)), "{name}");
                let size = module.types[variable.ty].inner.size(module.to_ctx()) as usize;
                assert!(size <= 4 * dispatch.parameters.len(), "{name}");
            }
            naga::AddressSpace::Storage { access } => {
                storage += 1;
                let binding = variable.binding.as_ref().expect("storage is bound").binding as usize;
                let bound: &Binding = &dispatch.bindings[binding - 1];
                assert_eq!(access.contains(naga::StorageAccess::STORE), bound.writable, "{name}");
            }
            naga::AddressSpace::WorkGroup => assert_eq!(profile.class, AdapterClass::Gpu, "{name}"),
            space => panic!("{name}: a variable in {space:?}"),
        }
    }
    assert_eq!(storage, dispatch.bindings.len(), "{name}");
}

#[test]
fn every_function_file_is_valid() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders/functions");
    let mut all = String::new();
    let mut stems = BTreeSet::new();
    for entry in std::fs::read_dir(&folder).expect("shaders/functions is there") {
        let path = entry.expect("a readable folder").path();
        stems.insert(path.file_stem().and_then(|stem| stem.to_str()).expect("a plain name").to_owned());
        all.push_str(&std::fs::read_to_string(&path).expect("a readable file"));
        all.push('\n');
    }
    parse("shaders/functions", &all);
    for stem in
        UnaryFunction::ALL.map(UnaryFunction::name).into_iter().chain(BinaryFunction::ALL.map(BinaryFunction::name))
    {
        assert!(stems.contains(stem), "{stem} has no file");
    }
}

#[test]
fn every_module_is_valid_and_within_limits() {
    let mut seen = BTreeSet::new();
    for (name, kernel) in all_cases() {
        for class in CLASSES {
            let profile = profile(class);
            let lowered = lower(&kernel, &profile).unwrap_or_else(|error| panic!("{name}: {error}"));
            for dispatch in &lowered.dispatches {
                // Equal texts with equal labels need parsing once; their numbers are checked below in any case.
                if seen.insert((dispatch.module.clone(), dispatch.parameters.clone(), class as u8)) {
                    check_dispatch(&name, dispatch, &profile);
                }
                for binding in &dispatch.bindings {
                    if let Resource::Scratch(number) = binding.resource {
                        assert!((number as usize) < lowered.scratch.len(), "{name}");
                    }
                }
            }
        }
    }
}

#[test]
fn every_shader_file_is_reached() {
    let mut labels = BTreeSet::new();
    for (_, kernel) in all_cases() {
        for class in CLASSES {
            labels.extend(
                lower(&kernel, &profile(class)).unwrap().dispatches.iter().map(|dispatch| dispatch.label.to_owned()),
            );
        }
    }
    // Only operands of f16 are multiplied by cooperative matrices.
    let matrix = CooperativeMatrix { side: 16, subgroup: 32 };
    let offers = AdapterProfile { reads_f16: true, cooperative: Some(matrix), ..profile(AdapterClass::Gpu) };
    let stored = Stored { inputs: &[StorageType::F16; 2], outputs: &[] };
    for (_, kernel) in matmuls() {
        let lowered = lower_step(&kernel, &[0, 1], stored, &offers).unwrap();
        labels.extend(lowered.dispatches.iter().map(|dispatch| dispatch.label.to_owned()));
    }
    // What a device is held against is no kernel of a plan.
    for class in CLASSES {
        let measured = peak(&profile(class)).lowered;
        measured.dispatches.iter().for_each(|dispatch| drop(parse("peak", &dispatch.module)));
        labels.extend(measured.dispatches.iter().map(|dispatch| dispatch.label.to_owned()));
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
    for entry in std::fs::read_dir(&folder).expect("shaders is there") {
        let path = entry.expect("a readable folder").path();
        if path.extension().is_some_and(|extension| extension == "wgsl") {
            let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("a plain name");
            assert!(labels.contains(stem), "no kernel lowers to shaders/{stem}.wgsl");
        }
    }
}

/// Where invocations exchange words within subgroups, rows of several lanes do so, and nothing else changes.
#[test]
fn lanes_of_a_row_exchange_within_subgroups_where_there_are_any() {
    let mut exchanging = 0;
    for (name, kernel) in all_cases() {
        for class in CLASSES {
            let plain = lower(&kernel, &profile(class)).unwrap();
            let with = lower(&kernel, &AdapterProfile { subgroup: Some(32), ..profile(class) }).unwrap();
            assert_eq!((plain.dispatches.len(), &plain.scratch), (with.dispatches.len(), &with.scratch), "{name}");
            for (plain, with) in plain.dispatches.iter().zip(&with.dispatches) {
                if plain.module == with.module {
                    assert_eq!(plain, with, "{name}");
                    continue;
                }
                exchanging += 1;
                assert_eq!((plain.label, with.label), ("nest_workgroup", "nest_workgroup"), "{name}");
                assert_eq!((plain.workgroups, &plain.parameters), (with.workgroups, &with.parameters), "{name}");
                let module = naga::front::wgsl::parse_str(&with.module);
                let module = module.unwrap_or_else(|error| panic!("{name}: {}", error.emit_to_string(&with.module)));
                let is_valid = |capabilities| {
                    let mut validator = Validator::new(ValidationFlags::all(), capabilities);
                    validator.subgroup_stages(naga::valid::ShaderStages::COMPUTE);
                    validator.subgroup_operations(naga::valid::SubgroupOperationSet::all());
                    validator.validate(&module).is_ok()
                };
                assert!(is_valid(Capabilities::SUBGROUP), "{name}: {}", with.module);
                assert!(with.module.contains("subgroupShuffleXor"), "{name}");
            }
        }
    }
    assert!(exchanging > 20, "{exchanging} dispatches exchange");
}

#[test]
fn small_budgets_split_the_work() {
    for class in CLASSES {
        let profile = AdapterProfile {
            class,
            max_workgroups_per_dimension: 600,
            max_iterations_per_invocation: 64,
            reads_f16: false,
            cooperative: None,
            subgroup: None,
        };
        let shape = Product { m: 32, k: 1000, n: 32, transpose_lhs: false, transpose_rhs: false };
        let long_axis = vec![axis(100_000, 1)];
        let kernels = [
            matmul(shape, vec![], None),
            matmul(shape, vec![], Some(bias_relu(32, 32))),
            reduce(ReduceFunction::Sum, load(100_000), vec![], long_axis.clone(), None),
            reduce(ReduceFunction::Max, load(100_000), vec![], long_axis, Some(bias_relu(1, 1))),
            Kernel::ArgMax { dtype: DType::F32, outer: 2, extent: 5000, inner: 3 },
            Kernel::Cumulative {
                function: Cumulation::Recurrence,
                dtype: DType::F32,
                outer: 2,
                extent: 300_000,
                inner: 3,
                is_reversed: true,
            },
            Kernel::ArgSort { dtype: DType::F32, rows: 3, extent: 5000, count: 7, is_descending: true },
            Kernel::ScatterAdd {
                dtype: DType::F32,
                operand_shape: [5, 2].into(),
                updates_shape: [1000, 2].into(),
                axis: 0,
                indices: View::contiguous(2000),
                updates: View::contiguous(2000),
                in_place: false,
                factor: None,
            },
            Kernel::Elementwise(load(5_000_000)),
        ];
        for kernel in kernels {
            let lowered = lower(&kernel, &profile).unwrap();
            let split = !matches!(kernel, Kernel::Elementwise(_));
            assert_eq!(lowered.dispatches.len() > 1, split, "{}", kernel.name());
            for dispatch in &lowered.dispatches {
                check_dispatch(kernel.name(), dispatch, &profile);
            }
        }
    }
}

#[test]
fn small_budgets_split_nests() {
    for class in CLASSES {
        let profile = AdapterProfile {
            class,
            max_workgroups_per_dimension: 600,
            max_iterations_per_invocation: 64,
            reads_f16: false,
            cooperative: None,
            subgroup: None,
        };
        for (name, nest) in [[64, 256], [1000, 3], [2, 4097]].into_iter().flat_map(nests_of) {
            for dispatch in &lower(&Kernel::Nest(nest), &profile).unwrap().dispatches {
                check_dispatch(&name, dispatch, &profile);
            }
        }
    }
}

/// Whatever stands between dispatches comes on top of the step's own buffers.
#[test]
fn nests_of_eight_buffers_bind_eight() {
    let mut most = 0;
    for (name, nest) in SHAPES.into_iter().flat_map(nests_of) {
        let apart = nest.inputs.iter().filter(|input| input.in_place.is_none()).count();
        assert!(apart + nest.outputs.len() <= 8, "{name} is no step of a plan");
        for class in CLASSES {
            for iterations in [64, 16_384] {
                let profile = AdapterProfile { max_iterations_per_invocation: iterations, ..profile(class) };
                for dispatch in lower(&Kernel::Nest(nest.clone()), &profile).unwrap().dispatches {
                    assert!(dispatch.bindings.len() <= 8, "{name}: {:?}", dispatch.bindings);
                    most = most.max(dispatch.bindings.len());
                }
            }
        }
    }
    assert_eq!(most, 8, "no case reaches the limit");
}

/// A program that adds up `inputs` contiguous inputs.
fn sum_of_inputs(elements: usize, inputs: u32, accumulator: bool) -> arenagrad_kernels::Program {
    let mut program = load(elements);
    program.inputs = (0..inputs).map(|_| input(View::contiguous(elements))).collect();
    program.instructions =
        vec![if accumulator { Instruction::Accumulator } else { Instruction::Constant { value: 0.0 } }];
    for number in 0..inputs {
        let value = program.instructions.len() as u32;
        program.instructions.push(Instruction::Load { input: number });
        program.instructions.push(Instruction::Elementwise(Elementwise::Binary {
            function: BinaryFunction::Add,
            lhs: value - 1,
            rhs: value,
        }));
    }
    program.dtypes = vec![DType::F32; program.instructions.len()];
    program.outputs = vec![program.instructions.len() as u32 - 1];
    program
}

#[test]
fn eight_buffers_stay_eight() {
    let shape = Product { m: 4, k: 200_000, n: 4, transpose_lhs: false, transpose_rhs: false };
    let kernels = [
        Kernel::Elementwise(sum_of_inputs(64, 7, false)),
        matmul(shape, vec![], Some(sum_of_inputs(16, 5, true))),
        reduce(
            ReduceFunction::Sum,
            sum_of_inputs(1 << 20, 3, false),
            vec![],
            vec![axis(1 << 20, 1)],
            Some(sum_of_inputs(1, 4, true)),
        ),
        reduce(
            ReduceFunction::Sum,
            sum_of_inputs(64, 3, false),
            vec![],
            vec![axis(64, 1)],
            Some(sum_of_inputs(1, 4, true)),
        ),
    ];
    for kernel in kernels {
        for class in CLASSES {
            for dispatch in lower(&kernel, &profile(class)).unwrap().dispatches {
                assert!(dispatch.bindings.len() <= 8, "{}: {:?}", kernel.name(), dispatch.bindings);
            }
        }
    }
}

#[test]
fn inputs_of_one_buffer_are_bound_once() {
    // Four neighbouring elements at a time, one, and every other: a buffer that is read in several ways has plain elements.
    let views = [View::contiguous(64), View::new([axis(16, 8), axis(4, 1)], 4), View::new([axis(64, 2)], 0)];
    for (chosen, elements) in [([0, 1], "vec4<f32>"), ([0, 2], "f32"), ([2, 2], "f32")] {
        let mut program = sum_of_inputs(64, 9, false);
        for (number, input) in program.inputs.iter_mut().enumerate() {
            input.view = views[chosen[number % 2]].clone();
        }
        let kernel = Kernel::Elementwise(program);
        let buffers = [5, 5, 7, 7, 7, 7, 5, 5, 5];
        for class in CLASSES {
            for dispatch in lower_step(&kernel, &buffers, Stored::default(), &profile(class)).unwrap().dispatches {
                check_dispatch("shared", &dispatch, &profile(class));
                let bound: Vec<Resource> = dispatch.bindings.iter().map(|binding| binding.resource).collect();
                assert_eq!(bound.len(), 3, "{bound:?}");
                for resource in [Resource::Input(0), Resource::Input(2), Resource::Output(0)] {
                    assert!(bound.contains(&resource), "{bound:?}");
                }
                assert!(dispatch.module.contains(&format!("input0: array<{elements}>")), "{}", dispatch.module);
            }
        }
    }
}

#[test]
fn kernels_that_differ_in_extents_share_their_modules() {
    let modules = |kernel: &Kernel| {
        let lowered = lower(kernel, &profile(AdapterClass::Cpu)).unwrap();
        lowered.dispatches.into_iter().map(|dispatch| dispatch.module).collect::<Vec<_>>()
    };
    let product =
        |m, k, n| matmul(Product { m, k, n, transpose_lhs: false, transpose_rhs: true }, vec![], Some(bias_relu(m, n)));
    assert_eq!(modules(&product(64, 240, 256)), modules(&product(128, 64, 1024)));
    let rows = |r, c| reduce(ReduceFunction::Max, load(r * c), vec![axis(r, c)], vec![axis(c, 1)], None);
    assert_eq!(modules(&rows(64, 20)), modules(&rows(128, 1000)));
    for nest in [|shape| cross_entropy(shape, true), layer_norm, softmax] {
        assert_eq!(modules(&Kernel::Nest(nest([64, 256]))), modules(&Kernel::Nest(nest([128, 1024]))));
    }
    let scaled = |n, value| {
        let mut program = load(n);
        program.instructions.push(Instruction::Constant { value });
        program.instructions.push(Instruction::Elementwise(Elementwise::Binary {
            function: BinaryFunction::Mul,
            lhs: 0,
            rhs: 1,
        }));
        program.dtypes = vec![DType::F32; 3];
        program.outputs = vec![2];
        Kernel::Elementwise(program)
    };
    assert_eq!(modules(&scaled(64, 0.001)), modules(&scaled(4096, f64::NEG_INFINITY)));
}

#[test]
fn what_wgsl_cannot_do_is_refused() {
    let profile = profile(AdapterClass::Cpu);
    let mut double = load(4);
    double.inputs[0].dtype = DType::F64;
    double.dtypes[0] = DType::F64;
    let error = lower(&Kernel::Elementwise(double), &profile).unwrap_err();
    assert_eq!(error, LowerError::DoublePrecision { kernel: "elementwise" });
    assert_eq!(error.to_string(), "elementwise: f64 does not exist on a GPU; use f32 or the CPU");
    let mut large = load(4);
    large.inputs[0].view = View::new([Axis { extent: 4, stride: 1 << 31 }], 0);
    let error = lower(&Kernel::Elementwise(large), &profile).unwrap_err();
    assert!(matches!(error, LowerError::TooManyElements { kernel: "elementwise", .. }), "{error}");
}

/// What a fused kernel looks like: relu(x + bias) over [2, 8] with the sum as a second output, in place of x.
#[test]
fn a_fused_kernel_reads_like_the_graph() {
    let mut program = binary(BinaryFunction::Add, DType::F32, 16);
    program.inputs[0].in_place = Some(1);
    program.inputs[1].view = View::new([axis(2, 0), axis(8, 1)], 0);
    program
        .instructions
        .push(Instruction::Elementwise(Elementwise::Unary { function: UnaryFunction::Relu, operand: 2 }));
    program.dtypes.push(DType::F32);
    program.outputs = vec![3, 2];
    let lowered = lower(&Kernel::Elementwise(program), &profile(AdapterClass::Cpu)).unwrap();
    let [dispatch] = lowered.dispatches.as_slice() else { panic!("one dispatch") };
    assert_eq!(dispatch.workgroups, [1, 1, 1]);
    assert_eq!(
        dispatch.bindings,
        [
            Binding { resource: Resource::Input(1), writable: false },
            Binding { resource: Resource::Output(0), writable: true },
            Binding { resource: Resource::Output(1), writable: true },
        ]
    );
    let generated = &dispatch.module[dispatch.module.find("struct Parameters").unwrap()..];
    assert_eq!(generated, include_str!("wgsl_fused_kernel.wgsl"));
}
