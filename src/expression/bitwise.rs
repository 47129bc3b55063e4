//! Shifts and counts of bits, of integers of any width.
#![forbid(unsafe_code)]

use super::Term;
use super::arithmetic::population;
use super::small_types::wrap;
use crate::program::ElementType;

/// The significant bits as an unsigned number: the byte of a small integer holds copies of its sign.
fn zero_extended(a: &Term, element: ElementType) -> Term {
    let bits = a.bits();
    if element.is_small_integer() && element.is_signed_integer() {
        bits & ((1i128 << element.bits()) - 1)
    } else {
        bits
    }
}

/// Shifts by more than the width are undefined in targets: an amount in range, and where the one given was (a negative one
/// is a large unsigned one).
fn amount(b: &Term, element: ElementType) -> (Term, Term) {
    let width = element.bits() as i128;
    let amount = b.bits();
    (amount.minimum(width - 1), amount.less(width))
}

/// a · 2^b; 0 beyond the width.
pub fn shift_left(a: &Term, b: &Term, element: ElementType) -> Term {
    let (amount, in_range) = amount(b, element);
    wrap(in_range.select(&(a.bits() << amount), 0i128).view(a.scalar()), element)
}

/// Zeros come in; 0 beyond the width.
pub fn shift_right_logical(a: &Term, b: &Term, element: ElementType) -> Term {
    let (amount, in_range) = amount(b, element);
    wrap(in_range.select(&(zero_extended(a, element) >> amount), 0i128).view(a.scalar()), element)
}

/// Copies of the highest bit come in, and fill all beyond the width.
pub fn shift_right_arithmetic(a: &Term, b: &Term, element: ElementType) -> Term {
    let (amount, _) = amount(b, element);
    let mut value = a.view(a.scalar().signed());
    if element.is_small_integer() && element.is_unsigned_integer() {
        // XLA copies the highest bit of unsigned numbers as well.
        let spare = 8 - element.bits() as i128;
        value = (value << spare) >> spare;
    }
    let amount = amount.view(value.scalar());
    wrap((value >> amount).view(a.scalar()), element)
}

/// Number of bits set.
pub fn popcnt(a: &Term, element: ElementType) -> Term {
    wrap(population(&zero_extended(a, element)).view(a.scalar()), element)
}

/// Number of zero bits above the highest that is set.
pub fn count_leading_zeros(a: &Term, element: ElementType) -> Term {
    let mut bits = zero_extended(a, element);
    let width = element.bits();
    let mut shift = 1;
    while shift < width {
        bits = &bits | (&bits >> shift as i128);
        shift *= 2;
    }
    let count = population(&bits);
    wrap((count.integer(width as i128) - count).view(a.scalar()), element)
}
