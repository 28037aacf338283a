//! `[[expect]]`: a prediction in a form that can be judged.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Spanned;

/// `[[expect]]`: a prediction, judged by the same statistics as every difference.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// The prediction, as `flex-4-2.p50 < multi.p50 in us-east-1`, `multi.p50 - floor < 3ms` or
    /// `a.away - b.away within 100ms`.
    pub that: Spanned<String>,
    /// Why it is expected.
    #[serde(default)]
    pub because: String,
}
