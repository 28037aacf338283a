//! A calibration from a file: what `flexpaxos calibrate` wrote, or the manifest of a run.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{Calibration, Error, VERSION};

impl Calibration {
    /// The calibration in a file.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = fs::read_to_string(path)
            .map_err(|source| Error::File { path: path.to_owned(), source })?;
        Self::parse(&text).map_err(|reason| Error::NoCalibration { path: path.to_owned(), reason })
    }

    /// The calibration in a text, or what the text is instead.
    fn parse(text: &str) -> Result<Self, String> {
        let value: Value =
            serde_json::from_str(text).map_err(|error| format!("it is no JSON ({error})"))?;
        let is_manifest = value.get("table_schema_version").is_some();
        let found = match value.get("calibration") {
            Some(Value::Null) | None if is_manifest => {
                return Err("it is the manifest of a run without one, as all simulated are".into());
            }
            Some(within) => within.clone(),
            None => value,
        };
        match found.get("calibration_version").and_then(Value::as_u64) {
            Some(version) if version == u64::from(VERSION) => {}
            Some(version) => {
                return Err(format!("it is of version {version}, and this is version {VERSION}"));
            }
            None => return Err("it has no calibration_version".into()),
        }
        let read: Self =
            serde_json::from_value(found).map_err(|error| format!("it is not whole ({error})"))?;
        // Nothing measured would be simulated as no time at all.
        let needed = [&read.round_trips.quic_in_one_loop, &read.syncs.one];
        if needed.iter().any(|times| times.ns_p50.is_none()) {
            return Err("it measured no round trip of QUIC, or no sync".into());
        }
        Ok(read)
    }
}
