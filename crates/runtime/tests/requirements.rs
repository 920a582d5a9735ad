//! A run requires of its inputs what it computes from them, and nothing that was refused, removed or left out.

use crate::suite::devices::devices;
use arenagrad::nn::{Embedding, Linear};
use arenagrad::{CrossEntropy, DType, Error, Expr, Graph, Session, Sgd, StorageType, Tape, Tensor, Trainer, Variable};

fn table_of(rows: usize) -> Tensor {
    Tensor::new([rows, 2], (0..2 * rows).map(|x| x as f32).collect::<Vec<_>>()).unwrap()
}

fn indices() -> Tensor {
    Tensor::new([1, 2], vec![4, 3]).unwrap()
}

#[test]
fn a_refused_operation_requires_nothing() {
    for device in devices() {
        let g = Graph::new();
        let (short, long) = (g.input("short", [2, 2]), g.input("long", [5, 2]));
        let (i, f) = (g.input_of("i", [1, 2], DType::I32), g.input("f", [1, 2]));
        let refused = [
            short.gather(0, f),
            short.sum(0).gather(0, i),
            short.scatter_add(0, i, long),
            short.index_select(3, i),
            short.cross_entropy(i),
        ];
        assert!(refused.iter().all(|expr| expr.id().is_err()));
        g.take_error();
        let good = long.gather(0, i);
        let mut session = Session::evaluate(&g, &[good], &device).unwrap();
        let values = session.run(&[("long", &table_of(5)), ("i", &indices())]).unwrap();
        assert_eq!(values[0].to_f64_vec(), [8.0, 7.0], "{device}");
    }
}

#[test]
fn what_is_not_wanted_requires_nothing() {
    for device in devices() {
        let g = Graph::new();
        let (short, long) = (g.input("short", [2, 2]), g.input("long", [5, 2]));
        let i = g.input_of("i", [1, 2], DType::I32);
        let (narrow, good) = (short.gather(0, i), long.gather(0, i));
        let given = [("short", &table_of(2)), ("long", &table_of(5)), ("i", &indices())];
        let mut session = Session::evaluate(&g, &[good], &device).unwrap();
        assert_eq!(session.run(&given).unwrap()[0].to_f64_vec(), [8.0, 7.0], "{device}");
        // Wanted, it is required, and so it is of a gradient alone.
        let [gradient] = narrow.sum(..).grad([short]).unwrap();
        for wanted in [narrow, gradient, narrow.sum(..)] {
            let mut session = Session::evaluate(&g, &[good, wanted], &device).unwrap();
            assert!(matches!(session.run(&given), Err(Error::IndexOutOfRange { bound: 2, .. })), "{device}");
        }
        // Removed, it is not.
        let unused = g.input_of("j", [1, 2], DType::I32);
        let removed = short.gather(0, unused);
        g.remove(removed.id().unwrap()).unwrap();
        let mut session = Session::evaluate(&g, &[long.gather(0, unused)], &device).unwrap();
        assert!(session.run(&[("long", &table_of(5)), ("j", &indices())]).is_ok(), "{device}");
    }
}

/// Labels are required of by the loss alone that reads them.
#[test]
fn labels_are_required_by_the_loss_that_is_wanted() {
    for device in devices() {
        let g = Graph::new();
        let (few, many) = (g.input("few", [2, 3]), g.input("many", [2, 9]));
        let labels = g.input_of("labels", [2], DType::I32);
        let losses = [few.cross_entropy(labels), many.cross_entropy(labels)];
        let hot = labels.one_hot(3);
        let (x, y) = (Tensor::zeros([2, 3], DType::F32).unwrap(), Tensor::zeros([2, 9], DType::F32).unwrap());
        let given = [("few", &x), ("many", &y), ("labels", &Tensor::new([2], vec![8, 0]).unwrap())];
        let run = |wanted| Session::evaluate(&g, &[wanted], &device).unwrap().run(&given).map(drop);
        assert_eq!(run(losses[1]), Ok(()), "{device}");
        for wanted in [losses[0], hot, losses[0].grad([few]).unwrap()[0]] {
            assert!(matches!(run(wanted), Err(Error::IndexOutOfRange { value: 8, bound: 3, .. })), "{device}");
        }
        assert_eq!(run(losses[1].grad([many]).unwrap()[0]), Ok(()), "{device}");
    }
}

#[test]
fn a_loop_requires_of_an_input_what_it_reads_of_it_in_each_step() {
    for device in devices() {
        let g = Graph::new();
        let (c, x, i) = (g.input("c", [4]), g.input("x", [3, 4]), g.input_of("i", [4], DType::I32));
        let scanned = g.scan(&[c], &[x], |c, x| {
            let read = c[0].gather(0, i);
            (vec![c[0] * x[0]], vec![read, x[0] + 1.0])
        });
        let scanned = scanned.unwrap();
        let nested = g.scan(&[c], &[x], |c, x| {
            let rows = x[0].reshape([2, 2]);
            let inner = g.scan(&[c[0]], &[rows], |c, _| (vec![c[0].gather(0, i.reshape([4]))], vec![])).unwrap();
            (vec![inner.carries[0]], vec![])
        });
        let nested = nested.unwrap().carries[0];
        // Also of a derivative alone, of a Jacobian, and where the loop is taken apart because what is read is an element.
        let [gradient] = scanned.outputs[0].sum(..).grad([c]).unwrap();
        let of_nested = nested.jacobian(c).unwrap();
        let tangent = scanned.outputs[0].jvp([c], [g.ones([4], DType::F32)]).unwrap();
        let apart = g.scan(&[], &[x], |_, x| (vec![], vec![x[0].gather(0, i)])).unwrap().outputs[0];
        let given = |indices: [i32; 4]| {
            let whole = |shape: &[usize]| {
                let count = shape.iter().product::<usize>();
                Tensor::new(shape.to_vec(), (0..count).map(|n| n as f32).collect::<Vec<_>>()).unwrap()
            };
            [("c", whole(&[4])), ("x", whole(&[3, 4])), ("i", Tensor::new([4], indices.to_vec()).unwrap())]
        };
        let (good, bad) = (given([3, 1, 0, 2]), given([3, 1, 4, 2]));
        let [good, bad] = [&good, &bad].map(|given| given.each_ref().map(|(name, tensor)| (*name, tensor)));
        for wanted in [scanned.outputs[0], nested, gradient, of_nested, tangent, apart] {
            // All that is given must be an input of the plan.
            let mut session = Session::evaluate(&g, &[wanted, c, x, i], &device).unwrap();
            assert!(session.run(&good).is_ok(), "{device}");
            assert!(matches!(session.run(&bad), Err(Error::IndexOutOfRange { bound: 4, .. })), "{device}");
        }
        // A result that needs none of it requires nothing.
        for wanted in [scanned.outputs[1], scanned.carries[0]] {
            let mut session = Session::evaluate(&g, &[wanted, c, x, i], &device).unwrap();
            assert!(session.run(&bad).is_ok(), "{device}");
        }
    }
}

#[test]
fn elements_of_a_sequence_are_not_required_to_be_indices() {
    // The end of a sequence is padded with -1, which the loop leaves out: wherever the table is read.
    for device in devices() {
        let g = Graph::new();
        let (rows, words) = (g.input("table", [5, 2]), g.input_of("words", [4], DType::I32));
        let zeros = g.zeros([2], DType::F32);
        let scanned = g.scan(&[zeros], &[words], |c, word| {
            let row = word[0].greater_equal(0).where_(rows.index_select(0, word[0]), 0.0);
            (vec![c[0] * 0.5 + row], vec![rows.index_select(0, word[0])])
        });
        let scanned = scanned.unwrap();
        let nested = g.scan(&[zeros], &[words.reshape([2, 2])], |c, words| {
            let inner = g.scan(&[c[0]], &[words[0]], |c, word| {
                let row = word[0].greater_equal(0).where_(rows.index_select(0, word[0]), 0.0);
                (vec![c[0] * 0.5 + row], vec![])
            });
            let several = rows.index_select(0, words[0]).sum([0]);
            let is_whole = words[0].greater_equal(0).all([0]);
            (vec![inner.unwrap().carries[0] + is_whole.where_(several * 0.0, 0.0)], vec![])
        });
        let nested = nested.unwrap().carries[0];
        let last = scanned.carries[0];
        let [gradient] = last.sum(..).grad([rows]).unwrap();
        let mut session = Session::evaluate(&g, &[last, nested, gradient, scanned.outputs[0]], &device).unwrap();
        let words = Tensor::new([4], vec![4, 1, 2, -1]).unwrap();
        let found = session.run(&[("table", &table_of(5)), ("words", &words)]).unwrap();
        let found: Vec<Vec<f64>> = found.iter().map(Tensor::to_f64_vec).collect();
        // The rows are 8 9, 2 3 and 4 5.
        assert_eq!(found[0], [8.0 / 8.0 + 2.0 / 4.0 + 4.0 / 2.0, 9.0 / 8.0 + 3.0 / 4.0 + 5.0 / 2.0], "{device}");
        assert_eq!(found[1], found[0], "{device}");
        assert_eq!(found[2], [0.0, 0.0, 0.25, 0.25, 0.5, 0.5, 0.0, 0.0, 0.125, 0.125], "{device}");
        assert_eq!(found[3][..6], [8.0, 9.0, 2.0, 3.0, 4.0, 5.0], "{device}");
        assert!(found[3][6..].iter().all(|x| x.is_nan()), "{device}");
    }
}

/// Of an input of which parts are indices, the elements of these parts are required of and no others.
#[test]
fn parts_of_an_input_are_required_of_where_they_stand() {
    type Part = for<'g> fn(Expr<'g>) -> Expr<'g>;
    let parts: [(&str, Part, &[usize]); 8] = [
        ("all but the last", |i| i.slice(1, 0, 3), &[0, 1, 2, 4, 5, 6]),
        ("all but the first, in one axis", |i| i.slice(1, 1, 4).flatten(), &[1, 2, 3, 5, 6, 7]),
        ("every second, backwards", |i| i.slice_step(1, 1, 4, 2).flip([1]), &[1, 3, 5, 7]),
        ("a part of a part in another shape", |i| i.slice(0, 1, 2).reshape([2, 2]).slice(1, 1, 2), &[5, 7]),
        ("rows of the transpose, repeated", |i| i.t().slice(0, 2, 3).broadcast_to([5, 2]), &[2, 6]),
        ("windows", |i| i.slice(1, 1, 4).unfold(1, 2, 1), &[1, 2, 3, 5, 6, 7]),
        ("a position", |i| i.select_index(0, 1).slice(0, 0, 1), &[4]),
        ("none", |i| i.slice(1, 2, 2), &[]),
    ];
    for device in devices() {
        for (name, part, shown) in parts {
            let g = Graph::new();
            let (table, i) = (g.input("table", [5, 2]), g.input_of("i", [2, 4], DType::I32));
            let read = table.index_select(0, part(i));
            let [gradient] = read.sum(..).grad([table]).unwrap();
            let mut session = Session::evaluate(&g, &[read, gradient, i], &device).unwrap();
            for place in 0..8 {
                for wrong in [5, -1] {
                    let mut indices = vec![4, 0, 3, 1, 2, 4, 1, 0];
                    indices[place] = wrong;
                    let given = Tensor::new([2, 4], indices).unwrap();
                    let result = session.run(&[("table", &table_of(5)), ("i", &given)]);
                    match result {
                        Ok(_) => assert!(!shown.contains(&place), "{device}, {name}: {wrong} at {place}"),
                        Err(Error::IndexOutOfRange { name: input, position, value, bound: 5, origin, .. }) => {
                            assert_eq!((input.as_str(), position, value), ("i", place, wrong), "{device}, {name}");
                            assert!(
                                shown.contains(&place) && origin.contains("requirements.rs"),
                                "{device}, {name}: {origin}"
                            );
                        }
                        Err(error) => panic!("{device}, {name}: {error}"),
                    }
                }
            }
        }
    }
}

/// Tokens and labels that are parts of one text: what is out of range is an error, in a session, a trainer and on a tape, and changes nothing.
#[test]
fn tokens_of_a_text_train_nothing_where_one_is_out_of_range() {
    fn read<'g>(text: Expr<'g>) -> Expr<'g> {
        Linear::new("head", 4, 5).apply(Embedding::new("tokens", 5, 4).apply(text.slice(1, 0, 3))).reshape([6, 5])
    }
    fn judged<'g>(read: Expr<'g>, text: Expr<'g>) -> Expr<'g> {
        read.cross_entropy(text.slice(1, 1, 4).flatten())
    }
    // Of two parts of one text that what reads the wrong one is blamed: labels where tokens do not show it.
    #[track_caller]
    fn blames(error: &Error, place: usize, [reading, judging]: [u32; 2]) {
        let Error::IndexOutOfRange { name, position, origin, .. } = error else { panic!("{error}") };
        assert_eq!((name.as_str(), *position), ("text", place));
        let line = if place % 4 == 3 { judging } else { reading };
        assert!(origin.ends_with(&format!("requirements.rs:{line}")), "{origin}, not line {line}, for {place}");
    }
    let in_functions = [line!() - 13, line!() - 10];
    let good = Tensor::new([2, 4], vec![0, 1, 2, 3, 4, 3, 2, 1]).unwrap();
    for device in devices() {
        let mut trainer =
            Trainer::new(device.clone(), Sgd::new(0.1), |inputs| judged(read(inputs.get("text")), inputs.get("text")));
        trainer.step(&[("text", &good)]).unwrap();
        let weight = |trainer: &Trainer| trainer.session().parameter("head.weight").unwrap();
        let before = weight(&trainer);
        for (place, wrong) in [(0, 5), (3, 5), (2, -1), (7, 9), (5, 7)] {
            let mut tokens = vec![0, 1, 2, 3, 4, 3, 2, 1];
            tokens[place] = wrong;
            let text = Tensor::new([2, 4], tokens).unwrap();
            blames(&trainer.step(&[("text", &text)]).map(drop).unwrap_err(), place, in_functions);
            let tape = Tape::new(device.clone());
            let text = tape.leaf(&text).named("text");
            let lines = [line!() + 1, line!() + 2];
            let logits = tape.record("read", &[&text], |x| read(x[0]));
            let value = tape.record("judged", &[&logits, &text], |x| judged(x[0], x[1]));
            blames(&value.backward().unwrap_err(), place, lines);
        }
        assert_eq!(weight(&trainer), before, "{device}");
    }
}

/// On a tape a view of indices may be computed, and what it was made of dropped, before what reads it runs: it is required of all the same.
#[test]
fn a_tape_requires_of_what_it_has_computed_meanwhile() {
    type View = fn(&Variable) -> Variable;
    let views: [(&str, View); 3] = [
        ("another shape", |text| text.reshape([4])),
        ("a part", |text| text.slice(0, 0, 1).flatten()),
        ("a part, backwards", |text| text.slice(0, 0, 1).flip([1]).reshape([4])),
    ];
    for device in devices() {
        for (name, view) in views {
            for reads_labels in [true, false] {
                let tape = Tape::new(device.clone());
                let table = tape.leaf(table_of(4)).requires_grad();
                let logits = tape.leaf(Tensor::zeros([4, 4], DType::F32).unwrap()).requires_grad();
                let rows = if name == "another shape" { 1 } else { 2 };
                let text = [1, 4, 0, 2, 3, 3, 3, 3][..4 * rows].to_vec();
                let text = tape.leaf(Tensor::new([rows, 4], text).unwrap());
                let shown = view(&text);
                let read =
                    || if reads_labels { logits.cross_entropy(&shown) } else { table.index_select(0, &shown).sum(..) };
                let (before, after) = (read(), read());
                assert_eq!(shown.data().unwrap().to_f64_vec().len(), 4);
                drop(text);
                // Another leaf of the same kind, which may stand where the first one stood.
                let other = tape.leaf(Tensor::new([rows, 4], vec![9; 4 * rows]).unwrap());
                let total = before + other.cast(DType::F32).sum(..);
                for value in [total, after] {
                    let error = value.item().unwrap_err();
                    assert!(
                        matches!(error, Error::IndexOutOfRange { value: 4, bound: 4, .. }),
                        "{device}, {name}: {error}"
                    );
                }
            }
        }
    }
}

/// What a loop captures may be a part of an input, made within the loop or before it, or in a loop around it.
#[test]
fn a_loop_requires_of_parts_that_it_captures() {
    type Loop = for<'g> fn(&'g Graph, Expr<'g>, Expr<'g>, Expr<'g>) -> Expr<'g>;
    let loops: [(&str, Loop); 4] = [
        ("before it", |g, c, x, i| {
            let part = i.slice(0, 1, 5);
            g.scan(&[c], &[x], |c, x| (vec![c[0].gather(0, part) + x[0]], vec![])).unwrap().carries[0]
        }),
        ("within it", |g, c, x, i| {
            g.scan(&[c], &[x], |c, x| (vec![c[0].gather(0, i.slice(0, 1, 5)) + x[0]], vec![])).unwrap().carries[0]
        }),
        ("of a part before it", |g, c, x, i| {
            let part = i.slice(0, 0, 5).flip([0]);
            g.scan(&[c], &[x], |c, x| (vec![c[0].gather(0, part.slice(0, 0, 4)) + x[0]], vec![])).unwrap().carries[0]
        }),
        ("in a loop around it", |g, c, x, i| {
            let outer = g.scan(&[c], &[x], |c, x| {
                let part = i.slice(0, 1, 5).reshape([2, 2]);
                let rows = x[0].reshape([1, 4]);
                let inner = g.scan(&[c[0]], &[rows], |c, x| (vec![c[0].gather(0, part.flatten()) + x[0]], vec![]));
                (vec![inner.unwrap().carries[0]], vec![])
            });
            outer.unwrap().carries[0]
        }),
    ];
    let (c, x) = (Tensor::new([4], vec![1.0f32, 2.0, 3.0, 4.0]).unwrap(), Tensor::zeros([3, 4], DType::F32).unwrap());
    for device in devices() {
        for (name, build) in loops {
            let g = Graph::new();
            let (first, sequence) = (g.input("c", [4]), g.input("x", [3, 4]));
            let i = g.input_of("i", [6], DType::I32);
            let last = build(&g, first, sequence, i);
            let [gradient] = last.sum(..).grad([first]).unwrap();
            let mut session = Session::evaluate(&g, &[last, gradient, i], &device).unwrap();
            for place in 0..6 {
                let mut indices = vec![3, 1, 0, 2, 3, 0];
                indices[place] = 4;
                let given = Tensor::new([6], indices).unwrap();
                let result = session.run(&[("c", &c), ("x", &x), ("i", &given)]).map(drop);
                match result {
                    Ok(()) => assert!(!(1..5).contains(&place), "{device}, {name}: {place}"),
                    Err(Error::IndexOutOfRange { position, value: 4, bound: 4, .. }) => {
                        assert!(
                            position == place && (1..5).contains(&place),
                            "{device}, {name}: {position} for {place}"
                        );
                    }
                    Err(error) => panic!("{device}, {name}: {error}"),
                }
            }
        }
    }
}

/// Two parts of one input, each with a bound of its own, one of them with a label that is left out; integers of other widths; derivatives.
#[test]
fn parts_of_an_input_have_bounds_of_their_own() {
    for device in devices() {
        let g = Graph::new();
        let (table, logits) = (g.input("table", [3, 2]), g.input("logits", [2, 6]));
        let i = g.input_of("i", [4], StorageType::I64);
        let options = CrossEntropy { ignore_index: Some(-100), ..CrossEntropy::default() };
        let rows = table.index_select(0, i.slice(0, 0, 2));
        let loss = logits.cross_entropy_with(i.slice(0, 2, 4), options);
        let whole = rows.square().sum(..) + loss;
        let [by_table] = whole.grad([table]).unwrap();
        let jacobian = rows.jacobian(table).unwrap();
        let (x, y) = (table_of(3), Tensor::zeros([2, 6], DType::F32).unwrap());
        for wanted in [whole, by_table, jacobian] {
            let mut session = Session::evaluate(&g, &[wanted, table, logits, i], &device).unwrap();
            let mut run = |i: [i32; 4]| {
                let i = Tensor::from(i).cast(StorageType::I64);
                session.run(&[("table", &x), ("logits", &y), ("i", &i)]).map(drop)
            };
            assert_eq!(run([0, 2, 5, -100]), Ok(()), "{device}");
            assert!(matches!(run([0, 3, 5, 0]), Err(Error::IndexOutOfRange { position: 1, bound: 3, .. })), "{device}");
            assert!(matches!(run([-100, 0, 5, 0]), Err(Error::IndexOutOfRange { position: 0, .. })), "{device}");
        }
        let mut session = Session::evaluate(&g, &[whole, i], &device).unwrap();
        for (labels, position) in [([0, 0, 6, 0], 2), ([0, 0, 0, -1], 3)] {
            let i = Tensor::from(labels).cast(StorageType::I64);
            let error = session.run(&[("table", &x), ("logits", &y), ("i", &i)]).map(drop).unwrap_err();
            assert!(matches!(error, Error::IndexOutOfRange { position: p, bound: 6, .. } if p == position), "{error}");
        }
    }
}
