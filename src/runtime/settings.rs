//! Environment variables that are looked at when a client is made, so that a bad value is an error then.
#![forbid(unsafe_code)]

use super::error::{Code, Error};
use crate::kernel::cost::Place;
use crate::mlx;
use crate::passes::Choice;

/// Passes of the compiler that are left out.
const PASSES: &str = "JAX_MPS_PASSES";
/// Where programs run.
const PLACE: &str = "JAX_MPS_PLACE";

/// The text of a variable, None for an empty one too. What is no Unicode becomes a text that nothing expects.
pub(super) fn variable(name: &str) -> Option<String> {
    let value = std::env::var_os(name).filter(|value| !value.is_empty())?;
    Some(value.to_string_lossy().into_owned())
}

/// The error of a value that a variable cannot have.
pub(super) fn unexpected(name: &str, expected: &str, value: &str) -> Error {
    Error::new(Code::InvalidArgument, format!("{name}: expected {expected}, not {value:?}"))
}

/// Where programs run: `device` and `host` in place of what costs less.
///
/// # Errors
/// INVALID_ARGUMENT for values that the variable cannot have.
pub(super) fn place() -> Result<Place, Error> {
    match variable(PLACE).as_deref() {
        None | Some("auto") => Ok(Place::Auto),
        Some("device") => Ok(Place::Device),
        Some("host") => Ok(Place::Host),
        Some(other) => Err(unexpected(PLACE, "auto, device or host", other)),
    }
}

/// Which passes run: `-name,-name` leaves some out.
///
/// # Errors
/// INVALID_ARGUMENT for what is no such list.
pub(super) fn passes() -> Result<Choice, Error> {
    let Some(text) = variable(PASSES) else { return Ok(Choice::default()) };
    Choice::parse(&text).map_err(|expected| unexpected(PASSES, &expected, &text))
}

/// Checks that the MLX in the process is the one that this library was built against: its classes have other layouts in
/// other releases. What comes behind the three numbers of a release does not matter.
///
/// # Errors
/// FAILED_PRECONDITION for another release.
pub(super) fn check_mlx() -> Result<(), Error> {
    same_release(&mlx::version(), env!("JAX_MPS_MLX_VERSION"))
}

fn same_release(loaded: &str, built: &str) -> Result<(), Error> {
    let numbers = |version: &str| version.split(['.', '+', '-']).take(3).map(str::to_owned).collect::<Vec<_>>();
    if numbers(loaded) == numbers(built) {
        return Ok(());
    }
    let message = format!("MLX {loaded} is loaded, but this jax-mps is built for MLX {built}");
    Err(Error::new(Code::FailedPrecondition, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mlx_in_the_process_is_that_of_the_build() {
        check_mlx().expect("the same");
    }

    #[test]
    fn another_release_is_refused_and_a_build_of_the_same_is_not() {
        for same in ["0.32.4", "0.32.4.dev20261101+abc", "0.32.4+local"] {
            assert_eq!(same_release(same, "0.32.4"), Ok(()), "{same}");
        }
        for other in ["0.32.5", "0.33.4", "1.32.4", "0.32", "0.32.40", ""] {
            let error = same_release(other, "0.32.4").expect_err(other);
            assert_eq!(error.code, Code::FailedPrecondition);
            assert!(error.message.contains("built for MLX 0.32.4"), "{error}");
        }
    }
}
