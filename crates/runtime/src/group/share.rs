//! Which part of a batch is whose.

use std::iter;
use std::ops::Range;

use super::GroupError;

/// The part of each batch that one member of a group has: of `shards` parts that are as equal as can be, those that are its own.
///
/// Of a batch of `n` samples, shard `s` is the samples `n s / shards .. n (s + 1) / shards`, and rank `r` of `size` has the shards
/// `shards r / size .. shards (r + 1) / size`, both rounded down. So each sample is in one member's part, whatever divides what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    rank: usize,
    size: usize,
    shards: usize,
}

/// The share of a member, with as many shards as members.
pub fn share_of(group: &dyn super::Group) -> Share {
    Share { rank: group.rank(), size: group.size(), shards: group.size() }
}

impl Share {
    /// The share of rank `rank` of `size` members in batches of so many shards.
    ///
    /// Errors: no shards; no such rank.
    pub fn new(rank: usize, size: usize, shards: usize) -> Result<Share, GroupError> {
        if rank >= size {
            return Err(GroupError::NoSuchRank { rank, size });
        }
        if shards == 0 {
            return Err(GroupError::NoShards);
        }
        Ok(Share { rank, size, shards })
    }

    /// The same member's share in batches of so many shards, which is what the deterministic mode goes by.
    pub fn in_shards(self, shards: usize) -> Result<Share, GroupError> {
        Share::new(self.rank, self.size, shards)
    }

    /// How many shards a batch is cut into.
    pub fn shards(&self) -> usize {
        self.shards
    }

    /// The numbers of the shards that are this member's.
    pub fn own_shards(&self) -> Range<usize> {
        part(self.shards, self.rank, self.size)
    }

    /// The samples of a batch of `samples` that are a shard's.
    pub fn of_shard(&self, shard: usize, samples: usize) -> Range<usize> {
        part(samples, shard, self.shards)
    }

    /// Those of this member's shards that have samples in a batch of `samples`, in order, each with what it has. There are no more than samples, however
    /// many shards there are.
    pub fn occupied_shards(self, samples: usize) -> impl Iterator<Item = (usize, Range<usize>)> {
        let Range { start, end } = self.range(samples);
        let mut next = start;
        iter::from_fn(move || {
            if next >= end {
                return None;
            }
            let shard = self.shard_of(next, samples);
            let range = self.of_shard(shard, samples);
            next = range.end;
            Some((shard, range))
        })
    }

    /// The shard that a sample of a batch of `samples` is in: the first that ends behind it.
    fn shard_of(self, sample: usize, samples: usize) -> usize {
        ((sample as u128 + 1) * self.shards as u128).div_ceil(samples as u128) as usize - 1
    }

    /// The samples of a batch of `samples` that are this member's.
    pub fn range(&self, samples: usize) -> Range<usize> {
        let own = self.own_shards();
        let begin = self.of_shard(own.start, samples).start;
        if own.is_empty() { begin..begin } else { begin..self.of_shard(own.end - 1, samples).end }
    }
}

/// The part of that number of `whole` in `parts` parts. In 128 bits nothing overflows.
fn part(whole: usize, number: usize, parts: usize) -> Range<usize> {
    let place = |number: usize| (whole as u128 * number as u128 / parts as u128) as usize;
    place(number)..place(number + 1)
}

#[cfg(test)]
mod tests {
    use super::Share;

    #[test]
    fn every_sample_is_in_one_share() {
        for (samples, size, shards) in [(64, 2, 2), (7, 3, 3), (2, 4, 4), (0, 3, 3), (10, 3, 4), (5, 4, 2), (9, 2, 7)] {
            let mut all = Vec::new();
            for rank in 0..size {
                let share = Share::new(rank, size, shards).unwrap();
                let own: Vec<usize> = share.own_shards().flat_map(|shard| share.of_shard(shard, samples)).collect();
                assert_eq!(own, share.range(samples).collect::<Vec<_>>(), "{samples} {size} {shards} {rank}");
                all.extend(own);
            }
            assert_eq!(all, (0..samples).collect::<Vec<_>>(), "{samples} {size} {shards}");
        }
        assert!(Share::new(3, 3, 3).is_err() && Share::new(0, 1, 0).is_err());
    }

    #[test]
    fn shards_without_samples_are_passed_over() {
        for (samples, size, shards) in
            [(64, 2, 2), (7, 3, 3), (2, 4, 4), (0, 3, 3), (10, 3, 4), (5, 4, 2), (9, 2, 7), (3, 2, 50)]
        {
            for rank in 0..size {
                let share = Share::new(rank, size, shards).unwrap();
                let with_samples = share.own_shards().map(|shard| (shard, share.of_shard(shard, samples)));
                let expected: Vec<_> = with_samples.filter(|(_, range)| !range.is_empty()).collect();
                assert_eq!(
                    share.occupied_shards(samples).collect::<Vec<_>>(),
                    expected,
                    "{samples} {size} {shards} {rank}"
                );
            }
        }
        for shards in [1 << 40, usize::MAX - 1, usize::MAX] {
            let found =
                [0, 1].map(|rank| Share::new(rank, 2, shards).unwrap().occupied_shards(5).map(|(_, range)| range));
            let found: Vec<usize> = found.into_iter().flatten().flatten().collect();
            assert_eq!(found, [0, 1, 2, 3, 4], "{shards}");
        }
    }

    #[test]
    fn shares_are_as_equal_as_can_be() {
        let lengths =
            |samples, size| (0..size).map(move |rank| Share::new(rank, size, size).unwrap().range(samples).len());
        for (samples, size) in [(10, 3), (64, 5), (3, 4)] {
            let (least, most) = (lengths(samples, size).min().unwrap(), lengths(samples, size).max().unwrap());
            assert!(most - least <= 1, "{samples} {size}");
        }
    }
}
