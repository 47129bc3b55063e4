//! Which element types each op of collected programs takes on each backend, and which tests sent it: what
//! `docs/ops.md` shows beside the op table. `make ops-document` runs it; `make test-python` with `--check FILE` behind, which
//! compares with the lines of FILE, whatever the order of types and tests, and fails where they differ.
//!
//! The first argument is a folder with one folder of `JAX_MPS_DUMP` for each test file. Every op of every program becomes a
//! program of its own, which is compiled with the capabilities of each backend. On stdout, one line an op, tab-separated:
//! name; element types on the CPU, Metal and CUDA, `*` behind those that the host's processor computes; test files.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use jax_mps::mlx::Backend;
use jax_mps::plan::{Placement, Step};
use jax_mps::program::{Block, ElementType, Function, Op, OpKind, Program, Type, ValueId};
use jax_mps::{kernel, lower};
use jax_mps::{passes, stablehlo};

const BACKENDS: [Backend; 3] = [Backend::Cpu, Backend::Metal, Backend::Cuda];

/// Where an op runs, the better answer first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Device,
    Host,
    /// Nothing is left to run: it was computed when it was compiled, or has no elements.
    Nowhere,
}

#[derive(Default)]
struct Coverage {
    types: [BTreeMap<ElementType, Place>; 3],
    /// Programs of each test file that hold the op.
    tests: BTreeMap<String, usize>,
}

#[derive(Default)]
struct Collector {
    ops: BTreeMap<String, Coverage>,
    /// Answers for ops of one spelling.
    known: HashMap<String, [Option<Place>; 3]>,
}

fn main() {
    let folder = std::env::args().nth(1).expect("a folder of folders of programs");
    let mut collector = Collector::default();
    for tests in sorted(Path::new(&folder)) {
        let file = tests.file_name().expect("a folder in a folder").to_string_lossy().into_owned();
        for path in sorted(&tests) {
            let bytes = std::fs::read(&path).expect("a dumped program can be read");
            // Refused programs are tested too.
            if let Ok(program) = stablehlo::read(&bytes) {
                collector.program(&program, &file);
            }
        }
    }
    let mut lines = vec!["# Made by `make ops-document`; scripts/op_coverage.rs says what the columns are.".to_owned()];
    for (name, coverage) in &collector.ops {
        let columns = coverage.types.each_ref().map(types);
        if coverage.tests.is_empty() {
            continue; // refused in every program
        }
        lines.push(format!("{name}\t{}\t{}", columns.join("\t"), tests(&coverage.tests)));
    }
    let arguments: Vec<String> = std::env::args().skip(2).collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => lines.iter().for_each(|line| println!("{line}")),
        ["--check", file] => {
            let known = std::fs::read_to_string(file).expect("the file to check can be read");
            let differences = differences(&known, &lines.join("\n"));
            differences.iter().for_each(|difference| println!("{difference}"));
            if !differences.is_empty() {
                println!("{file} is stale: make ops-document");
                std::process::exit(1);
            }
        }
        _ => panic!("a folder, and --check FILE behind it where that is wanted"),
    }
}

/// What one text says of ops and the other does not.
fn differences(known: &str, found: &str) -> Vec<String> {
    let titles = ["types on the CPU", "types on Metal", "types on CUDA", "tests"];
    let read = |text: &str| -> BTreeMap<String, Vec<BTreeSet<String>>> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines
            .filter_map(|line| line.split_once('\t'))
            .map(|(name, columns)| {
                let words = |column: &str| column.split_whitespace().map(str::to_owned).collect();
                (name.to_owned(), columns.split('\t').map(words).collect())
            })
            .collect()
    };
    let (known, found) = (read(known), read(found));
    let names: BTreeSet<&String> = known.keys().chain(found.keys()).collect();
    let mut differences = Vec::new();
    for name in names {
        let (Some(known), Some(found)) = (known.get(name), found.get(name)) else {
            let what = if known.contains_key(name) { "no test sends it any more" } else { "it is not there" };
            differences.push(format!("{name}: {what}"));
            continue;
        };
        for (title, (known, found)) in titles.iter().zip(known.iter().zip(found)) {
            let (gone, new) =
                (known.difference(found).collect::<Vec<_>>(), found.difference(known).collect::<Vec<_>>());
            if !gone.is_empty() || !new.is_empty() {
                differences.push(format!("{name}: {title}: gone {gone:?}, new {new:?}"));
            }
        }
    }
    differences
}

fn sorted(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

fn types(types: &BTreeMap<ElementType, Place>) -> String {
    let spell = |(element, place): (&ElementType, &Place)| match place {
        Place::Device | Place::Nowhere => element.name().to_owned(),
        Place::Host => format!("{}*", element.name()),
    };
    types.iter().map(spell).collect::<Vec<_>>().join(" ")
}

/// Those that send the op most often first.
fn tests(counts: &BTreeMap<String, usize>) -> String {
    let mut names: Vec<_> = counts.iter().collect();
    names.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), name.as_str()));
    names.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" ")
}

impl Collector {
    fn program(&mut self, program: &Program, file: &str) {
        let mut seen = BTreeSet::new();
        for function in &program.functions {
            self.block(program, function, &function.body, &HashMap::new(), &mut seen);
        }
        for name in seen {
            *self.ops.entry(name).or_default().tests.entry(file.to_owned()).or_default() += 1;
        }
    }

    fn block<'a>(
        &mut self,
        program: &Program,
        function: &'a Function,
        block: &'a Block,
        outer: &HashMap<ValueId, &'a Op>,
        seen: &mut BTreeSet<String>,
    ) {
        let mut constants = outer.clone();
        for op in &block.ops {
            if matches!(op.kind, OpKind::Constant(_)) {
                constants.insert(op.results[0], op);
            }
            let key = spelling(function, op, &constants);
            if !self.known.contains_key(&key) {
                let places = BACKENDS.map(|backend| place(program, function, op, &constants, backend));
                self.known.insert(key.clone(), places);
            }
            let places = self.known[&key];
            let name = op.kind.name().to_owned();
            let coverage = self.ops.entry(name.clone()).or_default();
            for (place, types) in places.iter().zip(&mut coverage.types) {
                let Some(place) = place else { continue };
                for element in element_types(function, op) {
                    types.entry(element).and_modify(|known| *known = (*known).min(*place)).or_insert(*place);
                }
            }
            if places[0].is_some() {
                seen.insert(name);
            }
            for region in &op.regions {
                self.block(program, function, region, &constants, seen);
            }
        }
    }
}

/// The types that an op computes with: those of its results, or of what it reads where the results' say less.
fn element_types(function: &Function, op: &Op) -> BTreeSet<ElementType> {
    let of = |values: &[ValueId]| -> BTreeSet<ElementType> {
        values.iter().filter_map(|&value| function.tensor(value)).map(|tensor| tensor.element).collect()
    };
    match &op.kind {
        OpKind::Convert | OpKind::BitcastConvert => of(&op.operands).union(&of(&op.results)).copied().collect(),
        _ if ["compare", "is_finite", "real", "imag", "send"].contains(&op.kind.name()) => of(&op.operands),
        _ => of(&op.results),
    }
}

/// All that may decide where the op runs.
fn spelling(function: &Function, op: &Op, constants: &HashMap<ValueId, &Op>) -> String {
    let types = |values: &[ValueId]| values.iter().map(|&value| function.ty(value).to_string()).collect::<Vec<_>>();
    let fixed: Vec<bool> = op.operands.iter().map(|value| constants.contains_key(value)).collect();
    // Regions are told apart by their values' numbers, which is finer than needed.
    format!("{:?} {:?} {:?} {fixed:?} {:?}", op.kind, types(&op.operands), types(&op.results), op.regions)
}

/// Where the op runs; `None` when it is refused.
fn place(
    program: &Program,
    function: &Function,
    op: &Op,
    constants: &HashMap<ValueId, &Op>,
    backend: Backend,
) -> Option<Place> {
    // Operands that must be constants are; others as arguments, or the op would be computed by the passes.
    [false, true].into_iter().find_map(|with_constants| {
        let mut alone = alone(program, function, op, constants, with_constants);
        passes::run(&mut alone, &Default::default(), |_, _, _| {}).ok()?;
        let plan =
            lower::compile(&alone, alone.main()?, backend.capabilities(true), kernel::cost::Place::Device).ok()?;
        let apart = |step: &Step| backend != Backend::Cpu && matches!(step.placement, Placement::Cpu);
        let host = plan.plan.steps.iter().any(apart);
        Some(match plan.plan.steps.is_empty() {
            true => Place::Nowhere,
            false if host => Place::Host,
            false => Place::Device,
        })
    })
}

/// The program that consists of the op, and of constants that it uses where that is asked for.
fn alone(
    program: &Program,
    function: &Function,
    op: &Op,
    constants: &HashMap<ValueId, &Op>,
    with_constants: bool,
) -> Program {
    let mut inside = BTreeSet::new();
    let mut used = Vec::new();
    uses(op, &mut inside, &mut used);
    let mut body = Block { results: op.results.clone(), ..Block::default() };
    let mut there = BTreeSet::new();
    for value in used {
        if inside.contains(&value) || !there.insert(value) {
            continue;
        }
        match constants.get(&value) {
            Some(&constant) if with_constants => body.ops.push(constant.clone()),
            _ => body.arguments.push(value),
        }
    }
    body.ops.push(op.clone());
    body.results.retain(|&result| matches!(function.ty(result), Type::Tensor(_) | Type::Token));
    let main = Function {
        name: "main".to_owned(),
        values: function.values.clone(),
        body,
        is_public: true,
        ..Function::default()
    };
    let mut functions: Vec<Function> = program.functions.iter().filter(|other| other.name != "main").cloned().collect();
    functions.push(main);
    Program { functions, meshes: program.meshes.clone(), attributes: program.attributes.clone(), ..Program::default() }
}

fn uses(op: &Op, inside: &mut BTreeSet<ValueId>, used: &mut Vec<ValueId>) {
    used.extend(&op.operands);
    inside.extend(&op.results);
    for region in &op.regions {
        inside.extend(&region.arguments);
        for op in &region.ops {
            uses(op, inside, used);
        }
        used.extend(&region.results);
    }
}
