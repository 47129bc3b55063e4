//! The passes of MLIR and StableHLO that run before the walk. docs/readers.md says what each is for, and which are left
//! out.
#![forbid(unsafe_code)]

use stablehlo_c::melior::Context;
use stablehlo_c::melior::ir::operation::{OperationLike, OperationRef};
use stablehlo_c::melior::ir::{BlockLike, RegionLike};
use stablehlo_c::melior::pass::PassManager;
use stablehlo_c::melior::utility::parse_pass_pipeline;
use stablehlo_c::{operation_name, register_passes};

use super::diagnostics::checked;
use super::load::Loaded;
use crate::stablehlo::ReadError;

/// Composites become calls of their decompositions, none of which the plugin computes in another way.
///
/// `stablehlo-aggressive-simplification` is left out: the plugin's own passes simplify, as XLA does.
pub const PIPELINE: &str = "builtin.module(func.func(stablehlo-legalize-composite-to-call),inline,\
     canonicalize,cse,symbol-dce)";

/// For modules with regions of ops that MLIR does not know, as Shardy's are: whether such an op is a table of symbols
/// nobody can tell, and `inline` reads memory that is none when it looks for the uses of a symbol. The plugin's own
/// passes put calls in place.
pub const PIPELINE_WITHOUT_SYMBOLS: &str =
    "builtin.module(func.func(stablehlo-legalize-composite-to-call),canonicalize,cse)";

/// Runs the pipeline, with MLIR's verifier after each pass.
pub(super) fn run<'c>(context: &'c Context, loaded: Loaded<'c>) -> Result<Loaded<'c>, ReadError> {
    let pipeline =
        if has_unknown_regions(context, loaded.module.as_operation()) { PIPELINE_WITHOUT_SYMBOLS } else { PIPELINE };
    run_pipeline(context, loaded, pipeline)
}

/// Runs a pipeline.
fn run_pipeline<'c>(context: &'c Context, mut loaded: Loaded<'c>, pipeline: &str) -> Result<Loaded<'c>, ReadError> {
    register_passes();
    let manager = PassManager::new(context);
    manager.enable_verifier(true);
    checked(context, "the pipeline of passes", || {
        parse_pass_pipeline(manager.as_operation_pass_manager(), pipeline).ok()
    })?;
    checked(context, "simplifying", || manager.run(&mut loaded.module).ok())?;
    Ok(loaded)
}

fn has_unknown_regions(context: &Context, op: OperationRef<'_, '_>) -> bool {
    if op.region_count() > 0 && !context.is_registered_operation(&operation_name(&op)) {
        return true;
    }
    op.regions().any(|region| {
        let mut blocks = std::iter::successors(region.first_block(), |block| block.next_in_region());
        blocks.any(|block| {
            let mut ops = std::iter::successors(block.first_operation(), |op| op.next_in_block());
            ops.any(|op| has_unknown_regions(context, op))
        })
    })
}
