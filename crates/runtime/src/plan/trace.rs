//! What each pass of the planner decides, as text: the expected half of the planner's file tests.

use std::fmt::Write;

use crate::plan::cluster::{Clusters, NONE};
use crate::plan::describe;
use crate::plan::divide::Part;
use crate::plan::entries::Entry;
use crate::plan::nodes::Nodes;
use crate::plan::recompute::Storage;
use crate::plan::update::Updates;

/// The clusters: their members with the space of each, and why each begins where it does.
pub(crate) fn clusters(nodes: &Nodes, entries: &[Entry], clusters: &Clusters) -> String {
    let mut text = String::new();
    for (number, cluster) in clusters.list.iter().enumerate() {
        if cluster.members.is_empty() {
            continue;
        }
        let domain = match (cluster.domain.rows, cluster.domain.columns()) {
            (Some(rows), Some(columns)) => format!("{rows} x {columns}"),
            (_, _) => cluster.domain.elements.to_string(),
        };
        let members: Vec<String> = cluster
            .members
            .iter()
            .map(|&member| {
                let space = format!("{:?}", clusters.spaces[member as usize]).to_lowercase();
                format!("{} ({space})", name(nodes, entries, member))
            })
            .collect();
        let _ = writeln!(text, "c{number} over {domain}, {}:", cluster.border.reason());
        let _ = writeln!(text, "    {}", members.join(", "));
    }
    text
}

/// What is stored and what is computed again.
pub(crate) fn storage(nodes: &Nodes, entries: &[Entry], clusters: &Clusters, storage: &Storage) -> String {
    let list = |holds: &dyn Fn(u32) -> bool| {
        let found = (0..entries.len() as u32).filter(|&entry| clusters.home[entry as usize] != NONE && holds(entry));
        found.map(|entry| name(nodes, entries, entry)).collect::<Vec<_>>().join(", ")
    };
    let stored = list(&|entry| storage.is_stored[entry as usize]);
    let again = list(&|entry| storage.is_pulled(entry));
    format!("stored: {stored}\ncomputed again: {again}\n")
}

/// The parts that clusters are divided into, where they are.
pub(crate) fn parts(nodes: &Nodes, entries: &[Entry], parts: &[Part]) -> String {
    let mut text = String::new();
    for part in parts {
        let members: Vec<String> = part.members.iter().map(|&member| name(nodes, entries, member)).collect();
        let _ = writeln!(text, "c{}: {}", part.cluster, members.join(", "));
    }
    text
}

/// Which parameters are overwritten in place.
pub(crate) fn updates(nodes: &Nodes, entries: &[Entry], updates: &Updates) -> String {
    let mut text = String::new();
    for (number, (parameter, next)) in updates.pairs.iter().enumerate() {
        let way = match (updates.certain[number], updates.direct[number]) {
            (true, _) => "in place",
            (false, true) => "in place, as it turned out",
            (false, false) => "copied at the end",
        };
        let _ = writeln!(text, "{} <- {}: {way}", name(nodes, entries, *parameter), name(nodes, entries, *next));
    }
    text
}

/// An entry's name: its node's number and its label or op.
fn name(nodes: &Nodes, entries: &[Entry], entry: u32) -> String {
    let entry = &entries[entry as usize];
    format!("%{} {}", entry.node, describe::op_name(nodes, entry))
}
