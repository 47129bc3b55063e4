//! erf and erf_inv by published approximations: MLX's own are good to 1e-7 absolutely, not relatively.
#![forbid(unsafe_code)]
#![expect(clippy::excessive_precision, reason = "coefficients as published")]

use super::functions::exp;
use super::{Scalar, Term};

/// The error function of f32 or f64.
pub fn erf(x: &Term) -> Term {
    if x.scalar() == Scalar::F64 { erf_double(x) } else { erf_single(x) }
}

/// x P(x²) / Q(x²), a minimax fit on the range beyond which erf is 1 in f32 (the one that Eigen and XLA use).
fn erf_single(x: &Term) -> Term {
    const LIMIT: f64 = 3.832506856900711;
    const P: [f64; 5] =
        [0.00022905065861350646, 0.0034082910107109506, 0.050955695062380861, 0.18520832239976145, 1.128379143519084];
    const Q: [f64; 7] = [
        -1.1791602954361697e-7,
        0.000023547966471313185,
        0.0010179625278914885,
        0.014070470171167667,
        0.11098505178285362,
        0.49746925110067538,
        1.0,
    ];
    let x = x.maximum(-LIMIT).minimum(LIMIT);
    let square = &x * &x;
    (&x * square.polynomial(&P) / square.polynomial(&Q)).maximum(-1.0).minimum(1.0)
}

/// Cephes' rational approximations (S. Moshier, ndtr.c): of erf below 1, of exp(x²) erfc from there to 8.
fn erf_double(x: &Term) -> Term {
    const T: [f64; 5] = [
        9.60497373987051638749E0,
        9.00260197203842689217E1,
        2.23200534594684319226E3,
        7.00332514112805075473E3,
        5.55923013010394962768E4,
    ];
    const U: [f64; 6] = [
        1.0,
        3.35617141647503099647E1,
        5.21357949780152679795E2,
        4.59432382970980127987E3,
        2.26290000613890934246E4,
        4.92673942608635921086E4,
    ];
    const P: [f64; 9] = [
        2.46196981473530512524E-10,
        5.64189564831068821977E-1,
        7.46321056442269912687E0,
        4.86371970985681366614E1,
        1.96520832956077098242E2,
        5.26445194995477358631E2,
        9.34528527171957607540E2,
        1.02755188689515710272E3,
        5.57535335369399327526E2,
    ];
    const Q: [f64; 9] = [
        1.0,
        1.32281951154744992508E1,
        8.67072140885989742329E1,
        3.54937778887819891062E2,
        9.75708501743205489753E2,
        1.82390916687909736289E3,
        2.24633760818710981792E3,
        1.65666309194161350182E3,
        5.57535340817727675546E2,
    ];
    let square = x * x;
    let near = x * square.polynomial(&T) / square.polynomial(&U);
    // Beyond 8, 1 - erfc is 1 long since.
    let size = x.abs().minimum(8.0);
    let complement = exp(&-(&size * &size)) * size.polynomial(&P) / size.polynomial(&Q);
    let far = (complement.constant(1.0) - complement).copysign(x);
    x.abs().less(1.0).select(&near, far)
}

/// The inverse of the error function, of f32 (M. Giles, "Approximating the erfinv function").
pub fn erf_inv(x: &Term) -> Term {
    const CENTRAL: [f64; 9] = [
        2.81022636e-08,
        3.43273939e-07,
        -3.5233877e-06,
        -4.39150654e-06,
        0.00021858087,
        -0.00125372503,
        -0.00417768164,
        0.246640727,
        1.50140941,
    ];
    const TAIL: [f64; 9] = [
        -0.000200214257,
        0.000100950558,
        0.00134934322,
        -0.00367342844,
        0.00573950773,
        -0.0076224613,
        0.00943887047,
        1.00167406,
        2.83297682,
    ];
    let w = -((-(x * x)).log1p());
    let central = (&w - 2.5).polynomial(&CENTRAL);
    let tail = (w.sqrt() - 3.0).polynomial(&TAIL);
    let inverse = w.less(5.0).select(&central, tail) * x;
    // ±1 go to ±inf, where the polynomial has lost itself.
    let end = x.abs().equal(1.0);
    end.select(&(x * f64::INFINITY), inverse)
}
