//! The server under systemd: sockets that are open already, and telling when it is ready.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

use crate::process::Process;

#[tokio::test]
async fn sockets_are_taken_and_the_state_is_told() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("objects")).unwrap();
    let url = url::Url::from_directory_path(folder.path().join("objects")).unwrap();
    std::fs::write(folder.path().join("mogr.toml"), format!("[buckets.default]\nurl = \"{url}\"\n")).unwrap();
    let place = folder.path().join("notify");
    let told = UnixDatagram::bind(&place).unwrap();
    told.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
    let (delivery, api) = (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let addresses = (delivery.local_addr().unwrap(), api.local_addr().unwrap());
    // The shell stands in for systemd: sockets as descriptors 3 and 4, and the id of the process that they are for.
    let script = "LISTEN_PID=$$ LISTEN_FDS=2 exec \"$0\" \"$@\" 3<&0 4<&1 </dev/null >/dev/null";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_mogr")]);
    command.stdin(Stdio::from(OwnedFd::from(delivery))).stdout(Stdio::from(OwnedFd::from(api)));
    let server = Process::start_with(folder.path(), &[("NOTIFY_SOCKET", place.to_str().unwrap())], &mut command);
    drop(command);
    assert_eq!((server.delivery, server.api), addresses);
    let heard = || {
        let mut message = [0; 64];
        let length = told.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    };
    assert_eq!(heard(), "READY=1");
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    assert_eq!(client.get(format!("http://{}/healthz", server.api)).send().await.unwrap().status(), 200);
    assert_eq!(client.get(format!("http://{}/x.png", server.delivery)).send().await.unwrap().status(), 404);
    server.stop();
    assert_eq!(heard(), "STOPPING=1");
}
