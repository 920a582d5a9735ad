//! What a panic says, told by the page's console. The program that runs the oracle's cases in a page has this file too.

use wasm_bindgen::prelude::*;

#[wasm_bindgen]
unsafe extern "C" {
    #[wasm_bindgen(js_namespace = console, js_name = error)]
    fn console_error(message: &str);
}

/// Makes the console say what a panic says: without it there would be a bare trap.
#[wasm_bindgen(start)]
fn tell_panics() {
    std::panic::set_hook(Box::new(|panic| console_error(&panic.to_string())));
}
