//! The tests of the kernels crate in one program, which is quicker to build than one for each file. Those that need a process of
//! their own stand in `Cargo.toml`.

mod cpu_choices;
mod cpu_double;
mod cpu_functions;
mod cpu_indexing;
mod cpu_matmul;
mod cpu_nests;
mod cpu_ordered;
mod cpu_padding;
mod cpu_products;
mod cpu_programs;
mod cpu_reductions;
mod cpu_views;
mod double_values;
#[path = "../../graph/tests/listed/mod.rs"]
mod listed;
mod nest_cases;
mod product_cases;
mod reference;
mod view_cases;
mod wgsl_cases;
mod wgsl_f16;
mod wgsl_for_browsers;
mod wgsl_joined;
mod wgsl_modules;

#[test]
fn every_test_file_is_listed() {
    listed::assert_every_file_is_listed(env!("CARGO_MANIFEST_DIR"));
}
