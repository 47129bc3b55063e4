//! What MLIR refuses, and what the walk does.

use super::{Passes, read};

fn error(text: &str) -> (String, bool) {
    let error = read(text.as_bytes(), Passes::Simplify).expect_err("no program");
    (error.to_string(), error.is_unimplemented())
}

fn function(body: &str) -> String {
    format!("func.func @main(%x: tensor<2xf32>) -> tensor<2xf32> {{\n{body}\n}}")
}

#[test]
fn messages_have_place_and_reason() {
    for (text, words) in [
        ("module {", "expected"),
        (&function("  return %y : tensor<2xf32>"), ":2:"),
        (&function("  return %y : tensor<2xf32>"), "use of undeclared SSA value name"),
        (
            &function("  %y = stablehlo.add %x, 5 : tensor<2xf32>\n  return %y : tensor<2xf32>"),
            ":2:25: expected SSA operand",
        ),
        // The verifier's.
        (
            &function(
                "  %y = \"stablehlo.reshape\"(%x) : (tensor<2xf32>) -> tensor<3xf32>\n  return %x : tensor<2xf32>",
            ),
            "number of output elements (3) doesn't match expected number of elements (2)",
        ),
        (&function("  return"), "has 0 operands, but enclosing function"),
        ("", "came nothing"),
    ] {
        let (message, is_unimplemented) = error(text);
        assert!(message.contains(words), "{message}");
        assert!(!is_unimplemented, "{message}");
    }
    let message = read(b"module \xff", Passes::None).expect_err("no program").to_string();
    assert!(message.contains("UTF-8"), "{message}");
}

#[test]
fn what_the_program_cannot_hold_is_named() {
    for (body, words) in [
        ("  %y = \"other.op\"(%x) : (tensor<2xf32>) -> tensor<2xf32>", "other.op"),
        ("  %y = arith.addf %x, %x : tensor<2xf32>", "arith.addf"),
        ("  %y = \"sdy.sharding_constraint\"(%x) {sharding = 1} : (tensor<2xf32>) -> tensor<2xf32>", "bytecode only"),
        ("  %y = \"other.op\"(%x) : (tensor<2xf32>) -> tensor<2xf32>", "(tensor<2xf32>) -> (tensor<2xf32>)"),
        ("  %y = \"other.op\"(%x) : (tensor<2xf32>) -> tensor<2xf32>", ":2"),
        // With a region, which MLIR's own passes on symbols do not survive.
        (
            "  %y = \"other.op\"(%x) ({ ^b(%z: tensor<2xf32>): \"other.end\"() : () -> () }) : (tensor<2xf32>) -> tensor<2xf32>",
            "other.op",
        ),
    ] {
        let (message, is_unimplemented) = error(&function(&format!("{body}\n  return %y : tensor<2xf32>")));
        assert!(is_unimplemented, "{message}");
        assert!(message.contains(words), "{message}");
    }
    let (message, is_unimplemented) =
        error("func.func @main(%x: vector<2xf32>) -> vector<2xf32> {\n  return %x : vector<2xf32>\n}");
    assert!(is_unimplemented && message.contains("vector<2xf32>"), "{message}");
}

#[test]
fn strings_of_any_bytes_are_survived() {
    // An attribute, a name and a location that are no UTF-8.
    let text = function(
        "  %y = stablehlo.add %x, %x {note = \"\\FF\\FE\"} : tensor<2xf32> loc(\"\\FF\":1:2)\n  return %y : tensor<2xf32>",
    );
    let program = read(text.as_bytes(), Passes::None).expect("a program");
    let note = program.functions[0].body.ops[0].attributes.get("note").expect("kept").to_string();
    assert!(note.contains("not UTF-8"), "{note}");
    let (message, _) =
        error(&function("  %y = \"other.\\FF\"(%x) : (tensor<2xf32>) -> tensor<2xf32>\n  return %y : tensor<2xf32>"));
    assert!(!message.is_empty());
}

#[test]
fn broken_bytecode_is_an_error() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/stablehlo-1.13/one_op.mlirbc");
    let bytes = std::fs::read(path).expect("a readable file");
    for length in (0..bytes.len()).step_by(7) {
        assert!(read(&bytes[..length], Passes::None).is_err(), "cut to {length} bytes");
    }
}
