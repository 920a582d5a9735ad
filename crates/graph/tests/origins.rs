//! Whatever is called with an expression that is stale or of another graph: the error names the caller's line, and the method that the
//! caller wrote.

use arenagrad_graph::nn::Summary;
use arenagrad_graph::symbolic::parse;
use arenagrad_graph::{
    Context, DType, Expr, Function, Graph, GraphError, GridOrder, Mark, NodeId, ScanOptions, passes, verify,
};

/// A call with something bad, and what it says.
type Call = for<'g> fn(&'g Graph, Expr<'g>, NodeId) -> Result<(), String>;

fn told<T, E: std::fmt::Display>(result: Result<T, E>) -> Result<(), String> {
    result.map(drop).map_err(|error| error.to_string())
}

/// What a method keeps in the graph.
fn kept(g: &Graph) -> Result<(), String> {
    told(g.take_error().map_or(Ok(()), Err))
}

/// A function whose passes give what they should not.
struct Wrong<'a> {
    forward: Option<Expr<'a>>,
    backward: Option<Expr<'a>>,
}

impl Function for Wrong<'static> {
    fn forward<'g>(&self, _: &mut Context<'g>, operands: &[Expr<'g>]) -> Expr<'g> {
        self.forward.unwrap_or(operands[0])
    }

    fn backward<'g>(&self, _: &Context<'g>, upstream: Expr<'g>) -> Vec<Option<Expr<'g>>> {
        vec![Some(self.backward.unwrap_or(upstream))]
    }
}

/// One that gives what has become stale.
struct Stale {
    in_backward: bool,
}

fn stale(x: Expr<'_>) -> Expr<'_> {
    let mark = x.graph().mark();
    let y = x.exp();
    x.graph().rewind(mark).unwrap();
    y
}

impl Function for Stale {
    fn forward<'g>(&self, _: &mut Context<'g>, operands: &[Expr<'g>]) -> Expr<'g> {
        if self.in_backward { operands[0] } else { stale(operands[0]) }
    }

    fn backward<'g>(&self, _: &Context<'g>, upstream: Expr<'g>) -> Vec<Option<Expr<'g>>> {
        vec![Some(stale(upstream))]
    }
}

/// Loops of one step over a carry.
const ONE: ScanOptions = ScanOptions { reverse: false, length: Some(1) };

#[test]
fn errors_name_the_caller_s_line_and_method() {
    let calls: Vec<(u32, &str, Call)> = vec![
        (line!(), "grad", |g, bad, _| told(g.input("y", []).grad([bad]))),
        (line!(), "vjp", |_, bad, _| told(bad.vjp(bad, [bad]))),
        (line!(), "jvp", |_, bad, _| told(bad.jvp([bad], [bad]))),
        (line!(), "jacobian", |_, bad, _| told(bad.jacobian(bad))),
        (line!(), "hessian", |_, bad, _| told(bad.hessian(bad))),
        (line!(), "gradients", |g, bad, _| told(g.gradients(&[bad], &[bad], &[bad]))),
        (line!(), "jacobians", |g, bad, _| told(g.jacobians(bad, &[bad], None))),
        (line!(), "scan", |g, bad, _| told(g.scan(&[bad], &[], |c, _| (c.to_vec(), vec![])))),
        (line!(), "scan", |g, bad, _| told(g.scan(&[], &[bad], |_, _| (vec![], vec![])))),
        (line!(), "scan", |g, bad, _| told(g.scan_with(ONE, &[g.scalar(1.0)], &[], |_, _| (vec![bad], vec![])))),
        (line!(), "scan", |g, bad, _| told(g.scan_with(ONE, &[], &[], |_, _| (vec![], vec![bad])))),
        (line!(), "apply", |g, bad, _| {
            told(g.attempt(|| g.apply(&Stale { in_backward: true }, &[bad]).check().map(drop)))
        }),
        (line!(), "meshgrid", |g, bad, _| told(g.meshgrid(&[bad], GridOrder::Xy))),
        (line!(), "apply", |g, bad, _| told(parse("a + 1").unwrap().apply(g, &[("a", bad)]))),
        (line!(), "Summary::of_graph", |g, bad, _| told(Summary::of_graph(g, &[bad]))),
        (line!(), "require", |g, bad, _| told(g.require(bad, "require"))),
        (line!(), "node", |g, _, id| told(g.node(id))),
        (line!(), "ordinal", |g, _, id| told(g.ordinal(id))),
        (line!(), "users", |g, _, id| told(g.users(id))),
        (line!(), "remove", |g, _, id| told(g.remove(id))),
        (line!(), "needed", |g, _, id| told(g.needed(&[id]))),
        (line!(), "differentiated", |g, _, id| told(g.differentiated(id, |_| true))),
        (line!(), "structure", |g, _, id| told(g.structure(&[id]).map(drop))),
        (line!(), "extract", |g, _, id| told(g.extract(&[id]).map(drop))),
        (line!(), "retain", |g, _, id| told(g.retain(&[id]))),
        (line!(), "optimise", |g, _, id| told(passes::optimise(g, &[id]))),
        (line!(), "simplify", |g, _, id| told(passes::simplify(g, &[id]))),
        (line!(), "cse", |g, _, id| told(passes::cse(g, &[id]))),
        (line!(), "dce", |g, _, id| told(passes::dce(g, &[id]))),
        (line!(), "widen", |g, _, id| told(passes::widen(g, &[id]))),
        (line!(), "expr", |g, _, id| {
            let _poisoned = g.expr(id);
            kept(g)
        }),
    ];
    let of_stale: Vec<(u32, &str, Call)> = vec![
        (line!(), "grad", |_, bad, _| told(bad.grad([bad]))),
        (line!(), "id", |_, bad, _| told(bad.id())),
        (line!(), "check", |_, bad, _| told(bad.check())),
        (line!(), "shape", |_, bad, _| told(bad.shape())),
        (line!(), "dtype", |_, bad, _| told(bad.dtype())),
        (line!(), "split", |_, bad, _| told(bad.split(1, 0))),
        (line!(), "tensor_split", |_, bad, _| told(bad.tensor_split(1, 0))),
        (line!(), "layer", |g, bad, _| {
            let _poisoned = g.layer("K", "n", bad, || bad);
            kept(g)
        }),
        (line!(), "Summary::of", |_, _, _| told(Summary::of(|g| stale(g.input("x", []))))),
    ];
    let g = Graph::new();
    let other = Graph::new();
    let foreign = other.input("x", [3]);
    let mark: Mark = g.mark();
    let gone = g.input("x", [3]);
    let gone_id = gone.id().unwrap();
    g.rewind(mark).unwrap();
    let refused = |line: u32, name: &str, call: Call, bad, id, what: &str| {
        let start = g.mark();
        let error = call(&g, bad, id).expect_err(name);
        // The formatter may put a call on a line after that of its number.
        let places = (line..line + 4).map(|line| format!("{}:{line}: {name}: a node {what}", file!()));
        assert!(places.into_iter().any(|place| place == error), "line {line}, {name}: {error}");
        g.rewind(start).unwrap();
        assert_eq!((g.check(), verify(&g), g.layers().len()), (Ok(()), Ok(()), 0), "{name}");
        other.take_error();
    };
    let of_itself = ["vjp", "jvp", "jacobian", "hessian"];
    let is_stale =
        "is stale: it was removed or rewound away after its id was taken, or stood in the body of a loop that is done";
    for (line, name, call) in calls {
        refused(line, name, call, gone, gone_id, is_stale);
        // What asks the expression for its graph takes it for the graph.
        if !of_itself.contains(&name) {
            refused(line, name, call, foreign, foreign.id().unwrap(), "belongs to another graph, or to another tape");
        }
    }
    for (line, name, call) in of_stale {
        refused(line, name, call, gone, gone_id, is_stale);
    }
}

#[test]
fn what_a_function_gives_of_another_graph_is_told_at_its_application() {
    let foreign: Expr<'static> = Box::leak(Box::new(Graph::new())).input("z", [3]);
    let g = Graph::new();
    let x = g.input("x", [3]);
    let applied: [(u32, &dyn Function); 4] = [
        (line!(), &Wrong { forward: Some(foreign), backward: None }),
        (line!(), &Wrong { forward: None, backward: Some(foreign) }),
        (line!(), &Stale { in_backward: false }),
        (line!(), &Stale { in_backward: true }),
    ];
    for (_, function) in applied {
        let line = line!() + 1;
        let error = g.attempt(|| g.apply(function, &[x]).check().map(drop)).unwrap_err();
        assert!(matches!(error, GraphError::ForeignNode { .. } | GraphError::StaleNode { .. }), "{error}");
        assert!(error.to_string().starts_with(&format!("{}:{line}: apply: ", file!())), "{error}");
    }
    assert_eq!((g.len(), g.check(), verify(&g)), (1, Ok(()), Ok(())));
    assert_eq!(x.dtype(), Ok(DType::F32));
}
