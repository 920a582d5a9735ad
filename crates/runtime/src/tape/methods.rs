//! Methods of variables by lists: each records what the method of the same name of [`Expr`](crate::Expr) appends.
//!
//! A line of a list is the documentation in one sentence, the name, the further variables, and behind a semicolon the other
//! arguments. A method of several results names them; each is recorded on its own, and a plan computes what they share once.

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
                let origin = arenagrad_graph::Origin::here();
                ($(
                    crate::tape::Variable::new(self.tape_inner().record(
                        stringify!($method),
                        &[self, $($variable),*],
                        origin,
                        |_, operands| {
                            let &[this, $($variable),*] = operands else {
                                panic!("as many operands as were recorded")
                            };
                            Ok(this.$method($($variable,)* $($argument.clone()),*).$place)
                        },
                    ))
                ),*)
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

mod indexing;
