//! A formula: an arena and the node of its value.

use std::fmt;
use std::rc::Rc;

use crate::arena::Graph;
use crate::dtype::DType;
use crate::error::GraphError;
use crate::node::NodeId;
use crate::op::{Leaf, Op};
use crate::symbolic::{complete, latex, own, render, simplify, text};

/// A function of named scalars: an arena of f64 scalars, and the node of the value in it.
///
/// Every formula has an arena of its own, with the nodes that its value needs and no others, so a program that drops what it
/// made keeps nothing of it. Clones share the arena, and are cheap. [`crate::symbolic`] explains the text form, in which a
/// formula is read and printed.
///
/// ```
/// use arenagrad_graph::symbolic::parse;
///
/// let f = parse("tanh(a*x)/b")?;
/// assert_eq!(f.symbols(), ["a", "x", "b"]);
/// let slope = f.diff("x").simplify();
/// assert_eq!(slope.to_string(), "a*(1 - tanh(a*x)^2)/b");
/// # Ok::<(), arenagrad_graph::symbolic::ParseError>(())
/// ```
///
/// A formula stays on the thread that made it (it is not `Send`); its text goes anywhere.
#[derive(Clone)]
#[must_use = "formulas never change: every method returns another"]
pub struct Formula {
    graph: Rc<Graph>,
    /// None once the arena was full, which four thousand million nodes make it. Such a formula is undefined everywhere.
    output: Option<NodeId>,
}

impl Formula {
    /// The symbols that the value depends on, in the order in which the text named them first.
    pub fn symbols(&self) -> Vec<String> {
        let nodes = self.nodes();
        let arena = self.graph.arena();
        let symbols = nodes.iter().filter(|id| matches!(arena.nodes[id.key].op, Op::Leaf(Leaf::Input { .. })));
        symbols.filter_map(|id| arena.label(id.key).map(str::to_owned)).collect()
    }

    /// The symbols of the text and of everything made from it, whether the value depends on them or not.
    pub fn known_symbols(&self) -> Vec<String> {
        self.graph.arena().declarations.iter().map(|symbol| symbol.name.clone()).collect()
    }

    /// The derivative with respect to a symbol, by the engine's reverse mode and not simplified. A name that does not occur
    /// gives 0. A product is 0 where one of its factors is selected
    /// away, as in a text ([`crate::symbolic`]), so that the derivative has the value of what is printed of it; of a formula with hundreds of
    /// different steps this is left out.
    pub fn diff(&self, name: &str) -> Formula {
        let Some(output) = self.output else { return self.clone() };
        let derivative = || -> Result<Formula, GraphError> {
            let (graph, output) = own::extract(&self.graph, output)?;
            let symbol = {
                let arena = graph.arena();
                arena.names.get(name).map(|&number| arena.declarations[number as usize].node)
            };
            let derivative = match symbol {
                Some(symbol) => {
                    let [derivative] = graph.expr(output).grad([graph.expr(symbol)])?;
                    derivative
                }
                None => graph.zeros([], DType::F64),
            };
            let (graph, output) = own::extract(&graph, derivative.id()?)?;
            let (graph, output) = complete::complete(graph, output)?;
            Ok(Formula::new(Rc::new(graph), Some(output)))
        };
        derivative().unwrap_or_else(|_| Formula::new(Rc::clone(&self.graph), None))
    }

    /// What a person would write for the same function.
    ///
    /// The value is that of this formula wherever this has one, up to rounding: also at kinks and on both sides of them, and at
    /// the edges of a power's derivative. It may have a value where this has none, as `x/x` becomes 1; a formula with a part
    /// that has no value anywhere, as `0/0`, is left as it stands. This has a value where
    /// it is finite and every part is a number that the value is computed from; what a `step` of 0 selects away is no such part,
    /// but the conditions of steps are. An infinity on the way, as in `exp(-1/relu(x))`, counts where its sign is certain:
    /// `1/x` at 0 could be either. Where the value itself is infinite nothing is promised. Numbers are taken for what they
    /// say, so that `sin(pi)` is 0, and for small enough: what is too large or too small for a float on the way, as `exp(1000)`,
    /// may be so in one form and not in another.
    ///
    /// ```
    /// use arenagrad_graph::symbolic::parse;
    ///
    /// let derivative = |text: &str| Ok::<_, arenagrad_graph::symbolic::ParseError>(parse(text)?.diff("x").simplify().to_string());
    /// assert_eq!(derivative("x/(1 + x)")?, "1/(x + 1)^2");
    /// assert_eq!(derivative("tan(x)")?, "tan(x)^2 + 1");
    /// assert_eq!(derivative("x^x")?, "x^x*(log(x) + 1)");
    /// # Ok::<(), arenagrad_graph::symbolic::ParseError>(())
    /// ```
    pub fn simplify(&self) -> Formula {
        let simplified = self.output.and_then(|output| simplify::simplify(&self.graph, output));
        simplified.map_or_else(|| self.clone(), |(graph, output)| Formula::new(Rc::new(graph), Some(output)))
    }

    /// The formula in LaTeX, to be set in mathematics mode. Greek letters are recognised by their names, and what follows an
    /// underscore, or digits at the end of a name, are set as an index.
    ///
    /// ```
    /// use arenagrad_graph::symbolic::parse;
    ///
    /// let f = parse("sqrt(x_1)/(2*exp(alpha))")?;
    /// assert_eq!(f.latex(), r"\frac{\sqrt{x_{1}}}{2 e^{\alpha}}");
    /// # Ok::<(), arenagrad_graph::symbolic::ParseError>(())
    /// ```
    pub fn latex(&self) -> String {
        let mut text = String::new();
        if let Some(output) = self.output
            && render::write(&mut text, &self.graph.arena(), output, latex::pieces).is_ok()
        {
            return text;
        }
        "\\text{undefined}".to_owned()
    }

    pub(super) fn new(graph: Rc<Graph>, output: Option<NodeId>) -> Self {
        Formula { graph, output }
    }

    pub(super) fn graph(&self) -> &Graph {
        &self.graph
    }

    pub(super) fn output(&self) -> Option<NodeId> {
        self.output
    }

    /// What the value is computed from, itself included, in insertion order.
    pub(super) fn nodes(&self) -> Vec<NodeId> {
        let outputs: Vec<NodeId> = self.output.into_iter().collect();
        self.graph.needed(&outputs).unwrap_or_default()
    }
}

impl fmt::Display for Formula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.output {
            Some(output) => render::write(f, &self.graph.arena(), output, text::pieces),
            None => f.write_str("undefined"),
        }
    }
}

impl fmt::Debug for Formula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
