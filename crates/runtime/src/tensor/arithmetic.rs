//! Tensors on the host and single numbers: `2.0f32 * &t`, `&t - mean`, `-&t`.
//!
//! That is for what stands around a network: bringing inputs to a scale, and results back. Tensors among themselves are computed by plans,
//! which broadcast, fuse and know errors; nothing here can fail.

use std::ops::{Add, Div, Mul, Neg, Sub};

use arenagrad_graph::{DType, Elements};

use crate::tensor::Tensor;

/// A number that can stand beside a [`Tensor`] in arithmetic: f32, f64 or i32.
pub trait Number: sealed::Sealed + Copy {
    #[doc(hidden)]
    const IS_FLOAT: bool;

    #[doc(hidden)]
    fn value(self) -> f64;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
    impl Sealed for i32 {}
}

macro_rules! numbers {
    ($($number:ty => $is_float:literal),*) => {$(
        impl Number for $number {
            const IS_FLOAT: bool = $is_float;

            fn value(self) -> f64 {
                f64::from(self)
            }
        }
    )*};
}
numbers!(f32 => true, f64 => true, i32 => false);

/// Which operator.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operator {
    Add,
    Sub,
    Mul,
    Div,
}

/// On which side of the operator the number stands.
#[derive(Clone, Copy)]
enum Side {
    Left,
    Right,
}

impl Side {
    /// The operands in their order.
    fn ordered<T>(self, element: T, number: T) -> (T, T) {
        match self {
            Side::Left => (number, element),
            Side::Right => (element, number),
        }
    }
}

/// Each element and a number.
///
/// Floats stay of their dtype, to which the number is rounded first, so that `t * 0.1` is what the same does to an
/// [`Expr`](crate::Expr). Integers and truth values beside an i32 are i32 and wrap around, beside a float and in a quotient they are f32. What
/// is held in fewer bits than its values comes back in the dtype of the values.
fn with_number<N: Number>(tensor: &Tensor, number: N, side: Side, operator: Operator) -> Tensor {
    let number = number.value();
    let dtype = match tensor.dtype() {
        DType::F64 => DType::F64,
        DType::F32 => DType::F32,
        DType::I32 | DType::Bool if N::IS_FLOAT || operator == Operator::Div => DType::F32,
        DType::I32 | DType::Bool => DType::I32,
    };
    let elements = tensor.to_f64_vec().into_iter();
    let of_floats = |element: f64| {
        let (a, b) = side.ordered(dtype.round(element), dtype.round(number));
        match operator {
            Operator::Add => a + b,
            Operator::Sub => a - b,
            Operator::Mul => a * b,
            Operator::Div => a / b,
        }
    };
    let of_integers = |element: f64| {
        let (a, b) = side.ordered(element as i32, number as i32);
        match operator {
            Operator::Add => a.wrapping_add(b),
            Operator::Sub => a.wrapping_sub(b),
            // A quotient is of floats, so none comes here.
            Operator::Mul | Operator::Div => a.wrapping_mul(b),
        }
    };
    let data = match dtype {
        DType::I32 | DType::Bool => Elements::I32(elements.map(of_integers).collect()),
        // The sum, difference, product or quotient of two f32 in f64, rounded to f32, is that of f32: f64 has more than twice the digits.
        DType::F32 => Elements::F32(elements.map(|element| of_floats(element) as f32).collect()),
        DType::F64 => Elements::F64(elements.map(of_floats).collect()),
    };
    Tensor::of(tensor.shape.clone(), data)
}

macro_rules! operators {
    ($($trait:ident $method:ident $what:literal;)*) => {$(
        #[doc = $what]
        ///
        /// Floats stay of their dtype, to which the number is rounded; integers and truth values beside an i32 are i32 and wrap around, and beside a
        /// float, or divided, f32.
        ///
        /// ```
        /// use arenagrad::Tensor;
        ///
        /// let celsius = Tensor::from([0.0f32, 100.0]);
        /// assert_eq!(1.8f32 * &celsius + 32.0, Tensor::from([32.0f32, 212.0]));
        /// assert_eq!(-Tensor::from([1, -2]) * 2, Tensor::from([-2, 4]));
        /// ```
        impl<N: Number> $trait<N> for &Tensor {
            type Output = Tensor;

            fn $method(self, number: N) -> Tensor {
                with_number(self, number, Side::Right, Operator::$trait)
            }
        }

        #[doc = $what]
        impl<N: Number> $trait<N> for Tensor {
            type Output = Tensor;

            fn $method(self, number: N) -> Tensor {
                (&self).$method(number)
            }
        }

        operators!(@left f32 $trait $method $what);
        operators!(@left f64 $trait $method $what);
        operators!(@left i32 $trait $method $what);
    )*};
    (@left $number:ident $trait:ident $method:ident $what:literal) => {
        #[doc = $what]
        ///
        /// The type of a number on the left is not found where a method of the result is called at once: `(2.0f64 * &t).sum()`, or
        /// `(&t * 2.0).sum()`.
        impl $trait<&Tensor> for $number {
            type Output = Tensor;

            fn $method(self, tensor: &Tensor) -> Tensor {
                with_number(tensor, self, Side::Left, Operator::$trait)
            }
        }

        #[doc = $what]
        impl $trait<Tensor> for $number {
            type Output = Tensor;

            fn $method(self, tensor: Tensor) -> Tensor {
                self.$method(&tensor)
            }
        }
    };
}
operators! {
    Add add "The sum of each element and a number.";
    Sub sub "The difference of each element and a number.";
    Mul mul "The product of each element and a number.";
    Div div "The quotient of each element and a number, in floats.";
}

/// The negative of each element; truth values become i32.
impl Neg for &Tensor {
    type Output = Tensor;

    fn neg(self) -> Tensor {
        // A product, because 0 less 0 has another sign than minus 0.
        self * -1
    }
}

/// The negative of each element; truth values become i32.
impl Neg for Tensor {
    type Output = Tensor;

    fn neg(self) -> Tensor {
        -&self
    }
}
