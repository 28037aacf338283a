//! The JSON schema of experiment files, for editors: from the same types that read them.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::File;

/// The schema, of the draft 2020-12.
///
/// It knows keys, types and kinds.
/// What a file means, such as whether its quorums meet, is judged by the plan alone.
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().for_deserialize();
    let mut schema = settings.into_generator().into_root_schema_for::<File>();
    schema.insert("title".to_owned(), "An experiment of flexpaxos".into());
    schema.to_value()
}
