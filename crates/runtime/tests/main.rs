//! The tests of the runtime crate in one program, which is quicker to build than one for each file. Those that need a process of
//! their own stand in `Cargo.toml`.

mod anomaly;
mod arithmetic;
mod attention;
mod categorical;
mod channels;
mod check;
mod checkpoints;
mod compositions;
mod convolution_geometries;
mod convolutions;
mod data_batches;
#[cfg(feature = "tokenizer")]
mod data_byte_pair;
#[cfg(feature = "data")]
mod data_files;
#[cfg(feature = "images")]
mod data_images;
#[cfg(feature = "data")]
mod data_missing;
mod data_sampling;
mod data_scaling;
mod data_sets;
#[cfg(feature = "data")]
mod data_tables;
mod data_tokens;
mod derivatives;
mod distances;
mod draws;
mod edges;
mod edges_of_functions;
mod edges_of_reductions;
mod elements;
mod embeddings;
mod errors;
mod extremes;
#[cfg(unix)]
mod files;
#[cfg(feature = "fit")]
mod fit;
#[cfg(feature = "fit")]
mod fit_folder;
#[cfg(feature = "fit")]
mod fit_kinds;
mod fourier;
mod fusion;
pub mod glob_imports;
mod group;
mod group_deterministic;
#[cfg(feature = "fit")]
mod group_fit;
mod group_language;
mod group_refused;
mod group_shares;
mod guides;
mod initial_values;
mod integer_storage;
mod jacobians;
mod lbfgs;
#[cfg(feature = "least_squares")]
mod least_squares;
#[cfg(feature = "least_squares")]
mod least_squares_arguments;
mod lent_inputs;
mod linear_algebra;
#[path = "../../graph/tests/listed/mod.rs"]
mod listed;
mod literature;
mod long;
mod matrix_functions;
mod memory;
mod metrics;
mod negative_positions;
mod networks;
mod nn_operators;
mod nn_values;
mod numbers;
mod operator_edges;
mod operators;
mod ops;
mod optimiser_options;
mod optimisers;
mod ordered;
mod origins;
mod padded_products;
mod parameter_files;
mod parameters;
mod parametrizations;
mod pending;
mod plans;
mod pooling;
mod precision;
mod precision_gradients;
mod precision_of_matrices;
mod profile;
mod reached_at_times;
mod recurrent;
mod repeated_work;
mod replacing;
mod requirements;
mod restored_at_times;
mod rounding;
mod sampling;
mod scan_captured;
mod scan_draws;
mod scan_memory;
mod scan_parts;
mod scans;
mod scatters;
mod schedules;
mod storage;
mod suite;
mod sums;
mod symbolic;
mod tables;
mod tape;
mod tape_checkpoints;
mod tape_growth;
mod tape_layers;
mod tape_messages;
mod tape_methods;
mod tape_multi_functions;
mod tape_optimizer;
mod tape_ownership;
mod tape_random;
mod tape_reached_at_times;
mod tape_refused;
mod tape_refused_batches;
mod tape_residents;
mod tape_steps;
mod tensor_arithmetic;
mod tensors;
mod threads;
mod trainer;
mod trainer_anomaly;
mod trainer_lbfgs;
mod trainer_names;
mod trainer_owners;
mod trainer_states;
mod training;
mod truth_values;
mod tuning;
mod unchecked_labels;
mod unreached;
mod unwinding;
mod updating_states;
mod waiting_values;
mod weights;
mod weights_refused;

#[test]
fn every_test_file_is_listed() {
    listed::assert_every_file_is_listed(env!("CARGO_MANIFEST_DIR"));
}
