//! Errors that print in words wherever they are printed.

/// Prints an error as its message also where a program prints it as `{:?}`: so does `main` with an error that it returns, and so does
/// `unwrap`. What a message leaves out can be read from the fields.
#[doc(hidden)]
#[macro_export]
macro_rules! debug_in_words {
    ($error:ty) => {
        impl std::fmt::Debug for $error {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }
    };
}
