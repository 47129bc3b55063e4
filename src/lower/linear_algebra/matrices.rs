//! Batches of matrices and vectors between row-major bytes and the column-major slices of LAPACK.
#![forbid(unsafe_code)]

use std::sync::Arc;

use mlx_lapack::Complex;

use crate::mlx::HostFunction;

/// An element that is stored as bytes in native order.
pub(super) trait Element: Copy + Default {
    const BYTES: usize;
    fn read(bytes: &[u8]) -> Self;
    fn write(self, bytes: &mut [u8]);
}

macro_rules! elements {
    ($($number:ty),*) => {
        $(impl Element for $number {
            const BYTES: usize = size_of::<$number>();

            fn read(bytes: &[u8]) -> Self {
                Self::from_ne_bytes(bytes.try_into().expect("as many bytes as one element has"))
            }

            fn write(self, bytes: &mut [u8]) {
                bytes.copy_from_slice(&self.to_ne_bytes());
            }
        })*
    };
}

elements!(i32, f32, f64);

impl<T: Element> Element for Complex<T> {
    const BYTES: usize = 2 * T::BYTES;

    fn read(bytes: &[u8]) -> Self {
        let (re, im) = bytes.split_at(T::BYTES);
        Self { re: T::read(re), im: T::read(im) }
    }

    fn write(self, bytes: &mut [u8]) {
        let (re, im) = bytes.split_at_mut(T::BYTES);
        self.re.write(re);
        self.im.write(im);
    }
}

pub(super) fn read_vector<T: Element>(bytes: &[u8]) -> Vec<T> {
    bytes.chunks_exact(T::BYTES).map(T::read).collect()
}

pub(super) fn write_vector<T: Element>(elements: &[T], bytes: &mut [u8]) {
    for (element, bytes) in elements.iter().zip(bytes.chunks_exact_mut(T::BYTES)) {
        element.write(bytes);
    }
}

/// The columns of a row-major matrix, one after the other.
pub(super) fn read_matrix<T: Element>(bytes: &[u8], columns: usize) -> Vec<T> {
    let mut matrix = Vec::with_capacity(bytes.len() / T::BYTES);
    for column in 0..columns {
        let place = column * T::BYTES;
        matrix.extend(bytes.chunks_exact(columns * T::BYTES).map(|row| T::read(&row[place..place + T::BYTES])));
    }
    matrix
}

/// A row-major matrix from its columns.
pub(super) fn write_matrix<T: Element>(matrix: &[T], columns: usize, bytes: &mut [u8]) {
    if columns == 0 || matrix.is_empty() {
        return;
    }
    let rows = matrix.len() / columns;
    for (row, bytes) in bytes.chunks_exact_mut(columns * T::BYTES).enumerate() {
        for (column, bytes) in bytes.chunks_exact_mut(T::BYTES).enumerate() {
            matrix[column * rows + row].write(bytes);
        }
    }
}

/// Runs a function of one matrix on each of a batch; all inputs and outputs are batches of that many.
pub(super) fn each(
    count: usize,
    function: impl Fn(&[&[u8]], &mut [&mut [u8]]) -> Result<(), mlx_lapack::Error> + Send + Sync + 'static,
) -> Arc<HostFunction> {
    Arc::new(move |inputs, outputs| {
        for index in 0..count {
            let part = |length: usize| index * (length / count)..(index + 1) * (length / count);
            let inputs: Vec<&[u8]> = inputs.iter().map(|input| &input[part(input.len())]).collect();
            let mut outputs: Vec<&mut [u8]> = outputs
                .iter_mut()
                .map(|output| {
                    let part = part(output.len());
                    &mut output[part]
                })
                .collect();
            function(&inputs, &mut outputs).map_err(|error| error.to_string())?;
        }
        Ok(())
    })
}
