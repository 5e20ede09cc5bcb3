//! The process: parses the command line, runs it, and turns its outcome into an exit code.

fn main() {}
