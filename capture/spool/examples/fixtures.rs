//! Writes `capture/spool/fixtures/`: `cargo run -p tsuwaroku-spool --example fixtures`.
//!
//! The fixtures are frozen: a released one is never changed, only new ones are added.

#[path = "../tests/recipes/mod.rs"]
mod recipes;

use std::path::Path;

fn main() -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    for (name, bytes) in recipes::all() {
        std::fs::write(folder.join(name), &bytes)?;
        println!("{name}: {} bytes", bytes.len());
    }
    Ok(())
}
