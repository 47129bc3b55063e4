//! Random numbers, Fourier transforms, linear algebra, batch normalization.
#![forbid(unsafe_code)]

use super::{Count, EnumKind, Form, ONE, THREE, TWO, form};
use crate::program::{FftType, OpKind, RngAlgorithm, RngDistribution, Transpose};

pub(super) const FORMS: &[Form] = &[
    form("rng_bit_generator_v1", ONE, TWO, &["rng_algorithm"], |fields| {
        let cases = [RngAlgorithm::Default, RngAlgorithm::ThreeFry, RngAlgorithm::Philox];
        Ok(OpKind::RngBitGenerator { rng_algorithm: fields.case("rng_algorithm", EnumKind::RngAlgorithm, &cases)? })
    }),
    form("rng_v1", THREE, ONE, &["rng_distribution"], |fields| {
        // The encoding counts from 1; no attribute with case 0 comes this far.
        let cases = [RngDistribution::Uniform, RngDistribution::Uniform, RngDistribution::Normal];
        Ok(OpKind::Rng { rng_distribution: fields.case("rng_distribution", EnumKind::RngDistribution, &cases)? })
    }),
    form("fft_v1", ONE, ONE, &["fft_length", "fft_type"], |fields| {
        let cases = [FftType::Fft, FftType::Ifft, FftType::Rfft, FftType::Irfft];
        Ok(OpKind::Fft {
            fft_type: fields.case("fft_type", EnumKind::FftType, &cases)?,
            fft_length: fields.integers("fft_length")?,
        })
    }),
    form("cholesky_v1", ONE, ONE, &["lower"], |fields| Ok(OpKind::Cholesky { lower: fields.boolean("lower")? })),
    form("triangular_solve_v1", TWO, ONE, &["left_side", "lower", "transpose_a", "unit_diagonal"], |fields| {
        let cases = [Transpose::Invalid, Transpose::NoTranspose, Transpose::Transpose, Transpose::Adjoint];
        Ok(OpKind::TriangularSolve {
            left_side: fields.boolean("left_side")?,
            lower: fields.boolean("lower")?,
            unit_diagonal: fields.boolean("unit_diagonal")?,
            transpose_a: fields.case("transpose_a", EnumKind::Transpose, &cases)?,
        })
    }),
    form("batch_norm_training_v1", THREE, THREE, &["epsilon", "feature_index"], |fields| {
        Ok(OpKind::BatchNormTraining {
            epsilon: fields.float("epsilon")?,
            feature_index: fields.natural("feature_index")?,
        })
    }),
    form("batch_norm_inference_v1", Count::Exactly(5), ONE, &["epsilon", "feature_index"], |fields| {
        Ok(OpKind::BatchNormInference {
            epsilon: fields.float("epsilon")?,
            feature_index: fields.natural("feature_index")?,
        })
    }),
    form("batch_norm_grad_v1", Count::Exactly(5), THREE, &["epsilon", "feature_index"], |fields| {
        Ok(OpKind::BatchNormGrad { epsilon: fields.float("epsilon")?, feature_index: fields.natural("feature_index")? })
    }),
];
