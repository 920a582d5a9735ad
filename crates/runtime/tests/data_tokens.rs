//! Tokens of characters and bytes, and windows of them.

use arenagrad::data::{Batches, Bytes, Characters, DataError, Source, Tokenizer, Tokens, Windows};
use arenagrad::{Error, Tensor};

const TEXT: &str = "In the beginning — ἐν ἀρχῇ — was the word.\n";

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, Error>) -> DataError {
    match result {
        Err(Error::Data(error)) => error,
        other => panic!("{other:?}"),
    }
}

fn integers(tensor: Option<&Tensor>) -> Vec<i32> {
    tensor.unwrap().as_slice::<i32>().unwrap().to_vec()
}

/// The windows of one batch of all, each with the tokens behind.
fn all(windows: &Windows) -> Vec<(Vec<i32>, Vec<i32>)> {
    (0..windows.samples())
        .map(|index| {
            let sample = windows.sample(index).unwrap();
            (integers(sample.get("x")), integers(sample.get("labels")))
        })
        .collect()
}

#[test]
fn texts_become_tokens_and_come_back() {
    let characters = Characters::of(TEXT);
    let tokenizers: [&dyn Tokenizer; 2] = [&characters, &Bytes];
    for tokenizer in tokenizers {
        for text in [TEXT, "", "the ῇ"] {
            let tokens = tokenizer.encode(text).unwrap();
            assert!(tokens.iter().all(|token| (0..tokenizer.vocabulary() as i32).contains(token)));
            assert_eq!(tokenizer.decode(&tokens).unwrap(), text);
        }
        let known = tokenizer.vocabulary();
        for token in [-1, known as i32, i32::MAX] {
            assert_eq!(refused(tokenizer.decode(&[0, token])), DataError::UnknownToken { token, position: 1, known });
        }
    }
    assert_eq!(characters.vocabulary(), TEXT.chars().collect::<std::collections::HashSet<_>>().len());
    assert_eq!(Characters::of(&characters.text()), characters);
    let error = refused(characters.encode("the ῇ!"));
    assert!(matches!(error, DataError::UnknownCharacter { character: '!', position: 5, .. }), "{error}");
    assert_eq!(refused(Bytes.decode(&[65, 0xE1, 0xBF])), DataError::BrokenText { at: 1 });
    assert_eq!(Characters::of("").vocabulary(), 0);
}

#[test]
fn windows_side_by_side_have_each_token_once() {
    for (tokens, length) in [(2, 1), (10, 3), (11, 5), (10, 9), (101, 10)] {
        let text = Tokens::new((0..tokens).collect());
        let windows = text.windows(length).unwrap();
        assert_eq!(windows.len(), (tokens as usize - 1) / length);
        let got = all(&windows);
        let seen: Vec<i32> = got.iter().flat_map(|(x, _)| x.clone()).collect();
        assert_eq!(seen, (0..(windows.len() * length) as i32).collect::<Vec<_>>());
        assert!(got.iter().all(|(x, next)| x.iter().zip(next).all(|(x, next)| next - x == 1)));
        // A batch is these windows, one above the other.
        let batch = Batches::new(windows.clone(), 1000).epoch(0).next().unwrap().unwrap();
        assert_eq!(batch.get("x").unwrap().shape().dims(), [windows.len(), length]);
        assert_eq!(integers(batch.get("x")), seen);
    }
    let text = Tokens::new((0..10).collect());
    let starts: Vec<i32> = all(&text.sliding_windows(4, 2).unwrap()).iter().map(|(x, _)| x[0]).collect();
    assert_eq!(starts, [0, 2, 4]);
    assert_eq!(text.sliding_windows(4, 1).unwrap().len(), 6);
    assert_eq!(text.sliding_windows(4, usize::MAX).unwrap().len(), 1);
}

#[test]
fn random_windows_are_the_same_for_a_seed_and_at_every_place() {
    let text = Tokens::new((0..20).collect());
    let windows = text.random_windows(16, 400, 5).unwrap();
    let got = all(&windows);
    assert!(got.iter().all(|(x, next)| x.len() == 16 && x.iter().zip(next).all(|(x, next)| next - x == 1)));
    let mut counts = [0; 4];
    got.iter().for_each(|(x, _)| counts[x[0] as usize] += 1);
    // 100 of each are expected, with a deviation of 9.
    assert!(counts.iter().all(|count| (60..140).contains(count)), "{counts:?}");
    assert_eq!(got, all(&text.random_windows(16, 400, 5).unwrap()));
    assert_eq!(got[..100], all(&text.random_windows(16, 100, 5).unwrap())[..]);
    assert_ne!(got, all(&text.random_windows(16, 400, 6).unwrap()));
    let batches = Batches::new(windows, 12).prefetch(2);
    let first = batches.epoch(0).next().unwrap().unwrap();
    assert_eq!(integers(first.get("labels"))[..16], got[0].1[..]);
    assert!(text.random_windows(16, 0, 5).unwrap().is_empty());
}

#[test]
fn texts_that_are_too_short() {
    let text = Tokens::new((0..10).collect());
    for length in [0, 10, 11, usize::MAX] {
        let error = DataError::Window { tokens: 10, length };
        assert_eq!(refused(text.windows(length)), error);
        assert_eq!(refused(text.random_windows(length, 5, 0)), error);
    }
    assert!(text.sliding_windows(4, 0).is_err());
    assert!(matches!(refused(text.windows(3).unwrap().sample(3)), DataError::SampleIndex { index: 3, samples: 3 }));
    assert_eq!(text.windows(9).unwrap().len(), 1);
    assert!(Tokens::new(Vec::new()).is_empty());
    assert!(Tokens::new(Vec::new()).windows(1).is_err());
}

#[test]
fn texts_are_split_in_their_order() {
    let text = Tokens::of(&Bytes, TEXT).unwrap();
    let (first, second) = text.split(0.9).unwrap();
    assert_eq!(first.len(), TEXT.len() * 9 / 10);
    assert_eq!([first.as_slice(), second.as_slice()].concat(), text.as_slice());
    for fraction in [-0.5, 1.5, f64::NAN] {
        assert!(matches!(refused(text.split(fraction)), DataError::Fraction { .. }));
    }
}
