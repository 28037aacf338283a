//! The tables of a run: all of them in one pass over its finished trials.

use serde::Serialize;

use crate::findings::rows::Rows;
use crate::measure::Store;
use crate::measure::rows::{
    HistoryRow, LatencyRow, LinkRow, MemberRow, PercentileRow, PhaseRow, RecoveryRow, TimelineRow,
    TrialRow,
};
use crate::measure::store::{Error, Table};

/// The tables of a run while they are written.
pub(super) struct Tables<'a> {
    store: &'a Store,
    /// The names of the swept keys: their last columns.
    more: &'a [String],
    latency: Table<LatencyRow>,
    phases: Table<PhaseRow>,
    percentiles: Table<PercentileRow>,
    timeline: Table<TimelineRow>,
    members: Table<MemberRow>,
    histories: Table<HistoryRow>,
    /// A run that measured none has no such table.
    links: Option<Table<LinkRow>>,
    /// Nor a run without a fault this one.
    recovery: Option<Table<RecoveryRow>>,
    trials: Table<TrialRow>,
}

impl<'a> Tables<'a> {
    pub(super) fn begin(store: &'a Store, more: &'a [String]) -> Result<Self, Error> {
        Ok(Self {
            store,
            more,
            latency: store.table("latency.csv", more)?,
            phases: store.table("phases.csv", more)?,
            percentiles: store.table("percentiles.csv", more)?,
            timeline: store.table("timeline.csv", more)?,
            members: store.table("members.csv", more)?,
            histories: store.table("histories.csv", more)?,
            links: None,
            recovery: None,
            trials: store.table("trials.csv", more)?,
        })
    }

    /// Adds the rows of a finished trial; with the values of the swept keys, as typed.
    pub(super) fn add(&mut self, rows: &Rows, cells: &[String]) -> Result<(), Error> {
        add_all(&mut self.latency, &rows.latency, cells)?;
        add_all(&mut self.phases, &rows.phases, cells)?;
        add_all(&mut self.percentiles, &rows.percentiles, cells)?;
        add_all(&mut self.timeline, &rows.timeline, cells)?;
        add_all(&mut self.members, &rows.members, cells)?;
        add_all(&mut self.histories, &rows.histories, cells)?;
        if self.links.is_none() && !rows.links.is_empty() {
            self.links = Some(self.store.table("links.csv", self.more)?);
        }
        if let Some(links) = &mut self.links {
            add_all(links, &rows.links, cells)?;
        }
        if self.recovery.is_none() && !rows.recovery.is_empty() {
            self.recovery = Some(self.store.table("recovery.csv", self.more)?);
        }
        if let Some(recovery) = &mut self.recovery {
            add_all(recovery, &rows.recovery, cells)?;
        }
        self.trials.add(&rows.trial, cells)?;
        Ok(())
    }

    pub(super) fn finish(self) -> Result<(), Error> {
        self.latency.finish()?;
        self.phases.finish()?;
        self.percentiles.finish()?;
        self.timeline.finish()?;
        self.members.finish()?;
        self.histories.finish()?;
        self.links.map(Table::finish).transpose()?;
        self.recovery.map(Table::finish).transpose()?;
        // Last: a trial that is in it has all its rows elsewhere.
        self.trials.finish()?;
        Ok(())
    }
}

fn add_all<T: Serialize + Default>(
    table: &mut Table<T>,
    rows: &[T],
    cells: &[String],
) -> Result<(), Error> {
    rows.iter().try_for_each(|row| table.add(row, cells))
}
