//! A table indexed by ordinal that is as good as empty at each use, so that looking at a few nodes costs no more in a large graph.

/// Numbers by ordinal. Those of an earlier use are told by their round, and need not be cleared.
#[derive(Debug, Default)]
pub(crate) struct Places {
    round: u32,
    marks: Vec<(u32, u32)>,
}

impl Places {
    /// Empties the table and makes room for ordinals below `bound`.
    pub(crate) fn begin(&mut self, bound: usize) {
        if self.marks.len() < bound {
            self.marks.resize(bound, (0, 0));
        }
        self.round = match self.round.checked_add(1) {
            Some(round) => round,
            None => {
                self.marks.fill((0, 0));
                1
            }
        };
    }

    /// Notes a number for an ordinal that has none yet. Says whether it had none.
    pub(crate) fn insert(&mut self, ordinal: u32, number: u32) -> bool {
        let mark = &mut self.marks[ordinal as usize];
        let is_new = mark.0 != self.round;
        if is_new {
            *mark = (self.round, number);
        }
        is_new
    }

    /// The number of an ordinal.
    pub(crate) fn get(&self, ordinal: u32) -> Option<u32> {
        self.marks.get(ordinal as usize).filter(|(round, _)| *round == self.round).map(|(_, number)| *number)
    }
}

#[cfg(test)]
mod tests {
    use super::Places;

    #[test]
    fn a_round_forgets_the_one_before() {
        let mut places = Places { round: u32::MAX - 1, marks: Vec::new() };
        for _ in 0..3 {
            places.begin(4);
            assert_eq!(places.get(3), None);
            assert!(places.insert(3, 7) && !places.insert(3, 8));
            assert_eq!((places.get(3), places.get(0), places.get(9)), (Some(7), None, None));
        }
    }
}
