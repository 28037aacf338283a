//! `[[fault]]` as typed: when, exactly one harm, and how long.
//!
//! A replica is named by its region, or as `leader`: whoever is configured to lead in a variant.
//! That exactly one harm is given is the plan's business: it can say which two there are.

use serde::Deserialize;
use toml::Spanned;

use super::Length;
use crate::deployment::Unsynced;

/// A replica: its region, or `leader`.
pub type Name = Spanned<String>;

/// Some replicas.
pub type Names = Spanned<Vec<Name>>;

/// `[[fault]]`: something that goes wrong.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// When, from the start of the measured time.
    pub at: Spanned<Length>,
    /// How long it lasts; until the end if absent. A crash has `restart_after` instead.
    pub lasts: Option<Spanned<Length>>,
    /// This replica stops, and loses what it holds in memory.
    pub crash: Option<Name>,
    /// How long after its crash it is started again; never if absent.
    pub restart_after: Option<Spanned<Length>>,
    /// What becomes of what it gave to its disk and is not yet synced; it is lost if absent.
    pub unsynced: Option<Spanned<Unsynced>>,
    /// This replica does nothing for a while.
    pub pause: Option<Name>,
    /// Messages between these replicas and the other ones are lost.
    pub partition: Option<Names>,
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
    /// Every sync of one disk takes longer.
    pub slow_disk: Option<Spanned<SlowDisk>>,
    /// This replica is told to lead.
    pub campaign: Option<Name>,
}

/// One direction between replicas.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cut {
    /// The senders.
    pub from: Names,
    /// The receivers.
    pub to: Names,
}

/// A direction, and how much longer messages take in it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slow {
    /// The senders.
    pub from: Names,
    /// The receivers.
    pub to: Names,
    /// By how much.
    pub by: Length,
}

/// A direction, and the share of the messages in it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// The senders.
    pub from: Names,
    /// The receivers.
    pub to: Names,
    /// From 0 to 1.
    pub share: Spanned<f64>,
}

/// A direction, and how much later a message in it may be.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reorder {
    /// The senders.
    pub from: Names,
    /// The receivers.
    pub to: Names,
    /// The most that is added.
    pub spread: Length,
}

/// A replica, and how much longer its disk takes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlowDisk {
    /// Which.
    pub replica: Name,
    /// By how much.
    pub by: Length,
}
