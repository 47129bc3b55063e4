//! The two readers side by side, for docs/readers.md:
//!
//! ```text
//! cargo run --release --features mlir --example readers -- times        # milliseconds and memory of each reader
//! cargo run --release --features mlir --example readers -- mutations    # 1,500 broken inputs in child processes
//! ```
//!
//! Children are this program with the arguments `child READER ...`: each reader starts in a process of its own, and one
//! that dies takes no measurement with it.

mod mutate;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use jax_mps::{mlir, stablehlo};

const READERS: [&str; 3] = ["native", "mlir", "mlir, with passes"];
const INPUTS: usize = 1500;
/// An input that takes longer counts as hanging.
const LONGEST: Duration = Duration::from_secs(40);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["times"] => times(),
        ["mutations"] => READERS.iter().for_each(|reader| mutations(reader)),
        ["child", reader, "time", file, runs] => child_time(reader, Path::new(file), runs.parse().expect("a number")),
        ["child", reader, "mutations", from] => child_mutations(reader, from.parse().expect("a number")),
        _ => {
            eprintln!("expected `times` or `mutations`");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/stablehlo-1.13").join(name).with_extension("mlirbc")
}

/// Number of functions, or the error.
fn read(reader: &str, bytes: &[u8]) -> Result<usize, String> {
    let program = match reader {
        "native" => stablehlo::read(bytes),
        "mlir" => mlir::read(bytes, mlir::Passes::None),
        _ => mlir::read(bytes, mlir::Passes::Simplify),
    };
    program.map(|program| program.functions.len()).map_err(|error| error.to_string())
}

fn child(reader: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    command.args(["child", reader]).args(arguments).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

fn times() {
    println!("| program | reader | first, ms | then, ms | peak memory, MB |\n|---|---|---|---|---|");
    for (name, runs) in [("one_op", "200"), ("resnet50ish_train", "40"), ("transformer12_train", "40")] {
        let file = data(name);
        for reader in READERS {
            let path = file.to_string_lossy();
            let output = child(reader, &["time", &path, runs]).output().expect("the child starts");
            println!("| {name} | {reader} | {} |", String::from_utf8_lossy(&output.stdout).trim());
        }
    }
}

fn child_time(reader: &str, file: &Path, runs: usize) {
    let bytes = std::fs::read(file).expect("a readable file");
    let mut times: Vec<f64> = (0..=runs)
        .map(|_| {
            let begin = Instant::now();
            read(reader, &bytes).expect("a program");
            begin.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    let first = times.remove(0);
    times.sort_by(f64::total_cmp);
    println!("{first:.2} | {:.2} | {}", times[times.len() / 2], peak_memory());
}

/// Megabytes, where the system tells.
fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
    kilobytes.map_or_else(|| "unknown".to_owned(), |kilobytes| format!("{:.0}", kilobytes / 1024.0))
}

/// What became of the inputs: read, refused, process dead, hanging.
fn mutations(reader: &str) {
    let (mut read, mut refused, mut dead, mut hanging) = (0, 0, Vec::new(), Vec::new());
    let mut next = 0;
    while next < INPUTS {
        let mut process = child(reader, &["mutations", &next.to_string()]).spawn().expect("the child starts");
        let output = process.stdout.take().expect("a pipe");
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        loop {
            match lines.recv_timeout(LONGEST) {
                Ok(line) if line == "read" => read += 1,
                Ok(_) => refused += 1,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    process.kill().expect("the child can be killed");
                    hanging.push(next);
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    if next < INPUTS && !hanging.contains(&next) {
                        dead.push(next);
                    }
                    break;
                }
            }
            next += 1;
            if hanging.last() == Some(&(next - 1)) {
                next -= 1;
                break;
            }
        }
        process.wait().expect("the child ends");
        next += usize::from(next < INPUTS);
    }
    println!(
        "{reader}: {read} read, {refused} refused, {} killed the process {dead:?}, {} took more than {} s {hanging:?}",
        dead.len(),
        hanging.len(),
        LONGEST.as_secs()
    );
}

fn child_mutations(reader: &str, from: usize) {
    let files: Vec<Vec<u8>> =
        ["attention", "chlo", "cond_switch", "const_dense", "conv_grad", "dtypes", "einsum_batch_dot"]
            .into_iter()
            .chain([
                "fft",
                "gather_scatter",
                "linalg_calls",
                "mlp_grad",
                "one_op",
                "pad_slice_dyn",
                "scan_grad",
                "sharded_jit",
            ])
            .chain(["shard_map", "sort", "threefry", "while_fori", "rng_bit_gen"])
            .map(|name| std::fs::read(data(name)).expect("a readable file"))
            .collect();
    for index in from..INPUTS {
        let bytes = mutate::mutated(&files[index % files.len()], index as u64);
        let outcome = match read(reader, &bytes) {
            Ok(_) => "read",
            Err(_) => "refused",
        };
        println!("{outcome}");
    }
}
