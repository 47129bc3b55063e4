//! The dimension numbers of StableHLO's ops, taken apart: each is one attribute in StableHLO, and several attributes, with
//! the names given here, in its versioned form VHLO.

use mlir_sys::MlirAttribute;

use crate::ffi::*;

/// A part of dimension numbers.
#[derive(Clone, Debug, PartialEq)]
pub enum Number {
    /// One dimension.
    One(i64),
    /// A list of dimensions.
    Many(Vec<i64>),
}

/// A getter of one number.
type One = unsafe extern "C" fn(MlirAttribute) -> i64;
/// The getters of a list: its size, its elements.
type Many = (unsafe extern "C" fn(MlirAttribute) -> isize, unsafe extern "C" fn(MlirAttribute, isize) -> i64);

enum Part {
    One(One),
    Many(Many),
}

/// A kind of dimension numbers: how it is recognised, and its parts by name.
type Kind = (unsafe extern "C" fn(MlirAttribute) -> bool, &'static [(&'static str, Part)]);

/// A list.
macro_rules! many {
    ($size:ident, $element:ident) => {
        Part::Many(($size, $element))
    };
}

const KINDS: &[Kind] = &[
    (
        stablehloAttributeIsADotDimensionNumbers,
        &[
            (
                "lhs_batching_dimensions",
                many!(
                    stablehloDotDimensionNumbersGetLhsBatchingDimensionsSize,
                    stablehloDotDimensionNumbersGetLhsBatchingDimensionsElem
                ),
            ),
            (
                "rhs_batching_dimensions",
                many!(
                    stablehloDotDimensionNumbersGetRhsBatchingDimensionsSize,
                    stablehloDotDimensionNumbersGetRhsBatchingDimensionsElem
                ),
            ),
            (
                "lhs_contracting_dimensions",
                many!(
                    stablehloDotDimensionNumbersGetLhsContractingDimensionsSize,
                    stablehloDotDimensionNumbersGetLhsContractingDimensionsElem
                ),
            ),
            (
                "rhs_contracting_dimensions",
                many!(
                    stablehloDotDimensionNumbersGetRhsContractingDimensionsSize,
                    stablehloDotDimensionNumbersGetRhsContractingDimensionsElem
                ),
            ),
        ],
    ),
    (
        stablehloAttributeIsAConvDimensionNumbers,
        &[
            ("input_batch_dimension", Part::One(stablehloConvDimensionNumbersGetInputBatchDimension)),
            ("input_feature_dimension", Part::One(stablehloConvDimensionNumbersGetInputFeatureDimension)),
            (
                "input_spatial_dimensions",
                many!(
                    stablehloConvDimensionNumbersGetInputSpatialDimensionsSize,
                    stablehloConvDimensionNumbersGetInputSpatialDimensionsElem
                ),
            ),
            ("kernel_input_feature_dimension", Part::One(stablehloConvDimensionNumbersGetKernelInputFeatureDimension)),
            (
                "kernel_output_feature_dimension",
                Part::One(stablehloConvDimensionNumbersGetKernelOutputFeatureDimension),
            ),
            (
                "kernel_spatial_dimensions",
                many!(
                    stablehloConvDimensionNumbersGetKernelSpatialDimensionsSize,
                    stablehloConvDimensionNumbersGetKernelSpatialDimensionsElem
                ),
            ),
            ("output_batch_dimension", Part::One(stablehloConvDimensionNumbersGetOutputBatchDimension)),
            ("output_feature_dimension", Part::One(stablehloConvDimensionNumbersGetOutputFeatureDimension)),
            (
                "output_spatial_dimensions",
                many!(
                    stablehloConvDimensionNumbersGetOutputSpatialDimensionsSize,
                    stablehloConvDimensionNumbersGetOutputSpatialDimensionsElem
                ),
            ),
        ],
    ),
    (
        stablehloAttributeIsAGatherDimensionNumbers,
        &[
            (
                "offset_dims",
                many!(
                    stablehloGatherDimensionNumbersGetOffsetDimsSize,
                    stablehloGatherDimensionNumbersGetOffsetDimsElem
                ),
            ),
            (
                "collapsed_slice_dims",
                many!(
                    stablehloGatherDimensionNumbersGetCollapsedSliceDimsSize,
                    stablehloGatherDimensionNumbersGetCollapsedSliceDimsElem
                ),
            ),
            (
                "operand_batching_dims",
                many!(
                    stablehloGatherDimensionNumbersGetOperandBatchingDimsSize,
                    stablehloGatherDimensionNumbersGetOperandBatchingDimsElem
                ),
            ),
            (
                "start_indices_batching_dims",
                many!(
                    stablehloGatherDimensionNumbersGetStartIndicesBatchingDimsSize,
                    stablehloGatherDimensionNumbersGetStartIndicesBatchingDimsElem
                ),
            ),
            (
                "start_index_map",
                many!(
                    stablehloGatherDimensionNumbersGetStartIndexMapSize,
                    stablehloGatherDimensionNumbersGetStartIndexMapElem
                ),
            ),
            ("index_vector_dim", Part::One(stablehloGatherDimensionNumbersGetIndexVectorDim)),
        ],
    ),
    (
        stablehloAttributeIsAScatterDimensionNumbers,
        &[
            (
                "update_window_dims",
                many!(
                    stablehloScatterDimensionNumbersGetUpdateWindowDimsSize,
                    stablehloScatterDimensionNumbersGetUpdateWindowDimsElem
                ),
            ),
            (
                "inserted_window_dims",
                many!(
                    stablehloScatterDimensionNumbersGetInsertedWindowDimsSize,
                    stablehloScatterDimensionNumbersGetInsertedWindowDimsElem
                ),
            ),
            (
                "input_batching_dims",
                many!(
                    stablehloScatterDimensionNumbersGetInputBatchingDimsSize,
                    stablehloScatterDimensionNumbersGetInputBatchingDimsElem
                ),
            ),
            (
                "scatter_indices_batching_dims",
                many!(
                    stablehloScatterDimensionNumbersGetScatterIndicesBatchingDimsSize,
                    stablehloScatterDimensionNumbersGetScatterIndicesBatchingDimsElem
                ),
            ),
            (
                "scatter_dims_to_operand_dims",
                many!(
                    stablehloScatterDimensionNumbersGetScatteredDimsToOperandDimsSize,
                    stablehloScatterDimensionNumbersGetScatteredDimsToOperandDimsElem
                ),
            ),
            ("index_vector_dim", Part::One(stablehloDimensionNumbersGetIndexVectorDim)),
        ],
    ),
    (
        stablehloAttributeIsChannelHandle,
        &[
            ("channel_id", Part::One(stablehloChannelHandleGetHandle)),
            ("channel_type", Part::One(stablehloChannelHandleGetType)),
        ],
    ),
];

/// All elements of a list.
pub(crate) fn list((size, element): Many, attribute: MlirAttribute) -> Vec<i64> {
    // SAFETY: the callers pass getters of the attribute's own kind; positions stay below the size.
    unsafe { (0..size(attribute)).map(|position| element(attribute, position)).collect() }
}

/// The parts of dimension numbers or of a channel, None for other attributes.
pub(crate) fn numbers(attribute: MlirAttribute) -> Option<Vec<(&'static str, Number)>> {
    // SAFETY: the attribute is valid; the tests of a kind take any.
    let (_, parts) = KINDS.iter().find(|(is_kind, _)| unsafe { is_kind(attribute) })?;
    let part = |part: &Part| match part {
        // SAFETY: the getter is one of the kind that was found.
        Part::One(get) => Number::One(unsafe { get(attribute) }),
        Part::Many(getters) => Number::Many(list(*getters, attribute)),
    };
    Some(parts.iter().map(|(name, each)| (*name, part(each))).collect())
}
