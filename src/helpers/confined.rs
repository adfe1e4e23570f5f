//! What a helper may ask the system for: memory, threads, time, and what it has open. No file, no socket and no program besides.

use std::collections::BTreeMap;
use std::io;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

/// Calls that open or change something outside of the process. A list of what is refused, not of what is allowed: allocators, threads
/// and the libraries of codecs ask for more than is known, and differ by version.
#[rustfmt::skip]
const REFUSED: &[i64] = &[
    libc::SYS_openat, libc::SYS_openat2, libc::SYS_open_by_handle_at, libc::SYS_memfd_create,
    libc::SYS_unlinkat, libc::SYS_renameat2, libc::SYS_linkat, libc::SYS_symlinkat, libc::SYS_mkdirat, libc::SYS_mknodat,
    libc::SYS_fchmodat, libc::SYS_fchownat, libc::SYS_truncate, libc::SYS_chdir, libc::SYS_chroot, libc::SYS_mount,
    libc::SYS_umount2, libc::SYS_pivot_root, libc::SYS_utimensat, libc::SYS_setxattr, libc::SYS_removexattr,
    libc::SYS_socket, libc::SYS_socketpair, libc::SYS_connect, libc::SYS_bind, libc::SYS_listen, libc::SYS_accept, libc::SYS_accept4,
    libc::SYS_execve, libc::SYS_execveat, libc::SYS_ptrace, libc::SYS_process_vm_readv, libc::SYS_process_vm_writev,
    libc::SYS_pidfd_open, libc::SYS_pidfd_getfd, libc::SYS_kill, libc::SYS_unshare, libc::SYS_setns, libc::SYS_bpf,
    libc::SYS_perf_event_open, libc::SYS_userfaultfd, libc::SYS_io_uring_setup, libc::SYS_keyctl, libc::SYS_add_key,
    libc::SYS_request_key, libc::SYS_init_module, libc::SYS_finit_module, libc::SYS_kexec_load, libc::SYS_shmget, libc::SYS_msgget,
    libc::SYS_semget, libc::SYS_mq_open, libc::SYS_prlimit64,
];

/// The same in calls that newer processors have no more.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const REFUSED_OF_OLD: &[i64] = &[
    libc::SYS_open, libc::SYS_creat, libc::SYS_unlink, libc::SYS_rename, libc::SYS_renameat, libc::SYS_link, libc::SYS_symlink,
    libc::SYS_mkdir, libc::SYS_rmdir, libc::SYS_mknod, libc::SYS_chmod, libc::SYS_chown, libc::SYS_lchown, libc::SYS_utime,
    libc::SYS_utimes, libc::SYS_futimesat, libc::SYS_setrlimit,
];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_OF_OLD: &[i64] = &[];

/// Confines this thread, and those that it starts from now on, for as long as they live. Refused calls fail with EPERM.
///
/// # Errors
/// The processor has no filter, or the system does not take one.
pub(super) fn confine() -> io::Result<()> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH).map_err(io::Error::other)?;
    // A call without rules is refused whatever its arguments are.
    let refused: BTreeMap<_, _> = REFUSED.iter().chain(REFUSED_OF_OLD).map(|call| (*call, Vec::new())).collect();
    let refuse = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter = SeccompFilter::new(refused, SeccompAction::Allow, refuse, architecture).map_err(io::Error::other)?;
    let program = BpfProgram::try_from(filter).map_err(io::Error::other)?;
    seccompiler::apply_filter(&program).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::unix::net::UnixStream;
    use std::process::Command;
    use std::thread;

    use super::*;

    #[test]
    fn nothing_new_is_opened() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let victim = folder.path().join("file");
        std::fs::write(&victim, "text").unwrap();
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        let confined = thread::spawn(move || {
            confine().unwrap();
            let refusals = [
                File::open("/etc/passwd").map(drop),
                File::create(victim.with_extension("new")).map(drop),
                std::fs::remove_file(&victim),
                std::fs::rename(&victim, victim.with_extension("old")),
                std::fs::create_dir(victim.with_extension("folder")),
                TcpStream::connect(address).map(drop),
                TcpListener::bind("127.0.0.1:0").map(drop),
                UdpSocket::bind("127.0.0.1:0").map(drop),
                UnixStream::pair().map(drop),
                Command::new("/bin/true").spawn().map(drop),
            ];
            let kinds = refusals.map(|refusal| refusal.map_err(|error| error.kind()));
            assert_eq!(kinds, [Err(io::ErrorKind::PermissionDenied); 10]);
            // What is open can be used, and threads are confined as well.
            theirs.write_all(b"work").unwrap();
            let memory = vec![1_u8; 32 << 20];
            let thread = thread::spawn(move || (memory.len(), File::open("/etc/passwd").is_err()));
            assert_eq!(thread.join().unwrap(), (32 << 20, true));
        });
        confined.join().unwrap();
        let mut heard = String::new();
        ours.read_to_string(&mut heard).unwrap();
        assert_eq!(heard, "work");
    }
}
