//! Elementwise ops.
#![forbid(unsafe_code)]

use super::{Build, Count, EnumKind, Form, ONE, THREE, TWO, form};
use crate::program::{Binary, CompareType, Direction, OpKind, Unary};

const fn unary(name: &'static str, unary: Unary) -> Form {
    Form { name, attributes: &[], operands: ONE, results: ONE, regions: Count::Exactly(0), build: Build::Unary(unary) }
}

const fn accurate(name: &'static str, unary: Unary) -> Form {
    Form {
        name,
        attributes: &["result_accuracy"],
        operands: ONE,
        results: ONE,
        regions: Count::Exactly(0),
        build: Build::AccurateUnary(unary),
    }
}

const fn binary(name: &'static str, binary: Binary) -> Form {
    Form {
        name,
        attributes: &[],
        operands: TWO,
        results: ONE,
        regions: Count::Exactly(0),
        build: Build::Binary(binary),
    }
}

pub(super) const FORMS: &[Form] = &[
    unary("abs_v1", Unary::Abs),
    accurate("cbrt_v2", Unary::Cbrt),
    unary("ceil_v1", Unary::Ceil),
    unary("count_leading_zeros_v1", Unary::CountLeadingZeros),
    accurate("cosine_v2", Unary::Cosine),
    accurate("exponential_v2", Unary::Exponential),
    accurate("exponential_minus_one_v2", Unary::ExponentialMinusOne),
    unary("floor_v1", Unary::Floor),
    unary("imag_v1", Unary::Imag),
    unary("is_finite_v1", Unary::IsFinite),
    accurate("log_v2", Unary::Log),
    accurate("log_plus_one_v2", Unary::LogPlusOne),
    accurate("logistic_v2", Unary::Logistic),
    unary("negate_v1", Unary::Negate),
    unary("not_v1", Unary::Not),
    unary("popcnt_v1", Unary::Popcnt),
    unary("real_v1", Unary::Real),
    unary("round_nearest_afz_v1", Unary::RoundNearestAfz),
    unary("round_nearest_even_v1", Unary::RoundNearestEven),
    accurate("rsqrt_v2", Unary::Rsqrt),
    unary("sign_v1", Unary::Sign),
    accurate("sine_v2", Unary::Sine),
    accurate("sqrt_v2", Unary::Sqrt),
    accurate("tan_v2", Unary::Tan),
    accurate("tanh_v2", Unary::Tanh),
    // Before `result_accuracy`: versions up to 1.8 of exponential, up to 1.9 of the others.
    unary("cbrt_v1", Unary::Cbrt),
    unary("cosine_v1", Unary::Cosine),
    unary("exponential_v1", Unary::Exponential),
    unary("exponential_minus_one_v1", Unary::ExponentialMinusOne),
    unary("log_v1", Unary::Log),
    unary("log_plus_one_v1", Unary::LogPlusOne),
    unary("logistic_v1", Unary::Logistic),
    unary("rsqrt_v1", Unary::Rsqrt),
    unary("sine_v1", Unary::Sine),
    unary("sqrt_v1", Unary::Sqrt),
    unary("tan_v1", Unary::Tan),
    unary("tanh_v1", Unary::Tanh),
    binary("add_v1", Binary::Add),
    binary("and_v1", Binary::And),
    binary("atan2_v1", Binary::Atan2),
    binary("complex_v1", Binary::Complex),
    binary("divide_v1", Binary::Divide),
    binary("maximum_v1", Binary::Maximum),
    binary("minimum_v1", Binary::Minimum),
    binary("multiply_v1", Binary::Multiply),
    binary("or_v1", Binary::Or),
    binary("power_v1", Binary::Power),
    binary("remainder_v1", Binary::Remainder),
    binary("shift_left_v1", Binary::ShiftLeft),
    binary("shift_right_arithmetic_v1", Binary::ShiftRightArithmetic),
    binary("shift_right_logical_v1", Binary::ShiftRightLogical),
    binary("subtract_v1", Binary::Subtract),
    binary("xor_v1", Binary::Xor),
    form("compare_v1", TWO, ONE, &["compare_type", "comparison_direction"], |fields| {
        use CompareType::{Float, None, Signed, TotalOrder, Unsigned};
        use Direction::{Eq, Ge, Gt, Le, Lt, Ne};
        Ok(OpKind::Compare {
            direction: fields.case("comparison_direction", EnumKind::ComparisonDirection, &[Eq, Ne, Ge, Gt, Le, Lt])?,
            compare_type: fields.case(
                "compare_type",
                EnumKind::ComparisonType,
                &[None, Float, TotalOrder, Signed, Unsigned],
            )?,
        })
    }),
    form("select_v1", THREE, ONE, &[], |_| Ok(OpKind::Select)),
    form("clamp_v1", THREE, ONE, &[], |_| Ok(OpKind::Clamp)),
    form("convert_v1", ONE, ONE, &[], |_| Ok(OpKind::Convert)),
    form("bitcast_convert_v1", ONE, ONE, &[], |_| Ok(OpKind::BitcastConvert)),
    form("reduce_precision_v1", ONE, ONE, &["exponent_bits", "mantissa_bits"], |fields| {
        Ok(OpKind::ReducePrecision {
            exponent_bits: fields.natural("exponent_bits")?,
            mantissa_bits: fields.natural("mantissa_bits")?,
        })
    }),
    form("uniform_quantize_v1", ONE, ONE, &[], |_| Ok(OpKind::UniformQuantize)),
    form("uniform_dequantize_v1", ONE, ONE, &[], |_| Ok(OpKind::UniformDequantize)),
];
