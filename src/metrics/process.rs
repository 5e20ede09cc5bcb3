//! The process as the kernel sees it, under the names that all exporters give. Where `/proc` cannot be read, nothing is said.

use std::fs;

use super::exposition::{Exposition, Kind, Labels};
use super::own::Own;

/// How many of its ticks the kernel counts in a second, in what it tells programs.
const TICKS: f64 = 100.0;

const fn of_process(name: &'static str, kind: Kind, unit: &'static str, meaning: &'static str) -> Own {
    Own { name, kind, labels: &[], unit, meaning }
}

const CPU: Own = of_process(
    "process_cpu_seconds_total",
    Kind::Counter,
    "s",
    "Processor time of the process, for itself and in the kernel.",
);
const RESIDENT: Own =
    of_process("process_resident_memory_bytes", Kind::Gauge, "bytes", "Memory that the process occupies.");
const VIRTUAL: Own =
    of_process("process_virtual_memory_bytes", Kind::Gauge, "bytes", "Memory that it has set aside.");
const THREADS: Own = of_process("process_threads", Kind::Gauge, "", "Threads of the process.");
const OPEN_FDS: Own = of_process("process_open_fds", Kind::Gauge, "", "Open file descriptors.");
const MAX_FDS: Own =
    of_process("process_max_fds", Kind::Gauge, "", "How many file descriptors the process may open.");
const START: Own = of_process(
    "process_start_time_seconds",
    Kind::Gauge,
    "s",
    "When the process began, in seconds since 1970.",
);

/// All of them, in their order.
pub(super) const ALL: &[Own] = &[CPU, RESIDENT, VIRTUAL, THREADS, OPEN_FDS, MAX_FDS, START];

/// Adds them.
pub(super) fn add(out: &mut Exposition) {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (stat, status) = (read("/proc/self/stat"), read("/proc/self/status"));
    let values = [
        (CPU, cpu_seconds(&stat)),
        (RESIDENT, bytes_of(&status, "VmRSS:")),
        (VIRTUAL, bytes_of(&status, "VmSize:")),
        (THREADS, number_after(&status, "Threads:")),
        (OPEN_FDS, open_fds()),
        (MAX_FDS, number_after(&read("/proc/self/limits"), "Max open files")),
        (START, start_seconds(&stat, &read("/proc/stat"))),
    ];
    for (of, value) in values {
        if let Some(value) = value {
            out.add(of.name, of.kind, of.meaning, &Labels::none(), value);
        }
    }
}

/// A field of `/proc/self/stat` by its number in the manual, from 3 on. The name of the program before them may hold
/// anything.
fn field(stat: &str, number: usize) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

fn cpu_seconds(stat: &str) -> Option<f64> {
    Some((field(stat, 14)? + field(stat, 15)?) / TICKS)
}

fn start_seconds(stat: &str, of_system: &str) -> Option<f64> {
    let boot = number_after(of_system, "btime")?;
    Some(boot + field(stat, 22)? / TICKS)
}

/// The number that follows a word at the beginning of a line.
fn number_after(text: &str, word: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(word))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

/// The same in kilobytes, as bytes.
fn bytes_of(status: &str, word: &str) -> Option<f64> {
    number_after(status, word).map(|kilobytes| kilobytes * 1024.0)
}

/// One of them is that of the folder while it is read.
fn open_fds() -> Option<f64> {
    let open = fs::read_dir("/proc/self/fd").ok()?.count();
    Some(open.saturating_sub(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_any_name() {
        let after: Vec<String> = (3..=52).map(|number| (number * 100).to_string()).collect();
        let stat = format!("7 (her) d (s man)) {}", after.join(" "));
        assert_eq!(field(&stat, 3), Some(300.0));
        assert_eq!(cpu_seconds(&stat), Some(29.0));
        assert_eq!(start_seconds(&stat, "cpu 1 2\nbtime 1000\n"), Some(1022.0));
        for broken in ["", "7 (x)", "7 (x) S a b"] {
            assert_eq!(cpu_seconds(broken), None, "{broken}");
        }
    }

    #[test]
    fn numbers_are_read_from_lines() {
        let status = "Name:\therdsman\nVmRSS:\t   1234 kB\nThreads:\t9\n";
        assert_eq!(bytes_of(status, "VmRSS:"), Some(1234.0 * 1024.0));
        assert_eq!(number_after(status, "Threads:"), Some(9.0));
        assert_eq!(
            number_after("Max open files            1024    4096   files", "Max open files"),
            Some(1024.0)
        );
        assert_eq!(number_after("Max open files            unlimited", "Max open files"), None);
        assert_eq!(bytes_of(status, "VmSize:"), None);
    }

    #[test]
    fn this_process_is_measured() {
        let mut out = Exposition::default();
        add(&mut out);
        let text = out.into_text();
        for of in ALL {
            let value = text.lines().find_map(|line| line.strip_prefix(&format!("{} ", of.name)));
            let value: f64 = value.and_then(|text| text.parse().ok()).unwrap_or(-1.0);
            assert!(value > 0.0 || of.name == CPU.name && value == 0.0, "{}: {value}\n{text}", of.name);
        }
    }
}
