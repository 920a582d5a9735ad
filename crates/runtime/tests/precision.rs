//! Training in mixed precision: what is rounded, to the last bit; what memory it saves; how the loss is scaled; and that networks learn.

use arenagrad::graph::{OpKind, UnaryFunction};
use arenagrad::nn::{self, Linear};
use arenagrad::plan::BufferRole;
use arenagrad::{
    Adam, AdamW, DType, Device, Elements, Error, Expr, Gelu, Graph, Half, Init, LossScale, Optimizer, Precision,
    Session, Sgd, Shape, StorageType, Tensor, Trainer,
};

use crate::suite::devices::devices;
use crate::suite::random::Random;

fn drawn(seed: u64, shape: impl Into<Shape>) -> Tensor {
    let shape = shape.into();
    let mut random = Random(seed);
    let values: Vec<f32> = (0..shape.elements()).map(|_| (2.0 * random.unit() - 1.0) as f32).collect();
    Tensor::from_data(shape, Elements::from(values)).unwrap()
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    tensor.as_slice::<f32>().unwrap().iter().map(|x| x.to_bits()).collect()
}

/// The values of all parameters and states of f32, with their names.
fn parameters(session: &Session) -> Vec<(String, Vec<f64>)> {
    let names: Vec<String> = session.parameter_names().map(str::to_owned).collect();
    names.into_iter().map(|name| (name.clone(), session.parameter(&name).unwrap().to_f64_vec())).collect()
}

const EXTENTS: [usize; 4] = [96, 80, 72, 64];

/// A network of two layers, of which `t` is the gradient of the result.
fn two_layers(g: &Graph) -> Expr<'_> {
    let [batch, inputs, hidden, outputs] = EXTENTS;
    let (x, t) = (g.input("x", [batch, inputs]), g.input("t", [batch, outputs]));
    let (a, b) = (
        g.parameter("a", [inputs, hidden], Init::KaimingUniform),
        g.parameter("b", [hidden, outputs], Init::KaimingUniform),
    );
    (x.matmul(a).relu().matmul(b) * t).sum(..)
}

#[test]
fn a_step_is_the_composition_of_roundings() {
    let [batch, inputs, hidden, outputs] = EXTENTS;
    let (x, t) = (drawn(1, [batch, inputs]), drawn(2, [batch, outputs]));
    for half in Half::ALL {
        let g = Graph::new();
        let loss = two_layers(&g);
        let precision = Precision::mixed(half).without_loss_scale();
        let mut session =
            Session::builder(Device::cpu()).precision(precision).train(&g, loss, &Sgd::new(0.125)).unwrap();
        let [a, b] = ["a", "b"].map(|name| session.parameter(name).unwrap());
        let found = session.step(&[("x", &x), ("t", &t)]).unwrap();

        // The same by hand: every product reads rounded operands, and the mask of relu is that of what waited.
        let g = Graph::new();
        let r = |e: Expr<'_>| e.rounded_to(half).id().unwrap();
        let (x_in, t_in) = (g.input("x", [batch, inputs]), g.input("t", [batch, outputs]));
        let (a_in, b_in) = (g.input("a", [inputs, hidden]), g.input("b", [hidden, outputs]));
        let [xr, ar, br] = [x_in, a_in, b_in].map(|e| g.expr(r(e)));
        let h = xr.matmul(ar).relu();
        let hr = g.expr(r(h));
        let y = hr.matmul(br);
        let dy = g.expr(r(t_in));
        let db = hr.t().matmul(dy);
        let dh = dy.matmul(br.t()).relu_backward(hr);
        let da = xr.t().matmul(g.expr(r(dh)));
        let outputs = [(y * t_in).sum(..), a_in - 0.125 * da, b_in - 0.125 * db];
        let mut by_hand = Session::evaluate(&g, &outputs, &Device::cpu()).unwrap();
        let right = by_hand.run(&[("x", &x), ("t", &t), ("a", &a), ("b", &b)]).unwrap();
        assert_eq!(found, right[0].item().unwrap(), "{half}: the loss");
        for (name, right) in ["a", "b"].iter().zip(&right[1..]) {
            assert_eq!(bits(&session.parameter(name).unwrap()), bits(right), "{half}: {name}");
        }
    }
}

#[test]
fn an_evaluation_reads_rounded_operands() {
    let (x, w) = (drawn(1, [96, 80]), drawn(2, [80, 72]));
    for half in Half::ALL {
        let g = Graph::new();
        let (a, b) = (g.input("x", [96, 80]), g.input("w", [80, 72]));
        let mut mixed = Session::builder(Device::cpu())
            .precision(Precision::mixed(half))
            .evaluate(&g, &[a.matmul(b).exp()])
            .unwrap();
        let explicit = a.rounded_to(half).matmul(b.rounded_to(half)).exp();
        let mut by_hand = Session::evaluate(&g, &[explicit], &Device::cpu()).unwrap();
        let inputs = [("x", &x), ("w", &w)];
        assert_eq!(bits(&mixed.run(&inputs).unwrap()[0]), bits(&by_hand.run(&inputs).unwrap()[0]), "{half}");
    }
}

#[test]
fn operations_keep_f32_in_loops_too() {
    let (x, w) = (drawn(1, [5, 8, 8]), drawn(2, [8, 8]));
    let found = |precision: Precision| {
        let g = Graph::new();
        let (elements, weight) = (g.input("x", [5, 8, 8]), g.input("w", [8, 8]));
        let first = g.zeros([8, 8], DType::F32);
        let looped = g.scan(&[first], &[elements], |carries, elements| {
            let next = (carries[0].matmul(weight) + elements[0]).tanh();
            (vec![next], vec![next])
        });
        let last = looped.unwrap().carries[0];
        let mut session = Session::builder(Device::cpu()).precision(precision).evaluate(&g, &[last]).unwrap();
        bits(&session.run(&[("x", &x), ("w", &w)]).unwrap()[0])
    };
    let mixed = || Precision::mixed(Half::Bf16);
    assert_ne!(found(mixed()), found(Precision::full()));
    assert_eq!(found(mixed().keep_f32_op(OpKind::MatMul)), found(Precision::full()));
    assert_eq!(found(mixed().keep_f32_op(OpKind::Scan)), found(Precision::full()));
}

fn slot_bytes(session: &Session) -> usize {
    let slots = session.plan().buffers().iter().filter(|buffer| buffer.role == BufferRole::Slot);
    slots.map(|buffer| buffer.elements * buffer.storage.bytes()).sum()
}

/// The bytes of the results of a step of a network of twelve layers.
fn bytes_of_step(precision: Precision, activation: for<'g> fn(Expr<'g>) -> Expr<'g>) -> usize {
    let g = Graph::new();
    let x = g.input("x", [512, 64]);
    let layers: Vec<Linear> = (0..12).map(|number| Linear::new(format!("layers.{number}"), 64, 64)).collect();
    let end = layers.iter().fold(x, |h, layer| activation(layer.apply(h)));
    let loss = Linear::new("head", 64, 1).apply(end).square().mean(..);
    let session = Session::builder(Device::cpu()).precision(precision).train(&g, loss, &Sgd::new(0.1)).unwrap();
    slot_bytes(&session)
}

/// A function of elements.
type Activation = for<'g> fn(Expr<'g>) -> Expr<'g>;

#[test]
fn what_waits_for_the_backward_pass_takes_half_of_the_memory() {
    let activations: [(&str, Activation); 2] = [("relu", |h| h.relu()), ("tanh", |h| h.tanh())];
    for (name, activation) in activations {
        let full = bytes_of_step(Precision::full(), activation);
        let mixed = bytes_of_step(Precision::mixed(Half::Bf16), activation);
        println!("{name}: {full} bytes of results in f32, {mixed} in bf16");
        // Weights are rounded beside those of f32, and what few kernels compute between two products is f32 before it is rounded.
        let (weights, activation) = (12 * 64 * 64 * 2, 512 * 64 * 4);
        assert!(mixed <= full / 2 + weights + 3 * activation, "{name}: {mixed} of {full}");
    }
}

/// Whether all gradients are finite is asked of all of them together, but what each was computed from need not wait for the question.
#[test]
fn a_loss_scale_holds_no_upstream_gradient_back() {
    let peak = |precision: Precision, optimizer: &dyn Optimizer| {
        let g = Graph::new();
        let x = g.input("x", [2048, 64]);
        let layer = |number: usize| Linear::new(format!("layers.{number}"), 64, 64);
        let loss = (0..12).fold(x, |h, number| layer(number).apply(h).relu()).square().mean(..);
        let session = Session::builder(Device::cpu()).precision(precision).train(&g, loss, optimizer).unwrap();
        session.plan().memory().peak_bytes
    };
    let scaled = Precision::full().loss_scale(LossScale::dynamic());
    let (activation, gradients) = (2048 * 64 * 4, 12 * 65 * 64 * 4);
    let optimizers: [(&str, Box<dyn Optimizer>); 3] = [
        ("adamw", Box::new(AdamW::new(0.01))),
        ("clipped", Box::new(AdamW::new(0.01).clip_norm(1.0))),
        ("accumulated", Box::new(AdamW::new(0.01).accumulate(3))),
    ];
    for (name, optimizer) in optimizers {
        let (f32, f32_scaled) = (peak(Precision::full(), &optimizer), peak(scaled.clone(), &optimizer));
        let (bf16, f16) =
            (peak(Precision::mixed(Half::Bf16), &optimizer), peak(Precision::mixed(Half::F16), &optimizer));
        println!("{name}: peaks of {f32} and scaled {f32_scaled} bytes in f32, {bf16} in bf16, {f16} in f16");
        assert!(f32_scaled <= f32 + activation + 2 * gradients, "{name}: {f32_scaled} bytes scaled, {f32} not");
        assert!(f16 <= bf16 + activation + 2 * gradients, "{name}: {f16} bytes in f16, {bf16} in bf16");
    }
}

#[test]
fn factors_of_a_derivative_are_computed_again_from_what_waits() {
    let gelu: for<'g> fn(Expr<'g>) -> Expr<'g> = |h| h.gelu(Gelu::Tanh);
    let full = bytes_of_step(Precision::full(), gelu);
    let mixed = bytes_of_step(Precision::mixed(Half::Bf16), gelu);
    println!("gelu: {full} bytes of results in f32, {mixed} in bf16");
    // Three values of f32 an element, against four of 16 bits.
    assert!(mixed * 4 <= full * 3, "{mixed} of {full}");
}

#[test]
fn layers_and_operations_that_keep_f32_are_left_alone() {
    let (x, t) = (drawn(1, [EXTENTS[0], EXTENTS[1]]), drawn(2, [EXTENTS[0], EXTENTS[3]]));
    let trained = |precision: Precision| {
        let g = Graph::new();
        let loss = two_layers(&g);
        let mut session =
            Session::builder(Device::cpu()).precision(precision).train(&g, loss, &Sgd::new(0.125)).unwrap();
        session.step(&[("x", &x), ("t", &t)]).unwrap();
        ["a", "b"].map(|name| bits(&session.parameter(name).unwrap()))
    };
    let mixed = || Precision::mixed(Half::Bf16);
    let full = trained(Precision::full());
    assert_eq!(trained(mixed().keep_f32("*")), full);
    assert_eq!(trained(mixed().keep_f32("a").keep_f32("b")), full);
    assert_eq!(trained(mixed().keep_f32_op(OpKind::MatMul)), full);
    // The second layer's own gradient is of what the first one gave, which is rounded neither for it nor for itself where both keep f32.
    let (first, second) = (trained(mixed().keep_f32("a")), trained(mixed().keep_f32("b")));
    assert!(first != full && second != full && first != second);
    assert_ne!(trained(mixed()), first);
}

#[test]
fn the_name_of_a_layer_means_all_within() {
    let bytes = |precision: Precision| {
        let g = Graph::new();
        let x = g.input("x", [64, 32]);
        let hidden = Linear::new("block.0", 32, 48).apply(x).tanh();
        let loss = Linear::new("head", 48, 1).apply(hidden).square().mean(..);
        let session = Session::builder(Device::cpu()).precision(precision).train(&g, loss, &Sgd::new(0.1)).unwrap();
        let is_narrow = |storage: StorageType| storage == StorageType::Bf16;
        session.plan().buffers().iter().filter(|buffer| is_narrow(buffer.storage)).count()
    };
    let mixed = || Precision::mixed(Half::Bf16);
    assert!(bytes(mixed()) > bytes(mixed().keep_f32("head.*")));
    assert!(bytes(mixed().keep_f32("head.*")) > 0);
    assert_eq!(bytes(mixed().keep_f32("head.*").keep_f32("block.*")), 0);
    assert_eq!(
        bytes(
            mixed().keep_f32("block.0.weight").keep_f32("head.weight").keep_f32_op(OpKind::Unary(UnaryFunction::Tanh))
        ),
        0
    );
}

#[test]
fn a_pattern_that_nothing_has_is_refused() {
    let g = Graph::new();
    let loss = two_layers(&g);
    let precision = Precision::mixed(Half::F16).keep_f32("haed.*");
    let nodes = g.len();
    let refused =
        Session::builder(Device::cpu()).precision(precision.clone()).train(&g, loss, &Sgd::new(0.1)).err().unwrap();
    assert_eq!(
        refused.to_string(),
        "no layer and no parameter has a name like \"haed.*\", which shall keep f32; there are \"a\", \"b\""
    );
    assert_eq!(g.len(), nodes);
    let mut trainer = Trainer::new(Device::cpu(), Sgd::new(0.1), |inputs| {
        Linear::new("head", 2, 1).apply(inputs.get("x")).square().mean(..)
    })
    .precision(precision);
    let refused = trainer.step(&[("x", &drawn(1, [3, 2]))]).err().unwrap();
    assert!(matches!(refused, Error::UnmatchedPrecision { .. }), "{refused}");
}

#[test]
fn numbers_of_a_scale_that_are_out_of_range_are_refused() {
    let scale = LossScale::dynamic;
    let wrong = [
        ("loss scale", scale().initial(0.0)),
        ("loss scale", scale().initial(f64::INFINITY)),
        ("loss scale", scale().initial(1e39)),
        // Its inverse is less than a normal number.
        ("loss scale", LossScale::fixed(2f64.powi(127))),
        ("loss scale", LossScale::fixed(-1.0)),
        ("growth factor", scale().growth_factor(0.5)),
        ("growth factor", scale().growth_factor(f64::NAN)),
        ("backoff factor", scale().backoff_factor(0.0)),
        ("backoff factor", scale().backoff_factor(2.0)),
        ("growth interval", scale().growth_interval(0)),
    ];
    for (name, scale) in wrong {
        let g = Graph::new();
        let loss = two_layers(&g);
        let nodes = g.len();
        let precision = Precision::full().loss_scale(scale);
        let refused =
            Session::builder(Device::cpu()).precision(precision).train(&g, loss, &Sgd::new(0.1)).err().unwrap();
        assert!(matches!(&refused, Error::Hyperparameter { what, .. } if *what == name), "{name}: {refused}");
        assert_eq!(g.len(), nodes, "{name}");
    }
    let g = Graph::new();
    let taken = g.parameter("loss_scale", [], Init::Constant(1.0));
    let precision = Precision::mixed(Half::F16);
    let refused =
        Session::builder(Device::cpu()).precision(precision).train(&g, taken * 2.0, &Sgd::new(0.1)).err().unwrap();
    assert!(matches!(refused, Error::ReservedName { .. }), "{refused}");
}

#[test]
fn a_power_of_two_as_a_scale_changes_no_bit() {
    let (x, t) = (drawn(1, [EXTENTS[0], EXTENTS[1]]), drawn(2, [EXTENTS[0], EXTENTS[3]]));
    let optimizers: [fn() -> Box<dyn Optimizer>; 4] = [
        || Box::new(Adam::new(0.01)),
        || Box::new(Sgd::new(0.1).clip_norm(0.5)),
        || Box::new(AdamW::new(0.01).clip_norm(1.0).accumulate(2).moving_average(0.9)),
        || Box::new(Sgd::new(0.1).group("second", "b", Adam::new(0.01)).clip_value(0.1)),
    ];
    for device in devices() {
        for (number, optimizer) in optimizers.iter().enumerate() {
            let trained = |precision: Precision| {
                let g = Graph::new();
                let loss = two_layers(&g) / 1000.0;
                let mut session =
                    Session::builder(device.clone()).precision(precision).train(&g, loss, &*optimizer()).unwrap();
                for _ in 0..5 {
                    session.step(&[("x", &x), ("t", &t)]).unwrap();
                }
                let mut values = parameters(&session);
                values.retain(|(name, _)| !["loss_scale", "good_steps", "skipped_updates"].contains(&name.as_str()));
                values
            };
            let scaled = trained(Precision::full().loss_scale(LossScale::fixed(1024.0)));
            assert_eq!(scaled, trained(Precision::full()), "{device}, optimiser {number}");
        }
    }
}

#[test]
fn a_step_that_overflows_changes_nothing_but_the_scale() {
    for device in devices() {
        let g = Graph::new();
        let step = g.step();
        let x = g.input("x", [4, 3]);
        let running = g.state("running", [], DType::F32, Init::Constant(0.0));
        let w = g.parameter("w", [3, 2], Init::KaimingUniform);
        let loss = (x.matmul(w).square().mean(..)) + step.cast(DType::F32) * 0.0;
        g.update(running, running + x.mean(..));
        let optimizer = AdamW::new(0.01).clip_norm(1.0).moving_average(0.9);
        let scale = LossScale::dynamic().initial(8.0).growth_interval(2);
        let precision = Precision::mixed(Half::F16).loss_scale(scale);
        let mut session = Session::builder(device.clone()).precision(precision).train(&g, loss, &optimizer).unwrap();
        let good = drawn(1, [4, 3]);
        let of = |session: &Session, name: &str| session.parameter(name).unwrap().item().unwrap();
        let states = |session: &Session| {
            ["loss_scale", "good_steps", "skipped_updates", "updates", "step"].map(|n| of(session, n))
        };

        session.step(&[("x", &good)]).unwrap();
        assert_eq!(states(&session), [8.0, 1.0, 0.0, 1.0, 1.0], "{device}");
        let before = parameters(&session);
        // Past the largest number of f16.
        let bad = Tensor::new([4, 3], vec![1e6f32; 12]).unwrap();
        let loss = session.step(&[("x", &bad)]).unwrap();
        assert!(!loss.is_finite(), "{device}: {loss}");
        assert_eq!(states(&session), [4.0, 0.0, 1.0, 1.0, 2.0], "{device}");
        for ((name, before), (_, after)) in before.iter().zip(parameters(&session)) {
            if !["loss_scale", "good_steps", "skipped_updates", "step"].contains(&name.as_str()) {
                assert_eq!(before, &after, "{device}: {name}");
            }
        }
        let nan = Tensor::new([4, 3], vec![f32::NAN; 12]).unwrap();
        session.step(&[("x", &nan)]).unwrap();
        assert_eq!(states(&session), [2.0, 0.0, 2.0, 1.0, 3.0], "{device}");
        // Two good steps in a row double the scale.
        for _ in 0..2 {
            session.step(&[("x", &good)]).unwrap();
        }
        assert_eq!(states(&session), [4.0, 0.0, 2.0, 3.0, 5.0], "{device}");
        assert!(of(&session, "running").is_finite(), "{device}");
        assert!(parameters(&session).iter().all(|(_, values)| values.iter().all(|x| x.is_finite())), "{device}");
    }
}

/// Gradients that never overflow let a scale grow as far as f32 holds its inverse.
#[test]
fn a_scale_grows_no_further_than_its_inverse_is_held() {
    for device in devices() {
        let g = Graph::new();
        let (x, w) = (g.input("x", [4]), g.parameter("w", [4], Init::Constant(1.0)));
        let loss = (x * w).sum(..) * 1e-10;
        let scale = LossScale::dynamic().initial(2f64.powi(125)).growth_interval(1);
        let precision = Precision::mixed(Half::Bf16).loss_scale(scale);
        let mut session =
            Session::builder(device.clone()).precision(precision).train(&g, loss, &Sgd::new(1e9)).unwrap();
        let x = Tensor::new([4], vec![1.0f32; 4]).unwrap();
        for _ in 0..4 {
            session.step(&[("x", &x)]).unwrap();
        }
        assert_eq!(session.parameter("loss_scale").unwrap().item().unwrap(), 2f64.powi(126), "{device}");
        for w in session.parameter("w").unwrap().to_f64_vec() {
            assert!((w - 0.6).abs() < 1e-5, "{device}: {w}");
        }
    }
}

#[test]
fn the_scale_finds_its_size_and_is_saved() {
    let folder = std::env::temp_dir().join(format!("arenagrad-precision-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("state.safetensors");
    let g = Graph::new();
    let (x, y) = (g.input("x", [32, 4]), g.input("y", [32, 1]));
    let loss = (x.matmul(g.parameter("w", [4, 1], Init::Constant(0.0))) - y).square().mean(..);
    // The first gradients overflow in f16 for certain.
    let precision = Precision::mixed(Half::F16).loss_scale(LossScale::dynamic().initial(2f64.powi(30)));
    let make = || Session::builder(Device::cpu()).precision(precision.clone()).train(&g, loss, &Sgd::new(0.1)).unwrap();
    let (x, y) = (drawn(1, [32, 4]), drawn(2, [32, 1]));
    let mut session = make();
    let first = session.step(&[("x", &x), ("y", &y)]).unwrap();
    let mut last = first;
    for _ in 0..60 {
        last = session.step(&[("x", &x), ("y", &y)]).unwrap();
    }
    let of = |session: &Session, name: &str| session.parameter(name).unwrap().item().unwrap();
    let (scale, skipped) = (of(&session, "loss_scale"), of(&session, "skipped_updates"));
    assert!(skipped > 5.0 && scale == 2f64.powi(30 - skipped as i32), "{skipped} steps skipped, scale {scale}");
    assert!(last < first, "{first} to {last}");
    session.save(&file).unwrap();
    let mut resumed = make();
    resumed.load(&file).unwrap();
    assert_eq!(parameters(&resumed), parameters(&session));
    let zero = Tensor::scalar(0.0f32);
    assert!(matches!(
        session.set_parameter("loss_scale", &zero),
        Err(Error::Hyperparameter { what: "loss scale", .. })
    ));
    std::fs::remove_dir_all(&folder).unwrap();
}

/// The last loss of a small classifier of points in two rings.
fn rings(device: &Device, precision: Precision) -> (f64, f64) {
    let hidden = [Linear::new("first", 2, 64), Linear::new("second", 64, 64)];
    let head = Linear::new("head", 64, 2);
    let mut trainer = Trainer::new(device.clone(), Adam::new(0.01), |inputs| {
        let h = hidden.iter().fold(inputs.get("x"), |h, layer| layer.apply(h).gelu(Gelu::Tanh));
        head.apply(h).cross_entropy(inputs.get("labels"))
    })
    .seed(3)
    .precision(precision);
    let mut random = Random(7);
    let points: Vec<(f32, f32, i32)> = (0..256)
        .map(|_| {
            let (angle, outer) = (random.unit() * std::f64::consts::TAU, random.one_in(2));
            let radius = if outer { 1.0 } else { 0.5 } + 0.3 * (random.unit() - 0.5);
            ((radius * angle.cos()) as f32, (radius * angle.sin()) as f32, i32::from(outer))
        })
        .collect();
    let x = Tensor::new([256, 2], points.iter().flat_map(|(x, y, _)| [*x, *y]).collect::<Vec<f32>>()).unwrap();
    let labels = Tensor::new([256], points.iter().map(|(.., label)| *label).collect::<Vec<i32>>()).unwrap();
    let mut losses = (0..150).map(|_| trainer.step(&[("x", &x), ("labels", &labels)]).unwrap().loss);
    let first = losses.next().unwrap();
    (first, losses.last().unwrap())
}

#[test]
fn a_network_learns_as_much_as_in_f32() {
    for device in devices() {
        let (first, full) = rings(&device, Precision::full());
        assert!(full < 0.2 * first, "{device}: {first} to {full}");
        for half in Half::ALL {
            let (start, mixed) = rings(&device, Precision::mixed(half));
            println!("{device}, {half}: {start} to {mixed}, in f32 {first} to {full}");
            assert!((start / first - 1.0).abs() < 0.01, "{device}, {half}: {start} and {first}");
            assert!((mixed - full).abs() < 0.02 * first, "{device}, {half}: {mixed} and {full}");
        }
    }
}

/// The loss of a network.
type Loss = Box<dyn for<'g> Fn(Expr<'g>) -> Expr<'g> + Send>;

/// The gradients of networks with all that products stand in, in both precisions.
#[test]
fn gradients_of_convolutions_attention_and_loops_are_near_those_of_f32() {
    let image = nn::Conv2d::new("conv", 2, 6, 3).padding(1);
    let (cell, head) = (nn::Gru::new("gru", 8, 8), Linear::new("head", 8, 3));
    let losses: [(&str, Vec<usize>, Loss); 3] = [
        ("a convolution and a pooling", vec![3, 2, 10, 10], {
            let second = nn::Conv2d::new("second", 6, 4, 3);
            Box::new(move |x| second.apply(image.apply(x).relu().max_pool2d(2)).max_pool2d(2).square().mean(..))
        }),
        ("attention", vec![2, 9, 8], {
            let (q, k, v) = (Linear::new("q", 8, 8), Linear::new("k", 8, 8), Linear::new("v", 8, 8));
            Box::new(move |x| {
                let [q, k, v] = [&q, &k, &v].map(|layer| layer.apply(x).split_heads(2));
                let causal = arenagrad::Attention { is_causal: true, ..Default::default() };
                q.scaled_dot_product_attention(k, v, None, causal).merge_heads().tanh().square().mean(..)
            })
        }),
        (
            "a loop",
            vec![2, 7, 8],
            Box::new(move |x| head.apply(cell.apply(x, None, nn::Phase::Evaluation).0).square().mean(..)),
        ),
    ];
    for (name, shape, loss) in losses {
        let loss = std::sync::Arc::new(std::sync::Mutex::new(loss));
        let x = drawn(5, shape);
        for device in devices() {
            let gradients = |precision: Precision| {
                let loss = loss.clone();
                let mut trainer =
                    Trainer::new(device.clone(), Sgd::new(0.1), move |inputs| (loss.lock().unwrap())(inputs.get("x")))
                        .precision(precision);
                trainer.gradients(&[("x", &x)]).unwrap()
            };
            let full = gradients(Precision::full());
            for half in Half::ALL {
                let mixed = gradients(Precision::mixed(half));
                let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
                let of = |tensor: &Tensor| norm(&mut tensor.to_f64_vec().into_iter());
                // Some gradients are 0 but for rounding, as that of a bias of keys: they are held against the others.
                let largest = full.iter().map(|(_, gradient)| of(gradient)).fold(0.0, f64::max);
                let mut is_any_rounded = false;
                for ((parameter, full), (_, mixed)) in full.iter().zip(&mixed) {
                    let size = of(full).max(largest / 100.0);
                    let off = norm(&mut full.to_f64_vec().iter().zip(mixed.to_f64_vec()).map(|(a, b)| a - b));
                    assert!(off <= 0.03 * size, "{device}, {half}, {name}, {parameter}: off by {off} of {size}");
                    is_any_rounded |= off > 0.0;
                }
                assert!(is_any_rounded, "{device}, {half}, {name}: nothing was rounded");
            }
        }
    }
}
