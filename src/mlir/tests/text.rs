//! StableHLO text.

use std::io::Cursor;
use std::path::Path;

use super::normal::normalised;
use super::run::run;
use super::{Passes, corpus, read};
use crate::program::{Attribute, Block, Location, OpKind, Program};
use crate::stablehlo;

fn without_locations(mut program: Program) -> Program {
    fn forget(block: &mut Block) {
        for op in &mut block.ops {
            op.location = Location::Unknown;
            op.regions.iter_mut().for_each(forget);
        }
    }
    for function in &mut program.functions {
        function.location = Location::Unknown;
        forget(&mut function.body);
    }
    program
}

/// The text that jaxlib printed of a file gives the program of the file. Shardy's parts of a text are no part of this:
/// MLIR's parser does not know them.
#[test]
fn text_says_what_bytecode_says() {
    let texts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/reader");
    let mut compared = 0;
    for path in corpus() {
        let bytes = std::fs::read(&path).expect("a readable file");
        let name = path.file_stem().expect("a file").to_string_lossy().into_owned();
        let text = match path.parent().and_then(Path::file_name).map(|folder| folder.to_string_lossy()) {
            Some(folder) if folder.starts_with("jax-") => path.with_extension("mlir.xz"),
            _ => texts.join(name).with_extension("mlir.xz"),
        };
        let compressed = std::fs::read(text).expect("each file has its text");
        let mut text = Vec::new();
        lzma_rs::xz_decompress(&mut Cursor::new(compressed), &mut text).expect("well-formed xz");
        if String::from_utf8_lossy(&text).contains("sdy.") {
            continue;
        }
        let native = without_locations(normalised(stablehlo::read(&bytes).expect("well-formed")));
        let parsed = read(&text, Passes::None).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let parsed = without_locations(normalised(parsed));
        assert!(native == parsed, "{}:\n{native}\n{parsed}", path.display());
        compared += 1;
    }
    assert!(compared >= 45, "{compared} texts");
}

const PRETTY: &str = r#"
module @pretty attributes {mhlo.num_partitions = 1 : i32} {
  func.func public @main(%x: tensor<2x3xf32> {jax.arg_info = "x"}, %y: tensor<3x2xf32>) -> tensor<2x2xf32> {
    %one = stablehlo.constant dense<1.0> : tensor<2x2xf32>
    %product = stablehlo.dot_general %x, %y, contracting_dims = [1] x [0] : (tensor<2x3xf32>, tensor<3x2xf32>) -> tensor<2x2xf32>
    %sum = stablehlo.add %product, %one {note = "kept"} : tensor<2x2xf32>
    %result = call @twice(%sum) : (tensor<2x2xf32>) -> tensor<2x2xf32>
    return %result : tensor<2x2xf32>
  }
  func.func private @twice(%x: tensor<2x2xf32>) -> tensor<2x2xf32> {
    %sum = stablehlo.add %x, %x : tensor<2x2xf32>
    return %sum : tensor<2x2xf32>
  }
}
"#;

#[test]
fn pretty_text_reads_and_runs() {
    let program = read(PRETTY.as_bytes(), Passes::None).expect("well-formed");
    assert_eq!(program.name, "pretty");
    assert_eq!(program.attributes.integer("mhlo.num_partitions"), Some(1));
    let main = program.main().expect("main");
    assert_eq!(main.argument_attributes[0].string("jax.arg_info"), Some("x"));
    let kinds: Vec<&str> = main.body.ops.iter().map(|op| op.kind.name()).collect();
    assert_eq!(kinds, ["constant", "dot_general", "add", "func.call"]);
    assert_eq!(main.body.ops[2].attributes.get("note"), Some(&Attribute::String("kept".into())));
    assert!(main.body.ops[2].location.position().is_some_and(|(_, line)| line == 6), "{}", main.body.ops[2].location);
    let OpKind::DotGeneral(dot) = &main.body.ops[1].kind else { panic!("a dot") };
    assert_eq!((dot.lhs_contracting_dimensions.as_slice(), dot.precision_config.len()), ([1].as_slice(), 2));

    let simplified = read(PRETTY.as_bytes(), Passes::Simplify).expect("well-formed");
    assert_eq!(simplified.functions.len(), 1, "the call is inlined, its function gone");
    let bits = run(program).expect("it runs");
    assert_eq!(bits, run(simplified).expect("it runs"));
    assert_eq!(bits[0].len(), 16);
}
