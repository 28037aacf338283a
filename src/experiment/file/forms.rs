//! Values of an experiment file that may be typed in more than one way, or have a notation of their own.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::time::Duration;

use schemars::generate::SchemaGenerator;
use schemars::{JsonSchema, Schema, json_schema};
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};

use super::spanned::Spanned;

/// A length of time with its unit: `"2s"`, `"250ms"`, `"1m 30s"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Length(pub Duration);

/// Where the replicas are.
#[derive(Clone, Debug)]
pub enum Replicas {
    /// Each in its region.
    In(Vec<Spanned<String>>),
    /// So many, called `r0`, `r1` and so on, where names are free.
    Count(Spanned<usize>),
}

/// A client region, and its part of the load.
#[derive(Clone, Debug)]
pub struct Client {
    /// The region.
    pub region: String,
    /// Where the region stands, if it is in a table of its own.
    at: Option<Range<usize>>,
    /// Its part of the load in proportion to those of the others, above 0; 1 if absent.
    pub weight: Option<Spanned<f64>>,
}

impl Client {
    /// Where the region of a client stands.
    pub fn region_at(typed: &Spanned<Self>) -> Range<usize> {
        typed.get_ref().at.clone().unwrap_or_else(|| typed.span())
    }
}

/// The schema of `[sweep]`: any keys of the file, which its reader knows.
#[derive(Debug)]
pub(super) struct Sweep;

/// A replica in a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Member {
    /// By its region, or its number as `r2`.
    Region(String),
    /// By its position in `topology.replicas`, from 0.
    Index(usize),
}

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let length = humantime::parse_duration(&text).map_err(|error| {
            de::Error::custom(format!("`{text}` is no length of time: {error}"))
        })?;
        Ok(Self(length))
    }
}

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MemberVisitor)
    }
}

impl<'de> Deserialize<'de> for Replicas {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ReplicasVisitor)
    }
}

struct ReplicasVisitor;

impl<'de> Visitor<'de> for ReplicasVisitor {
    type Value = Replicas;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of regions, or `{ count = 5 }`")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Replicas, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list)).map(Replicas::In)
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Replicas, A::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            count: Spanned<usize>,
        }
        let table = Table::deserialize(MapAccessDeserializer::new(table))?;
        Ok(Replicas::Count(table.count))
    }
}

struct MemberVisitor;

impl Visitor<'_> for MemberVisitor {
    type Value = Member;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the region of a replica, or its position from 0")
    }

    fn visit_str<E: de::Error>(self, region: &str) -> Result<Member, E> {
        Ok(Member::Region(region.to_owned()))
    }

    fn visit_i64<E: de::Error>(self, index: i64) -> Result<Member, E> {
        let invalid = |_| E::invalid_value(de::Unexpected::Signed(index), &self);
        usize::try_from(index).map(Member::Index).map_err(invalid)
    }
}

impl<'de> Deserialize<'de> for Client {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ClientVisitor)
    }
}

struct ClientVisitor;

impl<'de> Visitor<'de> for ClientVisitor {
    type Value = Client;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a region, or `{ region = \"…\", weight = 2 }`")
    }

    fn visit_str<E: de::Error>(self, region: &str) -> Result<Client, E> {
        Ok(Client { region: region.to_owned(), at: None, weight: None })
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Client, A::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            region: Spanned<String>,
            weight: Option<Spanned<f64>>,
        }
        let Table { region, weight } = Table::deserialize(MapAccessDeserializer::new(table))?;
        Ok(Client { at: Some(region.span()), region: region.into_inner(), weight })
    }
}

/// Implements the schema of a type that is described where it is used.
macro_rules! schema {
    ($type:ty, $name:literal, $schema:tt) => {
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

schema!(Length, "Length", {
    "description": "A length of time with its unit: \"2s\", \"250ms\", \"1m 30s\".",
    "type": "string",
    "pattern": "^\\s*[0-9]",
});

schema!(Replicas, "Replicas", {
    "description": "Where the replicas are: a list of regions, or how many, called r0, r1 and so on.",
    "anyOf": [
        { "type": "array", "items": { "type": "string" } },
        {
            "type": "object",
            "properties": { "count": { "type": "integer", "minimum": 1, "maximum": 64 } },
            "required": ["count"],
            "additionalProperties": false,
        },
    ],
});

schema!(Client, "Client", {
    "description": "A client region, with its part of the load in proportion to the others if it is not 1.",
    "anyOf": [
        { "type": "string" },
        {
            "type": "object",
            "properties": {
                "region": { "type": "string", "description": "The region." },
                "weight": {
                    "type": "number",
                    "exclusiveMinimum": 0,
                    "description": "Its part of the load in proportion to those of the others; 1 if absent.",
                },
            },
            "required": ["region"],
            "additionalProperties": false,
        },
    ],
});

schema!(Member, "Member", {
    "description": "A replica: its region, its number as \"r2\", or its position from 0.",
    "anyOf": [{ "type": "string" }, { "type": "integer", "minimum": 0 }],
});

schema!(Sweep, "Sweep", {
    "description": "Any of the other keys, each with a list of values or a range: \
        { from = 1, to = 5, step = 1 }. Several [[sweep]] tables are the union of their grids.",
    "anyOf": [{ "type": "object" }, { "type": "array", "items": { "type": "object" } }],
});
