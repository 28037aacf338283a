//! How late the emulated links release on this machine: a word every millisecond over QUIC, on
//! links of 2 ms each way.
//!
//! `cargo bench --bench lateness -- [SECONDS] [SPIN_US]`
//!
//! The figures are counts and quantiles of the emulator's own records, so this is no criterion
//! benchmark. As a test (without `--bench` among the arguments) it runs for a moment.

use std::error::Error;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use flexpaxos::runtime::alarm::Alarm;
use flexpaxos::runtime::clock;
use flexpaxos::runtime::net::{
    Authority, Emulation, EmulationReport, Links, Precision, Releaser, Transport, bind,
};
use flexpaxos::time::Span;
use flexpaxos::topology::Delay;

const DELAY: Span = Span::from_millis(2);
const PERIOD: Span = Span::from_millis(1);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let is_measured = std::env::args().any(|word| word == "--bench");
    let mut arguments = std::env::args().filter_map(|word| word.parse::<u64>().ok());
    let words = if is_measured { arguments.next().unwrap_or(10) * 1000 } else { 50 };
    let precision = Precision { spin_us: arguments.next().unwrap_or(25), ..Precision::default() };

    let releaser = Arc::new(Releaser::start(precision)?);
    let authority = Authority::new()?;
    let endpoint = |member| -> Result<_, Box<dyn Error>> {
        let links = Arc::new(Emulation::new(Links::new(1), Arc::clone(&releaser)));
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        Ok((
            bind(&authority.issue(member)?, address, Some(links.clone()), &Transport::default())?,
            links,
        ))
    };
    let ((server, back), (client, there)) = (endpoint("r0")?, endpoint("client-0")?);
    there.set(server.local_address(), Delay::constant(DELAY), 1);
    back.set(client.local_address(), Delay::constant(DELAY), 2);

    let (address, accepting) = (server.local_address(), server.clone());
    tokio::spawn(async move {
        let peer = accepting.accept().await?.finish().await.ok()?;
        let mut stream = peer.connection.accept_uni().await.ok()?;
        while let Ok(Some(_)) = stream.read_chunk(usize::MAX, true).await {}
        Some(())
    });
    let connection = client.connect(address, "r0", None).await?;
    let mut stream = connection.open_uni().await?;
    let (mut alarm, message) = (Alarm::new()?, Bytes::from(vec![7; 128]));
    let start = clock::now();
    for word in 1..=words {
        alarm.set(Some(start + PERIOD.times(word)));
        poll_fn(|context| alarm.poll_due(context)).await;
        stream.write_chunk(message.clone()).await?;
    }
    print("there", &there.report());
    print("back", &back.report());
    let drops = (server.kernel_drops(), client.kernel_drops());
    println!("round trip {:?} of {:?}, kernel drops {drops:?}", connection.rtt(), DELAY.times(2));
    Ok(())
}

fn print(direction: &str, report: &EmulationReport) {
    let micros =
        |span: Option<Span>| span.map_or(0.0, |Span(nanoseconds)| nanoseconds as f64 / 1e3);
    println!(
        "{direction}: {} released, {} early; late us p50 {:.2}, p99 {:.2}, max {:.2}; {}",
        report.datagrams,
        report.early,
        micros(report.lateness_p50),
        micros(report.lateness_p99),
        micros(report.lateness_max),
        report.scheduling
    );
}
