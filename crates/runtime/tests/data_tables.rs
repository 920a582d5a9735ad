//! Tables of text: which cells become what, and every cell that is wrong is named by file, line and column.

use arenagrad::data::{Categories, CellProblem, Csv, DataError, Missing, Table};
use arenagrad::{Error, Tensor};

const FLOWERS: &str =
    "id,length,width,species\n1,5.1,3.5,setosa\n2,6.3,3.3,virginica\n3,4.9,NA,setosa\n4,5.5,2.5,versicolor\n";

#[track_caller]
fn refused(result: Result<Table, Error>) -> DataError {
    match result {
        Err(Error::Data(error)) => error,
        other => panic!("{other:?}"),
    }
}

fn floats(table: &Table, name: &str) -> Vec<f32> {
    table.data.column(name).unwrap().as_slice::<f32>().unwrap().to_vec()
}

fn integers(table: &Table, name: &str) -> Vec<i32> {
    table.data.column(name).unwrap().as_slice::<i32>().unwrap().to_vec()
}

#[test]
fn columns_by_name_by_place_and_those_that_remain() {
    let csv =
        Csv::new().categories("labels", "species").integers("id", "id").features("y", [1, 0]).missing(Missing::Nan);
    let table = csv.remaining("x").parse(FLOWERS).unwrap();
    assert_eq!(table.data.column("x").unwrap().shape().dims(), [4, 1]);
    let x = floats(&table, "x");
    assert_eq!((x[0], x[1], x[3]), (3.5, 3.3, 2.5));
    assert!(x[2].is_nan());
    assert_eq!(floats(&table, "y"), [5.1, 1.0, 6.3, 2.0, 4.9, 3.0, 5.5, 4.0]);
    assert_eq!(integers(&table, "id"), [1, 2, 3, 4]);
    // Categories are numbered in the order of their names.
    assert_eq!(integers(&table, "labels"), [0, 2, 0, 1]);
    let species = table.categories("labels").unwrap();
    assert_eq!(species.names(), ["setosa", "versicolor", "virginica"]);
    assert_eq!((species.name(3), species.name(-1), species.number("rose")), (None, None, None));
    assert!(table.categories("x").is_none());
    assert_eq!(table.data.columns().map(|(name, _)| name).collect::<Vec<_>>(), ["labels", "id", "y", "x"]);
}

#[test]
fn missing_numbers_are_as_the_caller_says() {
    let csv = Csv::new().features("x", ["length", "width"]).categories("labels", "species");
    let error = refused(csv.parse(FLOWERS));
    let (path, column) = ("text".into(), "\"width\"".to_owned());
    let problem = CellProblem::Missing { text: "NA".to_owned() };
    assert_eq!(error, DataError::Cell { path, line: 4, column, problem });
    let filled = csv.clone().missing(Missing::Value(-1.0)).parse(FLOWERS).unwrap();
    assert_eq!(floats(&filled, "x")[4..6], [4.9, -1.0]);
    let dropped = csv.clone().missing(Missing::DropRow).parse(FLOWERS).unwrap();
    assert_eq!(floats(&dropped, "x"), [5.1, 3.5, 6.3, 3.3, 5.5, 2.5]);
    assert_eq!(integers(&dropped, "labels"), [0, 2, 1]);
    // A category that stands in dropped rows alone is none; a row is dropped whole, whatever column comes first.
    let text = "species,width,n\nrose,,1\nsetosa,2,3\n";
    let csv = Csv::new().categories("labels", "species").features("x", ["width"]).integers("n", "n");
    let table = csv.clone().missing(Missing::DropRow).parse(text).unwrap();
    assert_eq!((integers(&table, "labels"), integers(&table, "n"), table.data.len()), (vec![0], vec![3], 1));
    assert_eq!(table.categories("labels").unwrap().names(), ["setosa"]);
    // Texts of one's own: NA is no longer one, and so it is no number.
    let csv = Csv::new().features("x", ["width"]).missing(Missing::Nan).missing_texts(["?"]);
    assert!(csv.parse("width\n?\n1\n").unwrap().data.column("x").unwrap().to_f64_vec()[0].is_nan());
    assert!(matches!(
        refused(csv.parse("width\nNA\n")),
        DataError::Cell { line: 2, problem: CellProblem::NoNumber { .. }, .. }
    ));
    // A category is never made up, and NA is one like any other. An integer becomes what is said, if that is one.
    const NAN: f64 = f64::NAN;
    let csv = Csv::new().categories("c", 0).integers("n", 1).missing(Missing::Value(7.0));
    assert_eq!(integers(&csv.parse("c,n\na,\nb,NA\n").unwrap(), "n"), [7, 7]);
    assert_eq!(
        refused(csv.parse("c,n\n,1\n")).to_string(),
        "text:2: column \"c\": the category is missing (\"\"); `missing_category` makes one of such, Missing::DropRow leaves their rows \
         out, and `missing_texts` says which texts stand for a missing value"
    );
    for (missing, value) in [
        (Missing::Value(0.5), "0.5"),
        (Missing::Value(2147483648.0), "2147483648"),
        (Missing::Value(1e300), "1e300"),
        (Missing::Value(NAN), "NaN"),
        (Missing::Nan, "NaN"),
    ] {
        let message = refused(csv.clone().missing(missing).parse("c,n\na,NA\n")).to_string();
        let expected = "which is to take its place, is not an integer within -2147483648..=2147483647";
        assert_eq!(message, format!("text:2: column \"n\": the value is missing (\"NA\"), and {value}, {expected}"));
    }
    assert_eq!(csv.parse("c,n\nNA,1\n").unwrap().categories("c").unwrap().names(), ["NA"]);
}

#[test]
fn test_data_has_the_categories_of_the_training_data() {
    let train = Csv::new().categories("labels", "species").parse(FLOWERS).unwrap();
    let known = train.categories("labels").unwrap();
    let csv = Csv::new().known_categories("labels", "species", known);
    let test = csv.parse("species\nvirginica\nvirginica\n").unwrap();
    assert_eq!(integers(&test, "labels"), [2, 2]);
    assert_eq!(test.categories("labels"), Some(known));
    let error = refused(csv.parse("species\nvirginica\nrose\n"));
    assert_eq!(error.to_string(), "text:3: column \"species\": \"rose\" is none of the 3 categories that are known");
    // Integers are in the order of their values, and before other names.
    let table = Csv::new().categories("c", 0).without_header().parse("10\n9\nb\n-1\na\n9\n").unwrap();
    assert_eq!(table.categories("c").unwrap().names(), ["-1", "9", "10", "a", "b"]);
    assert_eq!(integers(&table, "c"), [2, 1, 4, 0, 3, 1]);
    assert_eq!(Categories::new(["a", "b", "a"]).names(), ["a", "b"]);
}

#[test]
fn ways_of_writing_tables() {
    let plain = Csv::new().features("x", [0, 1]).without_header();
    let expected = Tensor::new([2, 2], vec![1.0f32, 2.0, 3.0, 4.0]).unwrap();
    for (csv, text) in [
        (plain.clone(), "1,2\n3,4\n"),
        (plain.clone(), "1,2\r\n3,4"),
        (plain.clone(), "\n1,2\n\n\n3,4\n\n"),
        (plain.clone(), " 1 ,\t2\n3, 4\n"),
        (plain.clone(), "\"1\",2\n3,\"4\"\n"),
        (plain.clone(), "\u{FEFF}1,2\n3,4\n"),
        (plain.clone().delimiter(b';'), "1;2\n3;4\n"),
        (plain.clone().delimiter(b'\t'), "1\t2\n3\t4\n"),
        (plain.clone().comment(b'#'), "# of 2026\n1,2\n#1,2,3\n3,4\n"),
        (Csv::new().features("x", ["a b", "c,d"]), "a b,\"c,d\"\n1,2\n3,4\n"),
        (Csv::new().features("x", ["a", "b"]), "\u{FEFF}a,b\n1,2\n3,4\n"),
    ] {
        assert_eq!(csv.parse(text).unwrap().data.column("x").unwrap(), &expected, "{text:?}");
    }
    // Numbers are rounded once: to f32 from text, or to f64.
    let precise = "0.1\n1e-46\n16777217.0000000001\n";
    let table = Csv::new().features("x", [0]).without_header().parse(precise).unwrap();
    assert_eq!(floats(&table, "x"), [0.1f32, 0.0, 16_777_218.0]);
    let table = Csv::new().features("x", [0]).without_header().f64().parse(precise).unwrap();
    assert_eq!(table.data.column("x").unwrap().as_slice::<f64>().unwrap()[1], 1e-46);
    // A header and nothing else: no samples, whose shape is known.
    let table = Csv::new().features("x", ["a", "b"]).integers("n", "c").parse("a,b,c\n").unwrap();
    assert_eq!(table.data.column("x").unwrap().shape().dims(), [0, 2]);
    assert_eq!(Csv::new().remaining("x").parse("a,b,c").unwrap().data.column("x").unwrap().shape().dims(), [0, 3]);
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    let csv = Csv::new().features("x", ["a"]).integers("n", "b");
    for (text, message) in [
        ("a,b\n1,2\nx,2\n", "text:3: column \"a\": \"x\" is no number"),
        ("a,b\n\n\n1.5e,2\n", "text:4: column \"a\": \"1.5e\" is no number"),
        ("a,b\n1,2\n1,2.5\n", "text:3: column \"b\": \"2.5\" is no integer within -2147483648..=2147483647"),
        ("a,b\n1,2147483648\n", "text:2: column \"b\": \"2147483648\" is no integer within -2147483648..=2147483647"),
        ("a,b\n1,2\n1\n", "text:3: the line has 1 columns, but the first has 2"),
        ("a,b\n1,2,3\n", "text:2: the line has 3 columns, but the first has 2"),
        ("a,c\n1,2\n", "text: no column is \"b\"; there are \"a\", \"c\""),
        ("a,b,a\n1,2,3\n", "text:1: two columns are named \"a\"; call them by their places"),
        ("", "text:1: there is no line in it, not even a header"),
    ] {
        assert_eq!(refused(csv.parse(text)).to_string(), message, "{text:?}");
    }
    let error = refused(Csv::new().features("x", [2]).without_header().parse("1,2\n"));
    assert_eq!(error.to_string(), "text: no column is 2; there are 2, which have no names, counted from 0");
    let error = refused(Csv::new().features("x", [0]).integers("x", 0).parse("a\n1\n"));
    assert!(matches!(error, DataError::RepeatedColumn { .. }));
    let bytes = b"a,b\n1,2\n3,\xFF4\n";
    let error = refused(csv.read_from(&bytes[..], "some/file.csv"));
    assert_eq!(error.to_string(), "some/file.csv:3: column \"b\": byte 0 of the cell begins no character of UTF-8");
    let error = csv.read("no/such/file.csv").unwrap_err();
    assert!(matches!(&error, Error::File { path, .. } if path.ends_with("file.csv")), "{error}");
}

#[test]
fn numbers_that_the_dtype_does_not_hold_and_every_spelling_of_none() {
    let cell = |text: &str| Csv::new().features("x", ["a"]).parse(&format!("a\n{text}\n"));
    for text in ["1e39", "-1e39"] {
        let message = refused(cell(text)).to_string();
        let expected = "is a number that f32 does not hold; f64 does: .f64() reads numbers as such";
        assert_eq!(message, format!("text:2: column \"a\": {text:?} {expected}"));
    }
    let wide = Csv::new().features("x", ["a"]).f64();
    assert_eq!(wide.parse("a\n1e39\n").unwrap().data.column("x").unwrap().to_f64_vec(), [1e39]);
    let message = refused(wide.parse("a\n1e999\n")).to_string();
    assert_eq!(message, "text:2: column \"a\": \"1e999\" is a number that f64 does not hold");
    // What stands in the place of a missing one is held to the same.
    for (value, expected) in [
        (1e300, "1e300, which is to take its place, is not a number that f32 holds; .f64() reads numbers as f64"),
        (f64::NAN, "NaN, which is to take its place, is not a number; Missing::Nan leaves NaN there"),
    ] {
        let csv = Csv::new().features("x", ["a"]).missing(Missing::Value(value));
        let message = refused(csv.parse("a\nNA\n")).to_string();
        assert_eq!(message, format!("text:2: column \"a\": the value is missing (\"NA\"), and {expected}"));
        assert_eq!(csv.f64().parse("a\nNA\n").is_ok(), value.is_finite());
    }
    for text in ["-nan", "+NaN"] {
        let error = refused(cell(text));
        assert!(matches!(&error, DataError::Cell { problem: CellProblem::Missing { .. }, .. }), "{error}");
    }
    assert_eq!(floats(&cell("-inf").unwrap(), "x"), [f32::NEG_INFINITY]);
}

#[test]
fn a_quote_that_is_not_closed_is_named_where_it_opens() {
    let csv = Csv::new().features("x", ["a"]);
    for (text, line, column) in [
        ("a,b\n1,\"x\n2,3\n4,5\n", 2, "\"b\""),
        ("a,b\n1,2\n\n3,\"x\r\n2,3", 4, "\"b\""),
        ("a,b\n1,2\n\"3,4\n", 3, "\"a\""),
        ("a,b\n\"1\n\",\"", 3, "\"b\""),
        ("a,b\n1,\"x\"\"\n", 2, "\"b\""),
        ("a,\"b\n1,2\n", 1, "1"),
        ("\"", 1, "0"),
    ] {
        let error = refused(csv.parse(text));
        let expected = DataError::OpenQuote { path: "text".into(), line, column: column.to_owned() };
        assert_eq!(error, expected, "{text:?}");
    }
    // Where a later quote closes it, the columns may not match any more.
    let message = refused(csv.parse("a,b\n1,\"x\n2,3\n4,\"y,5\n")).to_string();
    assert_eq!(
        message,
        "text:4: the line has 3 columns, but the first has 2; it begins at line 2, where a quote opens that goes on over the line's end"
    );
    // Cells of several lines, quotes within and lines that look like what is read behind the last one.
    let table = Csv::new().features("x", ["a"]).categories("b", "b").parse("a,b\n1,\"x\n\"\"y\"\"\"\n2,b\n").unwrap();
    assert_eq!(table.categories("b").unwrap().names(), ["b", "x\n\"y\""]);
    let table = Csv::new().categories("x", "a").comment(b'b').parse("a,a2\na,a\na,a").unwrap();
    assert_eq!(table.data.len(), 2);
    // Lines are counted alike whatever ends them.
    for end in ["\n", "\r\n"] {
        let text = ["a,b", "1,2", "", "x,2", ""].join(end);
        assert!(refused(csv.parse(&text)).to_string().starts_with("text:4: column"), "{end:?}");
    }
}

#[test]
fn separators_that_cannot_be_told_apart_are_refused() {
    let csv = || Csv::new().features("x", [0]);
    for (csv, message) in [
        (csv().delimiter(b'"'), "the delimiter of a table cannot be b'\\\"': that is the quote around cells"),
        (csv().delimiter(b'\n'), "the delimiter of a table cannot be b'\\n': that ends a line"),
        (csv().delimiter(b'\r'), "the delimiter of a table cannot be b'\\r': that ends a line"),
        (csv().delimiter(0xff), "the delimiter of a table cannot be b'\\xff': that is no character by itself in UTF-8"),
        (csv().comment(b','), "the comment of a table cannot be b',': that is the delimiter"),
        (csv().delimiter(b';').comment(b';'), "the comment of a table cannot be b';': that is the delimiter"),
        (csv().comment(b'"'), "the comment of a table cannot be b'\\\"': that is the quote around cells"),
        (csv().comment(b'\n'), "the comment of a table cannot be b'\\n': that ends a line"),
    ] {
        assert_eq!(refused(csv.parse("1,2\n")).to_string(), message);
    }
}

#[test]
fn a_long_cell_is_not_repeated_whole() {
    let long = "9x".repeat(50_000);
    let csv = Csv::new().features("x", ["a"]).integers("n", "b").categories("c", "c");
    for text in [format!("a,b,c\n{long},1,d\n"), format!("a,b,c\n1,{long},d\n"), format!("a,{long},c\n1,2,3\n")] {
        let message = refused(csv.parse(&text)).to_string();
        assert!(message.len() < 400 && message.contains("… (100000 characters)"), "{message}");
    }
}
