//! The passes of MLIR and StableHLO that run before the walk. docs/readers.md says what each is for, and which are left
//! out.
#![forbid(unsafe_code)]

use stablehlo_c::melior::Context;
use stablehlo_c::melior::pass::PassManager;
use stablehlo_c::melior::utility::parse_pass_pipeline;
use stablehlo_c::register_passes;

use super::diagnostics::checked;
use super::load::Loaded;
use crate::stablehlo::ReadError;

/// Composites become calls of their decompositions, none of which the plugin computes in another way.
pub const PIPELINE: &str = "builtin.module(func.func(stablehlo-legalize-composite-to-call),inline,\
     func.func(stablehlo-aggressive-simplification),canonicalize,cse,symbol-dce)";

/// Runs the pipeline, with MLIR's verifier after each pass.
pub(super) fn run<'c>(context: &'c Context, mut loaded: Loaded<'c>) -> Result<Loaded<'c>, ReadError> {
    register_passes();
    let manager = PassManager::new(context);
    manager.enable_verifier(true);
    checked(context, "the pipeline of passes", || {
        parse_pass_pipeline(manager.as_operation_pass_manager(), PIPELINE).ok()
    })?;
    checked(context, "simplifying", || manager.run(&mut loaded.module).ok())?;
    Ok(loaded)
}
