//! The custom calls that JAX sends for decompositions: `lapack_{s d c}<routine>_ffi`, with the operands, results and
//! attributes of jaxlib's own kernels. Layouts in them say how XLA stores the arrays and mean nothing here.
#![forbid(unsafe_code)]

use std::sync::Arc;

use mlx_lapack::{Complex, Error, Real, Scalar, SingularVectors, SvdMethod, Triangle};

use super::matrices::{Element, each, read_matrix, read_vector, write_matrix, write_vector};
use super::{results_on_host, tridiagonal};
use crate::lower::{Context, LowerError, Lowered};
use crate::mlx::HostFunction;
use crate::program::{Attributes, ElementType, Op};

/// `info` of an argument that is not finite, as LAPACK's own checks for NaN report it: iterations on infinities may
/// never end.
const NOT_FINITE: i32 = -4;

/// A number type, as which its elements and parts are stored.
trait Number: Scalar<Real: Element> + Element {}

impl<T: Scalar<Real: Element> + Element> Number for T {}

/// A custom call being lowered.
struct Call<'a> {
    context: &'a Context<'a>,
    op: &'a Op,
    attributes: &'a Attributes,
    element: ElementType,
    /// Sizes of the dimensions before the matrix.
    batch: Vec<i64>,
    /// Rows and columns of operand 0; of a vector, its length and 1.
    m: usize,
    n: usize,
}

/// Lowers `lapack_<routine>_ffi`.
pub(in crate::lower) fn lapack(
    context: &Context<'_>,
    op: &Op,
    routine: &str,
    attributes: &Attributes,
) -> Result<Lowered, LowerError> {
    let operand = context.operand(op, 0)?;
    let (prefix, name) = match routine.strip_prefix("tridiagonal_solve_") {
        Some(name) => ("", name),
        None => routine.split_at_checked(1).unwrap_or(("", routine)),
    };
    let element = match prefix {
        "s" => ElementType::F32,
        "d" => ElementType::F64,
        "c" => ElementType::C64,
        "" => operand.element,
        _ => return Err(context.unsupported(op, &format!("there is no LAPACK for {} here", operand.element))),
    };
    let vectors = matches!(name, "gtsv" | "perturbed");
    let (batch, m, n) = match &operand.shape[..] {
        [batch @ .., n] if vectors => (batch.to_vec(), *n as usize, 1),
        [batch @ .., m, n] => (batch.to_vec(), *m as usize, *n as usize),
        _ => return Err(context.invalid(op, "matrices expected")),
    };
    let call = Call { context, op, attributes, element, batch, m, n };
    let function = match (element, name) {
        (ElementType::F32, "perturbed") => perturbed::<f32>(&call, solve_perturbed),
        (ElementType::F64, "perturbed") => perturbed::<f64>(&call, solve_perturbed),
        (ElementType::C64, "perturbed") => perturbed::<Complex<f32>>(&call, |below, diagonal, above, b| {
            tridiagonal::solve_perturbed(below, diagonal, above, b);
            Ok(())
        }),
        (ElementType::F32, _) => function::<f32>(&call, name),
        (ElementType::F64, _) => function::<f64>(&call, name),
        (ElementType::C64, _) => function::<Complex<f32>>(&call, name),
        _ => Err(context.unsupported(op, &format!("matrices of {element}"))),
    }?;
    results_on_host(context, op, function)
}

fn function<T: Number>(call: &Call<'_>, name: &str) -> Result<Arc<HostFunction>, LowerError> {
    let complex = call.element == ElementType::C64;
    match name {
        "getrf" => getrf::<T>(call),
        "geqrf" => geqrf::<T>(call),
        "geqp3" => geqp3::<T>(call),
        "orgqr" | "ungqr" if complex == (name == "ungqr") => orgqr::<T>(call),
        "ormqr" | "unmqr" if complex == (name == "unmqr") => ormqr::<T>(call),
        "gehrd" => gehrd::<T>(call),
        "sytrd" | "hetrd" if complex == (name == "hetrd") => sytrd::<T>(call),
        "gtsv" => gtsv::<T>(call),
        "gesdd" => svd::<T>(call, SvdMethod::DivideAndConquer),
        "gesvd" => svd::<T>(call, SvdMethod::Qr),
        "syevd" | "heevd" if complex == (name == "heevd") => syevd::<T>(call),
        "geev" => geev::<T>(call),
        "gees" => gees::<T>(call),
        _ => Err(call.context.unsupported(call.op, &format!("there is no implementation of the routine {name}"))),
    }
}

/// What a custom call must look like: the type of each operand or result, behind the dimensions of the batch.
type Signature<'a> = &'a [(ElementType, &'a [usize])];

impl Call<'_> {
    fn invalid(&self, why: &str) -> LowerError {
        self.context.invalid(self.op, why)
    }

    fn unsupported(&self, why: &str) -> LowerError {
        self.context.unsupported(self.op, why)
    }

    /// The type of a part of the elements.
    fn real(&self) -> ElementType {
        if self.element == ElementType::C64 { ElementType::F32 } else { self.element }
    }

    /// The complex type of the elements' parts.
    fn complex(&self) -> ElementType {
        if self.element == ElementType::F64 { ElementType::C128 } else { ElementType::C64 }
    }

    /// Matrices in the batch.
    fn count(&self) -> usize {
        self.batch.iter().product::<i64>() as usize
    }

    fn check(&self, operands: Signature<'_>, results: Signature<'_>) -> Result<(), LowerError> {
        if self.op.operands.len() != operands.len() || self.op.results.len() != results.len() {
            let (operands, results) = (operands.len(), results.len());
            return Err(self.invalid(&format!("{operands} operands and {results} results expected")));
        }
        let fits = |ty: &crate::program::TensorType, (element, sizes): &(ElementType, &[usize])| {
            let expected = self.batch.iter().copied().chain(sizes.iter().map(|&size| size as i64));
            ty.element == *element && ty.shape.iter().copied().eq(expected)
        };
        for (index, expected) in operands.iter().enumerate() {
            if !fits(self.context.operand(self.op, index)?, expected) {
                return Err(self.invalid(&format!("the type of operand {index} does not fit the routine")));
            }
        }
        for (index, expected) in results.iter().enumerate() {
            if !fits(self.context.result(self.op, index)?, expected) {
                return Err(self.invalid(&format!("the type of result {index} does not fit the routine")));
            }
        }
        Ok(())
    }

    fn square(&self) -> Result<usize, LowerError> {
        if self.m == self.n { Ok(self.n) } else { Err(self.invalid("square matrices expected")) }
    }

    /// An attribute that is a letter.
    fn letter(&self, name: &str) -> Result<char, LowerError> {
        let letter = self.attributes.integer(name).and_then(|value| u8::try_from(value).ok()).map(char::from);
        letter.ok_or_else(|| self.invalid(&format!("attribute {name} expected, a letter")))
    }

    /// An attribute that is V (vectors are asked for) or N.
    fn vectors(&self, name: &str) -> Result<bool, LowerError> {
        match self.letter(name)? {
            'V' => Ok(true),
            'N' => Ok(false),
            letter => Err(self.unsupported(&format!("{name} = {letter}"))),
        }
    }

    fn triangle(&self) -> Result<Triangle, LowerError> {
        match self.letter("uplo")? {
            'L' => Ok(Triangle::Lower),
            'U' => Ok(Triangle::Upper),
            letter => Err(self.unsupported(&format!("uplo = {letter}"))),
        }
    }

    fn flag(&self, name: &str) -> Result<bool, LowerError> {
        self.attributes.bool(name).ok_or_else(|| self.invalid(&format!("attribute {name} expected, a bool")))
    }

    /// Sizes of the matrix that operand or result `index` ends with.
    fn matrix(&self, index: usize) -> Result<(usize, usize), LowerError> {
        super::matrix(self.context, self.op, self.context.operand(self.op, index)?)
    }
}

fn zeros<T: Default + Clone>(size: usize) -> Vec<T> {
    vec![T::default(); size]
}

fn all_finite<T: Scalar>(a: &[T]) -> bool {
    a.iter().all(|element| element.finite())
}

/// A → LU, pivots from 1, info.
fn getrf<T: Number>(call: &Call<'_>) -> Result<Arc<HostFunction>, LowerError> {
    let (m, n, matrix) = (call.m, call.n, (call.element, &[call.m, call.n][..]));
    call.check(&[matrix], &[matrix, (ElementType::I32, &[m.min(n)]), (ElementType::I32, &[])])?;
    Ok(each(call.count(), move |inputs, outputs| {
        let mut a = read_matrix::<T>(inputs[0], n);
        let mut pivots = zeros(m.min(n));
        let info = T::getrf(m, n, &mut a, &mut pivots)?;
        write_matrix(&a, n, outputs[0]);
        write_vector(&pivots, outputs[1]);
        info.write(outputs[2]);
        Ok(())
    }))
}

/// A → packed QR, taus.
fn geqrf<T: Number>(call: &Call<'_>) -> Result<Arc<HostFunction>, LowerError> {
    let (m, n, matrix) = (call.m, call.n, (call.element, &[call.m, call.n][..]));
    call.check(&[matrix], &[matrix, (call.element, &[m.min(n)])])?;
    Ok(each(call.count(), move |inputs, outputs| {
        let (mut a, mut taus) = (read_matrix::<T>(inputs[0], n), zeros(m.min(n)));
        T::geqrf(m, n, &mut a, &mut taus)?;
        write_matrix(&a, n, outputs[0]);
        write_vector(&taus, outputs[1]);
        Ok(())
    }))
}

/// A, columns to start with → packed QR, order of columns from 1, taus.
fn geqp3<T: Number>(call: &Call<'_>) -> Result<Arc<HostFunction>, LowerError> {
    let (m, n, matrix) = (call.m, call.n, (call.element, &[call.m, call.n][..]));
    let columns = (ElementType::I32, &[n][..]);
    call.check(&[matrix, columns], &[matrix, columns, (call.element, &[m.min(n)])])?;
    Ok(each(call.count(), move |inputs, outputs| {
        let (mut a, mut taus) = (read_matrix::<T>(inputs[0], n), zeros(m.min(n)));
        let mut columns = read_vector(inputs[1]);
        if !a.is_empty() {
            T::geqp3(m, n, &mut a, &mut columns, &mut taus)?;
        }
        write_matrix(&a, n, outputs[0]);
        write_vector(&columns, outputs[1]);
        write_vector(&taus, outputs[2]);
        Ok(())
    }))
}

/// Packed QR, taus → the first columns of Q.
fn orgqr<T: Number>(call: &Call<'_>) -> Result<Arc<HostFunction>, LowerError> {
    let (m, n, matrix) = (call.m, call.n, (call.element, &[call.m, call.n][..]));
    let count = call.context.operand(call.op, 1)?.shape.last().map_or(0, |&count| count as usize);
    call.check(&[matrix, (call.element, &[count])], &[matrix])?;
    if m < n || count > n {
        return Err(call.invalid("as many rows as columns expected, and no more reflectors"));
    }
    Ok(each(call.count(), move |inputs, outputs| {
        let (mut a, taus) = (read_matrix::<T>(inputs[0], n), read_vector(inputs[1]));
        T::orgqr(m, n, &mut a, &taus)?;
        write_matrix(&a, n, outputs[0]);
        Ok(())
    }))
}

/// Packed QR, taus, C → the product of Q and C.
fn ormqr<T: Number>(call: &Call<'_>) -> Result<Arc<HostFunction>, LowerError> {
    let (order, width) = (call.m, call.n);
    let count = call.context.operand(call.op, 1)?.shape.last().map_or(0, |&count| count as usize);
    let (m, n) = call.matrix(2)?;
    let c = (call.element, &[m, n][..]);
    call.check(&[(call.element, &[order, width]), (call.element, &[count]), c], &[c])?;
    let (left, adjoint) = (call.flag("left")?, call.flag("transpose")?);
    if order != (if left { m } else { n }) || count > order.min(width) {
        return Err(call.invalid("the sizes do not fit"));
    }
    Ok(each(call.count(), move |inputs, outputs| {
        let (a, taus) = (read_matrix::<T>(inputs[0], width), read_vector(inputs[1]));
        let mut c = read_matrix(inputs[2], n);
        T::ormqr(left, adjoint, (m, n), &a, &taus, &mut c)?;
        write_matrix(&c, n, outputs[0]);
        Ok(())
    }))
}

/// A → packed Hessenberg form, taus, info.
fn gehrd<T: Number>(call: &Call<'_>) -> Result<Arc<HostFunction>, LowerError> {
    let (n, matrix) = (call.square()?, (call.element, &[call.m, call.n][..]));
    call.check(&[matrix], &[matrix, (call.element, &[n.saturating_sub(1)]), (ElementType::I32, &[])])?;
    let row = |name: &str| call.attributes.integer(name).and_then(|row| usize::try_from(row).ok());
    let (Some(low), Some(high)) = (row("low"), row("high")) else {
        return Err(call.invalid("attributes low and high expected"));
    };
    if n > 0 && !(1 <= low && low <= high && high <= n) {
        return Err(call.invalid("low and high are no rows of the matrix"));
    }
    Ok(each(call.count(), move |inputs, outputs| {
        let (mut a, mut taus) = (read_matrix::<T>(inputs[0], n), zeros(n.saturating_sub(1)));
        let info = if n > 0 { T::gehrd(n, low, high, &mut a, &mut taus)? } else { 0 };
        write_matrix(&a, n, outputs[0]);
        write_vector(&taus, outputs[1]);
        info.write(outputs[2]);
        Ok(())
    }))
}

/// A → packed tridiagonal form, diagonal, elements beside it, taus, info.
fn sytrd<T: Number>(call: &Call<'_>) -> Result<Arc<HostFunction>, LowerError> {
    let (n, matrix) = (call.square()?, (call.element, &[call.m, call.n][..]));
    let (less, real) = (n.saturating_sub(1), call.real());
    let results =
        [matrix, (real, &[n][..]), (real, &[less][..]), (call.element, &[less][..]), (ElementType::I32, &[][..])];
    call.check(&[matrix], &results)?;
    let triangle = call.triangle()?;
    Ok(each(call.count(), move |inputs, outputs| {
        let (mut a, mut taus) = (read_matrix::<T>(inputs[0], n), zeros(less));
        let (mut diagonal, mut beside) = (zeros(n), zeros(less));
        let info = T::sytrd(triangle, n, &mut a, &mut diagonal, &mut beside, &mut taus)?;
        write_matrix(&a, n, outputs[0]);
        write_vector(&diagonal, outputs[1]);
        write_vector(&beside, outputs[2]);
        write_vector(&taus, outputs[3]);
        info.write(outputs[4]);
        Ok(())
    }))
}

/// Three diagonals of n elements each, B → the same overwritten, of which only X matters, info.
fn gtsv<T: Number>(call: &Call<'_>) -> Result<Arc<HostFunction>, LowerError> {
    let n = call.m;
    let (_, columns) = call.matrix(3)?;
    let (vector, b) = ((call.element, &[n][..]), (call.element, &[n, columns][..]));
    call.check(&[vector, vector, vector, b], &[vector, vector, vector, b, (ElementType::I32, &[])])?;
    Ok(each(call.count(), move |inputs, outputs| {
        let mut b = read_matrix::<T>(inputs[3], columns);
        let mut info = 0;
        if n > 0 {
            let (mut below, mut diagonal) = (read_vector(inputs[0]), read_vector(inputs[1]));
            let mut above = read_vector(inputs[2]);
            info = T::gtsv(n, &mut below[1..], &mut diagonal, &mut above[..n - 1], &mut b)?;
            for (part, output) in [below, diagonal, above].iter().zip(outputs.iter_mut()) {
                write_vector(part, output);
            }
        }
        write_matrix(&b, columns, outputs[3]);
        info.write(outputs[4]);
        Ok(())
    }))
}

/// Solves from lower, main and upper diagonal, in place of the right side.
type TridiagonalSolve<T> = fn(&[T], &[T], &[T], &mut [T]) -> Result<(), Error>;

/// Three diagonals of n elements each, B → X, also of a singular system.
fn perturbed<T: Number>(call: &Call<'_>, solve: TridiagonalSolve<T>) -> Result<Arc<HostFunction>, LowerError> {
    let n = call.m;
    let (_, columns) = call.matrix(3)?;
    let (vector, b) = ((call.element, &[n][..]), (call.element, &[n, columns][..]));
    call.check(&[vector, vector, vector, b], &[b])?;
    Ok(each(call.count(), move |inputs, outputs| {
        let [below, diagonal, above] = [0, 1, 2].map(|index| read_vector::<T>(inputs[index]));
        let mut b = read_matrix(inputs[3], columns);
        solve(&below, &diagonal, &above, &mut b)?;
        write_matrix(&b, columns, outputs[0]);
        Ok(())
    }))
}

/// [`Real::tridiagonal_solve_perturbed`] of as many elements as the diagonal has.
fn solve_perturbed<T: Real>(below: &[T], diagonal: &[T], above: &[T], b: &mut [T]) -> Result<(), Error> {
    T::tridiagonal_solve_perturbed(diagonal.len(), below, diagonal, above, b).map(|_| ())
}

/// A → A overwritten, singular values, U, Vᴴ, info.
fn svd<T: Number>(call: &Call<'_>, method: SvdMethod) -> Result<Arc<HostFunction>, LowerError> {
    let (m, n, few) = (call.m, call.n, call.m.min(call.n));
    let vectors = match call.letter("mode")? {
        'N' => SingularVectors::None,
        'S' => SingularVectors::Thin,
        'A' => SingularVectors::Full,
        letter => return Err(call.unsupported(&format!("mode = {letter}"))),
    };
    // Without vectors JAX asks for arrays all the same, thin or full, and drops them.
    let (columns, rows) = match vectors {
        SingularVectors::Full => (m, n),
        SingularVectors::Thin => (few, few),
        SingularVectors::None => {
            let size = |index: usize, from_end: usize| -> Result<usize, LowerError> {
                let shape = &call.context.result(call.op, index)?.shape;
                Ok(shape.iter().rev().nth(from_end).map_or(0, |&size| size as usize))
            };
            (size(2, 0)?, size(3, 1)?)
        }
    };
    let matrix = (call.element, &[m, n][..]);
    let results = [
        matrix,
        (call.real(), &[few][..]),
        (call.element, &[m, columns][..]),
        (call.element, &[rows, n][..]),
        (ElementType::I32, &[][..]),
    ];
    call.check(&[matrix], &results)?;
    let (columns, rows) = if vectors == SingularVectors::None { (0, 0) } else { (columns, rows) };
    Ok(each(call.count(), move |inputs, outputs| {
        let mut a = read_matrix::<T>(inputs[0], n);
        if !all_finite(&a) {
            NOT_FINITE.write(outputs[4]);
            return Ok(());
        }
        let (mut values, mut u, mut vh) = (zeros(few), zeros(m * columns), zeros(rows * n));
        let info = T::svd(method, vectors, (m, n), &mut a, &mut values, &mut u, &mut vh)?;
        write_vector(&values, outputs[1]);
        write_matrix(&u, columns, outputs[2]);
        write_matrix(&vh, n, outputs[3]);
        info.write(outputs[4]);
        Ok(())
    }))
}

/// A → eigenvectors, eigenvalues, info.
fn syevd<T: Number>(call: &Call<'_>) -> Result<Arc<HostFunction>, LowerError> {
    let (n, matrix) = (call.square()?, (call.element, &[call.m, call.n][..]));
    call.check(&[matrix], &[matrix, (call.real(), &[n]), (ElementType::I32, &[])])?;
    let (vectors, triangle) = (call.vectors("mode")?, call.triangle()?);
    Ok(each(call.count(), move |inputs, outputs| {
        let (mut a, mut values) = (read_matrix::<T>(inputs[0], n), zeros(n));
        // Only one triangle is the matrix.
        let inside = |(index, _): &(usize, &T)| match triangle {
            Triangle::Lower => index % n >= index / n,
            Triangle::Upper => index % n <= index / n,
        };
        if !a.iter().enumerate().filter(inside).all(|(_, element)| element.finite()) {
            NOT_FINITE.write(outputs[2]);
            return Ok(());
        }
        let info = T::syevd(vectors, triangle, n, &mut a, &mut values)?;
        write_matrix(&a, n, outputs[0]);
        write_vector(&values, outputs[1]);
        info.write(outputs[2]);
        Ok(())
    }))
}

/// Writes eigenvalues as JAX wants them: as two vectors of parts for a real matrix, else as one.
fn write_values<T: Element>(parts: bool, values: &[Complex<T>], outputs: &mut [&mut [u8]]) {
    if parts {
        write_vector(&values.iter().map(|value| value.re).collect::<Vec<T>>(), outputs[0]);
        write_vector(&values.iter().map(|value| value.im).collect::<Vec<T>>(), outputs[1]);
    } else {
        write_vector(values, outputs[0]);
    }
}

/// A → eigenvalues (of a real matrix their real, then their imaginary parts), left and right eigenvectors, info.
fn geev<T: Number>(call: &Call<'_>) -> Result<Arc<HostFunction>, LowerError> {
    let (n, matrix) = (call.square()?, (call.element, &[call.m, call.n][..]));
    let parts = call.element != ElementType::C64;
    let vectors = (call.complex(), &[n, n][..]);
    let sizes = [n];
    let mut results = vec![(call.element, &sizes[..]); 1 + usize::from(parts)];
    results.extend([vectors, vectors, (ElementType::I32, &[][..])]);
    call.check(&[matrix], &results)?;
    let (left, right) = (call.vectors("compute_left")?, call.vectors("compute_right")?);
    Ok(each(call.count(), move |inputs, outputs| {
        let mut a = read_matrix::<T>(inputs[0], n);
        let (value_outputs, rest) = outputs.split_at_mut(1 + usize::from(parts));
        if !all_finite(&a) {
            NOT_FINITE.write(rest[2]);
            return Ok(());
        }
        let mut values = zeros(n);
        let [mut left, mut right] = [left, right].map(|wanted| zeros(if wanted { n * n } else { 0 }));
        let info = T::geev(n, &mut a, &mut values, &mut left, &mut right)?;
        write_values(parts, &values, value_outputs);
        write_matrix(&left, n, rest[0]);
        write_matrix(&right, n, rest[1]);
        info.write(rest[2]);
        Ok(())
    }))
}

/// A → Schur form, Schur vectors, eigenvalues (as geev's), how many were selected, info.
fn gees<T: Number>(call: &Call<'_>) -> Result<Arc<HostFunction>, LowerError> {
    let (n, matrix) = (call.square()?, (call.element, &[call.m, call.n][..]));
    let parts = call.element != ElementType::C64;
    let sizes = [n];
    let mut results = vec![matrix, matrix];
    results.extend(vec![(call.element, &sizes[..]); 1 + usize::from(parts)]);
    results.extend([(ElementType::I32, &[][..]); 2]);
    call.check(&[matrix], &results)?;
    let vectors = call.vectors("mode")?;
    if call.letter("sort")? != 'N' {
        return Err(call.unsupported("eigenvalues in an order of choice"));
    }
    Ok(each(call.count(), move |inputs, outputs| {
        let mut a = read_matrix::<T>(inputs[0], n);
        let (forms, rest) = outputs.split_at_mut(2);
        let (value_outputs, rest) = rest.split_at_mut(1 + usize::from(parts));
        if !all_finite(&a) {
            NOT_FINITE.write(rest[1]);
            return Ok(());
        }
        let (mut vectors, mut values) = (zeros(if vectors { n * n } else { 0 }), zeros(n));
        let info = T::gees(n, &mut a, &mut vectors, &mut values)?;
        write_matrix(&a, n, forms[0]);
        write_matrix(&vectors, n, forms[1]);
        write_values(parts, &values, value_outputs);
        info.write(rest[1]);
        Ok(())
    }))
}
