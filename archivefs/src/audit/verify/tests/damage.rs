//! Damage to rows.

use super::log::draft;
use super::*;
use crate::audit::Record;
use proptest::prelude::*;

/// Distance between records that are damaged at once: far enough that none is next to another.
const APART: usize = 8;

fn changed(seq: usize) -> AuditFinding {
    AuditFinding::Changed { seq: seq as u64 }
}

/// One byte alone: of the first two records, of one in the middle, of the last two.
#[test]
fn each_byte_of_a_record() {
    let log = Log::new();
    each([0, 1, 99, 198, 199], |at| {
        for byte in 0..log.rows[at].record.len() {
            let mut log = log.clone();
            log.rows[at].record[byte] ^= 1;
            let report = log.audit();
            assert_found(&report, &[changed(at + 1)], &format!("byte {byte}"));
            assert_eq!(report.confirmed, 200, "the others are proved whole");
        }
    });
}

/// Every byte of every record, in one of eight at once: each is reported, and nothing else.
#[test]
fn each_byte_of_every_record() {
    let log = Log::new();
    let longest = log.rows.iter().map(|row| row.record.len()).max().unwrap();
    each(0..longest, |byte| {
        for first in 0..APART {
            let mut log = log.clone();
            let mut expected = vec![];
            for at in (first..RECORDS).step_by(APART) {
                if let Some(byte) = log.rows[at].record.get_mut(byte) {
                    *byte ^= 1;
                    expected.push(changed(at + 1));
                }
            }
            let report = log.audit();
            assert_found(&report, &expected, &format!("byte {byte}"));
            assert_eq!(report.confirmed, 200, "the others are proved whole");
        }
    });
}

/// Without the end as the daemon keeps it (a copy of the rows and notes alone) of the last record only
/// the range is known in which it lies: after the last checkpoint.
#[test]
fn each_byte_of_the_last_record_of_a_bare_copy() {
    let mut log = Log::new();
    log.end = None;
    each(0..log.rows[199].record.len(), |byte| {
        let mut log = log.clone();
        log.rows[199].record[byte] ^= 1;
        let found = log.audit().findings;
        let rewritten = AuditFinding::Rewritten {
            after: 192,
            size: 200,
            source_name: "the signed head".into(),
        };
        assert!(
            found == [changed(200)] || found == [rewritten],
            "byte {byte}: {found:?}"
        );
    });
}

#[test]
fn two_neighbours_changed() {
    let log = Log::new();
    each(0..RECORDS - 1, |at| {
        let mut log = log.clone();
        log.rows[at].record[60] ^= 1;
        let end = log.rows[at + 1].record.len() - 3;
        log.rows[at + 1].record[end] ^= 1;
        let seqs: Vec<_> = log
            .audit()
            .findings
            .iter()
            .map(AuditFinding::record)
            .collect();
        let (first, second) = (at as u64 + 1, at as u64 + 2);
        assert_eq!(seqs, [Some(first), Some(second)]);
    });
}

#[test]
fn each_byte_of_what_is_private() {
    let log = Log::new();
    for byte in 0.. {
        let mut log = log.clone();
        let mut expected = vec![];
        for row in &mut log.rows {
            let seq = row.seq as u64;
            if let Some(byte) = row.private.as_mut().and_then(|all| all.get_mut(byte)) {
                *byte ^= 1;
                expected.push(AuditFinding::PrivateChanged { seq });
            }
        }
        assert_found(&log.audit(), &expected, &format!("byte {byte}"));
        if expected.is_empty() {
            assert_eq!(byte, 32 + "{\"party\":\"0300000003\"}".len());
            break;
        }
    }
}

#[test]
fn what_is_private_may_be_erased_and_not_put_in() {
    let mut log = Log::new();
    let mut private = 0;
    for row in &mut log.rows {
        private += u64::from(row.private.take().is_some());
    }
    let report = log.audit();
    assert_found(&report, &[], "erased");
    assert_eq!((report.erased, report.confirmed), (private, 200));
    log.rows[4].private = Some(vec![0; 40]);
    let put_in = AuditFinding::PrivateChanged { seq: 5 };
    assert_found(&log.audit(), &[put_in], "put in");
}

#[test]
fn the_column_of_the_recording() {
    let log = Log::new();
    each(0..RECORDS, |at| {
        let seq = at as u64 + 1;
        let mut log = log.clone();
        let other = match &log.rows[at].recording {
            None => Some(vec![1; 16]),
            Some(_) if at % 2 == 0 => None,
            Some(id) => Some(vec![!id[0]; 16]),
        };
        log.rows[at].recording = other;
        assert_found(&log.audit(), &[AuditFinding::Misfiled { seq }], "column");
    });
}

/// The row goes elsewhere, since rows are read in the order of the column.
#[test]
fn each_byte_of_the_column_of_the_number() {
    let log = Log::new();
    each(0..RECORDS, |at| {
        for byte in 0..8 {
            let mut log = log.clone();
            let row = log.rows[at].seq ^ 1 << (8 * byte + byte);
            if (1..=RECORDS as i64).contains(&row) {
                continue; // two rows of one number: the table does not allow it
            }
            log.rows[at].seq = row;
            let report = log.audit();
            let seq = at as u64 + 1;
            let stays = at == 0 && row < 1 || at == RECORDS - 1 && row > 200;
            let expected = match at {
                _ if stays => AuditFinding::Renumbered { seq, row },
                1 if row < 1 => AuditFinding::Swapped { first: 1 },
                198 if row > 200 => AuditFinding::Swapped { first: 199 },
                _ => AuditFinding::Misplaced { seq, row },
            };
            assert_found(&report, &[expected], &format!("{seq} as {row}"));
            assert_eq!(report.confirmed, 200);
        }
    });
}

#[test]
fn neighbours_exchanged() {
    let log = Log::new();
    each(0..RECORDS - 1, |at| {
        let mut log = log.clone();
        log.rows.swap(at, at + 1);
        log.rows[at].seq -= 1;
        log.rows[at + 1].seq += 1;
        let first = at as u64 + 1;
        let report = log.audit();
        assert_found(&report, &[AuditFinding::Swapped { first }], "exchanged");
        assert_eq!(report.confirmed, 200);
    });
}

/// Only the records exchanged: what is beside them does not fit any more either.
#[test]
fn records_of_neighbours_exchanged() {
    let log = Log::new();
    each(0..RECORDS - 1, |at| {
        let mut log = log.clone();
        let (left, right) = log.rows.split_at_mut(at + 1);
        std::mem::swap(&mut left[at].record, &mut right[0].record);
        let (first, second) = (at as u64 + 1, at as u64 + 2);
        let found = log.audit().findings;
        assert!(
            found.contains(&AuditFinding::Swapped { first }),
            "{found:?}"
        );
        let others = found.iter().filter_map(AuditFinding::record);
        assert!(others.into_iter().all(|seq| seq == first || seq == second));
    });
}

#[test]
fn removed() {
    let log = Log::new();
    each(0..RECORDS - 1, |at| {
        let seq = at as u64 + 1;
        let missing = AuditFinding::Missing {
            first: seq,
            last: seq,
        };
        let mut log = log.clone();
        log.rows.remove(at);
        let report = log.audit();
        assert_found(&report, std::slice::from_ref(&missing), "removed");
        assert_eq!(report.confirmed, 200, "the others are proved whole");
        shift(&mut log.rows[at..], -1);
        assert_found(&log.audit(), &[missing], "removed and renumbered");
    });
}

#[test]
fn several_removed() {
    let log = Log::new();
    each(0..RECORDS - 5, |at| {
        let (first, last) = (at as u64 + 1, at as u64 + 4);
        let mut log = log.clone();
        log.rows.drain(at..at + 4);
        let report = log.audit();
        assert_found(&report, &[AuditFinding::Missing { first, last }], "4");
        assert!(report.confirmed < first, "nothing after them is proved");
    });
}

#[test]
fn cut_below_the_head() {
    let log = Log::new();
    each(0..RECORDS, |records| {
        let mut log = log.clone();
        log.rows.truncate(records);
        let cut = AuditFinding::Cut {
            first: records as u64 + 1,
            last: 200,
            source_name: "the signed head".into(),
        };
        assert_found(&log.audit(), &[cut], "cut");
    });
}

/// The copy stands after its record, or at the end, or before all, with or without its own number.
#[test]
fn doubled() {
    let log = Log::new();
    each(0..RECORDS, |at| {
        let seq = at as u64 + 1;
        let with = |place: usize, number: i64, by: i64| {
            let mut log = log.clone();
            let mut copy = log.rows[at].clone();
            copy.seq = number;
            shift(&mut log.rows[place..], by);
            log.rows.insert(place, copy);
            let found = log.audit().findings;
            let row = number;
            assert_eq!(found, [AuditFinding::Duplicate { seq, row }], "at {place}");
        };
        with(at + 1, seq as i64 + 1, 1);
        with(RECORDS, 201, 0);
        if at > 1 {
            with(0, 0, 0);
        }
    });
}

/// One that looks right: the right number, the right digest of the one before it.
fn forged(row: &Row) -> Row {
    let mut record = Record::parse(&row.record).unwrap();
    record.number = Some("06-0000-0000".into());
    let record = record.to_bytes();
    Row {
        record,
        ..row.clone()
    }
}

#[test]
fn forged_and_put_in() {
    let log = Log::new();
    each(0..RECORDS, |at| {
        let seq = at as u64 + 1;
        for place in [at, at + 1] {
            let mut log = log.clone();
            let mut forged = forged(&log.rows[at]);
            forged.seq = place as i64 + 1;
            shift(&mut log.rows[place..], 1);
            log.rows.insert(place, forged);
            let found = log.audit().findings;
            let row = seq as i64 + 1;
            assert_eq!(found, [AuditFinding::Duplicate { seq, row }], "{place}");
        }
    });
}

#[test]
fn forged_in_place_of_one() {
    let log = Log::new();
    each(0..RECORDS, |at| {
        let mut log = log.clone();
        log.rows[at] = forged(&log.rows[at]);
        let report = log.audit();
        assert_found(&report, &[changed(at + 1)], "forged");
        assert_eq!(report.confirmed, 200);
    });
}

#[test]
fn one_in_place_of_another() {
    let log = Log::new();
    each(0..RECORDS, |at| {
        let mut log = log.clone();
        let other = log.rows[(at + 7) % RECORDS].record.clone();
        log.rows[at].record = other;
        assert_found(&log.audit(), &[changed(at + 1)], "replaced");
    });
}

#[test]
fn something_else_put_in() {
    let log = Log::new();
    each(0..=RECORDS, |at| {
        let mut log = log.clone();
        shift(&mut log.rows[at..], 1);
        let row = at as i64 + 1;
        let junk = Row {
            seq: row,
            record: b"{}".to_vec(),
            recording: None,
            private: None,
        };
        log.rows.insert(at, junk);
        let after = at as u64;
        assert_found(
            &log.audit(),
            &[AuditFinding::Inserted { after, row }],
            "junk",
        );
    });
}

/// Does something to the row at `at`, and to no more than the one after it.
fn damage(rows: &mut Vec<Row>, (what, at, byte): (u8, usize, usize)) {
    let at = at % rows.len();
    match what {
        0 => {
            let byte = byte % rows[at].record.len();
            rows[at].record[byte] ^= 1;
        }
        1 => drop(rows.remove(at)),
        2 if at > 0 => rows.swap(at - 1, at),
        3 => rows.insert(at, rows[byte % rows.len()].clone()),
        _ => rows[at].record = b"{}".to_vec(),
    }
    for (row, seq) in rows.iter_mut().zip(1..) {
        row.seq = seq;
    }
}

proptest! {
    /// Whatever is done to rows, however much of it: it is seen, and not before the place where it
    /// begins, one record aside.
    #[test]
    fn any_mixture(damages in prop::collection::vec((0..5_u8, 0..40_usize, 0..400_usize), 1..6)) {
        let whole = Log::with(40, draft);
        let mut log = whole.clone();
        for one in damages {
            damage(&mut log.rows, one);
        }
        let same = log.rows.iter().zip(&whole.rows).take_while(|(now, then)| now == then);
        let first = same.count() as u64 + 1;
        let found = log.audit().findings;
        prop_assert_eq!(found.is_empty(), log.rows == whole.rows);
        for finding in found {
            let place = match finding {
                AuditFinding::Duplicate { row, .. } | AuditFinding::Misplaced { row, .. } => {
                    Some(row as u64)
                }
                AuditFinding::Rewritten { size, .. } => Some(size),
                _ => finding.record(),
            };
            prop_assert!(place >= Some(first - 1), "{first}: {finding:?}");
        }
    }
}
