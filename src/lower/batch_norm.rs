//! batch_norm_inference, batch_norm_training, batch_norm_grad, by the formulas of the spec.
#![forbid(unsafe_code)]

use super::combiner::Combiner;
use super::expression::Elementwise;
use super::reduce::native;
use super::{Context, LowerError, Lowered, Row};
use crate::expression::{Expression, Scalar, Term};
use crate::mlx::{self, Array, Arrays, Dtype, Stream};
use crate::program::{Op, OpKind};

/// Rows of the op table.
pub static ROWS: &[Row] = &[
    Row { name: "batch_norm_inference", note: "", lower: inference },
    Row { name: "batch_norm_training", note: "", lower: training },
    Row { name: "batch_norm_grad", note: "", lower: grad },
];

/// What the three share.
#[derive(Clone)]
struct Layout {
    epsilon: f64,
    /// Shape of a per-feature array that broadcasts against the operand.
    feature_shape: Vec<i32>,
    /// All dimensions but the feature's.
    axes: Vec<i32>,
    /// Elements of one feature.
    count: f64,
    /// Elements of all features.
    elements: usize,
    dtype: Dtype,
    features: i32,
}

impl Layout {
    fn new(context: &Context<'_>, op: &Op, epsilon: f32, feature_index: i64) -> Result<Self, LowerError> {
        let operand = context.operand(op, 0)?;
        if !operand.element.is_float() || operand.element.is_small_float() {
            return Err(context.unsupported(op, &format!("a float type expected, {} came", operand.element)));
        }
        let feature = usize::try_from(feature_index).ok().filter(|&index| index < operand.rank());
        let Some(feature) = feature else {
            return Err(context.invalid(op, &format!("feature_index {feature_index} is out of range")));
        };
        let features = operand.shape[feature];
        for index in 1..op.operands.len() {
            let parameter = context.operand(op, index)?;
            let expected = if index == 4 && matches!(op.kind, OpKind::BatchNormGrad { .. }) {
                operand.shape.clone()
            } else {
                vec![features]
            };
            if parameter.shape != expected || parameter.element != operand.element {
                return Err(context.invalid(op, &format!("operand {index} does not fit the first")));
            }
        }
        let mut feature_shape = vec![1; operand.rank()];
        feature_shape[feature] = super::shape_i32(&[features])?[0];
        Ok(Self {
            epsilon: f64::from(epsilon),
            axes: (0..operand.rank()).filter(|&axis| axis != feature).map(|axis| axis as i32).collect(),
            count: operand.elements() as f64 / features.max(1) as f64,
            elements: operand.elements(),
            dtype: super::storage(operand.element)
                .ok_or_else(|| context.unsupported(op, &format!("mlx has no {}", operand.element)))?,
            features: feature_shape[feature],
            feature_shape,
        })
    }

    /// The type that is computed in: short floats are computed with in f32.
    fn work(&self) -> Scalar {
        if self.dtype == Dtype::Float64 { Scalar::F64 } else { Scalar::F32 }
    }

    fn operand(&self, a: &Array, stream: Stream) -> mlx::Result<Array> {
        if self.dtype == Dtype::Float64 { Ok(a.clone()) } else { mlx::astype(a, Dtype::Float32, stream) }
    }

    /// A per-feature operand, ready to broadcast.
    fn parameter(&self, a: &Array, stream: Stream) -> mlx::Result<Array> {
        mlx::reshape(&self.operand(a, stream)?, &self.feature_shape, stream)
    }

    /// Sums over all but the features; keeps the rank.
    fn sum(&self, a: &Array, stream: Stream) -> mlx::Result<Array> {
        if self.elements == 0 {
            return mlx::zeros(&self.feature_shape, a.dtype(), stream);
        }
        if self.axes.is_empty() {
            return Ok(a.clone());
        }
        mlx::reshape(&native::reduce(Combiner::Add, a, &self.axes, stream)?, &self.feature_shape, stream)
    }

    fn per_feature(&self, a: &Array, stream: Stream) -> mlx::Result<Array> {
        mlx::reshape(&mlx::astype(a, self.dtype, stream)?, &[self.features], stream)
    }

    /// A formula over arrays of the working type.
    fn formula<const N: usize>(
        &self,
        context: &Context<'_>,
        op: &Op,
        definition: impl FnOnce([&Term; N]) -> Term,
    ) -> Result<Elementwise, LowerError> {
        let expression = Expression::define(&context.target(op), &[self.work(); N], |terms| {
            [definition(std::array::from_fn(|index| &terms[index]))]
        });
        Ok(Elementwise::new(&expression)?)
    }

    /// Of (operand, mean, variance, scale, offset): (operand - mean) / sqrt(variance + epsilon) · scale + offset, in the
    /// operand's type.
    fn normalize(&self, context: &Context<'_>, op: &Op) -> Result<Elementwise, LowerError> {
        let result = Scalar::of(context.operand(op, 0)?.element).unwrap_or_else(|| self.work());
        self.formula(context, op, |[x, mean, variance, scale, offset]| {
            let deviation = (variance + self.epsilon).sqrt();
            ((x - mean) / deviation * scale + offset).cast(result)
        })
    }
}

fn inference(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let OpKind::BatchNormInference { epsilon, feature_index } = op.kind else {
        return Err(context.invalid(op, "batch_norm_inference expected"));
    };
    context.operand(op, 4)?;
    let layout = Layout::new(context, op, epsilon, feature_index)?;
    let normalize = layout.normalize(context, op)?;
    Ok(Lowered::one(move |inputs, stream| {
        let x = layout.operand(inputs[0], stream)?;
        let parameter = |index: usize| layout.parameter(inputs[index], stream);
        normalize.one(&[&x, &parameter(3)?, &parameter(4)?, &parameter(1)?, &parameter(2)?], stream)
    }))
}

fn training(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let OpKind::BatchNormTraining { epsilon, feature_index } = op.kind else {
        return Err(context.invalid(op, "batch_norm_training expected"));
    };
    context.operand(op, 2)?;
    let layout = Layout::new(context, op, epsilon, feature_index)?;
    let normalize = layout.normalize(context, op)?;
    let mean_of = layout.formula(context, op, |[sum]| sum / layout.count)?;
    let square = layout.formula(context, op, |[x, mean]| {
        let centered = x - mean;
        &centered * &centered
    })?;
    Ok(Lowered::new(move |inputs, stream| {
        let x = layout.operand(inputs[0], stream)?;
        let (scale, offset) = (layout.parameter(inputs[1], stream)?, layout.parameter(inputs[2], stream)?);
        let mean = mean_of.one(&[&layout.sum(&x, stream)?], stream)?;
        let squares = square.one(&[&x, &mean], stream)?;
        let variance = mean_of.one(&[&layout.sum(&squares, stream)?], stream)?;
        let output = normalize.one(&[&x, &mean, &variance, &scale, &offset], stream)?;
        Ok(Arrays::from_iter([output, layout.per_feature(&mean, stream)?, layout.per_feature(&variance, stream)?]))
    }))
}

fn grad(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let OpKind::BatchNormGrad { epsilon, feature_index } = op.kind else {
        return Err(context.invalid(op, "batch_norm_grad expected"));
    };
    context.operand(op, 4)?;
    let layout = Layout::new(context, op, epsilon, feature_index)?;
    let result = Scalar::of(context.operand(op, 0)?.element).unwrap_or_else(|| layout.work());
    let along_of = layout.formula(context, op, |[grad_output, x, mean]| grad_output * (x - mean))?;
    let scale_of = layout.formula(context, op, |[along, variance]| along / (variance + layout.epsilon).sqrt())?;
    let operand_of =
        layout.formula(context, op, |[x, grad_output, scale, mean, variance, grad_offset, along]: [&Term; 7]| {
            let (centered, spread) = (x - mean, variance + layout.epsilon);
            let inner = grad_output * layout.count - grad_offset - along * &centered / &spread;
            (scale / spread.sqrt() / layout.count * inner).cast(result)
        })?;
    Ok(Lowered::new(move |inputs, stream| {
        let (x, grad_output) = (layout.operand(inputs[0], stream)?, layout.operand(inputs[4], stream)?);
        let parameter = |index: usize| layout.parameter(inputs[index], stream);
        let (scale, mean, variance) = (parameter(1)?, parameter(2)?, parameter(3)?);
        let grad_offset = layout.sum(&grad_output, stream)?;
        let along = layout.sum(&along_of.one(&[&grad_output, &x, &mean], stream)?, stream)?;
        let grad_scale = scale_of.one(&[&along, &variance], stream)?;
        let terms = [&x, &grad_output, &scale, &mean, &variance, &grad_offset, &along];
        let grad_operand = operand_of.one(&terms, stream)?;
        let features = [layout.per_feature(&grad_scale, stream)?, layout.per_feature(&grad_offset, stream)?];
        Ok(Arrays::from_iter([grad_operand].into_iter().chain(features)))
    }))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Builder, bytes, f32s, tensor};
    use crate::program::ElementType::*;
    use crate::program::OpKind;

    /// The example of the spec: two features along dimension 2.
    const X: [f32; 8] = [1., 2., 3., 4., 3., 4., 1., 2.];

    fn near(came: &[u8], expected: &[f32]) {
        let came = f32s(came);
        assert!(came.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{came:?} {expected:?}");
        assert_eq!(came.len(), expected.len());
    }

    #[test]
    fn training_centres_each_feature() {
        let mut builder = Builder::default();
        let (cube, vector) = (tensor(F32, &[2, 2, 2]), tensor(F32, &[2]));
        let arguments = [cube.clone(), vector.clone(), vector.clone()].map(|ty| builder.argument(ty));
        let kind = OpKind::BatchNormTraining { epsilon: 0., feature_index: 2 };
        let results = builder.op(kind, &arguments, vec![cube, vector.clone(), vector], vec![]);
        let outputs = builder.run(&results, &[bytes(&X), bytes(&[1f32, 2.]), bytes(&[1f32, 1.])]).unwrap();
        near(&outputs[0], &[0., -1., 2., 3., 2., 3., 0., -1.]);
        near(&outputs[1], &[2., 3.]);
        near(&outputs[2], &[1., 1.]);
    }

    #[test]
    fn inference_uses_the_statistics_given() {
        let mut builder = Builder::default();
        let (matrix, vector) = (tensor(BF16, &[1, 2]), tensor(BF16, &[2]));
        let arguments = [&matrix, &vector, &vector, &vector, &vector].map(|ty| builder.argument(ty.clone()));
        let kind = OpKind::BatchNormInference { epsilon: 1., feature_index: 1 };
        let results = builder.op(kind, &arguments, vec![matrix], vec![]);
        let short = |values: [f32; 2]| bytes(&values.map(half::bf16::from_f32));
        let inputs = [short([5., 2.]), short([2., 1.]), short([1., 0.]), short([1., 1.]), short([3., 0.])];
        assert_eq!(builder.run(&results, &inputs).unwrap()[0], short([5., 1.]));
    }

    #[test]
    fn gradient_of_the_spec() {
        let mut builder = Builder::default();
        let (cube, vector) = (tensor(F32, &[2, 2, 2]), tensor(F32, &[2]));
        let arguments = [&cube, &vector, &vector, &vector, &cube].map(|ty| builder.argument(ty.clone()));
        let kind = OpKind::BatchNormGrad { epsilon: 0., feature_index: 2 };
        let results = builder.op(kind, &arguments, vec![cube, vector.clone(), vector], vec![]);
        // A gradient of one element: what is left after the mean and the part along x are taken away.
        let grad_output = [1f32, 0., 0., 0., 0., 0., 0., 0.];
        let inputs = [bytes(&X), bytes(&[1f32, 1.]), bytes(&[2f32, 3.]), bytes(&[1f32, 1.]), bytes(&grad_output)];
        let outputs = builder.run(&results, &inputs).unwrap();
        near(&outputs[0], &[0.5, 0., 0., 0., 0., 0., -0.5, 0.]);
        near(&outputs[1], &[-1., 0.]);
        near(&outputs[2], &[1., 0.]);
    }

    #[test]
    fn no_elements() {
        let mut builder = Builder::default();
        let (matrix, vector) = (tensor(F32, &[0, 2]), tensor(F32, &[2]));
        let arguments = [matrix.clone(), vector.clone(), vector.clone()].map(|ty| builder.argument(ty));
        let kind = OpKind::BatchNormTraining { epsilon: 0.1, feature_index: 1 };
        let results = builder.op(kind, &arguments, vec![matrix, vector.clone(), vector], vec![]);
        let outputs = builder.run(&results, &[vec![], bytes(&[1f32, 1.]), bytes(&[0f32, 0.])]).unwrap();
        assert!(outputs[0].is_empty() && f32s(&outputs[1]).iter().all(|mean| mean.is_nan()));
    }
}
