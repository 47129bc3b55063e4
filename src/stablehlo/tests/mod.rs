//! The reader on real programs, against jaxlib's own reading of the same bytes, and on broken ones.

mod broken;
mod fields;
mod text;
mod values;

use std::collections::HashMap;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use super::*;
use crate::program::{Block, Function, Op, Program, Type, ValueId};
use text::{TextBlock, TextOp};

/// The op forms of VHLO 1.13, and the younger ones.
const ALL_FORMS: [&str; 2] = ["all_ops", "version_1_15"];

/// The programs with every op form, and 31 programs that JAX sent.
fn corpus() -> Vec<PathBuf> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut files: Vec<PathBuf> = std::fs::read_dir(data.join("stablehlo-1.13"))
        .expect("the corpus is part of the repository")
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "mlirbc"))
        .collect();
    files.extend(ALL_FORMS.map(|name| data.join("reader").join(name).with_extension("mlirbc")));
    files.sort();
    assert_eq!(files.len(), 33);
    files
}

/// Programs of older versions, from 0.9.0 on: both sides of each change of an op form or of the container.
fn older() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/reader/older");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the data is part of the repository")
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "mlirbc"))
        .collect();
    files.sort();
    assert_eq!(files.len(), 18);
    files
}

fn name(path: &Path) -> String {
    path.file_stem().expect("a file").to_string_lossy().into_owned()
}

fn program(path: &Path) -> Program {
    let bytes = std::fs::read(path).expect("a readable file");
    read(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_file_reads_verifies_and_prints() {
    for path in corpus() {
        let program = program(&path);
        let text = program.to_string();
        for function in &program.functions {
            assert!(text.contains(&format!("@{}(", function.name)), "{}", path.display());
        }
        if std::env::var_os("READER_PRINT").is_some() {
            println!("{}\n{text}", path.display());
        }
    }
}

#[test]
fn source_positions_are_kept() {
    let path = corpus().into_iter().find(|path| name(path) == "one_op").expect("the corpus has one_op");
    let program = program(&path);
    let add = &program.functions[0].body.ops[1];
    let (file, line) = add.location.position().expect("a source position");
    assert_eq!(file, "<string>");
    assert!(line > 0);
    assert!(add.location.to_string().contains("jit(<lambda>)/add"), "{}", add.location);
}

/// jaxlib's generic text of each file, made from the same bytes by tests/data/reader/make.py, says the same op by op:
/// functions, names of ops, operands and results (up to renaming), types, every attribute and the values of constants.
///
/// Three things are written differently and compared by meaning. StableHLO leaves attributes out that have their
/// default value, which VHLO and the program spell out. The dimension numbers of a gather, a scatter, a dot or a
/// convolution are one attribute there and several fields here. A constant of equal elements is a splat there, and
/// here when it came as one.
#[test]
fn every_file_agrees_with_jaxlib() {
    let texts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/reader");
    for path in corpus() {
        agrees(&path, &texts.join(name(&path)).with_extension("mlir.xz"));
    }
    // What all_ops has that older versions can say, as these say it: jaxlib's text has the newest forms.
    for path in older() {
        agrees(&path, &path.with_extension("mlir.xz"));
    }
    // The same 19 programs as other versions of jaxlib write them.
    for version in ["jax-0.9.0", "jax-0.12.0.1"] {
        let mut count = 0;
        for entry in std::fs::read_dir(texts.join(version)).expect("the data is part of the repository") {
            let path = entry.expect("a readable folder").path();
            if path.extension().is_some_and(|extension| extension == "mlirbc") {
                agrees(&path, &path.with_extension("mlir.xz"));
                count += 1;
            }
        }
        assert_eq!(count, 19);
    }
}

fn agrees(path: &Path, text: &Path) {
    println!("{}", path.display());
    let compressed = std::fs::read(text).expect("each file has its text");
    let mut text = Vec::new();
    lzma_rs::xz_decompress(&mut Cursor::new(compressed), &mut text).expect("well-formed xz");
    let module = text::parse(std::str::from_utf8(&text).expect("UTF-8"));
    compare(&program(path), &module);
}

fn compare(program: &Program, module: &TextOp) {
    assert_eq!(module.name, "builtin.module");
    values::expect_named(&program.attributes, &module.attributes, "module");
    let property = |op: &TextOp, name: &str| {
        op.properties.iter().find(|(each, _)| each == name).map(|(_, value)| value.trim_matches('"').to_owned())
    };
    assert_eq!(property(module, "sym_name").unwrap_or_default(), program.name);
    let (meshes, functions): (Vec<&TextOp>, Vec<&TextOp>) =
        module.regions[0].ops.iter().partition(|op| op.name == "sdy.mesh");
    assert_eq!(meshes.len(), program.meshes.len());
    for (text, (name, mesh)) in meshes.into_iter().zip(&program.meshes) {
        assert_eq!(property(text, "sym_name").as_ref(), Some(name));
        assert_eq!(property(text, "mesh"), Some(format!("#sdy.mesh{mesh}")));
    }
    assert_eq!(functions.len(), program.functions.len());
    for (text, function) in functions.into_iter().zip(&program.functions) {
        assert_eq!(text.name, "func.func");
        println!("  @{}", function.name);
        assert_eq!(property(text, "sym_name").as_ref(), Some(&function.name));
        let visibility = property(text, "sym_visibility").unwrap_or_else(|| "public".into());
        assert_eq!(visibility == "public", function.is_public);
        values::expect_named(&function.attributes, &text.attributes, &function.name);
        let types = property(text, "function_type").map(|text| text::function_type(&text));
        let shown = |ids: &[ValueId]| ids.iter().map(|&id| function.ty(id).to_string()).collect::<Vec<_>>();
        assert_eq!(types, Some((shown(&function.body.arguments), shown(&function.body.results))));
        for (name, attributes, count) in [
            ("arg_attrs", &function.argument_attributes, function.body.arguments.len()),
            ("res_attrs", &function.result_attributes, function.body.results.len()),
        ] {
            let written = property(text, name).unwrap_or_else(|| format!("[{}]", vec!["{}"; count].join(", ")));
            let written = text::split(written.trim_start_matches('[').trim_end_matches(']'));
            for (index, text) in written.into_iter().enumerate() {
                let text = text::entries(text.trim_start_matches('{').trim_end_matches('}'));
                let empty = Default::default();
                values::expect_named(attributes.get(index).unwrap_or(&empty), &text, name);
            }
        }
        compare_block(function, &function.body, &text.regions[0], &mut HashMap::new());
    }
}

/// Compares two blocks; `names` maps the text's names of values to the program's.
fn compare_block(function: &Function, block: &Block, text: &TextBlock, names: &mut HashMap<String, ValueId>) {
    let define = |names: &mut HashMap<String, ValueId>, name: &str, ty: &str, id: ValueId| {
        assert_eq!(function.ty(id).to_string(), ty, "type of {name}");
        names.insert(name.to_owned(), id);
    };
    assert_eq!(block.arguments.len(), text.arguments.len());
    for ((name, ty), &id) in text.arguments.iter().zip(&block.arguments) {
        define(names, name, ty, id);
    }
    let (terminator, ops) = text.ops.split_last().expect("a terminator");
    assert_eq!(
        block.ops.iter().map(|op| op.kind.full_name()).collect::<Vec<_>>(),
        ops.iter().map(|op| op.name.clone()).collect::<Vec<_>>()
    );
    let same_operands = |names: &HashMap<String, ValueId>, ids: &[ValueId], text: &TextOp| {
        assert_eq!(text.operands.iter().map(|name| names[name]).collect::<Vec<_>>(), ids, "operands of {}", text.name);
        let types: Vec<String> = ids.iter().map(|&id| function.ty(id).to_string()).collect();
        assert_eq!(types, text.operand_types, "types of the operands of {}", text.name);
    };
    for (op, text) in block.ops.iter().zip(ops) {
        same_operands(names, &op.operands, text);
        let extra = fields::compare(op, text);
        values::expect_named(&crate::program::Attributes(extra), &text.attributes, &text.name);
        assert_eq!(op.regions.len(), text.regions.len(), "regions of {}", text.name);
        for (region, text) in op.regions.iter().zip(&text.regions) {
            compare_block(function, region, text, names);
        }
        assert_eq!(op.results.len(), text.results.len(), "results of {}", text.name);
        for ((name, ty), &id) in text.results.iter().zip(&text.result_types).zip(&op.results) {
            define(names, name, ty, id);
        }
    }
    assert!(terminator.name.ends_with(".return"), "{}", terminator.name);
    same_operands(names, &block.results, terminator);
}

/// All op forms stand in the programs that are there for it, by the names that files have them under.
#[test]
fn every_form_of_every_version_is_covered() {
    let forms_of = |bytes: &[u8]| -> Vec<String> {
        let module = bytecode::Module::parse(bytes).expect("well-formed");
        module.op_names.iter().map(|name| name.name.to_owned()).collect()
    };
    let mut seen = Vec::new();
    for path in corpus().into_iter().chain(older()) {
        seen.extend(forms_of(&std::fs::read(path).expect("a readable file")));
    }
    let missing: Vec<&str> =
        vhlo::forms().map(|form| form.name).filter(|form| !seen.iter().any(|name| name == form)).collect();
    // jaxlib's Python has no quant dialect to write these with.
    assert_eq!(missing, ["uniform_quantize_v1", "uniform_dequantize_v1"]);
}

/// Container versions and properties, which older versions of StableHLO keep among the other attributes.
#[test]
fn older_versions_are_what_they_are_called() {
    for path in older() {
        let bytes = std::fs::read(&path).expect("a readable file");
        let module = bytecode::Module::parse(&bytes).expect("well-formed");
        assert_eq!(module.producer, format!("StableHLO_v{}", name(&path)));
    }
}

/// All ops stand in the programs that are there for it.
#[test]
fn every_op_form_is_covered() {
    fn collect(block: &Block, names: &mut Vec<String>) {
        for op in &block.ops {
            names.push(op.kind.name().to_owned());
            for region in &op.regions {
                collect(region, names);
            }
        }
    }
    let mut names = Vec::new();
    for path in corpus().into_iter().filter(|path| ALL_FORMS.contains(&name(path).as_str())) {
        for function in &program(&path).functions {
            collect(&function.body, &mut names);
        }
    }
    // jaxlib's Python has no quant dialect to write these with.
    names.extend(["uniform_quantize".to_owned(), "uniform_dequantize".to_owned()]);
    let missing: Vec<&str> = vhlo::forms()
        .map(|form| form.name.rsplit_once("_v").expect("a version").0)
        .map(|form| if form == "call" { "func.call" } else { form })
        .filter(|form| !names.iter().any(|name| name == form))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// A result with one dimension more than it should have does not pass, whatever op gives it; but for those below, whose
/// result types say by themselves what the op gives, or whose rules the lowering checks.
#[test]
fn wrong_result_types_are_found() {
    const NOT_JUDGED: [&str; 20] = [
        "stablehlo.all_gather",
        "stablehlo.all_to_all",
        "stablehlo.broadcast_in_dim",
        "stablehlo.collective_broadcast",
        "stablehlo.collective_permute",
        "stablehlo.cross-replica-sum",
        "stablehlo.custom_call",
        "stablehlo.dot",
        "stablehlo.dynamic_gather",
        "stablehlo.einsum",
        "stablehlo.infeed",
        "stablehlo.iota",
        "stablehlo.partition_id",
        "stablehlo.recv",
        "stablehlo.reduce_scatter",
        "stablehlo.replica_id",
        "stablehlo.rng",
        "stablehlo.rng_bit_generator",
        "stablehlo.torch_index_select",
        "stablehlo.unary_einsum",
    ];
    let path = corpus().into_iter().find(|path| name(path) == "all_ops").expect("the corpus has all_ops");
    let program = program(&path);
    let mut passed = std::collections::BTreeSet::new();
    let mut judged = 0;
    for (index, function) in program.functions.iter().enumerate() {
        let last = function.body.ops.len().saturating_sub(1);
        // The last op takes all results, of whatever type.
        for op in &function.body.ops[..last] {
            for &result in &op.results {
                let mut wrong = program.clone();
                match &mut wrong.functions[index].values[result.0 as usize] {
                    Type::Tensor(tensor) if tensor.is_static() => tensor.shape.push(3),
                    _ => continue,
                }
                judged += 1;
                if verify::verify(&wrong).is_ok() {
                    passed.insert(op.kind.full_name());
                }
            }
        }
    }
    assert!(judged > 130, "{judged}");
    let unexpected: Vec<&String> = passed.iter().filter(|name| !NOT_JUDGED.contains(&name.as_str())).collect();
    assert!(unexpected.is_empty(), "{unexpected:?}");
}

/// The sum over all ops of a program, to prove that a program which was read can be walked.
fn walk(block: &Block, function: &Function) -> usize {
    let one = |op: &Op| {
        let types = op.results.iter().filter(|&&id| matches!(function.ty(id), Type::Tensor(_))).count();
        1 + types + op.regions.iter().map(|region| walk(region, function)).sum::<usize>()
    };
    block.ops.iter().map(one).sum()
}
