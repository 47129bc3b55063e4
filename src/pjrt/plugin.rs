//! The plugin itself: what is asked before there is a client.

use pjrt_sys::{PJRT_Plugin_Attributes_Args, PJRT_Plugin_Initialize_Args};

use super::named_value::{Constants, int64_list};
use crate::runtime::{NEWEST_STABLEHLO, OLDEST_STABLEHLO};

/// The form of Shardy's attributes that jaxlib is asked for: the oldest.
const SDY_VERSION: [i64; 3] = [0, 0, 1];

/// jaxlib serialises programs to the current version that is reported here. There is no `xla_version`: JAX takes the absence for a plugin without XLA, and only numbers for versions.
static ATTRIBUTES: Constants<3> = Constants([
    int64_list(c"stablehlo_current_version", &NEWEST_STABLEHLO.0),
    int64_list(c"stablehlo_minimum_version", &OLDEST_STABLEHLO.0),
    int64_list(c"sdy_current_version", &SDY_VERSION),
]);

entry! {
    /// Setting up once: nothing to do.
    PJRT_Plugin_Initialize(_args: PJRT_Plugin_Initialize_Args) {
        Ok(())
    }
}

entry! {
    /// The attributes of the plugin.
    PJRT_Plugin_Attributes(args: PJRT_Plugin_Attributes_Args) {
        args.attributes = ATTRIBUTES.0.as_ptr();
        args.num_attributes = ATTRIBUTES.0.len();
        Ok(())
    }
}
