//! Small floats.

use crate::expression::small_types::value;
use crate::lower::testing::{bytes, elementwise, f32s};
use crate::program::ElementType::{self, *};
use crate::program::OpKind;

const ALL: [ElementType; 11] =
    [F4E2M1FN, F6E2M3FN, F6E3M2FN, F8E3M4, F8E4M3, F8E4M3B11FNUZ, F8E4M3FN, F8E4M3FNUZ, F8E5M2, F8E5M2FNUZ, F8E8M0FNU];

fn codes(element: ElementType, x: &[f32]) -> Vec<u8> {
    elementwise(OpKind::Convert, &[(F32, bytes(x))], element).unwrap()
}

fn numbers(element: ElementType, codes: Vec<u8>) -> Vec<f32> {
    f32s(&elementwise(OpKind::Convert, &[(element, codes)], F32).unwrap())
}

/// The special inputs below in ml_dtypes and XLA:CPU.
#[test]
fn special_values() {
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    let x = [nan, -nan, inf, -inf, 0., -0., 1e30, -1e30, 1e-40, -1., 3., 2f32.powi(-127)];
    let expected: [(ElementType, [u8; 12]); 10] = [
        (F4E2M1FN, [8, 8, 7, 15, 0, 8, 7, 15, 0, 10, 5, 0]),
        (F8E3M4, [120, 248, 112, 240, 0, 128, 112, 240, 0, 176, 72, 0]),
        (F8E4M3, [124, 252, 120, 248, 0, 128, 120, 248, 0, 184, 68, 0]),
        (F8E4M3B11FNUZ, [128, 128, 128, 128, 0, 0, 128, 128, 0, 216, 100, 0]),
        (F8E4M3FN, [127, 255, 127, 255, 0, 128, 127, 255, 0, 184, 68, 0]),
        (F8E4M3FNUZ, [128, 128, 128, 128, 0, 0, 128, 128, 0, 192, 76, 0]),
        (F8E5M2, [126, 254, 124, 252, 0, 128, 124, 252, 0, 188, 66, 0]),
        (F8E5M2FNUZ, [128, 128, 128, 128, 0, 0, 128, 128, 0, 192, 70, 0]),
        (F8E8M0FNU, [255, 255, 255, 255, 255, 255, 227, 255, 0, 255, 129, 0]),
        (F6E3M2FN, [32, 32, 31, 63, 0, 32, 31, 63, 0, 44, 18, 0]),
    ];
    for (element, codes_expected) in expected {
        assert_eq!(codes(element, &x), codes_expected, "{element}");
    }
    let x = [1.5, 1.499, 6., 1.5 * 2f32.powi(126), 3.4e38, 1.25 * 2f32.powi(-127), 2f32.powi(-126)];
    assert_eq!(codes(F8E8M0FNU, &x), [128, 127, 130, 254, 255, 1, 1]);
}

#[test]
fn every_code_comes_back() {
    for element in ALL {
        let all: Vec<u8> = (0..1u32 << element.bits()).map(|code| code as u8).collect();
        let values = numbers(element, all.clone());
        let back = codes(element, &values);
        for ((code, value), back) in all.iter().zip(&values).zip(back) {
            let again = numbers(element, vec![back])[0];
            assert!(back == *code || (value.is_nan() && again.is_nan()), "{element} {code} {value} {back}");
        }
    }
}

#[test]
fn known_values() {
    assert_eq!(numbers(F8E4M3FN, vec![0x7e, 1, 0x38]), [448., 0.001953125, 1.]);
    assert_eq!(numbers(F8E5M2, vec![0x7b, 0x7c, 1]), [57344., f32::INFINITY, f32::powi(2., -16)]);
    assert_eq!(numbers(F8E4M3B11FNUZ, vec![0x7f]), [30.]);
    assert_eq!(numbers(F8E3M4, vec![0x6f]), [15.5]);
    assert_eq!(numbers(F4E2M1FN, vec![7, 9]), [6., -0.5]);
    assert_eq!(numbers(F6E2M3FN, vec![0x1f, 1]), [7.5, 0.125]);
    assert_eq!(numbers(F6E3M2FN, vec![0x1f, 1]), [28., 0.0625]);
}

/// Between two neighbours: the nearer; the even one of two as near, also from f64 with a trace beyond f32.
#[test]
fn rounds_to_nearest_even() {
    for element in ALL.into_iter().filter(|&element| element != F8E8M0FNU) {
        let finite = |code: u32| value(element, code as u8).is_finite();
        let greatest = (0..1u32 << (element.bits() - 1)).rev().find(|&code| finite(code)).unwrap();
        let mut singles = Vec::new();
        let mut doubles = Vec::new();
        let (mut expected, mut expected_above) = (Vec::new(), Vec::new());
        for code in 0..greatest {
            let middle = (f64::from(value(element, code as u8)) + f64::from(value(element, code as u8 + 1))) / 2.0;
            singles.push(middle as f32);
            doubles.push(middle * (1.0 + 2f64.powi(-40)));
            expected.push(if code % 2 == 0 { code as u8 } else { code as u8 + 1 });
            expected_above.push(code as u8 + 1);
        }
        assert_eq!(codes(element, &singles), expected, "{element}");
        let came = elementwise(OpKind::Convert, &[(F64, bytes(&doubles))], element).unwrap();
        assert_eq!(came, expected_above, "{element}");
    }
}
