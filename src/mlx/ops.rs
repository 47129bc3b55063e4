//! Elementwise functions, reductions, scans, products and linear algebra. See MLX's documentation of the same names.

use super::Stream;
use super::array::{Array, Dtype};
use super::capabilities::ConvolvedDimension;
use super::error::Result;

macro_rules! unary {
    ($($name:ident => $raw:ident),* $(,)?) => {
        $(
            #[doc = concat!("`mlx::core::", stringify!($name), "`.\n\n# Errors\nWhat MLX refuses.")]
            pub(crate) fn $name(a: &Array, stream: Stream) -> Result<Array> {
                // SAFETY: valid handles; the result is written to a fresh one.
                stream.build(|result| unsafe { mlx_sys::$raw(result, a.raw(), stream.raw()) })
            }
        )*
    };
}

macro_rules! binary {
    ($visibility:vis, $($name:ident => $raw:ident),* $(,)?) => {
        $(
            #[doc = concat!("`mlx::core::", stringify!($name), "`, with broadcasting and MLX's type promotion.\n\n# Errors\nWhat MLX refuses.")]
            $visibility fn $name(a: &Array, b: &Array, stream: Stream) -> Result<Array> {
                // SAFETY: valid handles; the result is written to a fresh one.
                stream.build(|result| unsafe { mlx_sys::$raw(result, a.raw(), b.raw(), stream.raw()) })
            }
        )*
    };
}

macro_rules! reductions {
    ($($name:ident => $raw:ident),* $(,)?) => {
        $(
            #[doc = concat!("`mlx::core::", stringify!($name), "` over the axes; small integers may come back wider.\n\n# Errors\nWhat MLX refuses.")]
            pub(crate) fn $name(a: &Array, axes: &[i32], keepdims: bool, stream: Stream) -> Result<Array> {
                // SAFETY: valid handles; axes outlives the call.
                stream.build(|result| unsafe {
                    mlx_sys::$raw(result, a.raw(), axes.as_ptr(), axes.len(), keepdims, stream.raw())
                })
            }
        )*
    };
}

macro_rules! scans {
    ($($name:ident => $raw:ident),* $(,)?) => {
        $(
            #[doc = concat!("`mlx::core::", stringify!($name), "` along one axis.\n\n# Errors\nWhat MLX refuses.")]
            pub(crate) fn $name(a: &Array, axis: i32, reverse: bool, inclusive: bool, stream: Stream) -> Result<Array> {
                // SAFETY: valid handles.
                stream.build(|result| unsafe { mlx_sys::$raw(result, a.raw(), axis, reverse, inclusive, stream.raw()) })
            }
        )*
    };
}

macro_rules! typed_scans {
    ($($name:ident => $raw:ident),* $(,)?) => {
        $(
            #[doc = concat!("`mlx::core::", stringify!($name), "` along one axis, in the operand's dtype.\n\n# Errors\nWhat MLX refuses.")]
            pub(crate) fn $name(a: &Array, axis: i32, reverse: bool, inclusive: bool, stream: Stream) -> Result<Array> {
                let dtype = mlx_sys::mlx_optional_dtype { value: a.dtype().raw(), has_value: true };
                // SAFETY: valid handles.
                stream.build(|result| unsafe {
                    mlx_sys::$raw(result, a.raw(), axis, reverse, inclusive, dtype, stream.raw())
                })
            }
        )*
    };
}

unary!(
    abs => mlx_abs, arccos => mlx_arccos, arccosh => mlx_arccosh, arcsin => mlx_arcsin, arcsinh => mlx_arcsinh,
    arctan => mlx_arctan, arctanh => mlx_arctanh, bitwise_invert => mlx_bitwise_invert, ceil => mlx_ceil,
    cos => mlx_cos, cosh => mlx_cosh, exp => mlx_exp, expm1 => mlx_expm1, floor => mlx_floor, imag => mlx_imag,
    isfinite => mlx_isfinite, isinf => mlx_isinf, isnan => mlx_isnan, log => mlx_log, log1p => mlx_log1p,
    logical_not => mlx_logical_not, negative => mlx_negative, real => mlx_real, rsqrt => mlx_rsqrt, sign => mlx_sign,
    sin => mlx_sin, sinh => mlx_sinh, sqrt => mlx_sqrt, tan => mlx_tan, tanh => mlx_tanh,
);

binary!(pub, add => mlx_add);
binary!(
    pub(crate),
    arctan2 => mlx_arctan2, bitwise_and => mlx_bitwise_and, bitwise_or => mlx_bitwise_or,
    bitwise_xor => mlx_bitwise_xor, divide => mlx_divide, equal => mlx_equal, floor_divide => mlx_floor_divide,
    greater => mlx_greater, greater_equal => mlx_greater_equal, left_shift => mlx_left_shift, less => mlx_less,
    less_equal => mlx_less_equal, logaddexp => mlx_logaddexp, logical_and => mlx_logical_and,
    logical_or => mlx_logical_or, matmul => mlx_matmul, maximum => mlx_maximum, minimum => mlx_minimum,
    multiply => mlx_multiply, not_equal => mlx_not_equal, power => mlx_power, remainder => mlx_remainder,
    right_shift => mlx_right_shift, subtract => mlx_subtract,
);

reductions!(
    all_axes => mlx_all_axes, any_axes => mlx_any_axes, max_axes => mlx_max_axes, min_axes => mlx_min_axes,
    prod_axes => mlx_prod_axes, sum_axes => mlx_sum_axes,
);

scans!(cummax => mlx_cummax_axis, cummin => mlx_cummin_axis, logcumsumexp => mlx_logcumsumexp_axis);
typed_scans!(cumsum => mlx_cumsum_axis, cumprod => mlx_cumprod_axis);

/// `mlx::core::where`: elements of `x` where the condition holds, else of `y`; broadcasts, promotes.
///
/// # Errors
/// What MLX refuses.
pub(crate) fn select(condition: &Array, x: &Array, y: &Array, stream: Stream) -> Result<Array> {
    // SAFETY: valid handles.
    stream.build(|result| unsafe { mlx_sys::mlx_where(result, condition.raw(), x.raw(), y.raw(), stream.raw()) })
}

/// `mlx::core::view`: the same bits as another dtype; the last axis grows or shrinks with the width.
///
/// # Errors
/// What MLX refuses.
pub(crate) fn view(a: &Array, dtype: Dtype, stream: Stream) -> Result<Array> {
    // SAFETY: valid handles.
    stream.build(|result| unsafe { mlx_sys::mlx_view(result, a.raw(), dtype.raw(), stream.raw()) })
}

/// `mlx::core::round` to no decimals: half to even.
///
/// # Errors
/// What MLX refuses.
pub(crate) fn round(a: &Array, stream: Stream) -> Result<Array> {
    // SAFETY: valid handles.
    stream.build(|result| unsafe { mlx_sys::mlx_round(result, a.raw(), 0, stream.raw()) })
}

/// `mlx::core::argmax` along one axis: u32 indices of the first greatest.
///
/// # Errors
/// What MLX refuses.
pub(crate) fn argmax(a: &Array, axis: i32, keepdims: bool, stream: Stream) -> Result<Array> {
    // SAFETY: valid handles.
    stream.build(|result| unsafe { mlx_sys::mlx_argmax_axis(result, a.raw(), axis, keepdims, stream.raw()) })
}

/// `mlx::core::argmin` along one axis: u32 indices of the first least.
///
/// # Errors
/// What MLX refuses.
pub(crate) fn argmin(a: &Array, axis: i32, keepdims: bool, stream: Stream) -> Result<Array> {
    // SAFETY: valid handles.
    stream.build(|result| unsafe { mlx_sys::mlx_argmin_axis(result, a.raw(), axis, keepdims, stream.raw()) })
}

/// `mlx::core::argsort` along one axis: u32 indices, stable on the CPU, NaN last.
///
/// # Errors
/// What MLX refuses.
pub(crate) fn argsort(a: &Array, axis: i32, stream: Stream) -> Result<Array> {
    stream.require(|can| can.sorts_bool || a.dtype() != Dtype::Bool, || "an argsort of bool".to_owned())?;
    // SAFETY: valid handles.
    stream.build(|result| unsafe { mlx_sys::mlx_argsort_axis(result, a.raw(), axis, stream.raw()) })
}

/// `mlx::core::sort` along one axis, NaN last.
///
/// # Errors
/// What MLX refuses.
pub(crate) fn sort(a: &Array, axis: i32, stream: Stream) -> Result<Array> {
    stream.require(|can| can.sorts_bool || a.dtype() != Dtype::Bool, || "a sort of bool".to_owned())?;
    // SAFETY: valid handles.
    stream.build(|result| unsafe { mlx_sys::mlx_sort_axis(result, a.raw(), axis, stream.raw()) })
}

/// Parameters of [`conv_general`], one entry per spatial dimension.
#[derive(Clone, Debug, Default)]
pub struct ConvParameters {
    /// Window strides.
    pub stride: Vec<i32>,
    /// Low padding.
    pub padding_low: Vec<i32>,
    /// High padding.
    pub padding_high: Vec<i32>,
    /// Dilation of the kernel.
    pub kernel_dilation: Vec<i32>,
    /// Dilation of the input.
    pub input_dilation: Vec<i32>,
    /// Feature groups.
    pub groups: i32,
    /// Whether the kernel is reversed.
    pub flip: bool,
}

/// `mlx::core::conv_general`: input N, spatial…, C; weight O, spatial…, C / groups.
///
/// # Errors
/// What MLX refuses.
pub(crate) fn conv_general(
    input: &Array,
    weight: &Array,
    parameters: &ConvParameters,
    stream: Stream,
) -> Result<Array> {
    let ConvParameters { stride, padding_low, padding_high, kernel_dilation, input_dilation, groups, flip } =
        parameters;
    // SAFETY: valid handles; the vectors outlive the call.
    let result = stream.build(|result| unsafe {
        mlx_sys::mlx_conv_general(
            result,
            input.raw(),
            weight.raw(),
            stride.as_ptr(),
            stride.len(),
            padding_low.as_ptr(),
            padding_low.len(),
            padding_high.as_ptr(),
            padding_high.len(),
            kernel_dilation.as_ptr(),
            kernel_dilation.len(),
            input_dilation.as_ptr(),
            input_dilation.len(),
            *groups,
            *flip,
            stream.raw(),
        )
    })?;
    let dimensions = || {
        let dilations = input_dilation.iter().zip(kernel_dilation);
        let sizes = weight.shape().iter().zip(result.shape()).skip(1);
        dilations.zip(sizes).map(|((&input, &kernel), (&window, &result))| ConvolvedDimension {
            input_dilation: input.into(),
            kernel_dilation: kernel.into(),
            window: window.into(),
            result: result.into(),
        })
    };
    stream.require(
        |can| can.native_convolution.evaluates(result.dtype(), dimensions()),
        || format!("a convolution of {:?} with {parameters:?}", result.dtype()),
    )?;
    Ok(result)
}

/// Which transform of [`fft`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FftKind {
    /// Complex to complex.
    Fftn,
    /// Complex to complex, inverse, scaled by 1/n.
    Ifftn,
    /// Real to complex.
    Rfftn,
    /// Complex to real, inverse, scaled by 1/n.
    Irfftn,
}

/// `mlx::core::fft::*fftn` with lengths `n` (of the real side) over the axes.
///
/// # Errors
/// What MLX refuses.
pub(crate) fn fft(kind: FftKind, a: &Array, n: &[i32], axes: &[i32], stream: Stream) -> Result<Array> {
    let call = match kind {
        FftKind::Fftn => mlx_sys::mlx_fft_fftn,
        FftKind::Ifftn => mlx_sys::mlx_fft_ifftn,
        FftKind::Rfftn => mlx_sys::mlx_fft_rfftn,
        FftKind::Irfftn => mlx_sys::mlx_fft_irfftn,
    };
    let norm = mlx_sys::mlx_fft_norm__MLX_FFT_NORM_BACKWARD;
    // SAFETY: valid handles; the slices outlive the call.
    stream.build(|result| unsafe {
        call(result, a.raw(), n.as_ptr(), n.len(), axes.as_ptr(), axes.len(), norm, stream.raw())
    })
}
