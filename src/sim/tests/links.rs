//! What links do besides delaying.

use super::*;

/// What r1 received from r0 of `count` counts a millisecond apart, `copies` of each at once.
fn stream(
    profile: &str,
    jitter: Jitter,
    n: usize,
    network: Network,
    copies: u64,
) -> Vec<(u64, u64)> {
    let deployment = Deployment { network, ..deployment(profile, jitter, n) };
    let mut world = World::new(&deployment, &Settings::default(), counter(n, copies));
    for at in 1..=200 {
        count_up(&mut world, ms(at), R0);
    }
    world.run_until(ms(5_000));
    let received = &world.protocol(R1).unwrap().received;
    received.iter().map(|(at, _, number)| (*at, *number)).collect()
}

fn at_once(received: &[(u64, u64)]) -> Vec<u64> {
    received.iter().map(|(_, number)| *number).filter(|number| *number < DURABLE).collect()
}

#[test]
fn links_with_jitter_are_first_in_first_out() {
    let received = stream("aws-2025-07", Jitter::Profile, 2, Network::default(), 1);
    let order = at_once(&received);
    assert_eq!(order, (1..=200).collect::<Vec<u64>>());
    let delays = received.iter().filter(|(_, number)| *number < DURABLE);
    let delays: Vec<u64> = delays.map(|(at, number)| at - number * 1_000_000).collect();
    assert!(delays.iter().any(|delay| *delay != delays[0]), "there is jitter: {delays:?}");
}

#[test]
fn links_that_reorder_do() {
    let reordering = Span::from_millis(30);
    let network = network(Conditions { reordering, ..Conditions::default() });
    let received = stream("uniform:20ms", Jitter::None, 2, network, 1);
    let order = at_once(&received);
    assert!(!order.is_sorted());
    assert_eq!(order.len(), 200);
    for (at, number) in &received {
        let sent_at = if *number < DURABLE { *number } else { *number - DURABLE } * 1_000_000;
        let most = Span::from_millis(10) + reordering;
        assert!((10_000_000..=most.0).contains(&(at - sent_at)), "{number} at {at}");
    }
}

/// A share of 10,000 draws is within five standard errors.
fn is_near(count: usize, share: f64) -> bool {
    let error = (share * (1.0 - share) / 10_000.0).sqrt();
    (count as f64 / 10_000.0 - share).abs() < 5.0 * error
}

#[test]
fn a_share_of_messages_is_lost() {
    let network = network(Conditions { loss: 0.2, ..Conditions::default() });
    // 49 copies and what is durable: 50 messages of each of 200 counts.
    let received = stream("uniform:20ms", Jitter::None, 2, network, 49);
    assert!(is_near(received.len(), 0.8), "{}", received.len());
}

#[test]
fn a_share_of_messages_arrives_twice() {
    let network = network(Conditions { duplication: 0.3, ..Conditions::default() });
    let received = stream("uniform:20ms", Jitter::None, 2, network, 49);
    assert!(is_near(received.len() - 10_000, 0.3), "{}", received.len());
}

#[test]
fn bits_take_their_time_on_the_wire() {
    let bandwidth_bits_per_s = Some(1_000_000);
    let network = network(Conditions { bandwidth_bits_per_s, ..Conditions::default() });
    let mut world = pair_on(network);
    count_up(&mut world, ms(1), R0);
    count_up(&mut world, ms(9), R0);
    world.run_until(ms(100));
    // 1 is one byte, 1001 is two: with 67 around them 544 and 552 bits, a microsecond each.
    let expected =
        [(11_544, 0, 1), (12_096, 0, DURABLE + 1), (19_544, 0, 2), (20_096, 0, DURABLE + 2)];
    assert_eq!(received(&world, R1), expected);
}

#[test]
fn what_one_replica_sends_shares_its_uplink() {
    let network = Network { uplink_bits_per_s: Some(1_000_000), ..Network::default() };
    let deployment = Deployment { network, ..deployment("uniform:20ms", Jitter::None, 3) };
    let mut world = World::new(&deployment, &Settings::default(), counter(3, 1));
    count_up(&mut world, ms(1), R0);
    world.run_until(ms(100));
    // As above, but r2's copy waits for r1's, and r1's second for both.
    assert_eq!(received(&world, R1), [(11_544, 0, 1), (12_640, 0, DURABLE + 1)]);
    assert_eq!(received(&world, R2), [(12_088, 0, 1), (13_192, 0, DURABLE + 1)]);
}

/// With jitter, loss and duplication, what r1 hears from r0 is the same whoever else is there.
#[test]
fn adding_a_node_changes_no_other_draw() {
    let network = network(Conditions {
        loss: 0.1,
        duplication: 0.1,
        reordering: Span(999),
        ..Conditions::default()
    });
    let [three, four, five] =
        [3, 4, 5].map(|n| stream("aws-2025-07", Jitter::Profile, n, network, 3));
    assert!(three.len() > 700);
    assert_eq!(three, four);
    assert_eq!(four, five);
}

#[test]
fn adding_a_node_changes_no_timer() {
    let fired = |n| {
        let deployment = deployment("uniform:20ms", Jitter::None, n);
        let mut world = World::new(&deployment, &Settings::default(), counter(n, 1));
        for round in 0..20 {
            count_up(&mut world, ms(1 + 100 * round), R1);
        }
        world.run_until(ms(5_000));
        world.protocol(R1).unwrap().fired.clone()
    };
    assert_eq!(fired(2).len(), 20);
    assert_eq!(fired(2), fired(5));
}

#[test]
fn the_queue_does_not_grow_with_what_is_under_way() {
    let mut world = pair(&Settings::default());
    for at in 1..=9 {
        count_up(&mut world, ms(at), R0);
    }
    // 18 messages, one link, one timer, and the client's next look at the clock.
    assert!(world.fabric.queue.len() <= 4, "{}", world.fabric.queue.len());
    world.run_until(ms(100));
    assert_eq!(world.protocol(R1).unwrap().received_count(), 18);
}

/// Two thousand in a row are lost of ten thousand, so either nearly none or whole stretches are.
#[test]
fn losses_come_in_runs_where_they_are_asked_to() {
    let whole = |loss_burst| {
        let network = network(Conditions { loss: 0.2, loss_burst, ..Conditions::default() });
        let received = at_once(&stream("uniform:20ms", Jitter::None, 2, network, 49));
        (1..=200).filter(|count| !received.contains(count)).count()
    };
    assert_eq!(whole(1.0), 0, "49 copies of a number are never all lost independently");
    assert!(whole(200.0) > 5);
}

#[test]
fn what_finds_the_queue_full_never_arrives_and_is_counted() {
    let conditions = Conditions {
        bandwidth_bits_per_s: Some(1_000_000),
        queue_bytes_max: Some(100),
        ..Conditions::default()
    };
    let mut world = pair_on(network(conditions));
    count_up(&mut world, ms(1), R0);
    count_up(&mut world, ms(9), R0);
    world.run_until(ms(100));
    // The durable copy of each comes while the first is on the wire, and both together are too much.
    assert_eq!(received(&world, R1), [(11_544, 0, 1), (19_544, 0, 2)]);
    assert_eq!((world.counts().queue_dropped, world.counts().lost), (2, 0));
}
