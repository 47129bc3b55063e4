//! Real programs of jaxlib go the whole way from bytes to a plan.

use std::collections::BTreeSet;
use std::path::Path;

use jax_mps::lower::{REFUSED as REFUSED_OPS, TABLE};
use jax_mps::mlx::Backend;
use jax_mps::program::Block;

/// Programs that are refused, with words that the refusal must contain.
const REFUSED: &[(&str, &str)] = &[
    ("debug_callback", "callback"),
    ("pure_callback", "callback"),
    // Made for the CPU platform; on mps, cholesky stays the op that it is.
    ("cholesky", "lapack_spotrf_ffi"),
    // Two partitions.
    ("shard_map", "sdy.manual_computation"),
];

#[test]
fn every_program_compiles_or_is_refused_by_name() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/stablehlo-1.13");
    let mut seen = 0;
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(folder).expect("test data is there") {
        let path = entry.expect("readable folder").path();
        if path.extension().is_none_or(|extension| extension != "mlirbc") {
            continue;
        }
        seen += 1;
        let name = path.file_stem().expect("a file").to_string_lossy().into_owned();
        let bytes = std::fs::read(&path).expect("readable file");
        let refusal = REFUSED.iter().find(|(refused, _)| *refused == name).map(|(_, words)| *words);
        match (compile(&bytes), refusal) {
            (Ok(()), None) => {}
            (Err(error), Some(words)) if error.contains(words) => {}
            (outcome, _) => wrong.push(format!("{name}: {outcome:?}")),
        }
    }
    assert!(seen >= 31, "{seen} programs");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn compile(bytes: &[u8]) -> Result<(), String> {
    let mut program = jax_mps::stablehlo::read(bytes).map_err(|error| error.to_string())?;
    jax_mps::program::verify::verify(&program).map_err(|error| error.to_string())?;
    jax_mps::passes::run(&mut program, &Default::default(), |_, _, _| {}).map_err(|error| error.to_string())?;
    let main = program.main().ok_or("no main")?;
    for backend in [Backend::Cpu, Backend::Metal, Backend::Cuda] {
        jax_mps::lower::compile(&program, main, backend.capabilities(false), Default::default())
            .map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// In these programs every op of StableHLO stands, to which the reader's tests see. Each is a row of the op table or a
/// refusal, and none is both.
#[test]
fn every_op_has_a_row_or_a_refusal() {
    fn collect(block: &Block, names: &mut BTreeSet<String>) {
        for op in &block.ops {
            names.insert(op.kind.name().to_owned());
            op.regions.iter().for_each(|region| collect(region, names));
        }
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/reader");
    let mut names = BTreeSet::new();
    for name in ["all_ops", "version_1_15"] {
        let bytes = std::fs::read(folder.join(name).with_extension("mlirbc")).expect("readable file");
        let program = jax_mps::stablehlo::read(&bytes).expect("a program");
        program.functions.iter().for_each(|function| collect(&function.body, &mut names));
    }
    assert!(names.len() >= 110, "{names:?}");
    // These are not lowered: what is called or started asynchronously is inlined, and constants become arrays where they
    // are used.
    for name in ["func.call", "composite", "constant", "async_start", "async_done"] {
        assert!(names.remove(name), "{name}");
    }
    let rows: BTreeSet<&str> = TABLE.iter().copied().flatten().map(|row| row.name).collect();
    let refused: BTreeSet<&str> = REFUSED_OPS.iter().map(|(name, _)| *name).collect();
    let neither: Vec<&String> =
        names.iter().filter(|name| !rows.contains(name.as_str()) && !refused.contains(name.as_str())).collect();
    let both: Vec<&&str> = rows.intersection(&refused).collect();
    assert!(neither.is_empty() && both.is_empty(), "neither: {neither:?}; both: {both:?}");
}
