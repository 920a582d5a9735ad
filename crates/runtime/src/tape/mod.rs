//! Define-by-run: operators on [`Variable`]s record nodes in the arena of a [`Tape`] as the program runs, and `backward`
//! differentiates what was recorded.
//!
//! Recording is lazy: an operator appends a node and computes nothing. Values are computed when [`Variable::data`] or
//! [`Variable::backward`] ask for them, by a plan like any other; plans are kept by the structure of what they compute, so a
//! loop that records the same operations again plans once. The arena is given back as variables are dropped: its size
//! follows what is alive, not how long the program runs.
//!
//! Invariants: a variable that is alive keeps everything that its value and its gradient need; a leaf's value never changes
//! under what was recorded from it ([`Variable::set_data`] gives the leaf a new place in the graph); once a graph is
//! released, nothing is recorded on top of it: a variable of it that is used again is evaluated first and starts anew; a
//! refused operation leaves nothing in the arena, and its error with what comes from it; functions that a caller passes may
//! add operations to the arena and share parameters by name with the tape, and nothing else, for inputs without a value and nodes
//! that vanish would break the rest.
//!
//! - `record`: variables' records, and the places of values in the arena. `records`: lists of them.
//! - `run`: plans by structure, and running them.
//! - `parameters`: leaves by name, for layers.
//! - `kept`: values that are kept at nodes, so that nothing long is computed twice.
//! - `value`: values on the host, the device, or both. `store`: what stays on the device, and the plans that compute with it.
//! - `backward`: gradients of a variable, accumulated.
//! - `step`: what backward passes left to compute, and an optimiser's update of it, as one plan.
//! - [`Variable`] and its operators: what a user writes; `methods` makes most of them from lists.
//! - [`GradientTape`]: the same recording, asked for gradients as TensorFlow's tape is.
//! - [`TapeOptimizer`]: the optimisers of [`crate::train`] for a tape's leaves.
//!
//! A tape belongs to one thread. It knows no op: what a variable can do, [`Expr`] does.

mod backward;
mod gradient_tape;
mod kept;
mod methods;
mod multi_function;
mod operators;
mod optimizer;
mod parameters;
mod record;
mod records;
mod run;
mod step;
mod store;
mod value;
mod variable;

pub use gradient_tape::GradientTape;
pub use optimizer::TapeOptimizer;
pub use variable::{LeafValue, Variable};

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::{Rc, Weak};

use arenagrad_graph::symbolic::Formula;
use arenagrad_graph::{Arrangement, Expr, Function, Graph, GraphError, Lender, Node, NodeId, Op, Origin, OwnedGraph};

use crate::device::Device;
use crate::error::Error;
use kept::Known;
use parameters::{Asked, Parameters, TapeLender};
use record::{Place, Record, Slots};
use records::Records;
use run::Plans;
use step::Pass;
use store::Store;
use variable::Recorded;

/// A recording of operations on [`Variable`]s, on one device.
///
/// ```
/// use arenagrad::{Device, Tape};
///
/// let tape = Tape::new(Device::cpu());
/// let (a, b) = (tape.leaf(1.0).requires_grad(), tape.leaf(2.0).requires_grad());
/// let c = &a + &b;
/// let d = &c + &a;
/// d.backward()?;
/// assert_eq!((a.grad()?.item()?, b.grad()?.item()?), (2.0, 1.0));
/// assert!(d.backward().is_err()); // the graph was released; backward_retained keeps it
/// # Ok::<(), arenagrad::Error>(())
/// ```
///
/// Cloning is cheap: clones are the same tape. A tape and its variables stay on the thread that made them (neither is `Send`);
/// what goes to others is their values.
#[derive(Clone)]
pub struct Tape {
    inner: Rc<Inner>,
}

/// What the variables of a tape share.
pub(crate) struct Inner {
    graph: OwnedGraph,
    device: Device,
    /// Whether what is recorded now can be differentiated.
    recording: Cell<bool>,
    /// Whether an operation is being recorded.
    building: Cell<bool>,
    records: RefCell<Records>,
    slots: RefCell<Slots>,
    plans: RefCell<Plans>,
    /// What is on the device between runs.
    store: Rc<Store>,
    /// Whether backward passes may wait to be computed, and those that do.
    waits: Cell<bool>,
    waiting: RefCell<Vec<Pass>>,
    /// Nodes that no step computes: they could not be, and no gradient that was wanted needed them.
    left_out: RefCell<HashSet<NodeId>>,
    /// How many optimisers were made.
    optimizers: Cell<u64>,
    /// The values that are known of nodes that gradients flow through.
    known: RefCell<Known>,
    /// The nodes that a backward pass went through and released.
    released: RefCell<HashSet<NodeId>>,
    /// What layers have asked for.
    parameters: RefCell<Parameters>,
    /// What the operations that are being built have asked for, the outermost first.
    asked: RefCell<Vec<Asked>>,
    lender: Rc<dyn Lender>,
    /// Why what an operation asked for could not be had.
    failed: RefCell<Option<Error>>,
    /// The variables without floats that were asked for gradients, which they cannot have, and where, with some that have died.
    without_floats: RefCell<Vec<(Weak<Record>, Origin)>>,
    /// How many backward passes have released their graphs.
    epoch: Cell<u64>,
    /// How many nodes the arena may have before what nobody needs is removed.
    sweep_at: Cell<usize>,
    /// How many nodes were computed since then: what they were computed from may be needed no longer.
    computed: Cell<usize>,
    /// How many were computed since what others need of a run was last looked for.
    unlooked: Cell<usize>,
    /// How much memory the values take that are kept at nodes, and how much they may.
    kept_bytes: Cell<usize>,
    sweep_at_bytes: Cell<usize>,
}

impl Tape {
    /// An empty tape whose values are computed on `device`.
    pub fn new(device: Device) -> Tape {
        Tape {
            inner: Rc::new_cyclic(|tape| Inner {
                graph: OwnedGraph::new("a tape"),
                store: Rc::new(Store::new(&device)),
                device,
                waits: Cell::new(false),
                waiting: RefCell::default(),
                left_out: RefCell::default(),
                optimizers: Cell::new(0),
                recording: Cell::new(true),
                building: Cell::new(false),
                records: RefCell::default(),
                slots: RefCell::default(),
                plans: RefCell::default(),
                known: RefCell::default(),
                released: RefCell::default(),
                parameters: RefCell::default(),
                asked: RefCell::default(),
                lender: Rc::new(TapeLender { tape: tape.clone() }),
                failed: RefCell::default(),
                without_floats: RefCell::default(),
                epoch: Cell::new(0),
                sweep_at: Cell::new(run::LEAST_SWEEP),
                computed: Cell::new(0),
                unlooked: Cell::new(0),
                kept_bytes: Cell::new(0),
                sweep_at_bytes: Cell::new(run::LEAST_SWEEP_BYTES),
            }),
        }
    }

    /// A variable that no operation made: a number (an f32 scalar; i32 for an integer), an array, vector or slice of numbers, of the same
    /// dtypes, or a [`crate::Tensor`] of any dtype, whose elements are widened to it if they are narrower. f64 comes as a tensor.
    /// Gradients flow to it after [`Variable::requires_grad`].
    #[track_caller]
    pub fn leaf(&self, value: impl LeafValue) -> Variable {
        let value = value.into_tensor().into_native();
        Variable::of(&self.inner, Record::leaf(&self.inner, value, false, Origin::here()))
    }

    /// Records an operation of your own: what `build` makes of the operands' expressions. Everything that [`Expr`] can do can
    /// be recorded so, layers and networks among it; `name` is what [`Variable::grad_fn`] says of the result. In the tape's graph,
    /// [`Expr::graph`], parameters and states are shared by name with the tape, which keeps them ([`Tape::parameters`]); what is
    /// declared otherwise, or removed, poisons the result with [`GraphError::Owned`].
    ///
    /// ```
    /// use arenagrad::{Device, Tape, Tensor};
    ///
    /// let tape = Tape::new(Device::cpu());
    /// let x = tape.leaf(Tensor::new([3], vec![1.0f32, 2.0, 3.0])?);
    /// let spread = tape.record("spread", &[&x], |x| x[0].max(..) - x[0].min(..));
    /// assert_eq!(spread.item()?, 2.0);
    /// # Ok::<(), arenagrad::Error>(())
    /// ```
    #[track_caller]
    pub fn record(
        &self,
        name: &'static str,
        operands: &[&Variable],
        build: impl for<'g> FnOnce(&[Expr<'g>]) -> Expr<'g>,
    ) -> Variable {
        self.recorded(name, operands, Origin::here(), |operands| Ok(build(operands)))
    }

    /// [`Tape::record`] with a `build` that may fail: for what gives a `Result`, such as a loop, parts, or derivatives. What it returns poisons
    /// the result, unless an operator was wrong before, and nothing that it recorded or asked for is kept.
    ///
    /// ```
    /// use arenagrad::{Device, Tape, Tensor};
    ///
    /// let tape = Tape::new(Device::cpu());
    /// let x = tape.leaf([1.0, 2.0, 4.0]).requires_grad();
    /// let gated = tape.try_record("gated", &[&x], |x| {
    ///     let parts = x[0].split_sizes([1, 2], 0)?;
    ///     Ok(parts[0] * parts[1])
    /// });
    /// gated.sum(..).backward()?;
    /// assert_eq!(x.grad()?, Tensor::from([6.0f32, 1.0, 1.0]));
    /// # Ok::<(), arenagrad::Error>(())
    /// ```
    #[track_caller]
    pub fn try_record(
        &self,
        name: &'static str,
        operands: &[&Variable],
        build: impl for<'g> FnOnce(&[Expr<'g>]) -> Result<Expr<'g>, Error>,
    ) -> Variable {
        self.recorded(name, operands, Origin::here(), build)
    }

    /// Records an operation of the caller's own, by whose name errors call the result.
    fn recorded(
        &self,
        name: &'static str,
        operands: &[&Variable],
        origin: Origin,
        build: impl for<'g> FnOnce(&[Expr<'g>]) -> Result<Expr<'g>, Error>,
    ) -> Variable {
        let recorded = self.inner.record(name, operands, origin, |_, operands| build(operands));
        if let Some(node) = recorded.record.node() {
            self.inner.graph.call_result(node, name);
        }
        Variable::new(recorded)
    }

    /// A function with a gradient of its own, of variables: see [`Function`].
    #[track_caller]
    pub fn apply(&self, function: &dyn Function, operands: &[&Variable]) -> Variable {
        let origin = Origin::here();
        Variable::new(
            self.inner.record(function.name(), operands, origin, |graph, operands| Ok(graph.apply(function, operands))),
        )
    }

    /// A formula of variables, elementwise with broadcasting: an operator of your own from one expression, with every
    /// derivative. See [`Formula::apply`].
    ///
    /// ```
    /// use arenagrad::{Device, Tape, parse};
    ///
    /// let swish = parse("x*sigmoid(beta*x)").unwrap();
    /// let tape = Tape::new(Device::cpu());
    /// let (x, beta) = (tape.leaf(0.0).requires_grad(), tape.leaf(2.0).requires_grad());
    /// let y = tape.apply_formula("swish", &swish, &[("x", &x), ("beta", &beta)]);
    /// y.backward()?;
    /// assert_eq!((x.grad()?.item()?, beta.grad()?.item()?), (0.5, 0.0));
    /// # Ok::<(), arenagrad::Error>(())
    /// ```
    #[track_caller]
    pub fn apply_formula(&self, name: &'static str, formula: &Formula, arguments: &[(&str, &Variable)]) -> Variable {
        let origin = Origin::here();
        let operands: Vec<&Variable> = arguments.iter().map(|(_, variable)| *variable).collect();
        Variable::new(self.inner.record(name, &operands, origin, |graph, operands| {
            let names = arguments.iter().map(|(name, _)| *name);
            let arguments: Vec<(&str, Expr<'_>)> = names.zip(operands.iter().copied()).collect();
            Ok(formula.apply(graph, &arguments)?)
        }))
    }

    /// Runs `body`, in which results require no gradient: for updates of parameters, and for evaluation.
    pub fn no_grad<T>(&self, body: impl FnOnce() -> T) -> T {
        let _restored = Restored { cell: &self.inner.recording, before: self.inner.recording.replace(false) };
        body()
    }

    /// The gradients of `output`, one element, with respect to each of `wrt`, as variables: recorded like any other
    /// operation, so that they can be differentiated again. `None` for one that `output` does not depend on, or that
    /// requires no gradient. Nothing is accumulated, and no graph is released. (PyTorch's `autograd.grad` with
    /// `create_graph`.)
    ///
    /// Errors: `output` requires no gradient, has several elements, or its graph was released.
    #[track_caller]
    pub fn gradients(&self, output: &Variable, wrt: &[&Variable]) -> Result<Vec<Option<Variable>>, Error> {
        backward::gradients(&self.inner, output, None, wrt, Origin::here())
    }

    /// As [`Tape::gradients`], of an output of any shape: the gradients of `sum of upstream * output`.
    #[track_caller]
    pub fn gradients_with(
        &self,
        output: &Variable,
        upstream: &Variable,
        wrt: &[&Variable],
    ) -> Result<Vec<Option<Variable>>, Error> {
        backward::gradients(&self.inner, output, Some(upstream), wrt, Origin::here())
    }

    /// The Jacobian of `output`, of shape `[a..]`, with respect to `input`, of shape `[b..]`: a variable of shape
    /// `[a.., b..]`, recorded like any other operation. Zeros if `output` does not depend on `input`. See
    /// [`arenagrad_graph::Expr::jacobian`].
    ///
    /// Errors, kept in the result: one of the two requires no gradient, or the graph of `output` was released.
    #[track_caller]
    pub fn jacobian(&self, output: &Variable, input: &Variable) -> Variable {
        Variable::of(&self.inner, backward::jacobian(&self.inner, output, input, Origin::here()))
    }

    /// Clears the gradients of all variables of this tape.
    pub fn zero_grad(&self) {
        self.inner.records.borrow_mut().clear_gradients();
    }

    /// The device that values are computed on.
    pub fn device(&self) -> &Device {
        &self.inner.device
    }

    /// How many nodes the arena holds now: what living variables need, and what has not been given back yet.
    pub fn len(&self) -> usize {
        self.inner.graph.len()
    }

    /// Whether nothing is recorded.
    pub fn is_empty(&self) -> bool {
        self.inner.graph.is_empty()
    }

    /// How many plans the tape keeps: one for each structure that was computed lately.
    pub fn plans(&self) -> usize {
        self.inner.plans.borrow().len() + self.inner.store.plans()
    }
}

/// Puts a flag back, also when a panic passes.
struct Restored<'a> {
    cell: &'a Cell<bool>,
    before: bool,
}

impl Drop for Restored<'_> {
    fn drop(&mut self) {
        self.cell.set(self.before);
    }
}

/// What makes an operation's node of its operands.
type Build<'a> = dyn for<'g> FnMut(&'g Graph, &[Expr<'g>]) -> Result<Expr<'g>, Error> + 'a;

impl Inner {
    /// Records what `build` makes of the operands. A mistake poisons the result alone: the tape is what it was before.
    fn record(
        self: &Rc<Self>,
        name: &'static str,
        operands: &[&Variable],
        origin: Origin,
        build: impl for<'g> FnOnce(&'g Graph, &[Expr<'g>]) -> Result<Expr<'g>, Error>,
    ) -> Recorded {
        // The rest is compiled once, not for each of a hundred operations.
        let mut build = Some(build);
        self.record_with(name, operands, origin, &mut |graph, operands| match build.take() {
            Some(build) => build(graph, operands),
            None => panic!("an operation is built once"),
        })
    }

    /// One more result of what was recorded last, without a gradient.
    fn record_beside(self: &Rc<Self>, node: NodeId, name: &'static str, origin: Origin) -> Recorded {
        Recorded { tape: self.clone(), record: Record::result(self, Place::of(Ok(node)), false, name, origin) }
    }

    fn record_with(
        self: &Rc<Self>,
        name: &'static str,
        operands: &[&Variable],
        origin: Origin,
        build: &mut Build<'_>,
    ) -> Recorded {
        let of_operands = operands.iter().any(|operand| operand.record().requires_grad());
        let requires_grad = Cell::new(of_operands);
        let (node, asked) = self.build(name, operands, origin, |graph, operands| {
            let result = build(graph, operands)?;
            let of_asked = |asked: &Asked| asked.records.iter().any(|record| record.requires_grad());
            requires_grad.set(of_operands || self.asked.borrow().last().is_some_and(of_asked));
            // What is made without recording depends on variables that have gradients, but passes none on.
            Ok(if requires_grad.get() && !self.recording.get() { result.stop_gradient() } else { result })
        });
        let needs = requires_grad.get() && self.recording.get();
        let is_float = matches!(&node, Ok(id) if self.graph.node(*id).is_ok_and(|node| node.dtype.is_float()));
        if node.is_ok() {
            operands.iter().for_each(|operand| operand.record().count_consumer());
            asked.records.iter().for_each(|record| record.count_consumer());
        }
        let record = Record::result(self, Place::of(node), needs && is_float, name, origin);
        Recorded { tape: self.clone(), record }
    }

    fn build(
        self: &Rc<Self>,
        name: &'static str,
        operands: &[&Variable],
        origin: Origin,
        build: impl for<'g> FnOnce(&'g Graph, &[Expr<'g>]) -> Result<Expr<'g>, Error>,
    ) -> (Result<NodeId, Error>, Asked) {
        /// Forgets what was asked for, also when a panic passes.
        struct Asking<'a>(&'a Inner);
        impl Drop for Asking<'_> {
            fn drop(&mut self) {
                let asked = self.0.asked.borrow_mut().pop();
                if let (Some(asked), true) = (asked, std::thread::panicking()) {
                    self.0.forget_made(&asked);
                }
            }
        }
        self.asked.borrow_mut().push(Asked::default());
        let asking = Asking(self);
        let (built, updates) =
            self.graph.lending(self.lender.clone(), || self.build_lent(name, operands, origin, build));
        let asked = self.asked.borrow_mut().last_mut().map(std::mem::take).unwrap_or_default();
        drop(asking);
        let failed = self.failed.borrow_mut().take();
        let result = match (built, failed) {
            (Err(_), Some(failed)) => Err(failed),
            (built, _) => built,
        };
        let result = result.and_then(|node| self.apply_updates(&asked, &updates, origin).map(|()| node));
        match &result {
            // A refused operation around this one must not take it back.
            Ok(_) => {
                self.graph.claim();
                self.keep_made(&asked);
            }
            Err(_) => self.forget_made(&asked),
        }
        (result, asked)
    }

    fn build_lent(
        self: &Rc<Self>,
        name: &'static str,
        operands: &[&Variable],
        origin: Origin,
        build: impl for<'g> FnOnce(&'g Graph, &[Expr<'g>]) -> Result<Expr<'g>, Error>,
    ) -> Result<NodeId, Error> {
        if operands.iter().any(|operand| !Rc::ptr_eq(operand.tape_inner(), self)) {
            return Err(GraphError::ForeignNode { origin, op: name }.into());
        }
        self.sweep_if_grown();
        let _restored = Restored { cell: &self.building, before: self.building.replace(true) };
        self.settle(operands)?;
        let (nodes, placed) = self.place(operands, origin)?;
        let result = self.graph.attempt(|| {
            self.graph.at(origin, || -> Result<NodeId, Error> {
                let expressions: Vec<Expr<'_>> = nodes.iter().map(|node| self.graph.expr(*node)).collect();
                let result = self.graph.require(build(&self.graph, &expressions)?, name)?.id()?;
                let Node { shape, .. } = self.graph.node(result)?;
                if !nodes.contains(&result) {
                    return Ok(result);
                }
                // An operation that had nothing to do, such as a reshape to the same shape, is a variable of its own all the same.
                Ok(self.graph.insert(
                    Op::View { operand: result, arrangement: Arrangement::Reshape },
                    Some(&shape),
                    None,
                    origin,
                )?)
            })
        });
        if result.is_err() {
            self.displace(&placed);
        }
        result
    }
}
