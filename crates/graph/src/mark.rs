//! Marks, to which a graph can be cut back, and what cutting means.
//!
//! Invariants: a mark is good as long as nothing below it was cut; a rewind forgets what came after the mark, errors among it,
//! and nothing else. `floors` and `highest_mark` of the arena are what this needs to know which marks are good: no list of
//! marks is kept.

use crate::arena::{Arena, Extent, Graph};
use crate::error::GraphError;
use crate::node::Origin;
use crate::op::{Leaf, Op};

/// A point in a graph's growth to which [`Graph::rewind`] returns.
#[derive(Clone, Copy, Debug)]
#[must_use = "a mark does nothing until the graph is rewound to it"]
pub struct Mark {
    rewinds: u64,
    extent: Extent,
    /// How many errors there had been.
    errors: u64,
    tag: u32,
}

impl Graph {
    /// The present end of the graph, to which [`Graph::rewind`] can return.
    pub fn mark(&self) -> Mark {
        let arena = self.arena();
        arena.highest_mark.set(arena.highest_mark.get().max(arena.next_ordinal()));
        Mark { rewinds: arena.rewinds, extent: arena.extent(), errors: arena.errors, tag: self.tag() }
    }

    /// Removes everything inserted since `mark` was taken, and forgets an error that came after it. Ids and expressions
    /// of removed nodes are stale from then on. The arena keeps its memory, so that growing again costs nothing.
    #[track_caller]
    pub fn rewind(&self, mark: Mark) -> Result<(), GraphError> {
        let origin = Origin::here();
        self.refuse_if_owned("rewind", origin)?;
        let mut arena = self.arena_mut();
        if mark.tag != self.tag() {
            return Err(GraphError::ForeignNode { origin, op: "rewind" });
        }
        if !arena.holds_from(mark.rewinds, mark.extent) {
            return Err(GraphError::StaleMark { origin, op: "rewind" });
        }
        arena.cut(mark.extent);
        // A mark that was taken above before is stale from now on, also when the graph has grown past it again.
        arena.sink_floor(mark.extent.next_ordinal);
        if arena.first_error.as_ref().is_some_and(|(number, _)| *number > mark.errors) {
            arena.first_error = None;
        }
        Ok(())
    }
}

impl Graph {
    /// Whether a mark is good still: for a method of that name which runs a caller's own code and goes on with nodes from before it.
    ///
    /// Errors: the graph was rewound to before the mark; a mark of another graph.
    #[track_caller]
    pub fn require_mark(&self, mark: Mark, method: &'static str) -> Result<(), GraphError> {
        let (origin, op) = (self.origin_or(Origin::here()), method);
        if mark.tag != self.tag() {
            return Err(GraphError::ForeignNode { origin, op });
        }
        let is_good = self.arena().holds_from(mark.rewinds, mark.extent);
        if is_good { Ok(()) } else { Err(GraphError::StaleMark { origin, op }) }
    }
}

impl Arena {
    /// Whether the graph was not cut short beneath an extent that it had after so many rewinds.
    pub(crate) fn holds_from(&self, rewinds: u64, extent: Extent) -> bool {
        let later = self.floors.partition_point(|&(number, _)| number <= rewinds);
        self.floors.get(later).is_none_or(|&(_, floor)| floor >= extent.next_ordinal)
    }

    /// What holds after nodes anywhere were removed and the ordinals closed up: no mark is good any more.
    pub(crate) fn after_retain(&mut self) {
        self.rewinds += 1;
        self.floors.clear();
        self.floors.push((self.rewinds, 0));
        self.highest_mark.set(0);
    }

    /// Removes what came after the graph had that extent.
    pub(crate) fn cut(&mut self, extent: Extent) {
        let Extent { next_ordinal, declarations, updates, layers, draws } = extent;
        while self.order.len() > next_ordinal as usize {
            if let Some(key) = self.order.pop() {
                // Of a node that was removed the null key is left, which is nobody's.
                self.discard(key);
            }
        }
        self.declarations.truncate(declarations);
        self.updates.truncate(updates);
        self.layers.truncate(layers);
        self.draws = draws;
        if self.highest_mark.get() > next_ordinal {
            self.sink_floor(next_ordinal);
        }
    }

    /// Notes that the graph was cut short at an ordinal, so that marks above it are stale.
    fn sink_floor(&mut self, ordinal: u32) {
        self.rewinds += 1;
        let number = self.rewinds;
        while self.floors.last().is_some_and(|&(_, floor)| floor >= ordinal) {
            self.floors.pop();
        }
        self.floors.push((number, ordinal));
        self.highest_mark.set(self.highest_mark.get().min(ordinal));
    }

    /// Forgets the declarations whose nodes are gone, and numbers the others anew.
    pub(crate) fn forget_dead_declarations(&mut self) {
        let Arena { declarations, nodes, names, .. } = self;
        declarations.retain(|declaration| nodes.contains_key(declaration.node.key));
        names.clear();
        for (number, declaration) in declarations.iter().enumerate() {
            names.insert(declaration.name.clone(), number as u32);
            if let Op::Leaf(Leaf::Input { declaration: own } | Leaf::Parameter { declaration: own }) =
                &mut nodes[declaration.node.key].op
            {
                *own = number as u32;
            }
        }
    }
}
