//! Runs a script in the machine with a real sound kernel that `tests/rig/vm-run` boots. Called by
//! the kernel test and the capture benchmark.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;
use std::{fs, io};

/// One boot of the machine.
#[derive(Debug, Clone)]
pub struct Rig {
    /// Directory that is `/results` inside: the one place where both sides can write.
    pub results: PathBuf,
    /// Memory, MiB.
    pub memory: u32,
    /// The longest run of the script.
    pub limit: Duration,
}

impl Rig {
    /// Boots the machine and runs the script `name` of `tests/rig/guest/` in it with `arguments`;
    /// what it says goes where this program's output goes. Returns the script's own exit status,
    /// or that of `vm-run` if the machine did not start.
    ///
    /// # Errors
    /// `vm-run` cannot be started.
    pub fn run(&self, name: &str, arguments: &[&Path]) -> io::Result<ExitStatus> {
        fs::create_dir_all(&self.results)?;
        let rig = Path::new(env!("CARGO_MANIFEST_DIR")).join("rig");
        Command::new(rig.join("vm-run"))
            .arg("-r")
            .arg(&self.results)
            .args([
                "-m",
                &self.memory.to_string(),
                "-t",
                &self.limit.as_secs().to_string(),
                "--",
            ])
            .arg("bash")
            .arg(rig.join("guest").join(name))
            .args(arguments)
            .stdin(Stdio::null())
            .status()
    }
}
