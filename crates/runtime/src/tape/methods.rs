//! Methods of variables by lists, a file a family: each records what the method of the same name of [`Expr`](crate::Expr) appends.
//!
//! A line of a list is the documentation in one sentence, the name, the further variables, and behind a semicolon the other
//! arguments. Of a method of several results each is
//! recorded on its own, and a plan computes what they share once.

/// Methods of one result: `name(variable, ..; argument: Type, ..);`.
macro_rules! methods {
    ($($(#[$doc:meta])* $method:ident($($variable:ident),*; $($argument:ident: $type:ty),*);)*) => {
        impl crate::tape::Variable {$(
            $(#[$doc])*
            #[doc = concat!("See [`Expr::", stringify!($method), "`](crate::Expr::", stringify!($method), ").")]
            #[track_caller]
            pub fn $method(
                &self,
                $($variable: &crate::tape::Variable,)*
                $($argument: $type),*
            ) -> crate::tape::Variable {
                let origin = arenagrad_graph::Origin::here();
                crate::tape::Variable::new(self.tape_inner().record(
                    stringify!($method),
                    &[self, $($variable),*],
                    origin,
                    |_, operands| {
                        let &[this, $($variable),*] = operands else { panic!("as many operands as were recorded") };
                        Ok(this.$method($($variable,)* $($argument),*))
                    },
                ))
            }
        )*}
    };
}
pub(crate) use methods;

/// Methods of several results, a tuple: `name(variable, ..; argument: Type, ..) -> (results);`, each named by its place.
macro_rules! methods_of_several {
    ($($(#[$doc:meta])* $method:ident($($variable:ident),*; $($argument:ident: $type:ty),*) -> ($($place:tt),*);)*) => {
        impl crate::tape::Variable {$(
            $(#[$doc])*
            #[doc = concat!("See [`Expr::", stringify!($method), "`](crate::Expr::", stringify!($method), ").")]
            #[track_caller]
            pub fn $method(
                &self,
                $($variable: &crate::tape::Variable,)*
                $($argument: $type),*
            ) -> ($(crate::tape::methods::one_for!($place)),*) {
                const RESULTS: usize = [$($place),*].len();
                let origin = arenagrad_graph::Origin::here();
                let record = |number: usize| {
                    crate::tape::Variable::new(self.tape_inner().record(
                        stringify!($method),
                        &[self, $($variable),*],
                        origin,
                        |_, operands| {
                            let &[this, $($variable),*] = operands else {
                                panic!("as many operands as were recorded")
                            };
                            let results = this.$method($($variable,)* $($argument.clone()),*);
                            Ok(<[arenagrad_graph::Expr<'_>; RESULTS]>::from(results)[number])
                        },
                    ))
                };
                ($(record($place)),*)
            }
        )*}
    };
}
pub(crate) use methods_of_several;

/// The type of one result.
macro_rules! one_for {
    ($place:tt) => {
        crate::tape::Variable
    };
}
pub(crate) use one_for;

mod compositions;
mod pooling;

use arenagrad_graph::{Expr, Origin};

use crate::tape::Variable;

impl Variable {
    /// Records an operation of this variable, of others, and of some that may be left out.
    pub(crate) fn with_optional<const N: usize, const M: usize>(
        &self,
        name: &'static str,
        others: [&Variable; N],
        optional: [Option<&Variable>; M],
        origin: Origin,
        function: impl for<'g> FnOnce(Expr<'g>, [Expr<'g>; N], [Option<Expr<'g>>; M]) -> Expr<'g>,
    ) -> Variable {
        let operands: Vec<&Variable> =
            std::iter::once(self).chain(others).chain(optional.into_iter().flatten()).collect();
        Variable::new(self.tape_inner().record(name, &operands, origin, |_, operands| {
            let mut operands = operands.iter().copied();
            let mut next = || operands.next().expect("as many operands as were recorded");
            let this = next();
            let others = std::array::from_fn(|_| next());
            let optional = optional.map(|given| given.map(|_| next()));
            Ok(function(this, others, optional))
        }))
    }
}

mod attention;

mod loops;

mod activations;
mod functions;
mod losses;

mod fourier;
mod integers;
mod linear_algebra;

mod order;

mod convolution;

mod indexing;
