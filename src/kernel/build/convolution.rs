//! Convolution, a product after the other.
#![forbid(unsafe_code)]

use super::elements::at;
use super::lowering::{Lowering, Result, refused};
use super::reductions::Window;
use crate::expression::convert::convert;
use crate::expression::{Binary, Scalar, Term, Value};
use crate::kernel::ir::NodeId;
use crate::program::{Convolution, ElementType, Op};

impl<'a> Lowering<'a> {
    /// The type that products are added in, if kernels convolve these types.
    pub(super) fn convolution_sum(&self, op: &Op, attributes: &Convolution) -> Result<Scalar> {
        let rank = attributes.window_strides.len();
        let lists = [&attributes.lhs_dilation, &attributes.rhs_dilation, &attributes.input_spatial_dimensions];
        let spatial = [&attributes.kernel_spatial_dimensions, &attributes.output_spatial_dimensions];
        if lists.iter().chain(&spatial).any(|list| list.len() != rank)
            || [attributes.padding.len(), attributes.window_reversal.len()] != [rank; 2]
            || attributes.feature_group_count < 1
            || attributes.batch_group_count < 1
        {
            return refused("a convolution of other attributes");
        }
        let elements = [op.operands[0], op.operands[1], op.results[0]];
        let [lhs, rhs, to] = [self.tensor(elements[0])?, self.tensor(elements[1])?, self.tensor(elements[2])?];
        if attributes.batch_group_count > 1 && to.element.is_float() {
            // XLA:CPU lets NaN of one group of a batch into others.
            return refused("a convolution with groups of its batch");
        }
        let (product, sum) = self.product_types_of([lhs.element, rhs.element, to.element])?;
        if product == to.element { Ok(sum) } else { refused("a convolution of these types") }
    }

    pub(super) fn convolved(&mut self, op: &'a Op, attributes: &Convolution, index: &[NodeId]) -> Result<NodeId> {
        let (lhs, rhs) = (op.operands[0], op.operands[1]);
        let (sum, to) = (self.convolution_sum(op, attributes)?, self.tensor(op.results[0])?.element);
        let types = [self.tensor(lhs)?, self.tensor(rhs)?, self.tensor(op.results[0])?];
        let left_out = attributes.leaves_zeros_out(types);
        let (lhs_shape, rhs_shape) = (self.shape(lhs)?, self.shape(rhs)?);
        if lhs_shape.contains(&0) || rhs_shape.contains(&0) {
            let scalar = self.scalar(op.results[0])?;
            return Ok(self.constant(scalar, Value::default()));
        }
        let dimension = |number: i64| at(&[number], 0);
        let [batch, feature] = [attributes.input_batch_dimension, attributes.input_feature_dimension].map(dimension);
        let [inputs, outputs] =
            [attributes.kernel_input_feature_dimension, attributes.kernel_output_feature_dimension].map(dimension);
        let spatial: Vec<usize> = attributes.kernel_spatial_dimensions.iter().map(|&each| dimension(each)).collect();
        let mut sizes: Vec<usize> = spatial.iter().map(|&each| rhs_shape[each]).collect();
        sizes.push(rhs_shape[inputs]);
        let zero = self.constant(sum, Value::default());
        let places = self.fold(&sizes, &[sum], vec![zero])?;

        let number = self.nest().number(0);
        let (mut left, mut right) = (vec![number; lhs_shape.len()], vec![number; rhs_shape.len()]);
        let output = index[dimension(attributes.output_feature_dimension)];
        let input = places[spatial.len()];
        (right[inputs], right[outputs]) = (input, output);
        left[batch] = index[dimension(attributes.output_batch_dimension)];
        left[feature] = input;
        for (groups, place, each) in [
            (attributes.feature_group_count, feature, rhs_shape[inputs]),
            (attributes.batch_group_count, batch, lhs_shape[batch] / at(&[attributes.batch_group_count], 0)),
        ] {
            // Group by group of the output's features.
            let nest = self.nest();
            let of_group = nest.number(rhs_shape[outputs] as i64 / groups.max(1));
            let group = if groups > 1 { nest.index(Binary::Divide, output, of_group) } else { nest.number(0) };
            let each = nest.number(each as i64);
            let first = nest.index(Binary::Multiply, group, each);
            left[place] = nest.index(Binary::Add, first, left[place]);
        }
        let mut inside = None;
        for (axis, &of_kernel) in spatial.iter().enumerate() {
            let of_input = dimension(attributes.input_spatial_dimensions[axis]);
            let (low, high) = attributes.padding[axis];
            let window = Window {
                size: lhs_shape[of_input],
                window: rhs_shape[of_kernel],
                stride: at(&attributes.window_strides, axis),
                base: at(&attributes.lhs_dilation, axis),
                dilation: at(&attributes.rhs_dilation, axis),
                low,
                high,
            };
            let position = index[dimension(attributes.output_spatial_dimensions[axis])];
            let (at, there) = self.within(&window, position, places[axis]);
            left[of_input] = at;
            if let Some(there) = there {
                inside = Some(self.both(inside, there));
            }
            right[of_kernel] = places[axis];
            if attributes.window_reversal[axis] {
                let last = self.nest().number(rhs_shape[of_kernel] as i64 - 1);
                right[of_kernel] = self.nest().index(Binary::Subtract, last, places[axis]);
            }
        }
        let (a, b) = (self.element(lhs, &left)?, self.element(rhs, &right)?);
        let so_far = self.accumulators()[0];
        let elements = [self.tensor(lhs)?.element, self.tensor(rhs)?.element];
        let mut nodes = vec![so_far, a, b];
        nodes.extend(inside);
        let next = self.term(&nodes, |terms| {
            let factor = |term: &Term, element: ElementType| {
                if to.is_integer() { convert(term, element, to) } else { term.cast(sum) }
            };
            let (mut a, b) = (factor(&terms[1], elements[0]), factor(&terms[2], elements[1]));
            let Some(inside) = terms.get(3) else { return &terms[0] + a * b };
            if left_out {
                return inside.select(&(&terms[0] + a * b), &terms[0]);
            }
            a = inside.select(&a, a.constant(0.0));
            &terms[0] + a * b
        });
        let result = self.folded(vec![next])[0];
        Ok(self.of_sum(result, to, to))
    }
}
