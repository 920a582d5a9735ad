//! Tables of vectors with PyTorch's options: what is read, and the gradient of the table. Numbers are PyTorch's.

use crate::suite::devices::{devices, everywhere};
use crate::suite::evaluate::Given;
use crate::suite::run::numbers;
use arenagrad::nn;
use arenagrad::{BagMode, DType, Device, EmbeddingBagOptions, EmbeddingOptions, Expr, Graph, Session, Tensor};

/// `[5, 2]`; of the rows that are read the first and the third are longer than 1.
const TABLE: [f64; 10] = [3.0, 4.0, 0.3, -0.4, 1.0, -2.0, 0.0, 0.0, -6.0, 8.0];

#[track_caller]
fn close(found: &[f64], expected: &[f64], dtype: DType, what: &str) {
    let tolerance = if dtype == DType::F64 { 1e-13 } else { 4e-6 };
    let agrees = |(f, e): (&f64, &f64)| (f - e).abs() <= tolerance * e.abs().max(1.0);
    let all = found.len() == expected.len() && found.iter().zip(expected).all(agrees);
    assert!(all, "{what}: {found:?}, not {expected:?}");
}

/// What is read at `[[0, 1, 0], [2, 3, 0]]`, and the gradient of the table under the upstream gradient `1, 2, ..`.
fn read(
    device: &Device,
    dtype: DType,
    function: impl for<'g> Fn(Expr<'g>, Expr<'g>) -> Expr<'g>,
) -> (Vec<f64>, Vec<f64>) {
    let g = Graph::new();
    let table = g.input_of("table", [5, 2], dtype);
    let y = function(table, g.literal([2, 3], [0, 1, 0, 2, 3, 0]));
    let shape = y.shape().expect("no mistake");
    let elements = shape.elements();
    // Of bags the upstream gradient of the first of three.
    let apart = if elements == 4 { [1.0, 2.0, 7.0, 8.0].to_vec() } else { (1..=12).map(f64::from).collect() };
    let upstream = g.literal(shape, apart).cast(dtype);
    let [gradient] = (y * upstream).sum(..).grad([table]).expect("a gradient");
    let given = Given::from([("table".to_owned(), TABLE.to_vec())]);
    let mut found = numbers(&g, &[y, gradient], &given, device);
    let gradient = found.pop().expect("two results");
    (found.pop().expect("two results"), gradient)
}

const SHORT: [f64; 12] = [
    0.599_999_988_000_000_2,
    0.799_999_984_000_000_3,
    0.3,
    -0.4,
    0.599_999_988_000_000_2,
    0.799_999_984_000_000_3,
    0.447_213_575_499_958_8,
    -0.894_427_150_999_917_7,
    0.0,
    0.0,
    0.599_999_988_000_000_2,
    0.799_999_984_000_000_3,
];
const SUMS: [f64; 10] = [17.0, 20.0, 3.0, 4.0, 7.0, 8.0, 9.0, 10.0, 0.0, 0.0];

#[test]
fn long_rows_are_read_shortened() {
    for (device, dtype) in everywhere() {
        let what = format!("{device}, {dtype}");
        let of = |options: EmbeddingOptions| read(&device, dtype, |table, tokens| table.embedding(tokens, options));
        let (value, gradient) = of(EmbeddingOptions { max_norm: Some(1.0), ..EmbeddingOptions::default() });
        close(&value, &SHORT, dtype, &what);
        close(&gradient, &SUMS, dtype, &what);
        let (value, gradient) =
            of(EmbeddingOptions { max_norm: Some(2.0), norm_type: 1.0, ..EmbeddingOptions::default() });
        close(&value[..4], &[0.857_142_844_897_959_3, 1.142_857_126_530_612_4, 0.3, -0.4], dtype, &what);
        close(&gradient, &SUMS, dtype, &what);
        let norm_type = f64::INFINITY;
        let (value, _) = of(EmbeddingOptions { max_norm: Some(1.5), norm_type, ..EmbeddingOptions::default() });
        close(
            &value[4..8],
            &[1.124_999_971_875_000_8, 1.499_999_962_500_001, 0.749_999_962_500_001_9, -1.499_999_925_000_003_8],
            dtype,
            &what,
        );
    }
}

#[test]
fn gradients_are_divided_by_how_often_a_row_is_read() {
    for (device, dtype) in everywhere() {
        let what = format!("{device}, {dtype}");
        let of = |options: EmbeddingOptions| read(&device, dtype, |table, tokens| table.embedding(tokens, options));
        let (value, gradient) = of(EmbeddingOptions { scale_grad_by_freq: true, ..EmbeddingOptions::default() });
        close(&value[..4], &TABLE[..4], dtype, &what);
        close(&gradient, &[17.0 / 3.0, 20.0 / 3.0, 3.0, 4.0, 7.0, 8.0, 9.0, 10.0, 0.0, 0.0], dtype, &what);
        let all = EmbeddingOptions {
            padding_index: Some(0),
            max_norm: Some(1.0),
            scale_grad_by_freq: true,
            ..EmbeddingOptions::default()
        };
        let (value, gradient) = of(all);
        close(&value, &SHORT, dtype, &what);
        close(&gradient, &[0.0, 0.0, 3.0, 4.0, 7.0, 8.0, 9.0, 10.0, 0.0, 0.0], dtype, &what);
    }
}

#[test]
fn bags_of_rows_that_are_shortened_or_shared() {
    for (device, dtype) in everywhere() {
        let what = format!("{device}, {dtype}");
        let of = |bags: EmbeddingBagOptions| {
            read(&device, dtype, |table, tokens| table.embedding_bag(tokens, None, bags.clone()))
        };
        let sum = EmbeddingBagOptions { mode: BagMode::Sum, ..EmbeddingBagOptions::default() };
        let sums = [1.499_999_976_000_000_5, 1.199_999_968_000_000_6, 1.047_213_563_499_959, -0.094_427_166_999_917_38];
        let (value, gradient) = of(EmbeddingBagOptions { max_norm: Some(1.0), ..sum.clone() });
        close(&value, &sums, dtype, &what);
        close(&gradient, &[9.0, 12.0, 1.0, 2.0, 7.0, 8.0, 7.0, 8.0, 0.0, 0.0], dtype, &what);
        let (value, gradient) = of(EmbeddingBagOptions { scale_grad_by_freq: true, ..sum.clone() });
        close(&value, &[6.3, 7.6, 4.0, 2.0], dtype, &what);
        close(&gradient, &[3.0, 4.0, 1.0, 2.0, 7.0, 8.0, 7.0, 8.0, 0.0, 0.0], dtype, &what);
        let (value, gradient) = of(EmbeddingBagOptions { max_norm: Some(1.0), mode: BagMode::Max, ..sum.clone() });
        close(&value, &[SHORT[0], SHORT[1], SHORT[0], SHORT[1]], dtype, &what);
        close(&gradient, &[8.0, 10.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], dtype, &what);
        let padded = EmbeddingBagOptions {
            max_norm: Some(1.0),
            scale_grad_by_freq: true,
            padding_index: Some(0),
            ..sum.clone()
        };
        let (value, gradient) = of(padded);
        close(&value, &[0.3, -0.4, SHORT[6], SHORT[7]], dtype, &what);
        close(&gradient, &[0.0, 0.0, 1.0, 2.0, 7.0, 8.0, 7.0, 8.0, 0.0, 0.0], dtype, &what);
    }
}

/// Integers and truth values can be looked up, too.
#[test]
fn tables_of_any_dtype_are_read() {
    for device in devices() {
        let g = Graph::new();
        let table = g.literal([3, 2], [1, 2, 3, 4, 5, 6]);
        let tokens = g.literal([2], [2, 0]);
        let padded = EmbeddingOptions { padding_index: Some(0), ..EmbeddingOptions::default() };
        let results =
            [table.embedding(tokens, padded), table.greater(2).embedding(tokens, EmbeddingOptions::default())];
        let found = numbers(&g, &results, &Given::new(), &device);
        assert_eq!(found, [[5.0, 6.0, 1.0, 2.0], [1.0, 1.0, 0.0, 0.0]], "{device}");
    }
}

/// The layers have the options, too, and leave their tables as they are.
#[test]
fn layers_read_shortened_vectors() {
    for device in devices() {
        let g = Graph::new();
        let tokens = g.literal([2, 3], [0, 1, 0, 2, 3, 0]);
        let single = nn::Embedding::new("e", 5, 2).max_norm(1.0).norm_type(2.0).scale_grad_by_freq();
        let bag = nn::EmbeddingBag::new("e", 5, 2).mode(BagMode::Sum).max_norm(1.0).norm_type(2.0).scale_grad_by_freq();
        let results = [single.apply(tokens), bag.apply(tokens)];
        let mut session = Session::evaluate(&g, &results, &device).expect("no mistake");
        let table = Tensor::new([5, 2], TABLE.map(|element| element as f32).to_vec()).unwrap();
        session.set_parameter("e.weight", &table).unwrap();
        let found: Vec<Vec<f64>> = session.run(&[]).unwrap().iter().map(Tensor::to_f64_vec).collect();
        close(&found[0], &SHORT, DType::F32, "vectors");
        close(&found[1][..2], &[1.499_999_976, 1.199_999_968], DType::F32, "sums");
        assert_eq!(session.parameter("e.weight").unwrap(), table, "{device}");
    }
}

#[test]
fn options_that_say_nothing_are_refused() {
    fn said(mistake: impl for<'g> FnOnce(Expr<'g>, Expr<'g>) -> Expr<'g>) -> String {
        let g = Graph::new();
        let _ = mistake(g.input("table", [5, 2]), g.literal([2, 3], [0, 1, 0, 2, 3, 0]));
        g.take_error().expect("a mistake").to_string()
    }
    let options = EmbeddingOptions::default();
    let bags = EmbeddingBagOptions::default();
    let short = |max_norm: f64, norm_type: f64| EmbeddingOptions { max_norm: Some(max_norm), norm_type, ..options };
    for (text, expected) in [
        (said(|table, tokens| table.embedding(tokens, short(-1.0, 2.0))), "embedding: max_norm is -1"),
        (said(|table, tokens| table.embedding(tokens, short(f64::NAN, 2.0))), "embedding: max_norm is NaN"),
        (said(|table, tokens| table.embedding(tokens, short(1.0, f64::NAN))), "embedding: norm_type is NaN"),
        (said(|table, tokens| table.embedding(tokens.cast(DType::F32), options)), "is f32, but i32 is needed"),
        (said(|table, tokens| table.sum(0).embedding(tokens, options)), "has rank 1, but rank 2 is needed"),
        (said(|table, tokens| table.cast(DType::I32).embedding(tokens, short(1.0, 2.0))), "but a float is needed"),
        (
            said(|table, tokens| table.embedding(tokens, EmbeddingOptions { padding_index: Some(5), ..options })),
            "embedding: the padding index is 5",
        ),
        (
            said(|table, tokens| {
                let (mode, scale_grad_by_freq) = (BagMode::Max, true);
                table.embedding_bag(tokens, None, EmbeddingBagOptions { mode, scale_grad_by_freq, ..bags.clone() })
            }),
            "embedding_bag: scale_grad_by_freq is 1",
        ),
        (
            said(|table, tokens| {
                table.embedding_bag(tokens, None, EmbeddingBagOptions { max_norm: Some(-2.0), ..bags.clone() })
            }),
            "embedding_bag: max_norm is -2",
        ),
    ] {
        assert!(text.contains(expected), "{text}");
    }
}
