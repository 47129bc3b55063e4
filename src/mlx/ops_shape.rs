//! Functions that make, move, cut and join arrays, and indexing. See MLX's documentation of the same names.

use super::Stream;
use super::array::{Array, Dtype};
use super::capabilities::ScatterMode;
use super::error::Result;
use super::vector::with_vector;

/// `mlx::core::arange` of integers `0..stop` in the dtype.
///
/// # Errors
/// What MLX refuses.
pub(crate) fn arange(stop: i32, dtype: Dtype, stream: Stream) -> Result<Array> {
    // SAFETY: plain values.
    stream.build(|result| unsafe { mlx_sys::mlx_arange(result, 0.0, f64::from(stop), 1.0, dtype.raw(), stream.raw()) })
}

/// `mlx::core::full`: the value's dtype is converted to `dtype`.
///
/// # Errors
/// What MLX refuses.
pub(crate) fn full(shape: &[i32], value: &Array, dtype: Dtype, stream: Stream) -> Result<Array> {
    // SAFETY: valid handles; the shape outlives the call.
    stream.build(|result| unsafe {
        mlx_sys::mlx_full(result, shape.as_ptr(), shape.len(), value.raw(), dtype.raw(), stream.raw())
    })
}

/// `mlx::core::zeros`.
///
/// # Errors
/// What MLX refuses.
pub(crate) fn zeros(shape: &[i32], dtype: Dtype, stream: Stream) -> Result<Array> {
    // SAFETY: the shape outlives the call.
    stream.build(|result| unsafe { mlx_sys::mlx_zeros(result, shape.as_ptr(), shape.len(), dtype.raw(), stream.raw()) })
}

/// `mlx::core::broadcast_to`.
///
/// # Errors
/// What MLX refuses.
pub(crate) fn broadcast_to(a: &Array, shape: &[i32], stream: Stream) -> Result<Array> {
    // SAFETY: valid handles; the shape outlives the call.
    stream.build(|result| unsafe {
        mlx_sys::mlx_broadcast_to(result, a.raw(), shape.as_ptr(), shape.len(), stream.raw())
    })
}

/// `mlx::core::reshape`.
///
/// # Errors
/// What MLX refuses.
pub(crate) fn reshape(a: &Array, shape: &[i32], stream: Stream) -> Result<Array> {
    // SAFETY: valid handles; the shape outlives the call.
    stream.build(|result| unsafe { mlx_sys::mlx_reshape(result, a.raw(), shape.as_ptr(), shape.len(), stream.raw()) })
}

/// `mlx::core::transpose` by a permutation.
///
/// # Errors
/// What MLX refuses.
pub(crate) fn transpose(a: &Array, axes: &[i32], stream: Stream) -> Result<Array> {
    // SAFETY: valid handles; the axes outlive the call.
    stream.build(|result| unsafe {
        mlx_sys::mlx_transpose_axes(result, a.raw(), axes.as_ptr(), axes.len(), stream.raw())
    })
}

/// `mlx::core::expand_dims`.
///
/// # Errors
/// What MLX refuses.
pub(crate) fn expand_dims(a: &Array, axes: &[i32], stream: Stream) -> Result<Array> {
    // SAFETY: valid handles; the axes outlive the call.
    stream.build(|result| unsafe {
        mlx_sys::mlx_expand_dims_axes(result, a.raw(), axes.as_ptr(), axes.len(), stream.raw())
    })
}

/// `mlx::core::squeeze`.
///
/// # Errors
/// What MLX refuses.
pub(crate) fn squeeze(a: &Array, axes: &[i32], stream: Stream) -> Result<Array> {
    // SAFETY: valid handles; the axes outlive the call.
    stream
        .build(|result| unsafe { mlx_sys::mlx_squeeze_axes(result, a.raw(), axes.as_ptr(), axes.len(), stream.raw()) })
}

/// `mlx::core::contiguous`: row-major, copying only where needed.
///
/// # Errors
/// What MLX refuses.
pub(crate) fn contiguous(a: &Array, stream: Stream) -> Result<Array> {
    // SAFETY: valid handles.
    stream.build(|result| unsafe { mlx_sys::mlx_contiguous(result, a.raw(), false, stream.raw()) })
}

/// `mlx::core::as_strided`: strides and offset in elements of the row-major operand; no bounds check.
///
/// # Errors
/// What MLX refuses.
///
/// # Panics
/// When shape and strides differ in length.
pub(crate) fn as_strided(a: &Array, shape: &[i32], strides: &[i64], offset: usize, stream: Stream) -> Result<Array> {
    assert_eq!(shape.len(), strides.len(), "one stride per dimension");
    // MLX flattens the operand first, and gives up at evaluation where that leaves a view with gaps.
    let a = contiguous(a, stream)?;
    // SAFETY: valid handles; the slices outlive the call.
    stream.build(|result| unsafe {
        mlx_sys::mlx_as_strided(
            result,
            a.raw(),
            shape.as_ptr(),
            shape.len(),
            strides.as_ptr(),
            strides.len(),
            offset,
            stream.raw(),
        )
    })
}

/// `mlx::core::slice`; strides may be negative (then stop may be `-size - 1` to include index 0).
///
/// # Errors
/// What MLX refuses.
pub(crate) fn slice(a: &Array, start: &[i32], stop: &[i32], strides: &[i32], stream: Stream) -> Result<Array> {
    // SAFETY: valid handles; the slices outlive the call.
    stream.build(|result| unsafe {
        mlx_sys::mlx_slice(
            result,
            a.raw(),
            start.as_ptr(),
            start.len(),
            stop.as_ptr(),
            stop.len(),
            strides.as_ptr(),
            strides.len(),
            stream.raw(),
        )
    })
}

/// `mlx::core::slice_update`: `a` with the slice replaced.
///
/// # Errors
/// What MLX refuses.
pub(crate) fn slice_update(
    a: &Array,
    update: &Array,
    start: &[i32],
    stop: &[i32],
    strides: &[i32],
    stream: Stream,
) -> Result<Array> {
    // SAFETY: valid handles; the slices outlive the call.
    stream.build(|result| unsafe {
        mlx_sys::mlx_slice_update(
            result,
            a.raw(),
            update.raw(),
            start.as_ptr(),
            start.len(),
            stop.as_ptr(),
            stop.len(),
            strides.as_ptr(),
            strides.len(),
            stream.raw(),
        )
    })
}

/// `mlx::core::slice` with the start as an array of one index per axis named; indices must be in bounds.
///
/// # Errors
/// What MLX refuses.
pub(crate) fn slice_dynamic(a: &Array, start: &Array, axes: &[i32], sizes: &[i32], stream: Stream) -> Result<Array> {
    // SAFETY: valid handles; the slices outlive the call.
    stream.build(|result| unsafe {
        mlx_sys::mlx_slice_dynamic(
            result,
            a.raw(),
            start.raw(),
            axes.as_ptr(),
            axes.len(),
            sizes.as_ptr(),
            sizes.len(),
            stream.raw(),
        )
    })
}

/// `mlx::core::slice_update` with the start as an array of one index per axis named; indices must be in bounds.
///
/// # Errors
/// What MLX refuses.
pub(crate) fn slice_update_dynamic(
    a: &Array,
    update: &Array,
    start: &Array,
    axes: &[i32],
    stream: Stream,
) -> Result<Array> {
    // SAFETY: valid handles; the axes outlive the call.
    stream.build(|result| unsafe {
        mlx_sys::mlx_slice_update_dynamic(
            result,
            a.raw(),
            update.raw(),
            start.raw(),
            axes.as_ptr(),
            axes.len(),
            stream.raw(),
        )
    })
}

/// `mlx::core::pad` with a constant.
///
/// # Errors
/// What MLX refuses.
pub(crate) fn pad(a: &Array, axes: &[i32], low: &[i32], high: &[i32], value: &Array, stream: Stream) -> Result<Array> {
    // SAFETY: valid handles; the slices outlive the call; the mode is static text.
    stream.build(|result| unsafe {
        mlx_sys::mlx_pad(
            result,
            a.raw(),
            axes.as_ptr(),
            axes.len(),
            low.as_ptr(),
            low.len(),
            high.as_ptr(),
            high.len(),
            value.raw(),
            c"constant".as_ptr(),
            stream.raw(),
        )
    })
}

/// `mlx::core::concatenate` along an axis.
///
/// # Errors
/// What MLX refuses.
pub(crate) fn concatenate(arrays: &[&Array], axis: i32, stream: Stream) -> Result<Array> {
    with_vector(arrays, |vector| {
        // SAFETY: valid handles.
        stream.build(|result| unsafe { mlx_sys::mlx_concatenate_axis(result, vector, axis, stream.raw()) })
    })
}

/// `mlx::core::stack` along a new axis.
///
/// # Errors
/// What MLX refuses.
pub(crate) fn stack(arrays: &[&Array], axis: i32, stream: Stream) -> Result<Array> {
    with_vector(arrays, |vector| {
        // SAFETY: valid handles.
        stream.build(|result| unsafe { mlx_sys::mlx_stack_axis(result, vector, axis, stream.raw()) })
    })
}

/// `mlx::core::take` along an axis; indices must be in bounds.
///
/// # Errors
/// What MLX refuses.
pub(crate) fn take(a: &Array, indices: &Array, axis: i32, stream: Stream) -> Result<Array> {
    // SAFETY: valid handles.
    stream.build(|result| unsafe { mlx_sys::mlx_take_axis(result, a.raw(), indices.raw(), axis, stream.raw()) })
}

/// `mlx::core::take_along_axis`; indices must be in bounds.
///
/// # Errors
/// What MLX refuses.
pub(crate) fn take_along_axis(a: &Array, indices: &Array, axis: i32, stream: Stream) -> Result<Array> {
    // SAFETY: valid handles.
    stream.build(|result| unsafe { mlx_sys::mlx_take_along_axis(result, a.raw(), indices.raw(), axis, stream.raw()) })
}

/// `mlx::core::gather`: one index array (all of one shape after broadcasting) per axis named; the result's shape is that
/// shape followed by all `slice_sizes`. Negative indices wrap; out of bounds is undefined.
///
/// # Errors
/// What MLX refuses.
pub(crate) fn gather(
    a: &Array,
    indices: &[&Array],
    axes: &[i32],
    slice_sizes: &[i32],
    stream: Stream,
) -> Result<Array> {
    stream
        .require(|can| indices.len() <= can.index_arrays, || format!("a gather by {} index arrays", indices.len()))?;
    with_vector(indices, |vector| {
        // SAFETY: valid handles; the slices outlive the call.
        stream.build(|result| unsafe {
            mlx_sys::mlx_gather(
                result,
                a.raw(),
                vector,
                axes.as_ptr(),
                axes.len(),
                slice_sizes.as_ptr(),
                slice_sizes.len(),
                stream.raw(),
            )
        })
    })
}

/// `mlx::core::scatter*`: indices as for [`gather`]; updates have the index shape followed by the slice shape (rank of
/// `a`, 1 for indexed axes where one element is meant). Negative indices wrap; out of bounds is undefined.
///
/// # Errors
/// What MLX refuses.
pub(crate) fn scatter(
    mode: ScatterMode,
    a: &Array,
    indices: &[&Array],
    updates: &Array,
    axes: &[i32],
    stream: Stream,
) -> Result<Array> {
    stream.require(
        |can| indices.len() <= can.index_arrays && can.scatters(mode, a.dtype()),
        || format!("a scatter of {:?} by {} index arrays", a.dtype(), indices.len()),
    )?;
    let call = match mode {
        ScatterMode::Set => mlx_sys::mlx_scatter,
        ScatterMode::Add => mlx_sys::mlx_scatter_add,
        ScatterMode::Max => mlx_sys::mlx_scatter_max,
        ScatterMode::Min => mlx_sys::mlx_scatter_min,
        ScatterMode::Prod => mlx_sys::mlx_scatter_prod,
    };
    with_vector(indices, |vector| {
        // SAFETY: valid handles; the axes outlive the call.
        stream.build(|result| unsafe {
            call(result, a.raw(), vector, updates.raw(), axes.as_ptr(), axes.len(), stream.raw())
        })
    })
}

/// A copy in memory of its own, bit for bit. (`mlx::core::copy` and `contiguous` share the operand's memory.)
///
/// # Errors
/// What MLX refuses.
pub(crate) fn duplicate(a: &Array, stream: Stream) -> Result<Array> {
    // Select always writes to fresh memory unless it may reuse an operand's, which it may not while `a` has a holder.
    let yes = Array::scalar(true)?;
    super::select(&yes, a, a, stream)
}
