//! What a member that was restarted says to those who still speak to the process before it.
//!
//! QUIC has a word for "I know nothing of this connection": the stateless reset (RFC 9000, section
//! 10.3). It carries a token that nobody else can make, so the peer gives the connection up at once
//! and dials again, instead of talking to nobody until its idle time-out.
//! The token must be the same before and after the restart: it is made from the member's private
//! key. The library's default is a random one, which is forgotten with the process.

use std::sync::Arc;
use std::time::Duration;

use quinn::{ConnectionId, ConnectionIdGenerator, EndpointConfig};
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac};

use super::identity::Identity;

/// The bytes of a connection's name.
const ID_BYTES: usize = 8;

/// The configuration of this member's endpoint, the same after every restart.
pub(super) fn endpoint_config(identity: &Identity) -> EndpointConfig {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(b"flexpaxos stateless reset");
    context.update(&identity.key);
    let key = hmac::Key::new(hmac::HMAC_SHA256, context.finish().as_ref());
    let mut config = EndpointConfig::new(Arc::new(key));
    config.cid_generator(|| Box::new(ConnectionIds(SystemRandom::new())));
    config
}

/// Random names of connections, every one of which may be of the process before.
///
/// The library's default recognises only those of its own process, and is silent about others.
struct ConnectionIds(SystemRandom);

impl ConnectionIdGenerator for ConnectionIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut id = [0; ID_BYTES];
        self.0.fill(&mut id).expect("the system has random bytes: TLS needed them before");
        ConnectionId::new(&id)
    }

    fn cid_len(&self) -> usize {
        ID_BYTES
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use quinn::{Connection, ConnectionError};
    use tokio::runtime::{Builder, Runtime};
    use tokio::sync::oneshot;

    use super::*;
    use crate::runtime::net::endpoint::{Endpoint, bind};
    use crate::runtime::net::identity::Authority;
    use crate::runtime::net::transport::Transport;

    /// A member in a runtime of its own, which dies with that runtime and says no farewell.
    fn start(identity: &Identity, address: SocketAddr) -> (Runtime, Endpoint) {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let endpoint =
            runtime.block_on(async { bind(identity, address, None, &Transport::default()) });
        (runtime, endpoint.unwrap())
    }

    /// A connection whose other side lives as long as its runtime.
    async fn connect(client: &Endpoint, server: Endpoint, runtime: &Runtime) -> Connection {
        let address = server.local_address();
        let (accepted, is_accepted) = oneshot::channel();
        runtime.spawn(async move {
            let _peer = server.accept().await.unwrap().finish().await.unwrap();
            accepted.send(()).unwrap();
            std::future::pending::<()>().await;
        });
        let connection = client.connect(address, "r0", None).await.unwrap();
        is_accepted.await.unwrap();
        connection
    }

    #[test]
    fn a_restarted_member_tells_its_peers_that_it_has_forgotten_them() {
        let authority = Authority::new().unwrap();
        let (ours, theirs) = (authority.issue("r0").unwrap(), authority.issue("c0").unwrap());
        let host = SocketAddr::from(([127, 0, 0, 1], 0));
        let (own, client) = start(&theirs, host);
        let (first, server) = start(&ours, host);
        let address = server.local_address();
        let connection = own.block_on(connect(&client, server, &first));
        drop(first);
        let (_second, _restarted) = start(&ours, address);
        let ended = own.block_on(async {
            // Any word makes the restarted member say so; that it says it once more does not matter.
            let _ = connection.send_datagram(b"are you there?".as_slice().into());
            let mut stream = connection.open_bi().await;
            // The datagram may have ended the connection already.
            if let Ok((send, _receive)) = &mut stream {
                let _ = send.write_all(b"are you there?").await;
            }
            connection.closed().await
        });
        assert_eq!(ended, ConnectionError::Reset);
    }
}
