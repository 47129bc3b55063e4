//! `mps.threefry2x32`: JAX's primitive threefry2x32, which hashes pairs of words (Salmon et al., 2011).
//!
//! As StableHLO it is about 130 elementwise ops. On the host's processor one pass over the words takes their place; a GPU
//! gets the elementwise ops.
#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::expression::{Expression, Scalar, Target, random};
use crate::lower::expression::Elementwise;
use crate::lower::{Context, LowerError, Lowered, shape_i32};
use crate::mlx::{self, Array, DeviceKind, Dtype, HostFunction, Stream};
use crate::program::{ElementType, Op};

/// Words that are hashed side by side: enough for the compiler to use vector registers.
const LANES: usize = 16;

/// Operands key, key, word, word (u32, each of the results' shape or of one element); results word, word.
///
/// # Errors
/// When the types are others.
pub(in crate::lower) fn threefry2x32(context: &mut Context<'_>, op: &Op) -> Result<Lowered, LowerError> {
    if context.scalar {
        return Err(context.unsupported(op, "it stands in a region that must be elementwise"));
    }
    let result = context.result(op, 0)?;
    if op.operands.len() != 4 || op.results.len() != 2 || context.result(op, 1)? != result {
        return Err(context.invalid(op, "four operands and two results of one type expected"));
    }
    for index in 0..4 {
        let operand = context.operand(op, index)?;
        if operand.element != ElementType::U32 || (operand.shape != result.shape && operand.elements() != 1) {
            return Err(context.invalid(op, "operands of ui32 expected, of the results' shape or of one element"));
        }
    }
    let shape = shape_i32(&result.shape)?;
    let function: Arc<HostFunction> = Arc::new(hash);
    let words = words(&context.target(op))?;
    Ok(Lowered::new(move |inputs, stream| {
        if stream.kind() == DeviceKind::Cpu {
            let output = (&shape[..], Dtype::Uint32);
            return mlx::host_call(&function, inputs, &[output, output], stream);
        }
        in_graph(&words, inputs, &shape, stream)
    }))
}

/// (key, key, word, word) to the two words.
fn words(target: &Target) -> mlx::Result<Elementwise> {
    Elementwise::new(&Expression::define(target, &[Scalar::U32; 4], |terms| {
        let [key0, key1, word0, word1] = [0, 1, 2, 3].map(|index: usize| terms[index].clone());
        let (first, second) = random::threefry((word0, word1), (key0, key1));
        [first, second]
    }))
}

fn in_graph(words: &Elementwise, inputs: &[&Array], shape: &[i32], stream: Stream) -> mlx::Result<mlx::Arrays> {
    // Operands of one element broadcast, but must not raise the rank.
    let inputs = inputs
        .iter()
        .map(|&input| if input.size() == 1 { mlx::reshape(input, &[], stream) } else { Ok(input.clone()) })
        .collect::<mlx::Result<Vec<Array>>>()?;
    let hashed = words.run(&inputs.iter().collect::<Vec<_>>(), stream)?;
    hashed.iter().map(|word| mlx::broadcast_to(word, shape, stream)).collect()
}

/// The words of an input at `start..start + LANES`, or its only word in all lanes.
fn lanes(input: &[u8], start: usize, count: usize) -> [u32; LANES] {
    let word = |bytes: &[u8]| u32::from_ne_bytes(bytes.try_into().expect("four bytes"));
    if input.len() == 4 {
        return [word(input); LANES];
    }
    let mut words = [0; LANES];
    for (lane, bytes) in words.iter_mut().zip(input[start * 4..(start + count) * 4].chunks_exact(4)) {
        *lane = word(bytes);
    }
    words
}

fn hash(inputs: &[&[u8]], outputs: &mut [&mut [u8]]) -> Result<(), String> {
    const ROTATIONS: [[u32; 4]; 2] = [[13, 15, 26, 6], [17, 29, 16, 24]];
    let [key0, key1, word0, word1] = inputs else { return Err("four inputs expected".to_owned()) };
    let [out0, out1] = outputs else { return Err("two outputs expected".to_owned()) };
    let total = out0.len() / 4;
    for start in (0..total).step_by(LANES) {
        let count = LANES.min(total - start);
        let (a, b) = (lanes(key0, start, count), lanes(key1, start, count));
        let mut keys = [a, b, [0; LANES]];
        for lane in 0..LANES {
            keys[2][lane] = a[lane] ^ b[lane] ^ 0x1BD1_1BDA;
        }
        let (mut first, mut second) = (lanes(word0, start, count), lanes(word1, start, count));
        for lane in 0..LANES {
            first[lane] = first[lane].wrapping_add(a[lane]);
            second[lane] = second[lane].wrapping_add(b[lane]);
        }
        for group in 0..5 {
            for rotation in ROTATIONS[group % 2] {
                for lane in 0..LANES {
                    first[lane] = first[lane].wrapping_add(second[lane]);
                    second[lane] = second[lane].rotate_left(rotation) ^ first[lane];
                }
            }
            let (one, other) = (&keys[(group + 1) % 3], &keys[(group + 2) % 3]);
            for lane in 0..LANES {
                first[lane] = first[lane].wrapping_add(one[lane]);
                second[lane] = second[lane].wrapping_add(other[lane]).wrapping_add(group as u32 + 1);
            }
        }
        for (words, out) in [(first, &mut *out0), (second, &mut *out1)] {
            for (word, bytes) in words.iter().zip(out[start * 4..(start + count) * 4].chunks_exact_mut(4)) {
                bytes.copy_from_slice(&word.to_ne_bytes());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lower::testing::{Builder, bytes, tensor};
    use crate::program::{CustomCall, CustomCallApiVersion, OpKind};

    fn run(count: usize) -> Vec<Vec<u8>> {
        let mut builder = Builder::default();
        let ty = tensor(ElementType::U32, &[count as i64]);
        let scalar = tensor(ElementType::U32, &[]);
        let operands = [scalar.clone(), scalar, ty.clone(), ty.clone()].map(|ty| builder.argument(ty));
        let call = OpKind::CustomCall(CustomCall {
            call_target_name: "mps.threefry2x32".to_owned(),
            has_side_effect: false,
            backend_config: String::new(),
            backend_attributes: Default::default(),
            api_version: CustomCallApiVersion::Original,
            called_computations: Vec::new(),
            operand_layouts: Vec::new(),
            result_layouts: Vec::new(),
            output_operand_aliases: Vec::new(),
        });
        let results = builder.op(call, &operands, vec![ty.clone(), ty], vec![]);
        let words: Vec<u32> = (0..count as u32).map(|index| 0x243f_6a88u32.wrapping_add(index)).collect();
        let others: Vec<u32> = (0..count as u32).map(|index| 0x85a3_08d3u32.wrapping_add(index)).collect();
        let inputs = [bytes(&[0x1319_8a2eu32]), bytes(&[0x0370_7344u32]), bytes(&words), bytes(&others)];
        builder.run(&results, &inputs).unwrap()
    }

    /// The known answer that the authors' Random123 library and JAX's own tests give.
    #[test]
    fn known_answer() {
        let words = run(1);
        assert_eq!(words[0], bytes(&[0xc492_3a9cu32]));
        assert_eq!(words[1], bytes(&[0x483d_f7a0u32]));
    }

    /// More words than lanes, and not a multiple of them: the same as in MLX's graph.
    #[test]
    fn one_pass_is_the_graph() {
        let count = 2 * LANES + 3;
        let words = run(count);
        let stream = Stream::get(DeviceKind::Cpu).unwrap();
        let array = |first: u32| {
            let words: Vec<u32> = (0..count as u32).map(|index| first.wrapping_add(index)).collect();
            Array::from_bytes(&bytes(&words), &[count as i32], Dtype::Uint32).unwrap()
        };
        let (a, b) = (Array::scalar(0x1319_8a2eu32).unwrap(), Array::scalar(0x0370_7344u32).unwrap());
        let graph = in_graph(
            &super::words(&Target::HOST).unwrap(),
            &[&a, &b, &array(0x243f_6a88), &array(0x85a3_08d3)],
            &[count as i32],
            stream,
        )
        .unwrap();
        stream.evaluate(&graph).unwrap();
        assert_eq!(graph[0].as_bytes().unwrap(), words[0]);
        assert_eq!(graph[1].as_bytes().unwrap(), words[1]);
    }
}
