//! Quorum systems as JSON and CSV.

use std::io::Write;

use serde_json::{Value, json};

use super::words::kind;
use super::{Failure, Judged};
use crate::quorum::NodeSet;
use crate::topology::worth::{Lost, Worth, leaders, losses};

pub(super) fn json(out: &mut dyn Write, all: &[Judged], worth: &[Worth]) -> Result<(), Failure> {
    let systems: Vec<Value> =
        all.iter().zip(worth).map(|(judged, worth)| system(judged, worth)).collect();
    writeln!(out, "{:#}", Value::from(systems))?;
    Ok(())
}

fn system(judged: &Judged, worth: &Worth) -> Value {
    let names = |set: NodeSet| set.iter().map(|node| judged.replica(node)).collect::<Vec<_>>();
    let disjoint = judged.system.disjoint();
    let phase = |index: usize| {
        let phase = &worth.phases[index];
        json!({
            "size_min": phase.sizes.0,
            "size_max": phase.sizes.1,
            "minimal_count": phase.minimal.map(|count| count.to_string()),
            "crashes_survived": phase.survived,
            "load": phase.load,
            "capacity": phase.load.map(|load| 1.0 / load),
            "available": phase.available,
        })
    };
    let mut value = json!({
        "name": judged.name,
        "kind": kind(&judged.system),
        "n": judged.system.n(),
        "replicas": judged.replicas,
        "roles": NodeSet::all(judged.system.n()).iter().map(|it| judged.system.role(it)).collect::<Vec<_>>(),
        "is_safe": disjoint.is_none(),
        "disjoint": disjoint.map(|it| json!({ "phase1": names(it.phase1), "phase2": names(it.phase2) })),
        "phase1": phase(0),
        "phase2": phase(1),
        "available": worth.available,
        "voters": names(worth.voters),
        "messages_thrifty": worth.messages[0],
        "messages_all": worth.messages[1],
    });
    if let Some(links) = &judged.links {
        let leader = |it: &crate::topology::worth::Leader| {
            json!({
                "replica": judged.replica(it.node),
                "takeover_ns": it.takeover.map(|span| span.0),
                "commit_ns": it.commit.map(|span| span.0),
            })
        };
        let all = leaders(links, &judged.system);
        value["leaders"] = all.iter().map(leader).collect();
        let lost = losses(links, &judged.system).into_iter().map(|loss| {
            json!({
                "region": loss.region,
                "has_phase2": loss.has_phase2,
                "next": loss.next.iter().map(leader).collect::<Vec<_>>(),
            })
        });
        value["losses"] = lost.collect();
    }
    value
}

pub(super) fn csv(out: &mut dyn Write, all: &[Judged], worth: &[Worth]) -> Result<(), Failure> {
    let mut table = csv::Writer::from_writer(out);
    let header = "system,kind,n,is_safe,q1_min,q1_max,q2_min,q2_max,q1_count,q2_count,crashes_survived1,\
                  crashes_survived2,load1,load2,available1,available2,available,messages_thrifty,messages_all,\
                  regions,regions_survived,commit_ns_best,takeover_ns_best,takeover_ns_worst";
    table.write_record(header.split(','))?;
    for (judged, worth) in all.iter().zip(worth) {
        let [first, second] = &worth.phases;
        // What is unknown is empty.
        let text = |value: Option<String>| value.unwrap_or_default();
        let number = |value: Option<f64>| text(value.map(|value| value.to_string()));
        let row = [
            judged.name.clone(),
            kind(&judged.system).to_owned(),
            judged.system.n().to_string(),
            judged.system.disjoint().is_none().to_string(),
            first.sizes.0.to_string(),
            first.sizes.1.to_string(),
            second.sizes.0.to_string(),
            second.sizes.1.to_string(),
            text(first.minimal.map(|count| count.to_string())),
            text(second.minimal.map(|count| count.to_string())),
            text(first.survived.map(|count| count.to_string())),
            text(second.survived.map(|count| count.to_string())),
            number(first.load),
            number(second.load),
            number(first.available),
            number(second.available),
            number(worth.available),
            worth.messages[0].to_string(),
            worth.messages[1].to_string(),
        ];
        let lost = judged.links.as_ref().map(|links| Lost::new(links, &judged.system));
        let of = |value: &dyn Fn(&Lost) -> Option<u64>| {
            text(lost.as_ref().and_then(value).map(|value| value.to_string()))
        };
        let ns = |span: Option<crate::time::Span>| span.map(|span| span.0);
        let of_regions = [
            of(&|it| Some(it.regions as u64)),
            of(&|it| Some(it.survived as u64)),
            of(&|it| ns(it.commit)),
            of(&|it| ns(it.best)),
            of(&|it| ns(it.worst)),
        ];
        let row = row.into_iter().chain(of_regions);
        table.write_record(row)?;
    }
    table.flush()?;
    Ok(())
}
