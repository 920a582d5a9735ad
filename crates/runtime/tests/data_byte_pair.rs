//! Tokenizers of `tokenizer.json` files: byte-pair merges in their order, added tokens, and files that are none.

use std::fs;
use std::path::PathBuf;

use arenagrad::Error;
use arenagrad::data::{BytePair, DataError, Tokenizer, Tokens};

/// Byte-level pairs as GPT-2 has them, of which Ġ is the space.
const FILE: &str = r#"{
    "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
    "added_tokens": [{"id": 10, "content": "<|end|>", "single_word": false, "lstrip": false, "rstrip": false,
                      "normalized": false, "special": true}],
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
    "post_processor": null,
    "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
    "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
              "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
              "vocab": {"l": 0, "o": 1, "w": 2, "e": 3, "r": 4, "Ġ": 5, "lo": 6, "low": 7, "er": 8, "Ġlow": 9},
              "merges": [["l", "o"], ["lo", "w"], ["e", "r"], ["Ġ", "low"]]}
}"#;

fn written(name: &str, text: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("data_byte_pair");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), text).unwrap();
    folder.join(name)
}

#[test]
fn pairs_are_merged_in_the_order_of_the_file() {
    let tokenizer = BytePair::read(written("tokenizer.json", FILE)).unwrap();
    assert_eq!((tokenizer.vocabulary(), tokenizer.token("<|end|>"), tokenizer.token("none")), (11, Some(10), None));
    for (text, tokens) in [
        ("low lower", &[7, 9, 8][..]),
        ("low<|end|>lower", &[7, 10, 7, 8]),
        ("wolw", &[2, 1, 0, 2]),
        (" ero", &[5, 8, 1]),
        ("", &[]),
    ] {
        assert_eq!(tokenizer.encode(text).unwrap(), tokens, "{text}");
        assert_eq!(tokenizer.decode(tokens).unwrap(), text);
    }
    assert_eq!(Tokens::of(&tokenizer, "low lower").unwrap().windows(2).unwrap().len(), 1);
    for token in [-1, 11, i32::MAX] {
        let error = DataError::UnknownToken { token, position: 1, known: 11 };
        assert_eq!(tokenizer.decode(&[7, token]), Err(error.into()));
    }
}

#[test]
fn files_that_describe_no_tokenizer() {
    for text in [
        "",
        "{}",
        "[1, 2]",
        &FILE[..FILE.len() / 2],
        &FILE.replace("\"BPE\"", "\"none\""),
        &FILE.replace("\"decoder\": {", "\"decoder\": 5, \"more\": {"),
    ] {
        let path = written("wrong.json", text);
        let Err(Error::Data(DataError::Tokenizer { reason })) = BytePair::read(&path) else { panic!("{text}") };
        assert!(reason.starts_with(&path.display().to_string()), "{reason}");
    }
    assert!(matches!(BytePair::read("no/such/tokenizer.json"), Err(Error::File { .. })));
}
