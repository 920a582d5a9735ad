//! The text of the language example as numbers, and the network that reads it.

use arenagrad::graph::DeclarationKind;
use arenagrad::nn::Phase;
use arenagrad::{DType, Graph};
use arenagrad_examples::language::{Corpus, Gpt, POSITIONS, Random, places, windows};

#[test]
fn the_text_is_numbers_and_back() {
    let corpus = Corpus::read();
    assert_eq!((corpus.vocabulary(), corpus.training().len(), corpus.validation().len()), (63, 685_103, 76_123));
    let beginning: String =
        corpus.training()[..60].iter().filter_map(|&number| corpus.character(number as usize)).collect();
    assert!(include_str!("../data/kjv.txt").starts_with(&beginning), "{beginning}");
    let short = Corpus::of("abba");
    assert_eq!((short.training(), short.validation()), (&[0, 1, 1][..], &[0][..]));
}

#[test]
fn windows_are_followed_by_the_next_character() {
    let text: Vec<i32> = (0..200).collect();
    let starts = places(&text, 5, 3, 7);
    assert_eq!(starts, places(&text, 5, 3, 7));
    assert_ne!(starts, places(&text, 5, 3, 8));
    assert!(starts.iter().all(|start| start + POSITIONS < text.len()));
    let (x, next) = windows(&text, &starts).unwrap();
    let (x, next) = (x.as_slice::<i32>().unwrap(), next.as_slice::<i32>().unwrap());
    assert_eq!((x.len(), x[0]), (5 * POSITIONS, starts[0] as i32));
    assert!(x.iter().zip(next).all(|(number, next)| number + 1 == *next));
}

#[test]
fn likely_numbers_are_drawn_more_often() {
    let mut random = Random::new(1);
    let mut counts = [0; 3];
    for _ in 0..1000 {
        counts[random.draw(&[0.0, 2f64.ln(), f64::NEG_INFINITY], 1.0)] += 1;
    }
    assert!((600..730).contains(&counts[1]) && counts[2] == 0, "{counts:?}");
}

#[test]
fn the_network_is_of_the_size_that_was_meant() {
    let g = Graph::new();
    let (x, next) = (g.input_of("x", [2, POSITIONS], DType::I32), g.input_of("next", [2, POSITIONS], DType::I32));
    let loss = Gpt::new(63).loss(x, next, Phase::Training);
    assert_eq!(loss.check().unwrap().shape().unwrap().rank(), 0);
    let trained = g.declarations().into_iter().filter(|declaration| declaration.kind != DeclarationKind::Input);
    let count: usize = trained.map(|parameter| parameter.shape.elements()).sum();
    // The tables, four blocks of norms and matrices with their biases, and the last norm.
    let block = 2 * 256 + (128 * 384 + 384) + (128 * 128 + 128) + (128 * 512 + 512) + (512 * 128 + 128);
    assert_eq!(count, (63 + 64) * 128 + 4 * block + 256);
}
