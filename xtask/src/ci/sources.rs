//! Sources of this workspace's crates that an earlier verification of packages left in cargo's home.
//!
//! To verify a package, cargo unpacks the packages that it depends on into its own cache, as if they came from a registry.
//! There it takes a version for unchangeable: the next verification from the same folder would build today's crate against
//! what its siblings were then.

use std::path::{Path, PathBuf};

/// Removes such sources. Those of real registries stay.
pub(super) fn forget() {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    let Some(home) = home else { return };
    for registry in entries(&home.join("registry").join("src")) {
        // A registry on the network is called after its host; a folder that cargo made one of has no name before the dash.
        if !name(&registry).starts_with('-') {
            continue;
        }
        for source in entries(&registry).into_iter().filter(|source| name(source).starts_with("arenagrad-")) {
            match std::fs::remove_dir_all(&source) {
                Ok(()) => println!("ci: removed {}", source.display()),
                Err(error) => eprintln!("ci: {}: {error}", source.display()),
            }
        }
    }
}

/// What a folder holds; nothing if it is not there.
fn entries(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).map(|entries| entries.flatten().map(|entry| entry.path()).collect()).unwrap_or_default()
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}
