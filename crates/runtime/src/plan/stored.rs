//! In what the results of entries are stored: floats of 16 bits where nothing is lost by it.
//!
//! Such a result was rounded, or is put together of what was. Whoever reads it widens it, or reads a copy in f32.

use arenagrad_graph::{DType, Elementwise, Half, NodeId, StorageType};

use crate::plan::entries::{Entry, Work};
use crate::plan::layout::Layout;

/// In what the result of an elementwise operation is stored: what was rounded to 16 bits in them.
pub(crate) fn of_elementwise(elementwise: &Elementwise<NodeId>, dtype: DType) -> StorageType {
    match (elementwise, dtype) {
        (Elementwise::RoundTo { half, .. }, DType::F32) => half.storage(),
        (
            Elementwise::RoundTo { .. }
            | Elementwise::Unary { .. }
            | Elementwise::Binary { .. }
            | Elementwise::Compare { .. }
            | Elementwise::Where { .. }
            | Elementwise::Cast { .. },
            _,
        ) => dtype.into(),
    }
}

/// In what a result of these pieces, and of a constant between them, is stored: in 16 bits if they hold each of them.
pub(crate) fn of_pieces(entries: &[Entry], pieces: &[Layout], fill: Option<f64>, dtype: DType) -> StorageType {
    let storage = |piece: &Layout| entries[piece.base as usize].storage;
    let half = pieces.iter().find_map(|piece| Half::of(storage(piece)));
    let holds_all = |half: &Half| {
        let holds = |value: f64| half.round(value).to_bits() == value.to_bits();
        let holds_piece = |piece: &Layout| {
            if let Work::Constant(value) = entries[piece.base as usize].work {
                return holds(value);
            }
            storage(piece) == half.storage()
        };
        fill.is_none_or(holds) && pieces.iter().all(holds_piece)
    };
    half.filter(holds_all).map_or(dtype.into(), Half::storage)
}
