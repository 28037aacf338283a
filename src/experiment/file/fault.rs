//! `[[fault]]` as typed: when, exactly one kind, to whom, and how long.
//!
//! That exactly one kind is given is the plan's business: it can say which two there are.

use std::borrow::Cow;
use std::fmt;

use super::{Length, Spanned};
use crate::deployment::Unsynced;
use schemars::generate::SchemaGenerator;
use schemars::{JsonSchema, Schema, json_schema};
use serde::Deserialize;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{self, Deserializer, SeqAccess, Visitor};

/// Whom a fault is for, and where that stands.
pub type Who = Spanned<Names>;

/// Whom a fault is for: a region, a replica as `r2`, a part in the protocol as `leader`, or a list of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Names {
    /// One name.
    One(String),
    /// Several.
    Several(Vec<Spanned<String>>),
}

/// `[[fault]]`: something that goes wrong.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// When, from the start of the measured time.
    pub at: Option<Spanned<Length>>,
    /// Or after so many writes that were answered since then.
    pub after_writes: Option<Spanned<u64>>,
    /// How long it lasts; until the end if absent. A crash has `restart_after` instead.
    pub lasts: Option<Spanned<Length>>,
    /// These stop, and lose what they hold in memory.
    pub crash: Option<Who>,
    /// How long after its crash it is started again; never if absent.
    pub restart_after: Option<Spanned<Length>>,
    /// What becomes of what it gave to its disk and is not yet synced; it is lost if absent.
    pub unsynced: Option<Spanned<Unsynced>>,
    /// These do nothing for a while.
    pub pause: Option<Who>,
    /// Messages between these replicas and the other ones are lost.
    pub partition: Option<Who>,
    /// Messages in one direction are lost.
    pub cut: Option<Spanned<Cut>>,
    /// Messages in one direction take longer.
    pub slow: Option<Spanned<Slow>>,
    /// Some messages in one direction are lost.
    pub lose: Option<Spanned<Share>>,
    /// Some messages in one direction arrive twice.
    pub duplicate: Option<Spanned<Share>>,
    /// Messages in one direction overtake one another.
    pub reorder: Option<Spanned<Reorder>>,
    /// Every sync of their disks takes longer.
    pub slow_disk: Option<Spanned<SlowDisk>>,
    /// Their disks have no room: they stop, and are started again when it ends.
    pub full_disk: Option<Who>,
    /// These are told to lead.
    pub campaign: Option<Who>,
}

/// One direction between replicas.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cut {
    /// The senders.
    pub from: Who,
    /// The receivers.
    pub to: Who,
}

/// A direction, and how much longer messages take in it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Slow {
    /// The senders.
    pub from: Who,
    /// The receivers.
    pub to: Who,
    /// By how much.
    pub by: Length,
}

/// A direction, and the share of the messages in it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// The senders.
    pub from: Who,
    /// The receivers.
    pub to: Who,
    /// From 0 to 1.
    pub share: Spanned<f64>,
}

/// A direction, and how much later a message in it may be.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reorder {
    /// The senders.
    pub from: Who,
    /// The receivers.
    pub to: Who,
    /// The most that is added.
    pub spread: Length,
}

/// Some replicas, and how much longer their disks take.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlowDisk {
    /// Which.
    pub replica: Who,
    /// By how much.
    pub by: Length,
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NamesVisitor)
    }
}

struct NamesVisitor;

impl<'de> Visitor<'de> for NamesVisitor {
    type Value = Names;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a region, a replica such as `r2`, `leader`, or a list of them")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Names, E> {
        Ok(Names::One(name.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Names, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list)).map(Names::Several)
    }
}

impl JsonSchema for Names {
    fn schema_name() -> Cow<'static, str> {
        "Names".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A region, a replica as \"r2\", a part in the protocol (leader, phase1-quorum, \
                phase2-quorum, phase2-follower), or a list of them.",
            "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }],
        })
    }
}
