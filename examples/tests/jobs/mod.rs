//! Seven ordinary jobs, each a whole program as a user writes it, on small data of the repository: from a file to a trained network and a
//! number that says how good it is. How many lines each takes is held too: what a program has to say beside what is its own matter is the
//! library's fault.

mod cnn;
mod csv;
mod gru;
mod physics;
mod resume;
mod transformer;
mod vae;

/// What each program measured is in bounds that a network that has learnt nothing is far from; `resume` must come to the same bits.
macro_rules! jobs {
    ($($test:ident: $module:ident, $file:literal, $lines:literal;)*) => {$(
        #[test]
        fn $test() {
            $module::main().unwrap();
            let lines = include_str!($file).lines().filter(|line| !line.trim().is_empty()).count();
            assert!(lines <= $lines, "{} has {lines} lines that are not empty, and is to have {} at most", $file, $lines);
        }
    )*};
}
jobs! {
    regression_on_a_table: csv, "csv.rs", 51;
    a_convolutional_network: cnn, "cnn.rs", 41;
    a_recurrent_network: gru, "gru.rs", 36;
    a_transformer: transformer, "transformer.rs", 82;
    a_variational_autoencoder: vae, "vae.rs", 52;
    a_physics_informed_network: physics, "physics.rs", 52;
    a_run_that_is_resumed: resume, "resume.rs", 27;
}
