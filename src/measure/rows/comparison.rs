//! The rows of `comparison.csv` and `expectations.csv`: what follows from all trials of a run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A difference with its verdict: a row of `comparison.csv`.
///
/// A ratio is the candidate over the baseline: 1.05 is 5 % more.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ComparisonRow {
    /// Whose false alarms are counted together: `load, live`, `failover, sim`.
    pub family: String,
    /// `live` or `sim`.
    pub backend: String,
    /// What is swept, and its values here; empty if nothing is, or if points are compared.
    pub point: String,
    /// The variant's name, that of the candidate if variants are compared.
    pub variant: String,
    /// What the candidate is compared with: a variant, a point or a folder.
    pub baseline: String,
    /// What is compared.
    pub candidate: String,
    /// Where the clients are; empty for quantities of the cluster.
    pub client_region: String,
    /// The kind of operation; empty for quantities of a fault.
    pub operation: String,
    /// Which fault of the experiment, from 1; empty without one.
    pub fault: Option<u32>,
    /// What is compared of them: `p50`, `throughput`, `away` and so on.
    pub quantity: String,
    /// `better`, `worse`, `inside-noise` or `not-comparable`.
    pub verdict: String,
    /// Why it cannot be compared; empty if it can.
    pub reason: String,
    /// How many repeats have both values.
    pub repeat_count: Option<u64>,
    /// Whether the values of one repeat form a pair.
    pub is_paired: Option<bool>,
    /// The geometric mean of the baseline, where it is a time.
    pub baseline_ns_mean: Option<u64>,
    /// That of the candidate.
    pub candidate_ns_mean: Option<u64>,
    /// The geometric mean of the baseline, where it is a throughput.
    pub baseline_per_s_mean: Option<f64>,
    /// That of the candidate.
    pub candidate_per_s_mean: Option<f64>,
    /// The geometric mean of the baseline, where it counts attempts.
    pub baseline_per_write_mean: Option<f64>,
    /// That of the candidate.
    pub candidate_per_write_mean: Option<f64>,
    /// The candidate over the baseline.
    pub ratio: Option<f64>,
    /// The lower end of its 95 % interval, by Student's t.
    pub ratio_low: Option<f64>,
    /// The upper end.
    pub ratio_high: Option<f64>,
    /// The standard deviation of the logarithm of the ratio between repeats.
    pub log_ratio_sd: Option<f64>,
    /// The p-value of the difference alone.
    pub p_value: Option<f64>,
    /// The same with Holm's correction over the family.
    pub p_value_holm: Option<f64>,
    /// The least true ratio above 1 that is found four times in five at the strictest level of the family.
    pub detectable_ratio: Option<f64>,
    /// How often this many repeats find a true difference of 1 %, at that level and with this spread.
    pub power_for_1_percent_share: Option<f64>,
    /// How often they find a true difference of 3 %.
    pub power_for_3_percent_share: Option<f64>,
    /// How often they find a true difference of 5 %.
    pub power_for_5_percent_share: Option<f64>,
    /// How many repeats would find a true difference of 1 % four times in five; empty above 10,000.
    pub needed_for_1_percent_count: Option<u64>,
    /// How many would find a true difference of 3 %; empty above 10,000.
    pub needed_for_3_percent_count: Option<u64>,
    /// How many would find a true difference of 5 %; empty above 10,000.
    pub needed_for_5_percent_count: Option<u64>,
    /// The p-value of the exact sign-flip test; from six pairs on.
    pub p_value_sign_flip: Option<f64>,
    /// The Hodges-Lehmann estimate of the ratio; from six pairs on.
    pub hodges_lehmann_ratio: Option<f64>,
    /// Trials, of both sides, with a queue of the machine in their latencies.
    pub saturated_count: Option<u64>,
}

/// A prediction at one place, judged: a row of `expectations.csv`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExpectationRow {
    /// The prediction.
    pub that: String,
    /// Why it was made.
    pub because: String,
    /// `live` or `sim`.
    pub backend: String,
    /// What is swept, and its values here; empty if nothing is.
    pub point: String,
    /// Where the clients are; empty if it is about none.
    pub client_region: String,
    /// Which fault of the experiment, from 1; empty without one.
    pub fault: Option<u32>,
    /// `held`, `refuted`, `inside-noise` or `not-judged`.
    pub ruling: String,
    /// Why it is not judged; empty if it is.
    pub reason: String,
    /// How many repeats have all its values.
    pub repeat_count: Option<u64>,
    /// What is judged: the left side over the right side.
    pub value_ratio: Option<f64>,
    /// The lower end of its 95 % interval.
    pub value_ratio_low: Option<f64>,
    /// The upper end.
    pub value_ratio_high: Option<f64>,
    /// Or the left side, less the right side unless that is a number.
    pub value_ns: Option<i64>,
    /// The lower end of its 95 % interval.
    pub value_ns_low: Option<i64>,
    /// The upper end.
    pub value_ns_high: Option<i64>,
    /// The same of a throughput.
    pub value_per_s: Option<f64>,
    /// The lower end of its 95 % interval.
    pub value_per_s_low: Option<f64>,
    /// The upper end.
    pub value_per_s_high: Option<f64>,
    /// The same of attempts.
    pub value_per_write: Option<f64>,
    /// The lower end of its 95 % interval.
    pub value_per_write_low: Option<f64>,
    /// The upper end.
    pub value_per_write_high: Option<f64>,
    /// What a ratio is held to.
    pub bound_ratio: Option<f64>,
    /// What a time is held to.
    pub bound_ns: Option<i64>,
    /// What a throughput is held to.
    pub bound_per_s: Option<f64>,
    /// What attempts are held to.
    pub bound_per_write: Option<f64>,
    /// The p-value, with Holm's correction over the predictions of the experiment.
    pub p_value_holm: Option<f64>,
}
