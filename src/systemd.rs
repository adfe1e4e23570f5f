//! What systemd gives a service and wants to hear: sockets that it has opened, and when the service is ready.

use std::ffi::OsStr;
use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;

/// The sockets that were passed, the first for images, the second for the API. To be called before there is a second thread,
/// once.
pub(crate) fn sockets() -> anyhow::Result<[Option<TcpListener>; 2]> {
    let mut passed = listenfd::ListenFd::from_env();
    let mut take = |index| {
        let socket = passed.take_tcp_listener(index);
        socket.map_err(|error| anyhow::anyhow!("socket {index} of systemd's is no TCP socket: {error}"))
    };
    Ok([take(0)?, take(1)?])
}

/// Tells a state, such as `READY=1`, where `NOTIFY_SOCKET` says that somebody listens.
pub(crate) fn notify(state: &str) {
    let Some(place) = std::env::var_os("NOTIFY_SOCKET") else { return };
    if let Err(error) = send(&place, state) {
        tracing::warn!(%error, state, "systemd cannot be told");
    }
}

fn send(place: &OsStr, state: &str) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    #[cfg(target_os = "linux")]
    {
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::ffi::OsStrExt;
        use std::os::unix::net::SocketAddr;
        if let Some(name) = place.as_bytes().strip_prefix(b"@") {
            return socket.send_to_addr(state.as_bytes(), &SocketAddr::from_abstract_name(name)?).map(drop);
        }
    }
    socket.send_to(state.as_bytes(), place).map(drop)
}
