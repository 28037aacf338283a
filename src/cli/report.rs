//! `flexpaxos report`: one page, figures and exports, from results folders alone.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::show::{absent, unreadable};
use super::{Exit, Failure, write_file};
use crate::report::figure::{self, Data, Styles};
use crate::report::folder::Results;
use crate::report::page::provenance::Provenance;
use crate::report::{export, page};

/// The name of the page in a results folder.
pub(super) const PAGE: &str = "report.html";

/// Writes one page with the verdict, the figures and the evidence of a results folder.
///
/// The page is one file that loads nothing, so it can be handed on. It is made from the folder alone. Without `-o` it
/// replaces `report.html` in the folder, which `run` wrote.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  flexpaxos report results/quickstart/reference -o quickstart.html
  flexpaxos report results/failover/reference --export figures/
  flexpaxos report results/failover/reference --figure trade-off -o trade-off.svg")]
pub(super) struct Report {
    /// The results folders; several of them need no `-o`: each gets its own page.
    #[arg(required = true)]
    folders: Vec<PathBuf>,

    /// Writes the page to this file; `-` is stdout.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Writes all figures into this folder instead: SVG, PDF, a table for each, and programs that draw them with
    /// matplotlib and pgfplots.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["output", "figure"])]
    export: Option<PathBuf>,

    /// The variant that the others are compared with; the first of the experiment if absent.
    #[arg(long, value_name = "VARIANT")]
    baseline: Option<String>,

    /// Writes this figure alone, as SVG, or as PDF if the name of the file ends so.
    #[arg(long, value_name = "NAME", requires = "output")]
    figure: Option<String>,
}

impl Report {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<Exit, Failure> {
        if self.folders.len() > 1 && (self.output.is_some() || self.export.is_some()) {
            let help = "name one folder, or leave out --output and --export: each folder gets its own page";
            return Err(Failure::request(
                "one file cannot hold the pages of several folders",
                help,
            ));
        }
        if let Some(name) = &self.baseline {
            // Before the first page is written.
            self.folders.iter().try_for_each(|folder| check_baseline(name, folder))?;
        }
        for folder in &self.folders {
            self.one(folder, out)?;
        }
        Ok(Exit::Done)
    }

    fn one(&self, folder: &Path, out: &mut dyn Write) -> Result<(), Failure> {
        if !folder.is_dir() {
            return Err(absent(folder));
        }
        let results = Results::read(folder).map_err(|error| unreadable(&error))?;
        let data = Data::read(folder, &results, self.baseline.as_deref())
            .map_err(|error| unreadable(&error))?;
        if let Some(to) = &self.export {
            return export_to(&data, to, out);
        }
        if let (Some(name), Some(to)) = (&self.figure, &self.output) {
            return one_figure(&data, name, to);
        }
        let provenance = Provenance::read(folder).map_err(|error| unreadable(&error))?;
        let text = page::html(&data, &provenance);
        match &self.output {
            Some(to) if to == Path::new("-") => out.write_all(text.as_bytes())?,
            Some(to) => write_file(to, &text)?,
            None => {
                let to = folder.join(PAGE);
                write_file(&to, &text)?;
                writeln!(out, "{}", to.display())?;
            }
        }
        Ok(())
    }
}

/// Refuses a baseline that the run does not have.
fn check_baseline(name: &str, folder: &Path) -> Result<(), Failure> {
    if !folder.is_dir() {
        return Err(absent(folder));
    }
    let results = Results::read(folder).map_err(|error| unreadable(&error))?;
    let names = results.outline.variant_names();
    if names.contains(&name) {
        return Ok(());
    }
    Err(Failure::request(
        format!("{} has no variant `{name}`", folder.display()),
        format!("its variants are {}", names.join(", ")),
    ))
}

/// Writes the page of a folder into it, and says where it is.
pub(super) fn write_page(folder: &Path) -> Result<PathBuf, Failure> {
    let results = Results::read(folder).map_err(|error| unreadable(&error))?;
    let data = Data::read(folder, &results, None).map_err(|error| unreadable(&error))?;
    let provenance = Provenance::read(folder).map_err(|error| unreadable(&error))?;
    let to = folder.join(PAGE);
    write_file(&to, &page::html(&data, &provenance))?;
    Ok(to)
}

fn export_to(data: &Data<'_>, to: &Path, out: &mut dyn Write) -> Result<(), Failure> {
    let styles = Styles::new(data.variants());
    let written = export::export(&figure::all(data), &styles, to).map_err(|error| {
        let is_request = matches!(&error, export::Error::Write { source, .. }
            if matches!(source.kind(), ErrorKind::NotADirectory | ErrorKind::AlreadyExists));
        let failure =
            Failure::world(&error, "name a folder that can be written, with room for the figures");
        Failure { exit: if is_request { Exit::Request } else { Exit::World }, ..failure }
    })?;
    for path in written {
        writeln!(out, "{}", path.display())?;
    }
    Ok(())
}

fn one_figure(data: &Data<'_>, name: &str, to: &Path) -> Result<(), Failure> {
    let figures = figure::all(data);
    let styles = Styles::new(data.variants());
    let Some(found) = figures.iter().find(|figure| figure.name == name) else {
        let names: Vec<&str> = figures.iter().map(|figure| figure.name).collect();
        let help = format!("this folder has the data for {}", names.join(", "));
        return Err(Failure::request(format!("there is no figure {name} of this folder"), help));
    };
    let ending = to.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    if ending != "svg" && ending != "pdf" {
        let message = format!("a figure is SVG or PDF, and {} is neither", to.display());
        return Err(Failure::request(message, "let the name of the file end with .svg or .pdf"));
    }
    if ending == "pdf" {
        let bytes = figure::draw::pdf(found, &styles)
            .map_err(|error| Failure::world(&error, "write it as SVG instead"))?;
        return super::write_bytes(to, &bytes);
    }
    write_file(to, &figure::draw::svg(found, &styles))
}
