//! Derivatives by what a loop captures, whatever that is: computed, a view, a constant. They are those of the steps one after the other.

use arenagrad::nn::{Gru, Phase};
use arenagrad::{DType, Device, Error, Expr, Graph, ScanOptions, Session, Tape, Tensor};

use crate::suite::devices::everywhere;

/// Makes a square matrix of two rows of a matrix of three rows.
type Make = for<'g> fn(Expr<'g>) -> Expr<'g>;

const CAPTURED: &[(&str, Make)] = &[
    ("computed", |w| w.slice(0, 0, 2) * 1.5),
    ("permuted", |w| w.slice(0, 0, 2).t()),
    ("reshaped", |w| w.slice(0, 1, 3).flatten().reshape([2, 2])),
    ("a slice", |w| w.slice_step(0, 0, 3, 2)),
    ("flipped", |w| w.slice(0, 1, 3).flip([0, 1])),
    ("spread", |w| w.select_index(0, 1).broadcast_to([2, 2])),
    ("windows", |w| w.select_index(1, 0).unfold(0, 2, 1)),
    ("a constant", |w| w.graph().full([2, 2], 0.5, w.dtype().unwrap())),
    ("a view of a constant", |w| w.graph().full([1], 0.25, w.dtype().unwrap()).broadcast_to([2, 2])),
];

/// Three steps: as a loop, and one after the other.
fn steps<'g>(captured: Expr<'g>, first: Expr<'g>, is_loop: bool) -> Result<[Expr<'g>; 2], Error> {
    // Some of what a body spreads or takes apart is made within it.
    let next = |x: Expr<'g>| (x.matmul(captured) + captured.slice(0, 0, 1) * 0.5).tanh();
    if is_loop {
        let options = ScanOptions { length: Some(3), reverse: false };
        let done = first.graph().scan_with(options, &[first], &[], |x, _| (vec![next(x[0])], vec![x[0] * captured]))?;
        return Ok([done.carries[0], done.outputs[0]]);
    }
    let mut stacked = Vec::new();
    let mut x = first;
    for _ in 0..3 {
        stacked.push(x * captured);
        x = next(x);
    }
    Ok([x, first.graph().stack(&stacked, 0)])
}

#[test]
fn derivatives_by_what_is_captured_are_those_of_the_steps() {
    for (device, dtype) in everywhere() {
        for (what, make) in CAPTURED {
            let found = [true, false].map(|is_loop| {
                let g = Graph::new();
                let w = g.input_of("w", [3, 2], dtype);
                let first = g.input_of("first", [2, 2], dtype);
                let captured = make(w);
                let [last, stacked] = steps(captured, first, is_loop).unwrap();
                let sum = last.square().sum(..) + stacked.sum(..);
                let [reverse] = sum.grad([captured]).unwrap();
                let forward = last.jvp([captured], [captured.ones_like()]).unwrap();
                let [second] = reverse.square().sum(..).grad([captured]).unwrap();
                let both = sum.grad([w, captured]).unwrap();
                let jacobian = last.jacobian(captured).unwrap();
                let outputs = [last, stacked, reverse, forward, second, both[0], both[1], jacobian];
                let tensor = |shape: [usize; 2], factor: f64| {
                    let elements = (0..shape[0] * shape[1]).map(|i| (factor * (i + 1) as f64).sin());
                    Tensor::new(shape, elements.collect::<Vec<f64>>()).unwrap().cast(dtype)
                };
                let mut session = Session::evaluate(&g, &outputs, &device).unwrap();
                session.run(&[("w", &tensor([3, 2], 0.7)), ("first", &tensor([2, 2], 1.3))]).unwrap()
            });
            let [in_loop, in_steps] = found;
            assert!(in_steps[2].to_f64_vec().iter().all(|element| *element != 0.0), "{what}");
            let tolerance = if dtype == DType::F32 { 2e-5 } else { 1e-12 };
            for (number, (in_loop, in_steps)) in in_loop.iter().zip(&in_steps).enumerate() {
                assert!(
                    in_loop.allclose(in_steps, tolerance, tolerance).unwrap(),
                    "{device}, {dtype}, {what}, result {number}: {in_loop} and {in_steps}"
                );
            }
        }
    }
}

/// Weights of a layer that loops, which are parts of one vector, as of a network that makes weights.
#[test]
fn weights_of_a_recurrent_layer_may_be_views() {
    let found = [1.0, 2.0].map(|factor| {
        let g = Graph::new();
        let (all, x) = (g.input_of("all", [84], DType::F64), g.input_of("x", [4, 2, 3], DType::F64));
        let shapes: [(&str, &[usize]); 4] =
            [("weight_ih_l0", &[9, 3]), ("weight_hh_l0", &[9, 3]), ("bias_ih_l0", &[9]), ("bias_hh_l0", &[9])];
        let mut start = 0;
        let parts: Vec<(String, Expr<'_>)> = shapes
            .iter()
            .map(|(name, shape)| {
                let count: usize = shape.iter().product();
                let part = all.slice(0, start, start + count).reshape(*shape);
                start += count;
                // Doubled and halved it is the same number, and not a view.
                (format!("gru.{name}"), if factor == 1.0 { part } else { part * factor * (1.0 / factor) })
            })
            .collect();
        let loss = g.with_values(&parts, || Gru::new("gru", 3, 3).apply(x, None, Phase::Evaluation).0.square().sum(..));
        let weights: Vec<Expr<'_>> = parts.iter().map(|(_, part)| *part).collect();
        let gradients = g.gradients(&[loss], &[loss.ones_like()], &weights).unwrap();
        let numbers =
            |count: usize| Tensor::new([count], (0..count).map(|i| (i as f64).sin()).collect::<Vec<f64>>()).unwrap();
        let x = numbers(24).reshape([4, 2, 3]).unwrap();
        Session::evaluate(&g, &gradients, &Device::cpu()).unwrap().run(&[("all", &numbers(84)), ("x", &x)]).unwrap()
    });
    for (of_views, computed) in found[0].iter().zip(&found[1]) {
        assert!(of_views.to_f64_vec().iter().any(|element| *element != 0.0));
        assert!(of_views.allclose(computed, 1e-12, 1e-12).unwrap(), "{of_views} and {computed}");
    }
}

#[test]
fn a_tape_gives_views_that_a_loop_captures_their_gradients() {
    let tape = Tape::new(Device::cpu());
    let w = tape.leaf([[0.5, 1.0], [2.0, 0.1]]).requires_grad();
    let v = w.transpose(0, 1);
    let y = tape.try_record("loop", &[&v], |captured: &[Expr<'_>]| {
        let [last, _] = steps(captured[0], captured[0].ones_like(), true)?;
        Ok(last.sum(..))
    });
    y.backward().unwrap();
    let (of_view, of_leaf) = (v.grad().unwrap(), w.grad().unwrap());
    assert_eq!(of_view.transpose(0, 1).unwrap(), of_leaf);
    assert!(of_leaf.to_f64_vec().iter().all(|element| *element != 0.0), "{of_leaf}");
}

/// What goes on in a loop over `x` of shape `[steps, 2, 2]`, with what stood before it.
type Built<'g> = Vec<Expr<'g>>;

/// Loops of several kinds over `x`, and what their derivatives are taken by.
fn loops<'g>(x: Expr<'g>, w: Expr<'g>, is_reversed: bool) -> Result<(Built<'g>, Built<'g>), Error> {
    let g = x.graph();
    let dtype = w.dtype()?;
    let turned = w.t();
    // A view of the very sequence, and one of an initial carry.
    let (backwards, corner) = (x.flip(0), w.slice(0, 0, 1));
    let places = g.literal([4], [3, 0, 2, 1]);
    let (some, table) = (places.slice(0, 1, 3), w.flatten());
    let options = ScanOptions { length: None, reverse: is_reversed };
    let both = g.scan_with(options, &[w], &[x, backwards], |c, e| {
        let next = (c[0].matmul(turned) + e[0].matmul(w) * 0.5 + e[1] * corner).tanh();
        (vec![next], vec![table.gather(0, some) * next.flatten().slice(0, 0, 2)])
    })?;
    // The same view in a second loop, and within a loop of the body; what is captured is the next carry.
    let nested = g.scan_with(options, &[w, turned], &[x], |c, e| {
        let outer = e[0].t();
        let three = ScanOptions { length: Some(3), reverse: false };
        let inner =
            g.scan_with(three, &[c[0]], &[], |c, _| (vec![(c[0].matmul(turned) + outer * corner).sin()], vec![]));
        let inner = inner.map_or_else(|_| g.zeros([2, 2], dtype), |inner| inner.carries[0]);
        (vec![inner, turned], vec![c[1] * inner])
    })?;
    let results = [both.carries, both.outputs, nested.carries, nested.outputs].concat();
    Ok((results, vec![w, turned, backwards, corner, table, x]))
}

/// [`loops`], one step after the other.
fn written_out<'g>(x: Expr<'g>, w: Expr<'g>, is_reversed: bool) -> Result<(Built<'g>, Built<'g>), Error> {
    let g = x.graph();
    let turned = w.t() * 1.0;
    let (backwards, corner) = (x.flip(0) * 1.0, w.slice(0, 0, 1) * 1.0);
    let table = w.flatten() * 1.0;
    let steps = x.shape()?[0];
    let order: Vec<usize> = if is_reversed { (0..steps).rev().collect() } else { (0..steps).collect() };
    let (mut both, mut stacked) = (w, vec![g.zeros([2], w.dtype()?); steps]);
    let (mut nested, mut kept, mut outputs) = (w, turned, vec![g.zeros([2, 2], w.dtype()?); steps]);
    for place in order {
        let (element, other) = (x.select_index(0, place), backwards.select_index(0, place));
        both = (both.matmul(turned) + element.matmul(w) * 0.5 + other * corner).tanh();
        let some = g.concat(&[table.slice(0, 0, 1), table.slice(0, 2, 3)], 0);
        stacked[place] = some * both.flatten().slice(0, 0, 2);
        for _ in 0..3 {
            nested = (nested.matmul(turned) + element.t() * corner).sin();
        }
        outputs[place] = kept * nested;
        kept = turned;
    }
    let join = |list: &[Expr<'g>], shape: &[usize]| match steps {
        0 => g.zeros([&[0], shape].concat().as_slice(), DType::F64),
        _ => g.stack(list, 0),
    };
    Ok((
        vec![both, join(&stacked, &[2]), nested, kept, join(&outputs, &[2, 2])],
        vec![w, turned, backwards, corner, table, x],
    ))
}

#[test]
fn loops_of_every_kind_capture_views() {
    for (steps, is_reversed) in [(0, false), (1, false), (1, true), (4, false), (4, true)] {
        let found = [true, false].map(|is_loop| {
            let g = Graph::new();
            let (x, w) = (g.input_of("x", [steps, 2, 2], DType::F64), g.input_of("w", [2, 2], DType::F64));
            let (results, by) =
                if is_loop { loops(x, w, is_reversed) } else { written_out(x, w, is_reversed) }.unwrap();
            let sum = results.iter().map(|result| result.sin().sum(..)).reduce(|sum, one| sum + one).unwrap();
            let first = g.gradients(&[sum], &[sum.ones_like()], &by).unwrap();
            let squares = first.iter().map(|one| one.square().sum(..)).reduce(|sum, one| sum + one).unwrap();
            let second = g.gradients(&[squares], &[squares.ones_like()], &by[..2]).unwrap();
            let numbers = |shape: &[usize], factor: f64| {
                let count: usize = shape.iter().product();
                let elements = (0..count).map(|i| (factor * (i + 1) as f64).sin()).collect::<Vec<f64>>();
                Tensor::new(shape, elements).unwrap()
            };
            let outputs = [results, first, second].concat();
            let mut session = Session::evaluate(&g, &outputs, &Device::cpu()).unwrap();
            session.run(&[("x", &numbers(&[steps, 2, 2], 0.9)), ("w", &numbers(&[2, 2], 0.4))]).unwrap()
        });
        for (number, (in_loop, in_steps)) in found[0].iter().zip(&found[1]).enumerate() {
            assert!(
                in_loop.allclose(in_steps, 1e-11, 1e-11).unwrap(),
                "{steps} steps, reversed {is_reversed}, result {number}: {in_loop} and {in_steps}"
            );
        }
    }
}

/// A handle of what a body made for itself is of nothing that could have a derivative of 0.
#[test]
fn what_a_body_made_for_itself_is_gone() {
    let g = Graph::new();
    let w = g.input("w", [2, 2]);
    let held = std::cell::Cell::new(None);
    let three = ScanOptions { length: Some(3), reverse: false };
    let looped = g.scan_with(three, &[w], &[], |c, _| {
        let turned = w.t();
        held.set(Some(turned));
        (vec![c[0].matmul(turned)], vec![])
    });
    let last = looped.unwrap().carries[0];
    let error = last.sum(..).grad([held.get().unwrap()]).unwrap_err();
    assert!(matches!(error, arenagrad::GraphError::StaleNode { .. }), "{error}");
}
