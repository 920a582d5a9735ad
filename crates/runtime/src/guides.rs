//! The programs of the README and of the guides in `docs`, compiled and run with those of the documentation. Each is a whole
//! `main.rs`, so that a reader may copy it as it stands.

macro_rules! guides {
    ($($name:ident: $path:literal,)*) => {
        $(
            #[doc = include_str!(concat!("../../../", $path))]
            mod $name {}
        )*
    };
}

guides! {
    readme: "README.md",
    browser: "docs/browser.md",
    checks: "docs/checks.md",
    derivatives: "docs/derivatives.md",
    devices: "docs/devices.md",
    expressions: "docs/expressions.md",
    formulas: "docs/formulas.md",
    functions: "docs/functions.md",
    how_do_i: "docs/how_do_i.md",
    layers: "docs/layers.md",
    memory: "docs/memory.md",
    pytorch_users: "docs/pytorch_users.md",
    optimisers: "docs/optimisers.md",
    profile: "docs/profile.md",
    tape: "docs/tape.md",
    sequences: "docs/sequences.md",
    training: "docs/training.md",
    weights: "docs/weights.md",
}

#[cfg(feature = "data")]
guides! {
    data: "docs/data.md",
}

#[cfg(feature = "least_squares")]
guides! {
    least_squares: "docs/least_squares.md",
}

#[cfg(feature = "fit")]
guides! {
    the_loop: "docs/loop.md",
}
