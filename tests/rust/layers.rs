//! The directions of docs/architecture.md: which module of the crate names which others, and that no files of a layer
//! name each other in a circle. Reads the sources' `use` lines and paths.

#[path = "layers/source.rs"]
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use source::{Reference, Tree};

/// A layer, and those that its files may name.
struct Layer {
    name: &'static str,
    sees: &'static [&'static str],
}

/// The table of docs/architecture.md, without what it says beside.
const LAYERS: &[Layer] = &[
    Layer { name: "program", sees: &[] },
    Layer { name: "expression", sees: &["program"] },
    Layer { name: "passes", sees: &["expression", "program"] },
    Layer { name: "stablehlo", sees: &["program"] },
    Layer { name: "mlir", sees: &["program", "stablehlo"] },
    Layer { name: "reader", sees: &["mlir", "program", "stablehlo"] },
    Layer { name: "kernel", sees: &["expression", "program"] },
    Layer { name: "mlx", sees: &[] },
    Layer { name: "plan", sees: &["mlx", "program"] },
    Layer { name: "lower", sees: &["expression", "kernel", "mlx", "plan", "program"] },
    Layer { name: "proto", sees: &[] },
    Layer {
        name: "runtime",
        sees: &["expression", "kernel", "lower", "mlx", "passes", "plan", "program", "proto", "reader", "stablehlo"],
    },
    Layer { name: "pjrt", sees: &["program", "proto", "runtime"] },
    Layer { name: "python", sees: &["runtime"] },
    Layer { name: "lib", sees: &["pjrt"] },
];

/// What tests name beyond their layer: file, the layer named, and why.
const TESTS: &[(&str, &str, &str)] = &[
    ("src/stablehlo/tests/broken.rs", "passes", WHOLE_WAY),
    ("src/stablehlo/tests/broken.rs", "lower", WHOLE_WAY),
    ("src/stablehlo/tests/broken.rs", "mlx", WHOLE_WAY),
    ("src/mlir/tests/run.rs", "passes", WHOLE_WAY),
    ("src/mlir/tests/run.rs", "lower", WHOLE_WAY),
    ("src/mlir/tests/run.rs", "mlx", WHOLE_WAY),
    ("src/kernel/native/tests.rs", "lower", "native code is held against MLX's graph"),
    ("src/kernel/native/edges.rs", "lower", "native code is held against MLX's graph"),
    ("src/kernel/native/op_tests.rs", "lower", "the programs are written with the builder of the lowerings' tests"),
    ("src/pjrt/tests/errors.rs", "mlx", "counts the pools that an entry point leaves open"),
    ("src/pjrt/tests/objects.rs", "mlx", "what the C API tells of the device is what MLX tells"),
];

const WHOLE_WAY: &str = "what a reader accepts is compiled, or refused, and never panics";

/// Files of a layer that name each other in a circle, and why they may.
const CIRCLES: &[(&[&str], &str)] = &[
    (
        &["src/mlx/exit.rs", "src/mlx/memory.rs", "src/mlx/stream.rs"],
        "each stream that is made is one that the end of the process waits for, under the lock of evaluations",
    ),
    (
        &[
            "src/expression/term.rs",
            "src/expression/functions.rs",
            "src/expression/complex.rs",
            "src/expression/single.rs",
        ],
        "the operators of terms are traits, and what they mean for complex numbers is defined with terms",
    ),
    (
        &[
            "src/program/verify/types.rs",
            "src/program/verify/contraction.rs",
            "src/program/verify/control.rs",
            "src/program/verify/elementwise.rs",
            "src/program/verify/indexing.rs",
            "src/program/verify/reduction.rs",
            "src/program/verify/shape.rs",
        ],
        "one match over all ops calls the rules of each family, which are methods of what it matches for",
    ),
    (
        &["src/lower/reduce_window/mod.rs", "src/lower/reduce_window/cumulative.rs", "src/lower/reduce_window/host.rs"],
        "a scan is a window as long as the axis: both choose, and run, the functions of the host",
    ),
    (
        &[
            "src/stablehlo/context.rs",
            "src/stablehlo/literal.rs",
            "src/stablehlo/types.rs",
            "src/stablehlo/vhlo/mod.rs",
            "src/stablehlo/vhlo/collective.rs",
            "src/stablehlo/vhlo/contraction.rs",
            "src/stablehlo/vhlo/control.rs",
            "src/stablehlo/vhlo/dynamic.rs",
            "src/stablehlo/vhlo/elementwise.rs",
            "src/stablehlo/vhlo/encoding.rs",
            "src/stablehlo/vhlo/fields.rs",
            "src/stablehlo/vhlo/indexing.rs",
            "src/stablehlo/vhlo/misc.rs",
            "src/stablehlo/vhlo/reduction.rs",
            "src/stablehlo/vhlo/shape.rs",
            "src/stablehlo/vhlo/source.rs",
        ],
        "the table of op forms stands above its rows; attributes hold types and types attributes, and both are decoded in \
         one context",
    ),
];

#[test]
fn layers_name_only_those_below() {
    let problems = directions(&Tree::read(Path::new(env!("CARGO_MANIFEST_DIR"))));
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn files_name_each_other_in_no_circle() {
    let problems = circles(&Tree::read(Path::new(env!("CARGO_MANIFEST_DIR"))), CIRCLES);
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// The names in backticks of a cell; those of files without `src/` and `.rs`.
fn names(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).map(layer).collect()
}

#[test]
fn the_document_tells_the_same() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/architecture.md");
    let document = std::fs::read_to_string(path).expect("the document");
    let rows: BTreeMap<&str, Vec<&str>> = document
        .lines()
        .filter(|line| line.starts_with("| `src/"))
        .map(|line| {
            let cells: Vec<&str> = line.split('|').collect();
            let mut sees = names(cells[cells.len() - 2]);
            sees.sort_unstable();
            (names(cells[1])[0], sees)
        })
        .collect();
    let known: BTreeMap<&str, Vec<&str>> = LAYERS.iter().map(|layer| (layer.name, layer.sees.to_vec())).collect();
    assert_eq!(rows, known);
}

/// What a file names that its layer may not see, a line each.
fn directions(tree: &Tree) -> Vec<String> {
    let mut problems = Vec::new();
    let mut used = BTreeSet::new();
    for reference in &tree.references {
        let (from, to) = (layer(&reference.file), reference.layer.as_str());
        let Some(known) = LAYERS.iter().find(|known| known.name == from) else {
            problems.push(format!("{}: the module {from} is in no row of the table", reference.file));
            continue;
        };
        if from == to || known.sees.contains(&to) {
            continue;
        }
        if let Some(exception) = TESTS.iter().find(|(file, layer, _)| *file == reference.file && *layer == to)
            && reference.test
        {
            used.insert((exception.0, exception.1));
            continue;
        }
        let Reference { file, line, path, .. } = reference;
        problems.push(format!("{file}:{line}: {from} may not name {to}: {path}"));
    }
    for (file, to, _) in TESTS.iter().filter(|(file, ..)| tree.files.contains(*file)) {
        if !used.contains(&(*file, *to)) {
            problems.push(format!("{file} names {to} no more: strike the exception"));
        }
    }
    problems
}

/// `src/lower/fft.rs` → `lower`, `src/reader.rs` → `reader`.
fn layer(file: &str) -> &str {
    let inner = file.strip_prefix("src/").unwrap_or(file);
    inner.split(['/', '.']).next().unwrap_or(inner)
}

/// The circles among the files of each layer, tests apart, that no exception allows.
fn circles(tree: &Tree, allowed: &[(&[&str], &str)]) -> Vec<String> {
    let mut names: BTreeMap<&str, BTreeMap<&str, &Reference>> = BTreeMap::new();
    for reference in tree.references.iter().filter(|reference| !reference.test && !reference.facade) {
        let (from, to) = (reference.file.as_str(), reference.target.as_str());
        if from != to && layer(from) == layer(to) {
            names.entry(from).or_default().entry(to).or_insert(reference);
        }
    }
    let reached: BTreeMap<&str, BTreeSet<&str>> = names.keys().map(|&from| (from, reach(&names, from))).collect();
    let mut seen = BTreeSet::new();
    let mut needed = BTreeSet::new();
    let mut problems = Vec::new();
    for (&from, there) in reached.iter().filter(|(from, there)| there.contains(*from)) {
        if !seen.insert(from) {
            continue;
        }
        let circle: BTreeSet<&str> =
            there.iter().copied().filter(|to| reached.get(to).is_some_and(|back| back.contains(from))).collect();
        seen.extend(&circle);
        if let Some(index) = allowed.iter().position(|(files, _)| circle.iter().all(|file| files.contains(file))) {
            needed.insert(index);
            continue;
        }
        let edges = circle.iter().flat_map(|file| names[file].iter()).filter(|(to, _)| circle.contains(*to));
        problems.push(format!("a circle of {} files:", circle.len()));
        problems.extend(edges.map(|(_, reference)| {
            let Reference { file, line, path, target, .. } = reference;
            format!("    {file}:{line}: {path} ({target})")
        }));
    }
    for (index, (files, _)) in allowed.iter().enumerate().filter(|(index, _)| !needed.contains(index)) {
        problems.push(format!("exception {index} ({files:?}) is no circle any more: strike it"));
    }
    problems
}

/// All files that one names, directly or not.
fn reach<'a>(names: &BTreeMap<&'a str, BTreeMap<&'a str, &Reference>>, from: &'a str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open = vec![from];
    while let Some(file) = open.pop() {
        for &to in names.get(file).into_iter().flat_map(BTreeMap::keys) {
            if found.insert(to) {
                open.push(to);
            }
        }
    }
    found
}

#[test]
fn what_points_upwards_is_found() {
    let invented = [
        ("src/lib.rs", "pub mod passes;\npub mod lower;\npub mod mlx;\n"),
        ("src/mlx/mod.rs", "mod array;\npub use array::Array;\n"),
        ("src/mlx/array.rs", "pub struct Array;\n"),
        ("src/lower/mod.rs", "pub struct Lowered;\n"),
        ("src/passes/mod.rs", "mod fold;\n// use crate::lower::Lowered;\n"),
        (
            "src/passes/fold.rs",
            "use crate::{\n    lower::Lowered,\n};\nfn name() -> &'static str {\n    \"crate::mlx::Array\"\n}\n\
             fn one(a: super::super::mlx::Array) {}\n#[cfg(test)]\nmod tests {\n    use crate::mlx::Array;\n}\n",
        ),
    ];
    let tree = Tree::of(invented.map(|(file, text)| (file.to_owned(), text.to_owned())));
    assert_eq!(
        directions(&tree),
        [
            "src/passes/fold.rs:2: passes may not name lower: crate::lower::Lowered",
            "src/passes/fold.rs:7: passes may not name mlx: super::super::mlx::Array",
            "src/passes/fold.rs:10: passes may not name mlx: crate::mlx::Array",
        ]
    );
}

#[test]
fn circles_are_found_through_re_exports() {
    let invented = |other: &str| {
        let files = [
            ("src/lib.rs", "pub mod plan;\n"),
            (
                "src/plan/mod.rs",
                "mod context;\nmod observer;\nmod run;\npub use context::Context;\npub use run::run;\n",
            ),
            ("src/plan/context.rs", "use super::run;\npub struct Context;\n"),
            ("src/plan/run.rs", "use super::observer;\npub fn run() { observer::tell() }\n"),
            ("src/plan/observer.rs", other),
        ];
        Tree::of(files.map(|(file, text)| (file.to_owned(), text.to_owned())))
    };
    let circle = [
        "a circle of 3 files:",
        "    src/plan/context.rs:1: super::run (src/plan/run.rs)",
        "    src/plan/observer.rs:1: super::Context (src/plan/context.rs)",
        "    src/plan/run.rs:1: super::observer (src/plan/observer.rs)",
    ];
    let around = invented("use super::Context;\npub fn tell() {}\n");
    assert_eq!(circles(&around, &[]), circle);
    assert_eq!(circles(&around, &[(&["src/plan/context.rs", "src/plan/run.rs"], "two of three")])[..4], circle);
    let files = &["src/plan/context.rs", "src/plan/run.rs", "src/plan/observer.rs"];
    assert_eq!(circles(&around, &[(files, "invented")]), [""; 0]);
    let straight = invented("pub fn tell() {}\n#[cfg(test)]\nmod tests {\n    use super::super::Context;\n}\n");
    assert_eq!(circles(&straight, &[]), [""; 0]);
    assert_eq!(circles(&straight, &[(files, "none")]).len(), 1);
}
