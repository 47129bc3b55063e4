//! StableHLO's C interface. Every function takes valid, non-null handles, and those named after a kind of attribute or
//! type only ones of that kind.

use mlir_sys::{MlirAttribute, MlirContext, MlirDialectHandle, MlirModule, MlirStringRef, MlirType};

/// Declares getters of one form.
macro_rules! getters {
    ($($argument:ty => $result:ty: $($name:ident)+;)+) => {
        unsafe extern "C" {
            $($(pub fn $name(handle: $argument) -> $result;)+)+
        }
    };
}

getters! {
    MlirAttribute => bool:
        stablehloAttributeIsAComparisonDirectionAttr stablehloAttributeIsAComparisonTypeAttr
        stablehloAttributeIsAConvDimensionNumbers stablehloAttributeIsADotAlgorithm
        stablehloAttributeIsADotDimensionNumbers stablehloAttributeIsAFftTypeAttr
        stablehloAttributeIsAGatherDimensionNumbers stablehloAttributeIsAOutputOperandAlias
        stablehloAttributeIsAPrecisionAttr stablehloAttributeIsAResultAccuracyAttr
        stablehloAttributeIsAResultAccuracyModeAttr stablehloAttributeIsARngAlgorithmAttr
        stablehloAttributeIsARngDistributionAttr stablehloAttributeIsAScatterDimensionNumbers
        stablehloAttributeIsATransposeAttr stablehloAttributeIsChannelHandle stablehloAttributeIsTypeExtensions
        stablehloDotAlgorithmGetAllowImpreciseAccumulation;
    MlirAttribute => MlirStringRef:
        stablehloComparisonDirectionAttrGetValue stablehloComparisonTypeAttrGetValue stablehloFftTypeAttrGetValue
        stablehloPrecisionAttrGetValue stablehloResultAccuracyModeAttrGetValue stablehloRngAlgorithmAttrGetValue
        stablehloRngDistributionAttrGetValue stablehloTransposeAttrGetValue;
    MlirAttribute => i64:
        stablehloChannelHandleGetHandle stablehloChannelHandleGetType
        stablehloConvDimensionNumbersGetInputBatchDimension stablehloConvDimensionNumbersGetInputFeatureDimension
        stablehloConvDimensionNumbersGetKernelInputFeatureDimension
        stablehloConvDimensionNumbersGetKernelOutputFeatureDimension
        stablehloConvDimensionNumbersGetOutputBatchDimension stablehloConvDimensionNumbersGetOutputFeatureDimension
        stablehloDimensionNumbersGetIndexVectorDim stablehloDotAlgorithmGetLhsComponentCount
        stablehloDotAlgorithmGetNumPrimitiveOperations stablehloDotAlgorithmGetRhsComponentCount
        stablehloGatherDimensionNumbersGetIndexVectorDim stablehloOutputOperandAliasGetOperandIndex
        stablehloResultAccuracyAttrGetUlps;
    MlirAttribute => f64: stablehloResultAccuracyAttrGetAtol stablehloResultAccuracyAttrGetRtol;
    MlirAttribute => MlirAttribute: stablehloResultAccuracyAttrGetMode;
    MlirAttribute => MlirType:
        stablehloDotAlgorithmGetAccumulationType stablehloDotAlgorithmGetLhsPrecisionType
        stablehloDotAlgorithmGetRhsPrecisionType;
    MlirAttribute => isize:
        stablehloConvDimensionNumbersGetInputSpatialDimensionsSize
        stablehloConvDimensionNumbersGetKernelSpatialDimensionsSize
        stablehloConvDimensionNumbersGetOutputSpatialDimensionsSize
        stablehloDotDimensionNumbersGetLhsBatchingDimensionsSize
        stablehloDotDimensionNumbersGetLhsContractingDimensionsSize
        stablehloDotDimensionNumbersGetRhsBatchingDimensionsSize
        stablehloDotDimensionNumbersGetRhsContractingDimensionsSize
        stablehloGatherDimensionNumbersGetCollapsedSliceDimsSize stablehloGatherDimensionNumbersGetOffsetDimsSize
        stablehloGatherDimensionNumbersGetOperandBatchingDimsSize stablehloGatherDimensionNumbersGetStartIndexMapSize
        stablehloGatherDimensionNumbersGetStartIndicesBatchingDimsSize
        stablehloOutputOperandAliasGetOperandTupleIndicesSize stablehloOutputOperandAliasGetOutputTupleIndicesSize
        stablehloScatterDimensionNumbersGetInputBatchingDimsSize
        stablehloScatterDimensionNumbersGetInsertedWindowDimsSize
        stablehloScatterDimensionNumbersGetScatterIndicesBatchingDimsSize
        stablehloScatterDimensionNumbersGetScatteredDimsToOperandDimsSize
        stablehloScatterDimensionNumbersGetUpdateWindowDimsSize stablehloTypeExtensionsGetBoundsSize;
    MlirType => bool: stablehloTypeIsAFuture stablehloTypeIsAToken;
    MlirType => isize: stablehloFutureTypeGetNumTypes;
}

/// Declares getters of elements, by position below the size that goes with them.
macro_rules! elements {
    ($($name:ident)+) => {
        unsafe extern "C" {
            $(pub fn $name(handle: MlirAttribute, position: isize) -> i64;)+
        }
    };
}

elements! {
    stablehloConvDimensionNumbersGetInputSpatialDimensionsElem
    stablehloConvDimensionNumbersGetKernelSpatialDimensionsElem
    stablehloConvDimensionNumbersGetOutputSpatialDimensionsElem
    stablehloDotDimensionNumbersGetLhsBatchingDimensionsElem
    stablehloDotDimensionNumbersGetLhsContractingDimensionsElem
    stablehloDotDimensionNumbersGetRhsBatchingDimensionsElem
    stablehloDotDimensionNumbersGetRhsContractingDimensionsElem
    stablehloGatherDimensionNumbersGetCollapsedSliceDimsElem
    stablehloGatherDimensionNumbersGetOffsetDimsElem
    stablehloGatherDimensionNumbersGetOperandBatchingDimsElem
    stablehloGatherDimensionNumbersGetStartIndexMapElem
    stablehloGatherDimensionNumbersGetStartIndicesBatchingDimsElem
    stablehloOutputOperandAliasGetOperandTupleIndicesElem
    stablehloOutputOperandAliasGetOutputTupleIndicesElem
    stablehloScatterDimensionNumbersGetInputBatchingDimsElem
    stablehloScatterDimensionNumbersGetInsertedWindowDimsElem
    stablehloScatterDimensionNumbersGetScatterIndicesBatchingDimsElem
    stablehloScatterDimensionNumbersGetScatteredDimsToOperandDimsElem
    stablehloScatterDimensionNumbersGetUpdateWindowDimsElem
    stablehloTypeExtensionsGetBoundsElem
}

unsafe extern "C" {
    pub fn stablehloFutureTypeGetType(handle: MlirType, position: isize) -> MlirType;
    pub fn mlirGetDialectHandle__stablehlo__() -> MlirDialectHandle;
    /// Gives a null module on failure, after diagnostics.
    pub fn stablehloDeserializePortableArtifactNoError(artifact: MlirStringRef, context: MlirContext) -> MlirModule;
    pub fn stablehloGetCurrentVersion(callback: mlir_sys::MlirStringCallback, data: *mut std::ffi::c_void);
    /// Registers with the process, like the next two.
    pub fn mlirRegisterAllStablehloPasses();
    pub fn mlirRegisterTransformsPasses();
    /// Holds StableHLO's passes of the kind that only torch-mlir registers.
    pub fn torchMlirRegisterAllPasses();
}
