//! Tests of the elementwise ops, on MLX's CPU backend.

mod arithmetic;
mod bitwise;
mod compare;
mod complex;
mod convert;
mod exponential;
mod oracle;
mod rounding;
mod small_types;
mod special_functions;

use crate::expression::Expression;
use crate::lower::expression::{Elementwise, dtype};
use crate::mlx::{Array, DeviceKind, Stream};

/// The results of an expression on MLX's CPU backend, for arguments given as bytes.
fn run(expression: &Expression, arguments: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let stream = Stream::get(DeviceKind::Cpu).unwrap();
    let arrays: Vec<Array> = arguments
        .iter()
        .zip(&expression.arguments)
        .map(|(bytes, &scalar)| {
            Array::from_bytes(bytes, &[(bytes.len() / scalar.bytes()) as i32], dtype(scalar).unwrap()).unwrap()
        })
        .collect();
    let results = Elementwise::new(expression).unwrap().run(&arrays.iter().collect::<Vec<_>>(), stream).unwrap();
    // Dense, whatever MLX shares.
    let results: Vec<Array> = results.iter().map(|result| crate::mlx::contiguous(result, stream).unwrap()).collect();
    stream.evaluate(&results.iter().collect::<Vec<_>>()).unwrap();
    results.iter().map(|result| result.as_bytes().unwrap().to_vec()).collect()
}
