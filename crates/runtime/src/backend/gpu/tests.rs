//! Hand-written dispatches, and two kernels, on the first adapter that there is; without one each test says `skipped`.

use std::sync::Arc;

use arenagrad_graph::{BinaryFunction, DType, Elements, Elementwise, StorageType};
use arenagrad_kernels::wgsl::{self, Binding, Dispatch, Joining, Lowered, Resource, Work};
use arenagrad_kernels::{Axes, Choice, Instruction, Kernel, Matrices, Program, ProgramInput, Stored, View};

use super::encode::{LoweredStep, MOST_OPERATIONS};
use super::launch::{Placed, launches};
use super::test_device::{open_now, present};
use super::{GpuDevice, GpuExecutable, GpuMemory, Readback, ResidentStep, Selector};
use crate::error::Error;

/// `result[i] = factor * x[i] + summand`.
const AFFINE: &str = "
struct Parameters { elements: u32, factor: f32, summand: f32, unused: u32 }
@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> result: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x < parameters.elements { result[id.x] = parameters.factor * x[id.x] + parameters.summand; }
}
";

/// `x[i] = x[i] + 1`.
const INCREMENT: &str = "
struct Parameters { elements: u32, unused: vec3<u32> }
@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x < parameters.elements { x[id.x] = x[id.x] + 1.0; }
}
";

fn device() -> Option<GpuDevice> {
    // What is hand-written here is dispatched as it stands.
    present(open_now(&Selector::Any)).map(|device| device.with_joining(Joining::Never, std::time::Duration::ZERO))
}

/// A device that no other test runs on.
fn device_alone() -> Option<GpuDevice> {
    present(GpuDevice::open_alone(&Selector::Any))
}

fn affine(elements: u32, factor: f32, summand: f32, x: Resource, result: Resource) -> Dispatch {
    Dispatch {
        module: Arc::from(AFFINE),
        contracts: false,
        label: "affine",
        bindings: vec![Binding { resource: x, writable: false }, Binding { resource: result, writable: true }],
        parameters: vec![elements, factor.to_bits(), summand.to_bits(), 0],
        workgroups: [elements.div_ceil(64), 1, 1],
        operations: elements as usize,
        work: Work { count: elements as usize, together: None, operations: 1, iterations: 0 },
    }
}

fn increment(elements: u32) -> Dispatch {
    Dispatch {
        module: Arc::from(INCREMENT),
        contracts: false,
        label: "increment",
        bindings: vec![Binding { resource: Resource::Output(0), writable: true }],
        parameters: vec![elements, 0, 0, 0, 0, 0, 0, 0],
        workgroups: [elements.div_ceil(64), 1, 1],
        operations: elements as usize,
        work: Work { count: elements as usize, together: None, operations: 1, iterations: 0 },
    }
}

fn lowered(dispatches: Vec<Dispatch>, scratch: Vec<usize>) -> Lowered {
    Lowered::new(dispatches, scratch)
}

fn step<'a>(lowered: Lowered, inputs: &'a [u32], outputs: &'a [u32]) -> LoweredStep<'a> {
    LoweredStep { lowered, inputs, outputs, what: "step" }
}

fn f32s(values: &[f32]) -> Elements {
    Elements::F32(values[..].into())
}

/// A plan that adds one to each of `elements` elements, and its buffer.
fn counter(device: &GpuDevice, memory: &mut GpuMemory, elements: u32, dispatches: usize) -> (GpuExecutable, u32) {
    let x = memory.allocate("x", StorageType::F32, elements as usize).unwrap();
    let outputs = [x];
    let steps: Vec<_> =
        (0..dispatches).map(|_| step(lowered(vec![increment(elements)], vec![]), &[], &outputs)).collect();
    let reads = [Readback { index: x, storage: StorageType::F32, elements: elements as usize }];
    (GpuExecutable::from_lowered(device, memory, &steps, &reads).unwrap(), x)
}

#[test]
fn dispatches_run_in_order_and_see_what_came_before() {
    let Some(device) = device() else { return };
    let mut memory = GpuMemory::new(&device);
    let [x, y] =
        [("x", 100), ("y", 100)].map(|(what, elements)| memory.allocate(what, StorageType::F32, elements).unwrap());
    let chain = vec![
        affine(100, 2.0, 0.0, Resource::Input(0), Resource::Scratch(0)),
        affine(100, 1.0, 1.0, Resource::Scratch(0), Resource::Scratch(1)),
        affine(100, 3.0, 0.0, Resource::Scratch(1), Resource::Output(0)),
    ];
    let (x_alone, y_alone) = ([x], [y]);
    let steps = [
        step(lowered(chain, vec![100, 100]), &x_alone, &y_alone),
        step(lowered(vec![increment(100)], vec![]), &[], &y_alone),
        // A smaller step shares the scratch buffers of the larger one.
        step(
            lowered(
                vec![
                    affine(7, 0.5, 0.0, Resource::Input(0), Resource::Scratch(0)),
                    affine(7, 1.0, 0.25, Resource::Scratch(0), Resource::Output(0)),
                ],
                vec![7],
            ),
            &y_alone,
            &x_alone,
        ),
    ];
    let reads = [
        Readback { index: x, storage: StorageType::F32, elements: 9 },
        Readback { index: y, storage: StorageType::F32, elements: 0 },
        Readback { index: y, storage: StorageType::F32, elements: 100 },
    ];
    let mut executable = GpuExecutable::from_lowered(&device, &mut memory, &steps, &reads).unwrap();
    assert_eq!(executable.dispatches(), 6);
    let input: Vec<f32> = (0..100).map(|i| i as f32).collect();
    for run in 1..=3 {
        memory.write(x, &f32s(&input)).unwrap();
        let results = executable.run(&memory, true).unwrap();
        let y: Vec<f32> = input.iter().map(|x| 3.0 * (2.0 * x + 1.0) + 1.0).collect();
        let x: Vec<f32> = (0..9).map(|i| if i < 7 { 0.5 * y[i] + 0.25 } else { input[i] }).collect();
        assert_eq!(results, [f32s(&x), f32s(&[]), f32s(&y)]);
        assert_eq!(executable.submits(), run);
    }
}

#[test]
fn a_large_run_is_several_submits_in_order() {
    let Some(device) = device() else { return };
    let mut memory = GpuMemory::new(&device);
    let x = memory.allocate("x", StorageType::F32, 100).unwrap();
    let alone = [x];
    // Each dispatch says that it is more than half of what a submit may hold.
    let large = || Dispatch { operations: MOST_OPERATIONS / 2 + 1, ..increment(100) };
    let steps = [step(lowered(vec![large(), increment(100), large(), large()], vec![]), &[], &alone)];
    let reads = [Readback { index: x, storage: StorageType::F32, elements: 100 }];
    let mut executable = GpuExecutable::from_lowered(&device, &mut memory, &steps, &reads).unwrap();
    for run in 1..=3u16 {
        let fetched = executable.run(&memory, run != 2).unwrap();
        assert_eq!(fetched, if run == 2 { vec![] } else { vec![f32s(&[f32::from(4 * run); 100])] });
        assert_eq!(executable.submits(), 3 * u64::from(run));
    }
}

#[test]
fn buffers_start_at_zero_and_keep_what_is_written() {
    let Some(device) = device() else { return };
    let mut memory = GpuMemory::new(&device);
    let elements = 1_000_003;
    let x = memory.allocate("x", StorageType::F32, elements).unwrap();
    assert_eq!(memory.read(x, StorageType::F32, elements), Ok(Elements::from(vec![0.0f32; elements])));
    let written = [
        Elements::F32(vec![1.5, f32::NEG_INFINITY, -0.0].into()),
        Elements::I32(vec![i32::MIN, -1, i32::MAX, 0, 7].into()),
        Elements::Bool(vec![1, 0, 1, 1, 0].into()),
    ];
    for data in written {
        let index = memory.allocate("written", data.storage(), data.len()).unwrap();
        memory.write(index, &data).unwrap();
        assert_eq!(memory.read(index, data.storage(), data.len()).unwrap(), data);
    }
    let empty = memory.allocate("empty", StorageType::I32, 0).unwrap();
    memory.write(empty, &Elements::I32(vec![].into())).unwrap();
    assert_eq!(memory.read(empty, StorageType::I32, 0).unwrap(), Elements::I32(vec![].into()));
}

#[test]
fn runs_that_nobody_waits_for_all_happen() {
    let Some(device) = device() else { return };
    let mut memory = GpuMemory::new(&device);
    let (mut executable, x) = counter(&device, &mut memory, 1000, 3);
    for _ in 0..50 {
        assert!(executable.run(&memory, false).unwrap().is_empty());
    }
    memory.wait().unwrap();
    assert_eq!(memory.read(x, StorageType::F32, 2).unwrap(), f32s(&[150.0, 150.0]));
    assert_eq!(executable.run(&memory, true).unwrap(), [f32s(&[153.0; 1000])]);
    assert_eq!(executable.submits(), 51);
}

#[test]
fn sessions_on_several_threads_share_a_device() {
    let Some(device) = device() else { return };
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let device = device.clone();
            scope.spawn(move || {
                let mut memory = GpuMemory::new(&device);
                let (mut executable, x) = counter(&device, &mut memory, 64, 2);
                memory.write(x, &f32s(&[thread as f32; 64])).unwrap();
                for run in 1..=100 {
                    let results = executable.run(&memory, true).unwrap();
                    assert_eq!(results, [f32s(&[(thread + 2 * run) as f32; 64])]);
                }
            });
        }
    });
}

#[test]
fn an_adapter_is_opened_once_and_its_pipelines_are_compiled_once() {
    let Some(first) = device() else { return };
    let name = first.description().name.to_uppercase();
    let second = open_now(&Selector::Name(name)).unwrap();
    assert_eq!(first.wgpu(), second.wgpu());
    assert!(pollster::block_on(GpuDevice::adapters()).contains(first.description()));

    let Some(alone) = device_alone() else { return };
    for _ in 0..3 {
        let mut memory = GpuMemory::new(&alone);
        let (mut executable, _) = counter(&alone, &mut memory, 8, 5);
        executable.run(&memory, true).unwrap();
        assert_eq!(alone.pipelines().len(), 1);
    }
}

#[test]
fn an_unknown_adapter_is_an_error_that_names_the_known_ones() {
    let Some(device) = device() else { return };
    let error = open_now(&Selector::Name(String::from("no such adapter"))).err().unwrap();
    let Error::UnknownDevice { name, known } = &error else { panic!("{error}") };
    assert_eq!(name, "no such adapter");
    assert!(known.contains(&device.description().name), "{known}");
}

#[test]
fn a_buffer_past_the_limits_is_refused_and_the_device_goes_on() {
    let Some(device) = device() else { return };
    let mut memory = GpuMemory::new(&device);
    let limit = device.limits().max_buffer_size;
    for elements in [usize::try_from(limit / 4).unwrap() + 1, usize::MAX] {
        let error = memory.allocate("weights", StorageType::F32, elements).unwrap_err();
        let Error::BufferTooLarge { what, bytes, limit: named, adapter, .. } = &error else { panic!("{error}") };
        assert_eq!((what.as_str(), *named, adapter), ("weights", limit, &device.description().name));
        assert!(*bytes > limit);
    }
    let (mut executable, _) = counter(&device, &mut memory, 4, 1);
    assert_eq!(executable.run(&memory, true).unwrap(), [f32s(&[1.0; 4])]);
}

/// `x * y` over contiguous inputs.
fn product(elements: usize, dtype: DType) -> Kernel {
    let input = || ProgramInput { dtype, view: View::contiguous(elements), in_place: None };
    let product = Instruction::Elementwise(Elementwise::Binary { function: BinaryFunction::Mul, lhs: 0, rhs: 1 });
    Kernel::Elementwise(Program {
        elements,
        inputs: vec![input(), input()],
        instructions: vec![Instruction::Load { input: 0 }, Instruction::Load { input: 1 }, product],
        dtypes: vec![dtype; 3],
        outputs: vec![2],
    })
}

#[test]
fn kernels_are_lowered_and_run() {
    let Some(device) = device() else { return };
    let mut memory = GpuMemory::new(&device);
    let [x, y, z] = ["x", "y", "z"].map(|what| memory.allocate(what, StorageType::F32, 6).unwrap());
    let w = memory.allocate("w", StorageType::F32, 4).unwrap();
    // [2, 3] x [2, 3] transposed.
    let matrix = Matrices::single(0, Axes::strided(2, 3), Axes::strided(3, 1));
    let rhs = matrix.clone().transposed();
    let matmul = Kernel::MatMul { dtype: DType::F32, lhs: matrix, rhs, padding: [None, None], epilogue: None };
    let steps = [
        ResidentStep {
            kernel: &product(6, DType::F32),
            inputs: &[x, y],
            outputs: &[z],
            stored: Stored::default(),
            choice: Choice::Usual,
            what: "z",
        },
        ResidentStep {
            kernel: &matmul,
            inputs: &[z, y],
            outputs: &[w],
            stored: Stored::default(),
            choice: Choice::Usual,
            what: "w",
        },
    ];
    let reads = [
        Readback { index: z, storage: StorageType::F32, elements: 6 },
        Readback { index: w, storage: StorageType::F32, elements: 4 },
    ];
    let mut executable = GpuExecutable::new(&device, &mut memory, &steps, &reads).unwrap();
    memory.write(x, &f32s(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])).unwrap();
    memory.write(y, &f32s(&[2.0, 0.0, 1.0, -1.0, 3.0, 0.5])).unwrap();
    let results = executable.run(&memory, true).unwrap();
    assert_eq!(results, [f32s(&[2.0, 0.0, 3.0, -4.0, 15.0, 3.0]), f32s(&[7.0, -0.5, -5.0, 50.5])]);
    assert_eq!(executable.submits(), 1);
}

#[test]
fn a_kernel_that_a_gpu_cannot_run_is_an_error_that_names_the_step() {
    let Some(device) = device() else { return };
    let mut memory = GpuMemory::new(&device);
    let x = memory.allocate("x", StorageType::F32, 4).unwrap();
    let kernel = product(4, DType::F64);
    let steps = [ResidentStep {
        kernel: &kernel,
        inputs: &[x, x],
        outputs: &[x],
        stored: Stored::default(),
        choice: Choice::Usual,
        what: "mul (model.rs:7)",
    }];
    let error = GpuExecutable::new(&device, &mut memory, &steps, &[]).err().unwrap();
    assert!(matches!(&error, Error::Unsupported { what, .. } if what == "mul (model.rs:7)"), "{error}");
}

#[test]
fn double_precision_is_refused() {
    let Some(device) = device() else { return };
    let mut memory = GpuMemory::new(&device);
    assert!(matches!(memory.allocate("x", StorageType::F64, 4), Err(Error::Unsupported { what, .. }) if what == "x"));
    let x = memory.allocate("x", StorageType::F32, 4).unwrap();
    assert!(matches!(memory.write(x, &Elements::F64(vec![1.0].into())), Err(Error::Unsupported { .. })));
    assert!(matches!(memory.read(x, StorageType::F64, 1), Err(Error::Unsupported { .. })));
}

#[test]
fn a_broken_module_is_an_error_that_names_the_step_and_the_device_goes_on() {
    let Some(device) = device() else { return };
    let mut memory = GpuMemory::new(&device);
    let x = memory.allocate("x", StorageType::F32, 4).unwrap();
    let outputs = [x];
    let broken = [
        // Text that is no WGSL, a type error, and a binding that the layout does not have.
        INCREMENT.replace("fn main", "fnmain"),
        INCREMENT.replace("+ 1.0", "+ true"),
        INCREMENT.replace("@binding(1)", "@binding(7)"),
    ];
    for module in broken {
        let dispatch = Dispatch { module: Arc::from(module), ..increment(4) };
        let mut step = step(lowered(vec![increment(4), dispatch], vec![]), &[], &outputs);
        step.what = "relu (model.rs:31)";
        let error = GpuExecutable::from_lowered(&device, &mut memory, &[step], &[]).err().unwrap();
        let Error::Device { reason, .. } = &error else { panic!("{error}") };
        assert!(reason.starts_with("relu (model.rs:31): "), "{reason}");
    }
    let (mut executable, _) = counter(&device, &mut memory, 4, 1);
    assert_eq!(executable.run(&memory, true).unwrap(), [f32s(&[1.0; 4])]);
}

#[test]
fn a_buffer_bound_both_to_read_and_to_write_is_refused() {
    let Some(device) = device() else { return };
    let mut memory = GpuMemory::new(&device);
    let x = memory.allocate("x", StorageType::F32, 4).unwrap();
    let dispatch = affine(4, 1.0, 0.0, Resource::Input(0), Resource::Output(0));
    let alone = [x];
    let steps = [step(lowered(vec![dispatch], vec![]), &alone, &alone)];
    let error = GpuExecutable::from_lowered(&device, &mut memory, &steps, &[]).err().unwrap();
    assert!(matches!(&error, Error::Device { reason, .. } if reason.starts_with("step: affine")), "{error}");
}

#[test]
fn where_nothing_is_joined_no_tensor_is_writable_because_of_its_neighbour() {
    let Some(device) = device() else { return };
    let mut memory = GpuMemory::new(&device);
    let [x, y] = ["x", "y"].map(|what| memory.allocate(what, StorageType::F32, 6).unwrap());
    assert_ne!(memory.place(x).buffer, memory.place(y).buffer);
    // A tensor that is bound twice is only read, which WebGPU allows and what is written it does not.
    let kernel = product(6, DType::F32);
    let lowered = wgsl::lower(&kernel, device.profile()).unwrap();
    let tensors = vec![x, x, y];
    let placed = Placed { dispatch: &lowered.dispatches[0], what: "y", tensors };
    let launches = launches(&device, Joining::Never, &memory, &[placed]).unwrap();
    let bound: Vec<(u32, bool)> = launches[0].buffers.iter().map(|bound| (bound.buffer, bound.writable)).collect();
    let [x_buffer, y_buffer] = [x, y].map(|tensor| memory.place(tensor).buffer);
    assert_eq!(bound, [(x_buffer, false), (x_buffer, false), (y_buffer, true)]);
    // What is given back is taken again.
    memory.release(x);
    let z = memory.allocate("z", StorageType::F32, 5).unwrap();
    assert_eq!(memory.place(z).buffer, x_buffer);
}

#[test]
fn a_refused_run_is_an_error_and_the_next_run_works() {
    let Some(device) = device() else { return };
    let mut memory = GpuMemory::new(&device);
    let x = memory.allocate("x", StorageType::F32, 4).unwrap();
    let limit = device.profile().max_workgroups_per_dimension;
    let too_many = Dispatch { workgroups: [limit + 1, 1, 1], ..increment(4) };
    let outputs = [x];
    let steps = [step(lowered(vec![too_many], vec![]), &[], &outputs)];
    let mut executable = GpuExecutable::from_lowered(&device, &mut memory, &steps, &[]).unwrap();
    assert!(matches!(executable.run(&memory, false), Err(Error::Device { .. })));
    let (mut executable, _) = counter(&device, &mut memory, 4, 1);
    assert_eq!(executable.run(&memory, true).unwrap(), [f32s(&[1.0; 4])]);
}

/// Waits until `device` says that it is lost.
///
/// wgpu hands the news to the first thread that polls after it, and that may be the one that waits for transfers: for as
/// long as that thread carries it, a wait of this one may still end well.
fn loss_is_told(device: &GpuDevice) {
    let began = std::time::Instant::now();
    while !matches!(device.wait(), Err(Error::DeviceLost { .. })) {
        assert!(began.elapsed() < std::time::Duration::from_secs(60), "nobody was told of the loss");
        std::thread::yield_now();
    }
}

#[test]
fn a_lost_device_is_an_error_everywhere_and_no_panic() {
    let Some(device) = device_alone() else { return };
    let mut memory = GpuMemory::new(&device);
    let (mut executable, x) = counter(&device, &mut memory, 4, 1);
    executable.run(&memory, true).unwrap();
    device.wgpu().destroy();
    // wgpu tells of the loss at the next occasion; until then a call may fail in another way, but it fails.
    assert!(executable.run(&memory, true).is_err());
    let is_lost = |result: Result<(), Error>| assert!(matches!(result, Err(Error::DeviceLost { .. })), "{result:?}");
    loss_is_told(&device);
    is_lost(device.wait());
    is_lost(executable.run(&memory, true).map(drop));
    is_lost(executable.run(&memory, false).map(drop));
    is_lost(memory.write(x, &f32s(&[1.0])));
    is_lost(memory.read(x, StorageType::F32, 1).map(drop));
    is_lost(memory.allocate("y", StorageType::F32, 1).map(drop));
    is_lost(memory.wait());
    assert!(device.is_lost());
}

#[test]
fn a_thousand_runs_grow_nothing() {
    let Some(device) = device_alone() else { return };
    let mut memory = GpuMemory::new(&device);
    let (mut executable, x) = counter(&device, &mut memory, 256, 4);
    let mut run = |times: usize| {
        for number in 0..times {
            memory.write(x, &f32s(&[number as f32; 256])).unwrap();
            executable.run(&memory, number % 3 == 0).unwrap();
        }
        memory.wait().unwrap();
        let report = device.wgpu().generate_allocator_report();
        report.map(|report| (report.allocations.len(), report.total_allocated_bytes, report.total_reserved_bytes))
    };
    let before = run(100);
    let after = run(1000);
    assert_eq!(before, after);
    assert_eq!(executable.submits(), 1100);
}

#[test]
fn runs_under_way_have_buffers_of_their_own_and_give_them_back() {
    let Some(device) = device_alone() else { return };
    let mut memory = GpuMemory::new(&device);
    let (mut executable, _) = counter(&device, &mut memory, 256, 2);
    let mut expected = 0.0;
    let mut round = || {
        let arrivals: Vec<_> = (0..6).map(|_| executable.start(&memory).unwrap()).collect();
        for (number, arrival) in arrivals.into_iter().enumerate() {
            expected += 2.0;
            // Some are never taken.
            if number % 3 != 1 {
                assert_eq!(arrival.wait().unwrap(), [f32s(&[expected; 256])]);
            }
        }
        memory.wait().unwrap();
        let report = device.wgpu().generate_allocator_report();
        report.map(|report| (report.allocations.len(), report.total_allocated_bytes, report.total_reserved_bytes))
    };
    let before = (0..3).map(|_| round()).last();
    let after = (0..100).map(|_| round()).last();
    assert_eq!(before, after);
}

#[test]
fn a_loss_is_told_to_all_who_wait() {
    let Some(device) = device_alone() else { return };
    let mut memory = GpuMemory::new(&device);
    let (mut executable, _) = counter(&device, &mut memory, 4, 1);
    executable.run(&memory, true).unwrap();
    let mut arrivals: Vec<_> = (0..4).map(|_| executable.start(&memory).unwrap()).collect();
    let (last, all) = (arrivals.pop().unwrap(), memory.all_done().unwrap());
    device.wgpu().destroy();
    // What was submitted may still be done; nothing hangs, and what fails says why.
    let told = |result: Result<Vec<Elements>, Error>| {
        assert!(matches!(&result, Ok(_) | Err(Error::DeviceLost { .. } | Error::Device { .. })), "{result:?}");
    };
    for mut arrival in arrivals {
        told(pollster::block_on(std::future::poll_fn(|context| arrival.poll(context))));
    }
    told(last.wait());
    told(all.wait());
    loss_is_told(&device);
    assert!(executable.start(&memory).is_err());
    assert!(memory.all_done().is_err());
}
