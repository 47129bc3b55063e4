//! Element types of fewer than 8 bits, and floats of 8 bits or fewer: MLX has neither.
//!
//! Small integers lie sign- or zero-extended in a byte, and wrap after arithmetic.
#![forbid(unsafe_code)]

use super::formula::Formula;
use crate::program::ElementType;

/// Brings the byte of a small integer back into its range; other types pass.
pub fn wrap(value: Formula, element: ElementType) -> Formula {
    if !element.is_small_integer() {
        return value;
    }
    let bits = element.bits() as i128;
    if element.is_signed_integer() { (value << (8 - bits)) >> (8 - bits) } else { value & ((1i128 << bits) - 1) }
}
