//! Bytes or text to a program: the seam behind which there are two readers.
//!
//! `native` is [`crate::stablehlo`] and the default. `mlir` is MLIR itself, in builds with the feature of that name:
//! text always goes to it, bytecode when `JAX_MPS_READER=mlir` says so. docs/readers.md compares the two.
#![forbid(unsafe_code)]

use crate::program::Program;
use crate::stablehlo::{self, ReadError};

/// The variable that chooses the reader of bytecode.
const VARIABLE: &str = "JAX_MPS_READER";

/// A reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    Native,
    Mlir,
}

/// The reader that the environment chooses for bytecode, right or wrong.
pub fn name() -> String {
    match std::env::var(VARIABLE) {
        Ok(name) if !name.is_empty() => name,
        _ => "native".to_owned(),
    }
}

/// Reads and verifies a program.
///
/// # Errors
/// What the reader refuses; text, or the reader `mlir`, in a build without MLIR; a reader of another name.
pub fn read(bytes: &[u8]) -> Result<Program, ReadError> {
    match choose(&name(), is_text(bytes))? {
        Reader::Native => stablehlo::read(bytes),
        Reader::Mlir => read_with_mlir(bytes),
    }
}

/// Checks the variable.
///
/// # Errors
/// A reader of another name, or one that this build has not.
pub fn check() -> Result<(), ReadError> {
    choose(&std::env::var_os(VARIABLE).unwrap_or_default().to_string_lossy(), false).map(drop)
}

/// True for what a client of PJRT may mean as StableHLO text.
pub fn is_text(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| text.contains("module") || text.contains("func"))
}

fn choose(name: &str, is_text: bool) -> Result<Reader, ReadError> {
    let has_mlir = cfg!(feature = "mlir");
    let reader = match name {
        "" | "native" => Reader::Native,
        "mlir" if has_mlir => Reader::Mlir,
        "mlir" => {
            let message = format!("{VARIABLE}=mlir, but this build of jax-mps is without MLIR: see docs/readers.md");
            return Err(ReadError::Unavailable { message });
        }
        other => {
            let message = format!("{VARIABLE} is native or mlir, not {other:?}");
            return Err(ReadError::Unavailable { message });
        }
    };
    match (is_text, has_mlir) {
        (false, _) => Ok(reader),
        (true, true) => Ok(Reader::Mlir),
        (true, false) => {
            let message =
                "the program is StableHLO text, which only builds of jax-mps with MLIR read (pip install . -C \
                           mlir=true); bytecode is read by all"
                    .to_owned();
            Err(ReadError::Unavailable { message })
        }
    }
}

#[cfg(feature = "mlir")]
fn read_with_mlir(bytes: &[u8]) -> Result<Program, ReadError> {
    crate::mlir::read(bytes, crate::mlir::Passes::Simplify)
}

#[cfg(not(feature = "mlir"))]
fn read_with_mlir(_: &[u8]) -> Result<Program, ReadError> {
    unreachable!("`choose` gives no reader that is not there")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytecode_goes_where_the_variable_says() {
        assert_eq!(choose("native", false).expect("a reader"), Reader::Native);
        assert_eq!(choose("mlir", false).ok(), cfg!(feature = "mlir").then_some(Reader::Mlir));
        let error = choose("both", false).expect_err("no reader").to_string();
        assert!(error.contains("not \"both\""), "{error}");
    }

    #[test]
    fn text_goes_to_mlir_or_nowhere() {
        let text = b"module { func.func @main() { return } }";
        assert!(is_text(text));
        assert!(!is_text(b"ML\xefR module"));
        assert!(!is_text(b""));
        match choose("native", true) {
            Ok(reader) => assert!(cfg!(feature = "mlir") && reader == Reader::Mlir),
            Err(error) => {
                assert!(!cfg!(feature = "mlir") && error.is_unimplemented());
                assert!(error.to_string().contains("-C mlir=true"), "{error}");
            }
        }
        assert_eq!(read(text).is_ok(), cfg!(feature = "mlir"));
    }
}
