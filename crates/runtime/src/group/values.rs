//! What members of a group exchange.

use arenagrad_graph::AlignedVec;

use super::GroupError;

/// Values of one type, which members of a group exchange.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs)] // The names are the types.
pub enum Values {
    F32(AlignedVec<f32>),
    F64(AlignedVec<f64>),
    I32(AlignedVec<i32>),
    Bytes(AlignedVec<u8>),
}

/// The same expression for a list of whichever type.
macro_rules! of_any {
    ($values:expr, $list:ident => $body:expr) => {
        match $values {
            Values::F32($list) => $body,
            Values::F64($list) => $body,
            Values::I32($list) => $body,
            Values::Bytes($list) => $body,
        }
    };
}

/// Values of the same type as these.
macro_rules! of_same {
    ($values:expr, $list:ident => $body:expr) => {
        match $values {
            Values::F32($list) => Values::F32($body),
            Values::F64($list) => Values::F64($body),
            Values::I32($list) => Values::I32($body),
            Values::Bytes($list) => Values::Bytes($body),
        }
    };
}

impl Values {
    /// How many there are.
    pub fn len(&self) -> usize {
        of_any!(self, list => list.len())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes they are.
    pub fn bytes(&self) -> usize {
        of_any!(self, list => std::mem::size_of_val(&list[..]))
    }

    /// The name of their type.
    pub fn type_name(&self) -> &'static str {
        match self {
            Values::F32(_) => "f32",
            Values::F64(_) => "f64",
            Values::I32(_) => "i32",
            Values::Bytes(_) => "bytes",
        }
    }

    /// Whether they have sums.
    pub(crate) fn is_number(&self) -> bool {
        !matches!(self, Values::Bytes(_))
    }

    /// Whether they have means.
    pub(crate) fn is_float(&self) -> bool {
        matches!(self, Values::F32(_) | Values::F64(_))
    }

    /// Those of f32. Errors: another type.
    pub fn to_f32(self) -> Result<Vec<f32>, GroupError> {
        let found = self.type_name();
        if let Values::F32(list) = self { Ok(list.into()) } else { Err(GroupError::Type { expected: "f32", found }) }
    }

    /// Those of f64. Errors: another type.
    pub fn to_f64(self) -> Result<Vec<f64>, GroupError> {
        let found = self.type_name();
        if let Values::F64(list) = self { Ok(list.into()) } else { Err(GroupError::Type { expected: "f64", found }) }
    }

    /// Bytes. Errors: another type.
    pub fn to_bytes(self) -> Result<Vec<u8>, GroupError> {
        let found = self.type_name();
        if let Values::Bytes(list) = self {
            Ok(list.into())
        } else {
            Err(GroupError::Type { expected: "bytes", found })
        }
    }

    /// The first `len`, with zeros behind them if there are fewer.
    pub(crate) fn padded(self, len: usize) -> Self {
        of_same!(self, list => {
            let mut padded = AlignedVec::with_capacity(len);
            padded.extend_from_slice(&list[..len.min(list.len())]);
            padded.extend(std::iter::repeat_n(Default::default(), len - padded.len()));
            padded
        })
    }

    /// So many zeros of the same type.
    #[cfg(feature = "mpi")]
    pub(crate) fn zeros(&self, len: usize) -> Self {
        of_same!(self, list => {
            let _ = list;
            AlignedVec::zeros(len)
        })
    }

    /// `len` of them from `start` on.
    pub(crate) fn part(&self, start: usize, len: usize) -> Self {
        of_same!(self, list => list[start..start + len].into())
    }

    /// Adds those of another member at each place. Whoever calls this has seen that type and number are the same.
    pub(crate) fn add(&mut self, other: &Values) {
        match (self, other) {
            (Values::F32(sums), Values::F32(other)) => sums.iter_mut().zip(other).for_each(|(sum, x)| *sum += x),
            (Values::F64(sums), Values::F64(other)) => sums.iter_mut().zip(other).for_each(|(sum, x)| *sum += x),
            (Values::I32(sums), Values::I32(other)) => {
                sums.iter_mut().zip(other).for_each(|(sum, x)| *sum = sum.wrapping_add(*x));
            }
            (Values::F32(_) | Values::F64(_) | Values::I32(_) | Values::Bytes(_), _) => {}
        }
    }

    /// Becomes the sums at each place of lists as long as this one, in their order. They stand in pieces of so many values: the first of all
    /// lists, then the second of all.
    #[cfg(feature = "mpi")]
    pub(crate) fn become_sums(&mut self, lists: &Values, piece: usize) {
        match (self, lists) {
            (Values::F32(sums), Values::F32(all)) => sum_pieces(sums, all, piece, |a, b| a + b),
            (Values::F64(sums), Values::F64(all)) => sum_pieces(sums, all, piece, |a, b| a + b),
            (Values::I32(sums), Values::I32(all)) => sum_pieces(sums, all, piece, i32::wrapping_add),
            (Values::F32(_) | Values::F64(_) | Values::I32(_) | Values::Bytes(_), _) => {}
        }
    }

    /// Adds those of another list behind these, which are of one type.
    pub(crate) fn append(&mut self, other: &Values) {
        match (self, other) {
            (Values::F32(list), Values::F32(other)) => list.extend_from_slice(other),
            (Values::F64(list), Values::F64(other)) => list.extend_from_slice(other),
            (Values::I32(list), Values::I32(other)) => list.extend_from_slice(other),
            (Values::Bytes(list), Values::Bytes(other)) => list.extend_from_slice(other),
            (Values::F32(_) | Values::F64(_) | Values::I32(_) | Values::Bytes(_), _) => {}
        }
    }

    /// Floats divided by a number.
    pub(crate) fn divided(self, by: f64) -> Self {
        match self {
            Values::F32(list) => Values::F32(list.iter().map(|&x| x / by as f32).collect()),
            Values::F64(list) => Values::F64(list.iter().map(|&x| x / by).collect()),
            other @ (Values::I32(_) | Values::Bytes(_)) => other,
        }
    }
}

impl From<Vec<f32>> for Values {
    fn from(list: Vec<f32>) -> Self {
        Values::F32(list.into())
    }
}

impl From<Vec<f64>> for Values {
    fn from(list: Vec<f64>) -> Self {
        Values::F64(list.into())
    }
}

impl From<Vec<i32>> for Values {
    fn from(list: Vec<i32>) -> Self {
        Values::I32(list.into())
    }
}

impl From<Vec<u8>> for Values {
    fn from(list: Vec<u8>) -> Self {
        Values::Bytes(list.into())
    }
}

#[cfg(feature = "mpi")]
fn sum_pieces<T: Copy>(sums: &mut [T], all: &[T], piece: usize, add: impl Fn(T, T) -> T) {
    let members = all.len().checked_div(sums.len()).unwrap_or(0);
    for (number, sums) in sums.chunks_mut(piece.max(1)).enumerate() {
        let start = number * piece * members;
        let mut lists = all[start..start + sums.len() * members].chunks_exact(sums.len());
        if let Some(first) = lists.next() {
            sums.copy_from_slice(first);
        }
        for list in lists {
            sums.iter_mut().zip(list).for_each(|(sum, x)| *sum = add(*sum, *x));
        }
    }
}

/// The number that eight bytes are, the lowest first; 0 of fewer.
pub(crate) fn number(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

#[cfg(all(test, feature = "mpi"))]
mod tests {
    use super::Values;

    #[test]
    fn sums_of_lists_are_added_in_their_order() {
        let mut sums = Values::from(vec![1.0f32, 2.0]);
        sums.become_sums(&Values::from(vec![1e8f32, 1.0, 1.0, 2.0, -1e8, 3.0]), 2);
        // The one is lost beside 1e8, as it would not be in another order.
        assert_eq!(sums, Values::from(vec![0.0f32, 6.0]));
        let mut sums = Values::from(vec![0i32]);
        sums.become_sums(&Values::from(vec![i32::MAX, 1]), 7);
        assert_eq!(sums, Values::from(vec![i32::MIN]));
        let mut sums = Values::from(vec![0i32; 3]);
        sums.become_sums(&Values::from(vec![1i32, 2, 10, 20, 3, 30]), 2);
        assert_eq!(sums, Values::from(vec![11i32, 22, 33]));
        let mut none = Values::from(Vec::<f64>::new());
        none.become_sums(&Values::from(Vec::<f64>::new()), 1);
        assert_eq!(none, Values::from(Vec::<f64>::new()));
    }
}
