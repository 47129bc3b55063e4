//! The product of matrices in every element type: `[batch…, m, k] × [batch…, k, n]`.
#![forbid(unsafe_code)]

use super::long;
use crate::lower::{Context, LowerError, complex, storage};
use crate::mlx::{self, Array, Dtype, Stream};
use crate::plan::Placement;
use crate::program::{DotAlgorithm, ElementType, Op};

/// Sizes of a batched product of matrices.
#[derive(Clone, Copy, Debug)]
pub(in crate::lower) struct Extent {
    /// Number of products.
    pub batch: usize,
    /// Rows of the left side.
    pub m: usize,
    /// Columns of the right side.
    pub n: usize,
    /// Length of each sum.
    pub k: usize,
}

/// Multiplies matrices as XLA does: sums of bf16 and f16 are kept in f32, sums of integers wrap in the result's type, and
/// bools are combined by "or" of "and".
pub(in crate::lower) struct MatrixProduct {
    method: Method,
    lhs_rounding: Option<Dtype>,
    rhs_rounding: Option<Dtype>,
    result: Dtype,
    /// Width and signedness of results of fewer than 8 bits.
    sub_byte: Option<(i8, bool)>,
    /// Whether it is part of a convolution.
    convolves: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Method {
    /// MLX's product in this dtype. A GPU multiplies bf16 and f16 (the second dtype) as they are: it sums them in f32.
    Native(Dtype, Option<Dtype>),
    /// One multiplication in this dtype for k = 1.
    Outer(Dtype),
    /// Counts of true pairs, in f32: a sum of ones is never zero.
    Bool,
    /// Multiplications and one sum, in the integer type itself.
    Sum(Dtype),
    /// All partial sums are integers that this float type represents.
    Exact(Dtype),
    /// The operands are cut in `count` limbs of `width` bits, so that products of limbs are exact in f64.
    Limbs {
        /// Unsigned type of the result's width.
        unsigned: Dtype,
        width: u32,
        count: u32,
    },
}

/// Elements that a product by multiplication and sum may make on the way.
const FEW: usize = 1 << 14;

impl MatrixProduct {
    /// Chooses the method.
    ///
    /// # Errors
    /// UNIMPLEMENTED for element types or algorithms that cannot be had.
    pub fn new(
        context: &Context<'_>,
        op: &Op,
        lhs: ElementType,
        rhs: ElementType,
        result: ElementType,
        extent: Extent,
        algorithm: Option<&DotAlgorithm>,
    ) -> Result<Self, LowerError> {
        let dtype = storage(result).ok_or_else(|| context.unsupported(op, &format!("mlx has no {result}")))?;
        let mut product = Self {
            method: Method::Bool,
            lhs_rounding: None,
            rhs_rounding: None,
            result: dtype,
            sub_byte: None,
            convolves: false,
        };
        if [lhs, rhs, result].iter().any(|element| element.is_small_float()) {
            return Err(context.unsupported(op, "floats of 8 bits or fewer are not multiplied"));
        }
        if result == ElementType::Bool {
            if lhs != ElementType::Bool || rhs != ElementType::Bool {
                return Err(context.unsupported(op, "a bool product of operands that are not bool"));
            }
            return Ok(product);
        }
        if result.is_integer() {
            if !is_integral(lhs) || !is_integral(rhs) {
                return Err(context.unsupported(op, "an integer product of operands that are not integers"));
            }
            if result.is_small_integer() {
                product.sub_byte = Some((8 - result.bits() as i8, result.is_signed_integer()));
            }
            product.method = integer_method(lhs, rhs, dtype, extent);
            return Ok(product);
        }
        let mut compute = if result.is_complex() || lhs.is_complex() || rhs.is_complex() {
            Dtype::Complex64
        } else if [lhs, rhs, result].contains(&ElementType::F64) {
            Dtype::Float64
        } else {
            Dtype::Float32
        };
        if compute == Dtype::Complex64 && !result.is_complex() {
            return Err(context.unsupported(op, "a real product of complex operands"));
        }
        if let Some(algorithm) = algorithm {
            product.apply(context, op, algorithm, lhs, rhs, &mut compute)?;
        }
        let half =
            (lhs == rhs && lhs == result && matches!(lhs, ElementType::BF16 | ElementType::F16)).then_some(dtype);
        product.method = if extent.k == 1 { Method::Outer(compute) } else { Method::Native(compute, half) };
        Ok(product)
    }

    /// `algorithm` asks for operands rounded to a type, and for sums in a type. Sums are kept in f32 at least; where it
    /// asks for several products of rounded parts, the unrounded product is what these approximate.
    fn apply(
        &mut self,
        context: &Context<'_>,
        op: &Op,
        algorithm: &DotAlgorithm,
        lhs: ElementType,
        rhs: ElementType,
        compute: &mut Dtype,
    ) -> Result<(), LowerError> {
        let element = |ty: &crate::program::Type| ty.tensor().map(|tensor| tensor.element);
        let refuse = || context.unsupported(op, "this dot algorithm");
        if *compute == Dtype::Complex64 {
            return Err(refuse());
        }
        match element(&algorithm.accumulation_type) {
            Some(ElementType::F64) => *compute = Dtype::Float64,
            Some(ElementType::F32 | ElementType::BF16 | ElementType::F16) => {}
            _ => return Err(refuse()),
        }
        let parts = algorithm.lhs_component_count > 1
            || algorithm.rhs_component_count > 1
            || algorithm.num_primitive_operations > 1;
        let rounding = |asked: &crate::program::Type, operand: ElementType| match element(asked) {
            Some(ElementType::BF16) if operand != ElementType::BF16 && !parts => Ok(Some(Dtype::Bfloat16)),
            Some(ElementType::F16) if operand != ElementType::F16 && !parts => Ok(Some(Dtype::Float16)),
            Some(ElementType::F32) if operand == ElementType::F64 && !parts => Ok(Some(Dtype::Float32)),
            // TF32 is f32 with fewer bits kept: the product of all bits is what it approximates.
            Some(ElementType::BF16 | ElementType::F16 | ElementType::F32 | ElementType::TF32 | ElementType::F64) => {
                Ok(None)
            }
            _ => Err(refuse()),
        };
        self.lhs_rounding = rounding(&algorithm.lhs_precision_type, lhs)?;
        self.rhs_rounding = rounding(&algorithm.rhs_precision_type, rhs)?;
        Ok(())
    }

    /// The product as part of a convolution.
    pub fn of_convolution(self) -> Self {
        Self { convolves: true, ..self }
    }

    /// Where the product has to run.
    pub fn placement(&self) -> Placement {
        match self.method {
            Method::Exact(Dtype::Float64) | Method::Native(Dtype::Float64, _) | Method::Limbs { .. } => Placement::Cpu,
            _ => Placement::Device,
        }
    }

    /// The left side in the dtype that is multiplied: to be called before transposing it, while it is dense.
    pub fn prepare_lhs(&self, a: &Array, stream: Stream) -> mlx::Result<Array> {
        self.prepare(a, self.lhs_rounding, stream)
    }

    /// As [`Self::prepare_lhs`], for the right side.
    pub fn prepare_rhs(&self, b: &Array, stream: Stream) -> mlx::Result<Array> {
        self.prepare(b, self.rhs_rounding, stream)
    }

    fn prepare(&self, a: &Array, rounding: Option<Dtype>, stream: Stream) -> mlx::Result<Array> {
        let rounded = match rounding {
            Some(dtype) => &mlx::astype(a, dtype, stream)?,
            None => a,
        };
        let dtype = match self.method {
            Method::Native(_, Some(half)) if stream.capabilities().half_products_in_f32 => half,
            Method::Native(dtype, _) | Method::Outer(dtype) | Method::Sum(dtype) | Method::Exact(dtype) => dtype,
            Method::Bool => Dtype::Float32,
            Method::Limbs { unsigned, .. } => unsigned,
        };
        if rounded.dtype() == dtype { Ok(rounded.clone()) } else { mlx::astype(rounded, dtype, stream) }
    }

    /// The product of prepared operands, in the storage dtype of the result.
    ///
    /// # Errors
    /// What MLX refuses.
    pub fn multiply(&self, a: &Array, b: &Array, stream: Stream) -> mlx::Result<Array> {
        let product = match self.method {
            Method::Native(Dtype::Complex64, _) if !self.convolves => complex::matmul(a, b, stream)?,
            Method::Native(Dtype::Float32, _) if a.dtype() == Dtype::Float32 => long::matmul(a, b, stream)?,
            Method::Native(..) | Method::Exact(_) => mlx::matmul(a, b, stream)?,
            Method::Outer(Dtype::Complex64) => {
                let products = complex::multiply(a, b, stream)?;
                // A convolution's sums start from 0: none is -0.
                if self.convolves { mlx::add(&products, &Array::scalar(0f32)?, stream)? } else { products }
            }
            Method::Outer(_) => mlx::multiply(a, b, stream)?,
            Method::Bool => {
                let zero = Array::scalar(0f32)?;
                mlx::not_equal(&mlx::matmul(a, b, stream)?, &zero, stream)?
            }
            Method::Sum(_) => {
                let rank = a.rank() as i32;
                let a = mlx::expand_dims(a, &[rank - 1], stream)?;
                let b = mlx::expand_dims(&swap_last(b, stream)?, &[rank - 2], stream)?;
                mlx::sum_axes(&mlx::multiply(&a, &b, stream)?, &[rank], false, stream)?
            }
            Method::Limbs { unsigned, width, count } => limbs(a, b, unsigned, width, count, stream)?,
        };
        self.finish(product, stream)
    }

    /// Whether sums of products may also be made elementwise in the dtype of prepared operands.
    pub fn is_elementwise(&self) -> bool {
        self.method != Method::Bool
    }

    /// Sums of products of prepared operands, in the storage dtype of the result.
    ///
    /// # Errors
    /// What MLX refuses.
    pub fn finish(&self, sums: Array, stream: Stream) -> mlx::Result<Array> {
        // A float out of an integer's range has no defined conversion: what wraps goes through a type that holds it.
        let sums = match self.method {
            Method::Exact(Dtype::Float32) => mlx::astype(&sums, Dtype::Int32, stream)?,
            Method::Exact(_) => mlx::astype(&sums, Dtype::Int64, stream)?,
            _ => sums,
        };
        let sums = if sums.dtype() == self.result { sums } else { mlx::astype(&sums, self.result, stream)? };
        match self.sub_byte {
            None => Ok(sums),
            Some((unused, signed)) => wrap(&sums, unused, signed, stream),
        }
    }
}

fn is_integral(element: ElementType) -> bool {
    element.is_integer() || element == ElementType::Bool
}

/// Bits of the magnitude of values of a type.
fn magnitude(element: ElementType) -> u32 {
    let bits = element.bits() as u32;
    if element == ElementType::Bool {
        1
    } else if element.is_signed_integer() {
        bits - 1
    } else {
        bits
    }
}

fn integer_method(lhs: ElementType, rhs: ElementType, result: Dtype, extent: Extent) -> Method {
    let Extent { batch, m, n, k } = extent;
    let products = [m, n, k].iter().fold(batch, |product, &size| product.saturating_mul(size));
    // When a side has one row, the products are as many as the other side's elements.
    if products <= FEW || m == 1 || n == 1 || k == 1 {
        return Method::Sum(result);
    }
    let sum_bits = usize::BITS - (k - 1).leading_zeros();
    let bits = magnitude(lhs) + magnitude(rhs) + sum_bits;
    if bits <= 24 {
        return Method::Exact(Dtype::Float32);
    }
    if bits <= 53 {
        return Method::Exact(Dtype::Float64);
    }
    let width = 16.min((53 - sum_bits.min(51)) / 2);
    let total = result.size() as u32 * 8;
    let unsigned = match result.size() {
        1 => Dtype::Uint8,
        2 => Dtype::Uint16,
        4 => Dtype::Uint32,
        _ => Dtype::Uint64,
    };
    Method::Limbs { unsigned, width, count: total.div_ceil(width) }
}

/// Long multiplication modulo 2^n: products of limbs i and j count 2^(width (i + j)) times.
fn limbs(a: &Array, b: &Array, unsigned: Dtype, width: u32, count: u32, stream: Stream) -> mlx::Result<Array> {
    let mask = mlx::astype(&Array::scalar((1u64 << width) - 1)?, unsigned, stream)?;
    let cut = |x: &Array| -> mlx::Result<Vec<Array>> {
        (0..count)
            .map(|index| {
                let amount = mlx::astype(&Array::scalar(u64::from(width * index))?, unsigned, stream)?;
                let shifted = mlx::right_shift(x, &amount, stream)?;
                mlx::astype(&mlx::bitwise_and(&shifted, &mask, stream)?, Dtype::Float64, stream)
            })
            .collect()
    };
    let (a, b) = (cut(a)?, cut(b)?);
    let mut total: Option<Array> = None;
    for level in 0..count {
        for index in 0..=level {
            let exact = mlx::matmul(&a[index as usize], &b[(level - index) as usize], stream)?;
            let exact = mlx::astype(&exact, Dtype::Uint64, stream)?;
            let weighted = mlx::multiply(&exact, &Array::scalar(1u64 << (width * level))?, stream)?;
            total = Some(match total {
                None => weighted,
                Some(total) => mlx::add(&total, &weighted, stream)?,
            });
        }
    }
    Ok(total.expect("there is at least one limb"))
}

/// Keeps the low bits of bytes: shifted up and back down, which extends the sign.
fn wrap(a: &Array, unused: i8, signed: bool, stream: Stream) -> mlx::Result<Array> {
    let amount = if signed { Array::scalar(unused)? } else { Array::scalar(unused.unsigned_abs())? };
    mlx::right_shift(&mlx::left_shift(a, &amount, stream)?, &amount, stream)
}

/// A view with the last two axes exchanged.
pub(in crate::lower) fn swap_last(a: &Array, stream: Stream) -> mlx::Result<Array> {
    let rank = a.rank() as i32;
    let mut axes: Vec<i32> = (0..rank).collect();
    axes.swap(rank as usize - 1, rank as usize - 2);
    mlx::transpose(a, &axes, stream)
}
