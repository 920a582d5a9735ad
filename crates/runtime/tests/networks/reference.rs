//! What a public implementation of a network computed in PyTorch, in a file of `data`, and whether a network of this crate
//! computes the same.
//!
//! A file has parameters, inputs and running statistics as f32 (labels as i32), and what came out of one training step in f64:
//!
//! | tensor | what it is |
//! | --- | --- |
//! | `parameter.KEY`, `buffer.KEY` | parameters and running statistics before the step, under the implementation's keys |
//! | `input.KEY` | inputs and labels |
//! | `output.KEY` | `output.loss` and other results |
//! | `gradient.KEY` | the gradient of the loss with respect to each parameter |
//! | `buffer_after.KEY` | running statistics after the step |
//!
//! A test says how the network is built from the inputs, and holds it against the file:
//!
//! ```ignore
//! #[test]
//! fn the_classifier_equals_its_implementation() {
//!     Reference::open("classifier").assert_equal(|inputs| {
//!         let (x, labels) = (inputs.get("x"), inputs.get("labels")); // f64 or f32, as the run needs; labels i32
//!         let logits = network(x, Phase::Training);                  // declares `KEY` for each `parameter.KEY` and `buffer.KEY`
//!         Outputs::of_loss(logits.cross_entropy(labels)).with("logits", logits)
//!     });
//! }
//! ```
//!
//! It is built and run on the CPU in f64 and f32, and on the adapter in f32 if there is one. The parameters that the network declares
//! must be those of the file, neither more nor fewer. What the running statistics become is what the graph's updates say. `exact_to`
//! loosens f64 for a file that was not computed in f64 throughout.

use std::collections::{BTreeMap, BTreeSet};

use arenagrad::{DType, Device, Elements, Expr, Graph, Session, Tensor};
use arenagrad_graph::{Declaration, DeclarationKind};
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;

use crate::suite::devices::gpu;

/// In f32, the loss agrees to this share of itself.
const LOSS_IN_F32: f64 = 1e-5;
/// In f32, every tensor agrees to this share of its own largest element.
const TENSORS_IN_F32: f64 = 2e-5;
/// In f64, both agree to this share.
const IN_F64: f64 = 1e-9;
/// A gradient whose largest element is below this share of the largest of all is 0 but for rounding (such as that of a bias that a
/// normalisation takes away again), and is held to a tenth of the tolerance of the largest of all.
const VANISHING: f64 = 1e-6;

/// The tensors of a file.
pub(super) struct Reference {
    tensors: BTreeMap<String, Tensor>,
    in_f64: f64,
}

/// The inputs of a network that is being built.
pub(super) struct Inputs<'g, 'r> {
    graph: &'g Graph,
    dtype: DType,
    reference: &'r Reference,
}

/// What a network gives.
pub(super) struct Outputs<'g> {
    loss: Expr<'g>,
    others: Vec<(&'static str, Expr<'g>)>,
}

impl Reference {
    /// The file `data/NAME.safetensors`.
    pub(super) fn open(name: &str) -> Reference {
        let path = format!("{}/tests/networks/data/{name}.safetensors", env!("CARGO_MANIFEST_DIR"));
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let file = SafeTensors::deserialize(&bytes).unwrap_or_else(|error| panic!("{path}: {error}"));
        let tensors = file.tensors().into_iter().map(|(name, view)| {
            let dtype = view.dtype();
            let elements = if dtype == Dtype::F64 {
                Elements::from(numbers(view.data(), f64::from_le_bytes))
            } else if dtype == Dtype::F32 {
                Elements::from(numbers(view.data(), f32::from_le_bytes))
            } else {
                assert_eq!(dtype, Dtype::I32, "{path}: {name}");
                Elements::from(numbers(view.data(), i32::from_le_bytes))
            };
            let tensor =
                Tensor::from_data(view.shape().to_vec().into(), elements).expect("as many elements as the shape has");
            (name, tensor)
        });
        Reference { tensors: tensors.collect(), in_f64: IN_F64 }
    }

    /// With another tolerance in f64, for a file whose implementation computed parts of it in f32.
    pub(super) fn exact_to(self, in_f64: f64) -> Reference {
        Reference { in_f64, ..self }
    }

    /// The tensor of that whole name, such as `input.x`.
    pub(super) fn tensor(&self, name: &str) -> &Tensor {
        self.tensors.get(name).unwrap_or_else(|| panic!("the file has no {name}"))
    }

    /// Builds the network for each dtype and device, and holds what it gives against the file.
    pub(super) fn assert_equal(&self, build: impl for<'g> Fn(&Inputs<'g, '_>) -> Outputs<'g>) {
        self.assert_equal_on(&Device::cpu(), DType::F64, &build);
        self.assert_equal_on(&Device::cpu(), DType::F32, &build);
        if let Some(gpu) = gpu() {
            self.assert_equal_on(&gpu, DType::F32, &build);
        }
    }

    fn assert_equal_on(&self, device: &Device, dtype: DType, build: &impl for<'g> Fn(&Inputs<'g, '_>) -> Outputs<'g>) {
        let graph = Graph::new();
        let outputs = build(&Inputs { graph: &graph, dtype, reference: self });
        graph.check().unwrap_or_else(|error| panic!("{error}"));
        let declarations = graph.declarations();
        let trained: Vec<&Declaration> = declarations.iter().filter(|declaration| is_trained(declaration)).collect();
        let names: Vec<String> = trained.iter().map(|declaration| declaration.name.clone()).collect();
        self.assert_names("parameter.", &names);

        let expr = |declaration: &Declaration| graph.expr(declaration.node);
        let parameters: Vec<Expr<'_>> = trained.iter().map(|declaration| expr(declaration)).collect();
        let one = graph.ones(outputs.loss.shape().expect("a loss"), dtype);
        let gradients = graph.gradients(&[outputs.loss], &[one], &parameters).expect("gradients");
        let updates = graph.updates();
        let updated: Vec<(String, Expr<'_>)> = updates
            .iter()
            .map(|(state, next)| {
                let declaration = declarations.iter().find(|declaration| declaration.node == *state).expect("a state");
                (declaration.name.clone(), graph.expr(*next))
            })
            .collect();

        let mut wanted = vec![("output.loss".to_owned(), outputs.loss)];
        wanted.extend(outputs.others.iter().map(|(name, output)| (format!("output.{name}"), *output)));
        wanted.extend(names.iter().map(|name| format!("gradient.{name}")).zip(gradients));
        let counted = |name: &str| name.ends_with("num_batches_tracked");
        let statistics = updated.iter().filter(|(name, _)| !counted(name));
        self.assert_names("buffer_after.", &statistics.clone().map(|(name, _)| name.clone()).collect::<Vec<_>>());
        wanted.extend(statistics.map(|(name, next)| (format!("buffer_after.{name}"), *next)));

        let results = self.run(&graph, &wanted.iter().map(|(_, output)| *output).collect::<Vec<_>>(), device, dtype);
        let gradients = self.tensors.iter().filter(|(name, _)| name.starts_with("gradient."));
        let largest_of_all = gradients.map(|(_, gradient)| largest(&gradient.to_f64_vec())).fold(0.0, f64::max);
        for ((name, _), result) in wanted.iter().zip(&results) {
            let expected = self.tensor(name).to_f64_vec();
            assert_eq!(result.shape(), self.tensor(name).shape(), "{name}");
            let tensors = if dtype == DType::F64 { self.in_f64 } else { TENSORS_IN_F32 };
            let own = largest(&expected);
            let bound = if name == "output.loss" {
                own * if dtype == DType::F64 { self.in_f64 } else { LOSS_IN_F32 }
            } else if name.starts_with("gradient.") && own < VANISHING * largest_of_all {
                tensors / 10.0 * largest_of_all
            } else {
                tensors * own
            };
            for (place, (found, expected)) in result.to_f64_vec().iter().zip(&expected).enumerate() {
                let error = (found - expected).abs();
                assert!(
                    error <= bound,
                    "{device}, {dtype}: {name}, element {place}: {found}, but {expected} is expected: {error:.1e} from it, more than {bound:.1e}"
                );
            }
        }
    }

    /// The outputs, with the parameters, running statistics and inputs of the file.
    fn run(&self, graph: &Graph, outputs: &[Expr<'_>], device: &Device, dtype: DType) -> Vec<Tensor> {
        let mut session = Session::evaluate(graph, outputs, device).unwrap_or_else(|error| panic!("{device}: {error}"));
        let names: Vec<String> = session.parameter_names().map(str::to_owned).collect();
        for name in names {
            let given = ["parameter", "buffer"].iter().find_map(|kind| self.tensors.get(&format!("{kind}.{name}")));
            if let Some(tensor) = given {
                session.set_parameter(&name, &tensor.cast(dtype)).unwrap_or_else(|error| panic!("{name}: {error}"));
            }
        }
        let inputs: Vec<(String, Tensor)> = graph
            .declarations()
            .into_iter()
            .filter(|declaration| matches!(declaration.kind, DeclarationKind::Input))
            .map(|input| (input.name.clone(), self.tensor(&format!("input.{}", input.name)).cast(input.dtype)))
            .collect();
        let inputs: Vec<(&str, &Tensor)> = inputs.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        session.run(&inputs).unwrap_or_else(|error| panic!("{device}: {error}"))
    }

    /// Fails unless the file has these tensors and no others that begin so.
    fn assert_names(&self, prefix: &str, found: &[String]) {
        let expected: BTreeSet<&str> = self.tensors.keys().filter_map(|name| name.strip_prefix(prefix)).collect();
        let found: BTreeSet<&str> = found.iter().map(String::as_str).collect();
        let missing: Vec<_> = expected.difference(&found).collect();
        let beside: Vec<_> = found.difference(&expected).collect();
        assert!(
            missing.is_empty() && beside.is_empty(),
            "{prefix}*: the network lacks {missing:?} and has {beside:?} beside"
        );
    }
}

impl<'g> Inputs<'g, '_> {
    /// The graph in which the network is built.
    pub(super) fn graph(&self) -> &'g Graph {
        self.graph
    }

    /// The dtype of floats in this run.
    pub(super) fn dtype(&self) -> DType {
        self.dtype
    }

    /// The input `input.NAME` of the file: of the run's dtype if it is of floats, else i32.
    pub(super) fn get(&self, name: &str) -> Expr<'g> {
        let tensor = self.reference.tensor(&format!("input.{name}"));
        let dtype = if tensor.dtype().is_float() { self.dtype } else { tensor.dtype() };
        self.graph.input_of(name, tensor.shape(), dtype)
    }
}

impl<'g> Outputs<'g> {
    /// The loss, a scalar.
    pub(super) fn of_loss(loss: Expr<'g>) -> Outputs<'g> {
        Outputs { loss, others: Vec::new() }
    }

    /// And what is held against `output.NAME`.
    pub(super) fn with(mut self, name: &'static str, output: Expr<'g>) -> Outputs<'g> {
        self.others.push((name, output));
        self
    }
}

fn is_trained(declaration: &Declaration) -> bool {
    matches!(declaration.kind, DeclarationKind::Parameter { trainable: true, .. })
}

fn largest(elements: &[f64]) -> f64 {
    elements.iter().fold(0.0, |largest: f64, element| largest.max(element.abs()))
}

fn numbers<const N: usize, T>(bytes: &[u8], of: fn([u8; N]) -> T) -> Vec<T> {
    bytes.chunks_exact(N).map(|bytes| of(bytes.try_into().expect("as many bytes"))).collect()
}
