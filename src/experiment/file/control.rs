//! `[control]`: operations that no quorum can make faster or slower.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Spanned;

/// `[control]`: operations beside the load that no quorum can make faster or slower.
///
/// What they gain from one variant to another is the noise of the machine and of the way.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// Whether there are operations that the replica which a client asks answers at once, without a quorum, a
    /// log or a disk.
    #[serde(rename = "no-quorum")]
    pub no_quorum: Spanned<bool>,
    /// How many each client region begins in a second; 10 if absent.
    pub rate_per_s: Option<Spanned<f64>>,
}
