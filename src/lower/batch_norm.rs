//! batch_norm_inference, batch_norm_training, batch_norm_grad, by the formulas of the spec.
#![forbid(unsafe_code)]

use super::combiner::Combiner;
use super::formula::Formula;
use super::reduce::native;
use super::{Context, LowerError, Lowered, Row};
use crate::mlx::{self, Array, Arrays, Dtype, Stream};
use crate::program::{Op, OpKind};

/// Rows of the op table.
pub static ROWS: &[Row] = &[
    Row { name: "batch_norm_inference", note: "", elementwise: false, lower: inference },
    Row { name: "batch_norm_training", note: "", elementwise: false, lower: training },
    Row { name: "batch_norm_grad", note: "", elementwise: false, lower: grad },
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

    /// The operand: short floats are computed with in f32.
    fn operand(&self, a: &Array, stream: Stream) -> Formula {
        let a = Formula::of(a, stream);
        if self.dtype == Dtype::Float64 { a } else { a.cast(Dtype::Float32) }
    }

    /// A per-feature operand, ready to broadcast.
    fn parameter(&self, a: &Array, stream: Stream) -> Formula {
        self.operand(a, stream).apply(|a, stream| mlx::reshape(a, &self.feature_shape, stream))
    }

    /// Sums over all but the features; keeps the rank.
    fn sum(&self, a: &Formula) -> Formula {
        if self.elements == 0 {
            return a.apply(|a, stream| mlx::zeros(&self.feature_shape, a.dtype(), stream));
        }
        if self.axes.is_empty() {
            return a.clone();
        }
        a.apply(|a, stream| {
            mlx::reshape(&native::reduce(Combiner::Add, a, &self.axes, stream)?, &self.feature_shape, stream)
        })
    }

    fn per_feature(&self, a: &Formula) -> mlx::Result<Array> {
        a.cast(self.dtype).apply(|a, stream| mlx::reshape(a, &[self.features], stream)).finish()
    }
}

/// (operand - mean) / sqrt(variance + epsilon) · scale + offset.
fn normalize(layout: &Layout, x: &Formula, statistics: [&Formula; 2], scale: &Formula, offset: &Formula) -> Formula {
    let [mean, variance] = statistics;
    let deviation = (variance + layout.epsilon).sqrt();
    ((x - mean) / deviation * scale + offset).cast(layout.dtype)
}

fn inference(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let OpKind::BatchNormInference { epsilon, feature_index } = op.kind else {
        return Err(context.invalid(op, "batch_norm_inference expected"));
    };
    context.operand(op, 4)?;
    let layout = Layout::new(context, op, epsilon, feature_index)?;
    Ok(Lowered::one(move |inputs, stream| {
        let x = layout.operand(inputs[0], stream);
        let [scale, offset, mean, variance] = [1, 2, 3, 4].map(|index: usize| layout.parameter(inputs[index], stream));
        normalize(&layout, &x, [&mean, &variance], &scale, &offset).finish()
    }))
}

fn training(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let OpKind::BatchNormTraining { epsilon, feature_index } = op.kind else {
        return Err(context.invalid(op, "batch_norm_training expected"));
    };
    context.operand(op, 2)?;
    let layout = Layout::new(context, op, epsilon, feature_index)?;
    Ok(Lowered::new(move |inputs, stream| {
        let x = layout.operand(inputs[0], stream);
        let [scale, offset] = [1, 2].map(|index: usize| layout.parameter(inputs[index], stream));
        let mean = layout.sum(&x) / layout.count;
        let centered = &x - &mean;
        let variance = layout.sum(&(&centered * &centered)) / layout.count;
        let output = normalize(&layout, &x, [&mean, &variance], &scale, &offset).finish()?;
        Ok(Arrays::from_iter([output, layout.per_feature(&mean)?, layout.per_feature(&variance)?]))
    }))
}

fn grad(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    let OpKind::BatchNormGrad { epsilon, feature_index } = op.kind else {
        return Err(context.invalid(op, "batch_norm_grad expected"));
    };
    context.operand(op, 4)?;
    let layout = Layout::new(context, op, epsilon, feature_index)?;
    Ok(Lowered::new(move |inputs, stream| {
        let [x, grad_output] = [0, 4].map(|index: usize| layout.operand(inputs[index], stream));
        let [scale, mean, variance] = [1, 2, 3].map(|index: usize| layout.parameter(inputs[index], stream));
        let centered = &x - &mean;
        let spread = &variance + layout.epsilon;
        let deviation = spread.sqrt();
        let grad_offset = layout.sum(&grad_output);
        let along = layout.sum(&(&grad_output * &centered));
        let grad_scale = &along / &deviation;
        let inner = &grad_output * layout.count - &grad_offset - &along * &centered / &spread;
        let grad_operand = (scale / &deviation / layout.count * inner).cast(layout.dtype).finish()?;
        Ok(Arrays::from_iter([grad_operand, layout.per_feature(&grad_scale)?, layout.per_feature(&grad_offset)?]))
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
