//! What is done to names, layouts and types before tensors are loaded or saved.

use std::collections::HashMap;

use arenagrad_graph::{Origin, StorageType};

use crate::weights::header::METADATA;
use crate::weights::pattern::NamePattern;
use crate::weights::{Weight, Weights, WeightsError, element_bytes, error, storage_named};

/// Transformations, by names and patterns of them.
///
/// In a pattern, `*` stands for any characters, dots too: `*.weight`, `h.*.attn.*`. A pattern without `*` stands for the tensor of
/// that name and for all that is inside a module of that name (`conv1` for `conv1.weight`, not for `conv10.weight`); one that ends in a
/// dot, for all names that begin so. Each transformation sees the names as those before it left them.
///
/// A mistake, such as an empty pattern or a name that two tensors would have, is kept and returned by whoever uses the tensors next,
/// with the place of the call.
impl Weights {
    /// Renames what a pattern matches. For a pattern without `*` the begin of the name is replaced: `.rename("features.", "conv")`
    /// makes `conv0.weight` of `features.0.weight`, and `.rename("module.", "")` takes a prefix away. A pattern that matches nothing renames nothing, so that files with and without such a
    /// prefix may be read alike. Each `*` of `to` stands for what
    /// that of the pattern in its place matched, so there must be as many: `.rename("h.*.ln_1.*", "blocks.*.norm1.*")`. A `*` matches as
    /// few characters as it can, but for the last.
    #[must_use]
    #[track_caller]
    pub fn rename(self, pattern: &str, to: &str) -> Self {
        let origin = Origin::here();
        let found = NamePattern::new(pattern).map_err(str::to_owned).and_then(|found| {
            let (from, into) = (found.stars(), to.matches('*').count());
            match from == into {
                true => Ok(found),
                false => Err(format!("it has {from} \"*\", and {to:?} has {into}")),
            }
        });
        match found {
            Ok(found) => self.renamed(origin, "rename", |name| found.replaced(name, to)),
            Err(reason) => self.mistaken(pattern_mistake(origin, "rename", pattern, reason)),
        }
    }

    /// Renames every tensor to what a function makes of its name.
    #[must_use]
    #[track_caller]
    pub fn rename_with(self, mut rename: impl FnMut(&str) -> String) -> Self {
        self.renamed(Origin::here(), "rename_with", |name| Some(rename(name)))
    }

    /// Puts a text in front of every name: `.prefix("backbone.")`.
    #[must_use]
    #[track_caller]
    pub fn prefix(self, prefix: &str) -> Self {
        self.renamed(Origin::here(), "prefix", |name| Some(format!("{prefix}{name}")))
    }

    /// Keeps the tensors that one of the patterns matches: `.select(["conv1", "conv2"])`. A pattern that matches none is a mistake.
    #[must_use]
    #[track_caller]
    pub fn select<'p>(self, patterns: impl IntoIterator<Item = &'p str>) -> Self {
        let origin = Origin::here();
        self.kept(origin, "select", patterns, true)
    }

    /// Leaves out the tensors that one of the patterns matches: `.without(["head"])`.
    #[must_use]
    #[track_caller]
    pub fn without<'p>(self, patterns: impl IntoIterator<Item = &'p str>) -> Self {
        let origin = Origin::here();
        self.kept(origin, "without", patterns, false)
    }

    /// Exchanges rows and columns of the matrices that a pattern matches: of tensors that are `[in, out]` where the parameter is
    /// `[out, in]`, as GPT-2's are. Tensors of other ranks that the pattern matches are left as they are. A pattern that matches no
    /// matrix is a mistake, because nothing would tell of a square one that was not transposed.
    #[must_use]
    #[track_caller]
    pub fn transpose(mut self, pattern: &str) -> Self {
        let origin = Origin::here();
        let found = match NamePattern::new(pattern) {
            Ok(found) => found,
            Err(reason) => return self.mistaken(pattern_mistake(origin, "transpose", pattern, reason)),
        };
        let matches = |weight: &Weight| weight.shape().rank() == 2 && found.matches(&weight.name);
        let matched: Vec<&mut Weight> = self.list.iter_mut().filter(|weight| matches(weight)).collect();
        if let Some(packed) = matched.iter().find(|weight| element_bytes(weight.dtype()).is_none()) {
            let reason = format!("{:?} holds {}, which cannot be transposed here", packed.name, packed.stored_as());
            return self.mistaken(pattern_mistake(origin, "transpose", pattern, reason));
        }
        if !matched.is_empty() {
            matched.into_iter().for_each(|weight| weight.is_transposed = !weight.is_transposed);
            return self;
        }
        let matrices = self.list.iter().filter(|weight| weight.shape().rank() == 2).map(|weight| weight.name.as_str());
        let reason = format!("it matches no tensor of rank 2; such are {}", error::known(matrices));
        self.mistaken(pattern_mistake(origin, "transpose", pattern, reason))
    }

    /// Converts the tensors of floats that a pattern matches: `.cast("*", StorageType::Bf16)` halves the file of a model in f32. Integers
    /// and truth values stay as they are. Rounded to nearest, ties to even. Of several casts of one tensor the last counts, as if there were no other. A pattern that
    /// matches nothing is a mistake, as the file would be as large as before.
    #[must_use]
    #[track_caller]
    pub fn cast(mut self, pattern: &str, storage: StorageType) -> Self {
        let origin = Origin::here();
        let found =
            NamePattern::new(pattern).map_err(str::to_owned).and_then(|found| match storage.value().is_float() {
                true => Ok(found),
                false => Err(format!("floats are converted to floats, not to {storage}")),
            });
        match found {
            Ok(found) if self.has_none(found) => {
                let mistake = self.unmatched(origin, "cast", pattern);
                self.mistaken(mistake)
            }
            Ok(found) => {
                let is_float =
                    |weight: &Weight| storage_named(weight.dtype()).is_some_and(|held| held.value().is_float());
                for weight in self.list.iter_mut().filter(|weight| is_float(weight) && found.matches(&weight.name)) {
                    weight.cast = Some(storage);
                }
                self
            }
            Err(reason) => self.mistaken(pattern_mistake(origin, "cast", pattern, reason)),
        }
    }

    /// Gives the tensors for which there is one another name.
    fn renamed(
        mut self,
        origin: Origin,
        method: &'static str,
        mut new_name: impl FnMut(&str) -> Option<String>,
    ) -> Self {
        let names: Vec<String> =
            self.list.iter().map(|weight| new_name(&weight.name).unwrap_or_else(|| weight.name.clone())).collect();
        let mut by_name = HashMap::with_capacity(names.len());
        for (place, name) in names.iter().enumerate() {
            if name.is_empty() && !self.list[place].name.is_empty() {
                let reason = "it leaves nothing of that name";
                let mistake = pattern_mistake(origin, method, &self.list[place].name, reason);
                return self.mistaken(mistake);
            }
            if name == METADATA {
                let name = name.clone();
                return self.mistaken(WeightsError::ReservedName { origin, method, name });
            }
            if let Some(first) = by_name.insert(name.clone(), place) {
                let (first, second) = (self.list[first].name.clone(), self.list[place].name.clone());
                return self.mistaken(WeightsError::RepeatedName { origin, method, name: name.clone(), first, second });
            }
        }
        for (weight, name) in self.list.iter_mut().zip(names) {
            weight.name = name;
        }
        Weights { by_name, ..self }
    }

    /// Keeps what the patterns match, or what they do not.
    fn kept<'p>(
        mut self,
        origin: Origin,
        method: &'static str,
        patterns: impl IntoIterator<Item = &'p str>,
        is_wanted: bool,
    ) -> Self {
        let mut found = Vec::new();
        for text in patterns {
            let pattern = match NamePattern::new(text) {
                Ok(pattern) => pattern,
                Err(reason) => return self.mistaken(pattern_mistake(origin, method, text, reason)),
            };
            if is_wanted && self.has_none(pattern) {
                let mistake = self.unmatched(origin, method, text);
                return self.mistaken(mistake);
            }
            found.push(pattern);
        }
        self.list.retain(|weight| found.iter().any(|pattern| pattern.matches(&weight.name)) == is_wanted);
        self.by_name = self.list.iter().enumerate().map(|(place, weight)| (weight.name.clone(), place)).collect();
        self
    }

    /// Whether there are tensors, and a pattern matches none of them.
    fn has_none(&self, pattern: NamePattern<'_>) -> bool {
        !self.list.is_empty() && !self.list.iter().any(|weight| pattern.matches(&weight.name))
    }

    /// The mistake that a pattern matches nothing.
    fn unmatched(&self, origin: Origin, method: &'static str, pattern: &str) -> WeightsError {
        let names = self.list.iter().map(|weight| weight.name.as_str());
        pattern_mistake(origin, method, pattern, format!("it matches no tensor; there are {}", error::known(names)))
    }
}

fn pattern_mistake(origin: Origin, method: &'static str, pattern: &str, reason: impl Into<String>) -> WeightsError {
    WeightsError::Pattern { origin, method, pattern: pattern.to_owned(), reason: reason.into() }
}
