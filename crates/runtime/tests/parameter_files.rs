//! Files that are no parameter files, or not those of this session: each error says what is wrong, where, and what to do.

use std::fs;
use std::path::PathBuf;

use arenagrad::{Adam, AdamW, DType, Device, Error, Graph, Init, Session, Sgd, StorageType, Tensor};

fn file(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("parameter_files");
    fs::create_dir_all(&folder).unwrap();
    folder.join(name)
}

/// A file in the format, from a header and data.
fn bytes(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(data);
    bytes
}

/// What loading such a file says to a session with an f32 parameter `w` of two elements.
fn loading(name: &str, bytes: &[u8]) -> Result<Session, Error> {
    let g = Graph::new();
    let w = g.parameter("w", [2], Init::Constant(0.0));
    let mut session = Session::evaluate(&g, &[w], &Device::cpu()).unwrap();
    let path = file(name);
    fs::write(&path, bytes).unwrap();
    session.load(&path).map(|()| session)
}

#[track_caller]
fn says(error: &Error, parts: &[&str]) {
    let message = error.to_string();
    for part in parts {
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
}

#[test]
fn dtypes_that_the_format_has_and_this_crate_has_not() {
    let dtypes = [("U16", "u16", 2), ("U32", "u32", 4), ("F8_E4M3", "f8_e4m3", 1), ("C64", "c64", 8), ("X9", "x9", 1)];
    for (dtype, found, size) in dtypes {
        let header = format!(r#"{{"w":{{"dtype":"{dtype}","shape":[2],"data_offsets":[0,{}]}}}}"#, 2 * size);
        let name = format!("{dtype}.safetensors");
        let error = loading(&name, &bytes(&header, &vec![0; 2 * size])).err().unwrap();
        assert!(matches!(&error, Error::FileDType { expected: StorageType::F32, .. }), "{error}");
        says(&error, &[&name, "\"w\"", found, "f32, f64, i32, bool", "convert it to f32"]);
    }
    // Those that both have are told apart as dtypes of the crate.
    for (dtype, stored) in
        [("I32", StorageType::I32), ("I64", StorageType::I64), ("U8", StorageType::U8), ("I8", StorageType::I8)]
    {
        let (size, name) = (2 * stored.bytes(), format!("{stored}.safetensors"));
        let header = format!(r#"{{"w":{{"dtype":"{dtype}","shape":[2],"data_offsets":[0,{size}]}}}}"#);
        let error = loading(&name, &bytes(&header, &vec![0; size])).err().unwrap();
        assert!(
            matches!(&error, Error::ParameterDType { expected: StorageType::F32, found, .. } if *found == stored),
            "{error}"
        );
        says(&error, &["\"w\"", "f32", stored.name(), &name]);
    }
    // A tensor that nobody asks for may be anything.
    let header = r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"v":{"dtype":"I16","shape":[1],"data_offsets":[8,10]},"__metadata__":{"format":"pt"}}"#;
    let mut data = [1.5f32, -2.0].iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
    data.extend([0, 0]);
    let session = loading("foreign.safetensors", &bytes(header, &data)).unwrap();
    assert_eq!(session.parameter("w").unwrap().to_f64_vec(), [1.5, -2.0]);
}

/// Other frameworks count steps and number classes in 64 bits or in 8.
#[test]
fn integers_of_any_width_are_read_into_i32() {
    let load = |dtype: &str, data: &[u8]| {
        let g = Graph::new();
        let count = g.state("count", [3], DType::I32, Init::Constant(0.0));
        let mut session = Session::evaluate(&g, &[count], &Device::cpu()).unwrap();
        let path = file(&format!("integers-{dtype}.safetensors"));
        let header = format!(r#"{{"count":{{"dtype":"{dtype}","shape":[3],"data_offsets":[0,{}]}}}}"#, data.len());
        fs::write(&path, bytes(&header, data)).unwrap();
        session.load(&path).map(|()| session.parameter("count").unwrap().to_f64_vec())
    };
    let of = |integers: [i64; 3], width: usize| -> Vec<u8> {
        integers.iter().flat_map(|x| x.to_le_bytes()[..width].to_vec()).collect()
    };
    let largest = i64::from(i32::MAX);
    assert_eq!(load("I64", &of([-3, 0, largest], 8)).unwrap(), [-3.0, 0.0, largest as f64]);
    assert_eq!(load("I16", &of([-300, 0, 32767], 2)).unwrap(), [-300.0, 0.0, 32767.0]);
    assert_eq!(load("I8", &of([-128, 127, -1], 1)).unwrap(), [-128.0, 127.0, -1.0]);
    assert_eq!(load("U8", &of([255, 128, 1], 1)).unwrap(), [255.0, 128.0, 1.0]);
    assert_eq!(load("U16", &of([65535, 0, 1], 2)).unwrap(), [65535.0, 0.0, 1.0]);
    assert_eq!(load("U32", &of([7, 0, largest], 4)).unwrap(), [7.0, 0.0, largest as f64]);
    for (dtype, data, position, value) in [
        ("I64", of([1, 2, largest + 1], 8), 2, largest + 1),
        ("I64", of([1, i64::MIN, 0], 8), 1, i64::MIN),
        ("U32", of([u32::MAX.into(), 0, 0], 4), 0, i64::from(u32::MAX)),
    ] {
        let error = load(dtype, &data).unwrap_err();
        assert!(
            matches!(&error, Error::FileInteger { name, position: p, value: v, .. } if name == "count" && (*p, *v) == (position, value)),
            "{error}"
        );
        says(&error, &["\"count\"", &format!("element {position}"), &value.to_string(), "i32"]);
    }
    // A file that was refused changes nothing, and one that is too short is told.
    assert!(matches!(load("I64", &[0; 23]).unwrap_err(), Error::ParameterFile { .. }));
    let error = Tensor::from_integers([2], &[1i64, -1 << 31, 5]).unwrap_err();
    assert!(matches!(error, Error::ElementCount { elements: 3, .. }), "{error}");
}

#[test]
fn files_that_are_cut_off_or_of_another_format() {
    let entry = r#""w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}"#;
    let whole = bytes(&format!("{{{entry}}}"), &[0; 8]);
    loading("whole", &whole).unwrap();
    let cases: [(&str, Vec<u8>, &[&str]); 14] = [
        ("empty", Vec::new(), &["cut off", "0 bytes"]),
        ("short", whole[..5].to_vec(), &["cut off", "5 bytes"]),
        ("in the header", whole[..20].to_vec(), &["cut off", &(whole.len() - 8).to_string(), "20"]),
        ("in the data", whole[..whole.len() - 3].to_vec(), &["cut off", "8 bytes", "5 are there"]),
        ("appended", [whole.clone(), vec![0; 4]].concat(), &["8 bytes", "12 are there", "appended"]),
        ("archive", b"PK\x03\x04 and more of an archive".to_vec(), &["another format", "PK"]),
        ("no JSON", bytes("{w: 1}", &[]), &["no JSON", "column 2"]),
        ("a list", bytes("[1, 2]", &[]), &["no JSON object", "an object with an entry for each tensor"]),
        ("no text", bytes("", &[]), &["no JSON"]),
        ("twice", bytes(&format!("{{{entry},{entry}}}"), &[0; 8]), &["\"w\"", "twice"]),
        ("no dtype", bytes(r#"{"w":{"shape":[2],"data_offsets":[0,8]}}"#, &[0; 8]), &["\"w\"", "dtype"]),
        (
            "a shape of text",
            bytes(r#"{"w":{"dtype":"F32","shape":["2"],"data_offsets":[0,8]}}"#, &[0; 8]),
            &["\"w\"", "shape"],
        ),
        (
            "backwards",
            bytes(r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#, &[0; 8]),
            &["\"w\"", "data_offsets"],
        ),
        (
            "a gap",
            bytes(r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#, &[0; 12]),
            &["\"w\"", "begins at byte 4", "ends at 0"],
        ),
    ];
    for (name, bytes, parts) in cases {
        let error = loading(name, &bytes).err().unwrap_or_else(|| panic!("{name} was loaded"));
        assert!(matches!(&error, Error::ParameterFile { .. }), "{name}: {error}");
        says(&error, parts);
        says(&error, &[&file(name).display().to_string(), "safetensors"]);
    }
    let long = bytes(r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,12]}}"#, &[0; 12]);
    says(&loading("long", &long).err().unwrap(), &["\"w\"", "12 bytes", "F32", "[2]"]);
    let past = bytes(r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,18446744073709551615]}}"#, &[0; 8]);
    assert!(matches!(loading("past", &past).err().unwrap(), Error::ParameterFile { .. }));
}

#[test]
fn shapes_and_names_that_differ() {
    let header = r#"{"w":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}}"#;
    let error = loading("shape", &bytes(header, &[0; 8])).err().unwrap();
    assert!(matches!(&error, Error::ParameterShape { .. }), "{error}");
    says(&error, &["\"w\"", "[2]", "[1, 2]", &file("shape").display().to_string()]);
    let header = r#"{"weight":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    let error = loading("name", &bytes(header, &[0; 8])).err().unwrap();
    assert!(matches!(&error, Error::MissingParameter { .. }), "{error}");
    says(&error, &["\"w\"", "[2]", "\"weight\"", &file("name").display().to_string()]);
    let error = loading("none", &bytes("{}", &[])).err().unwrap();
    says(&error, &["\"w\"", "holds none"]);
    // A declaration is told apart from a file.
    let g = Graph::new();
    let w = g.parameter("w", [2], Init::Constant(0.0));
    let mut session = Session::evaluate(&g, &[w], &Device::cpu()).unwrap();
    let g = Graph::new();
    let w = g.parameter("w", [3], Init::Constant(0.0));
    let place = format!("parameter_files.rs:{}", line!() - 1);
    says(&session.add(&g, &[w]).unwrap_err(), &["\"w\"", "[2]", "[3]", &place]);
}

#[test]
fn names_that_the_optimisers_reserve() {
    let names: [(&str, bool); 5] = [
        ("learning_rate", true),
        ("updates", false),
        ("w.velocity", true),
        ("w.first_moment", false),
        ("w.second_moment", false),
    ];
    for (name, of_sgd) in names {
        for input in [false, true] {
            let g = Graph::new();
            let w = g.parameter("w", [2], Init::Constant(1.0));
            let other = if input { g.input(name, [2]) } else { g.parameter(name, [2], Init::Constant(1.0)) };
            let place = format!("parameter_files.rs:{}", line!() - 1);
            let loss = (w * other).sum(..);
            let (length, declarations) = (g.len(), g.declarations().len());
            let error = if of_sgd {
                Session::train(&g, loss, Sgd::new(0.1).momentum(0.9), Device::cpu()).err().unwrap()
            } else {
                Session::train(&g, loss, AdamW::new(0.1), Device::cpu()).err().unwrap()
            };
            assert!(matches!(&error, Error::ReservedName { name: found, .. } if found == name), "{error}");
            says(&error, &[&place, name, "reserved", "optimiser", "rename"]);
            assert!(!error.to_string().contains("src/train"), "{error}");
            assert_eq!((g.len(), g.declarations().len()), (length, declarations));
            // The graph itself is in order, and another optimiser may have no use for the name.
            g.check().unwrap();
            if name != "learning_rate" {
                let result = if of_sgd {
                    Session::train(&g, loss, Adam::new(0.1), Device::cpu())
                } else {
                    Session::train(&g, loss, Sgd::new(0.1).momentum(0.9), Device::cpu())
                };
                result.map(drop).unwrap();
            }
        }
    }
    // The format's own name, which is found when it is saved.
    let g = Graph::new();
    let w = g.parameter("__metadata__", [2], Init::Constant(1.0));
    let place = format!("parameter_files.rs:{}", line!() - 1);
    let session = Session::evaluate(&g, &[w], &Device::cpu()).unwrap();
    let error = session.save(file("metadata")).unwrap_err();
    assert!(matches!(&error, Error::File { .. }), "{error}");
    says(&error, &[&place, "__metadata__", "reserves", "safetensors", "rename"]);
}
