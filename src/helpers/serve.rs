//! The helper's side: one request after the other, until nobody asks any more.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use bytes::Bytes;

use super::wire::{self, Asked, Head, Made, Told};
use crate::engine;
use crate::engine::decode;
use crate::engine::limits::{Cancel, Limits};
use crate::engine::program::Program;
use crate::engine::resolve::resolve;
use crate::engine::run::{Output, run};
use crate::engine::shared::{self, Task};
use crate::error::ErrorKind;
use crate::plan::Plan;

/// How long a helper waits for its next request before it leaves.
const IDLE: Duration = Duration::from_secs(60);

/// Answers requests from the socket that is standard input.
///
/// # Errors
/// Standard input is no socket, or what comes through it is no request.
pub fn serve() -> io::Result<()> {
    let mut socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    socket.set_read_timeout(Some(IDLE))?;
    #[cfg(target_os = "linux")]
    {
        // A system without such filters still has the other bounds.
        let _ = super::confined::confine();
    }
    loop {
        let head: Head = match wire::read(&mut socket) {
            Ok(head) => head,
            Err(error) if is_goodbye(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut files = Vec::with_capacity(head.lengths.len());
        for length in &head.lengths {
            let mut file = vec![0; *length];
            socket.read_exact(&mut file)?;
            files.push(Bytes::from(file));
        }
        answer(&mut socket, &head, &files)?;
        wire::write(&mut socket, &Told::Over)?;
    }
}

/// Whether nobody asks any more: the server is gone, or has had no work for a while.
fn is_goodbye(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn answer(socket: &mut UnixStream, head: &Head, files: &[Bytes]) -> io::Result<()> {
    let Some(source) = files.first() else { return Err(io::Error::other("a request without a source")) };
    let never = Cancel::default();
    let mut programs: Vec<(usize, Program, Vec<Bytes>)> = Vec::with_capacity(head.tasks.len());
    for (index, asked) in head.tasks.iter().enumerate() {
        match program(asked, source, files, &head.limits) {
            Ok((program, pictures)) => programs.push((index, program, pictures)),
            Err(error) => tell(socket, index, Err(error))?,
        }
    }
    if let [(index, program, pictures)] = &programs[..] {
        let mut told = Ok(());
        let output = run(program, source, pictures, &head.limits, &never, &mut |stage| {
            if told.is_ok() {
                told = wire::write(socket, &Told::Stage(stage.into()));
            }
        });
        told?;
        return tell(socket, *index, output);
    }
    let tasks: Vec<Task<'_>> = programs.iter().map(|(_, program, pictures)| Task { program, pictures }).collect();
    let mut told = Ok(());
    shared::run_all(&tasks, source, &head.limits, head.shared_bytes, &never, &mut |index, output| {
        if told.is_ok() {
            told = tell(socket, programs[index].0, output);
        }
    });
    told
}

/// What the server resolved before it asked, again.
fn program(
    asked: &Asked,
    source: &Bytes,
    files: &[Bytes],
    limits: &Limits,
) -> Result<(Program, Vec<Bytes>), engine::Error> {
    let foreign = |message: String| engine::Error::InHelper { kind: ErrorKind::Internal, message };
    let plan = Plan::parse(&asked.plan).map_err(|error| foreign(error.to_string()))?;
    let picture = |index: &usize| files.get(*index).cloned().ok_or_else(|| foreign(format!("no file {index}")));
    let pictures = asked.pictures.iter().map(picture).collect::<Result<Vec<_>, _>>()?;
    let headers = pictures.iter().map(|picture| decode::probe(picture)).collect::<Result<Vec<_>, _>>()?;
    let mut program = resolve(&plan, &decode::probe(source)?, &headers, limits, asked.rendering)?;
    if let Some(quality) = asked.known_quality {
        program.remember_quality(quality);
    }
    Ok((program, pictures))
}

fn tell(socket: &mut UnixStream, index: usize, output: Result<Output, engine::Error>) -> io::Result<()> {
    match output {
        Err(error) => wire::write(socket, &Told::Failed { index, kind: error.kind(), message: error.to_string() }),
        Ok(output) => {
            let (made, length) = (Made::of(&output), output.body.len());
            wire::write(socket, &Told::Made { index, made, length })?;
            socket.write_all(&output.body)
        }
    }
}
