//! A page on which a visitor trains a network on handwritten digits, in the browser's own tab.
//!
//! [`digits`], [`network`] and [`training`] are the same code in a page and in a program, so that the losses of both can be held
//! to one another; `page` alone, which only a page has, knows what scripts call. `fit` is the program of docs/browser.md. Built by
//! `cargo xtask web`.

pub mod digits;
pub mod error;
/// The program of docs/browser.md.
#[cfg(target_arch = "wasm32")]
pub mod fit;
pub mod network;
#[cfg(target_arch = "wasm32")]
pub mod page;
#[cfg(target_arch = "wasm32")]
mod panics;
pub mod training;

pub use digits::Digits;
pub use error::WebError;
pub use training::{Settings, Training};
