//! `docs/ops.md` says what the op table says. `JAX_MPS_BLESS=1 cargo test --test ops_document` writes it anew.

use std::collections::BTreeMap;
use std::path::Path;

use jax_mps::lower::{REFUSED, TABLE};

#[test]
fn document_is_that_of_the_table() {
    let mut rows = BTreeMap::new();
    for row in TABLE.iter().copied().flatten() {
        assert!(rows.insert(row.name, row.note).is_none(), "two rows for {}", row.name);
    }
    for inlined in ["async_done", "async_start", "call", "composite"] {
        rows.insert(inlined, "put in place before lowering");
    }
    rows.insert("constant", "");
    let mut text = String::from(
        "# Ops\n\nMade from the op table (`src/lower/mod.rs`) by `JAX_MPS_BLESS=1 cargo test --test ops_document`.\n\n\
         Element types: all that MLX stores (bool, integers of 8 to 64 bits, bf16, f16, f32, f64 on the CPU, complex64), \
         integers of 2 and 4 bits, and floats of 4, 6 and 8 bits as storage and by way of f32. complex128 is refused.\n\n\
         ## Supported\n\n| op | limits |\n|---|---|\n",
    );
    for (name, note) in &rows {
        text += &format!("| `{name}` | {note} |\n");
    }
    text += "\n## Refused when a program is compiled\n\n| op | why |\n|---|---|\n";
    for (name, why) in REFUSED {
        assert!(!rows.contains_key(name), "{name} is both supported and refused");
        text += &format!("| `{name}` | {why} |\n");
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ops.md");
    if std::env::var_os("JAX_MPS_BLESS").is_some() {
        std::fs::write(&path, &text).expect("docs can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == text, "docs/ops.md is not what the op table says: bless it");
}
