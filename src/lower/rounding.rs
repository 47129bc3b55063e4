//! ceil, floor, round_nearest_even, round_nearest_afz.
#![forbid(unsafe_code)]

use super::arithmetic::{UnaryFormula, unary};
use super::formula::Formula;
use super::{Context, LowerError, Lowered, Row};
use crate::program::Op;

/// Rows of the op table.
pub static ROWS: &[Row] = &[
    Row { name: "ceil", note: "", elementwise: true, lower: ceil },
    Row { name: "floor", note: "", elementwise: true, lower: floor },
    Row { name: "round_nearest_even", note: "", elementwise: true, lower: round_nearest_even },
    Row { name: "round_nearest_afz", note: "", elementwise: true, lower: round_nearest_afz },
];

fn float(context: &Context<'_>, op: &Op, formula: UnaryFormula) -> Result<Lowered, LowerError> {
    let element = context.operand(op, 0)?.element;
    if element.is_small_float() {
        return Err(context.unsupported(op, "small floats are only converted and moved"));
    }
    if !element.is_float() {
        return Err(context.invalid(op, &format!("a float type expected, {element} came")));
    }
    Ok(unary(element, formula))
}

fn ceil(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    float(context, op, Formula::ceil)
}

fn floor(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    float(context, op, Formula::floor)
}

fn round_nearest_even(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    float(context, op, Formula::round)
}

fn round_nearest_afz(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    float(context, op, |x| {
        // floor(|x| + 0.5) would round 0.49999997 up: the fraction is exact, the sum is not.
        let magnitude = x.abs();
        let whole = magnitude.floor();
        let up = (&magnitude - &whole).greater_equal(0.5);
        let rounded = up.select(&(&whole + 1.0), &whole);
        // inf - inf is NaN, which is not ≥ 0.5: infinities stay.
        rounded.copysign(x)
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{bytes, elementwise, f32s, values};
    use crate::program::ElementType::*;
    use crate::program::{OpKind, Unary};

    #[test]
    fn rounds_halves_zeros_and_infinities() {
        let x = [0.5f32, 1.5, 2.5, -0.5, -1.5, -0.2, -0., 0.49999997, 8388609., f32::INFINITY, f32::NEG_INFINITY];
        let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        for (op, reference) in [
            (Unary::RoundNearestEven, f32::round_ties_even as fn(f32) -> f32),
            (Unary::RoundNearestAfz, f32::round),
            (Unary::Floor, f32::floor),
            (Unary::Ceil, f32::ceil),
        ] {
            let came = f32s(&elementwise(OpKind::Unary(op), &[(F32, bytes(&x))], F32).unwrap());
            assert_eq!(bits(&came), bits(&x.map(reference)), "{op:?} {came:?}");
            let nan = f32s(&elementwise(OpKind::Unary(op), &[(F32, bytes(&[f32::NAN]))], F32).unwrap());
            assert!(nan[0].is_nan());
        }
    }

    #[test]
    fn rounds_other_widths() {
        let x = [half::bf16::from_f32(2.5), half::bf16::from_f32(-0.5)];
        let came: Vec<half::bf16> =
            values(&elementwise(OpKind::Unary(Unary::RoundNearestAfz), &[(BF16, bytes(&x))], BF16).unwrap());
        assert_eq!(came, [half::bf16::from_f32(3.), half::bf16::from_f32(-1.)]);
        let x = [2.5f64, 4_503_599_627_370_497.5, -0.5];
        let came: Vec<f64> =
            values(&elementwise(OpKind::Unary(Unary::RoundNearestEven), &[(F64, bytes(&x))], F64).unwrap());
        assert_eq!(came, x.map(f64::round_ties_even));
    }
}
