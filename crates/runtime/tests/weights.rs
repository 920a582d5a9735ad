//! Named tensors: written, read, transformed and loaded into sessions; the crate `safetensors` reads and writes for comparison.

use std::fs;
use std::path::PathBuf;

use arenagrad::nn::{BatchNorm, Linear, Phase};
use arenagrad::weights::{Weights, WeightsError};
use arenagrad::{AdamW, Bf16, DType, Device, Error, F16, Graph, I64, Init, Session, Sgd, StorageType, Tensor, Trainer};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

/// An empty folder of that name.
fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("weights").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn tensor(shape: impl Into<arenagrad::Shape>, elements: &[f32]) -> Tensor {
    Tensor::new(shape, elements.to_vec()).unwrap()
}

/// Tensors of every storage type, and of ranks 0 to 4, one without elements.
fn of_every_type() -> Weights {
    let numbers = tensor([2, 3], &[0.5, -1.0, 2.0, 3.0, 0.0, 1.0]);
    let mut weights = Weights::new().with("scalar", Tensor::scalar(-2.5f64)).with("empty", tensor([0, 3], &[]));
    for storage in StorageType::ALL {
        weights = weights.with(format!("of.{storage}"), numbers.cast(storage));
    }
    weights.with("four", tensor([1, 2, 1, 2], &[1.0, 2.0, 3.0, 4.0])).with("naïve \"name\"\n", tensor([1], &[7.0]))
}

#[test]
fn what_is_written_is_read_again_here_and_elsewhere() {
    let weights = of_every_type().with_metadata("epoch", "3").with_metadata("note", "a \"quoted\" text, ü");
    let path = folder("written").join("model.safetensors");
    weights.save(&path).unwrap();
    let bytes = fs::read(&path).unwrap();
    assert_eq!(weights.to_bytes().unwrap(), bytes, "the same tensors give the same bytes");
    for read in [Weights::open(&path).unwrap(), Weights::from_bytes(bytes.clone()).unwrap()] {
        assert!(read.names().eq(weights.names()));
        assert_eq!(read.metadata(), weights.metadata());
        for name in weights.names() {
            assert_eq!(read.get(name).unwrap(), weights.get(name).unwrap(), "{name}");
            assert_eq!((read.shape(name), read.stored_as(name)), (weights.shape(name), weights.stored_as(name)));
        }
        assert_eq!(read.to_bytes().unwrap(), bytes, "and so does a copy of the file");
    }
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(header.metadata().as_ref().unwrap()["note"], "a \"quoted\" text, ü");
    let theirs = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(theirs.len(), weights.len());
    for name in weights.names() {
        let (view, own) = (theirs.tensor(name).unwrap(), weights.get(name).unwrap());
        assert_eq!((view.shape(), view.data()), (&own.shape()[..], &own.data().to_le_bytes()[..]), "{name}");
    }
    // The data of every tensor begins at a multiple of the size of its elements.
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    assert_eq!(length % 8, 0);
    for (name, info) in header.tensors() {
        let size = info.dtype.bitsize() / 8;
        assert_eq!(info.data_offsets.0 % size, 0, "{name}");
    }
}

#[test]
fn what_others_write_is_read() {
    let (half, long) = (F16::from_f64(1.5).to_bits().to_le_bytes(), 7i64.to_le_bytes());
    let words = [300u16, 65535].map(u16::to_le_bytes).concat();
    let views = [
        ("half", TensorView::new(Dtype::F16, vec![1], &half).unwrap()),
        ("num_batches_tracked", TensorView::new(Dtype::I64, vec![], &long).unwrap()),
        ("words", TensorView::new(Dtype::U16, vec![2], &words).unwrap()),
        ("eighths", TensorView::new(Dtype::F8_E4M3, vec![2, 1], &[1, 2]).unwrap()),
    ];
    let metadata = [("format".to_owned(), "pt".to_owned())].into_iter().collect();
    let bytes = safetensors::serialize(views, Some(metadata)).unwrap();
    let weights = Weights::from_bytes(bytes).unwrap();
    assert_eq!(weights.metadata()["format"], "pt");
    assert_eq!(weights.get("half").unwrap().as_slice::<F16>().unwrap()[0].to_string(), "1.5");
    let count = weights.get("num_batches_tracked").unwrap();
    assert_eq!((count.shape().rank(), count.storage(), count.item().unwrap()), (0, StorageType::I64, 7.0));
    assert_eq!(weights.get("words").unwrap().as_slice::<i32>().unwrap(), [300, 65535]);
    assert_eq!(weights.stored_as("eighths").unwrap(), "f8_e4m3");
    let error = weights.get("eighths").unwrap_err();
    assert!(
        matches!(&error, Error::Weights(WeightsError::UnsupportedType { found, .. }) if found == "f8_e4m3"),
        "{error}"
    );
    // What is not read may be of any type, and is copied as it is.
    let copy = Weights::from_bytes(weights.rename("eighths", "other").transpose("other").to_bytes().unwrap()).unwrap();
    assert_eq!(
        (copy.stored_as("other").unwrap(), copy.shape("other").unwrap().to_vec()),
        ("f8_e4m3".to_owned(), vec![1, 2])
    );
    let printed = copy.to_string();
    assert!(
        printed.contains("half                 f16 [1]") && printed.ends_with("4 tensors, 6 elements, 16 bytes"),
        "{printed}"
    );
}

#[test]
fn names_are_transformed_one_behind_the_other() {
    let one = || tensor([1], &[1.0]);
    let names = ["module.features.0.weight", "module.features.0.bias", "module.head.weight", "module.head_norm.gamma"];
    let weights: Weights = names.iter().map(|name| (*name, one())).collect();
    let renamed = weights
        .clone()
        .rename("module", "net")
        .rename("net.features.", "net.conv")
        .rename("*.gamma", "*.weight")
        .rename_with(|name| name.to_uppercase())
        .rename("NET.", "");
    assert_eq!(renamed.names().collect::<Vec<_>>(), ["CONV0.WEIGHT", "CONV0.BIAS", "HEAD.WEIGHT", "HEAD_NORM.WEIGHT"]);
    assert_eq!(renamed.get("HEAD.WEIGHT").unwrap(), one());
    let parts = weights.clone().rename("module.", "").without(["head"]).select(["*.weight", "head_norm"]);
    assert_eq!(parts.names().collect::<Vec<_>>(), ["features.0.weight", "head_norm.gamma"]);
    assert!(parts.contains("head_norm.gamma") && !parts.contains("head.weight"));
    assert_eq!(parts.prefix("a.").names().next(), Some("a.features.0.weight"));
    // The dot that only joins a module's name goes with it.
    assert_eq!(weights.clone().rename("module", "").names().next(), Some("features.0.weight"));
    // Whoever picks out or converts nothing has mistaken a name; what may be there or not is renamed or left out.
    assert!(weights.clone().rename("modul.", "").without(["heads"]).to_bytes().is_ok());
    let nameless = Weights::new().with("w", one()).rename("w", "").to_bytes().unwrap_err();
    assert!(nameless.to_string().contains("rename: \"w\": it leaves nothing of that name"), "{nameless}");
    for mistaken in
        [weights.clone().select(["module.head", "modul"]), weights.clone().cast("modul.*", StorageType::F16)]
    {
        let message = mistaken.to_bytes().unwrap_err().to_string();
        assert!(message.contains("it matches no tensor; there are \"module.features.0.weight\""), "{message}");
    }
    assert!(Weights::new().cast("*", StorageType::F16).to_bytes().is_ok());
}

#[test]
fn mistakes_of_transformations_are_told_with_their_place() {
    let weights = || of_every_type().rename("of.", "");
    let here = |line: u32| format!("weights.rs:{}", line - 1);
    let says = |weights: Weights, parts: &[&str]| {
        for error in [weights.get("f32").unwrap_err(), weights.to_bytes().unwrap_err()] {
            let message = error.to_string();
            assert!(parts.iter().all(|part| message.contains(part)), "{message:?} does not say {parts:?}");
        }
    };
    let broken = weights().rename("", "x");
    says(broken, &[&here(line!()), "rename", "empty", "\"*\" matches every name"]);
    let broken = weights().rename("*.weight", "a.*.b.*");
    says(broken, &[&here(line!()), "rename", "\"*.weight\"", "it has 1 \"*\"", "has 2"]);
    let broken = weights().rename("f32", "f64").rename("x", "y");
    says(broken, &[&here(line!()), "rename", "\"f64\"", "two tensors", "\"f32\""]);
    let broken = weights().rename_with(|_| "same".to_owned());
    says(broken, &[&here(line!()), "rename_with", "\"same\"", "\"scalar\"", "\"empty\""]);
    let broken = weights().rename("f32", "__metadata__");
    says(broken, &[&here(line!()), "rename", "__metadata__", "reserved"]);
    let broken = weights().with("__metadata__", Tensor::scalar(1.0f32));
    says(broken, &[&here(line!()), "with", "__metadata__", "reserved"]);
    let broken = weights().transpose("*.weigth");
    says(broken, &[&here(line!()), "transpose", "\"*.weigth\"", "no tensor of rank 2", "\"f32\""]);
    let broken = weights().cast("*", StorageType::I32);
    says(broken, &[&here(line!()), "cast", "floats are converted to floats, not to i32"]);
    let broken = weights().select(["f32", ""]);
    says(broken, &[&here(line!()), "select", "empty"]);
    // The first mistake is the one that is told.
    let broken = weights().transpose("nothing").rename("", "");
    says(broken, &["transpose", "\"nothing\""]);
    let error = weights().get("f16 ").unwrap_err();
    assert!(matches!(&error, Error::Weights(WeightsError::UnknownTensor { name, .. }) if name == "f16 "));
    assert!(error.to_string().contains("\"f16\""), "{error}");
}

#[test]
fn matrices_are_transposed_in_every_type() {
    let path = folder("transposed").join("file.safetensors");
    of_every_type().save(&path).unwrap();
    for weights in [of_every_type(), Weights::open(&path).unwrap()] {
        let transposed = weights.clone().transpose("of.*");
        for storage in StorageType::ALL {
            let name = format!("of.{storage}");
            let own = transposed.get(&name).unwrap();
            let expected = tensor([3, 2], &[0.5, 3.0, -1.0, 0.0, 2.0, 1.0]).cast(storage);
            assert_eq!((own.storage(), &own), (storage, &expected));
            assert_eq!(transposed.shape(&name).unwrap().to_vec(), [3, 2]);
        }
        let again = Weights::from_bytes(transposed.to_bytes().unwrap()).unwrap().transpose("*");
        assert_eq!(again.get("of.i64").unwrap(), weights.get("of.i64").unwrap());
        // Twice is not at all; other ranks are left alone.
        let twice = weights.clone().transpose("*").transpose("of");
        assert_eq!(twice.get("of.f32").unwrap(), weights.get("of.f32").unwrap());
        assert_eq!(twice.get("four").unwrap(), weights.get("four").unwrap());
        assert_eq!(twice.shape("empty").unwrap().to_vec(), [3, 0]);
    }
}

/// A graph with parameters of each dtype, and a state that counts.
fn network(g: &Graph, width: usize) -> Vec<arenagrad::Expr<'_>> {
    let weight = g.parameter("fc.weight", [width, 2], Init::XavierUniform);
    let bias = g.parameter_of("fc.bias", [width], DType::F64, Init::Constant(0.25));
    let mean = g.state("norm.running_mean", [2], DType::F32, Init::Constant(0.0));
    let count = g.state("norm.num_batches_tracked", [], DType::I32, Init::Constant(0.0));
    vec![weight + mean, bias * 1.0, count + 0]
}

fn session(width: usize) -> Session {
    let g = Graph::new();
    Session::evaluate(&g, &network(&g, width), &Device::cpu()).unwrap()
}

fn foreign() -> Weights {
    Weights::new()
        .with("fc.weight", tensor([3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).cast(StorageType::Bf16))
        .with("fc.bias", tensor([3], &[0.1, 0.2, 0.3]))
        .with("norm.running_mean", Tensor::new([2], vec![0.1f64, -0.2]).unwrap())
        .with("norm.num_batches_tracked", Tensor::new([], vec![I64::from(12)]).unwrap())
}

#[test]
fn loading_converts_and_reports() {
    let mut session = session(3);
    let report = session.load_weights(foreign()).unwrap();
    assert_eq!(report.loaded, ["fc.weight", "fc.bias", "norm.running_mean", "norm.num_batches_tracked"]);
    assert!(report.missing.is_empty() && report.unused.is_empty());
    let converted: Vec<String> = report.converted.iter().map(ToString::to_string).collect();
    assert_eq!(
        converted,
        [
            "fc.weight from bf16 to f32",
            "fc.bias from f32 to f64",
            "norm.running_mean from f64 to f32",
            "norm.num_batches_tracked from i64 to i32"
        ]
    );
    let printed = report.to_string();
    assert!(
        printed.starts_with("loaded 4 tensors from the list of tensors\nconverted (4): fc.weight from bf16"),
        "{printed}"
    );
    assert_eq!(session.parameter("fc.weight").unwrap(), tensor([3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
    assert_eq!(session.parameter("fc.bias").unwrap().to_f64_vec(), [0.1f32, 0.2, 0.3].map(f64::from));
    assert_eq!(session.parameter("norm.running_mean").unwrap(), tensor([2], &[0.1f64 as f32, -0.2f64 as f32]));
    assert_eq!(session.parameter("norm.num_batches_tracked").unwrap().as_slice::<i32>().unwrap(), [12]);
    // And out again.
    let path = folder("out").join("out.safetensors");
    session.weights().unwrap().cast("*", StorageType::F16).save(&path).unwrap();
    let out = Weights::open(&path).unwrap();
    assert_eq!(out.stored_as("fc.weight").unwrap(), "f16");
    assert_eq!(out.stored_as("norm.num_batches_tracked").unwrap(), "i32");
    let mut again = self::session(3);
    assert_eq!(again.load_weights(&out).unwrap().loaded.len(), 4);
    assert_eq!(again.parameter("fc.weight").unwrap(), session.parameter("fc.weight").unwrap());
}

#[test]
fn loading_is_strict_unless_it_is_said_not_to_be() {
    let before = session(3).weights().unwrap().to_bytes().unwrap();
    let mut session = session(3);
    let partly = foreign().rename("norm.running_mean", "norm.mean").with("extra", tensor([1], &[1.0]));
    let error = session.load_weights(&partly).unwrap_err();
    let Error::Weights(WeightsError::Mismatch(mismatch)) = &error else { panic!("{error}") };
    assert_eq!(mismatch.missing, [("norm.running_mean".to_owned(), [2].into())]);
    assert_eq!(mismatch.unused, [("norm.mean".to_owned(), [2].into()), ("extra".to_owned(), [1].into())]);
    let message = error.to_string();
    assert!(
        message.contains("missing are \"norm.running_mean\" [2]; unused are \"norm.mean\" [2], \"extra\" [1]"),
        "{message}"
    );
    // A wrapping module is recognised.
    let message = session.load_weights(foreign().prefix("module.")).unwrap_err().to_string();
    assert!(message.contains(".rename(\"module.\", \"\")"), "{message}");
    // And a module that the session's network is in.
    let parts = || foreign().select(["norm"]).rename("norm.", "");
    let message = session.load_weights(parts()).unwrap_err().to_string();
    assert!(message.contains(".prefix(\"norm.\") helps"), "{message}");
    let report = session.load_weights(parts().not_strict()).unwrap();
    assert!(report.to_string().ends_with(".prefix(\"norm.\") helps"), "{report}");
    // No advice that would rename what fits, or that a pattern does not say.
    let body = || foreign().select(["fc"]);
    for weights in
        [body().rename("fc", "student_fc"), foreign().rename("norm", "fc.norm"), foreign().rename("norm.", "")]
    {
        let message = session.load_weights(weights).unwrap_err().to_string();
        assert!(message.ends_with("; rename, select or leave out tensors, or load with not_strict"), "{message}");
    }
    // Shapes must agree in either case; all of them are told, with both shapes.
    let reshaped = foreign().transpose("fc.weight").with("norm.running_mean", tensor([4], &[0.0; 4]));
    for weights in [reshaped.clone(), reshaped.not_strict().with("extra", tensor([1], &[1.0]))] {
        let error = session.load_weights(weights).unwrap_err();
        let Error::Weights(WeightsError::Mismatch(mismatch)) = &error else { panic!("{error}") };
        assert_eq!(mismatch.shapes.len(), 2);
        let message = error.to_string();
        assert!(message.contains("\"fc.weight\" is [3, 2] but was given [2, 3] (as by a transposition)"), "{message}");
        assert!(message.contains("\"norm.running_mean\" is [2] but was given [4]"), "{message}");
    }
    // What cannot be converted is refused as a whole too.
    let numbers = Tensor::new([], vec![12.0f32]).unwrap();
    let large = Tensor::new([2], vec![I64::from(1), I64::from((1 << 24) + 1)]).unwrap();
    for (name, value, part) in [
        ("norm.num_batches_tracked", numbers, "floats are not cut off"),
        ("norm.running_mean", large, "element 1, 16777217"),
    ] {
        let error = session.load_weights(foreign().with(name, value)).unwrap_err();
        assert!(
            matches!(&error, Error::Weights(WeightsError::Conversion { name: found, .. }) if found == name),
            "{error}"
        );
        assert!(error.to_string().contains(part), "{error}");
    }
    assert_eq!(session.weights().unwrap().to_bytes().unwrap(), before, "refused calls changed something");
    let report = session.load_weights(partly.not_strict()).unwrap();
    assert_eq!(
        (report.missing, report.unused),
        (vec!["norm.running_mean".to_owned()], vec!["norm.mean".to_owned(), "extra".to_owned()])
    );
    assert_eq!(session.parameter("norm.running_mean").unwrap().to_f64_vec(), [0.0, 0.0]);
    assert_eq!(session.parameter("norm.num_batches_tracked").unwrap().item().unwrap(), 12.0);
}

/// The optimiser's state is no part of the network, on either side.
#[test]
fn what_belongs_to_the_training_is_left_alone() {
    let train = |rate: f64| {
        let g = Graph::new();
        let w = g.parameter("w", [2], Init::Constant(1.0));
        let loss = (w * g.input("x", [2]) - 1.0).square().sum(..) * (g.step().cast(DType::F32) * 0.5 + 1.0);
        Session::train(&g, loss, AdamW::new(rate), Device::cpu()).unwrap()
    };
    let mut first = train(0.1);
    let x = tensor([2], &[3.0, 4.0]);
    first.step(&[("x", &x)]).unwrap();
    assert_eq!(first.weights().unwrap().names().collect::<Vec<_>>(), ["w"]);
    let path = folder("training").join("session.safetensors");
    first.save(&path).unwrap();
    // A file of a session is strictly loaded into a network alone, and into a session that trains, whose rate stays.
    let g = Graph::new();
    let w = g.parameter("w", [2], Init::Constant(1.0));
    let mut evaluation = Session::evaluate(&g, &[w], &Device::cpu()).unwrap();
    let weights = Weights::open(&path).unwrap();
    assert!(weights.contains("learning_rate") && weights.metadata().is_empty());
    assert_eq!(evaluation.load_weights(&weights).unwrap().loaded, ["w"]);
    let mut second = train(0.5);
    assert_eq!(second.load_weights(&weights).unwrap().loaded, ["w"]);
    assert_eq!(second.parameter("w").unwrap(), first.parameter("w").unwrap());
    assert_eq!(second.parameter("learning_rate").unwrap().item().unwrap(), 0.5);
    assert_eq!(second.parameter("step").unwrap().item().unwrap(), 0.0);
    assert_eq!(second.parameter("w.first_moment").unwrap().to_f64_vec(), [0.0, 0.0]);
    // A copy of the file still knows.
    let copy = Weights::from_bytes(weights.to_bytes().unwrap()).unwrap();
    assert_eq!(evaluation.load_weights(copy.rename("w", "w")).unwrap().unused, Vec::<String>::new());
}

#[test]
fn a_narrow_parameter_takes_what_is_wider_and_a_device_what_the_other_takes() {
    for device in crate::suite::devices::devices() {
        let g = Graph::new();
        let w = g.parameter_of("w", [3], StorageType::Bf16, Init::Constant(0.0));
        let late = g.parameter("late", [1], Init::Constant(0.0));
        let mut session = Session::evaluate(&g, &[w * 2.0], &device).unwrap();
        let weights = Weights::new()
            .with("w", Tensor::new([3], vec![1.0f64, 1.00390625, -3.0]).unwrap())
            .with("late", Tensor::new([1], vec![5i32]).unwrap());
        let report = session.load_weights(&weights).unwrap();
        assert_eq!(report.converted.len(), 2);
        let expected = [1.0, 1.00390625, -3.0].map(|x| 2.0 * f64::from(Bf16::from_f64(x)));
        assert_eq!(session.run(&[]).unwrap()[0].to_f64_vec(), expected);
        // A parameter that no plan needs yet has the value when one does.
        let plan = session.add(&g, &[late * 1.0]).unwrap();
        assert_eq!(session.run_plan(plan, &[]).unwrap()[0].to_f64_vec(), [5.0]);
    }
}

#[test]
fn models_in_several_files() {
    let folder = folder("shards").join("model");
    let weights: Weights =
        (0..7).map(|number| (format!("layers.{number}"), tensor([2, 5], &[number as f32; 10]))).collect();
    weights.save_shards(&folder, 100).unwrap();
    let names = |folder: &PathBuf| {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let shards: Vec<String> = (1..=4).map(|n| format!("model-{n:05}-of-00004.safetensors")).collect();
    assert_eq!(names(&folder), [&shards[..], &["model.safetensors.index.json".to_owned()]].concat());
    let index: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("model.safetensors.index.json")).unwrap()).unwrap();
    assert_eq!(index["metadata"]["total_size"], 280);
    assert_eq!(index["weight_map"]["layers.6"], "model-00004-of-00004.safetensors");
    for path in [folder.clone(), folder.join("model.safetensors.index.json")] {
        let read = Weights::open(path).unwrap();
        assert_eq!(read.len(), 7);
        assert!(weights.names().all(|name| read.get(name).unwrap() == weights.get(name).unwrap()));
    }
    // One file is enough for a smaller model, which takes the place of the larger one.
    let small = weights.clone().select(["layers.3"]);
    small.save_shards(&folder, 100).unwrap();
    assert!(Weights::open(&folder).unwrap().names().eq(["layers.3"]));
    assert_eq!(names(&folder), ["model.safetensors"]);
    // What is not of a model stays, whatever it is called.
    for name in ["notes-00001-of-00009.safetensors", "model-ema-00001-of-00002.safetensors"] {
        fs::write(folder.join(name), "mine").unwrap();
    }
    // A tensor that is larger than a file may be gets one of its own.
    small.with("layers.4", tensor([1], &[1.0])).save_shards(&folder, 3).unwrap();
    assert_eq!(Weights::open(folder.join("model-00001-of-00002.safetensors")).unwrap().len(), 1);
    assert_eq!(Weights::open(&folder).unwrap().len(), 2);
    let three =
        ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"];
    let others = ["model-ema-00001-of-00002.safetensors", "notes-00001-of-00009.safetensors"];
    assert_eq!(names(&folder), [&three[..2], &others[..1], &three[2..], &others[1..]].concat());
    fs::remove_file(folder.join(others[0])).unwrap();
    // A part alone is no model.
    for lost in ["model.safetensors.index.json", "model-00002-of-00002.safetensors", "notes-00001-of-00009.safetensors"]
    {
        fs::remove_file(folder.join(lost)).unwrap();
    }
    let error = Weights::open(&folder).unwrap_err();
    assert!(matches!(&error, Error::Weights(WeightsError::Index { .. })), "{error}");
    assert!(error.to_string().contains("one of 2 files"), "{error}");
    fs::rename(folder.join(three[0]), folder.join("model-00001-of-00001.safetensors")).unwrap();
    assert_eq!(Weights::open(&folder).unwrap().len(), 1);
}

#[test]
fn a_parameter_of_the_name_of_a_state_is_one_of_the_network() {
    let g = Graph::new();
    let seed = g.parameter("random_seed", [2], Init::Constant(1.0));
    let drawn = (seed * g.input("x", [2])).dropout(0.5, g.step(), 3);
    let mut session = Session::train(&g, drawn.sum(..), Sgd::new(0.1), Device::cpu()).unwrap();
    session.step(&[("x", &tensor([2], &[1.0, 2.0]))]).unwrap();
    let weights = session.weights().unwrap();
    let names: Vec<&str> = weights.names().collect();
    assert_eq!(names, ["random_seed"]);
}

/// Batch norms count batches since PyTorch 0.4.1, whose strict loading takes the files of before.
#[test]
fn counts_of_batches_may_be_missing() {
    let norm = BatchNorm::new("norm", 2);
    let mut trainer = Trainer::new(Device::cpu(), Sgd::new(0.1), |inputs| {
        norm.apply(inputs.get("x"), Phase::Training).square().sum(..)
    });
    let batch = tensor([3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 7.0]);
    trainer.step(&[("x", &batch)]).unwrap();
    let weights = trainer.session().weights().unwrap();
    let count = |trainer: &Trainer<'_>| trainer.session().parameter("norm.num_batches_tracked").unwrap().to_f64_vec();
    let report = trainer.session_mut().load_weights(weights.clone().without(["norm.num_batches_tracked"])).unwrap();
    assert_eq!((report.missing.len(), report.loaded.len(), count(&trainer)), (0, 4, vec![1.0]));
    // Nor is it in the way of advice.
    let message = trainer.session_mut().load_weights(weights.clone().rename("norm", "")).unwrap_err().to_string();
    assert!(message.ends_with("so .prefix(\"norm.\") helps"), "{message}");
    // No other state may.
    assert!(trainer.session_mut().load_weights(weights.without(["norm.running_mean"])).is_err());
}

/// A file that is loaded before anything is planned has all that will be trained, or the first step says what it lacks.
#[test]
fn a_file_of_other_names_is_told_by_the_first_step() {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("of_other_names.safetensors");
    let trainer = || {
        let layer = Linear::new("layer", 2, 1);
        Trainer::new(Device::cpu(), Sgd::new(0.1), move |inputs| layer.apply(inputs.get("x")).square().sum(..))
    };
    let batch = tensor([1, 2], &[1.0, 2.0]);
    let mut first = trainer();
    first.step(&[("x", &batch)]).unwrap();
    let weights = first.session().weights().unwrap();
    weights.clone().prefix("module.").save(&path).unwrap();
    let mut other = trainer();
    other.session_mut().load(&path).unwrap();
    for _ in 0..2 {
        let error = other.step(&[("x", &batch)]).unwrap_err();
        let Error::MissingParameter { name, known, .. } = &error else { panic!("{error}") };
        assert_eq!((name.as_str(), known.as_str()), ("layer.weight", "\"module.layer.bias\", \"module.layer.weight\""));
    }
    // An evaluation that needs nothing of it makes no difference.
    let squares = other.add_evaluation(|inputs| vec![inputs.get("x").square()]);
    assert!(other.evaluate(squares, &[("x", &batch)]).is_ok());
    assert!(other.step(&[("x", &batch)]).is_err());
    weights.save(&path).unwrap();
    other.session_mut().load(&path).unwrap();
    assert_eq!(other.step(&[("x", &batch)]).unwrap().loss, first.step(&[("x", &batch)]).unwrap().loss);
}
