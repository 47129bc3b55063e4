//! Real programs of jaxlib go the whole way from bytes to a plan.

use std::path::Path;

use jax_mps::mlx::Backend;

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
