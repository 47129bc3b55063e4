//! `docs/ops.md` says what the op table says, and what `tests/data/op_coverage.tsv` says of element types and tests.
//! `make ops-document` makes both anew, `JAX_MPS_BLESS=1 cargo test --test ops_document` the document alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jax_mps::lower::{REFUSED, TABLE};

const COVERAGE: &str = include_str!("../data/op_coverage.tsv");

/// Ops of the table that Python's tests cannot make JAX send to one device, or whose results depend on chance. The tests
/// beside their lowerings and in `src/lower/rare_ops.rs` have them.
const TESTED_IN_RUST: &[&str] = &[
    "after_all",
    "all_to_all",
    "batch_norm_grad",
    "batch_norm_inference",
    "batch_norm_training",
    "broadcast",
    "collective_broadcast",
    "cross-replica-sum",
    "dot",
    "dynamic_gather",
    "get_dimension_size",
    "if",
    "logistic",
    "map",
    "replica_id",
    "rng",
];

/// Names for element types that stand together in the columns.
const GROUPS: &[(&str, &[&str])] = &[
    ("bool", &["i1"]),
    ("integers", &["i8", "i16", "i32", "i64", "ui8", "ui16", "ui32", "ui64"]),
    ("small integers", &["i2", "i4", "ui2", "ui4"]),
    ("floats", &["bf16", "f16", "f32", "f64"]),
    ("floats of 8 bits", &["f8E3M4", "f8E4M3", "f8E4M3B11FNUZ", "f8E4M3FN", "f8E4M3FNUZ", "f8E5M2", "f8E5M2FNUZ"]),
    ("other small floats", &["f4E2M1FN", "f6E2M3FN", "f6E3M2FN", "f8E8M0FNU"]),
    ("complex", &["complex<f32>"]),
];

type Types = BTreeSet<&'static str>;

/// One line of the coverage.
struct Coverage {
    cpu: Types,
    /// For Metal and CUDA: all that they take, and what of it the host computes.
    gpus: [(Types, Types); 2],
    tests: Vec<&'static str>,
}

fn coverage() -> BTreeMap<&'static str, Coverage> {
    let lines = COVERAGE.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let columns: Vec<&str> = line.split('\t').collect();
            let [name, cpu, metal, cuda, tests] = columns[..] else { panic!("five columns expected: {line}") };
            let gpu = |column: &'static str| {
                let all = column.split(' ').map(|one| one.trim_end_matches('*')).filter(|one| !one.is_empty());
                (all.collect(), column.split(' ').filter_map(|one| one.strip_suffix('*')).collect())
            };
            let coverage =
                Coverage { cpu: gpu(cpu).0, gpus: [gpu(metal), gpu(cuda)], tests: tests.split(' ').collect() };
            (name, coverage)
        })
        .collect()
}

fn spell(types: &Types) -> String {
    let known: Types = GROUPS.iter().flat_map(|(_, members)| members.iter().copied()).collect();
    let unknown: Vec<_> = types.difference(&known).collect();
    assert!(unknown.is_empty(), "element types without a group: {unknown:?}");
    let mut parts = Vec::new();
    for (group, members) in GROUPS {
        let there: Vec<&str> = members.iter().copied().filter(|member| types.contains(member)).collect();
        if there.len() == members.len() {
            parts.push((*group).to_owned());
        } else {
            parts.extend(there.into_iter().map(str::to_owned));
        }
    }
    parts.join(", ")
}

/// A GPU's types, told by how they differ from the CPU's.
fn spell_gpu(cpu: &Types, (all, host): &(Types, Types)) -> String {
    match (all == cpu, host.is_empty()) {
        (true, true) => "same".to_owned(),
        (true, false) if host == all => "same, on the host".to_owned(),
        (true, false) => format!("same, on the host: {}", spell(host)),
        (false, true) => spell(all),
        (false, false) => format!("{}; on the host: {}", spell(all), spell(host)),
    }
}

/// The three files that send it most.
fn spell_tests(tests: &[&str]) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python");
    for test in tests {
        let there = ["ops", "."].iter().any(|inner| folder.join(inner).join(format!("{test}.py")).is_file());
        assert!(there, "no test file {test}");
    }
    let mut text: Vec<String> = tests.iter().take(3).map(|test| test.trim_start_matches("test_").to_owned()).collect();
    if tests.len() > 3 {
        text.push(format!("{} more", tests.len() - 3));
    }
    text.join(", ")
}

#[test]
fn document_is_that_of_the_table() {
    let mut coverage = coverage();
    let mut rows = BTreeMap::new();
    for row in TABLE.iter().copied().flatten() {
        assert!(rows.insert(row.name, row.note).is_none(), "two rows for {}", row.name);
    }
    for inlined in ["composite", "func.call"] {
        rows.insert(inlined, "put in place before lowering");
    }
    rows.insert("async_start", "put in place before lowering, with its async_done");
    rows.insert("constant", "");
    let groups: Vec<String> =
        GROUPS.iter().map(|(group, members)| format!("{group} ({})", members.join(", "))).collect();
    let mut text = format!(
        "# Ops\n\n`make ops-document` makes this of the op table (`src/lower/table.rs`) and of the programs that \
         `tests/python/ops` and `tests/python/test_callbacks.py` compile, whose results are compared with XLA:CPU\'s.\n\n\
         The columns CPU, Metal and CUDA hold the element types with which those programs have the op and each \
         backend takes it; *on the host*: the host's processor computes them there (f64 wherever the device has none). \
         Not in a column is not refused: it is not tested for this op. complex<f64> is refused, and nothing is refused \
         later than when a program is compiled. Groups: {}. Small integers and floats are kept in a byte, and computed \
         by way of a wider type.\n\n\
         ## Supported\n\n| op | CPU | Metal | CUDA | tests | limits |\n|---|---|---|---|---|---|\n",
        groups.join("; "),
    );
    for (name, note) in &rows {
        let covered = coverage.remove(name);
        assert!(
            covered.is_some() != TESTED_IN_RUST.contains(name),
            "{name} must either be sent by Python's tests of ops or be named as tested in Rust"
        );
        let columns = covered.map_or_else(
            || "| | | Rust".to_owned(),
            |one| {
                let [metal, cuda] = one.gpus.each_ref().map(|gpu| spell_gpu(&one.cpu, gpu));
                format!("{} | {metal} | {cuda} | {}", spell(&one.cpu), spell_tests(&one.tests))
            },
        );
        text += &format!("| `{name}` | {columns} | {note} |\n");
    }
    let unknown: Vec<_> = coverage.keys().filter(|name| !name.starts_with("sdy.")).collect();
    assert!(unknown.is_empty(), "covered, but not in the table: {unknown:?}");
    text += "\n## Refused when a program is compiled\n\n| op | why |\n|---|---|\n";
    for (name, why) in REFUSED {
        assert!(!rows.contains_key(name), "{name} is both supported and refused");
        text += &format!("| `{name}` | {why} |\n");
    }
    text += include_str!("../data/op_differences.md");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ops.md");
    if std::env::var_os("JAX_MPS_BLESS").is_some() {
        std::fs::write(&path, &text).expect("docs can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == text, "docs/ops.md is not what the op table says: bless it");
}
