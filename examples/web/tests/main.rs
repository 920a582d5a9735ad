//! The tests of the page's code that need no browser, one program.

mod guide;
mod training;
