//! Files and indices that are none: each is refused with a typed error that says why, and a session that was to load it is as it was.

use std::fs;
use std::path::PathBuf;

use arenagrad::weights::{Weights, WeightsError};
use arenagrad::{Device, Error, Graph, Init, Session, Tensor};

fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("weights_refused").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A file in the format, from a header and data.
fn file(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
}

/// A header with one tensor.
fn entry(dtype: &str, shape: &str, offsets: &str) -> String {
    format!(r#"{{"w":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#)
}

#[track_caller]
fn says(error: &Error, parts: &[&str]) {
    let message = error.to_string();
    for part in parts {
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
}

#[test]
fn files_that_contradict_themselves() {
    let two = |second: &str| {
        format!(
            r#"{{"a":{{"dtype":"F32","shape":[2],"data_offsets":[0,8]}},"b":{{"dtype":"F32","shape":[2],"data_offsets":{second}}}}}"#
        )
    };
    let deep = format!(r#"{{"w":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let cases: Vec<(&str, Vec<u8>, &[&str])> = vec![
        ("no bytes", vec![], &["cut off", "0 bytes"]),
        ("half a length", vec![1, 0, 0], &["cut off", "3 bytes"]),
        ("a header that is longer than the file", file("{}", &[])[..9].to_vec(), &["cut off", "byte 10", "it has 9"]),
        ("a header of 90 MB that is not there", 90_000_000u64.to_le_bytes().to_vec(), &["cut off", "90000008"]),
        ("a header of exabytes", (u64::MAX / 2).to_le_bytes().to_vec(), &["another format"]),
        ("a header longer than any", u64::MAX.to_le_bytes().to_vec(), &["another format"]),
        ("no header", file("", &[]), &["no JSON"]),
        ("a header in another encoding", file("\u{feff}{}", &[]), &["no JSON"]),
        ("a header that nests", file(&deep, &[]), &["no JSON", "recursion"]),
        ("text behind the header", file("{} x", &[]), &["no JSON"]),
        ("half of an f16", file(&entry("F16", "[1]", "[0,1]"), &[0]), &["\"w\"", "1 bytes", "F16", "[1]"]),
        ("an f16 and a half", file(&entry("F16", "[1]", "[0,3]"), &[0; 3]), &["3 bytes", "F16"]),
        ("bf16 of odd bytes", file(&entry("BF16", "[3]", "[0,5]"), &[0; 5]), &["5 bytes", "BF16"]),
        ("a type nobody knows", file(&entry("F32", "[3]", "[0,5]"), &[0; 5]), &["5 bytes", "F32"]),
        ("more elements than bytes", file(&entry("F32", "[1000000]", "[0,4]"), &[0; 4]), &["4 bytes", "[1000000]"]),
        (
            "a product that does not fit 64 bits",
            file(&entry("F32", "[4294967296,4294967296,4]", "[0,0]"), &[]),
            &["0 bytes", "4294967296"],
        ),
        ("an extent below 0", file(&entry("F32", "[-1]", "[0,4]"), &[0; 4]), &["shape"]),
        ("an extent of a fraction", file(&entry("F32", "[1.5]", "[0,4]"), &[0; 4]), &["shape"]),
        ("offsets past the file", file(&entry("F32", "[2]", "[0,8]"), &[0; 4]), &["cut off", "8 bytes", "4 are there"]),
        ("offsets that run back", file(&entry("F32", "[0]", "[4,0]"), &[0; 4]), &["data_offsets"]),
        ("offsets of three", file(&entry("F32", "[1]", "[0,4,8]"), &[0; 4]), &["data_offsets"]),
        ("offsets that do not begin", file(&entry("F32", "[1]", "[4,8]"), &[0; 8]), &["begins at byte 4", "ends at 0"]),
        ("tensors that overlap", file(&two("[4,12]"), &[0; 12]), &["\"b\"", "begins at byte 4", "ends at 8"]),
        ("tensors of the same bytes", file(&two("[0,8]"), &[0; 8]), &["begins at byte 0", "ends at 8"]),
        ("tensors with a gap", file(&two("[12,20]"), &[0; 20]), &["begins at byte 12", "ends at 8"]),
        ("bytes that belong to nobody", file(&entry("F32", "[1]", "[0,4]"), &[0; 9]), &["appended"]),
        ("no dtype", file(r#"{"w":{"shape":[1],"data_offsets":[0,4]}}"#, &[0; 4]), &["dtype"]),
        ("a tensor that is a number", file(r#"{"w":1}"#, &[]), &["\"w\"", "dtype"]),
        ("metadata of numbers", file(r#"{"__metadata__":{"epoch":3}}"#, &[]), &["__metadata__", "texts"]),
        ("metadata that is a list", file(r#"{"__metadata__":[]}"#, &[]), &["__metadata__", "texts"]),
        (
            "an archive of PyTorch",
            b"PK\x03\x04\x00\x00\x08\x08\x00\x00".to_vec(),
            &["archive", ".pt", "save_file", "weights_only"],
        ),
        ("a pickle of PyTorch", b"\x80\x02\x8a\x0al\xfc\x9c\x46\xf9".to_vec(), &["pickle", ".bin", "save_file"]),
        ("a short pickle", b"\x80\x04N.".to_vec(), &["pickle", ".pt"]),
        ("GGUF", b"GGUF\x03\x00\x00\x00\x00".to_vec(), &["GGUF"]),
        ("HDF5", b"\x89HDF\r\n\x1a\n".to_vec(), &["HDF5"]),
        ("NumPy's", b"\x93NUMPY\x01\x00v\x00".to_vec(), &["NumPy"]),
        ("a page of the web", b"<!DOCTYPE html><html>".to_vec(), &["another format", "<!DOCTYP"]),
    ];
    let folder = folder("contradictions");
    let path = folder.join("model.safetensors");
    let g = Graph::new();
    let w = g.parameter("w", [2], Init::Constant(0.5));
    let mut session = Session::evaluate(&g, &[w], &Device::cpu()).unwrap();
    for (name, bytes, parts) in cases {
        fs::write(&path, &bytes).unwrap();
        let error = Weights::open(&path).err().unwrap_or_else(|| panic!("{name} was opened"));
        assert!(matches!(&error, Error::ParameterFile { path: found, .. } if *found == path), "{name}: {error}");
        says(&error, parts);
        let in_memory = Weights::from_bytes(bytes).unwrap_err();
        assert!(matches!(&in_memory, Error::ParameterFile { .. }), "{name}: {in_memory}");
        assert_eq!(session.load(&path).unwrap_err(), error, "{name}");
        assert_eq!(session.parameter("w").unwrap().to_f64_vec(), [0.5, 0.5], "{name}");
    }
    let state = file(r#"{"__metadata__":{"arenagrad.training_state":"w"}}"#, &[]);
    says(&Weights::from_bytes(state).unwrap_err(), &["arenagrad.training_state", "no list of names"]);
}

/// The length of a header may begin with the bytes that a pickle begins with.
#[test]
fn headers_of_every_length() {
    for length in 2..1500 {
        let header = format!("{:<length$}", "{}");
        let weights = Weights::from_bytes(file(&header, &[])).unwrap_or_else(|error| panic!("{length}: {error}"));
        assert!(weights.is_empty());
    }
}

/// Whatever byte of a good file is changed or missing, the file is read or refused, and nothing else happens.
#[test]
fn every_cut_and_every_changed_byte() {
    let tensors = Weights::new()
        .with("a.weight", Tensor::new([2, 2], vec![1.0f32, 2.0, 3.0, 4.0]).unwrap())
        .with("b", Tensor::new([3], vec![1i32, 2, 3]).unwrap())
        .with_metadata("k", "v");
    let bytes = tensors.to_bytes().unwrap();
    for length in 0..bytes.len() {
        assert!(Weights::from_bytes(&bytes[..length]).is_err(), "the first {length} bytes were taken for a file");
    }
    for place in 0..bytes.len() {
        for value in [0, 1, 0x22, 0x2c, 0x39, 0x7f, 0xff, bytes[place] ^ 1] {
            let mut changed = bytes.clone();
            changed[place] = value;
            let Ok(weights) = Weights::from_bytes(changed) else { continue };
            for name in weights.names() {
                // A dtype may have become one of as many bytes, and integers ones that i32 does not hold.
                if let Ok(tensor) = weights.get(name) {
                    assert_eq!(tensor.to_f64_vec().len(), tensor.shape().elements());
                }
            }
        }
    }
}

#[test]
fn paths_that_are_no_files() {
    let folder = folder("paths");
    assert!(matches!(Weights::open(folder.join("none.safetensors")).unwrap_err(), Error::File { .. }));
    let error = Weights::open(&folder).unwrap_err();
    says(&error, &["no file that ends in .safetensors"]);
    let one = Weights::new().with("w", Tensor::scalar(1.0f32));
    one.save(folder.join("a.safetensors")).unwrap();
    assert_eq!(Weights::open(&folder).unwrap().len(), 1);
    one.save(folder.join("b.safetensors")).unwrap();
    says(&Weights::open(&folder).unwrap_err(), &["several files", "\"a.safetensors\", \"b.safetensors\""]);
    // A file that is cut off after it was opened is told when it is read.
    let opened = Weights::open(folder.join("a.safetensors")).unwrap();
    fs::OpenOptions::new().write(true).open(folder.join("a.safetensors")).unwrap().set_len(40).unwrap();
    assert!(matches!(opened.get("w").unwrap_err(), Error::File { .. }));
    // One that is replaced stays what it was.
    let opened = Weights::open(folder.join("b.safetensors")).unwrap();
    Weights::new().with("v", Tensor::scalar(2.0f32)).save(folder.join("b.safetensors")).unwrap();
    assert_eq!(opened.get("w").unwrap().item().unwrap(), 1.0);
    // Also where it is replaced by what is read of it.
    let opened = Weights::open(folder.join("b.safetensors")).unwrap();
    opened.rename("v", "u").save(folder.join("b.safetensors")).unwrap();
    assert_eq!(Weights::open(folder.join("b.safetensors")).unwrap().get("u").unwrap().item().unwrap(), 2.0);
    // A tensor that cannot be read leaves the file that was to be written as it was.
    let opened = Weights::open(folder.join("b.safetensors")).unwrap();
    fs::OpenOptions::new().write(true).open(folder.join("b.safetensors")).unwrap().set_len(40).unwrap();
    one.save(folder.join("c.safetensors")).unwrap();
    let error = opened.save(folder.join("c.safetensors")).unwrap_err();
    assert!(matches!(&error, Error::File { path, .. } if path.ends_with("b.safetensors")), "{error}");
    assert_eq!(Weights::open(folder.join("c.safetensors")).unwrap().get("w").unwrap().item().unwrap(), 1.0);
}

#[test]
fn indices_that_are_none() {
    let folder = folder("indices");
    let index = folder.join("model.safetensors.index.json");
    Weights::new().with("w", Tensor::scalar(1.0f32)).save(folder.join("part.safetensors")).unwrap();
    fs::write(folder.join("broken.safetensors"), [1, 2, 3]).unwrap();
    let map = |entries: &str| format!(r#"{{"metadata":{{"total_size":4}},"weight_map":{{{entries}}}}}"#);
    fs::write(&index, map(r#""w":"part.safetensors""#)).unwrap();
    assert_eq!(Weights::open(&folder).unwrap().get("w").unwrap().item().unwrap(), 1.0);
    let cases: Vec<(String, &[&str])> = vec![
        ("[]".to_owned(), &["no index"]),
        ("{}".to_owned(), &["no index", "weight_map"]),
        ("{".to_owned(), &["no index"]),
        (r#"{"weight_map":[1]}"#.to_owned(), &["weight_map"]),
        (map(r#""w":1"#), &["\"w\"", "no name of a file"]),
        (map(r#""v":"part.safetensors""#), &["\"v\"", "part.safetensors", "no such tensor"]),
        (map(r#""w":"../indices/part.safetensors""#), &["\"w\"", "no file beside the index"]),
        (map(&format!(r#""w":"{}""#, folder.join("part.safetensors").display())), &["no file beside the index"]),
        (map(r#""w":"./part.safetensors""#), &["no file beside the index"]),
        (map(r#""w":"..""#), &["no file beside the index"]),
        (map(r#""w":"""#), &["no file beside the index"]),
    ];
    for (text, parts) in cases {
        fs::write(&index, &text).unwrap();
        let error = Weights::open(&folder).err().unwrap_or_else(|| panic!("{text} was opened"));
        assert!(
            matches!(&error, Error::Weights(WeightsError::Index { path, .. }) if *path == index),
            "{text}: {error}"
        );
        says(&error, parts);
    }
    // A missing or broken part is told by its own name, and an index is no part.
    fs::write(&index, map(r#""w":"absent.safetensors""#)).unwrap();
    assert!(
        matches!(Weights::open(&index).unwrap_err(), Error::File { path, .. } if path.ends_with("absent.safetensors"))
    );
    for part in ["broken.safetensors", "model.safetensors.index.json"] {
        fs::write(&index, map(&format!(r#""w":"{part}""#))).unwrap();
        let error = Weights::open(&index).unwrap_err();
        assert!(matches!(&error, Error::ParameterFile { path, .. } if path.ends_with(part)), "{error}");
    }
}

#[test]
fn a_header_that_nobody_would_read_is_not_written() {
    let weights = Weights::new().with_metadata("text", "x".repeat(100_000_001));
    let error = weights.to_bytes().unwrap_err();
    assert!(error.to_string().contains("the format allows 100000000"), "{error}");
    // A name of any length is told.
    let name = "w".repeat(70_000);
    let weights = Weights::new().with(&name, Tensor::new([1], vec![1.0f32]).unwrap());
    assert!(weights.to_string().contains(&name));
}

/// A device that never ends is no file of tensors, which its first bytes show.
#[cfg(target_os = "linux")]
#[test]
fn of_a_stream_no_more_is_read_than_its_header_tells_of() {
    let g = arenagrad::Graph::new();
    let w = g.parameter("w", [2], arenagrad::Init::Constant(1.0));
    let mut session = Session::evaluate(&g, &[w], &Device::cpu()).unwrap();
    for error in [
        session.load("/dev/zero").unwrap_err(),
        Weights::open("/dev/zero").unwrap_err(),
        arenagrad::Checkpoint::open("/dev/zero").unwrap_err(),
    ] {
        assert!(matches!(&error, Error::ParameterFile { .. }), "{error}");
    }
    assert!(Weights::open("/dev/null").unwrap_err().to_string().contains("it is cut off: it has 0 bytes"));
}
