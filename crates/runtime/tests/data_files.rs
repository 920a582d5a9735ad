//! IDX, npy and npz files: what NumPy wrote is read, what is written is read again, and of files that are cut, damaged or lie about
//! their sizes none is believed.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use arenagrad::data::{DataError, Dataset, Found, read_idx, read_lines, read_npy, read_npz, read_text};
use arenagrad::data::{write_idx, write_npy, write_npz};
use flate2::Compression;
use flate2::write::GzEncoder;

use arenagrad::{Bf16, DType, Error, F16, I8, I64, StorageType, Tensor, U8};

/// A file of that name in a folder of its own.
fn file(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("data_files");
    fs::create_dir_all(&folder).unwrap();
    folder.join(name)
}

fn written(name: &str, bytes: &[u8]) -> PathBuf {
    let path = file(name);
    fs::write(&path, bytes).unwrap();
    path
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, Error>) -> DataError {
    match result {
        Err(Error::Data(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// A tensor of each storage type, with the extremes of each.
fn tensors() -> Vec<Tensor> {
    let halves = [1.0, -2.5, f32::INFINITY].map(F16::from_f32).to_vec();
    vec![
        Tensor::new([2, 2], vec![1.5f32, -0.0, f32::INFINITY, f32::MIN_POSITIVE / 8.0]).unwrap(),
        Tensor::new([3], vec![1e300f64, -0.1, 5e-324]).unwrap(),
        Tensor::new([1, 2], vec![i32::MIN, i32::MAX]).unwrap(),
        Tensor::from_bools([2, 1, 2], &[true, false, false, true]).unwrap(),
        Tensor::new([3], halves).unwrap(),
        Tensor::new([2], vec![0u8, 255].into_iter().map(U8::from).collect()).unwrap(),
        Tensor::new([2], vec![-128i8, 127].into_iter().map(I8::from).collect()).unwrap(),
        Tensor::new([2], vec![i32::MIN, i32::MAX].into_iter().map(I64::from).collect()).unwrap(),
        Tensor::scalar(3.25f64),
        Tensor::new([4, 0, 3], Vec::<f32>::new()).unwrap(),
        Tensor::new([1; 40], vec![1i32]).unwrap(),
    ]
}

#[test]
fn what_numpy_wrote() {
    let stored = read_npz("tests/arrays/stored.npz").unwrap();
    let deflated = read_npz("tests/arrays/deflated.npz").unwrap();
    assert_eq!(stored, deflated);
    let get = |name: &str| &stored.iter().find(|(known, _)| known == name).unwrap().1;
    let is = |name: &str, dims: &[usize], storage: StorageType, values: &[f64]| {
        let tensor = get(name);
        assert_eq!((tensor.shape().dims(), tensor.storage()), (dims, storage), "{name}");
        assert_eq!(tensor.to_f64_vec(), values, "{name}");
    };
    is("f4", &[2, 3], StorageType::F32, &[1.5, -2.25, f64::INFINITY, 0.0, -0.0, f64::from(3e-40f32)]);
    assert!(get("f4").as_slice::<f32>().unwrap()[4].is_sign_negative());
    is("f8_big", &[2], StorageType::F64, &[std::f64::consts::PI, -1e300]);
    is("f2", &[2, 1], StorageType::F16, &[0.5, 65504.0]);
    is("u1", &[1, 2, 3], StorageType::U8, &[250.0, 251.0, 252.0, 253.0, 254.0, 255.0]);
    is("i1", &[2], StorageType::I8, &[-128.0, 127.0]);
    is("i2_big", &[2], StorageType::I32, &[-32768.0, 32767.0]);
    is("u2", &[1], StorageType::I32, &[65535.0]);
    is("u4", &[1], StorageType::I32, &[2_147_483_647.0]);
    is("i4", &[2], StorageType::I32, &[-2_147_483_648.0, 2_147_483_647.0]);
    is("i8", &[2, 2], StorageType::I64, &[-5.0, 7.0, 0.0, -2_147_483_648.0]);
    is("u8", &[1], StorageType::I64, &[9.0]);
    is("b1", &[3], StorageType::Bool, &[1.0, 0.0, 1.0]);
    is("scalar", &[], StorageType::F64, &[2.5]);
    is("empty", &[3, 0, 2], StorageType::F32, &[]);
    is("fortran", &[2, 3, 4], StorageType::I32, &(0..24).map(f64::from).collect::<Vec<_>>());
    assert_eq!(stored.len(), 15);
}

#[test]
fn round_trips() {
    for (number, tensor) in tensors().into_iter().enumerate() {
        let path = file(&format!("round-{number}.npy"));
        write_npy(&path, &tensor).unwrap();
        assert_eq!(read_npy(&path).unwrap(), tensor);
        // NumPy wants the elements to begin at a multiple of 64 bytes.
        let bytes = fs::metadata(&path).unwrap().len() - tensor.data().bytes() as u64;
        assert_eq!(bytes % 64, 0);
        let storage = tensor.storage();
        let widened = if storage == StorageType::Bool {
            tensor.cast(DType::I32).cast(StorageType::U8)
        } else if storage == StorageType::F16 {
            tensor.cast(DType::F32)
        } else if storage == StorageType::I64 {
            tensor.cast(DType::I32)
        } else {
            tensor
        };
        for name in [format!("round-{number}.idx"), format!("round-{number}.idx.gz")] {
            write_idx(file(&name), &widened).unwrap();
            assert_eq!(read_idx(file(&name)).unwrap(), widened);
        }
    }
    let narrow = Tensor::new([2], vec![Bf16::from_f32(1.5), Bf16::from_f32(-3e38)]).unwrap();
    write_npy(file("bf16.npy"), &narrow).unwrap();
    assert_eq!(read_npy(file("bf16.npy")).unwrap(), narrow.cast(DType::F32));

    let (x, t) = (&tensors()[0], &tensors()[1]);
    let path = file("round.npz");
    write_npz(&path, &[("x", x), ("a folder/t", t), ("", t)]).unwrap();
    let read = read_npz(&path).unwrap();
    assert_eq!(read, [("x".to_owned(), x.clone()), ("a folder/t".to_owned(), t.clone()), (String::new(), t.clone())]);
    assert!(matches!(refused(Dataset::of(read)), DataError::SampleCount { .. }));
    write_npz(&path, &[]).unwrap();
    assert!(read_npz(&path).unwrap().is_empty());
}

/// A file in the IDX format.
fn idx(kind: u8, extents: &[u32], elements: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, kind, extents.len() as u8];
    extents.iter().for_each(|extent| bytes.extend(extent.to_be_bytes()));
    bytes.extend(elements);
    bytes
}

#[test]
fn idx_files_are_big_endian() {
    let read = |bytes: &[u8]| read_idx(written("endian.idx", bytes)).unwrap();
    let tensor = read(&idx(0x0B, &[1, 2], &[0xFF, 0xFE, 0x01, 0x00]));
    assert_eq!(tensor, Tensor::new([1, 2], vec![-2, 256]).unwrap());
    assert_eq!(read(&idx(0x0D, &[1], &[0x3F, 0xC0, 0, 0])), Tensor::new([1], vec![1.5f32]).unwrap());
    assert_eq!(read(&idx(0x0E, &[], &[0x40, 0, 0, 0, 0, 0, 0, 0])), Tensor::scalar(2.0f64));
    assert_eq!(read(&idx(0x0C, &[1], &[0, 0, 1, 0])), Tensor::new([1], vec![256]).unwrap());
}

#[test]
fn idx_files_that_are_none() {
    let whole = idx(0x08, &[2, 3], &[1, 2, 3, 4, 5, 6]);
    // Cut anywhere, packed or not, a file is refused with its path.
    for length in 0..whole.len() {
        let path = written("cut.idx", &whole[..length]);
        let error = refused(read_idx(&path));
        assert!(error.to_string().starts_with(&path.display().to_string()));
        assert_eq!(matches!(error, DataError::Length { .. }), length >= 12, "{error}");
    }
    let error = refused(read_idx(written("long.idx", &[&whole[..], &[7]].concat())));
    assert!(matches!(error, DataError::Length { expected: 6, found: Found::More, .. }));
    let error = refused(read_idx(written("short.idx", &whole[..15])));
    assert!(
        error.to_string().ends_with("the header tells of shape [2, 3] of u8, which takes 6 bytes, but there are 3")
    );
    let packed = file("whole.idx.gz");
    write_idx(&packed, &read_idx(written("whole.idx", &whole)).unwrap()).unwrap();
    let bytes = fs::read(&packed).unwrap();
    assert_eq!(read_idx(written("packed.idx", &bytes)).unwrap(), read_idx(file("whole.idx")).unwrap());
    for length in 2..bytes.len() {
        assert!(read_idx(written("cut.idx.gz", &bytes[..length])).is_err());
    }
    // Python's gzip passes over zeros behind a member, and reads the next.
    let zeros = [0u8; 20_000];
    let padded = [&bytes[..], &zeros].concat();
    assert_eq!(read_idx(written("padded.idx.gz", &padded)).unwrap(), read_idx(file("whole.idx")).unwrap());
    assert!(matches!(read_idx(written("garbage.idx.gz", &[&padded[..], &[7]].concat())), Err(Error::File { .. })));
    let packed = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let members = [&packed(&whole[..7]), &zeros[..1], &packed(&[]), &packed(&whole[7..]), &zeros[..9]].concat();
    assert_eq!(read_idx(written("members.idx.gz", &members)).unwrap(), read_idx(file("whole.idx")).unwrap());
    let mut damaged = bytes.clone();
    damaged[bytes.len() - 5] ^= 1; // a bit of the checksum
    assert!(matches!(read_idx(written("damaged.idx.gz", &damaged)), Err(Error::File { .. })));
    for (bytes, offset) in
        [(idx(0x07, &[1], &[1]), 2), ([&[1], &whole[1..]].concat(), 0), ([&[0, 9], &whole[2..]].concat(), 0)]
    {
        let error = refused(read_idx(written("wrong.idx", &bytes)));
        assert!(matches!(error, DataError::Format { format: "IDX", offset: at, .. } if at == offset), "{error}");
    }
    // Sizes that are made up are not believed: more than memory, and more than numbers.
    for extents in [&[u32::MAX; 2][..], &[u32::MAX; 3], &[u32::MAX; 255], &[1 << 31, 1]] {
        let error = refused(read_idx(written("hostile.idx", &idx(0x0E, extents, &[1, 2, 3]))));
        assert!(matches!(error, DataError::Length { found: Found::Exactly(3), .. }), "{error}");
    }
    assert!(matches!(read_idx("no/such.idx"), Err(Error::File { .. })));
    assert!(matches!(read_idx(env!("CARGO_TARGET_TMPDIR")), Err(Error::File { .. })));
}

/// A file in the npy format of version 1.
fn npy(header: &str, elements: &[u8]) -> Vec<u8> {
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), elements].concat()
}

#[test]
fn headers_of_npy_files() {
    let read = |header: &str, elements: &[u8]| read_npy(written("header.npy", &npy(header, elements)));
    let expected = Tensor::new([2], vec![1.0f32, 2.0]).unwrap();
    let elements = [0, 0, 0x80, 0x3F, 0, 0, 0, 0x40];
    for header in [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }   \n",
        "{\"shape\":(2,),\"fortran_order\":True,\"descr\":\"=f4\"}",
        "{'descr': 'f4', 'fortran_order': False, 'shape': (2L,)}",
        "\n{ 'shape' : ( 2 ) , 'descr' : '<f4' , 'fortran_order' : False }",
    ] {
        assert_eq!(read(header, &elements).unwrap(), expected, "{header}");
    }
    for (header, says) in [
        ("{'descr': '<c8', 'fortran_order': False, 'shape': (1,)}", "elements of type \"<c8\" are not supported"),
        ("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", "elements of type \"|O\" are not supported"),
        ("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,)}", "records"),
        ("{'descr': '<f4', 'fortran_order': False}", "lacks \"shape\""),
        ("{'descr': '<f4', 'shape': (2,)}", "lacks \"fortran_order\""),
        ("{}", "lacks \"descr\""),
        ("", "'{' is missing"),
        ("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", "stands there twice"),
        ("{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}", "True or False"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}", "an extent"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", "an extent"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (2,}", "an extent"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (2}", "')' is missing"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} 1", "behind the dictionary"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'more': 1}", "\"more\" is no part"),
        ("{'descr': '<f4, 'fortran_order", "elements of type"),
        ("{'descr", "a text has no end"),
    ] {
        let error = refused(read(header, &elements));
        let DataError::Format { offset, reason, .. } = &error else { panic!("{header}: {error}") };
        assert!(reason.contains(says) && (10..=10 + header.len() as u64).contains(offset), "{header}: {error}");
    }
    // Integers that i32 does not hold are named by their place.
    let header = "{'descr': '<i8', 'fortran_order': False, 'shape': (2,)}";
    let elements = [1i64, 1 << 31].map(i64::to_le_bytes).concat();
    let DataError::Integer { position: 1, value: 0x8000_0000, .. } = refused(read(header, &elements)) else { panic!() };
    // As what they are, whatever holds them.
    let of = |kind: &str, elements: &[u8]| {
        refused(read(&format!("{{'descr': '<{kind}', 'fortran_order': False, 'shape': (2,)}}"), elements)).to_string()
    };
    let says = |message: String, value: &str, name: &str| {
        let end =
            format!("element 1 is {value}, which i32 does not hold: what a file holds as {name} must fit it here");
        assert!(message.ends_with(&end), "{message}");
    };
    says(of("u8", &[1u64, 1 << 63].map(u64::to_le_bytes).concat()), "9223372036854775808", "u64");
    says(of("u4", &[1u32, 1 << 31].map(u32::to_le_bytes).concat()), "2147483648", "u32");
    says(of("i8", &[1i64, i64::MIN].map(i64::to_le_bytes).concat()), "-9223372036854775808", "i64");
    let header = header.replace("<i8", "<u8");
    let DataError::Integer { position: 1, .. } = refused(read(&header, &elements)) else { panic!() };
    let header = header.replace("<u8", ">u4");
    let DataError::Integer { position: 0, .. } = refused(read(&header, &u64::MAX.to_le_bytes())) else { panic!() };
}

#[test]
fn npy_files_that_are_none() {
    let path = file("whole.npy");
    write_npy(&path, &Tensor::new([2, 3], vec![1.0f32; 6]).unwrap()).unwrap();
    let whole = fs::read(&path).unwrap();
    for length in 0..whole.len() {
        let error = refused(read_npy(written("cut.npy", &whole[..length])));
        assert_eq!(matches!(error, DataError::Length { .. }), length >= 128, "{error}");
    }
    let error = refused(read_npy(written("long.npy", &[&whole[..], &[0]].concat())));
    assert!(matches!(error, DataError::Length { expected: 24, found: Found::More, .. }));
    assert!(matches!(
        refused(read_npy(written("wrong.npy", b"PK\x03\x04and so on"))),
        DataError::Format { offset: 0, .. }
    ));
    let mut version = whole.clone();
    version[6] = 9;
    assert!(matches!(refused(read_npy(written("version.npy", &version))), DataError::Format { offset: 6, .. }));
    // A header that is said to be gigabytes long, and shapes past memory and past numbers.
    let long = [b"\x93NUMPY\x02\x00", &u32::MAX.to_le_bytes()[..], b"{"].concat();
    assert!(matches!(refused(read_npy(written("hostile.npy", &long))), DataError::Format { offset: 8, .. }));
    for shape in ["4611686018427387904,", "1099511627776, 4", "4294967296, 4294967296, 4294967296"] {
        for order in ["True", "False"] {
            let header = format!("{{'descr': '<f8', 'fortran_order': {order}, 'shape': ({shape})}}");
            let error = refused(read_npy(written("hostile.npy", &npy(&header, &[0; 16]))));
            assert!(matches!(error, DataError::Length { found: Found::Exactly(16), .. }), "{error}");
        }
    }
    // A shape is told as the file has it, in whichever order its elements stand.
    for order in ["True", "False"] {
        let header = format!("{{'descr': '<f8', 'fortran_order': {order}, 'shape': (2, 3)}}");
        let told = refused(read_npy(written("short.npy", &npy(&header, &[0; 16])))).to_string();
        assert!(told.contains("[2, 3] of f64, which takes 48 bytes"), "{told}");
    }
}

#[test]
fn arrays_without_elements_may_have_any_other_extents() {
    for extents in [vec![0, usize::MAX, usize::MAX, 3], vec![1 << 40, 1 << 40, 0], vec![usize::MAX, 0]] {
        let tensor = Tensor::new(extents.clone(), Vec::<f64>::new()).unwrap();
        let path = file("empty.npy");
        write_npy(&path, &tensor).unwrap();
        assert_eq!(read_npy(&path).unwrap(), tensor);
        let shape = extents.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
        let header = format!("{{'descr': '<f8', 'fortran_order': True, 'shape': ({shape})}}");
        assert_eq!(read_npy(written("empty-fortran.npy", &npy(&header, &[]))).unwrap(), tensor);
        let error = refused(read_npy(written("empty-more.npy", &npy(&header, &[0; 16]))));
        assert!(matches!(error, DataError::Length { expected: 0, found: Found::More, .. }), "{error}");
    }
    let extents = [0, u32::MAX, u32::MAX, u32::MAX];
    let read = read_idx(written("empty.idx", &idx(0x0E, &extents, &[]))).unwrap();
    assert_eq!(read.shape().dims(), extents.map(|extent| extent as usize));
}

#[test]
fn npz_files_that_are_none() {
    for name in ["stored", "deflated"] {
        let whole = fs::read(Path::new("tests/arrays").join(format!("{name}.npz"))).unwrap();
        for length in (0..whole.len()).step_by(7) {
            assert!(read_npz(written("cut.npz", &whole[..length])).is_err());
        }
        // A bit anywhere in the elements or the header of an array is found by the checksum.
        let at = whole.windows(6).position(|bytes| bytes == b"f4.npy").unwrap() + 60;
        for bit in 0..8 {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << bit;
            assert!(read_npz(written("damaged.npz", &damaged)).is_err());
        }
    }
    assert!(matches!(refused(read_npz(written("none.npz", b"no archive"))), DataError::Archive { .. }));
    // Two arrays of one name, and an entry that is no array.
    let x = Tensor::scalar(1.0f32);
    write_npz(file("twice.npz"), &[("x", &x), ("x", &x)]).unwrap();
    assert!(refused(read_npz(file("twice.npz"))).to_string().contains("two arrays named \"x\""));
    let mut bytes = fs::read(file("twice.npz")).unwrap();
    while let Some(at) = bytes.windows(5).position(|bytes| bytes == b"x.npy") {
        bytes[at + 2..at + 5].copy_from_slice(b"txt");
    }
    assert!(refused(read_npz(written("text.npz", &bytes))).to_string().contains("\"x.txt\""));
}

#[test]
fn files_of_text() {
    assert_eq!(read_text(written("text.txt", "\u{FEFF}zwölf\r\nBoxer\n".as_bytes())).unwrap(), "zwölf\r\nBoxer\n");
    assert_eq!(read_lines(file("text.txt")).unwrap(), ["zwölf", "Boxer"]);
    let mut latin = written("latin.txt", b"");
    fs::File::create(&latin).unwrap().write_all(b"zw\xF6lf").unwrap();
    let DataError::NotText { path, offset: 2 } = refused(read_text(&latin)) else { panic!() };
    assert_eq!(path, latin);
    latin.set_extension("none");
    assert!(matches!(read_text(latin), Err(Error::File { .. })));
}
