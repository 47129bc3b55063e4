//! `compiler_options` of `jax.jit`: XLA's names, checked as XLA checks them.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use super::error::{Code, Error};
use crate::proto::CompileOptionsProto;
use crate::proto::option_override_proto::Value;

/// Fields of xla::ExecutableBuildOptions that may be set by name: how hard to optimise. There is one way here.
const EFFORTS: [&str; 5] = [
    "exec_time_optimization_effort",
    "memory_fitting_effort",
    "optimization_level",
    "memory_fitting_level",
    "fdo_profile",
];

/// Fields of xla::DebugOptions begin like this. They steer XLA's own passes and say nothing about results, but for
/// precision, in which programs are exact here, and [`DUMP_TO`].
const DEBUG_OPTIONS: &str = "xla_";

/// The one among them that means something here: the folder for what becomes of this program.
pub(super) const DUMP_TO: &str = "xla_dump_to";

/// Those among them whose type is known here to be bool.
const BOOLEANS: [&str; 8] = [
    "xla_allow_excess_precision",
    "xla_cpu_enable_fast_math",
    "xla_disable_all_hlo_passes",
    "xla_dump_hlo_as_proto",
    "xla_dump_hlo_as_text",
    "xla_embed_ir_in_executable",
    "xla_gpu_enable_triton_gemm",
    "xla_hlo_profile",
];

/// Checks names, and values as far as their types are known.
///
/// # Errors
/// INVALID_ARGUMENT for an option that XLA does not have either, or a value of another type.
pub(super) fn check(options: &CompileOptionsProto) -> Result<(), Error> {
    for (name, value) in &options.env_option_overrides {
        if EFFORTS.contains(&name.as_str()) {
            continue;
        }
        if !name.starts_with(DEBUG_OPTIONS) {
            return Err(Error::new(Code::InvalidArgument, format!("No such compile option: '{name}'")));
        }
        if name == DUMP_TO {
            let wrong = |value: &dyn std::fmt::Display| Err(not_of_type(name, &value.to_string(), "string"));
            match &value.value {
                Some(Value::StringField(_)) | None => continue,
                Some(Value::BoolField(value)) => return wrong(value),
                Some(Value::IntField(value)) => return wrong(value),
                Some(Value::DoubleField(value)) => return wrong(value),
            }
        }
        if BOOLEANS.contains(&name.as_str()) {
            match &value.value {
                Some(Value::StringField(text)) if text != "true" && text != "false" => {
                    return Err(not_of_type(name, &format!("'{text}'"), "bool"));
                }
                Some(Value::IntField(number)) => return Err(not_of_type(name, &number.to_string(), "bool")),
                Some(Value::DoubleField(number)) => return Err(not_of_type(name, &number.to_string(), "bool")),
                Some(Value::BoolField(_) | Value::StringField(_)) | None => {}
            }
        }
        if BOOLEANS.contains(&name.as_str()) {
            tracing::debug!("compile option {name} has no meaning on mps");
        } else {
            warn_once(name);
        }
    }
    Ok(())
}

/// Tells of an option that may be XLA's, and may be a slip of the pen: once, since programs are compiled by the hundred.
fn warn_once(name: &str) {
    static TOLD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if TOLD.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned()) {
        tracing::warn!("compile option {name} is not known on mps, and is ignored");
    }
}

fn not_of_type(name: &str, value: &str, ty: &str) -> Error {
    Error::new(Code::InvalidArgument, format!("While setting option '{name}', {value} is not a valid {ty} value."))
}

/// The folder of [`DUMP_TO`].
pub(super) fn dump_to(options: &CompileOptionsProto) -> Option<&str> {
    match &options.env_option_overrides.get(DUMP_TO)?.value {
        Some(Value::StringField(folder)) => Some(folder),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::OptionOverrideProto;

    fn checked(name: &str, value: Value) -> Result<(), String> {
        let mut options = CompileOptionsProto::default();
        options.env_option_overrides.insert(name.into(), OptionOverrideProto { value: Some(value) });
        check(&options).map_err(|error| error.message)
    }

    #[test]
    fn names_and_values_are_checked() {
        assert!(checked("optimization_level", Value::IntField(1)).is_ok());
        assert!(checked("xla_gpu_autotune_level", Value::IntField(1)).is_ok());
        assert!(checked("xla_embed_ir_in_executable", Value::BoolField(true)).is_ok());
        assert!(checked("xla_embed_ir_in_executable", Value::StringField("false".into())).is_ok());
        let unknown = checked("invalid_key", Value::StringField("x".into())).unwrap_err();
        assert_eq!(unknown, "No such compile option: 'invalid_key'");
        let wrong = checked("xla_embed_ir_in_executable", Value::StringField("x".into())).unwrap_err();
        assert!(wrong.ends_with("is not a valid bool value."), "{wrong}");
        assert!(checked("xla_dump_to", Value::StringField("folder".into())).is_ok());
        let wrong = checked("xla_dump_to", Value::IntField(5)).unwrap_err();
        assert_eq!(wrong, "While setting option 'xla_dump_to', 5 is not a valid string value.");
    }
}
