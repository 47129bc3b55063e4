//! How XLA:CPU computes a convolution, where results tell.
#![forbid(unsafe_code)]

use super::{Convolution, ElementType, TensorType};

/// Bytes of arrays that XLA:CPU takes for too little aligned to be given to Eigen.
const UNALIGNED: i64 = 8;

fn size(ty: &TensorType, dimensions: &[i64], number: usize) -> i64 {
    let dimension = dimensions.get(number).and_then(|&dimension| usize::try_from(dimension).ok());
    dimension.and_then(|dimension| ty.shape.get(dimension)).copied().unwrap_or(1)
}

impl Convolution {
    /// Groups of features, or of the batch.
    fn groups(&self) -> i64 {
        self.feature_group_count.max(self.batch_group_count)
    }

    /// Whether XLA:CPU leaves the zeros of padding and dilation out of the sums of a convolution of these operands and
    /// result; else it multiplies with them, which shows where the kernel is not finite.
    pub fn leaves_zeros_out(&self, types: [&TensorType; 3]) -> bool {
        let rank = self.window_strides.len();
        // Of f32, in which f16 and bf16 are computed too.
        let tiny = |ty: &&TensorType| ty.elements() as i64 * 4 <= UNALIGNED;
        let all_ones = |list: &[i64]| list.iter().all(|&number| number == 1);
        // A product of matrices whose columns are added where they belong.
        let transposed = rank <= 2
            && self.groups() == 1
            && !all_ones(&self.lhs_dilation)
            && all_ones(&self.rhs_dilation)
            && all_ones(&self.window_strides);
        types.iter().any(|ty| ty.element == ElementType::F64)
            || rank > 3
            || self.window_reversal.contains(&true)
            || types.iter().any(tiny)
            || transposed
            || self.is_swapped(types)
    }

    /// Whether XLA's simplifier exchanges operand and kernel, for fewer products: the window is then reversed, which Eigen
    /// does not do.
    fn is_swapped(&self, [lhs, rhs, _]: [&TensorType; 3]) -> bool {
        if self.groups() > 1 {
            return false;
        }
        let (mut kernel, mut operand) = (1i64, 1i64);
        for (number, &(low, high)) in self.padding.iter().enumerate() {
            let window = size(rhs, &self.kernel_spatial_dimensions, number);
            let size = size(lhs, &self.input_spatial_dimensions, number);
            let (stride, lhs_dilation) = (self.window_strides[number], self.lhs_dilation[number]);
            let unpadded = (low, high) == (0, 0) && self.rhs_dilation[number] == 1 && !self.window_reversal[number];
            let is_group = unpadded && lhs_dilation == window && stride == window - 1;
            let is_contraction = unpadded && window == size && lhs_dilation == 1 && stride == 1;
            if is_group || is_contraction {
                continue;
            }
            let is_whole =
                size == 1 && stride == 1 && self.rhs_dilation[number] == 1 && (low, high) == (window - 1, window - 1);
            kernel = kernel.saturating_mul(window);
            operand = operand.saturating_mul(if is_whole { window } else { size });
        }
        kernel > operand
    }
}
