//! Rounding.

use crate::lower::testing::{bytes, elementwise, f32s, values};
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
