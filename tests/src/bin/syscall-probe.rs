//! Makes the system calls that it is told on its standard input, and says what the kernel answered:
//! see [`tsuwaroku_tests::probe`]. Started by tests, as the account whose rights are in question.

use std::io;

fn main() -> io::Result<()> {
    tsuwaroku_tests::probe::answer(io::stdin().lock(), io::stdout().lock())
}
