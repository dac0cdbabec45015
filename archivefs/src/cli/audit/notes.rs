//! Checkpoints out of the files in which people keep them: as the daemon appends them, as `tsuwaroku
//! audit checkpoint` prints them, or as the system log has them, a line each. Pure.

use crate::audit;

/// What stands before a checkpoint in the system log.
const IN_LOG: &str = "checkpoint ";
/// What stands for the end of a line in the system log.
const LINE_END: char = '|';

/// The notes in the text of a file. What is no note comes out as text that is none, so that it is
/// reported; of a system log only the lines with checkpoints.
pub(super) fn of_file(text: &str) -> Vec<String> {
    let text = text.replace("\r\n", "\n");
    let logged: Vec<String> = text.lines().filter_map(of_log_line).collect();
    if !logged.is_empty() {
        return logged;
    }
    let text: String = text.split_inclusive('\n').filter(is_no_remark).collect();
    let notes = audit::notes(&text).into_iter();
    let notes = notes.filter(|note| !note.trim().is_empty());
    notes.map(str::to_owned).collect()
}

/// What `tsuwaroku audit checkpoint` prints before the note is no part of it.
fn is_no_remark(line: &&str) -> bool {
    !line.starts_with('#')
}

fn of_log_line(line: &str) -> Option<String> {
    let (_, note) = line.split_once(IN_LOG)?;
    let (text, signatures) = note.split_once("||")?;
    // What the daemon says where there is no system log.
    let signatures = signatures.split(" (").next()?;
    let note = format!("{text}\n\n{signatures}\n");
    Some(note.replace(LINE_END, "\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Chain, Checkpoint, Draft, Event, Outcome, Signer};

    #[test]
    fn checkpoints_are_found_however_they_were_kept() {
        let signer = Signer::new("tsuwaroku/x", [3; 32]).unwrap();
        let mut chain = Chain::new();
        let mut notes = Vec::new();
        for at in 0..3 {
            chain.append(&Draft::new(at, Event::Started, Outcome::Done), [0; 32]);
            notes.push(signer.sign(&chain));
        }
        let in_log = |note: &String| note.trim_end().replace('\n', "|");
        let log_line = |note: &String| {
            let line = in_log(note);
            format!("Nov 23 10:15:30 host tsuwaroku: checkpoint {line}\n")
        };
        let journal = |note: &String| {
            let line = in_log(note);
            format!("host tsuwaroku[7]: checkpoint {line} (not in the system log: No such file)\n")
        };
        let each = |kept: &dyn Fn(&String) -> String| -> String {
            notes.iter().map(kept).collect::<Vec<_>>().concat()
        };
        let kept = [
            each(&|note| format!("{note}\n")),
            notes.concat().replace('\n', "\r\n"),
            format!("Nov 23 host sshd: hello\n{}", each(&log_line)),
            each(&journal),
            each(&|note| format!("# 2026\n# key: x\n\n{note}")),
        ];
        for text in kept {
            let found = of_file(&text);
            assert_eq!(found, notes, "{text}");
            let key = [signer.verifying_key()];
            assert!(
                found
                    .iter()
                    .all(|note| Checkpoint::open(note, &key).is_ok())
            );
        }
    }

    #[test]
    fn what_is_no_checkpoint_is_not_passed_over() {
        assert_eq!(of_file("\n \n"), [""; 0]);
        assert_eq!(of_file("hello\n"), ["hello\n"]);
    }
}
