//! erf and erf_inv.

use crate::lower::testing::{bytes, custom_call, elementwise, f32s, values};
use crate::program::ElementType::{F32, F64};

fn doubles(name: &str, x: &[f64]) -> Vec<f64> {
    values(&elementwise(custom_call(name), &[(F64, bytes(x))], F64).unwrap())
}

fn singles(name: &str, x: &[f32]) -> Vec<f32> {
    f32s(&elementwise(custom_call(name), &[(F32, bytes(x))], F32).unwrap())
}

/// erf at these points, from scipy.special.erf.
const POINTS: [(f64, f64); 8] = [
    (1e-10, 1.1283791670955126e-10),
    (1e-3, 0.0011283787909692363),
    (0.3, 0.3286267594591274),
    (0.999, 0.8422852702064969),
    (1.0, 0.8427007929497148),
    (1.7, 0.9837904585907745),
    (3.5, 0.9999992569016276),
    (9.0, 1.0),
];

#[test]
fn erf_is_precise_relatively() {
    let x: Vec<f64> = POINTS.iter().flat_map(|(x, _)| [*x, -x]).collect();
    let expected: Vec<f64> = POINTS.iter().flat_map(|(_, y)| [*y, -y]).collect();
    let double = doubles("mhlo.erf", &x);
    let single = singles("mhlo.erf", &x.iter().map(|&x| x as f32).collect::<Vec<_>>());
    for ((expected, double), single) in expected.iter().zip(double).zip(single) {
        assert!((double / expected - 1.0).abs() < 1e-15, "{double} {expected}");
        assert!((f64::from(single) / expected - 1.0).abs() < 3e-7, "{single} {expected}");
    }
    let ends = singles("mhlo.erf", &[f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -0.0]);
    assert!(ends[0] == 1.0 && ends[1] == -1.0 && ends[2].is_nan() && ends[3].to_bits() == 1 << 31, "{ends:?}");
    let ends = doubles("mhlo.erf", &[f64::INFINITY, f64::NEG_INFINITY, f64::NAN, -0.0]);
    assert!(ends[0] == 1.0 && ends[1] == -1.0 && ends[2].is_nan() && ends[3].to_bits() == 1 << 63, "{ends:?}");
}

#[test]
fn erf_inv_undoes_erf() {
    let x = [-1.0f32, -0.999, -0.5, 0., 0.25, 0.99999, 1.0, 1.5];
    let came = singles("mhlo.erf_inv", &x);
    let back = singles("mhlo.erf", &came[1..6]);
    for (x, back) in x[1..6].iter().zip(back) {
        assert!((x - back).abs() < 3e-7, "{x} {back}");
    }
    assert!(came[0] == f32::NEG_INFINITY && came[6] == f32::INFINITY && came[7].is_nan(), "{came:?}");
}
