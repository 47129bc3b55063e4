//! Both forms against the sum that the spec writes down, on many geometries.

use std::collections::HashMap;

use super::super::testing::{Builder, bytes, f32s, tensor};
use super::super::{Context, LowerError};
use super::geometry::Geometry;
use super::library::{Library, Runs};
use crate::mlx::{self, Array, Backend, DeviceKind, Dtype, NativeConvolution, Stream};
use crate::program::{CompileError, Convolution, ElementType, Op, OpKind, Program};

/// Runs one convolution; operands of exactly representable integers, in the elements' storage.
fn run(
    attributes: &Convolution,
    types: [(ElementType, &[i64]); 3],
    operands: [Vec<u8>; 2],
    native: NativeConvolution,
) -> Result<Vec<u8>, LowerError> {
    let lowered = in_context(attributes, types, |context, op| super::lower(context, op, native))?;
    // CUDA's played part refuses what CUDA is not to be given.
    let stream = match native {
        NativeConvolution::WherePlanned => Stream::playing(Backend::Cuda)?,
        NativeConvolution::Never | NativeConvolution::Always => Stream::get(DeviceKind::Cpu)?,
    };
    let arrays = [0, 1].map(|index| {
        let shape = super::shape_i32(types[index].1).unwrap();
        Array::from_bytes(&operands[index], &shape, super::storage(types[index].0).unwrap()).unwrap()
    });
    let result = (lowered.kernel)(&[&arrays[0], &arrays[1]], stream)?.remove(0);
    assert_eq!(result.shape(), super::shape_i32(types[2].1).unwrap());
    assert_eq!(Some(result.dtype()), super::storage(types[2].0));
    let result = mlx::contiguous(&result, stream)?;
    stream.evaluate(&[&result])?;
    Ok(result.as_bytes()?.to_vec())
}

fn in_context<T>(
    attributes: &Convolution,
    types: [(ElementType, &[i64]); 3],
    call: impl FnOnce(&Context<'_>, &Op) -> T,
) -> T {
    let mut builder = Builder::default();
    let a = builder.argument(tensor(types[0].0, types[0].1));
    let b = builder.argument(tensor(types[1].0, types[1].1));
    let kind = OpKind::Convolution(attributes.clone());
    let op = builder.make(kind, &[a, b], vec![tensor(types[2].0, types[2].1)], vec![]);
    let (program, constants) = (Program::default(), HashMap::new());
    let context = Context {
        program: &program,
        function: &builder.function,
        constants: &constants,
        captures: Vec::new(),
        capabilities: Backend::Cpu.capabilities(false),
        place: Default::default(),
        note: None,
        scalar: false,
        compile_region: |_, _, _| unreachable!("convolutions have no regions"),
        row: |_| unreachable!("no other op is lowered"),
    };
    call(&context, &op)
}

/// All indices of a shape, in row-major order.
fn indices(shape: &[i64]) -> Vec<Vec<i64>> {
    shape.iter().fold(vec![vec![]], |done, &size| {
        done.iter().flat_map(|index| (0..size).map(move |next| [&index[..], &[next]].concat())).collect()
    })
}

fn at(shape: &[i64], index: &[i64]) -> usize {
    index.iter().zip(shape).fold(0, |position, (&index, &size)| position * size as usize + index as usize)
}

/// The sum itself: over window positions and input features, one element of the result at a time.
fn reference(attributes: &Convolution, shapes: [&[i64]; 3], lhs: &[f64], kernel: &[f64]) -> Vec<f64> {
    let rank = attributes.input_spatial_dimensions.len();
    let [lhs_shape, kernel_shape, output_shape] = shapes;
    let inputs = kernel_shape[attributes.kernel_input_feature_dimension as usize];
    let outputs = kernel_shape[attributes.kernel_output_feature_dimension as usize];
    let batch = output_shape[attributes.output_batch_dimension as usize];
    let windows: Vec<i64> =
        attributes.kernel_spatial_dimensions.iter().map(|&axis| kernel_shape[axis as usize]).collect();
    let mut result = Vec::new();
    for index in indices(output_shape) {
        let image = index[attributes.output_batch_dimension as usize];
        let feature = index[attributes.output_feature_dimension as usize];
        let mut sum = 0.;
        for window in indices(&windows) {
            let mut lhs_index = vec![0; rank + 2];
            let mut kernel_index = vec![0; rank + 2];
            let mut inside = true;
            for axis in 0..rank {
                let position = index[attributes.output_spatial_dimensions[axis] as usize];
                let dilated = position * attributes.window_strides[axis] + window[axis] * attributes.rhs_dilation[axis]
                    - attributes.padding[axis].0;
                let lhs_axis = attributes.input_spatial_dimensions[axis] as usize;
                inside &= dilated >= 0
                    && dilated % attributes.lhs_dilation[axis] == 0
                    && dilated / attributes.lhs_dilation[axis] < lhs_shape[lhs_axis];
                lhs_index[lhs_axis] = dilated / attributes.lhs_dilation[axis];
                kernel_index[attributes.kernel_spatial_dimensions[axis] as usize] =
                    if attributes.window_reversal[axis] { windows[axis] - 1 - window[axis] } else { window[axis] };
            }
            if !inside {
                continue;
            }
            for input in 0..inputs {
                let feature_group = feature / (outputs / attributes.feature_group_count);
                let batch_group = feature / (outputs / attributes.batch_group_count);
                lhs_index[attributes.input_batch_dimension as usize] =
                    if attributes.batch_group_count > 1 { batch_group * batch + image } else { image };
                lhs_index[attributes.input_feature_dimension as usize] =
                    if attributes.feature_group_count > 1 { feature_group * inputs + input } else { input };
                kernel_index[attributes.kernel_input_feature_dimension as usize] = input;
                kernel_index[attributes.kernel_output_feature_dimension as usize] = feature;
                sum += lhs[at(lhs_shape, &lhs_index)] * kernel[at(kernel_shape, &kernel_index)];
            }
        }
        result.push(sum);
    }
    result
}

/// A generator of small numbers.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> i64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) % sides) as i64
    }

    fn shuffled(&mut self, count: usize) -> Vec<i64> {
        let mut order: Vec<i64> = (0..count as i64).collect();
        for index in (1..count).rev() {
            order.swap(index, self.roll(index as u64 + 1) as usize);
        }
        order
    }
}

/// A convolution and the shapes of lhs, kernel and result.
fn random(dice: &mut Dice, rank: usize) -> (Convolution, [Vec<i64>; 3]) {
    let (lhs, kernel, output) = (dice.shuffled(rank + 2), dice.shuffled(rank + 2), dice.shuffled(rank + 2));
    let (mut feature_groups, mut batch_groups) = (1, 1);
    match dice.roll(4) {
        0 => feature_groups = 1 + dice.roll(3),
        1 => batch_groups = 1 + dice.roll(3),
        _ => {}
    }
    let mut attributes = Convolution {
        window_strides: vec![],
        padding: vec![],
        lhs_dilation: vec![],
        rhs_dilation: vec![],
        window_reversal: vec![],
        input_batch_dimension: lhs[0],
        input_feature_dimension: lhs[1],
        input_spatial_dimensions: lhs[2..].to_vec(),
        kernel_input_feature_dimension: kernel[0],
        kernel_output_feature_dimension: kernel[1],
        kernel_spatial_dimensions: kernel[2..].to_vec(),
        output_batch_dimension: output[0],
        output_feature_dimension: output[1],
        output_spatial_dimensions: output[2..].to_vec(),
        feature_group_count: feature_groups,
        batch_group_count: batch_groups,
        precision_config: vec![],
    };
    let mut shapes = [vec![0; rank + 2], vec![0; rank + 2], vec![0; rank + 2]];
    let (batch, inputs) = (1 + dice.roll(2), 1 + dice.roll(3));
    let outputs = (1 + dice.roll(3)) * feature_groups * batch_groups;
    shapes[0][lhs[0] as usize] = batch * batch_groups;
    shapes[0][lhs[1] as usize] = inputs * feature_groups;
    shapes[1][kernel[0] as usize] = inputs;
    shapes[1][kernel[1] as usize] = outputs;
    shapes[2][output[0] as usize] = batch;
    shapes[2][output[1] as usize] = outputs;
    for axis in 0..rank {
        let (size, window) = (dice.roll(6), dice.roll(4));
        let (stride, lhs_dilation, rhs_dilation) = (1 + dice.roll(3), 1 + dice.roll(3), 1 + dice.roll(2));
        let padding = (dice.roll(6) - 2, dice.roll(6) - 2);
        let dilated = if size == 0 { 0 } else { (size - 1) * lhs_dilation + 1 };
        let extent = if window == 0 { 0 } else { (window - 1) * rhs_dilation + 1 };
        let padded = dilated + padding.0 + padding.1;
        shapes[0][lhs[axis + 2] as usize] = size;
        shapes[1][kernel[axis + 2] as usize] = window;
        shapes[2][output[axis + 2] as usize] =
            if padded <= 0 || extent > padded { 0 } else { (padded - extent) / stride + 1 };
        attributes.window_strides.push(stride);
        attributes.padding.push(padding);
        attributes.lhs_dilation.push(lhs_dilation);
        attributes.rhs_dilation.push(rhs_dilation);
        attributes.window_reversal.push(dice.roll(3) == 0);
    }
    (attributes, shapes)
}

fn integers(dice: &mut Dice, shape: &[i64]) -> Vec<f64> {
    (0..shape.iter().product::<i64>()).map(|_| (dice.roll(9) - 4) as f64).collect()
}

fn check_many(count: usize, native: NativeConvolution) {
    let mut dice = Dice(7);
    let mut with_elements = 0;
    for case in 0..count {
        let (attributes, shapes) = random(&mut dice, case % 5);
        let (lhs, kernel) = (integers(&mut dice, &shapes[0]), integers(&mut dice, &shapes[1]));
        let expected = reference(&attributes, [&shapes[0], &shapes[1], &shapes[2]], &lhs, &kernel);
        let single = |values: &[f64]| bytes(&values.iter().map(|&value| value as f32).collect::<Vec<f32>>());
        let types = shapes.each_ref().map(|shape| (ElementType::F32, &shape[..]));
        let result = run(&attributes, types, [single(&lhs), single(&kernel)], native).unwrap();
        assert_eq!(
            f32s(&result).iter().map(|&x| f64::from(x)).collect::<Vec<f64>>(),
            expected,
            "{attributes:?} {shapes:?}"
        );
        with_elements += usize::from(expected.iter().any(|&value| value != 0.));
    }
    assert!(with_elements > count / 3, "{with_elements} of {count} cases say something");
}

#[test]
fn windows_match_the_sum() {
    check_many(1500, NativeConvolution::Never);
}

#[test]
fn library_matches_the_sum() {
    check_many(1500, NativeConvolution::Always);
}

/// CUDA: what has a plan goes to MLX, all else takes the other ways.
#[test]
fn cuda_matches_the_sum() {
    check_many(600, NativeConvolution::WherePlanned);
}

/// MLX on CUDA: "graph.build() failed: No execution plans support the graph" at the evaluation of a convolution for which
/// cuDNN has nothing, such as the gradient by the kernel of a strided one (0.32.4, f32 without TF32).
#[test]
fn convolutions_without_a_plan_take_another_way() {
    let stream = Stream::playing(Backend::Cuda).unwrap();
    let library = |attributes: &Convolution, shapes: [&[i64]; 3]| {
        in_context(attributes, shapes.map(|shape| (ElementType::F32, shape)), |context, op| {
            let geometry = Geometry::new(context, op, attributes).unwrap();
            Library::new(&geometry, Dtype::Float32, NativeConvolution::Always).unwrap()
        })
    };
    let forward = library(&plain(), [&[1, 3, 1], &[2, 1, 1], &[1, 2, 1]]);
    let gradient = Convolution { rhs_dilation: vec![2], ..plain() };
    let gradient = library(&gradient, [&[1, 9, 1], &[4, 1, 1], &[1, 3, 1]]);
    // Without the question it is taken for granted, and fails.
    assert!(gradient.runs(stream).unwrap() == Runs::OnAll);
    let gradient = gradient.where_it_runs();
    assert!([gradient.runs(stream).unwrap(), gradient.runs(stream).unwrap()] == [Runs::Never; 2]);
    let forward = forward.where_it_runs();
    assert!([forward.runs(stream).unwrap(), forward.runs(stream).unwrap()] == [Runs::OnAll; 2]);
}

/// One dimension, plain.
fn plain() -> Convolution {
    Convolution {
        window_strides: vec![1],
        padding: vec![(0, 0)],
        lhs_dilation: vec![1],
        rhs_dilation: vec![1],
        window_reversal: vec![false],
        input_batch_dimension: 0,
        input_feature_dimension: 2,
        input_spatial_dimensions: vec![1],
        kernel_input_feature_dimension: 1,
        kernel_output_feature_dimension: 2,
        kernel_spatial_dimensions: vec![0],
        output_batch_dimension: 0,
        output_feature_dimension: 2,
        output_spatial_dimensions: vec![1],
        feature_group_count: 1,
        batch_group_count: 1,
        precision_config: vec![],
    }
}

#[test]
fn every_element_type() {
    // [1, 2, 3] with [1, -1] (or [1, 1] where unsigned).
    let shapes: [&[i64]; 3] = [&[1, 3, 1], &[2, 1, 1], &[1, 2, 1]];
    let with = |element: ElementType, result: ElementType, lhs: Vec<u8>, kernel: Vec<u8>| {
        let types = [(element, shapes[0]), (element, shapes[1]), (result, shapes[2])];
        run(&plain(), types, [lhs, kernel], NativeConvolution::Never).unwrap()
    };
    assert_eq!(with(ElementType::I32, ElementType::I32, bytes(&[1i32, 2, 3]), bytes(&[1i32, -1])), bytes(&[-1i32, -1]));
    assert_eq!(
        with(ElementType::I8, ElementType::I32, bytes(&[100i8, 100, 3]), bytes(&[2i8, 1])),
        bytes(&[300i32, 203])
    );
    assert_eq!(with(ElementType::I8, ElementType::I8, bytes(&[100i8, 100, 3]), bytes(&[2i8, 1])), bytes(&[44i8, -53]));
    assert_eq!(with(ElementType::U64, ElementType::U64, bytes(&[1u64, 2, 3]), bytes(&[1u64, 1])), bytes(&[3u64, 5]));
    assert_eq!(
        with(ElementType::F64, ElementType::F64, bytes(&[1f64, 1e-12, 3.]), bytes(&[1f64, 1.])),
        bytes(&[1. + 1e-12, 3. + 1e-12])
    );
    assert_eq!(with(ElementType::Bool, ElementType::Bool, vec![0, 1, 0], vec![1, 0]), [0, 1]);
    let half = |values: [f32; 2]| bytes(&values.map(half::bf16::from_f32));
    let lhs = bytes(&[1f32, 2., 3.].map(half::bf16::from_f32));
    assert_eq!(with(ElementType::BF16, ElementType::BF16, lhs.clone(), half([1., -1.])), half([-1., -1.]));
    assert_eq!(with(ElementType::BF16, ElementType::F32, lhs, half([1., -1.])), bytes(&[-1f32, -1.]));
    // [i, 1, 0] with [i, 1]: i·i + 1, i.
    let complex =
        with(ElementType::C64, ElementType::C64, bytes(&[0f32, 1., 1., 0., 0., 0.]), bytes(&[0f32, 1., 1., 0.]));
    assert_eq!(f32s(&complex), [0., 0., 0., 1.]);
}

/// Groups of one input feature, with two results each; integers wrap.
#[test]
fn depthwise_integers() {
    let mut attributes = plain();
    attributes.feature_group_count = 2;
    let types: [(ElementType, &[i64]); 3] =
        [(ElementType::I8, &[1, 3, 2]), (ElementType::I8, &[2, 1, 4]), (ElementType::I8, &[1, 2, 4])];
    let lhs = bytes(&[100i8, 1, 50, 2, 3, -4]);
    let kernel = bytes(&[1i8, 2, 3, 4, 1, 0, -1, 5]);
    // Feature 0: [100, 50, 3] with [1, 1] and [2, 0]; feature 1: [1, 2, -4] with [3, -1] and [4, 5].
    let expected = bytes(&[-106i8, -56, 1, 14, 53, 100, 10, -12]);
    assert_eq!(run(&attributes, types, [lhs, kernel], NativeConvolution::Never).unwrap(), expected);
    // So many that floats are chosen: 7 · 100 · 100 is more than a byte, and wraps.
    let attributes = Convolution { padding: vec![(3, 3)], ..attributes };
    let shapes: [&[i64]; 3] = [&[1, 9000, 2], &[7, 1, 4], &[1, 9000, 4]];
    let types = shapes.map(|shape| (ElementType::I8, shape));
    let result =
        run(&attributes, types, [bytes(&[100i8; 18000]), bytes(&[100i8; 28])], NativeConvolution::Never).unwrap();
    assert_eq!(result[10_000] as i8, 70_000i32 as i8);
}

#[test]
fn shapes_that_do_not_fit_are_invalid() {
    let types: [(ElementType, &[i64]); 3] =
        [(ElementType::F32, &[1, 3, 1]), (ElementType::F32, &[2, 1, 1]), (ElementType::F32, &[1, 3, 1])];
    let outcome = run(&plain(), types, [vec![0; 12], vec![0; 8]], NativeConvolution::Never);
    assert!(matches!(outcome, Err(LowerError::Program(CompileError::Invalid(_)))));
}

/// Long images (40 of 2^19 elements of windows each), or few long sums (the weight gradient of such images).
#[test]
fn rows_are_cut_in_chunks() {
    const LONG: usize = 1 << 17;
    let shapes: [&[i64]; 3] = [&[40, LONG as i64, 1], &[4, 1, 1], &[40, LONG as i64 - 3, 1]];
    let lhs: Vec<f32> = (0..40 * LONG).map(|index| (index % 13) as f32).collect();
    let types = shapes.map(|shape| (ElementType::F32, shape));
    let result =
        f32s(&run(&plain(), types, [bytes(&lhs), bytes(&[1f32, 2., 3., 4.])], NativeConvolution::Never).unwrap());
    for (position, &value) in result.iter().enumerate() {
        let (image, index) = (position / (LONG - 3), position % (LONG - 3));
        let first = image * LONG + index;
        let sum: f32 = (0..4).map(|offset| lhs[first + offset] * (offset + 1) as f32).sum();
        assert_eq!(value, sum, "{position}");
    }

    // [feature, position, batch] with a window of nearly all positions.
    let mut attributes = plain();
    (attributes.input_feature_dimension, attributes.input_batch_dimension) = (0, 2);
    let shapes: [&[i64]; 3] = [&[1, LONG as i64, 5], &[LONG as i64 - 3, 1, 1], &[5, 4, 1]];
    let lhs: Vec<f32> = (0..5 * LONG).map(|index| (index % 13) as f32).collect();
    // Ones: sums of integers below 2^24 are exact in any order.
    let types = shapes.map(|shape| (ElementType::F32, shape));
    let result =
        f32s(&run(&attributes, types, [bytes(&lhs), bytes(&[1f32; LONG - 3])], NativeConvolution::Never).unwrap());
    for (position, &value) in result.iter().enumerate() {
        let (image, index) = (position / 4, position % 4);
        let sum: f32 = (index..index + LONG - 3).map(|offset| lhs[offset * 5 + image]).sum();
        assert_eq!(value, sum, "{position}");
    }
}
