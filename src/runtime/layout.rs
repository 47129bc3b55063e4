//! The order of an array's dimensions in memory.
#![forbid(unsafe_code)]

use std::fmt::{Display, Write};
use std::sync::Arc;

use super::error::{Code, Error};

/// A dense layout other than row-major: the array lies in memory as the row-major array of its permuted dimensions.
/// Where a layout is optional, None is row-major order, so that equal layouts are equal values.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Layout(Arc<[i64]>);

impl Layout {
    /// The layout whose fastest dimension is the first of `minor_to_major`; None when that is row-major order.
    ///
    /// # Errors
    /// INVALID_ARGUMENT unless `minor_to_major` is a permutation of `0..rank`.
    pub fn new(minor_to_major: &[i64], rank: usize) -> Result<Option<Self>, Error> {
        let mut sorted = minor_to_major.to_vec();
        sorted.sort_unstable();
        if !(0..).take(rank).eq(sorted) {
            let message = format!("minor-to-major order {minor_to_major:?} is no permutation of {rank} dimensions");
            return Err(Error::new(Code::InvalidArgument, message));
        }
        let row_major = (0..).take(rank).eq(minor_to_major.iter().rev().copied());
        Ok((!row_major).then(|| Self(minor_to_major.into())))
    }

    /// Reads XLA's form: `{0,1}`. For elements of less than 8 bits it may tell their `bits`, as `{0,1:E(4)}`: that is what
    /// an element is, however it is stored.
    ///
    /// # Errors
    /// UNIMPLEMENTED for tiles and whatever else stands behind the order, INVALID_ARGUMENT for anything else.
    pub fn parse(text: &str, rank: usize, bits: usize) -> Result<Option<Self>, Error> {
        let inner = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        let malformed = || Error::new(Code::InvalidArgument, format!("expected a layout like {{1,0}}, came {text:?}"));
        let inner = inner.ok_or_else(malformed)?;
        let inner = if bits < 8 { inner.strip_suffix(&format!(":E({bits})")).unwrap_or(inner) } else { inner };
        if inner.contains(':') {
            let message = format!("layout {text} is not supported on mps: only an order of dimensions");
            return Err(Error::new(Code::Unimplemented, message));
        }
        if inner.is_empty() {
            return Self::new(&[], rank);
        }
        let order = inner.split(',').map(|number| number.trim().parse().map_err(|_| malformed()));
        Self::new(&order.collect::<Result<Vec<i64>, _>>()?, rank)
    }

    /// Dimensions from the one whose elements lie next to each other to the one whose elements lie farthest apart.
    pub fn minor_to_major(&self) -> &[i64] {
        &self.0
    }

    /// For each dimension of the memory, the dimension of the array that it is.
    fn axes(&self) -> impl Iterator<Item = usize> {
        self.0.iter().rev().map(|&axis| usize::try_from(axis).expect("a permutation has no negative numbers"))
    }

    /// Sizes in memory, from the slowest dimension to the fastest.
    pub(super) fn physical(&self, dims: &[i64]) -> Vec<i64> {
        self.axes().map(|axis| dims[axis]).collect()
    }

    /// Transposing the array by these axes gives the memory's dimensions.
    pub(super) fn to_physical(&self) -> Vec<i32> {
        self.0.iter().rev().map(|&axis| i32::try_from(axis).expect("arrays have few dimensions")).collect()
    }

    /// Transposing the memory's dimensions by these axes gives the array.
    pub(super) fn to_logical(&self) -> Vec<i32> {
        let mut axes = vec![0; self.0.len()];
        for (place, axis) in (0..).zip(self.axes()) {
            axes[axis] = place;
        }
        axes
    }
}

/// A layout in XLA's form: `{1,0}`.
pub fn layout_text(layout: Option<&Layout>, rank: usize) -> String {
    fn join(order: impl Iterator<Item = impl Display>) -> String {
        let mut text = String::from("{");
        for (index, dimension) in order.enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(text, "{comma}{dimension}").expect("strings take any text");
        }
        text + "}"
    }
    match layout {
        Some(layout) => join(layout.0.iter()),
        None => join((0..rank).rev()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_xla() {
        for (text, rank) in [("{0,1}", 2), ("{1,0}", 2), ("{}", 0), ("{0}", 1), ("{1,3,0,2}", 4)] {
            assert_eq!(layout_text(Layout::parse(text, rank, 32).unwrap().as_ref(), rank), text);
        }
        assert_eq!(Layout::parse("{1,0}", 2, 32), Ok(None));
        assert_eq!(Layout::parse("{}", 0, 32), Ok(None));
        assert_eq!(Layout::parse("{1,0:E(4)}", 2, 4), Ok(None));
        assert_eq!(Layout::parse("{0,1:E(2)}", 2, 2), Layout::new(&[0, 1], 2));
    }

    #[test]
    fn bad_layouts_are_errors() {
        let code = |text, bits| Layout::parse(text, 2, bits).unwrap_err().code;
        assert_eq!(code("{1,0:T(8,128)}", 32), Code::Unimplemented);
        assert_eq!(code("{1,0:T(8,128)E(4)}", 4), Code::Unimplemented);
        assert_eq!(code("{1,0:E(4)}", 8), Code::Unimplemented);
        for text in ["{0,0}", "{0}", "{0,1,2}", "{1,2}", "{-1,0}", "{a,b}", "0,1", "{0,1", "{}", "{0,}", ""] {
            assert_eq!(code(text, 32), Code::InvalidArgument, "{text}");
        }
    }

    #[test]
    fn dimensions_are_permuted_and_back() {
        let layout = Layout::new(&[1, 2, 0], 3).unwrap().expect("not row-major");
        assert_eq!(layout.minor_to_major(), [1, 2, 0]);
        assert_eq!(layout.physical(&[2, 3, 4]), [2, 4, 3]);
        assert_eq!(layout.to_physical(), [0, 2, 1]);
        let cycle = Layout::new(&[0, 2, 1], 3).unwrap().expect("not row-major");
        assert_eq!(cycle.physical(&[2, 3, 4]), [3, 4, 2]);
        assert_eq!(cycle.to_physical(), [1, 2, 0]);
        assert_eq!(cycle.to_logical(), [2, 0, 1]);
    }
}
