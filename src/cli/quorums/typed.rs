//! Systems typed on the command line: read as the variants of a small experiment file, so that their words
//! and their mistakes are those of a file.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::super::unmeasured;
use super::{Failure, Judged, names_of};
use crate::experiment::file::Source;
use crate::experiment::plan::systems as planned;

/// The systems, over `n` replicas or those in `replicas`.
pub(super) fn systems(
    typed: &[String],
    n: Option<usize>,
    replicas: &[String],
    profile: &str,
) -> Result<Vec<Judged>, Failure> {
    let (profile, places, client) = match (n, replicas.first()) {
        (Some(n), _) => ("lan", format!("{{ count = {n} }}"), "r0"),
        (None, first) => (profile, format!("{replicas:?}"), first.map_or("", String::as_str)),
    };
    let mut text = format!(
        "question = \"-\"\nprediction = \"-\"\n\n[topology]\nprofile = {profile:?}\nreplicas = {places}\n\
         clients = [{client:?}]\n\n[workload]\narrival = {{ closed = {{ clients = 1 }} }}\n\
         duration = \"1s\"\n"
    );
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    let mut names = Vec::new();
    for system in typed {
        let kind = system.split('=').next().unwrap_or_default().trim();
        let count = kinds.entry(kind).or_default();
        *count += 1;
        let name = if *count == 1 { kind.to_owned() } else { format!("{kind}-{count}") };
        let settings = if system.contains('=') { system.clone() } else { format!("{kind} = {{}}") };
        write!(
            text,
            "\n[[variant]]\nname = {name:?}\nprotocol = {{ multi = {{ leader = \"best\" }} }}\n\
             quorums = {{ {settings} }}\n"
        )
        .expect("a String takes all");
        names.push((name, settings));
    }
    let source = Source { path: "the command line".into(), text };
    let (links, found) = planned(&source)?;
    let is_placed = n.is_none();
    if is_placed && links.is_native() {
        return Err(unmeasured());
    }
    let judged = found.into_iter().zip(names).map(|((_, system), (name, settings))| Judged {
        system,
        name,
        replicas: names_of(&links),
        regions: is_placed.then(|| links.replica_regions.clone()),
        users: vec![settings],
        links: is_placed.then(|| links.clone()),
    });
    Ok(judged.collect())
}
