//! `cargo xtask web`: the page of `examples/web` as a folder of static files, served, or tested in a real browser.
//!
//! What it takes beside a Rust toolchain is found, or installed where this process may, which is said: a target for WebAssembly
//! ([`toolchain`]), the command of `wasm-bindgen` ([`build`]), and for tests headless Chromium ([`chromium`], over the
//! DevTools protocol of [`devtools`]). What the page must do stands in [`check`].

mod build;
mod check;
mod chromium;
mod devtools;
mod instructions;
mod screenshots;
mod serve;
pub(crate) mod toolchain;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use build::{Built, Vectors};
use toolchain::Toolchain;

use crate::cpu_time::Watch;

/// Where the page that runs the operators' cases stands beside the page.
const CASES: &str = "cases";
/// The same, with a program that may have vectors.
const CASES_WITH_VECTORS: &str = "cases-simd";

/// What the command line asks for.
pub(crate) struct Options {
    /// Where the files go.
    out: PathBuf,
    serve: Option<u16>,
    test: bool,
    /// Whether the page's program may have vectors of 128 bits.
    vectors: Vectors,
    /// The one check that is wanted.
    only: Option<String>,
}

impl Options {
    pub(crate) fn parse(arguments: &mut lexopt::Parser) -> Result<Options, lexopt::Error> {
        use lexopt::prelude::*;

        let out = workspace().join("target/web");
        let mut options = Options { out, serve: None, test: false, vectors: Vectors::None, only: None };
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("out") => options.out = arguments.value()?.into(),
                Long("serve") => options.serve = Some(arguments.value()?.parse()?),
                Long("test") => options.test = true,
                Long("simd") => options.vectors = Vectors::Of128Bits,
                Long("only") => options.only = Some(arguments.value()?.string()?),
                other @ (Short(_) | Long(_) | Value(_)) => return Err(other.unexpected()),
            }
        }
        if options.only.is_some() && !options.test {
            return Err("--only names a check of --test".into());
        }
        Ok(options)
    }
}

/// Builds, and tests or serves if that is asked for; the code is 1 if something of it failed.
pub(crate) fn run(options: &Options) -> ExitCode {
    match steps(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("web: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn steps(options: &Options) -> Result<(), String> {
    // A name that no check has is refused before anything is built.
    let checks = check::of(options.only.as_deref())?;
    let toolchain = Toolchain::find_or_install()?;
    println!("web: {toolchain}");
    let watch = Watch::start();
    let page = build::page(&toolchain, &options.out, options.vectors)?;
    println!("web: the page is in {}, built in {}", options.out.display(), watch.taken());
    let holds = page.report();
    if options.test {
        for (folder, vectors) in [(CASES, Vectors::None), (CASES_WITH_VECTORS, Vectors::Of128Bits)] {
            if checks.iter().any(|check| check.cases == Some(folder)) {
                let watch = Watch::start();
                let cases = build::cases(&toolchain, &options.out.join(folder), vectors)?;
                say_size("the operators' cases", &cases);
                println!("web: built in {}", watch.taken());
            }
        }
        check::run(&options.out, &checks)?;
    }
    if let Some(port) = options.serve {
        let server = serve::Server::start(&options.out, port)?;
        println!("web: http://localhost:{}/  (to end it: Ctrl+C)", server.port());
        server.wait();
    }
    if holds {
        Ok(())
    } else {
        Err("the program is larger than its budget, which stands in xtask/src/web/build.rs".into())
    }
}

fn say_size(what: &str, built: &Built) {
    println!("web: {what}: {:.2} MB, gzipped {:.2} MB", built.bytes as f64 / 1e6, built.gzipped as f64 / 1e6);
}

pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Options, lexopt::Error> {
        Options::parse(&mut lexopt::Parser::from_args(arguments))
    }

    #[test]
    fn a_check_is_named_where_there_are_checks() {
        assert!(parsed(&["--test", "--only", "guide"]).is_ok_and(|options| options.test));
        assert!(parsed(&["--only", "guide"]).is_err_and(|error| error.to_string().contains("--test")));
        assert!(check::of(Some("no such check")).is_err_and(|reason| reason.contains("cases-gpu-class")));
    }
}
