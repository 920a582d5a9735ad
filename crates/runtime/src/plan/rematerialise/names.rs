//! Which results a caller named to be kept, or to be computed again.
//!
//! A pattern names a layer, with all that is computed in it, or an expression that was given a name. What a layer gives to the outside is
//! kept where the layer is to be computed again: what comes next begins with it, and the next layer is computed again from it.
//!
//! What a step computes for itself and does not store is named too: the name then stands for what the step stores.

use std::collections::{HashMap, HashSet};

use crate::error::Error;
use crate::plan::Passes;
use crate::plan::cluster::NONE;
use crate::plan::divide::part_of;
use crate::plan::layers::LayerMap;
use crate::plan::nodes::Nodes;
use crate::plan::rematerialise::MemoryPolicy;
use crate::plan::rematerialise::timeline::Timeline;
use crate::plan::report::stage;
use crate::train::{listed, matches_pattern};

/// The names of what a plan computes.
pub(super) struct Names<'a> {
    layers: &'a LayerMap,
    /// For each entry the innermost layer of its node.
    layer_of: Vec<Option<u32>>,
    /// For each entry the labels of its node and of views of it.
    labels: Vec<Vec<String>>,
    /// For each entry whether the forward pass computes it.
    is_of_forward: Vec<bool>,
    /// For each step all entries that it computes, those that it does not store among them.
    computed: Vec<Vec<u32>>,
}

impl<'a> Names<'a> {
    pub(super) fn new(nodes: &Nodes, passes: &Passes, layers: &'a LayerMap) -> Names<'a> {
        let part_of = part_of(&passes.parts, passes.entries.len());
        let computed = passes.steps.iter().map(|step| {
            let part = step.writes.iter().map(|&write| part_of[write as usize]).find(|&part| part != NONE);
            let members = part.map_or(&[][..], |part| &passes.parts[part as usize].members);
            let unstored = members.iter().filter(|member| !step.writes.contains(member));
            step.writes.iter().chain(unstored).copied().collect()
        });
        let computed = computed.collect();
        let layer_of = passes.entries.iter().map(|entry| layers.innermost(entry.node as usize)).collect();
        let is_of_forward =
            passes.entries.iter().map(|entry| entry.stage == 0 && !nodes.kind(entry.node).is_leaf()).collect();
        Names { layers, layer_of, labels: labels(nodes, passes, layers), is_of_forward, computed }
    }

    /// Refuses a pattern that no name has, here or in another plan of the function: it is a typing error.
    pub(super) fn check(&self, policy: &MemoryPolicy) -> Result<(), Error> {
        if policy.is_lenient {
            return Ok(());
        }
        let given = self.layers.labels().map(|(label, _)| label);
        let labels = given.chain(self.labels.iter().flatten().map(String::as_str));
        let names: Vec<&str> = self.layers.names().chain(labels).collect();
        let patterns = policy.kept.iter().chain(&policy.recomputed);
        for pattern in patterns.filter(|pattern| !policy.matched.contains(pattern)) {
            if !names.iter().any(|name| matches_pattern(pattern, name)) {
                // Not inputs and parameters, nor what an optimiser calls its own: nothing of these is computed again.
                let of_forward =
                    self.labels.iter().zip(&self.is_of_forward).filter(|(_, is_of_forward)| **is_of_forward);
                let given = of_forward.flat_map(|(labels, _)| labels).map(String::as_str);
                let mut seen = HashSet::new();
                let known = listed(self.layers.names().chain(given).filter(|name| seen.insert(*name)));
                return Err(Error::UnmatchedName { pattern: pattern.clone(), known });
            }
        }
        Ok(())
    }

    /// Notes in the timeline what is never dropped, and what is dropped as soon as the forward pass does not need it any more.
    pub(super) fn apply(&self, policy: &MemoryPolicy, timeline: &mut Timeline<'_>) {
        let entries = timeline.entries;
        let kept = self.matching(&policy.kept);
        let is_kept = |&entry: &u32| self.is_labelled(&policy.kept, entry) || self.outermost(&kept, entry).is_some();
        // What a step computes beside it would bring it along.
        let steps = timeline.steps.iter().zip(&self.computed);
        for ((step, computed), is_repeatable) in steps.zip(&mut timeline.is_repeatable) {
            if computed.iter().any(is_kept) {
                *is_repeatable = false;
                step.writes.iter().for_each(|&write| timeline.may_drop[write as usize] = false);
            }
        }
        if policy.recomputed.is_empty() {
            return;
        }
        let recomputed = self.matching(&policy.recomputed);
        let labelled = self.named(&policy.recomputed, timeline);
        let is_forward = |step: u32| stage(entries, &timeline.steps[step as usize]) == 0;
        let mut dropped: Vec<(u32, u32)> = Vec::new();
        for entry in 0..entries.len() as u32 {
            let layer = self.outermost(&recomputed, entry);
            let is_labelled = labelled[entry as usize];
            let uses = &timeline.uses[entry as usize];
            if !timeline.may_drop[entry as usize] || (layer.is_none() && !is_labelled) {
                continue;
            }
            let early = uses.iter().take_while(|&&step| is_forward(step)).count();
            let Some(&later) = uses.get(early).filter(|_| is_forward(timeline.producer[entry as usize])) else {
                continue;
            };
            let is_inside = |&step: &u32| {
                let mut writes = timeline.steps[step as usize].writes.iter();
                writes.all(|&write| self.outermost(&recomputed, write) == layer)
            };
            if is_labelled || uses[..early].iter().all(is_inside) {
                let last = uses[..early].last().copied().unwrap_or(timeline.producer[entry as usize]);
                timeline.dropped_after[entry as usize] = last;
                dropped.push((entry, later));
            }
        }
        // What they are computed from stays until then, unless it is dropped itself.
        for &(entry, later) in &dropped {
            let producer = timeline.producer[entry as usize];
            for &read in &timeline.steps[producer as usize].reads {
                let is_there =
                    timeline.producer[read as usize] != NONE && timeline.dropped_after[read as usize] == NONE;
                if is_there && timeline.last_use(read) < later {
                    timeline.uses[read as usize].push(later);
                }
            }
        }
    }

    /// Which layers have a name of one of these patterns.
    fn matching(&self, patterns: &[String]) -> Vec<bool> {
        self.layers.names().map(|name| patterns.iter().any(|pattern| matches_pattern(pattern, name))).collect()
    }

    /// Which entries stand for a label of one of these patterns: those that have it, and all that a step stores that computes one that
    /// has it and stores none.
    fn named(&self, patterns: &[String], timeline: &Timeline<'_>) -> Vec<bool> {
        let mut named: Vec<bool> =
            (0..self.labels.len() as u32).map(|entry| self.is_labelled(patterns, entry)).collect();
        for (step, computed) in timeline.steps.iter().zip(&self.computed) {
            let (stored, unstored) = computed.split_at(step.writes.len());
            let labels = |entry: u32| &self.labels[entry as usize];
            let is_alone = |&&entry: &&u32| {
                let is_stored = |label| stored.iter().any(|&write| labels(write).contains(label));
                self.is_labelled(patterns, entry) && !labels(entry).iter().any(is_stored)
            };
            if unstored.iter().any(|entry| is_alone(&entry)) {
                stored.iter().for_each(|&write| named[write as usize] = true);
            }
        }
        named
    }

    fn is_labelled(&self, patterns: &[String], entry: u32) -> bool {
        let mut labels = self.labels[entry as usize].iter();
        labels.any(|label| patterns.iter().any(|pattern| matches_pattern(pattern, label)))
    }

    /// The outermost of the chosen layers that an entry is computed in.
    fn outermost(&self, chosen: &[bool], entry: u32) -> Option<u32> {
        let mut layer = self.layer_of.get(entry as usize).copied().flatten();
        let mut outermost = None;
        while let Some(own) = layer {
            if chosen[own as usize] {
                outermost = Some(own);
            }
            layer = self.layers.within(own);
        }
        outermost
    }
}

/// For each entry the labels that stand for it: what is a view of a result stands for that.
fn labels(nodes: &Nodes, passes: &Passes, layers: &LayerMap) -> Vec<Vec<String>> {
    let mut labels: Vec<Vec<String>> = vec![Vec::new(); passes.entries.len()];
    let mut entry_of: HashMap<u32, usize> = HashMap::new();
    // An entry may go by the node of a view of it, or be a copy of a view: then the first is what is viewed.
    for (number, entry) in passes.entries.iter().enumerate() {
        entry_of.entry(nodes.viewed(entry.node)).or_insert(number);
        labels[number].extend(nodes.label(entry.node).map(str::to_owned));
    }
    let remaining = nodes.labels().into_iter().map(|(node, label)| (label, node));
    let given = layers.labels().filter_map(|(label, node)| Some((label, node?)));
    for (label, node) in remaining.chain(given) {
        let own = entry_of.get(&nodes.viewed(node)).map(|&entry| &mut labels[entry]);
        if let Some(own) = own.filter(|own| own.iter().all(|known| known != label)) {
            own.push(label.to_owned());
        }
    }
    labels
}
