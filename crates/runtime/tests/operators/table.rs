//! What a row of the table of operators is, and the macro that makes rows.

use arenagrad::{DType, Expr, Graph};

/// What an operand's elements are.
#[derive(Clone, Copy)]
pub(crate) enum Element {
    /// Floats between the two, no two alike.
    Float(f64, f64),
    /// i32 from the first to the second.
    Integer(i64, i64),
    /// Truth values.
    Bool,
}

/// An operand that every run is given.
#[derive(Clone, Copy)]
pub(crate) struct Operand {
    pub(crate) shape: &'static [usize],
    pub(crate) element: Element,
}

pub(crate) const fn float(shape: &'static [usize], low: f64, high: f64) -> Operand {
    Operand { shape, element: Element::Float(low, high) }
}

pub(crate) const fn integer(shape: &'static [usize], low: i64, high: i64) -> Operand {
    Operand { shape, element: Element::Integer(low, high) }
}

pub(crate) const fn truth(shape: &'static [usize]) -> Operand {
    Operand { shape, element: Element::Bool }
}

/// A name of PyTorch's, how one says it here, and operands to try it with.
pub(crate) struct Operator {
    /// PyTorch's name.
    pub(crate) torch: &'static str,
    /// The expression as it stands in the row.
    pub(crate) here: &'static str,
    pub(crate) operands: &'static [Operand],
    /// Whether a GPU refuses it.
    pub(crate) cpu_alone: bool,
    pub(crate) function: for<'g> fn(&'g Graph, &[Expr<'g>]) -> Vec<Expr<'g>>,
}

/// One result or several.
pub(crate) trait Results<'g> {
    fn into_vec(self) -> Vec<Expr<'g>>;
}

impl<'g> Results<'g> for Expr<'g> {
    fn into_vec(self) -> Vec<Expr<'g>> {
        vec![self]
    }
}

impl<'g> Results<'g> for Vec<Expr<'g>> {
    fn into_vec(self) -> Vec<Expr<'g>> {
        self
    }
}

impl<'g, const N: usize> Results<'g> for [Expr<'g>; N] {
    fn into_vec(self) -> Vec<Expr<'g>> {
        self.to_vec()
    }
}

impl<'g> Results<'g> for (Expr<'g>, Expr<'g>) {
    fn into_vec(self) -> Vec<Expr<'g>> {
        vec![self.0, self.1]
    }
}

impl<'g> Results<'g> for (Expr<'g>, Expr<'g>, Expr<'g>) {
    fn into_vec(self) -> Vec<Expr<'g>> {
        vec![self.0, self.1, self.2]
    }
}

/// What a method that may be refused at once gives; the rows of the table are not refused.
impl<'g, R: Results<'g>, E: std::fmt::Debug> Results<'g> for Result<R, E> {
    fn into_vec(self) -> Vec<Expr<'g>> {
        self.expect("a row of the table").into_vec()
    }
}

/// Rows: `"name" (g, x = float(..), ..) => expression;`. In the expression `g` is the graph, and the other names are the operands. A name of what
/// a GPU refuses has `cpu_alone` behind it.
macro_rules! operators {
    ($($torch:literal $($cpu_alone:ident)? ($g:ident $(, $operand:ident = $kind:expr)*) => $here:expr;)*) => {
        pub(crate) const OPERATORS: &[$crate::operators::table::Operator] = &[$(
            $crate::operators::table::Operator {
                torch: $torch,
                here: stringify!($here),
                operands: &[$($kind),*],
                cpu_alone: !<[&str]>::is_empty(&[$(stringify!($cpu_alone))?]),
                function: |$g, operands| {
                    let _ = $g;
                    let &[$($operand),*] = operands else { panic!("as many operands as the row has") };
                    $crate::operators::table::Results::into_vec($here)
                },
            }
        ),*];
    };
}
pub(crate) use operators;

/// The dtype of a result, which the rows' graphs always know.
pub(crate) fn dtype(expr: Expr<'_>) -> DType {
    expr.dtype().expect("a row of the table")
}
