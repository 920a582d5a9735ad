//! Loops and recurrent layers, called with something wrong: what the message says, and that nothing is left behind.

use arenagrad_graph::nn::{BatchNorm, GroupNorm, Gru, GruCell, LayerNorm, Linear, Lstm, Phase, RmsNorm, Rnn};
use arenagrad_graph::{Context, DType, Expr, Function, Graph, GraphError, Init, ScanOptions, verify};

/// Asserts that a loop is refused with that message, which follows file and line, and that the graph is as it was.
#[track_caller]
fn refused<'g>(g: &'g Graph, message: &str, scan: impl FnOnce() -> Result<Vec<Expr<'g>>, GraphError>) {
    let before = (g.len(), g.to_string());
    let error = scan().expect_err("a mistake").to_string();
    let (origin, text) = error.split_once(": ").expect("an origin");
    assert_eq!(text, message);
    assert!(origin.contains("messages_loops.rs:"), "{error}");
    assert_eq!((g.len(), g.to_string()), before, "something is left of {message}");
    assert_eq!(g.check(), Ok(()));
    assert_eq!(verify(g), Ok(()));
}

#[test]
fn loops_that_cannot_be() {
    let g = Graph::new();
    let (c, x, y) = (g.input("c", [3]), g.input("x", [5, 3]), g.input("y", [4, 3]));
    let point = g.input("point", []);
    refused(&g, "scan: extents differ along axis 0: \"x\" is [5, 3], \"y\" is [4, 3] (5 != 4)", || {
        g.scan(&[c], &[x, y], |c, _| (c.to_vec(), vec![])).map(|of| of.carries)
    });
    refused(&g, "scan: \"point\" of shape [] has rank 0, but at least rank 1 is needed", || {
        g.scan(&[c], &[point], |c, _| (c.to_vec(), vec![])).map(|of| of.carries)
    });
    refused(
        &g,
        "scan: a loop without sequences has no length of its own; give one among the options of scan_with",
        || g.scan(&[c], &[], |c, _| (c.to_vec(), vec![])).map(|of| of.carries),
    );
    let options = ScanOptions { length: Some(7), ..ScanOptions::default() };
    refused(&g, "scan: the length is 7, but the extent of the sequences' first axis is needed", || {
        g.scan_with(options, &[c], &[x], |c, _| (c.to_vec(), vec![])).map(|of| of.carries)
    });
    refused(&g, "scan: the body gave 0 next carries for 1 carries", || {
        g.scan(&[c], &[x], |_, x| (vec![], x.to_vec())).map(|of| of.carries)
    });
    refused(&g, "scan: shapes differ: carry 0 is [3], its next value sum_keepdims (node 7) is [1]", || {
        g.scan(&[c], &[x], |c, _| (vec![c[0].exp().sum_keepdims(0)], vec![])).map(|of| of.carries)
    });
    refused(&g, "scan: dtypes differ: carry 0 is f32, its next value cast (node 6) is i32; cast one of them", || {
        g.scan(&[c], &[x], |c, _| (vec![c[0].cast(DType::I32)], vec![])).map(|of| of.carries)
    });
    refused(&g, "scan: shapes differ: carry 0 is [3], its next value sum_keepdims (node 8) is [1]", || {
        g.scan(&[c], &[x], |c, _| (vec![(c[0] * g.input("w", [3])).sum_keepdims(0)], vec![])).map(|of| of.carries)
    });
    let _ = g.input("w", [7]); // The name is free again.
    let odd = g.input("odd", [2]);
    refused(&g, "add: shapes do not broadcast: lhs carry 0 is [3], rhs \"odd\" is [2] (3 != 2)", || {
        g.scan(&[c], &[x], |c, _| (vec![c[0] + odd], vec![])).map(|of| of.carries)
    });
}

/// The body's own mistakes are those of the loop: of the type that the body says, and nothing is left.
#[test]
fn bodies_that_fail() {
    #[derive(Debug, PartialEq)]
    enum Mistake {
        OfGraph(GraphError),
        OfBody(usize),
    }
    impl From<GraphError> for Mistake {
        fn from(error: GraphError) -> Self {
            Mistake::OfGraph(error)
        }
    }
    let g = Graph::new();
    let (c, x) = (g.input("c", [3]), g.input("x", [5, 3]));
    refused(
        &g,
        "grad: the output mul (node 4) of shape [3] is not a scalar; give an upstream gradient of its shape",
        || {
            let scanned = g.try_scan(ScanOptions::default(), &[c], &[x], |carries, elements| {
                let [slope] = (carries[0] * elements[0]).grad([carries[0]])?;
                Ok::<_, GraphError>((vec![slope], vec![]))
            });
            scanned.map(|of| of.carries)
        },
    );
    let before = g.to_string();
    let error = g.try_scan(ScanOptions::default(), &[c], &[x], |carries, _| {
        let _ = carries[0].exp() * g.input("declared", [3]);
        Err(Mistake::OfBody(7))
    });
    assert_eq!(error.unwrap_err(), Mistake::OfBody(7));
    assert_eq!(g.to_string(), before);
    let error = g.try_scan(ScanOptions::default(), &[c], &[x], |_, _| Ok::<_, Mistake>((vec![], vec![])));
    assert!(matches!(error.unwrap_err(), Mistake::OfGraph(_)));
    // An inner loop and a gradient of it, in the body of an outer one.
    let nested = g.try_scan(ScanOptions::default(), &[c], &[x], |carries, elements| {
        let options = ScanOptions { length: Some(2), ..ScanOptions::default() };
        let inner = g.scan_with(options, &[carries[0]], &[], |y, _| (vec![(y[0] * elements[0]).tanh()], vec![]))?;
        let slope = inner.carries[0].sum(..).grad(carries[0])?;
        Ok::<_, GraphError>((vec![slope], vec![]))
    });
    assert_eq!(nested.unwrap().carries[0].shape().unwrap().dims(), [3]);
    assert_eq!(verify(&g), Ok(()));
}

/// What a body declares is declared once and outside, in the body of a loop within a loop too.
#[test]
fn bodies_declare() {
    let g = Graph::new();
    let (c, x) = (g.input("c", [2, 3]), g.input("x", [5, 2, 3]));
    let cell = GruCell::new("cell", 3, 3);
    let scanned = g
        .scan(&[c], &[x], |carry, x| {
            let next = cell.apply(x[0], Some(carry[0])) * g.parameter("scale", [3], Init::Constant(1.0));
            let twice = ScanOptions { length: Some(2), ..ScanOptions::default() };
            let within = g
                .scan_with(twice, &[next], &[], |h, _| (vec![Linear::new("within", 3, 3).apply(h[0]).tanh()], vec![]))
                .expect("a loop");
            (vec![within.carries[0]], vec![])
        })
        .unwrap();
    assert_eq!(verify(&g), Ok(()));
    let names =
        ["cell.weight_ih", "cell.weight_hh", "cell.bias_ih", "cell.bias_hh", "scale", "within.weight", "within.bias"];
    let text = g.to_string();
    for name in names {
        assert_eq!(text.matches(&format!("{name} = parameter")).count(), 1, "{name} in\n{text}");
    }
    // The same parameters outside, and gradients by them.
    let h = Linear::new("within", 3, 3).apply(cell.apply(x.select_index(0, 0), Some(c)));
    let leaves = names.map(|name| g.expr(g.declaration_named(name).expect("declared").node));
    let gradients = (scanned.carries[0] + h).sum(..).grad(leaves).unwrap();
    assert!(gradients.iter().zip(leaves).all(|(gradient, leaf)| gradient.shape() == leaf.shape()));
}

/// A norm of other extents than what it is given is named.
#[test]
fn norms_name_themselves() {
    let told = |apply: for<'g> fn(Expr<'g>) -> Expr<'g>| {
        let g = Graph::new();
        let _ = apply(g.input("x", [2, 8, 4]));
        g.check().expect_err("a mistake").to_string()
    };
    let of_channels = [
        told(|x| BatchNorm::new("block.norm", 6).apply(x, Phase::Training)),
        told(|x| GroupNorm::new("block.norm", 2, 6).apply(x)),
    ];
    for error in of_channels {
        assert!(error.contains("\"x\" is [2, 8, 4], what \"block.norm\" is for is [2, 6, 4] (8 != 6)"), "{error}");
    }
    let of_last_axes =
        [told(|x| LayerNorm::new("block.norm", [5]).apply(x)), told(|x| RmsNorm::new("block.norm", [5]).apply(x))];
    for error in of_last_axes {
        assert!(error.contains("\"x\" is [2, 8, 4], what \"block.norm\" normalises is [5]"), "{error}");
    }
}

/// A function's own gradient names what it is given.
#[test]
fn mistakes_name_the_upstream_gradient() {
    struct Halved;
    impl Function for Halved {
        fn forward<'g>(&self, _: &mut Context<'g>, operands: &[Expr<'g>]) -> Expr<'g> {
            operands[0] * 0.5
        }
        fn backward<'g>(&self, context: &Context<'g>, upstream: Expr<'g>) -> Vec<Option<Expr<'g>>> {
            vec![Some(upstream + context.graph().zeros([2], DType::F32))]
        }
    }
    let g = Graph::new();
    let x = g.input("x", [3]);
    let _ = g.apply(&Halved, &[x]);
    let error = g.check().expect_err("a mistake").to_string();
    assert!(error.contains("lhs the upstream gradient is [3]"), "{error}");
}

#[test]
fn what_the_body_built_is_stale_outside() {
    let g = Graph::new();
    let (c, x) = (g.input("c", [3]), g.input("x", [5, 3]));
    let mut kept = None;
    let scanned = g.scan(&[c], &[x], |c, x| {
        let next = c[0] + x[0];
        kept = Some(next);
        (vec![next], vec![])
    });
    assert!(scanned.is_ok());
    assert!(matches!(kept.unwrap().id(), Err(GraphError::StaleNode { .. })));
    let other = Graph::new();
    let foreign = other.input("f", [5, 3]);
    assert!(matches!(g.scan(&[c], &[foreign], |c, _| (c.to_vec(), vec![])), Err(GraphError::ForeignNode { .. })));
}

#[test]
fn recurrent_layers_that_cannot_be() {
    let g = Graph::new();
    let (x, h) = (g.input("x", [7, 2, 3]), g.input("h", [2, 4]));
    let (ih, hh, bias) = (g.input("ih", [12, 3]), g.input("hh", [12, 4]), g.input("bias", [12]));
    let says = |message: &str| {
        let error = g.take_error().expect("a mistake").to_string();
        assert_eq!(error.split_once(": ").expect("an origin").1, message);
        assert!(error.contains("messages_loops.rs:"), "{error}");
        assert_eq!(g.len(), 6, "something is left of {message}");
    };
    let one = g.input("one", [2, 3]);
    let _ = one.gru(h, ih, hh, None);
    says("gru: \"one\" of shape [2, 3] has rank 2, but rank 3 is needed");
    let _ = x.gru_cell(h, ih, hh, None);
    says("gru_cell: \"x\" of shape [7, 2, 3] has rank 3, but rank 2 is needed");
    let _ = x.lstm(h, h, ih, hh, None);
    says(
        "lstm: extents differ along axis 0: \"ih\" is [12, 3], 4 gates for each element of \"h\" is [2, 4] (12 != 16)",
    );
    let _ = one.lstm_cell(h, h, ih, hh, None);
    says(
        "lstm_cell: extents differ along axis 0: \"ih\" is [12, 3], 4 gates for each element of \"h\" is [2, 4] (12 != 16)",
    );
    let _ = x.rnn_tanh(h, ih, hh, None);
    says(
        "rnn_tanh: extents differ along axis 0: \"ih\" is [12, 3], 1 gates for each element of \"h\" is [2, 4] (12 != 4)",
    );
    let _ = x.rnn_relu(h, ih, hh, Some([bias, x]));
    says("rnn_relu: \"x\" of shape [7, 2, 3] has rank 3, but rank 1 is needed");
    let _ = one.rnn_cell(x, ih, hh, None);
    says("rnn_cell: \"x\" of shape [7, 2, 3] has rank 3, but rank 2 is needed");
    let _ = x.gru(h, hh, hh, None);
    says("gru: inner dimensions differ: lhs \"x\" is [7, 2, 3], rhs \"hh\" transposed is [4, 12] (3 != 4)");
    let (states, last) = x.gru(h, ih, hh, Some([bias, bias]));
    assert_eq!((states.shape().unwrap().dims(), last.shape().unwrap().dims()), (&[7, 2, 4][..], &[2, 4][..]));
}

#[test]
fn lengths_that_no_sequences_have() {
    let g = Graph::new();
    let (x, one) = (g.input("x", [7, 2, 3]), g.input("one", [7, 3]));
    let (lengths, floats) = (g.input_of("lengths", [2], DType::I32), g.input("floats", [2]));
    let says = |message: &str| {
        let error = g.take_error().expect("a mistake").to_string();
        assert_eq!(error.split_once(": ").expect("an origin").1, message);
        assert!(error.contains("messages_loops.rs:"), "{error}");
        assert_eq!(g.len(), 4, "something is left of {message}");
    };
    let gru = Gru::new("gru", 3, 4);
    let _ = gru.apply_padded(x, floats, None, Phase::Training);
    says("Gru: \"floats\" is f32, but i32 is needed (cast it: .cast(DType::I32))");
    let _ = gru.clone().batch_first().apply_padded(x, lengths, None, Phase::Training);
    says("Gru: shapes differ: \"lengths\" is [2], a length for each sequence of \"x\" is [7]");
    let _ = Rnn::new("rnn", 3, 4).apply_padded(one, lengths, None, Phase::Training);
    says("Rnn: shapes differ: \"lengths\" is [2], a length for each sequence of \"one\" is []");
    let other = Graph::new();
    let foreign = other.input_of("f", [2], DType::I32);
    let _ = Lstm::new("lstm", 3, 4).apply_padded(x, foreign, None, Phase::Training);
    assert!(matches!(g.take_error(), Some(GraphError::ForeignNode { op: "Lstm", .. })));
    let (outputs, last) = Rnn::new("rnn", 3, 4).apply_padded(one, lengths.select_index(0, 1), None, Phase::Training);
    assert_eq!((outputs.shape().unwrap().dims(), last.shape().unwrap().dims()), (&[7, 4][..], &[1, 4][..]));
}

#[test]
fn what_a_body_cannot_do_once_for_each_element() {
    let g = Graph::new();
    let (c, x) = (g.input("c", [3]), g.input("x", [5, 3]));
    let state = g.state("mean", [3], DType::F32, Init::Constant(0.0));
    let rest = ", which would be done once for all elements";
    let outside = "do it outside and use the result inside";
    refused(&g, &format!("scan: the body updates a state{rest}; {outside}"), || {
        g.scan(&[c], &[x], |c, _| {
            g.update(state, state + 1.0);
            (c.to_vec(), vec![])
        })
        .map(|of| of.carries)
    });
    assert_eq!(g.updates(), []);
    let counted = "carry a counter and pass it as the step, or draw outside and take the numbers as a sequence";
    let draws = "scan: the body draws random numbers without a seed and a step of its own";
    refused(&g, &format!("{draws}{rest}; {counted}"), || {
        g.scan(&[c], &[x], |c, _| (vec![c[0].dropout_in(Phase::Training, 0.5)], vec![])).map(|of| of.carries)
    });
}

#[test]
fn bodies_that_rewind_the_graph_to_before_the_loop() {
    let g = Graph::new();
    let (c, start) = (g.input("c", [3]), g.mark());
    let one = ScanOptions { length: Some(3), ..ScanOptions::default() };
    // The graph is then what the body has made of it.
    let bodies: [fn(&Graph); 2] = [
        |_| {},
        |g| {
            // As many nodes as there were, of which more are declared.
            let _declared = [g.input("y", [7]), g.input("z", [8])];
        },
    ];
    for body in bodies {
        let x = c.exp();
        let _y = x.exp();
        let line = line!() + 1;
        let error = g.scan_with(one, &[], &[], |_, _| {
            g.rewind(start).unwrap();
            body(&g);
            (vec![], vec![])
        });
        let error = error.map(drop).unwrap_err();
        assert!(matches!(error, GraphError::StaleMark { op: "scan", .. }), "{error}");
        assert!(error.to_string().contains(&format!("messages_loops.rs:{line}: ")), "{error}");
        assert_eq!((g.check(), verify(&g)), (Ok(()), Ok(())));
        assert!(x.id().is_err());
        assert!(g.declarations().iter().all(|one| g.declaration_named(&one.name).is_some()));
    }
    // Within the loop a body may try something and rewind it.
    g.rewind(start).unwrap();
    let kept = g.scan_with(one, &[c], &[], |c, _| {
        let mark = g.mark();
        let _tried = c[0].exp();
        g.rewind(mark).unwrap();
        (vec![c[0] * 2.0], vec![])
    });
    assert_eq!(kept.unwrap().carries[0].shape().unwrap().dims(), [3]);
    // What the loop is made of may be rewound away by its own body, or removed.
    let before = (g.len(), g.to_string());
    let error = g.scan_with(one, &[c], &[], |c, _| {
        g.remove(c[0].id().unwrap()).unwrap();
        (vec![c[0]], vec![])
    });
    let error = error.map(drop).unwrap_err();
    assert!(matches!(error, GraphError::StaleNode { op: "scan", .. }), "{error}");
    assert_eq!((g.len(), g.to_string()), before);
}

/// A layer in a loop's body whose result depends on a carry is part of the body, and what is computed once in it part of no other layer.
#[test]
fn parts_of_layers_in_bodies_belong_to_no_other_layer() {
    let g = Graph::new();
    let (x, memory) = (g.input("x", [2, 3]), g.input("memory", [2, 3]));
    let encoded = Linear::new("encoder", 3, 3).apply(x);
    let scanned = g
        .scan_with(ScanOptions { length: Some(2), ..ScanOptions::default() }, &[encoded], &[], |c, _| {
            let attended = g.layer("Attend", "attend", c[0], || c[0] + Linear::new("attend.key", 3, 3).apply(memory));
            (vec![attended], vec![])
        })
        .unwrap();
    let _ = scanned.carries[0];
    let layers: Vec<(String, usize)> = g.layers().into_iter().map(|layer| (layer.name, layer.depth)).collect();
    assert_eq!(layers, [("encoder".to_owned(), 0), ("attend.key".to_owned(), 0)]);
}
