//! Missing numbers filled by what was fitted to training data, and archives of arrays that are read one by one.

use arenagrad::data::{Categories, Csv, DataError, Dataset, Fill, Imputation, Missing, Npz, Per, read_npz, write_npz};
use arenagrad::{DType, Error, Tensor};

fn set(x: Tensor) -> Dataset {
    Dataset::new().with("x", x).unwrap()
}

const NAN: f64 = f64::NAN;

#[test]
fn fills_are_those_of_the_training_data() {
    let train = set(Tensor::from([[1.0, 7.0], [2.0, NAN], [NAN, 7.0], [4.0, -3.0], [9.0, 5.0]]));
    let test = set(Tensor::from([[NAN, NAN], [100.0, NAN]]));
    let filled = |fill: Fill, per: Per| {
        let imputation = Imputation::fit(&train, "x", per, fill).unwrap();
        imputation.apply(&test).unwrap().column("x").unwrap().to_f64_vec()
    };
    assert_eq!(filled(Fill::Mean, Per::Channel), [4.0, 4.0, 100.0, 4.0]);
    assert_eq!(filled(Fill::Median, Per::Channel), [3.0, 6.0, 100.0, 6.0]);
    assert_eq!(filled(Fill::MostFrequent, Per::Channel), [1.0, 7.0, 100.0, 7.0]);
    assert_eq!(filled(Fill::Constant(-1.5), Per::Channel), [-1.5, -1.5, 100.0, -1.5]);
    assert_eq!(filled(Fill::Mean, Per::Whole), [4.0, 4.0, 100.0, 4.0]);
    assert_eq!(filled(Fill::Median, Per::Whole), [4.5, 4.5, 100.0, 4.5]);
    // What is there stays to the last bit, in its own dtype.
    let floats = set(Tensor::from([0.1f32, f32::NAN, 0.2]));
    let imputation = Imputation::fit(&floats, "x", Per::Channel, Fill::Median).unwrap();
    let found = imputation.transform(floats.column("x").unwrap()).unwrap();
    assert_eq!((found.dtype(), found.as_slice::<f32>().unwrap()[0]), (DType::F32, 0.1));
    // Channels of images.
    let images = set(Tensor::new([1, 2, 1, 2], vec![1.0, NAN, 10.0, 30.0]).unwrap());
    let imputation = Imputation::fit(&images, "x", Per::Channel, Fill::Mean).unwrap();
    let missing = Tensor::new([1, 2, 1, 2], vec![NAN; 4]).unwrap();
    assert_eq!(imputation.transform(&missing).unwrap().to_f64_vec(), [1.0, 1.0, 20.0, 20.0]);
    // Two large numbers, and the numbers from a file.
    let large = set(Tensor::from([1.5e308, 1.7e308, NAN]));
    let imputation = Imputation::fit(&large, "x", Per::Channel, Fill::Median).unwrap();
    assert_eq!(imputation.fill().to_f64_vec(), [1.6e308]);
    assert_eq!(Imputation::from_tensors("x", &imputation.tensors()).unwrap(), imputation);
}

#[test]
fn what_cannot_be_filled_is_told() {
    let data = set(Tensor::from([[1.0, NAN], [2.0, NAN]]));
    for fill in [Fill::Mean, Fill::Median, Fill::MostFrequent] {
        let error = Imputation::fit(&data, "x", Per::Channel, fill).unwrap_err();
        assert!(matches!(&error, Error::Data(DataError::Fit { column, .. }) if column == "x"), "{error}");
    }
    assert!(Imputation::fit(&data, "x", Per::Channel, Fill::Constant(0.0)).is_ok());
    for constant in [NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let error = Imputation::fit(&data, "x", Per::Channel, Fill::Constant(constant)).unwrap_err();
        assert!(error.to_string().contains("is not finite"), "{error}");
    }
    let infinite = set(Tensor::from([[1.0, 3.0], [2.0, f64::INFINITY]]));
    let error = Imputation::fit(&infinite, "x", Per::Channel, Fill::Mean).unwrap_err();
    assert!(error.to_string().contains("element 1 would be filled with, inf,"), "{error}");
    assert!(Imputation::fit(&infinite, "x", Per::Channel, Fill::MostFrequent).is_ok());
    assert!(matches!(
        Imputation::fit(&data, "y", Per::Channel, Fill::Mean),
        Err(Error::Data(DataError::UnknownColumn { .. }))
    ));
    let imputation = Imputation::fit(&data, "x", Per::Whole, Fill::Mean).unwrap();
    assert_eq!(imputation.apply(&data).unwrap().column("x").unwrap().to_f64_vec(), [1.0, 1.5, 2.0, 1.5]);
    let of_columns = Imputation::fit(&data, "x", Per::Channel, Fill::Constant(0.0)).unwrap();
    assert!(matches!(
        of_columns.transform(&Tensor::from([[1.0, 2.0, 3.0]])),
        Err(Error::Data(DataError::Scaling { .. }))
    ));
    let table = Csv::new().features("x", ["a"]).missing(Missing::Nan).parse("a\n1\n\"\"\n5\n").unwrap();
    let imputation = Imputation::fit(&table.data, "x", Per::Channel, Fill::Mean).unwrap();
    assert_eq!(imputation.apply(&table.data).unwrap().column("x").unwrap().to_f64_vec(), [1.0, 3.0, 5.0]);
}

#[test]
fn arrays_of_an_archive_are_read_one_by_one() {
    let path = std::env::temp_dir().join(format!("arenagrad-entries-{}.npz", std::process::id()));
    let (first, second) = (Tensor::from([1.0f32, 2.0]), Tensor::from([[1, 2], [3, 4]]));
    write_npz(&path, &[("first", &first), ("second", &second)]).unwrap();
    let file = Npz::open(&path).unwrap();
    assert_eq!(file.names().collect::<Vec<_>>(), ["first", "second"]);
    assert_eq!((file.read("second").unwrap(), file.read("first").unwrap()), (second.clone(), first.clone()));
    let error = file.read("third").unwrap_err();
    assert!(
        matches!(&error, Error::Data(DataError::UnknownColumn { known, .. }) if known.contains("first")),
        "{error}"
    );
    // Of a file with a damaged array the others can still be read.
    let mut bytes = std::fs::read(&path).unwrap();
    let place = bytes.windows(8).position(|window| window == [0, 0, 128, 63, 0, 0, 0, 64]).unwrap();
    bytes[place] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let damaged = Npz::open(&path).unwrap();
    assert!(matches!(damaged.read("first"), Err(Error::File { .. })));
    assert_eq!(damaged.read("second").unwrap(), second);
    assert!(read_npz(&path).is_err());
    std::fs::write(&path, b"no archive").unwrap();
    assert!(matches!(Npz::open(&path), Err(Error::Data(DataError::Archive { .. }))));
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(Npz::open(&path), Err(Error::File { .. })));
}

#[test]
fn a_missing_category_is_one_of_its_own() {
    const TEXT: &str = "area,street\n1,Pave\nNA,\n3,Grvl\n4,NA\n";
    let csv = Csv::new().features("x", ["area"]).categories("street", "street").missing(Missing::Nan);
    let error = csv.parse(TEXT).unwrap_err().to_string();
    assert!(error.contains("`missing_category`") && error.contains("`missing_texts`"), "{error}");
    let csv = csv.missing_category("missing");
    let table = csv.parse(TEXT).unwrap();
    let street = table.categories("street").unwrap();
    assert_eq!(street.names(), ["Grvl", "NA", "Pave", "missing"]);
    assert_eq!(table.data.column("street").unwrap().as_slice::<i32>().unwrap(), [2, 3, 0, 1]);
    assert!(table.data.column("x").unwrap().to_f64_vec()[1].is_nan());
    // The texts say what is missing, and rows without a number are left out while those without a category are not.
    let csv = csv.missing_texts(["NA", ""]).missing(Missing::DropRow);
    let table = csv.parse(TEXT).unwrap();
    assert_eq!(table.categories("street").unwrap().names(), ["Grvl", "Pave", "missing"]);
    assert_eq!(table.data.column("street").unwrap().as_slice::<i32>().unwrap(), [1, 0, 2]);
    // Of known categories it must be one.
    let known = |known| Csv::new().known_categories("street", "street", known).missing_category("missing");
    let found = known(street).parse("street\n\"\"\nPave\n").unwrap();
    assert_eq!(found.data.column("street").unwrap().as_slice::<i32>().unwrap(), [3, 2]);
    let error = known(&Categories::new(["Pave"])).parse("street\n\"\"\n").unwrap_err().to_string();
    assert!(error.ends_with("\"missing\" is none of the 1 categories that are known"), "{error}");
}
