//! Live clients touch the keys that the generator draws, as simulated ones do: keys of their own region, and one that
//! the regions share.

use flexpaxos::cluster::InProcess;
use flexpaxos::history::{ClientReader, Event as Logged};
use flexpaxos::runtime::net::Transport;
use flexpaxos::topology::{Jitter, Links, Profile};
use flexpaxos::workload::{Generator, SHARED_KEY};

use super::faults::{deployment, run_over};
use super::*;

/// The keys of a client's operations, in the order in which it began them.
fn keys(paths: &[PathBuf]) -> Vec<u64> {
    let mut keys = Vec::new();
    for path in paths {
        for event in ClientReader::new(fs::File::open(path).unwrap()).unwrap() {
            if let Logged::Invoke(issued) = event.unwrap() {
                keys.push(issued.key);
            }
        }
    }
    keys
}

#[test]
fn live_clients_touch_the_keys_that_the_generator_draws() {
    let mut deployment = deployment(Vec::new());
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let profile = Profile::load("loopback").unwrap();
    let (replicas, clients) = (names(&["a", "b", "c"]), names(&["a", "b"]));
    deployment.links = Links::new(&profile, &replicas, &clients, Jitter::None).unwrap();
    deployment.workload.conflicts = Some(0.2);
    let outcome = run_over(&deployment, Transport::default(), &mut InProcess::default());
    let mut client_count = 0;
    for (member, paths) in &outcome.files {
        let MemberName::Client(client) = member else { continue };
        let index = client.0 as usize;
        let mut generator = Generator::new(&deployment.workload, index, 2, deployment.seed);
        let keys = keys(paths);
        assert!(keys.len() > 50 && keys.contains(&SHARED_KEY), "{keys:?}");
        assert!(keys.iter().all(|key| *key == generator.next_operation().key()), "{member}");
        client_count += 1;
    }
    assert_eq!(client_count, 2);
}
