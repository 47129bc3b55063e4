//! MLIR's diagnostics as errors.
#![forbid(unsafe_code)]

use stablehlo_c::Diagnostic;
use stablehlo_c::melior::Context;

use super::location::location;
use crate::program::Location;
use crate::stablehlo::ReadError;

/// Diagnostics beyond these say nothing new.
const MOST: usize = 8;

/// Runs what gives None after diagnostics of its own. Warnings of what succeeds go to the log.
pub(super) fn checked<T>(context: &Context, what: &str, work: impl FnOnce() -> Option<T>) -> Result<T, ReadError> {
    let (result, diagnostics) = stablehlo_c::with_diagnostics(context, work);
    match result {
        Some(result) => {
            for diagnostic in &diagnostics {
                tracing::debug!("MLIR, {what}: {}", line(diagnostic));
            }
            Ok(result)
        }
        None => {
            let errors: Vec<String> =
                diagnostics.iter().filter(|diagnostic| diagnostic.is_error).take(MOST).map(line).collect();
            let message = if errors.is_empty() { "MLIR gives no reason".to_owned() } else { errors.join("\n") };
            Err(ReadError::Mlir { message: format!("{what}: {message}") })
        }
    }
}

fn line(diagnostic: &Diagnostic<'_>) -> String {
    match location(diagnostic.location) {
        Location::Unknown => diagnostic.message.clone(),
        Location::File { file, line, column } => format!("{file}:{line}:{column}: {}", diagnostic.message),
        other => format!("{other}: {}", diagnostic.message),
    }
}
