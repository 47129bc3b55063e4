//! The platform's name, and the options of its client.

use super::call::Result;
use super::named_value::Value;
use crate::runtime::{ClientOptions, Code, Error};

/// The name of the platform on every machine; the kind of device tells what it is.
pub(super) const PLATFORM_NAME: &str = "mps";

/// The options that a caller passes for a client or for the topology of one.
pub(super) fn client_options(values: Vec<(String, Value)>) -> Result<ClientOptions> {
    let mut options = ClientOptions::default();
    for (name, value) in values {
        match (name.as_str(), value) {
            ("device", Value::String(device)) => options.device = Some(device),
            // What jax.distributed adds for every platform.
            ("node_id" | "partition_index", Value::Int64(_)) => {}
            ("num_nodes", Value::Int64(nodes)) if nodes <= 1 => {}
            ("num_nodes", Value::Int64(nodes)) => {
                let message = format!("mps runs in one process, not in {nodes}");
                return Err(Error::new(Code::Unimplemented, message));
            }
            (name, value) => {
                let message = format!("option {name} of the mps client: expected device (cpu or gpu), not {value:?}");
                return Err(Error::new(Code::InvalidArgument, message));
            }
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_known_by_name() {
        let options = client_options(vec![
            ("device".into(), Value::String("cpu".into())),
            ("num_nodes".into(), Value::Int64(1)),
            ("node_id".into(), Value::Int64(0)),
        ]);
        assert_eq!(options.unwrap().device.as_deref(), Some("cpu"));
        let unknown = client_options(vec![("memory_fraction".into(), Value::Float(0.5))]).unwrap_err();
        assert_eq!(unknown.code, Code::InvalidArgument);
        assert!(unknown.message.contains("memory_fraction"));
        let distributed = client_options(vec![("num_nodes".into(), Value::Int64(2))]).unwrap_err();
        assert_eq!(distributed.code, Code::Unimplemented);
    }
}
