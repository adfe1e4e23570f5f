//! `load HOST:PORT CONNECTIONS SECONDS < PATHS`: asks for the paths in turn, each once, over keep-alive connections, and
//! prints one line of JSON: answers, seconds, bytes, and the paths that were used up. Ends when the time or the paths do.

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    match load() {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("{{\"error\": {:?}}}", error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn load() -> Result<String, Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, connections, seconds] = arguments.as_slice() else {
        return Err("usage: load HOST:PORT CONNECTIONS SECONDS < PATHS".into());
    };
    let connections: usize = connections.parse()?;
    let time = Duration::try_from_secs_f64(seconds.parse()?)?;
    let paths = std::io::stdin().lines().collect::<Result<Vec<_>, _>>()?;
    let (next, answers, bytes) = (AtomicUsize::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let start = Instant::now();
    let client = || -> Result<(), Failure> {
        let mut connection = BufReader::new(TcpStream::connect(address.as_str())?);
        connection.get_ref().set_nodelay(true)?;
        while start.elapsed() < time {
            let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
            let length = ask(&mut connection, path).map_err(|error| format!("{path}: {error}"))?;
            answers.fetch_add(1, Ordering::Relaxed);
            bytes.fetch_add(length, Ordering::Relaxed);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..connections).map(|_| scope.spawn(client)).collect();
        clients.into_iter().try_for_each(|client| client.join().map_err(|_| "a client panicked")?)
    })?;
    let used = next.into_inner().min(paths.len());
    Ok(format!(
        "{{\"iterations\": {}, \"seconds\": {}, \"bytes\": {}, \"used\": {used}}}",
        answers.into_inner(),
        start.elapsed().as_secs_f64(),
        bytes.into_inner(),
    ))
}

/// One request and its answer, which must be a 200; the length of its body.
fn ask(connection: &mut BufReader<TcpStream>, path: &str) -> Result<u64, Failure> {
    write!(connection.get_mut(), "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let status = line(connection)?;
    let mut length = None;
    let mut chunked = false;
    loop {
        let header = line(connection)?.to_ascii_lowercase();
        match header.split_once(':') {
            Some(("content-length", value)) => length = Some(value.trim().parse::<u64>()?),
            Some(("transfer-encoding", value)) => chunked = value.trim() == "chunked",
            Some(_) => {}
            None => break,
        }
    }
    let received = if chunked { chunks(connection)? } else { skip(connection, length.ok_or("no length")?)? };
    if status.split(' ').nth(1) == Some("200") { Ok(received) } else { Err(status.into()) }
}

fn line(connection: &mut BufReader<TcpStream>) -> Result<String, Failure> {
    let mut line = String::new();
    if connection.read_line(&mut line)? == 0 {
        return Err("the connection was closed".into());
    }
    Ok(line.trim_end().to_owned())
}

fn skip(connection: &mut BufReader<TcpStream>, length: u64) -> Result<u64, Failure> {
    let received = std::io::copy(&mut connection.by_ref().take(length), &mut std::io::sink())?;
    if received == length { Ok(received) } else { Err(format!("{received} of {length} bytes").into()) }
}

fn chunks(connection: &mut BufReader<TcpStream>) -> Result<u64, Failure> {
    let mut received = 0;
    loop {
        let length = u64::from_str_radix(&line(connection)?, 16)?;
        received += skip(connection, length)?;
        line(connection)?;
        if length == 0 {
            return Ok(received);
        }
    }
}
