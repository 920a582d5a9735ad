//! A network that gives each word of a sentence a class: an embedding, a bidirectional long short-term memory of two layers,
//! gated recurrent units and a linear layer.

use arenagrad::CrossEntropy;
use arenagrad::nn::{Embedding, Gru, Linear, Lstm, Phase};

use super::reference::{Outputs, Reference};

#[test]
fn the_tagger_equals_its_implementation() {
    Reference::open("lstm").assert_equal(|inputs| {
        let phase = Phase::Training;
        let x = Embedding::new("embedding", 40, 12).dtype(inputs.dtype()).apply(inputs.get("x"));
        let lstm = Lstm::new("lstm", 12, 16).layers(2).bidirectional().batch_first();
        let (states, _) = lstm.apply(x, None, phase);
        let (states, _) = Gru::new("gru", 32, 10).batch_first().apply(states, None, phase);
        let logits = Linear::new("head", 10, 9).apply(states);
        let options = CrossEntropy { class_axis: Some(-1), ..CrossEntropy::default() };
        Outputs::of_loss(logits.cross_entropy_with(inputs.get("labels"), options)).with("logits", logits)
    });
}
